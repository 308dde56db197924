// RUN: tfopt compile %s --passes=transformer-raise-views --stop-at=optimized --remarks=all --verify-numerics 2> %t | FileCheck %s
// RUN: FileCheck %s --check-prefix=REMARK --implicit-check-not=remark: --implicit-check-not=error: < %t

// Transposed and back, through a reshape.
// CHECK-LABEL: func.func @nothing
// CHECK-NEXT: return %arg0
func.func @nothing(%x: tensor<2x3x4xf32>) -> tensor<2x3x4xf32> {
  %e = tensor.empty() : tensor<2x4x3xf32>
  %t = linalg.transpose ins(%x : tensor<2x3x4xf32>) outs(%e : tensor<2x4x3xf32>) permutation = [0, 2, 1]
  %flat = tensor.collapse_shape %t [[0], [1, 2]] : tensor<2x4x3xf32> into tensor<2x12xf32>
  %again = tensor.expand_shape %flat [[0], [1, 2]] output_shape [2, 4, 3] : tensor<2x12xf32> into tensor<2x4x3xf32>
  %e2 = tensor.empty() : tensor<2x3x4xf32>
  // REMARK: remark: {{.*}}raise-views.mlir:[[@LINE+1]]:{{[0-9]+}}: raise-views: 4 fewer reshapes and transposes
  %y = linalg.transpose ins(%again : tensor<2x4x3xf32>) outs(%e2 : tensor<2x3x4xf32>) permutation = [0, 2, 1]
  return %y : tensor<2x3x4xf32>
}

// Batch and heads are merged and split again; one transpose is left. The length is open.
// CHECK-LABEL: func.func @one_transpose
// CHECK: linalg.transpose ins(%arg0 : tensor<2x?x4x8xf32>) {{.*}} permutation = [0, 2, 1, 3]
// CHECK-NOT: tensor.{{expand|collapse}}_shape
// CHECK: return
func.func @one_transpose(%x: tensor<2x?x4x8xf32>) -> tensor<2x4x?x8xf32> {
  %c1 = arith.constant 1 : index
  %s = tensor.dim %x, %c1 : tensor<2x?x4x8xf32>
  %e = tensor.empty(%s) : tensor<2x4x?x8xf32>
  %t = linalg.transpose ins(%x : tensor<2x?x4x8xf32>) outs(%e : tensor<2x4x?x8xf32>) permutation = [0, 2, 1, 3]
  %flat = tensor.collapse_shape %t [[0, 1], [2], [3]] : tensor<2x4x?x8xf32> into tensor<8x?x8xf32>
  // REMARK: remark: {{.*}}raise-views.mlir:[[@LINE+1]]:{{[0-9]+}}: raise-views: 2 fewer reshapes and transposes
  %y = tensor.expand_shape %flat [[0, 1], [2], [3]] output_shape [2, 4, %s, 8] : tensor<8x?x8xf32> into tensor<2x4x?x8xf32>
  return %y : tensor<2x4x?x8xf32>
}

// Slices of slices.
// CHECK-LABEL: func.func @one_slice
// CHECK-NEXT: tensor.extract_slice %arg0[0, 3] [2, 2] [1, 1] : tensor<2x8xf32> to tensor<2x2xf32>
// CHECK-NEXT: return
func.func @one_slice(%x: tensor<2x8xf32>) -> tensor<2x2xf32> {
  %half = tensor.extract_slice %x[0, 2] [2, 4] [1, 1] : tensor<2x8xf32> to tensor<2x4xf32>
  // REMARK: remark: {{.*}}raise-views.mlir:[[@LINE+1]]:{{[0-9]+}}: raise-views: 1 fewer reshapes and transposes
  %y = tensor.extract_slice %half[0, 1] [2, 2] [1, 1] : tensor<2x4xf32> to tensor<2x2xf32>
  return %y : tensor<2x2xf32>
}

// A reshape that mixes rows and columns is none of a transpose's.
// CHECK-LABEL: func.func @mixes
// CHECK: linalg.transpose
// CHECK: tensor.collapse_shape
// CHECK: tensor.expand_shape
func.func @mixes(%x: tensor<3x4xf32>) -> tensor<3x4xf32> {
  %e = tensor.empty() : tensor<4x3xf32>
  %t = linalg.transpose ins(%x : tensor<3x4xf32>) outs(%e : tensor<4x3xf32>) permutation = [1, 0]
  %flat = tensor.collapse_shape %t [[0, 1]] : tensor<4x3xf32> into tensor<12xf32>
  %y = tensor.expand_shape %flat [[0, 1]] output_shape [3, 4] : tensor<12xf32> into tensor<3x4xf32>
  return %y : tensor<3x4xf32>
}
