// RUN: tfopt compile %s --passes=transformer-fold-query-scale --stop-at=optimized --remarks=all --verify-numerics 2> %t | FileCheck %s
// RUN: FileCheck %s --check-prefix=REMARK --implicit-check-not=remark: --implicit-check-not=error: < %t

transformer.weight @q : tensor<32x64xf32> from "model.safetensors"
transformer.weight @qb : tensor<32xf32> from "model.safetensors"
transformer.weight @q.bf16 : tensor<32x64xbf16> from "model.safetensors"
transformer.weight @q.f16 : tensor<32x64xf16> from "model.safetensors"
transformer.weight @n : tensor<8xf32> from "model.safetensors"
// CHECK: transformer.derive @[[W:.*]] = scale(@q) {value = 3.500000e-01 : f64} : tensor<32x64xf32>
// CHECK: transformer.derive @[[B:.*]] = scale(@qb) {value = 3.500000e-01 : f64} : tensor<32xf32>
// CHECK: transformer.derive @[[N:.*]] = scale(@n) {value = 3.500000e-01 : f64} : tensor<8xf32>
// CHECK: transformer.derive @[[H:.*]] = scale(@q.bf16) {value = 1.250000e-01 : f64} : tensor<32x64xbf16>

// Through a rotation and the split into heads; the bias takes the factor too.
// CHECK-LABEL: func.func @rotated
// CHECK-DAG: %[[V:.*]] = transformer.use @[[W]]
// CHECK-DAG: %[[VB:.*]] = transformer.use @[[B]]
// CHECK: transformer.linear %{{.*}}, %[[V]] bias %[[VB]]
// CHECK: transformer.attention {{.*}} scale 1.000000e+00
func.func @rotated(%x: tensor<?x?x64xf32>, %k: tensor<?x?x2x8xf32>, %cos: tensor<32x4xf32>, %sin: tensor<32x4xf32>, %at: tensor<?xi32>) -> tensor<?x?x4x8xf32> {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %b = tensor.dim %x, %c0 : tensor<?x?x64xf32>
  %s = tensor.dim %x, %c1 : tensor<?x?x64xf32>
  %w = transformer.use @q : tensor<32x64xf32>
  %wb = transformer.use @qb : tensor<32xf32>
  %q0 = transformer.linear %x, %w bias %wb : tensor<?x?x64xf32>, tensor<32x64xf32>, tensor<32xf32> -> tensor<?x?x32xf32>
  %q1 = tensor.expand_shape %q0 [[0], [1], [2, 3]] output_shape [%b, %s, 4, 8] : tensor<?x?x32xf32> into tensor<?x?x4x8xf32>
  %q2 = transformer.rope half_split %q1, %cos, %sin at %at : tensor<?x?x4x8xf32>, tensor<32x4xf32>, tensor<32x4xf32>, tensor<?xi32> -> tensor<?x?x4x8xf32>
  // REMARK: remark: {{.*}}fold-query-scale.mlir:[[@LINE+1]]:8: fold-query-scale: folded its scale into {{.*}}fold-query-scale.mlir:{{.*}}
  %y = transformer.attention %q2, %k, %k scale 0.35 mask <causal> : tensor<?x?x4x8xf32>, tensor<?x?x2x8xf32>, tensor<?x?x2x8xf32> -> tensor<?x?x4x8xf32>
  return %y : tensor<?x?x4x8xf32>
}

// A norm of the queries takes it instead.
// CHECK-LABEL: func.func @normed
// CHECK-DAG: %[[V:.*]] = transformer.use @[[N]]
// CHECK-DAG: transformer.use @q :
// CHECK: transformer.rms_norm %{{.*}}, %[[V]]
// CHECK: transformer.attention {{.*}} scale 1.000000e+00
func.func @normed(%x: tensor<?x?x64xf32>, %k: tensor<?x?x2x8xf32>, %cos: tensor<32x4xf32>, %sin: tensor<32x4xf32>, %at: tensor<?xi32>) -> tensor<?x?x4x8xf32> {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %b = tensor.dim %x, %c0 : tensor<?x?x64xf32>
  %s = tensor.dim %x, %c1 : tensor<?x?x64xf32>
  %w = transformer.use @q : tensor<32x64xf32>
  %n = transformer.use @n : tensor<8xf32>
  %q0 = transformer.linear %x, %w : tensor<?x?x64xf32>, tensor<32x64xf32> -> tensor<?x?x32xf32>
  %q1 = tensor.expand_shape %q0 [[0], [1], [2, 3]] output_shape [%b, %s, 4, 8] : tensor<?x?x32xf32> into tensor<?x?x4x8xf32>
  %q2 = transformer.rms_norm %q1, %n epsilon 1.0e-5 : tensor<?x?x4x8xf32>, tensor<8xf32> -> tensor<?x?x4x8xf32>
  // REMARK: remark: {{.*}}fold-query-scale.mlir:[[@LINE+1]]:8: fold-query-scale: folded
  %y = transformer.attention %q2, %k, %k scale 0.35 mask <causal> : tensor<?x?x4x8xf32>, tensor<?x?x2x8xf32>, tensor<?x?x2x8xf32> -> tensor<?x?x4x8xf32>
  return %y : tensor<?x?x4x8xf32>
}

// A power of two changes exponents alone, in bf16 too.
// CHECK-LABEL: func.func @power_of_two
// CHECK: transformer.use @[[H]]
// CHECK: transformer.attention {{.*}} scale 1.000000e+00
func.func @power_of_two(%x: tensor<?x?x64xf32>, %k: tensor<?x?x2x8xf32>, %cos: tensor<32x4xf32>, %sin: tensor<32x4xf32>, %at: tensor<?xi32>) -> tensor<?x?x4x8xbf16> {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %b = tensor.dim %x, %c0 : tensor<?x?x64xf32>
  %s = tensor.dim %x, %c1 : tensor<?x?x64xf32>
  %w = transformer.use @q.bf16 : tensor<32x64xbf16>
  %q0 = transformer.linear %x, %w : tensor<?x?x64xf32>, tensor<32x64xbf16> -> tensor<?x?x32xf32>
  %q1 = tensor.expand_shape %q0 [[0], [1], [2, 3]] output_shape [%b, %s, 4, 8] : tensor<?x?x32xf32> into tensor<?x?x4x8xf32>
  %q2 = transformer.rope half_split %q1, %cos, %sin at %at : tensor<?x?x4x8xf32>, tensor<32x4xf32>, tensor<32x4xf32>, tensor<?xi32> -> tensor<?x?x4x8xbf16>
  // REMARK: remark: {{.*}}fold-query-scale.mlir:[[@LINE+1]]:8: fold-query-scale: folded
  %y = transformer.attention %q2, %k, %k scale 0.125 mask <causal> : tensor<?x?x4x8xbf16>, tensor<?x?x2x8xf32>, tensor<?x?x2x8xf32> -> tensor<?x?x4x8xbf16>
  return %y : tensor<?x?x4x8xbf16>
}

// Not in f16, where small weights would lose bits.
// CHECK-LABEL: func.func @small_exponents
// CHECK: transformer.attention {{.*}} scale 1.250000e-01
func.func @small_exponents(%x: tensor<?x?x64xf32>, %k: tensor<?x?x2x8xf32>) -> tensor<?x?x4x8xf32> {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %b = tensor.dim %x, %c0 : tensor<?x?x64xf32>
  %s = tensor.dim %x, %c1 : tensor<?x?x64xf32>
  %w = transformer.use @q.f16 : tensor<32x64xf16>
  // REMARK: remark: {{.*}}fold-query-scale.mlir:[[@LINE+1]]:9: fold-query-scale missed: weight: is not stored in f32
  %q0 = transformer.linear %x, %w : tensor<?x?x64xf32>, tensor<32x64xf16> -> tensor<?x?x32xf32>
  %q1 = tensor.expand_shape %q0 [[0], [1], [2, 3]] output_shape [%b, %s, 4, 8] : tensor<?x?x32xf32> into tensor<?x?x4x8xf32>
  %y = transformer.attention %q1, %k, %k scale 0.125 mask <causal> : tensor<?x?x4x8xf32>, tensor<?x?x2x8xf32>, tensor<?x?x2x8xf32> -> tensor<?x?x4x8xf32>
  return %y : tensor<?x?x4x8xf32>
}

// Another scale would be rounded in bf16.
// CHECK-LABEL: func.func @rounded
// CHECK: transformer.attention {{.*}} scale 3.500000e-01
func.func @rounded(%x: tensor<?x?x64xf32>, %k: tensor<?x?x2x8xf32>, %cos: tensor<32x4xf32>, %sin: tensor<32x4xf32>, %at: tensor<?xi32>) -> tensor<?x?x4x8xbf16> {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %b = tensor.dim %x, %c0 : tensor<?x?x64xf32>
  %s = tensor.dim %x, %c1 : tensor<?x?x64xf32>
  %w = transformer.use @q.bf16 : tensor<32x64xbf16>
  %q0 = transformer.linear %x, %w : tensor<?x?x64xf32>, tensor<32x64xbf16> -> tensor<?x?x32xf32>
  %q1 = tensor.expand_shape %q0 [[0], [1], [2, 3]] output_shape [%b, %s, 4, 8] : tensor<?x?x32xf32> into tensor<?x?x4x8xf32>
  // REMARK: remark: {{.*}}fold-query-scale.mlir:[[@LINE+1]]:9: fold-query-scale missed: result: is not stored in f32, so that scaling before would round otherwise; store it in f32, or in bf16 with a scale that is a power of two
  %q2 = transformer.rope half_split %q1, %cos, %sin at %at : tensor<?x?x4x8xf32>, tensor<32x4xf32>, tensor<32x4xf32>, tensor<?xi32> -> tensor<?x?x4x8xbf16>
  %y = transformer.attention %q2, %k, %k scale 0.35 mask <causal> : tensor<?x?x4x8xbf16>, tensor<?x?x2x8xf32>, tensor<?x?x2x8xf32> -> tensor<?x?x4x8xbf16>
  return %y : tensor<?x?x4x8xbf16>
}

// CHECK-LABEL: func.func @narrow_weight
// CHECK: transformer.attention {{.*}} scale 3.500000e-01
func.func @narrow_weight(%x: tensor<?x?x64xf32>, %k: tensor<?x?x2x8xf32>, %cos: tensor<32x4xf32>, %sin: tensor<32x4xf32>, %at: tensor<?xi32>) -> tensor<?x?x4x8xf32> {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %b = tensor.dim %x, %c0 : tensor<?x?x64xf32>
  %s = tensor.dim %x, %c1 : tensor<?x?x64xf32>
  %w = transformer.use @q.bf16 : tensor<32x64xbf16>
  // REMARK: remark: {{.*}}fold-query-scale.mlir:[[@LINE+1]]:9: fold-query-scale missed: weight: is not stored in f32, so that its product with the scale would be rounded; store it in f32
  %q0 = transformer.linear %x, %w : tensor<?x?x64xf32>, tensor<32x64xbf16> -> tensor<?x?x32xf32>
  %q1 = tensor.expand_shape %q0 [[0], [1], [2, 3]] output_shape [%b, %s, 4, 8] : tensor<?x?x32xf32> into tensor<?x?x4x8xf32>
  %y = transformer.attention %q1, %k, %k scale 0.35 mask <causal> : tensor<?x?x4x8xf32>, tensor<?x?x2x8xf32>, tensor<?x?x2x8xf32> -> tensor<?x?x4x8xf32>
  return %y : tensor<?x?x4x8xf32>
}

// The weight is the keys' as well, which are not scaled.
// CHECK-LABEL: func.func @shared_weight
// CHECK: transformer.attention {{.*}} scale 3.500000e-01
func.func @shared_weight(%x: tensor<?x?x64xf32>) -> tensor<?x?x4x8xf32> {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %b = tensor.dim %x, %c0 : tensor<?x?x64xf32>
  %s = tensor.dim %x, %c1 : tensor<?x?x64xf32>
  %w = transformer.use @q : tensor<32x64xf32>
  // REMARK: remark: {{.*}}fold-query-scale.mlir:[[@LINE+1]]:9: fold-query-scale missed: weight: has another reader, which needs it as it is; give each reader a copy
  %q0 = transformer.linear %x, %w : tensor<?x?x64xf32>, tensor<32x64xf32> -> tensor<?x?x32xf32>
  %k0 = transformer.linear %x, %w : tensor<?x?x64xf32>, tensor<32x64xf32> -> tensor<?x?x32xf32>
  %q1 = tensor.expand_shape %q0 [[0], [1], [2, 3]] output_shape [%b, %s, 4, 8] : tensor<?x?x32xf32> into tensor<?x?x4x8xf32>
  %k1 = tensor.expand_shape %k0 [[0], [1], [2, 3]] output_shape [%b, %s, 4, 8] : tensor<?x?x32xf32> into tensor<?x?x4x8xf32>
  %y = transformer.attention %q1, %k1, %k1 scale 0.35 mask <causal> : tensor<?x?x4x8xf32>, tensor<?x?x4x8xf32>, tensor<?x?x4x8xf32> -> tensor<?x?x4x8xf32>
  return %y : tensor<?x?x4x8xf32>
}
