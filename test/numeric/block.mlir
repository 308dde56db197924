// A whole layer as importers write it
// Goldens: test/goldens/make_numeric.py; run by test/numeric/NumericTest.cpp.

// A Llama layer on a cache, called on chunks.
func.func @llama_layer(
    %x: tensor<?x?x32xf32> {transformer.name = "x", transformer.dims = ["B", "S", ""]},
    %norm: tensor<32xf32> {transformer.name = "norm", transformer.dims = [""]},
    %wq: tensor<32x32xf32> {transformer.name = "wq", transformer.dims = ["", ""]},
    %wk: tensor<16x32xf32> {transformer.name = "wk", transformer.dims = ["", ""]},
    %wv: tensor<16x32xf32> {transformer.name = "wv", transformer.dims = ["", ""]},
    %wo: tensor<32x32xf32> {transformer.name = "wo", transformer.dims = ["", ""]},
    %gate: tensor<48x32xf32> {transformer.name = "gate", transformer.dims = ["", ""]},
    %up: tensor<48x32xf32> {transformer.name = "up", transformer.dims = ["", ""]},
    %down: tensor<32x48xf32> {transformer.name = "down", transformer.dims = ["", ""]},
    %cos: tensor<32x4xf32> {transformer.name = "cos", transformer.dims = ["", ""]},
    %sin: tensor<32x4xf32> {transformer.name = "sin", transformer.dims = ["", ""]},
    %cache: !transformer.kv_cache<2 x 8 x f32, full> {transformer.name = "cache"}
  ) -> (tensor<?x?x32xf32> {transformer.name = "y", transformer.dims = ["B", "S", ""]}, !transformer.kv_cache<2 x 8 x f32, full> {transformer.name = "cache"}) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %b = tensor.dim %x, %c0 : tensor<?x?x32xf32>
  %s = tensor.dim %x, %c1 : tensor<?x?x32xf32>
  %at = transformer.cache_length %cache : !transformer.kv_cache<2 x 8 x f32, full> -> tensor<?xi32>
  %n = transformer.rms_norm %x, %norm epsilon 1.0e-5 : tensor<?x?x32xf32>, tensor<32xf32> -> tensor<?x?x32xf32>
  %q0 = transformer.linear %n, %wq : tensor<?x?x32xf32>, tensor<32x32xf32> -> tensor<?x?x32xf32>
  %k0 = transformer.linear %n, %wk : tensor<?x?x32xf32>, tensor<16x32xf32> -> tensor<?x?x16xf32>
  %v0 = transformer.linear %n, %wv : tensor<?x?x32xf32>, tensor<16x32xf32> -> tensor<?x?x16xf32>
  %q1 = tensor.expand_shape %q0 [[0], [1], [2, 3]] output_shape [%b, %s, 4, 8] : tensor<?x?x32xf32> into tensor<?x?x4x8xf32>
  %k1 = tensor.expand_shape %k0 [[0], [1], [2, 3]] output_shape [%b, %s, 2, 8] : tensor<?x?x16xf32> into tensor<?x?x2x8xf32>
  %v1 = tensor.expand_shape %v0 [[0], [1], [2, 3]] output_shape [%b, %s, 2, 8] : tensor<?x?x16xf32> into tensor<?x?x2x8xf32>
  %q2 = transformer.rope half_split %q1, %cos, %sin at %at : tensor<?x?x4x8xf32>, tensor<32x4xf32>, tensor<32x4xf32>, tensor<?xi32> -> tensor<?x?x4x8xf32>
  %k2 = transformer.rope half_split %k1, %cos, %sin at %at : tensor<?x?x2x8xf32>, tensor<32x4xf32>, tensor<32x4xf32>, tensor<?xi32> -> tensor<?x?x2x8xf32>
  %longer = transformer.cache_append %cache, %k2, %v1 : !transformer.kv_cache<2 x 8 x f32, full>, tensor<?x?x2x8xf32>, tensor<?x?x2x8xf32>
  %a0 = transformer.attention %q2 cache %longer scale 0.35355339059327373 mask <causal> : tensor<?x?x4x8xf32>, !transformer.kv_cache<2 x 8 x f32, full> -> tensor<?x?x4x8xf32>
  %a1 = tensor.collapse_shape %a0 [[0], [1], [2, 3]] : tensor<?x?x4x8xf32> into tensor<?x?x32xf32>
  %a2 = transformer.linear %a1, %wo : tensor<?x?x32xf32>, tensor<32x32xf32> -> tensor<?x?x32xf32>
  %h = arith.addf %x, %a2 : tensor<?x?x32xf32>
  %m = transformer.rms_norm %h, %norm epsilon 1.0e-5 : tensor<?x?x32xf32>, tensor<32xf32> -> tensor<?x?x32xf32>
  %g0 = transformer.linear %m, %gate : tensor<?x?x32xf32>, tensor<48x32xf32> -> tensor<?x?x48xf32>
  %g1 = transformer.activation silu %g0 : tensor<?x?x48xf32> -> tensor<?x?x48xf32>
  %u = transformer.linear %m, %up : tensor<?x?x32xf32>, tensor<48x32xf32> -> tensor<?x?x48xf32>
  %p = arith.mulf %g1, %u : tensor<?x?x48xf32>
  %d = transformer.linear %p, %down : tensor<?x?x48xf32>, tensor<32x48xf32> -> tensor<?x?x32xf32>
  %y = arith.addf %h, %d : tensor<?x?x32xf32>
  return %y, %longer : tensor<?x?x32xf32>, !transformer.kv_cache<2 x 8 x f32, full>
}
