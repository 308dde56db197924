// transformer.activation
// Goldens: test/goldens/make_numeric.py; run by test/numeric/NumericTest.cpp.

// silu.
func.func @silu_f32(
    %x: tensor<?x?x33xf32> {transformer.name = "x", transformer.dims = ["B", "S", ""]}
  ) -> (tensor<?x?x33xf32> {transformer.name = "y", transformer.dims = ["B", "S", ""]}) {
  %0 = transformer.activation silu %x : tensor<?x?x33xf32> -> tensor<?x?x33xf32>
  return %0 : tensor<?x?x33xf32>
}

// silu on bf16.
func.func @silu_bf16(
    %x: tensor<?x?x32xbf16> {transformer.name = "x", transformer.dims = ["B", "S", ""]}
  ) -> (tensor<?x?x32xbf16> {transformer.name = "y", transformer.dims = ["B", "S", ""]}) {
  %0 = transformer.activation silu %x : tensor<?x?x32xbf16> -> tensor<?x?x32xbf16>
  return %0 : tensor<?x?x32xbf16>
}

// The exact gelu.
func.func @gelu_erf_f32(
    %x: tensor<?x?x33xf32> {transformer.name = "x", transformer.dims = ["B", "S", ""]}
  ) -> (tensor<?x?x33xf32> {transformer.name = "y", transformer.dims = ["B", "S", ""]}) {
  %0 = transformer.activation gelu_erf %x : tensor<?x?x33xf32> -> tensor<?x?x33xf32>
  return %0 : tensor<?x?x33xf32>
}

// The tanh approximation.
func.func @gelu_tanh_f32(
    %x: tensor<?x?x33xf32> {transformer.name = "x", transformer.dims = ["B", "S", ""]}
  ) -> (tensor<?x?x33xf32> {transformer.name = "y", transformer.dims = ["B", "S", ""]}) {
  %0 = transformer.activation gelu_tanh %x : tensor<?x?x33xf32> -> tensor<?x?x33xf32>
  return %0 : tensor<?x?x33xf32>
}

// bf16 in, f32 out.
func.func @gelu_tanh_bf16_to_f32(
    %x: tensor<?x?x32xbf16> {transformer.name = "x", transformer.dims = ["B", "S", ""]}
  ) -> (tensor<?x?x32xf32> {transformer.name = "y", transformer.dims = ["B", "S", ""]}) {
  %0 = transformer.activation gelu_tanh %x : tensor<?x?x32xbf16> -> tensor<?x?x32xf32>
  return %0 : tensor<?x?x32xf32>
}

// relu.
func.func @relu_f32(
    %x: tensor<?x?x33xf32> {transformer.name = "x", transformer.dims = ["B", "S", ""]}
  ) -> (tensor<?x?x33xf32> {transformer.name = "y", transformer.dims = ["B", "S", ""]}) {
  %0 = transformer.activation relu %x : tensor<?x?x33xf32> -> tensor<?x?x33xf32>
  return %0 : tensor<?x?x33xf32>
}

// quick_gelu.
func.func @quick_gelu_f32(
    %x: tensor<?x?x33xf32> {transformer.name = "x", transformer.dims = ["B", "S", ""]}
  ) -> (tensor<?x?x33xf32> {transformer.name = "y", transformer.dims = ["B", "S", ""]}) {
  %0 = transformer.activation quick_gelu %x : tensor<?x?x33xf32> -> tensor<?x?x33xf32>
  return %0 : tensor<?x?x33xf32>
}

// A dynamic vector.
func.func @silu_rank1(
    %x: tensor<?xf32> {transformer.name = "x", transformer.dims = ["S"]}
  ) -> (tensor<?xf32> {transformer.name = "y", transformer.dims = ["S"]}) {
  %0 = transformer.activation silu %x : tensor<?xf32> -> tensor<?xf32>
  return %0 : tensor<?xf32>
}
