// One position of two heads against a cache.
!cache = !transformer.kv_cache<2 x 32 x f32, full>
func.func @step(%q: tensor<1x1x2x32xf32>, %k: tensor<1x1x2x32xf32>, %c: !cache {transformer.name = "cache.0"}) -> (tensor<1x1x2x32xf32>, !cache {transformer.name = "cache.0"}) {
  %d = transformer.cache_append %c, %k, %k : !cache, tensor<1x1x2x32xf32>, tensor<1x1x2x32xf32>
  %y = transformer.attention %q cache %d scale 0.5 mask <causal> : tensor<1x1x2x32xf32>, !cache -> tensor<1x1x2x32xf32>
  return %y, %d : tensor<1x1x2x32xf32>, !cache
}
