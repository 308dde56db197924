// transformer.linear
// Goldens: test/goldens/make_numeric.py; run by test/numeric/NumericTest.cpp.

// All f32.
func.func @linear_f32(
    %x: tensor<?x?x32xf32> {transformer.name = "x", transformer.dims = ["B", "S", ""]},
    %w: tensor<48x32xf32> {transformer.name = "w", transformer.dims = ["", ""]}
  ) -> (tensor<?x?x48xf32> {transformer.name = "y", transformer.dims = ["B", "S", ""]}) {
  %0 = transformer.linear %x, %w : tensor<?x?x32xf32>, tensor<48x32xf32> -> tensor<?x?x48xf32>
  return %0 : tensor<?x?x48xf32>
}

// A bias.
func.func @linear_bias(
    %x: tensor<?x?x32xf32> {transformer.name = "x", transformer.dims = ["B", "S", ""]},
    %w: tensor<48x32xf32> {transformer.name = "w", transformer.dims = ["", ""]},
    %b: tensor<48xf32> {transformer.name = "b", transformer.dims = [""]}
  ) -> (tensor<?x?x48xf32> {transformer.name = "y", transformer.dims = ["B", "S", ""]}) {
  %0 = transformer.linear %x, %w bias %b : tensor<?x?x32xf32>, tensor<48x32xf32>, tensor<48xf32> -> tensor<?x?x48xf32>
  return %0 : tensor<?x?x48xf32>
}

// Widths that are multiples of nothing.
func.func @linear_odd(
    %x: tensor<?x?x17xf32> {transformer.name = "x", transformer.dims = ["B", "S", ""]},
    %w: tensor<33x17xf32> {transformer.name = "w", transformer.dims = ["", ""]},
    %b: tensor<33xf32> {transformer.name = "b", transformer.dims = [""]}
  ) -> (tensor<?x?x33xf32> {transformer.name = "y", transformer.dims = ["B", "S", ""]}) {
  %0 = transformer.linear %x, %w bias %b : tensor<?x?x17xf32>, tensor<33x17xf32>, tensor<33xf32> -> tensor<?x?x33xf32>
  return %0 : tensor<?x?x33xf32>
}

// A weight of one row.
func.func @linear_one_column(
    %x: tensor<?x?x33xf32> {transformer.name = "x", transformer.dims = ["B", "S", ""]},
    %w: tensor<1x33xf32> {transformer.name = "w", transformer.dims = ["", ""]}
  ) -> (tensor<?x?x1xf32> {transformer.name = "y", transformer.dims = ["B", "S", ""]}) {
  %0 = transformer.linear %x, %w : tensor<?x?x33xf32>, tensor<1x33xf32> -> tensor<?x?x1xf32>
  return %0 : tensor<?x?x1xf32>
}

// f32 activations, bf16 weight and bias.
func.func @linear_bf16_weight(
    %x: tensor<?x?x32xf32> {transformer.name = "x", transformer.dims = ["B", "S", ""]},
    %w: tensor<40x32xbf16> {transformer.name = "w", transformer.dims = ["", ""]},
    %b: tensor<40xbf16> {transformer.name = "b", transformer.dims = [""]}
  ) -> (tensor<?x?x40xf32> {transformer.name = "y", transformer.dims = ["B", "S", ""]}) {
  %0 = transformer.linear %x, %w bias %b : tensor<?x?x32xf32>, tensor<40x32xbf16>, tensor<40xbf16> -> tensor<?x?x40xf32>
  return %0 : tensor<?x?x40xf32>
}

// All bf16.
func.func @linear_bf16(
    %x: tensor<?x?x64xbf16> {transformer.name = "x", transformer.dims = ["B", "S", ""]},
    %w: tensor<48x64xbf16> {transformer.name = "w", transformer.dims = ["", ""]}
  ) -> (tensor<?x?x48xbf16> {transformer.name = "y", transformer.dims = ["B", "S", ""]}) {
  %0 = transformer.linear %x, %w : tensor<?x?x64xbf16>, tensor<48x64xbf16> -> tensor<?x?x48xbf16>
  return %0 : tensor<?x?x48xbf16>
}

// bf16 in, f32 out.
func.func @linear_bf16_to_f32(
    %x: tensor<?x?x33xbf16> {transformer.name = "x", transformer.dims = ["B", "S", ""]},
    %w: tensor<17x33xbf16> {transformer.name = "w", transformer.dims = ["", ""]}
  ) -> (tensor<?x?x17xf32> {transformer.name = "y", transformer.dims = ["B", "S", ""]}) {
  %0 = transformer.linear %x, %w : tensor<?x?x33xbf16>, tensor<17x33xbf16> -> tensor<?x?x17xf32>
  return %0 : tensor<?x?x17xf32>
}

// Activations of rank 2.
func.func @linear_rank2(
    %x: tensor<?x32xf32> {transformer.name = "x", transformer.dims = ["S", ""]},
    %w: tensor<24x32xf32> {transformer.name = "w", transformer.dims = ["", ""]}
  ) -> (tensor<?x24xf32> {transformer.name = "y", transformer.dims = ["S", ""]}) {
  %0 = transformer.linear %x, %w : tensor<?x32xf32>, tensor<24x32xf32> -> tensor<?x24xf32>
  return %0 : tensor<?x24xf32>
}

// A single vector.
func.func @linear_rank1(
    %x: tensor<33xf32> {transformer.name = "x", transformer.dims = [""]},
    %w: tensor<20x33xf32> {transformer.name = "w", transformer.dims = ["", ""]}
  ) -> (tensor<20xf32> {transformer.name = "y", transformer.dims = [""]}) {
  %0 = transformer.linear %x, %w : tensor<33xf32>, tensor<20x33xf32> -> tensor<20xf32>
  return %0 : tensor<20xf32>
}
