// transformer.layer_norm and transformer.rms_norm
// Goldens: test/goldens/make_numeric.py; run by test/numeric/NumericTest.cpp.

// Scale and bias.
func.func @layer_norm_f32(
    %x: tensor<?x?x32xf32> {transformer.name = "x", transformer.dims = ["B", "S", ""]},
    %scale: tensor<32xf32> {transformer.name = "scale", transformer.dims = [""]},
    %bias: tensor<32xf32> {transformer.name = "bias", transformer.dims = [""]}
  ) -> (tensor<?x?x32xf32> {transformer.name = "y", transformer.dims = ["B", "S", ""]}) {
  %0 = transformer.layer_norm %x, %scale bias %bias epsilon 1.0e-5 : tensor<?x?x32xf32>, tensor<32xf32>, tensor<32xf32> -> tensor<?x?x32xf32>
  return %0 : tensor<?x?x32xf32>
}

// A scale alone, an odd width, BERT's epsilon.
func.func @layer_norm_no_bias(
    %x: tensor<?x?x33xf32> {transformer.name = "x", transformer.dims = ["B", "S", ""]},
    %scale: tensor<33xf32> {transformer.name = "scale", transformer.dims = [""]}
  ) -> (tensor<?x?x33xf32> {transformer.name = "y", transformer.dims = ["B", "S", ""]}) {
  %0 = transformer.layer_norm %x, %scale epsilon 1.0e-12 : tensor<?x?x33xf32>, tensor<33xf32> -> tensor<?x?x33xf32>
  return %0 : tensor<?x?x33xf32>
}

// bf16 in and out, f32 scale and bias.
func.func @layer_norm_bf16(
    %x: tensor<?x?x64xbf16> {transformer.name = "x", transformer.dims = ["B", "S", ""]},
    %scale: tensor<64xf32> {transformer.name = "scale", transformer.dims = [""]},
    %bias: tensor<64xf32> {transformer.name = "bias", transformer.dims = [""]}
  ) -> (tensor<?x?x64xbf16> {transformer.name = "y", transformer.dims = ["B", "S", ""]}) {
  %0 = transformer.layer_norm %x, %scale bias %bias epsilon 1.0e-5 : tensor<?x?x64xbf16>, tensor<64xf32>, tensor<64xf32> -> tensor<?x?x64xbf16>
  return %0 : tensor<?x?x64xbf16>
}

// Width 1: the variance is 0.
func.func @layer_norm_one(
    %x: tensor<?x?x1xf32> {transformer.name = "x", transformer.dims = ["B", "S", ""]},
    %scale: tensor<1xf32> {transformer.name = "scale", transformer.dims = [""]},
    %bias: tensor<1xf32> {transformer.name = "bias", transformer.dims = [""]}
  ) -> (tensor<?x?x1xf32> {transformer.name = "y", transformer.dims = ["B", "S", ""]}) {
  %0 = transformer.layer_norm %x, %scale bias %bias epsilon 1.0e-5 : tensor<?x?x1xf32>, tensor<1xf32>, tensor<1xf32> -> tensor<?x?x1xf32>
  return %0 : tensor<?x?x1xf32>
}

// All f32.
func.func @rms_norm_f32(
    %x: tensor<?x?x32xf32> {transformer.name = "x", transformer.dims = ["B", "S", ""]},
    %scale: tensor<32xf32> {transformer.name = "scale", transformer.dims = [""]}
  ) -> (tensor<?x?x32xf32> {transformer.name = "y", transformer.dims = ["B", "S", ""]}) {
  %0 = transformer.rms_norm %x, %scale epsilon 1.0e-6 : tensor<?x?x32xf32>, tensor<32xf32> -> tensor<?x?x32xf32>
  return %0 : tensor<?x?x32xf32>
}

// An odd width, a larger epsilon.
func.func @rms_norm_odd(
    %x: tensor<?x?x17xf32> {transformer.name = "x", transformer.dims = ["B", "S", ""]},
    %scale: tensor<17xf32> {transformer.name = "scale", transformer.dims = [""]}
  ) -> (tensor<?x?x17xf32> {transformer.name = "y", transformer.dims = ["B", "S", ""]}) {
  %0 = transformer.rms_norm %x, %scale epsilon 1.0e-2 : tensor<?x?x17xf32>, tensor<17xf32> -> tensor<?x?x17xf32>
  return %0 : tensor<?x?x17xf32>
}

// f32 in, bf16 out, as before a bf16 projection.
func.func @rms_norm_to_bf16(
    %x: tensor<?x?x64xf32> {transformer.name = "x", transformer.dims = ["B", "S", ""]},
    %scale: tensor<64xf32> {transformer.name = "scale", transformer.dims = [""]}
  ) -> (tensor<?x?x64xbf16> {transformer.name = "y", transformer.dims = ["B", "S", ""]}) {
  %0 = transformer.rms_norm %x, %scale epsilon 1.0e-6 : tensor<?x?x64xf32>, tensor<64xf32> -> tensor<?x?x64xbf16>
  return %0 : tensor<?x?x64xbf16>
}

// All bf16.
func.func @rms_norm_bf16(
    %x: tensor<?x?x48xbf16> {transformer.name = "x", transformer.dims = ["B", "S", ""]},
    %scale: tensor<48xbf16> {transformer.name = "scale", transformer.dims = [""]}
  ) -> (tensor<?x?x48xbf16> {transformer.name = "y", transformer.dims = ["B", "S", ""]}) {
  %0 = transformer.rms_norm %x, %scale epsilon 1.0e-6 : tensor<?x?x48xbf16>, tensor<48xbf16> -> tensor<?x?x48xbf16>
  return %0 : tensor<?x?x48xbf16>
}
