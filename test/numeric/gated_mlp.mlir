// transformer.gated_mlp
// Goldens: test/goldens/make_numeric.py; run by test/numeric/NumericTest.cpp.

// SwiGLU.
func.func @swiglu_f32(
    %x: tensor<?x?x32xf32> {transformer.name = "x", transformer.dims = ["B", "S", ""]},
    %gate: tensor<48x32xf32> {transformer.name = "gate", transformer.dims = ["", ""]},
    %up: tensor<48x32xf32> {transformer.name = "up", transformer.dims = ["", ""]},
    %down: tensor<32x48xf32> {transformer.name = "down", transformer.dims = ["", ""]}
  ) -> (tensor<?x?x32xf32> {transformer.name = "y", transformer.dims = ["B", "S", ""]}) {
  %0 = transformer.gated_mlp silu %x, %gate, %up, %down : tensor<?x?x32xf32>, tensor<48x32xf32>, tensor<48x32xf32>, tensor<32x48xf32> -> tensor<?x?x32xf32>
  return %0 : tensor<?x?x32xf32>
}

// GeGLU with the exact gelu, odd widths.
func.func @geglu_f32(
    %x: tensor<?x?x17xf32> {transformer.name = "x", transformer.dims = ["B", "S", ""]},
    %gate: tensor<33x17xf32> {transformer.name = "gate", transformer.dims = ["", ""]},
    %up: tensor<33x17xf32> {transformer.name = "up", transformer.dims = ["", ""]},
    %down: tensor<17x33xf32> {transformer.name = "down", transformer.dims = ["", ""]}
  ) -> (tensor<?x?x17xf32> {transformer.name = "y", transformer.dims = ["B", "S", ""]}) {
  %0 = transformer.gated_mlp gelu_erf %x, %gate, %up, %down : tensor<?x?x17xf32>, tensor<33x17xf32>, tensor<33x17xf32>, tensor<17x33xf32> -> tensor<?x?x17xf32>
  return %0 : tensor<?x?x17xf32>
}

// GeGLU with the tanh approximation, another width out than in.
func.func @geglu_tanh_f32(
    %x: tensor<?x?x16xf32> {transformer.name = "x", transformer.dims = ["B", "S", ""]},
    %gate: tensor<24x16xf32> {transformer.name = "gate", transformer.dims = ["", ""]},
    %up: tensor<24x16xf32> {transformer.name = "up", transformer.dims = ["", ""]},
    %down: tensor<20x24xf32> {transformer.name = "down", transformer.dims = ["", ""]}
  ) -> (tensor<?x?x20xf32> {transformer.name = "y", transformer.dims = ["B", "S", ""]}) {
  %0 = transformer.gated_mlp gelu_tanh %x, %gate, %up, %down : tensor<?x?x16xf32>, tensor<24x16xf32>, tensor<24x16xf32>, tensor<20x24xf32> -> tensor<?x?x20xf32>
  return %0 : tensor<?x?x20xf32>
}

// All bf16.
func.func @swiglu_bf16(
    %x: tensor<?x?x32xbf16> {transformer.name = "x", transformer.dims = ["B", "S", ""]},
    %gate: tensor<48x32xbf16> {transformer.name = "gate", transformer.dims = ["", ""]},
    %up: tensor<48x32xbf16> {transformer.name = "up", transformer.dims = ["", ""]},
    %down: tensor<32x48xbf16> {transformer.name = "down", transformer.dims = ["", ""]}
  ) -> (tensor<?x?x32xbf16> {transformer.name = "y", transformer.dims = ["B", "S", ""]}) {
  %0 = transformer.gated_mlp silu %x, %gate, %up, %down : tensor<?x?x32xbf16>, tensor<48x32xbf16>, tensor<48x32xbf16>, tensor<32x48xbf16> -> tensor<?x?x32xbf16>
  return %0 : tensor<?x?x32xbf16>
}

// bf16 operands, f32 result.
func.func @swiglu_bf16_to_f32(
    %x: tensor<?x?x32xbf16> {transformer.name = "x", transformer.dims = ["B", "S", ""]},
    %gate: tensor<40x32xbf16> {transformer.name = "gate", transformer.dims = ["", ""]},
    %up: tensor<40x32xbf16> {transformer.name = "up", transformer.dims = ["", ""]},
    %down: tensor<16x40xbf16> {transformer.name = "down", transformer.dims = ["", ""]}
  ) -> (tensor<?x?x16xf32> {transformer.name = "y", transformer.dims = ["B", "S", ""]}) {
  %0 = transformer.gated_mlp silu %x, %gate, %up, %down : tensor<?x?x32xbf16>, tensor<40x32xbf16>, tensor<40x32xbf16>, tensor<16x40xbf16> -> tensor<?x?x16xf32>
  return %0 : tensor<?x?x16xf32>
}
