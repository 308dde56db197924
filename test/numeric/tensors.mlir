// tensor and scf
// Goldens: test/goldens/make_numeric.py; run by test/numeric/NumericTest.cpp.

// [B, S, 32] to heads [B, S, 4, 8] and back, the first half of each head kept.
func.func @heads(
    %a: tensor<?x?x32xf32> {transformer.name = "a", transformer.dims = ["B", "S", ""]}
  ) -> (tensor<?x?x4x8xf32> {transformer.name = "heads", transformer.dims = ["B", "S", "", ""]}, tensor<?x?x16xf32> {transformer.name = "halves", transformer.dims = ["B", "S", ""]}) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %b = tensor.dim %a, %c0 : tensor<?x?x32xf32>
  %s = tensor.dim %a, %c1 : tensor<?x?x32xf32>
  %0 = tensor.expand_shape %a [[0], [1], [2, 3]] output_shape [%b, %s, 4, 8] : tensor<?x?x32xf32> into tensor<?x?x4x8xf32>
  %1 = tensor.extract_slice %0[0, 0, 0, 0] [%b, %s, 4, 4] [1, 1, 1, 1] : tensor<?x?x4x8xf32> to tensor<?x?x4x4xf32>
  %2 = tensor.collapse_shape %1 [[0], [1], [2, 3]] : tensor<?x?x4x4xf32> into tensor<?x?x16xf32>
  return %0, %2 : tensor<?x?x4x8xf32>, tensor<?x?x16xf32>
}

// The last position alone, as before the head.
func.func @last_position(
    %a: tensor<?x?x17xf32> {transformer.name = "a", transformer.dims = ["B", "S", ""]}
  ) -> (tensor<?x17xf32> {transformer.name = "y", transformer.dims = ["B", ""]}) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %b = tensor.dim %a, %c0 : tensor<?x?x17xf32>
  %s = tensor.dim %a, %c1 : tensor<?x?x17xf32>
  %last = arith.subi %s, %c1 : index
  %0 = tensor.extract_slice %a[0, %last, 0] [%b, 1, 17] [1, 1, 1] : tensor<?x?x17xf32> to tensor<?x1x17xf32>
  %1 = tensor.collapse_shape %0 [[0, 1], [2]] : tensor<?x1x17xf32> into tensor<?x17xf32>
  return %1 : tensor<?x17xf32>
}

// A rank-reducing slice with a step, written back into a copy.
func.func @insert_steps(
    %a: tensor<?x?x16xf32> {transformer.name = "a", transformer.dims = ["B", "S", ""]},
    %b: tensor<?x?x8xf32> {transformer.name = "b", transformer.dims = ["B", "S", ""]}
  ) -> (tensor<?x?x16xf32> {transformer.name = "y", transformer.dims = ["B", "S", ""]}, tensor<?x8xf32> {transformer.name = "first", transformer.dims = ["S", ""]}) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %rows = tensor.dim %a, %c0 : tensor<?x?x16xf32>
  %s = tensor.dim %a, %c1 : tensor<?x?x16xf32>
  %0 = tensor.insert_slice %b into %a[0, 0, 1] [%rows, %s, 8] [1, 1, 2] : tensor<?x?x8xf32> into tensor<?x?x16xf32>
  %1 = tensor.extract_slice %0[0, 0, 1] [1, %s, 8] [1, 1, 2] : tensor<?x?x16xf32> to tensor<?x8xf32>
  return %0, %1 : tensor<?x?x16xf32>, tensor<?x8xf32>
}

// Joined, padded and generated tensors.
func.func @concat_pad(
    %a: tensor<?x?x8xf32> {transformer.name = "a", transformer.dims = ["B", "S", ""]},
    %b: tensor<?x?x9xf32> {transformer.name = "b", transformer.dims = ["B", "S", ""]}
  ) -> (tensor<?x?x19xf32> {transformer.name = "y", transformer.dims = ["B", "S", ""]}) {
  %zero = arith.constant -1.5 : f32
  %0 = tensor.concat dim(2) %a, %b : (tensor<?x?x8xf32>, tensor<?x?x9xf32>) -> tensor<?x?x17xf32>
  %1 = tensor.pad %0 low[0, 0, 1] high[0, 0, 1] {
  ^bb0(%i: index, %j: index, %k: index):
  tensor.yield %zero : f32
  } : tensor<?x?x17xf32> to tensor<?x?x19xf32>
  return %1 : tensor<?x?x19xf32>
}

// Loops and branches: a running sum over positions, alternating in sign.
func.func @running_sum(
    %a: tensor<?x?x8xf32> {transformer.name = "a", transformer.dims = ["B", "S", ""]}
  ) -> (tensor<?x?x8xf32> {transformer.name = "y", transformer.dims = ["B", "S", ""]}) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c2 = arith.constant 2 : index
  %zero = arith.constant 0.0 : f32
  %b = tensor.dim %a, %c0 : tensor<?x?x8xf32>
  %s = tensor.dim %a, %c1 : tensor<?x?x8xf32>
  %sum0 = tensor.splat %zero[%b] : tensor<?x1x8xf32>
  %sum, %y = scf.for %i = %c0 to %s step %c1 iter_args(%sum = %sum0, %out = %a) -> (tensor<?x1x8xf32>, tensor<?x?x8xf32>) {
  %x = tensor.extract_slice %a[0, %i, 0] [%b, 1, 8] [1, 1, 1] : tensor<?x?x8xf32> to tensor<?x1x8xf32>
  %rem = arith.remui %i, %c2 : index
  %even = arith.cmpi eq, %rem, %c0 : index
  %next = scf.if %even -> (tensor<?x1x8xf32>) {
  %0 = arith.addf %sum, %x : tensor<?x1x8xf32>
  scf.yield %0 : tensor<?x1x8xf32>
  } else {
  %0 = arith.subf %sum, %x : tensor<?x1x8xf32>
  scf.yield %0 : tensor<?x1x8xf32>
  }
  %1 = tensor.insert_slice %next into %out[0, %i, 0] [%b, 1, 8] [1, 1, 1] : tensor<?x1x8xf32> into tensor<?x?x8xf32>
  scf.yield %next, %1 : tensor<?x1x8xf32>, tensor<?x?x8xf32>
  }
  return %y : tensor<?x?x8xf32>
}
