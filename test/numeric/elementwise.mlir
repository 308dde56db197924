// arith and math on tensors
// Goldens: test/goldens/make_numeric.py; run by test/numeric/NumericTest.cpp.

// A residual sum.
func.func @add(
    %a: tensor<?x?x33xf32> {transformer.name = "a", transformer.dims = ["B", "S", ""]},
    %b: tensor<?x?x33xf32> {transformer.name = "b", transformer.dims = ["B", "S", ""]}
  ) -> (tensor<?x?x33xf32> {transformer.name = "y", transformer.dims = ["B", "S", ""]}) {
  %0 = arith.addf %a, %b : tensor<?x?x33xf32>
  return %0 : tensor<?x?x33xf32>
}

// A gated product, narrowed to bf16.
func.func @mul_truncf(
    %a: tensor<?x?x33xf32> {transformer.name = "a", transformer.dims = ["B", "S", ""]},
    %b: tensor<?x?x33xf32> {transformer.name = "b", transformer.dims = ["B", "S", ""]}
  ) -> (tensor<?x?x33xbf16> {transformer.name = "y", transformer.dims = ["B", "S", ""]}) {
  %0 = arith.mulf %a, %b : tensor<?x?x33xf32>
  %1 = arith.truncf %0 : tensor<?x?x33xf32> to tensor<?x?x33xbf16>
  return %1 : tensor<?x?x33xbf16>
}

// bf16 widened, then float arithmetic.
func.func @extf_sub_div(
    %a: tensor<?x?x32xbf16> {transformer.name = "a", transformer.dims = ["B", "S", ""]},
    %b: tensor<?x?x32xf32> {transformer.name = "b", transformer.dims = ["B", "S", ""]}
  ) -> (tensor<?x?x32xf32> {transformer.name = "y", transformer.dims = ["B", "S", ""]}) {
  %0 = arith.extf %a : tensor<?x?x32xbf16> to tensor<?x?x32xf32>
  %1 = arith.subf %0, %b : tensor<?x?x32xf32>
  %2 = arith.divf %1, %b : tensor<?x?x32xf32>
  return %2 : tensor<?x?x32xf32>
}

// Comparison and select.
func.func @clamp_by_select(
    %a: tensor<?x?x33xf32> {transformer.name = "a", transformer.dims = ["B", "S", ""]},
    %b: tensor<?x?x33xf32> {transformer.name = "b", transformer.dims = ["B", "S", ""]}
  ) -> (tensor<?x?x33xf32> {transformer.name = "y", transformer.dims = ["B", "S", ""]}) {
  %0 = arith.cmpf olt, %a, %b : tensor<?x?x33xf32>
  %1 = arith.select %0, %b, %a : tensor<?x?x33xi1>, tensor<?x?x33xf32>
  return %1 : tensor<?x?x33xf32>
}

// Functions of math.
func.func @math_functions(
    %a: tensor<?x?x33xf32> {transformer.name = "a", transformer.dims = ["B", "S", ""]}
  ) -> (tensor<?x?x33xf32> {transformer.name = "y", transformer.dims = ["B", "S", ""]}) {
  %0 = math.tanh %a : tensor<?x?x33xf32>
  %1 = math.exp %0 : tensor<?x?x33xf32>
  %2 = math.sqrt %1 : tensor<?x?x33xf32>
  %3 = math.erf %a : tensor<?x?x33xf32>
  %4 = math.fma %2, %3, %a : tensor<?x?x33xf32>
  %5 = math.sin %4 : tensor<?x?x33xf32>
  %6 = math.cos %a : tensor<?x?x33xf32>
  %7 = arith.maximumf %5, %6 : tensor<?x?x33xf32>
  %8 = math.absf %7 : tensor<?x?x33xf32>
  %9 = math.exp2 %8 : tensor<?x?x33xf32>
  %10 = math.rsqrt %9 : tensor<?x?x33xf32>
  return %10 : tensor<?x?x33xf32>
}

// Ids shifted by integer arithmetic.
func.func @positions(
    %ids: tensor<?x?xi32> {transformer.name = "ids", transformer.dims = ["B", "S"], transformer.range = [0, 100]}
  ) -> (tensor<?x?xi32> {transformer.name = "y", transformer.dims = ["B", "S"]}) {
  %0 = arith.constant dense<3> : tensor<1xi32>
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %three = tensor.extract %0[%c0] : tensor<1xi32>
  %b = tensor.dim %ids, %c0 : tensor<?x?xi32>
  %s = tensor.dim %ids, %c1 : tensor<?x?xi32>
  %1 = tensor.splat %three[%b, %s] : tensor<?x?xi32>
  %2 = arith.muli %ids, %1 : tensor<?x?xi32>
  %3 = arith.subi %2, %1 : tensor<?x?xi32>
  %4 = arith.remsi %3, %1 : tensor<?x?xi32>
  %5 = arith.addi %3, %4 : tensor<?x?xi32>
  return %5 : tensor<?x?xi32>
}
