// transformer.attention on keys and values
// Goldens: test/goldens/make_numeric.py; run by test/numeric/NumericTest.cpp.

// Every key is seen.
func.func @attention_none(
    %q: tensor<?x?x4x8xf32> {transformer.name = "q", transformer.dims = ["B", "S", "", ""]},
    %k: tensor<?x?x4x8xf32> {transformer.name = "k", transformer.dims = ["B", "S", "", ""]},
    %v: tensor<?x?x4x8xf32> {transformer.name = "v", transformer.dims = ["B", "S", "", ""]}
  ) -> (tensor<?x?x4x8xf32> {transformer.name = "y", transformer.dims = ["B", "S", "", ""]}) {
  %0 = transformer.attention %q, %k, %v scale 0.35355339059327373 mask <none> : tensor<?x?x4x8xf32>, tensor<?x?x4x8xf32>, tensor<?x?x4x8xf32> -> tensor<?x?x4x8xf32>
  return %0 : tensor<?x?x4x8xf32>
}

// Causal.
func.func @attention_causal(
    %q: tensor<?x?x4x8xf32> {transformer.name = "q", transformer.dims = ["B", "S", "", ""]},
    %k: tensor<?x?x4x8xf32> {transformer.name = "k", transformer.dims = ["B", "S", "", ""]},
    %v: tensor<?x?x4x8xf32> {transformer.name = "v", transformer.dims = ["B", "S", "", ""]}
  ) -> (tensor<?x?x4x8xf32> {transformer.name = "y", transformer.dims = ["B", "S", "", ""]}) {
  %0 = transformer.attention %q, %k, %v scale 0.35355339059327373 mask <causal> : tensor<?x?x4x8xf32>, tensor<?x?x4x8xf32>, tensor<?x?x4x8xf32> -> tensor<?x?x4x8xf32>
  return %0 : tensor<?x?x4x8xf32>
}

// A window narrower than the sequence.
func.func @attention_window(
    %q: tensor<?x?x2x8xf32> {transformer.name = "q", transformer.dims = ["B", "S", "", ""]},
    %k: tensor<?x?x2x8xf32> {transformer.name = "k", transformer.dims = ["B", "S", "", ""]},
    %v: tensor<?x?x2x8xf32> {transformer.name = "v", transformer.dims = ["B", "S", "", ""]}
  ) -> (tensor<?x?x2x8xf32> {transformer.name = "y", transformer.dims = ["B", "S", "", ""]}) {
  %0 = transformer.attention %q, %k, %v scale 0.35355339059327373 mask <window, 5> : tensor<?x?x2x8xf32>, tensor<?x?x2x8xf32>, tensor<?x?x2x8xf32> -> tensor<?x?x2x8xf32>
  return %0 : tensor<?x?x2x8xf32>
}

// A window of 1 sees the query's own position.
func.func @attention_window_1(
    %q: tensor<?x?x2x8xf32> {transformer.name = "q", transformer.dims = ["B", "S", "", ""]},
    %k: tensor<?x?x2x8xf32> {transformer.name = "k", transformer.dims = ["B", "S", "", ""]},
    %v: tensor<?x?x2x8xf32> {transformer.name = "v", transformer.dims = ["B", "S", "", ""]}
  ) -> (tensor<?x?x2x8xf32> {transformer.name = "y", transformer.dims = ["B", "S", "", ""]}) {
  %0 = transformer.attention %q, %k, %v scale 0.5 mask <window, 1> : tensor<?x?x2x8xf32>, tensor<?x?x2x8xf32>, tensor<?x?x2x8xf32> -> tensor<?x?x2x8xf32>
  return %0 : tensor<?x?x2x8xf32>
}

// Four query heads to each key head, head dimension 32.
func.func @attention_gqa(
    %q: tensor<?x?x8x32xf32> {transformer.name = "q", transformer.dims = ["B", "S", "", ""]},
    %k: tensor<?x?x2x32xf32> {transformer.name = "k", transformer.dims = ["B", "S", "", ""]},
    %v: tensor<?x?x2x32xf32> {transformer.name = "v", transformer.dims = ["B", "S", "", ""]}
  ) -> (tensor<?x?x8x32xf32> {transformer.name = "y", transformer.dims = ["B", "S", "", ""]}) {
  %0 = transformer.attention %q, %k, %v scale 0.17677669529663687 mask <causal> : tensor<?x?x8x32xf32>, tensor<?x?x2x32xf32>, tensor<?x?x2x32xf32> -> tensor<?x?x8x32xf32>
  return %0 : tensor<?x?x8x32xf32>
}

// One key head for all, head dimension 64.
func.func @attention_mqa(
    %q: tensor<?x?x4x64xf32> {transformer.name = "q", transformer.dims = ["B", "S", "", ""]},
    %k: tensor<?x?x1x64xf32> {transformer.name = "k", transformer.dims = ["B", "S", "", ""]},
    %v: tensor<?x?x1x64xf32> {transformer.name = "v", transformer.dims = ["B", "S", "", ""]}
  ) -> (tensor<?x?x4x64xf32> {transformer.name = "y", transformer.dims = ["B", "S", "", ""]}) {
  %0 = transformer.attention %q, %k, %v scale 0.125 mask <causal> : tensor<?x?x4x64xf32>, tensor<?x?x1x64xf32>, tensor<?x?x1x64xf32> -> tensor<?x?x4x64xf32>
  return %0 : tensor<?x?x4x64xf32>
}

// Head dimension 48.
func.func @attention_48(
    %q: tensor<?x?x2x48xf32> {transformer.name = "q", transformer.dims = ["B", "S", "", ""]},
    %k: tensor<?x?x1x48xf32> {transformer.name = "k", transformer.dims = ["B", "S", "", ""]},
    %v: tensor<?x?x1x48xf32> {transformer.name = "v", transformer.dims = ["B", "S", "", ""]}
  ) -> (tensor<?x?x2x48xf32> {transformer.name = "y", transformer.dims = ["B", "S", "", ""]}) {
  %0 = transformer.attention %q, %k, %v scale 0.14433756729740643 mask <none> : tensor<?x?x2x48xf32>, tensor<?x?x1x48xf32>, tensor<?x?x1x48xf32> -> tensor<?x?x2x48xf32>
  return %0 : tensor<?x?x2x48xf32>
}

// More keys than queries; queries stand at the end.
func.func @attention_cross(
    %q: tensor<?x?x2x8xf32> {transformer.name = "q", transformer.dims = ["B", "S", "", ""]},
    %k: tensor<?x?x1x8xf32> {transformer.name = "k", transformer.dims = ["B", "K", "", ""]},
    %v: tensor<?x?x1x8xf32> {transformer.name = "v", transformer.dims = ["B", "K", "", ""]}
  ) -> (tensor<?x?x2x8xf32> {transformer.name = "y", transformer.dims = ["B", "S", "", ""]}) {
  %0 = transformer.attention %q, %k, %v scale 0.35355339059327373 mask <causal> : tensor<?x?x2x8xf32>, tensor<?x?x1x8xf32>, tensor<?x?x1x8xf32> -> tensor<?x?x2x8xf32>
  return %0 : tensor<?x?x2x8xf32>
}

// The same through a window.
func.func @attention_cross_window(
    %q: tensor<?x?x2x8xf32> {transformer.name = "q", transformer.dims = ["B", "S", "", ""]},
    %k: tensor<?x?x2x8xf32> {transformer.name = "k", transformer.dims = ["B", "K", "", ""]},
    %v: tensor<?x?x2x8xf32> {transformer.name = "v", transformer.dims = ["B", "K", "", ""]}
  ) -> (tensor<?x?x2x8xf32> {transformer.name = "y", transformer.dims = ["B", "S", "", ""]}) {
  %0 = transformer.attention %q, %k, %v scale 0.35355339059327373 mask <window, 3> : tensor<?x?x2x8xf32>, tensor<?x?x2x8xf32>, tensor<?x?x2x8xf32> -> tensor<?x?x2x8xf32>
  return %0 : tensor<?x?x2x8xf32>
}

// Fewer keys than queries: the first queries see none and give zeros.
func.func @attention_few_keys(
    %q: tensor<?x?x2x8xf32> {transformer.name = "q", transformer.dims = ["B", "S", "", ""]},
    %k: tensor<?x?x2x8xf32> {transformer.name = "k", transformer.dims = ["B", "K", "", ""]},
    %v: tensor<?x?x2x8xf32> {transformer.name = "v", transformer.dims = ["B", "K", "", ""]}
  ) -> (tensor<?x?x2x8xf32> {transformer.name = "y", transformer.dims = ["B", "S", "", ""]}) {
  %0 = transformer.attention %q, %k, %v scale 0.35355339059327373 mask <causal> : tensor<?x?x2x8xf32>, tensor<?x?x2x8xf32>, tensor<?x?x2x8xf32> -> tensor<?x?x2x8xf32>
  return %0 : tensor<?x?x2x8xf32>
}

// Scores are capped.
func.func @attention_softcap(
    %q: tensor<?x?x2x8xf32> {transformer.name = "q", transformer.dims = ["B", "S", "", ""]},
    %k: tensor<?x?x2x8xf32> {transformer.name = "k", transformer.dims = ["B", "S", "", ""]},
    %v: tensor<?x?x2x8xf32> {transformer.name = "v", transformer.dims = ["B", "S", "", ""]}
  ) -> (tensor<?x?x2x8xf32> {transformer.name = "y", transformer.dims = ["B", "S", "", ""]}) {
  %0 = transformer.attention %q, %k, %v scale 1.0 mask <causal> softcap 2.5 : tensor<?x?x2x8xf32>, tensor<?x?x2x8xf32>, tensor<?x?x2x8xf32> -> tensor<?x?x2x8xf32>
  return %0 : tensor<?x?x2x8xf32>
}

// A bias per row and head.
func.func @attention_bias(
    %q: tensor<?x?x2x8xf32> {transformer.name = "q", transformer.dims = ["B", "S", "", ""]},
    %k: tensor<?x?x1x8xf32> {transformer.name = "k", transformer.dims = ["B", "S", "", ""]},
    %v: tensor<?x?x1x8xf32> {transformer.name = "v", transformer.dims = ["B", "S", "", ""]},
    %bias: tensor<?x2x?x?xf32> {transformer.name = "bias", transformer.dims = ["B", "", "S", "S"]}
  ) -> (tensor<?x?x2x8xf32> {transformer.name = "y", transformer.dims = ["B", "S", "", ""]}) {
  %0 = transformer.attention %q, %k, %v bias %bias scale 0.35355339059327373 mask <none> : tensor<?x?x2x8xf32>, tensor<?x?x1x8xf32>, tensor<?x?x1x8xf32>, tensor<?x2x?x?xf32> -> tensor<?x?x2x8xf32>
  return %0 : tensor<?x?x2x8xf32>
}

// A bias shared by rows and heads, under a causal mask, after the cap.
func.func @attention_bias_shared(
    %q: tensor<?x?x4x8xf32> {transformer.name = "q", transformer.dims = ["B", "S", "", ""]},
    %k: tensor<?x?x2x8xf32> {transformer.name = "k", transformer.dims = ["B", "S", "", ""]},
    %v: tensor<?x?x2x8xf32> {transformer.name = "v", transformer.dims = ["B", "S", "", ""]},
    %bias: tensor<1x1x?x?xf32> {transformer.name = "bias", transformer.dims = ["", "", "S", "S"]}
  ) -> (tensor<?x?x4x8xf32> {transformer.name = "y", transformer.dims = ["B", "S", "", ""]}) {
  %0 = transformer.attention %q, %k, %v bias %bias scale 0.35355339059327373 mask <causal> softcap 5.0 : tensor<?x?x4x8xf32>, tensor<?x?x2x8xf32>, tensor<?x?x2x8xf32>, tensor<1x1x?x?xf32> -> tensor<?x?x4x8xf32>
  return %0 : tensor<?x?x4x8xf32>
}

// bf16 in and out.
func.func @attention_bf16(
    %q: tensor<?x?x4x32xbf16> {transformer.name = "q", transformer.dims = ["B", "S", "", ""]},
    %k: tensor<?x?x2x32xbf16> {transformer.name = "k", transformer.dims = ["B", "S", "", ""]},
    %v: tensor<?x?x2x32xbf16> {transformer.name = "v", transformer.dims = ["B", "S", "", ""]}
  ) -> (tensor<?x?x4x32xbf16> {transformer.name = "y", transformer.dims = ["B", "S", "", ""]}) {
  %0 = transformer.attention %q, %k, %v scale 0.17677669529663687 mask <causal> : tensor<?x?x4x32xbf16>, tensor<?x?x2x32xbf16>, tensor<?x?x2x32xbf16> -> tensor<?x?x4x32xbf16>
  return %0 : tensor<?x?x4x32xbf16>
}

// bf16 in, f32 out.
func.func @attention_bf16_to_f32(
    %q: tensor<?x?x2x8xbf16> {transformer.name = "q", transformer.dims = ["B", "S", "", ""]},
    %k: tensor<?x?x2x8xbf16> {transformer.name = "k", transformer.dims = ["B", "S", "", ""]},
    %v: tensor<?x?x2x8xbf16> {transformer.name = "v", transformer.dims = ["B", "S", "", ""]}
  ) -> (tensor<?x?x2x8xf32> {transformer.name = "y", transformer.dims = ["B", "S", "", ""]}) {
  %0 = transformer.attention %q, %k, %v scale 0.35355339059327373 mask <window, 4> : tensor<?x?x2x8xbf16>, tensor<?x?x2x8xbf16>, tensor<?x?x2x8xbf16> -> tensor<?x?x2x8xf32>
  return %0 : tensor<?x?x2x8xf32>
}
