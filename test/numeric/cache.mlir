// Caches: calls in a row give what one call on all positions gives
// Goldens: test/goldens/make_numeric.py; run by test/numeric/NumericTest.cpp.

// A full cache.
func.func @append_attend(
    %q: tensor<?x?x4x8xf32> {transformer.name = "q", transformer.dims = ["B", "S", "", ""]},
    %k: tensor<?x?x2x8xf32> {transformer.name = "k", transformer.dims = ["B", "S", "", ""]},
    %v: tensor<?x?x2x8xf32> {transformer.name = "v", transformer.dims = ["B", "S", "", ""]},
    %cache: !transformer.kv_cache<2 x 8 x f32, full> {transformer.name = "cache"}
  ) -> (tensor<?x?x4x8xf32> {transformer.name = "y", transformer.dims = ["B", "S", "", ""]}, tensor<?xi32> {transformer.name = "length", transformer.dims = ["B"]}, !transformer.kv_cache<2 x 8 x f32, full> {transformer.name = "cache"}) {
  %0 = transformer.cache_append %cache, %k, %v : !transformer.kv_cache<2 x 8 x f32, full>, tensor<?x?x2x8xf32>, tensor<?x?x2x8xf32>
  %1 = transformer.attention %q cache %0 scale 0.35355339059327373 mask <causal> : tensor<?x?x4x8xf32>, !transformer.kv_cache<2 x 8 x f32, full> -> tensor<?x?x4x8xf32>
  %2 = transformer.cache_length %0 : !transformer.kv_cache<2 x 8 x f32, full> -> tensor<?xi32>
  return %1, %2, %0 : tensor<?x?x4x8xf32>, tensor<?xi32>, !transformer.kv_cache<2 x 8 x f32, full>
}

// Every position of the cache is seen.
func.func @append_attend_none(
    %q: tensor<?x?x2x8xf32> {transformer.name = "q", transformer.dims = ["B", "S", "", ""]},
    %k: tensor<?x?x2x8xf32> {transformer.name = "k", transformer.dims = ["B", "S", "", ""]},
    %v: tensor<?x?x2x8xf32> {transformer.name = "v", transformer.dims = ["B", "S", "", ""]},
    %cache: !transformer.kv_cache<2 x 8 x f32, full> {transformer.name = "cache"}
  ) -> (tensor<?x?x2x8xf32> {transformer.name = "y", transformer.dims = ["B", "S", "", ""]}, tensor<?xi32> {transformer.name = "length", transformer.dims = ["B"]}, !transformer.kv_cache<2 x 8 x f32, full> {transformer.name = "cache"}) {
  %0 = transformer.cache_append %cache, %k, %v : !transformer.kv_cache<2 x 8 x f32, full>, tensor<?x?x2x8xf32>, tensor<?x?x2x8xf32>
  %1 = transformer.attention %q cache %0 scale 0.35355339059327373 mask <none> : tensor<?x?x2x8xf32>, !transformer.kv_cache<2 x 8 x f32, full> -> tensor<?x?x2x8xf32>
  %2 = transformer.cache_length %0 : !transformer.kv_cache<2 x 8 x f32, full> -> tensor<?xi32>
  return %1, %2, %0 : tensor<?x?x2x8xf32>, tensor<?xi32>, !transformer.kv_cache<2 x 8 x f32, full>
}

// A window over a full cache, head dimension 32.
func.func @append_attend_window(
    %q: tensor<?x?x2x32xf32> {transformer.name = "q", transformer.dims = ["B", "S", "", ""]},
    %k: tensor<?x?x1x32xf32> {transformer.name = "k", transformer.dims = ["B", "S", "", ""]},
    %v: tensor<?x?x1x32xf32> {transformer.name = "v", transformer.dims = ["B", "S", "", ""]},
    %cache: !transformer.kv_cache<1 x 32 x f32, full> {transformer.name = "cache"}
  ) -> (tensor<?x?x2x32xf32> {transformer.name = "y", transformer.dims = ["B", "S", "", ""]}, tensor<?xi32> {transformer.name = "length", transformer.dims = ["B"]}, !transformer.kv_cache<1 x 32 x f32, full> {transformer.name = "cache"}) {
  %0 = transformer.cache_append %cache, %k, %v : !transformer.kv_cache<1 x 32 x f32, full>, tensor<?x?x1x32xf32>, tensor<?x?x1x32xf32>
  %1 = transformer.attention %q cache %0 scale 0.17677669529663687 mask <window, 4> : tensor<?x?x2x32xf32>, !transformer.kv_cache<1 x 32 x f32, full> -> tensor<?x?x2x32xf32>
  %2 = transformer.cache_length %0 : !transformer.kv_cache<1 x 32 x f32, full> -> tensor<?xi32>
  return %1, %2, %0 : tensor<?x?x2x32xf32>, tensor<?xi32>, !transformer.kv_cache<1 x 32 x f32, full>
}

// A ring as wide as the window: longer chunks still see a whole window back, and positions wrap around.
func.func @append_attend_ring(
    %q: tensor<?x?x2x8xf32> {transformer.name = "q", transformer.dims = ["B", "S", "", ""]},
    %k: tensor<?x?x2x8xf32> {transformer.name = "k", transformer.dims = ["B", "S", "", ""]},
    %v: tensor<?x?x2x8xf32> {transformer.name = "v", transformer.dims = ["B", "S", "", ""]},
    %cache: !transformer.kv_cache<2 x 8 x f32, ring, 4> {transformer.name = "cache"}
  ) -> (tensor<?x?x2x8xf32> {transformer.name = "y", transformer.dims = ["B", "S", "", ""]}, tensor<?xi32> {transformer.name = "length", transformer.dims = ["B"]}, !transformer.kv_cache<2 x 8 x f32, ring, 4> {transformer.name = "cache"}) {
  %0 = transformer.cache_append %cache, %k, %v : !transformer.kv_cache<2 x 8 x f32, ring, 4>, tensor<?x?x2x8xf32>, tensor<?x?x2x8xf32>
  %1 = transformer.attention %q cache %0 scale 0.35355339059327373 mask <window, 4> : tensor<?x?x2x8xf32>, !transformer.kv_cache<2 x 8 x f32, ring, 4> -> tensor<?x?x2x8xf32>
  %2 = transformer.cache_length %0 : !transformer.kv_cache<2 x 8 x f32, ring, 4> -> tensor<?xi32>
  return %1, %2, %0 : tensor<?x?x2x8xf32>, tensor<?xi32>, !transformer.kv_cache<2 x 8 x f32, ring, 4>
}

// A ring just as wide as the window, one position at a time.
func.func @append_attend_ring_decode(
    %q: tensor<?x?x2x8xf32> {transformer.name = "q", transformer.dims = ["B", "S", "", ""]},
    %k: tensor<?x?x1x8xf32> {transformer.name = "k", transformer.dims = ["B", "S", "", ""]},
    %v: tensor<?x?x1x8xf32> {transformer.name = "v", transformer.dims = ["B", "S", "", ""]},
    %cache: !transformer.kv_cache<1 x 8 x f32, ring, 3> {transformer.name = "cache"}
  ) -> (tensor<?x?x2x8xf32> {transformer.name = "y", transformer.dims = ["B", "S", "", ""]}, tensor<?xi32> {transformer.name = "length", transformer.dims = ["B"]}, !transformer.kv_cache<1 x 8 x f32, ring, 3> {transformer.name = "cache"}) {
  %0 = transformer.cache_append %cache, %k, %v : !transformer.kv_cache<1 x 8 x f32, ring, 3>, tensor<?x?x1x8xf32>, tensor<?x?x1x8xf32>
  %1 = transformer.attention %q cache %0 scale 0.35355339059327373 mask <window, 3> : tensor<?x?x2x8xf32>, !transformer.kv_cache<1 x 8 x f32, ring, 3> -> tensor<?x?x2x8xf32>
  %2 = transformer.cache_length %0 : !transformer.kv_cache<1 x 8 x f32, ring, 3> -> tensor<?xi32>
  return %1, %2, %0 : tensor<?x?x2x8xf32>, tensor<?xi32>, !transformer.kv_cache<1 x 8 x f32, ring, 3>
}

// bf16 keys, values and cache.
func.func @append_attend_bf16(
    %q: tensor<?x?x4x8xbf16> {transformer.name = "q", transformer.dims = ["B", "S", "", ""]},
    %k: tensor<?x?x1x8xbf16> {transformer.name = "k", transformer.dims = ["B", "S", "", ""]},
    %v: tensor<?x?x1x8xbf16> {transformer.name = "v", transformer.dims = ["B", "S", "", ""]},
    %cache: !transformer.kv_cache<1 x 8 x bf16, full> {transformer.name = "cache"}
  ) -> (tensor<?x?x4x8xf32> {transformer.name = "y", transformer.dims = ["B", "S", "", ""]}, tensor<?xi32> {transformer.name = "length", transformer.dims = ["B"]}, !transformer.kv_cache<1 x 8 x bf16, full> {transformer.name = "cache"}) {
  %0 = transformer.cache_append %cache, %k, %v : !transformer.kv_cache<1 x 8 x bf16, full>, tensor<?x?x1x8xbf16>, tensor<?x?x1x8xbf16>
  %1 = transformer.attention %q cache %0 scale 0.35355339059327373 mask <causal> softcap 3.0 : tensor<?x?x4x8xbf16>, !transformer.kv_cache<1 x 8 x bf16, full> -> tensor<?x?x4x8xf32>
  %2 = transformer.cache_length %0 : !transformer.kv_cache<1 x 8 x bf16, full> -> tensor<?xi32>
  return %1, %2, %0 : tensor<?x?x4x8xf32>, tensor<?xi32>, !transformer.kv_cache<1 x 8 x bf16, full>
}

// cache_length before and after an append; a cache that is only read stays as it is.
func.func @lengths(
    %k: tensor<?x?x1x8xf32> {transformer.name = "k", transformer.dims = ["B", "S", "", ""]},
    %read: !transformer.kv_cache<1 x 8 x f32, full> {transformer.name = "read"},
    %cache: !transformer.kv_cache<1 x 8 x f32, full> {transformer.name = "cache"}
  ) -> (tensor<?xi32> {transformer.name = "before", transformer.dims = ["B"]}, tensor<?xi32> {transformer.name = "after", transformer.dims = ["B"]}, tensor<?xi32> {transformer.name = "other", transformer.dims = ["B"]}, !transformer.kv_cache<1 x 8 x f32, full> {transformer.name = "read"}, !transformer.kv_cache<1 x 8 x f32, full> {transformer.name = "cache"}) {
  %0 = transformer.cache_length %cache : !transformer.kv_cache<1 x 8 x f32, full> -> tensor<?xi32>
  %1 = transformer.cache_append %cache, %k, %k : !transformer.kv_cache<1 x 8 x f32, full>, tensor<?x?x1x8xf32>, tensor<?x?x1x8xf32>
  %2 = transformer.cache_length %1 : !transformer.kv_cache<1 x 8 x f32, full> -> tensor<?xi32>
  %3 = transformer.cache_length %read : !transformer.kv_cache<1 x 8 x f32, full> -> tensor<?xi32>
  return %0, %2, %3, %read, %1 : tensor<?xi32>, tensor<?xi32>, tensor<?xi32>, !transformer.kv_cache<1 x 8 x f32, full>, !transformer.kv_cache<1 x 8 x f32, full>
}
