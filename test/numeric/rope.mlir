// transformer.rope
// Goldens: test/goldens/make_numeric.py; run by test/numeric/NumericTest.cpp.

// Llama style, head dimension 8.
func.func @half_split_8(
    %x: tensor<?x?x4x8xf32> {transformer.name = "x", transformer.dims = ["B", "S", "", ""]},
    %cos: tensor<64x4xf32> {transformer.name = "cos", transformer.dims = ["", ""]},
    %sin: tensor<64x4xf32> {transformer.name = "sin", transformer.dims = ["", ""]},
    %offsets: tensor<?xi32> {transformer.name = "offsets", transformer.dims = ["B"], transformer.range = [0, 48]}
  ) -> (tensor<?x?x4x8xf32> {transformer.name = "y", transformer.dims = ["B", "S", "", ""]}) {
  %0 = transformer.rope half_split %x, %cos, %sin at %offsets : tensor<?x?x4x8xf32>, tensor<64x4xf32>, tensor<64x4xf32>, tensor<?xi32> -> tensor<?x?x4x8xf32>
  return %0 : tensor<?x?x4x8xf32>
}

// Head dimension 64.
func.func @half_split_64(
    %x: tensor<?x?x2x64xf32> {transformer.name = "x", transformer.dims = ["B", "S", "", ""]},
    %cos: tensor<24x32xf32> {transformer.name = "cos", transformer.dims = ["", ""]},
    %sin: tensor<24x32xf32> {transformer.name = "sin", transformer.dims = ["", ""]},
    %offsets: tensor<?xi32> {transformer.name = "offsets", transformer.dims = ["B"], transformer.range = [0, 8]}
  ) -> (tensor<?x?x2x64xf32> {transformer.name = "y", transformer.dims = ["B", "S", "", ""]}) {
  %0 = transformer.rope half_split %x, %cos, %sin at %offsets : tensor<?x?x2x64xf32>, tensor<24x32xf32>, tensor<24x32xf32>, tensor<?xi32> -> tensor<?x?x2x64xf32>
  return %0 : tensor<?x?x2x64xf32>
}

// The first 16 of 48 elements rotate.
func.func @half_split_partial(
    %x: tensor<?x?x2x48xf32> {transformer.name = "x", transformer.dims = ["B", "S", "", ""]},
    %cos: tensor<64x8xf32> {transformer.name = "cos", transformer.dims = ["", ""]},
    %sin: tensor<64x8xf32> {transformer.name = "sin", transformer.dims = ["", ""]},
    %offsets: tensor<?xi32> {transformer.name = "offsets", transformer.dims = ["B"], transformer.range = [0, 48]}
  ) -> (tensor<?x?x2x48xf32> {transformer.name = "y", transformer.dims = ["B", "S", "", ""]}) {
  %0 = transformer.rope half_split %x, %cos, %sin at %offsets : tensor<?x?x2x48xf32>, tensor<64x8xf32>, tensor<64x8xf32>, tensor<?xi32> -> tensor<?x?x2x48xf32>
  return %0 : tensor<?x?x2x48xf32>
}

// GPT-J style.
func.func @interleaved_8(
    %x: tensor<?x?x4x8xf32> {transformer.name = "x", transformer.dims = ["B", "S", "", ""]},
    %cos: tensor<64x4xf32> {transformer.name = "cos", transformer.dims = ["", ""]},
    %sin: tensor<64x4xf32> {transformer.name = "sin", transformer.dims = ["", ""]},
    %offsets: tensor<?xi32> {transformer.name = "offsets", transformer.dims = ["B"], transformer.range = [0, 48]}
  ) -> (tensor<?x?x4x8xf32> {transformer.name = "y", transformer.dims = ["B", "S", "", ""]}) {
  %0 = transformer.rope interleaved %x, %cos, %sin at %offsets : tensor<?x?x4x8xf32>, tensor<64x4xf32>, tensor<64x4xf32>, tensor<?xi32> -> tensor<?x?x4x8xf32>
  return %0 : tensor<?x?x4x8xf32>
}

// GPT-J style, the first 8 of 32 elements.
func.func @interleaved_partial(
    %x: tensor<?x?x1x32xf32> {transformer.name = "x", transformer.dims = ["B", "S", "", ""]},
    %cos: tensor<64x4xf32> {transformer.name = "cos", transformer.dims = ["", ""]},
    %sin: tensor<64x4xf32> {transformer.name = "sin", transformer.dims = ["", ""]},
    %offsets: tensor<?xi32> {transformer.name = "offsets", transformer.dims = ["B"], transformer.range = [0, 48]}
  ) -> (tensor<?x?x1x32xf32> {transformer.name = "y", transformer.dims = ["B", "S", "", ""]}) {
  %0 = transformer.rope interleaved %x, %cos, %sin at %offsets : tensor<?x?x1x32xf32>, tensor<64x4xf32>, tensor<64x4xf32>, tensor<?xi32> -> tensor<?x?x1x32xf32>
  return %0 : tensor<?x?x1x32xf32>
}

// bf16 in and out.
func.func @half_split_bf16(
    %x: tensor<?x?x2x32xbf16> {transformer.name = "x", transformer.dims = ["B", "S", "", ""]},
    %cos: tensor<32x16xf32> {transformer.name = "cos", transformer.dims = ["", ""]},
    %sin: tensor<32x16xf32> {transformer.name = "sin", transformer.dims = ["", ""]},
    %offsets: tensor<?xi32> {transformer.name = "offsets", transformer.dims = ["B"], transformer.range = [0, 16]}
  ) -> (tensor<?x?x2x32xbf16> {transformer.name = "y", transformer.dims = ["B", "S", "", ""]}) {
  %0 = transformer.rope half_split %x, %cos, %sin at %offsets : tensor<?x?x2x32xbf16>, tensor<32x16xf32>, tensor<32x16xf32>, tensor<?xi32> -> tensor<?x?x2x32xbf16>
  return %0 : tensor<?x?x2x32xbf16>
}

// f32 in, bf16 out.
func.func @interleaved_to_bf16(
    %x: tensor<?x?x2x8xf32> {transformer.name = "x", transformer.dims = ["B", "S", "", ""]},
    %cos: tensor<64x4xf32> {transformer.name = "cos", transformer.dims = ["", ""]},
    %sin: tensor<64x4xf32> {transformer.name = "sin", transformer.dims = ["", ""]},
    %offsets: tensor<?xi32> {transformer.name = "offsets", transformer.dims = ["B"], transformer.range = [0, 48]}
  ) -> (tensor<?x?x2x8xbf16> {transformer.name = "y", transformer.dims = ["B", "S", "", ""]}) {
  %0 = transformer.rope interleaved %x, %cos, %sin at %offsets : tensor<?x?x2x8xf32>, tensor<64x4xf32>, tensor<64x4xf32>, tensor<?xi32> -> tensor<?x?x2x8xbf16>
  return %0 : tensor<?x?x2x8xbf16>
}
