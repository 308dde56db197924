// RUN: tfopt compile %s --passes=transformer-split-gate-up --stop-at=optimized --remarks=all --verify-numerics 2> %t | FileCheck %s
// RUN: FileCheck %s --check-prefix=REMARK --implicit-check-not=remark: --implicit-check-not=error: < %t

transformer.weight @gu : tensor<96x64xf32> from "model.safetensors"
transformer.weight @b : tensor<96xf32> from "model.safetensors"
// CHECK-DAG: transformer.derive @[[G:gu.slice.*]] = slice(@gu) {axis = 0 : i64, begin = 0 : i64, end = 48 : i64} : tensor<48x64xf32>
// CHECK-DAG: transformer.derive @[[U:gu.slice.*]] = slice(@gu) {axis = 0 : i64, begin = 48 : i64, end = 96 : i64} : tensor<48x64xf32>
// CHECK-DAG: transformer.derive @[[BG:b.slice.*]] = slice(@b) {axis = 0 : i64, begin = 0 : i64, end = 48 : i64} : tensor<48xf32>
// CHECK-DAG: transformer.derive @[[BU:b.slice.*]] = slice(@b) {axis = 0 : i64, begin = 48 : i64, end = 96 : i64} : tensor<48xf32>

// Two halves of one matrix that meet in a product.
// CHECK-LABEL: func.func @halves
// CHECK-DAG: %[[WG:.*]] = transformer.use @[[G]]
// CHECK-DAG: %[[WU:.*]] = transformer.use @[[U]]
// CHECK-DAG: %[[HG:.*]] = transformer.linear %[[X:.*]], %[[WG]] :
// CHECK-DAG: %[[HU:.*]] = transformer.linear %[[X]], %[[WU]] :
// CHECK: %[[A:.*]] = transformer.activation silu %[[HG]]
// CHECK: arith.mulf %[[A]], %[[HU]]
func.func @halves(%x: tensor<?x?x64xf32>) -> tensor<?x?x48xf32> {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %n = tensor.dim %x, %c0 : tensor<?x?x64xf32>
  %s = tensor.dim %x, %c1 : tensor<?x?x64xf32>
  %w = transformer.use @gu : tensor<96x64xf32>
  // REMARK: remark: {{.*}}split-gate-up.mlir:[[@LINE+1]]:8: split-gate-up: split into projections of 48 and 48 rows
  %h = transformer.linear %x, %w : tensor<?x?x64xf32>, tensor<96x64xf32> -> tensor<?x?x96xf32>
  %g = tensor.extract_slice %h[0, 0, 0] [%n, %s, 48] [1, 1, 1] : tensor<?x?x96xf32> to tensor<?x?x48xf32>
  %u = tensor.extract_slice %h[0, 0, 48] [%n, %s, 48] [1, 1, 1] : tensor<?x?x96xf32> to tensor<?x?x48xf32>
  %a = transformer.activation silu %g : tensor<?x?x48xf32> -> tensor<?x?x48xf32>
  %y = arith.mulf %a, %u : tensor<?x?x48xf32>
  return %y : tensor<?x?x48xf32>
}

// A bias is split with it.
// CHECK-LABEL: func.func @biased
// CHECK-DAG: %[[VG:.*]] = transformer.use @[[BG]]
// CHECK-DAG: transformer.linear %{{.*}}, %{{.*}} bias %[[VG]]
// CHECK-DAG: %[[VU:.*]] = transformer.use @[[BU]]
// CHECK-DAG: transformer.linear %{{.*}}, %{{.*}} bias %[[VU]]
func.func @biased(%x: tensor<4x64xf32>) -> tensor<4x48xf32> {
  %w = transformer.use @gu : tensor<96x64xf32>
  %b = transformer.use @b : tensor<96xf32>
  // REMARK: remark: {{.*}}split-gate-up.mlir:[[@LINE+1]]:8: split-gate-up: split
  %h = transformer.linear %x, %w bias %b : tensor<4x64xf32>, tensor<96x64xf32>, tensor<96xf32> -> tensor<4x96xf32>
  %g = tensor.extract_slice %h[0, 0] [4, 48] [1, 1] : tensor<4x96xf32> to tensor<4x48xf32>
  %u = tensor.extract_slice %h[0, 48] [4, 48] [1, 1] : tensor<4x96xf32> to tensor<4x48xf32>
  %a = transformer.activation silu %g : tensor<4x48xf32> -> tensor<4x48xf32>
  %y = arith.mulf %a, %u : tensor<4x48xf32>
  return %y : tensor<4x48xf32>
}

// Not all positions: such a slice is none of the last dimension alone.
// CHECK-LABEL: func.func @fewer_positions
// CHECK: tensor.extract_slice
func.func @fewer_positions(%x: tensor<?x64xf32>, %n: index) -> tensor<?x48xf32> {
  %w = transformer.use @gu : tensor<96x64xf32>
  %h = transformer.linear %x, %w : tensor<?x64xf32>, tensor<96x64xf32> -> tensor<?x96xf32>
  %g = tensor.extract_slice %h[0, 0] [%n, 48] [1, 1] : tensor<?x96xf32> to tensor<?x48xf32>
  %u = tensor.extract_slice %h[0, 48] [%n, 48] [1, 1] : tensor<?x96xf32> to tensor<?x48xf32>
  %a = transformer.activation silu %g : tensor<?x48xf32> -> tensor<?x48xf32>
  %y = arith.mulf %a, %u : tensor<?x48xf32>
  return %y : tensor<?x48xf32>
}

// CHECK-LABEL: func.func @whole_is_read
// CHECK: tensor.extract_slice
func.func @whole_is_read(%x: tensor<4x64xf32>) -> (tensor<4x48xf32>, tensor<4x96xf32>) {
  %w = transformer.use @gu : tensor<96x64xf32>
  // REMARK: remark: {{.*}}split-gate-up.mlir:[[@LINE+1]]:8: split-gate-up missed: result: has readers beside the two slices; let the slices be its only readers
  %h = transformer.linear %x, %w : tensor<4x64xf32>, tensor<96x64xf32> -> tensor<4x96xf32>
  %g = tensor.extract_slice %h[0, 0] [4, 48] [1, 1] : tensor<4x96xf32> to tensor<4x48xf32>
  %u = tensor.extract_slice %h[0, 48] [4, 48] [1, 1] : tensor<4x96xf32> to tensor<4x48xf32>
  %a = transformer.activation silu %g : tensor<4x48xf32> -> tensor<4x48xf32>
  %y = arith.mulf %a, %u : tensor<4x48xf32>
  return %y, %h : tensor<4x48xf32>, tensor<4x96xf32>
}

// CHECK-LABEL: func.func @computed_weight
// CHECK: tensor.extract_slice
func.func @computed_weight(%x: tensor<4x64xf32>, %w: tensor<96x64xf32>) -> tensor<4x48xf32> {
  // REMARK: remark: {{.*}}split-gate-up.mlir:[[@LINE+1]]:8: split-gate-up missed: weight: is a value computed at run time; make it a transformer.weight
  %h = transformer.linear %x, %w : tensor<4x64xf32>, tensor<96x64xf32> -> tensor<4x96xf32>
  %g = tensor.extract_slice %h[0, 0] [4, 48] [1, 1] : tensor<4x96xf32> to tensor<4x48xf32>
  %u = tensor.extract_slice %h[0, 48] [4, 48] [1, 1] : tensor<4x96xf32> to tensor<4x48xf32>
  %a = transformer.activation silu %g : tensor<4x48xf32> -> tensor<4x48xf32>
  %y = arith.mulf %a, %u : tensor<4x48xf32>
  return %y : tensor<4x48xf32>
}
