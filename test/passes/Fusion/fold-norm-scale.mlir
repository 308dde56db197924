// RUN: tfopt compile %s --passes=transformer-fold-norm-scale --stop-at=optimized --remarks=all --verify-numerics 2> %t | FileCheck %s
// RUN: FileCheck %s --check-prefix=REMARK --implicit-check-not=remark: --implicit-check-not=error: < %t

transformer.weight @n : tensor<64xf32> from "model.safetensors"
transformer.weight @nb : tensor<64xf32> from "model.safetensors"
transformer.weight @w : tensor<32x64xf32> from "model.safetensors"
transformer.weight @wb : tensor<32xf32> from "model.safetensors"
transformer.weight @g : tensor<96x64xf32> from "model.safetensors"
transformer.weight @u : tensor<96x64xf32> from "model.safetensors"
transformer.weight @d : tensor<64x96xf32> from "model.safetensors"
transformer.weight @narrow : tensor<32x64xbf16> from "model.safetensors"
// CHECK: transformer.derive @[[W:.*]] = scale_columns(@w, @n) : tensor<32x64xf32>
// CHECK: transformer.derive @[[G:.*]] = scale_columns(@g, @n) : tensor<96x64xf32>
// CHECK: transformer.derive @[[U:.*]] = scale_columns(@u, @n) : tensor<96x64xf32>
// CHECK: transformer.derive @[[P:.*]] = matmul(@w, @nb) : tensor<32xf32>
// CHECK: transformer.derive @[[B:.*]] = add(@wb, @[[P]]) : tensor<32xf32>

// CHECK-LABEL: func.func @rms
// CHECK-DAG: %[[ONE:.*]] = arith.constant dense<1.000000e+00> : tensor<64xf32>
// CHECK-DAG: %[[N:.*]] = transformer.rms_norm %{{.*}}, %[[ONE]]
// CHECK-DAG: %[[V:.*]] = transformer.use @[[W]]
// CHECK: transformer.linear %[[N]], %[[V]]
func.func @rms(%x: tensor<?x64xf32>) -> tensor<?x32xf32> {
  %n = transformer.use @n : tensor<64xf32>
  %w = transformer.use @w : tensor<32x64xf32>
  // REMARK: remark: {{.*}}fold-norm-scale.mlir:[[@LINE+1]]:8: fold-norm-scale: folded its weight into 1 reader
  %0 = transformer.rms_norm %x, %n epsilon 1.0e-5 : tensor<?x64xf32>, tensor<64xf32> -> tensor<?x64xf32>
  %1 = transformer.linear %0, %w : tensor<?x64xf32>, tensor<32x64xf32> -> tensor<?x32xf32>
  return %1 : tensor<?x32xf32>
}

// A projection and a gated MLP read the norm.
// CHECK-LABEL: func.func @two_readers
// CHECK-DAG: %[[VW:.*]] = transformer.use @[[W]]
// CHECK-DAG: %[[VG:.*]] = transformer.use @[[G]]
// CHECK-DAG: %[[VU:.*]] = transformer.use @[[U]]
// CHECK-DAG: transformer.linear %{{.*}}, %[[VW]]
// CHECK-DAG: transformer.gated_mlp silu %{{.*}}, %[[VG]], %[[VU]],
func.func @two_readers(%x: tensor<?x64xf32>) -> (tensor<?x32xf32>, tensor<?x64xf32>) {
  %n = transformer.use @n : tensor<64xf32>
  %w = transformer.use @w : tensor<32x64xf32>
  %g = transformer.use @g : tensor<96x64xf32>
  %u = transformer.use @u : tensor<96x64xf32>
  %d = transformer.use @d : tensor<64x96xf32>
  // REMARK: remark: {{.*}}fold-norm-scale.mlir:[[@LINE+1]]:8: fold-norm-scale: folded its weight into 2 readers
  %0 = transformer.rms_norm %x, %n epsilon 1.0e-5 : tensor<?x64xf32>, tensor<64xf32> -> tensor<?x64xf32>
  %1 = transformer.linear %0, %w : tensor<?x64xf32>, tensor<32x64xf32> -> tensor<?x32xf32>
  %2 = transformer.gated_mlp silu %0, %g, %u, %d : tensor<?x64xf32>, tensor<96x64xf32>, tensor<96x64xf32>, tensor<64x96xf32> -> tensor<?x64xf32>
  return %1, %2 : tensor<?x32xf32>, tensor<?x64xf32>
}

// The bias of a layer norm goes through the matrix.
// CHECK-LABEL: func.func @layer_norm
// CHECK: transformer.layer_norm %{{.*}}, %{{[^ ]*}} epsilon
// CHECK-DAG: %[[V:.*]] = transformer.use @[[W]]
// CHECK-DAG: %[[VB:.*]] = transformer.use @[[B]]
// CHECK: transformer.linear %{{.*}}, %[[V]] bias %[[VB]]
func.func @layer_norm(%x: tensor<?x64xf32>) -> tensor<?x32xf32> {
  %n = transformer.use @n : tensor<64xf32>
  %nb = transformer.use @nb : tensor<64xf32>
  %w = transformer.use @w : tensor<32x64xf32>
  %wb = transformer.use @wb : tensor<32xf32>
  // REMARK: remark: {{.*}}fold-norm-scale.mlir:[[@LINE+1]]:8: fold-norm-scale: folded
  %0 = transformer.layer_norm %x, %n bias %nb epsilon 1.0e-5 : tensor<?x64xf32>, tensor<64xf32>, tensor<64xf32> -> tensor<?x64xf32>
  %1 = transformer.linear %0, %w bias %wb : tensor<?x64xf32>, tensor<32x64xf32>, tensor<32xf32> -> tensor<?x32xf32>
  return %1 : tensor<?x32xf32>
}

// CHECK-LABEL: func.func @narrow_weight
// CHECK: transformer.use @n :
// CHECK: transformer.use @narrow :
func.func @narrow_weight(%x: tensor<?x64xf32>) -> tensor<?x32xf32> {
  %n = transformer.use @n : tensor<64xf32>
  %w = transformer.use @narrow : tensor<32x64xbf16>
  %0 = transformer.rms_norm %x, %n epsilon 1.0e-5 : tensor<?x64xf32>, tensor<64xf32> -> tensor<?x64xf32>
  // REMARK: remark: {{.*}}fold-norm-scale.mlir:[[@LINE+1]]:8: fold-norm-scale missed: weight: is not stored in f32, so that its product with the norm's would be rounded; store it in f32
  %1 = transformer.linear %0, %w : tensor<?x64xf32>, tensor<32x64xbf16> -> tensor<?x32xf32>
  return %1 : tensor<?x32xf32>
}

// The matrix is applied to something else too: folded, there would be two of it.
// CHECK-LABEL: func.func @shared_matrix
// CHECK: transformer.use @n :
// CHECK: transformer.use @w :
func.func @shared_matrix(%x: tensor<?x64xf32>) -> (tensor<?x32xf32>, tensor<?x32xf32>) {
  %n = transformer.use @n : tensor<64xf32>
  %w = transformer.use @w : tensor<32x64xf32>
  %0 = transformer.rms_norm %x, %n epsilon 1.0e-5 : tensor<?x64xf32>, tensor<64xf32> -> tensor<?x64xf32>
  // REMARK: remark: {{.*}}fold-norm-scale.mlir:[[@LINE+1]]:8: fold-norm-scale missed: weight: has another reader, which needs it as it is; give each reader a copy
  %1 = transformer.linear %0, %w : tensor<?x64xf32>, tensor<32x64xf32> -> tensor<?x32xf32>
  %2 = transformer.linear %x, %w : tensor<?x64xf32>, tensor<32x64xf32> -> tensor<?x32xf32>
  return %1, %2 : tensor<?x32xf32>, tensor<?x32xf32>
}

// The norm's weight is another norm's as well.
// CHECK-LABEL: func.func @shared_norm
// CHECK: transformer.use @n :
func.func @shared_norm(%x: tensor<?x64xf32>) -> (tensor<?x32xf32>, tensor<?x64xf32>) {
  %n = transformer.use @n : tensor<64xf32>
  %w = transformer.use @w : tensor<32x64xf32>
  // REMARK: remark: {{.*}}fold-norm-scale.mlir:[[@LINE+1]]:8: fold-norm-scale missed: scale: has another reader, which needs it as it is; give each reader a copy
  %0 = transformer.rms_norm %x, %n epsilon 1.0e-5 : tensor<?x64xf32>, tensor<64xf32> -> tensor<?x64xf32>
  %1 = transformer.linear %0, %w : tensor<?x64xf32>, tensor<32x64xf32> -> tensor<?x32xf32>
  %2 = transformer.rms_norm %x, %n epsilon 1.0e-6 : tensor<?x64xf32>, tensor<64xf32> -> tensor<?x64xf32>
  return %1, %2 : tensor<?x32xf32>, tensor<?x64xf32>
}

// The normed value is stored in bf16: with the scale it is rounded elsewhere.
// CHECK-LABEL: func.func @rounded
// CHECK: transformer.use @n :
func.func @rounded(%x: tensor<?x64xf32>) -> tensor<?x32xf32> {
  %n = transformer.use @n : tensor<64xf32>
  %w = transformer.use @w : tensor<32x64xf32>
  // REMARK: remark: {{.*}}fold-norm-scale.mlir:[[@LINE+1]]:8: fold-norm-scale missed: result: is rounded before the projection, by which the scale would move; keep it in f32
  %0 = transformer.rms_norm %x, %n epsilon 1.0e-5 : tensor<?x64xf32>, tensor<64xf32> -> tensor<?x64xbf16>
  %1 = transformer.linear %0, %w : tensor<?x64xbf16>, tensor<32x64xf32> -> tensor<?x32xf32>
  return %1 : tensor<?x32xf32>
}

// The normed value itself is a result.
// CHECK-LABEL: func.func @normed_is_read
// CHECK: transformer.use @n :
func.func @normed_is_read(%x: tensor<?x64xf32>) -> (tensor<?x32xf32>, tensor<?x64xf32>) {
  %n = transformer.use @n : tensor<64xf32>
  %w = transformer.use @w : tensor<32x64xf32>
  // REMARK: remark: {{.*}}fold-norm-scale.mlir:[[@LINE+1]]:8: fold-norm-scale missed: result: is read by something that applies no matrix to it; give that reader a norm of its own
  %0 = transformer.rms_norm %x, %n epsilon 1.0e-5 : tensor<?x64xf32>, tensor<64xf32> -> tensor<?x64xf32>
  %1 = transformer.linear %0, %w : tensor<?x64xf32>, tensor<32x64xf32> -> tensor<?x32xf32>
  return %1, %0 : tensor<?x32xf32>, tensor<?x64xf32>
}
