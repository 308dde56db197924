// RUN: tfopt compile %s --passes=transformer-narrow-to-used --stop-at=optimized --remarks=all --verify-numerics 2> %t | FileCheck %s
// RUN: FileCheck %s --check-prefix=REMARK --implicit-check-not=remark: --implicit-check-not=error: < %t

// The last position of a residual block with a factor: sum, projection and norm are computed for it alone.
// CHECK-LABEL: func.func @last_position
// CHECK-SAME: (%[[X:[^:]*]]: tensor<?x?x64xf32>, %[[W:[^:]*]]: tensor<64x64xf32>, %[[N:[^:]*]]: tensor<64xf32>)
// CHECK: %[[P:.*]] = tensor.extract_slice %[[X]][0, %{{.*}}, 0] [%[[B:.*]], 1, 64] [1, 1, 1] : tensor<?x?x64xf32> to tensor<?x1x64xf32>
// CHECK: %[[P2:.*]] = tensor.extract_slice %[[X]][0, %{{.*}}, 0]
// CHECK: %[[A:.*]] = transformer.rms_norm %[[P2]], %[[N]] epsilon {{.*}} : tensor<?x1x64xf32>
// CHECK: %[[L:.*]] = transformer.linear %[[A]], %[[W]] : tensor<?x1x64xf32>
// CHECK: %[[F:.*]] = tensor.splat %{{.*}}[%[[B]]] : tensor<?x1x64xf32>
// CHECK: %[[M:.*]] = arith.mulf %[[L]], %[[F]] : tensor<?x1x64xf32>
// CHECK: %[[S:.*]] = arith.addf %[[P]], %[[M]] : tensor<?x1x64xf32>
// CHECK: return %[[S]]
func.func @last_position(%x: tensor<?x?x64xf32>, %w: tensor<64x64xf32>, %n: tensor<64xf32>) -> tensor<?x1x64xf32> {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %b = tensor.dim %x, %c0 : tensor<?x?x64xf32>
  %s = tensor.dim %x, %c1 : tensor<?x?x64xf32>
  %last = arith.subi %s, %c1 : index
  %factor = arith.constant 0.5 : f32
  %0 = transformer.rms_norm %x, %n epsilon 1.0e-5 : tensor<?x?x64xf32>, tensor<64xf32> -> tensor<?x?x64xf32>
  %1 = transformer.linear %0, %w : tensor<?x?x64xf32>, tensor<64x64xf32> -> tensor<?x?x64xf32>
  %f = tensor.splat %factor[%b, %s] : tensor<?x?x64xf32>
  %2 = arith.mulf %1, %f : tensor<?x?x64xf32>
  // REMARK: remark: {{.*}}narrow-to-used.mlir:[[@LINE+4]]:8: narrow-to-used: computes only the positions that are read
  // REMARK: remark: {{.*}}narrow-to-used.mlir:[[@LINE-2]]:8: narrow-to-used: computes
  // REMARK: remark: {{.*}}narrow-to-used.mlir:[[@LINE-5]]:8: narrow-to-used: computes
  // REMARK: remark: {{.*}}narrow-to-used.mlir:[[@LINE-7]]:8: narrow-to-used: computes
  %3 = arith.addf %x, %2 : tensor<?x?x64xf32>
  %4 = tensor.extract_slice %3[0, %last, 0] [%b, 1, 64] [1, 1, 1] : tensor<?x?x64xf32> to tensor<?x1x64xf32>
  return %4 : tensor<?x1x64xf32>
}

// Two readers of the same positions.
// CHECK-LABEL: func.func @equal_slices
// CHECK: %[[P:.*]] = tensor.extract_slice %{{.*}}[0, 2, 0] [2, 1, 64]
// CHECK: %[[L:.*]] = transformer.linear %[[P]]
// CHECK: return %[[L]], %[[L]]
func.func @equal_slices(%x: tensor<2x3x64xf32>, %w: tensor<32x64xf32>) -> (tensor<2x1x32xf32>, tensor<2x1x32xf32>) {
  // REMARK: remark: {{.*}}narrow-to-used.mlir:[[@LINE+1]]:8: narrow-to-used: computes
  %0 = transformer.linear %x, %w : tensor<2x3x64xf32>, tensor<32x64xf32> -> tensor<2x3x32xf32>
  %1 = tensor.extract_slice %0[0, 2, 0] [2, 1, 32] [1, 1, 1] : tensor<2x3x32xf32> to tensor<2x1x32xf32>
  %2 = tensor.extract_slice %0[0, 2, 0] [2, 1, 32] [1, 1, 1] : tensor<2x3x32xf32> to tensor<2x1x32xf32>
  return %1, %2 : tensor<2x1x32xf32>, tensor<2x1x32xf32>
}

// The whole result is read as well.
// CHECK-LABEL: func.func @whole_is_read
// CHECK: transformer.linear %{{.*}} : tensor<2x3x64xf32>
// CHECK: tensor.extract_slice
func.func @whole_is_read(%x: tensor<2x3x64xf32>, %w: tensor<32x64xf32>) -> (tensor<2x1x32xf32>, tensor<2x3x32xf32>) {
  // REMARK: remark: {{.*}}narrow-to-used.mlir:[[@LINE+1]]:8: narrow-to-used missed: result: is read whole by 1 other op; let the other readers read the same positions
  %0 = transformer.linear %x, %w : tensor<2x3x64xf32>, tensor<32x64xf32> -> tensor<2x3x32xf32>
  %1 = tensor.extract_slice %0[0, 2, 0] [2, 1, 32] [1, 1, 1] : tensor<2x3x32xf32> to tensor<2x1x32xf32>
  return %1, %0 : tensor<2x1x32xf32>, tensor<2x3x32xf32>
}

// Columns of a norm depend on all of the row, and positions of attention on each other.
// CHECK-LABEL: func.func @not_by_rows
// CHECK: transformer.rms_norm %{{.*}} : tensor<2x3x64xf32>
// CHECK: transformer.attention %{{.*}} : tensor<2x3x4x8xf32>
func.func @not_by_rows(%x: tensor<2x3x64xf32>, %n: tensor<64xf32>, %q: tensor<2x3x4x8xf32>) -> (tensor<2x3x32xf32>, tensor<2x1x4x8xf32>) {
  %0 = transformer.rms_norm %x, %n epsilon 1.0e-5 : tensor<2x3x64xf32>, tensor<64xf32> -> tensor<2x3x64xf32>
  %1 = tensor.extract_slice %0[0, 0, 32] [2, 3, 32] [1, 1, 1] : tensor<2x3x64xf32> to tensor<2x3x32xf32>
  %2 = transformer.attention %q, %q, %q scale 1.0 mask <causal> : tensor<2x3x4x8xf32>, tensor<2x3x4x8xf32>, tensor<2x3x4x8xf32> -> tensor<2x3x4x8xf32>
  %3 = tensor.extract_slice %2[0, 2, 0, 0] [2, 1, 4, 8] [1, 1, 1, 1] : tensor<2x3x4x8xf32> to tensor<2x1x4x8xf32>
  return %1, %3 : tensor<2x3x32xf32>, tensor<2x1x4x8xf32>
}
