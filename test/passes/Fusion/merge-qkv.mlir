// RUN: tfopt compile %s --passes=transformer-merge-qkv --stop-at=optimized --remarks=all --verify-numerics 2> %t | FileCheck %s
// RUN: FileCheck %s --check-prefix=REMARK --implicit-check-not=remark: --implicit-check-not=error: < %t

transformer.weight @q : tensor<32x64xf32> from "model.safetensors"
transformer.weight @k : tensor<16x64xf32> from "model.safetensors"
transformer.weight @v : tensor<16x64xf32> from "model.safetensors"
transformer.weight @k.bf16 : tensor<16x64xbf16> from "model.safetensors"
transformer.weight @qb : tensor<32xf32> from "model.safetensors"
transformer.weight @vb : tensor<16xf32> from "model.safetensors"
transformer.weight @qkv : tensor<64x64xf32> from "model.safetensors"
// CHECK: transformer.derive @[[QKV:.*]] = concat(@q, @k, @v) {axis = 0 : i64} : tensor<64x64xf32>
// CHECK: transformer.derive @[[ZERO:.*]] = fill() {value = 0.000000e+00 : f64} : tensor<16xf32>
// CHECK: transformer.derive @[[B:.*]] = concat(@qb, @[[ZERO]], @vb) {axis = 0 : i64} : tensor<64xf32>
// CHECK: transformer.derive @[[QV:.*]] = concat(@q, @v) {axis = 0 : i64} : tensor<48x64xf32>

// Four heads of queries, two of keys and values, as importers write them.
// CHECK-LABEL: func.func @grouped
// CHECK: %[[W:.*]] = transformer.use @[[QKV]]
// CHECK: %[[P:.*]] = transformer.linear %{{.*}}, %[[W]] : {{.*}} -> tensor<?x?x64xf32>
// CHECK: %[[H:.*]] = tensor.expand_shape %[[P]] {{\[\[}}0], [1], [2, 3]] output_shape [%{{.*}}, %{{.*}}, 8, 8]
// CHECK-DAG: %[[Q:.*]] = tensor.extract_slice %[[H]][0, 0, 0, 0] [%{{.*}}, %{{.*}}, 4, 8] [1, 1, 1, 1] : tensor<?x?x8x8xf32> to tensor<?x?x4x8xf32>
// CHECK-DAG: %[[K:.*]] = tensor.extract_slice %[[H]][0, 0, 4, 0] [%{{.*}}, %{{.*}}, 2, 8]
// CHECK-DAG: %[[V:.*]] = tensor.extract_slice %[[H]][0, 0, 6, 0] [%{{.*}}, %{{.*}}, 2, 8]
// CHECK: %[[QR:.*]] = transformer.rope half_split %[[Q]]
// CHECK: %[[KR:.*]] = transformer.rope half_split %[[K]]
// CHECK: transformer.cache_append %{{.*}}, %[[KR]], %[[V]]
func.func @grouped(%x: tensor<?x?x64xf32>, %cos: tensor<32x4xf32>, %sin: tensor<32x4xf32>, %c: !transformer.kv_cache<2 x 8 x f32, full>) -> (tensor<?x?x4x8xf32>, !transformer.kv_cache<2 x 8 x f32, full>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %b = tensor.dim %x, %c0 : tensor<?x?x64xf32>
  %s = tensor.dim %x, %c1 : tensor<?x?x64xf32>
  %at = transformer.cache_length %c : <2 x 8 x f32, full> -> tensor<?xi32>
  %wq = transformer.use @q : tensor<32x64xf32>
  // REMARK: remark: {{.*}}merge-qkv.mlir:[[@LINE+1]]:9: merge-qkv: merged 3 projections into one of 64 rows
  %q0 = transformer.linear %x, %wq : tensor<?x?x64xf32>, tensor<32x64xf32> -> tensor<?x?x32xf32>
  %q1 = tensor.expand_shape %q0 [[0], [1], [2, 3]] output_shape [%b, %s, 4, 8] : tensor<?x?x32xf32> into tensor<?x?x4x8xf32>
  %wk = transformer.use @k : tensor<16x64xf32>
  %k0 = transformer.linear %x, %wk : tensor<?x?x64xf32>, tensor<16x64xf32> -> tensor<?x?x16xf32>
  %k1 = tensor.expand_shape %k0 [[0], [1], [2, 3]] output_shape [%b, %s, 2, 8] : tensor<?x?x16xf32> into tensor<?x?x2x8xf32>
  %wv = transformer.use @v : tensor<16x64xf32>
  %v0 = transformer.linear %x, %wv : tensor<?x?x64xf32>, tensor<16x64xf32> -> tensor<?x?x16xf32>
  %v1 = tensor.expand_shape %v0 [[0], [1], [2, 3]] output_shape [%b, %s, 2, 8] : tensor<?x?x16xf32> into tensor<?x?x2x8xf32>
  %q2 = transformer.rope half_split %q1, %cos, %sin at %at : tensor<?x?x4x8xf32>, tensor<32x4xf32>, tensor<32x4xf32>, tensor<?xi32> -> tensor<?x?x4x8xf32>
  %k2 = transformer.rope half_split %k1, %cos, %sin at %at : tensor<?x?x2x8xf32>, tensor<32x4xf32>, tensor<32x4xf32>, tensor<?xi32> -> tensor<?x?x2x8xf32>
  %longer = transformer.cache_append %c, %k2, %v1 : <2 x 8 x f32, full>, tensor<?x?x2x8xf32>, tensor<?x?x2x8xf32>
  %y = transformer.attention %q2 cache %longer scale 0.35355339059327373 mask <causal> : tensor<?x?x4x8xf32>, !transformer.kv_cache<2 x 8 x f32, full> -> tensor<?x?x4x8xf32>
  return %y, %longer : tensor<?x?x4x8xf32>, !transformer.kv_cache<2 x 8 x f32, full>
}

// A projection without a bias among others gets zeros.
// CHECK-LABEL: func.func @mixed_biases
// CHECK-DAG: %[[W:.*]] = transformer.use @[[QKV]]
// CHECK-DAG: %[[VB:.*]] = transformer.use @[[B]]
// CHECK: transformer.linear %{{.*}}, %[[W]] bias %[[VB]]
func.func @mixed_biases(%x: tensor<2x3x64xf32>) -> tensor<2x3x4x8xf32> {
  %wq = transformer.use @q : tensor<32x64xf32>
  %wk = transformer.use @k : tensor<16x64xf32>
  %wv = transformer.use @v : tensor<16x64xf32>
  %bq = transformer.use @qb : tensor<32xf32>
  %bv = transformer.use @vb : tensor<16xf32>
  // REMARK: remark: {{.*}}merge-qkv.mlir:[[@LINE+1]]:9: merge-qkv: merged 3 projections
  %q0 = transformer.linear %x, %wq bias %bq : tensor<2x3x64xf32>, tensor<32x64xf32>, tensor<32xf32> -> tensor<2x3x32xf32>
  %k0 = transformer.linear %x, %wk : tensor<2x3x64xf32>, tensor<16x64xf32> -> tensor<2x3x16xf32>
  %v0 = transformer.linear %x, %wv bias %bv : tensor<2x3x64xf32>, tensor<16x64xf32>, tensor<16xf32> -> tensor<2x3x16xf32>
  %q1 = tensor.expand_shape %q0 [[0], [1], [2, 3]] output_shape [2, 3, 4, 8] : tensor<2x3x32xf32> into tensor<2x3x4x8xf32>
  %k1 = tensor.expand_shape %k0 [[0], [1], [2, 3]] output_shape [2, 3, 2, 8] : tensor<2x3x16xf32> into tensor<2x3x2x8xf32>
  %v1 = tensor.expand_shape %v0 [[0], [1], [2, 3]] output_shape [2, 3, 2, 8] : tensor<2x3x16xf32> into tensor<2x3x2x8xf32>
  %y = transformer.attention %q1, %k1, %v1 scale 1.0 mask <causal> : tensor<2x3x4x8xf32>, tensor<2x3x2x8xf32>, tensor<2x3x2x8xf32> -> tensor<2x3x4x8xf32>
  return %y : tensor<2x3x4x8xf32>
}

// The weight of one is stored in another type: the other two are merged all the same.
// CHECK-LABEL: func.func @two_of_three
// CHECK-DAG: transformer.use @[[QV]]
// CHECK-DAG: transformer.use @k.bf16
func.func @two_of_three(%x: tensor<2x3x64xf32>) -> tensor<2x3x4x8xf32> {
  %wq = transformer.use @q : tensor<32x64xf32>
  %wk = transformer.use @k.bf16 : tensor<16x64xbf16>
  %wv = transformer.use @v : tensor<16x64xf32>
  // REMARK: remark: {{.*}}merge-qkv.mlir:[[@LINE+2]]:9: merge-qkv missed: weight: is stored in another type than that of {{.*}}merge-qkv.mlir:[[@LINE+1]]:9; convert one of them
  %q0 = transformer.linear %x, %wq : tensor<2x3x64xf32>, tensor<32x64xf32> -> tensor<2x3x32xf32>
  %k0 = transformer.linear %x, %wk : tensor<2x3x64xf32>, tensor<16x64xbf16> -> tensor<2x3x16xf32>
  // REMARK: remark: {{.*}}merge-qkv.mlir:[[@LINE-2]]:9: merge-qkv: merged 2 projections into one of 48 rows
  %v0 = transformer.linear %x, %wv : tensor<2x3x64xf32>, tensor<16x64xf32> -> tensor<2x3x16xf32>
  %q1 = tensor.expand_shape %q0 [[0], [1], [2, 3]] output_shape [2, 3, 4, 8] : tensor<2x3x32xf32> into tensor<2x3x4x8xf32>
  %k1 = tensor.expand_shape %k0 [[0], [1], [2, 3]] output_shape [2, 3, 2, 8] : tensor<2x3x16xf32> into tensor<2x3x2x8xf32>
  %v1 = tensor.expand_shape %v0 [[0], [1], [2, 3]] output_shape [2, 3, 2, 8] : tensor<2x3x16xf32> into tensor<2x3x2x8xf32>
  %y = transformer.attention %q1, %k1, %v1 scale 1.0 mask <causal> : tensor<2x3x4x8xf32>, tensor<2x3x2x8xf32>, tensor<2x3x2x8xf32> -> tensor<2x3x4x8xf32>
  return %y : tensor<2x3x4x8xf32>
}

// A matrix that is stored merged: slices of rows become slices of heads.
// CHECK-LABEL: func.func @stored_merged
// CHECK: %[[P:.*]] = transformer.linear
// CHECK: %[[H:.*]] = tensor.expand_shape %[[P]] {{.*}} into tensor<2x3x8x8xf32>
// CHECK-DAG: tensor.extract_slice %[[H]][0, 0, 0, 0] [2, 3, 4, 8]
// CHECK-DAG: tensor.extract_slice %[[H]][0, 0, 4, 0] [2, 3, 2, 8]
// CHECK-DAG: tensor.extract_slice %[[H]][0, 0, 6, 0] [2, 3, 2, 8]
// CHECK: transformer.attention
func.func @stored_merged(%x: tensor<2x3x64xf32>) -> tensor<2x3x4x8xf32> {
  %w = transformer.use @qkv : tensor<64x64xf32>
  // REMARK: remark: {{.*}}merge-qkv.mlir:[[@LINE+1]]:8: merge-qkv: its 3 parts are slices of heads
  %p = transformer.linear %x, %w : tensor<2x3x64xf32>, tensor<64x64xf32> -> tensor<2x3x64xf32>
  %q0 = tensor.extract_slice %p[0, 0, 0] [2, 3, 32] [1, 1, 1] : tensor<2x3x64xf32> to tensor<2x3x32xf32>
  %k0 = tensor.extract_slice %p[0, 0, 32] [2, 3, 16] [1, 1, 1] : tensor<2x3x64xf32> to tensor<2x3x16xf32>
  %v0 = tensor.extract_slice %p[0, 0, 48] [2, 3, 16] [1, 1, 1] : tensor<2x3x64xf32> to tensor<2x3x16xf32>
  %q1 = tensor.expand_shape %q0 [[0], [1], [2, 3]] output_shape [2, 3, 4, 8] : tensor<2x3x32xf32> into tensor<2x3x4x8xf32>
  %k1 = tensor.expand_shape %k0 [[0], [1], [2, 3]] output_shape [2, 3, 2, 8] : tensor<2x3x16xf32> into tensor<2x3x2x8xf32>
  %v1 = tensor.expand_shape %v0 [[0], [1], [2, 3]] output_shape [2, 3, 2, 8] : tensor<2x3x16xf32> into tensor<2x3x2x8xf32>
  %y = transformer.attention %q1, %k1, %v1 scale 1.0 mask <causal> : tensor<2x3x4x8xf32>, tensor<2x3x2x8xf32>, tensor<2x3x2x8xf32> -> tensor<2x3x4x8xf32>
  return %y : tensor<2x3x4x8xf32>
}

// Nothing is merged: the queries are read whole as well, and keys have other heads than values.
// CHECK-LABEL: func.func @declined
// CHECK-COUNT-3: transformer.linear
func.func @declined(%x: tensor<2x3x64xf32>, %v2: tensor<2x3x2x8xf32>, %k2: tensor<2x3x2x8xf32>) -> (tensor<2x3x4x8xf32>, tensor<2x3x4x4xf32>, tensor<2x3x32xf32>) {
  %wq = transformer.use @q : tensor<32x64xf32>
  %wk = transformer.use @k : tensor<16x64xf32>
  %wv = transformer.use @v : tensor<16x64xf32>
  // REMARK: remark: {{.*}}merge-qkv.mlir:[[@LINE+1]]:9: merge-qkv missed: result: is read 2 times; read it through the split into heads alone
  %q0 = transformer.linear %x, %wq : tensor<2x3x64xf32>, tensor<32x64xf32> -> tensor<2x3x32xf32>
  %k0 = transformer.linear %x, %wk : tensor<2x3x64xf32>, tensor<16x64xf32> -> tensor<2x3x16xf32>
  // REMARK: remark: {{.*}}merge-qkv.mlir:[[@LINE+1]]:9: merge-qkv missed: result: has heads of 4 elements, others of 8; split it into heads of the same size
  %v0 = transformer.linear %x, %wv : tensor<2x3x64xf32>, tensor<16x64xf32> -> tensor<2x3x16xf32>
  %q1 = tensor.expand_shape %q0 [[0], [1], [2, 3]] output_shape [2, 3, 4, 8] : tensor<2x3x32xf32> into tensor<2x3x4x8xf32>
  %k1 = tensor.expand_shape %k0 [[0], [1], [2, 3]] output_shape [2, 3, 2, 8] : tensor<2x3x16xf32> into tensor<2x3x2x8xf32>
  %v1 = tensor.expand_shape %v0 [[0], [1], [2, 3]] output_shape [2, 3, 4, 4] : tensor<2x3x16xf32> into tensor<2x3x4x4xf32>
  %y = transformer.attention %q1, %k1, %v2 scale 1.0 mask <causal> : tensor<2x3x4x8xf32>, tensor<2x3x2x8xf32>, tensor<2x3x2x8xf32> -> tensor<2x3x4x8xf32>
  %z = transformer.attention %v1, %v1, %v1 scale 1.0 mask <causal> : tensor<2x3x4x4xf32>, tensor<2x3x4x4xf32>, tensor<2x3x4x4xf32> -> tensor<2x3x4x4xf32>
  return %y, %z, %q0 : tensor<2x3x4x8xf32>, tensor<2x3x4x4xf32>, tensor<2x3x32xf32>
}
