// RUN: tfopt compile %s --passes=transformer-cancel-reshapes --stop-at=optimized --remarks=all --verify-numerics 2> %t | FileCheck %s
// RUN: FileCheck %s --check-prefix=REMARK --implicit-check-not=remark: --implicit-check-not=error: < %t

transformer.weight @w : tensor<8x6xf32> from "model.safetensors"
// CHECK: transformer.derive @[[WT:w.transpose]] = transpose(@w) : tensor<6x8xf32>

// A transpose undone at once, and one undone behind elementwise ops with a splat.
// CHECK-LABEL: func.func @transposes
// CHECK-SAME: (%[[X:[^:]*]]: tensor<4x6x8xf32>
// CHECK-DAG: %[[C:.*]] = arith.constant dense<2.000000e+00> : tensor<4x6x8xf32>
// CHECK-DAG: %[[A:.*]] = transformer.activation relu %[[X]] : tensor<4x6x8xf32>
// CHECK: %[[P:.*]] = arith.mulf %[[A]], %[[C]] : tensor<4x6x8xf32>
// CHECK: return %[[X]], %[[P]]
func.func @transposes(%x: tensor<4x6x8xf32>, %a: tensor<4x8x6xf32>, %b: tensor<4x6x8xf32>) -> (tensor<4x6x8xf32>, tensor<4x6x8xf32>) {
  %two = arith.constant dense<2.0> : tensor<4x8x6xf32>
  %0 = linalg.transpose ins(%x : tensor<4x6x8xf32>) outs(%a : tensor<4x8x6xf32>) permutation = [0, 2, 1]
  // REMARK: remark: {{.*}}cancel-reshapes.mlir:[[@LINE+1]]:8: cancel-reshapes: cancelled with what it undoes
  %1 = linalg.transpose ins(%0 : tensor<4x8x6xf32>) outs(%b : tensor<4x6x8xf32>) permutation = [0, 2, 1]
  %2 = transformer.activation relu %0 : tensor<4x8x6xf32> -> tensor<4x8x6xf32>
  %3 = arith.mulf %2, %two : tensor<4x8x6xf32>
  // REMARK: remark: {{.*}}cancel-reshapes.mlir:[[@LINE+1]]:8: cancel-reshapes: cancelled
  %4 = linalg.transpose ins(%3 : tensor<4x8x6xf32>) outs(%b : tensor<4x6x8xf32>) permutation = [0, 2, 1]
  return %1, %4 : tensor<4x6x8xf32>, tensor<4x6x8xf32>
}

// Heads split and merged again, through a sum of two of them.
// CHECK-LABEL: func.func @reshapes
// CHECK-SAME: (%[[X:[^:]*]]: tensor<?x32xf32>, %[[Y:[^:]*]]: tensor<?x32xf32>
// CHECK: %[[S:.*]] = arith.addf %[[X]], %[[Y]] : tensor<?x32xf32>
// CHECK-NOT: shape
// CHECK: return %[[S]]
func.func @reshapes(%x: tensor<?x32xf32>, %y: tensor<?x32xf32>) -> tensor<?x32xf32> {
  %c0 = arith.constant 0 : index
  %n = tensor.dim %x, %c0 : tensor<?x32xf32>
  %0 = tensor.expand_shape %x [[0], [1, 2]] output_shape [%n, 4, 8] : tensor<?x32xf32> into tensor<?x4x8xf32>
  %1 = tensor.expand_shape %y [[0], [1, 2]] output_shape [%n, 4, 8] : tensor<?x32xf32> into tensor<?x4x8xf32>
  %2 = arith.addf %0, %1 : tensor<?x4x8xf32>
  // REMARK: remark: {{.*}}cancel-reshapes.mlir:[[@LINE+1]]:8: cancel-reshapes: cancelled
  %3 = tensor.collapse_shape %2 [[0], [1, 2]] : tensor<?x4x8xf32> into tensor<?x32xf32>
  return %3 : tensor<?x32xf32>
}

// Two transposes that are not inverse become one; one of a weight is done ahead of time.
// CHECK-LABEL: func.func @compose
// CHECK: linalg.transpose ins(%{{.*}} : tensor<4x6x8xf32>) {{.*}} permutation = [1, 2, 0]
// CHECK-NOT: linalg.transpose
// CHECK: %[[W:.*]] = transformer.use @[[WT]]
// CHECK: return %{{.*}}, %[[W]]
func.func @compose(%x: tensor<4x6x8xf32>, %a: tensor<4x8x6xf32>, %b: tensor<6x8x4xf32>, %c: tensor<6x8xf32>) -> (tensor<6x8x4xf32>, tensor<6x8xf32>) {
  %0 = linalg.transpose ins(%x : tensor<4x6x8xf32>) outs(%a : tensor<4x8x6xf32>) permutation = [0, 2, 1]
  // REMARK: remark: {{.*}}cancel-reshapes.mlir:[[@LINE+1]]:8: cancel-reshapes: composed with the transpose before it
  %1 = linalg.transpose ins(%0 : tensor<4x8x6xf32>) outs(%b : tensor<6x8x4xf32>) permutation = [2, 1, 0]
  %w = transformer.use @w : tensor<8x6xf32>
  // REMARK: remark: {{.*}}cancel-reshapes.mlir:[[@LINE+1]]:8: cancel-reshapes: transposes w once, ahead of time
  %2 = linalg.transpose ins(%w : tensor<8x6xf32>) outs(%c : tensor<6x8xf32>) permutation = [1, 0]
  return %1, %2 : tensor<6x8x4xf32>, tensor<6x8xf32>
}

// Two dynamic sizes of which the product alone agrees: nothing cancels.
// CHECK-LABEL: func.func @two_dynamic_sizes
// CHECK: tensor.collapse_shape
// CHECK: tensor.expand_shape
func.func @two_dynamic_sizes(%x: tensor<?x?xf32>, %n: index, %m: index) -> tensor<?x?xf32> {
  %0 = tensor.collapse_shape %x [[0, 1]] : tensor<?x?xf32> into tensor<?xf32>
  %1 = tensor.expand_shape %0 [[0, 1]] output_shape [%n, %m] : tensor<?xf32> into tensor<?x?xf32>
  return %1 : tensor<?x?xf32>
}

// One operand of the sum is not transposed.
// CHECK-LABEL: func.func @one_operand
// CHECK-COUNT-2: linalg.transpose
func.func @one_operand(%x: tensor<6x8xf32>, %y: tensor<8x6xf32>, %a: tensor<8x6xf32>, %b: tensor<6x8xf32>) -> tensor<6x8xf32> {
  %0 = linalg.transpose ins(%x : tensor<6x8xf32>) outs(%a : tensor<8x6xf32>) permutation = [1, 0]
  %1 = arith.addf %0, %y : tensor<8x6xf32>
  // REMARK: remark: {{.*}}cancel-reshapes.mlir:[[@LINE+1]]:8: cancel-reshapes missed: operand: is computed without a reshape that this undoes; reshape it the other way first
  %2 = linalg.transpose ins(%1 : tensor<8x6xf32>) outs(%b : tensor<6x8xf32>) permutation = [1, 0]
  return %2 : tensor<6x8xf32>
}
