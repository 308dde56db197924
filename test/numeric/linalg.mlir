// linalg on tensors
// Goldens: test/goldens/make_numeric.py; run by test/numeric/NumericTest.cpp.

// A vector added to every position.
func.func @broadcast_add(
    %a: tensor<?x?x33xf32> {transformer.name = "a", transformer.dims = ["B", "S", ""]},
    %b: tensor<33xf32> {transformer.name = "b", transformer.dims = [""]}
  ) -> (tensor<?x?x33xf32> {transformer.name = "y", transformer.dims = ["B", "S", ""]}) {
  %0 = linalg.generic {indexing_maps = [affine_map<(d0, d1, d2) -> (d0, d1, d2)>, affine_map<(d0, d1, d2) -> (d2)>, affine_map<(d0, d1, d2) -> (d0, d1, d2)>], iterator_types = ["parallel", "parallel", "parallel"]} ins(%a, %b : tensor<?x?x33xf32>, tensor<33xf32>) outs(%a : tensor<?x?x33xf32>) {
  ^bb0(%x: f32, %y: f32, %out: f32):
  %1 = arith.addf %x, %y : f32
  linalg.yield %1 : f32
  } -> tensor<?x?x33xf32>
  return %0 : tensor<?x?x33xf32>
}

// A generic sum of squares over the last dimension, from a filled start.
func.func @sum_of_squares(
    %a: tensor<?x?x33xf32> {transformer.name = "a", transformer.dims = ["B", "S", ""]}
  ) -> (tensor<?x?xf32> {transformer.name = "y", transformer.dims = ["B", "S"]}) {
  %zero = arith.constant 0.0 : f32
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %b = tensor.dim %a, %c0 : tensor<?x?x33xf32>
  %s = tensor.dim %a, %c1 : tensor<?x?x33xf32>
  %empty = tensor.empty(%b, %s) : tensor<?x?xf32>
  %start = linalg.fill ins(%zero : f32) outs(%empty : tensor<?x?xf32>) -> tensor<?x?xf32>
  %0 = linalg.generic {indexing_maps = [affine_map<(d0, d1, d2) -> (d0, d1, d2)>, affine_map<(d0, d1, d2) -> (d0, d1)>], iterator_types = ["parallel", "parallel", "reduction"]} ins(%a : tensor<?x?x33xf32>) outs(%start : tensor<?x?xf32>) {
  ^bb0(%x: f32, %sum: f32):
  %1 = arith.mulf %x, %x : f32
  %2 = arith.addf %sum, %1 : f32
  linalg.yield %2 : f32
  } -> tensor<?x?xf32>
  return %0 : tensor<?x?xf32>
}

// The body reads its loop indices and a captured table: every position gets its row.
func.func @add_position_rows(
    %a: tensor<?x?x8xf32> {transformer.name = "a", transformer.dims = ["B", "S", ""]},
    %table: tensor<32x8xf32> {transformer.name = "table", transformer.dims = ["", ""]}
  ) -> (tensor<?x?x8xf32> {transformer.name = "y", transformer.dims = ["B", "S", ""]}) {
  %0 = linalg.generic {indexing_maps = [affine_map<(d0, d1, d2) -> (d0, d1, d2)>], iterator_types = ["parallel", "parallel", "parallel"]} outs(%a : tensor<?x?x8xf32>) {
  ^bb0(%x: f32):
  %i = linalg.index 1 : index
  %j = linalg.index 2 : index
  %1 = tensor.extract %table[%i, %j] : tensor<32x8xf32>
  %2 = arith.addf %x, %1 : f32
  linalg.yield %2 : f32
  } -> tensor<?x?x8xf32>
  return %0 : tensor<?x?x8xf32>
}

// softmax over the last dimension.
func.func @softmax_last(
    %a: tensor<?x?x33xf32> {transformer.name = "a", transformer.dims = ["B", "S", ""]}
  ) -> (tensor<?x?x33xf32> {transformer.name = "y", transformer.dims = ["B", "S", ""]}) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %b = tensor.dim %a, %c0 : tensor<?x?x33xf32>
  %s = tensor.dim %a, %c1 : tensor<?x?x33xf32>
  %empty = tensor.empty(%b, %s) : tensor<?x?x33xf32>
  %0 = linalg.softmax dimension(2) ins(%a : tensor<?x?x33xf32>) outs(%empty : tensor<?x?x33xf32>) -> tensor<?x?x33xf32>
  return %0 : tensor<?x?x33xf32>
}

// softmax over a dynamic dimension in the middle.
func.func @softmax_middle(
    %a: tensor<?x?x8xf32> {transformer.name = "a", transformer.dims = ["B", "S", ""]}
  ) -> (tensor<?x?x8xf32> {transformer.name = "y", transformer.dims = ["B", "S", ""]}) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %b = tensor.dim %a, %c0 : tensor<?x?x8xf32>
  %s = tensor.dim %a, %c1 : tensor<?x?x8xf32>
  %empty = tensor.empty(%b, %s) : tensor<?x?x8xf32>
  %0 = linalg.softmax dimension(1) ins(%a : tensor<?x?x8xf32>) outs(%empty : tensor<?x?x8xf32>) -> tensor<?x?x8xf32>
  return %0 : tensor<?x?x8xf32>
}

// Named ops: transpose, batched product, broadcast, reduction.
func.func @named_ops(
    %a: tensor<?x?x8xf32> {transformer.name = "a", transformer.dims = ["B", "S", ""]},
    %b: tensor<?x?x8xf32> {transformer.name = "b", transformer.dims = ["B", "S", ""]}
  ) -> (tensor<?x?x8xf32> {transformer.name = "y", transformer.dims = ["B", "S", ""]}, tensor<?xf32> {transformer.name = "sums", transformer.dims = ["B"]}) {
  %zero = arith.constant 0.0 : f32
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %rows = tensor.dim %a, %c0 : tensor<?x?x8xf32>
  %s = tensor.dim %a, %c1 : tensor<?x?x8xf32>
  %e0 = tensor.empty(%rows, %s) : tensor<?x8x?xf32>
  %t = linalg.transpose ins(%a : tensor<?x?x8xf32>) outs(%e0 : tensor<?x8x?xf32>) permutation = [0, 2, 1]
  %e1 = tensor.empty(%rows) : tensor<?x8x8xf32>
  %z = linalg.fill ins(%zero : f32) outs(%e1 : tensor<?x8x8xf32>) -> tensor<?x8x8xf32>
  %gram = linalg.batch_matmul ins(%t, %b : tensor<?x8x?xf32>, tensor<?x?x8xf32>) outs(%z : tensor<?x8x8xf32>) -> tensor<?x8x8xf32>
  %e2 = tensor.empty(%rows) : tensor<?xf32>
  %z2 = linalg.fill ins(%zero : f32) outs(%e2 : tensor<?xf32>) -> tensor<?xf32>
  %sums = linalg.reduce { arith.addf } ins(%gram : tensor<?x8x8xf32>) outs(%z2 : tensor<?xf32>) dimensions = [1, 2]
  %e3 = tensor.empty(%rows, %s) : tensor<?x?x8xf32>
  %wide = linalg.broadcast ins(%sums : tensor<?xf32>) outs(%e3 : tensor<?x?x8xf32>) dimensions = [1, 2]
  %y = linalg.mul ins(%wide, %b : tensor<?x?x8xf32>, tensor<?x?x8xf32>) outs(%e3 : tensor<?x?x8xf32>) -> tensor<?x?x8xf32>
  return %y, %sums : tensor<?x?x8xf32>, tensor<?xf32>
}
