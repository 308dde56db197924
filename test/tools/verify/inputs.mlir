// Every type of argument has a sample: ring caches, ids in their range, integers, scalars. Weights may have any float type.
// RUN: tfopt compile %s --passes=transformer-merge-qkv --stop-at=optimized --verify-numerics -o %t.mlir 2>&1 | FileCheck %s
// CHECK: verify-numerics: transformer-merge-qkv: 1 function, absolute error {{.*}}, relative {{.*}} (allowed 1e-06)

transformer.weight @q : tensor<16x32xbf16> from "model.safetensors"
transformer.weight @k : tensor<16x32xbf16> from "model.safetensors"
transformer.weight @n : tensor<32xf16> from "model.safetensors"
transformer.weight @table : tensor<7x32xf32> from "model.safetensors"
func.func @ring(%ids: tensor<?x?xi32> {transformer.range = array<i64: 0, 7>, transformer.dims = ["B", "S"]}, %c: !transformer.kv_cache<2 x 8 x f32, ring, 4>, %flags: tensor<?xi1>, %factor: f32, %i: index)
    -> (tensor<?x?x2x8xf32>, !transformer.kv_cache<2 x 8 x f32, ring, 4>, tensor<?xi1>, f32, index) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %b = tensor.dim %ids, %c0 : tensor<?x?xi32>
  %s = tensor.dim %ids, %c1 : tensor<?x?xi32>
  %t = transformer.use @table : tensor<7x32xf32>
  %x = transformer.embedding %ids, %t : tensor<?x?xi32>, tensor<7x32xf32> -> tensor<?x?x32xf32>
  %n = transformer.use @n : tensor<32xf16>
  %h = transformer.rms_norm %x, %n epsilon 1.0e-5 : tensor<?x?x32xf32>, tensor<32xf16> -> tensor<?x?x32xf32>
  %wq = transformer.use @q : tensor<16x32xbf16>
  %wk = transformer.use @k : tensor<16x32xbf16>
  %q0 = transformer.linear %h, %wq : tensor<?x?x32xf32>, tensor<16x32xbf16> -> tensor<?x?x16xf32>
  %k0 = transformer.linear %h, %wk : tensor<?x?x32xf32>, tensor<16x32xbf16> -> tensor<?x?x16xf32>
  %q = tensor.expand_shape %q0 [[0], [1], [2, 3]] output_shape [%b, %s, 2, 8] : tensor<?x?x16xf32> into tensor<?x?x2x8xf32>
  %k = tensor.expand_shape %k0 [[0], [1], [2, 3]] output_shape [%b, %s, 2, 8] : tensor<?x?x16xf32> into tensor<?x?x2x8xf32>
  %next = transformer.cache_append %c, %k, %k : <2 x 8 x f32, ring, 4>, tensor<?x?x2x8xf32>, tensor<?x?x2x8xf32>
  %y = transformer.attention %q cache %next scale 0.35 mask <window, 4> : tensor<?x?x2x8xf32>, !transformer.kv_cache<2 x 8 x f32, ring, 4> -> tensor<?x?x2x8xf32>
  return %y, %next, %flags, %factor, %i : tensor<?x?x2x8xf32>, !transformer.kv_cache<2 x 8 x f32, ring, 4>, tensor<?xi1>, f32, index
}
