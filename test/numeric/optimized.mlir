// Forms that the passes leave and importers do not write
// Goldens: test/goldens/make_numeric.py; run by test/numeric/NumericTest.cpp.

// A Llama layer after the passes: one projection whose parts are slices of heads, a norm without a weight, a
// gated MLP, no scale. Called on chunks.
func.func @merged_layer(
    %x: tensor<?x?x32xf32> {transformer.name = "x", transformer.dims = ["B", "S", ""]},
    %norm: tensor<32xf32> {transformer.name = "norm", transformer.dims = [""]},
    %wqkv: tensor<64x32xf32> {transformer.name = "wqkv", transformer.dims = ["", ""]},
    %bqkv: tensor<64xf32> {transformer.name = "bqkv", transformer.dims = [""]},
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
  %one = arith.constant dense<1.0> : tensor<32xf32>
  %b = tensor.dim %x, %c0 : tensor<?x?x32xf32>
  %s = tensor.dim %x, %c1 : tensor<?x?x32xf32>
  %at = transformer.cache_length %cache : !transformer.kv_cache<2 x 8 x f32, full> -> tensor<?xi32>
  %n = transformer.rms_norm %x, %one epsilon 1.0e-5 : tensor<?x?x32xf32>, tensor<32xf32> -> tensor<?x?x32xf32>
  %p = transformer.linear %n, %wqkv bias %bqkv : tensor<?x?x32xf32>, tensor<64x32xf32>, tensor<64xf32> -> tensor<?x?x64xf32>
  %h = tensor.expand_shape %p [[0], [1], [2, 3]] output_shape [%b, %s, 8, 8] : tensor<?x?x64xf32> into tensor<?x?x8x8xf32>
  %q = tensor.extract_slice %h[0, 0, 0, 0] [%b, %s, 4, 8] [1, 1, 1, 1] : tensor<?x?x8x8xf32> to tensor<?x?x4x8xf32>
  %k = tensor.extract_slice %h[0, 0, 4, 0] [%b, %s, 2, 8] [1, 1, 1, 1] : tensor<?x?x8x8xf32> to tensor<?x?x2x8xf32>
  %v = tensor.extract_slice %h[0, 0, 6, 0] [%b, %s, 2, 8] [1, 1, 1, 1] : tensor<?x?x8x8xf32> to tensor<?x?x2x8xf32>
  %q1 = transformer.rope half_split %q, %cos, %sin at %at : tensor<?x?x4x8xf32>, tensor<32x4xf32>, tensor<32x4xf32>, tensor<?xi32> -> tensor<?x?x4x8xf32>
  %k1 = transformer.rope half_split %k, %cos, %sin at %at : tensor<?x?x2x8xf32>, tensor<32x4xf32>, tensor<32x4xf32>, tensor<?xi32> -> tensor<?x?x2x8xf32>
  %longer = transformer.cache_append %cache, %k1, %v : !transformer.kv_cache<2 x 8 x f32, full>, tensor<?x?x2x8xf32>, tensor<?x?x2x8xf32>
  %a0 = transformer.attention %q1 cache %longer scale 1.0 mask <causal> : tensor<?x?x4x8xf32>, !transformer.kv_cache<2 x 8 x f32, full> -> tensor<?x?x4x8xf32>
  %a1 = tensor.collapse_shape %a0 [[0], [1], [2, 3]] : tensor<?x?x4x8xf32> into tensor<?x?x32xf32>
  %a2 = transformer.linear %a1, %wo : tensor<?x?x32xf32>, tensor<32x32xf32> -> tensor<?x?x32xf32>
  %r = arith.addf %x, %a2 : tensor<?x?x32xf32>
  %m = transformer.rms_norm %r, %norm epsilon 1.0e-5 : tensor<?x?x32xf32>, tensor<32xf32> -> tensor<?x?x32xf32>
  %d = transformer.gated_mlp silu %m, %gate, %up, %down : tensor<?x?x32xf32>, tensor<48x32xf32>, tensor<48x32xf32>, tensor<32x48xf32> -> tensor<?x?x32xf32>
  %y = arith.addf %r, %d : tensor<?x?x32xf32>
  return %y, %longer : tensor<?x?x32xf32>, !transformer.kv_cache<2 x 8 x f32, full>
}

// The last position of a residual block, sliced before the block; norms of queries between slice and attention.
func.func @narrowed_block(
    %x: tensor<?x?x32xf32> {transformer.name = "x", transformer.dims = ["B", "S", ""]},
    %norm: tensor<32xf32> {transformer.name = "norm", transformer.dims = [""]},
    %w: tensor<32x32xf32> {transformer.name = "w", transformer.dims = ["", ""]}
  ) -> (tensor<?x32xf32> {transformer.name = "y", transformer.dims = ["B", ""]}) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %b = tensor.dim %x, %c0 : tensor<?x?x32xf32>
  %s = tensor.dim %x, %c1 : tensor<?x?x32xf32>
  %last = arith.subi %s, %c1 : index
  %p = tensor.extract_slice %x[0, %last, 0] [%b, 1, 32] [1, 1, 1] : tensor<?x?x32xf32> to tensor<?x1x32xf32>
  %n = transformer.rms_norm %p, %norm epsilon 1.0e-5 : tensor<?x1x32xf32>, tensor<32xf32> -> tensor<?x1x32xf32>
  %l = transformer.linear %n, %w : tensor<?x1x32xf32>, tensor<32x32xf32> -> tensor<?x1x32xf32>
  %r = arith.addf %p, %l : tensor<?x1x32xf32>
  %y = tensor.collapse_shape %r [[0, 1], [2]] : tensor<?x1x32xf32> into tensor<?x32xf32>
  return %y : tensor<?x32xf32>
}

// Heads of a merged projection with a norm of its own for the queries.
func.func @normed_heads(
    %x: tensor<?x?x32xf32> {transformer.name = "x", transformer.dims = ["B", "S", ""]},
    %wqkv: tensor<64x32xf32> {transformer.name = "wqkv", transformer.dims = ["", ""]},
    %norm: tensor<8xf32> {transformer.name = "norm", transformer.dims = [""]}
  ) -> (tensor<?x?x4x8xf32> {transformer.name = "y", transformer.dims = ["B", "S", "", ""]}) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %b = tensor.dim %x, %c0 : tensor<?x?x32xf32>
  %s = tensor.dim %x, %c1 : tensor<?x?x32xf32>
  %p = transformer.linear %x, %wqkv : tensor<?x?x32xf32>, tensor<64x32xf32> -> tensor<?x?x64xf32>
  %h = tensor.expand_shape %p [[0], [1], [2, 3]] output_shape [%b, %s, 8, 8] : tensor<?x?x64xf32> into tensor<?x?x8x8xf32>
  %q = tensor.extract_slice %h[0, 0, 0, 0] [%b, %s, 4, 8] [1, 1, 1, 1] : tensor<?x?x8x8xf32> to tensor<?x?x4x8xf32>
  %k = tensor.extract_slice %h[0, 0, 4, 0] [%b, %s, 2, 8] [1, 1, 1, 1] : tensor<?x?x8x8xf32> to tensor<?x?x2x8xf32>
  %v = tensor.extract_slice %h[0, 0, 6, 0] [%b, %s, 2, 8] [1, 1, 1, 1] : tensor<?x?x8x8xf32> to tensor<?x?x2x8xf32>
  %q1 = transformer.rms_norm %q, %norm epsilon 1.0e-5 : tensor<?x?x4x8xf32>, tensor<8xf32> -> tensor<?x?x4x8xf32>
  %y = transformer.attention %q1, %k, %v scale 0.35355339059327373 mask <causal> : tensor<?x?x4x8xf32>, tensor<?x?x2x8xf32>, tensor<?x?x2x8xf32> -> tensor<?x?x4x8xf32>
  return %y : tensor<?x?x4x8xf32>
}
