// The check before dispatches are formed lists everything that has no dispatch.
// RUN: tfopt %s --split-input-file --verify-diagnostics --transformer-check-dispatchable

// What lowering leaves behind passes: generics, caches, views, sizes.
func.func @passes(%x: tensor<?x8xf32>, %c: !transformer.kv_cache<2 x 4 x f32, full>, %k: tensor<1x?x2x4xf32>)
    -> (tensor<?x2x4xf32>, !transformer.kv_cache<2 x 4 x f32, full>) {
  %c0 = arith.constant 0 : index
  %n = tensor.dim %x, %c0 : tensor<?x8xf32>
  %e = tensor.empty(%n) : tensor<?x8xf32>
  %y = linalg.generic {indexing_maps = [affine_map<(d0, d1) -> (d0, d1)>, affine_map<(d0, d1) -> (d0, d1)>],
                       iterator_types = ["parallel", "parallel"]}
      ins(%x : tensor<?x8xf32>) outs(%e : tensor<?x8xf32>) {
  ^bb0(%a: f32, %b: f32):
    %s = arith.addf %a, %a : f32
    linalg.yield %s : f32
  } -> tensor<?x8xf32>
  %z = tensor.expand_shape %y [[0], [1, 2]] output_shape [%n, 2, 4] : tensor<?x8xf32> into tensor<?x2x4xf32>
  %d = transformer.cache_append %c, %k, %k
      : !transformer.kv_cache<2 x 4 x f32, full>, tensor<1x?x2x4xf32>, tensor<1x?x2x4xf32>
  return %z, %d : tensor<?x2x4xf32>, !transformer.kv_cache<2 x 4 x f32, full>
}

// -----

// All that is left is listed, each with its reason.
func.func @lists(%x: tensor<4xf32>, %i: index, %s: tensor<1xindex>) -> tensor<4xf32> {
  // expected-error @+1 {{'tensor.generate' op has a region; entry functions are straight-line code}}
  %0 = tensor.generate %i {
  ^bb0(%j: index):
    %v = arith.constant 1.0 : f32
    tensor.yield %v : f32
  } : tensor<?xf32>
  // expected-error @+1 {{'arith.constant' op holds data in the IR; make it a weight}}
  %1 = arith.constant dense<[1.0, 2.0, 3.0, 4.0]> : tensor<4xf32>
  // expected-error @+1 {{'tensor.reshape' op has no form in linalg; rewrite it with transformer or linalg ops}}
  %2 = tensor.reshape %x(%s) : (tensor<4xf32>, tensor<1xindex>) -> tensor<4xf32>
  return %1 : tensor<4xf32>
}

// -----

// Two results of one generic have no dispatch.
func.func @two(%x: tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>) {
  %e = tensor.empty() : tensor<4xf32>
  // expected-error @+1 {{makes several results; a dispatch computes one tensor, so split it}}
  %0:2 = linalg.generic {indexing_maps = [affine_map<(d0) -> (d0)>, affine_map<(d0) -> (d0)>, affine_map<(d0) -> (d0)>],
                         iterator_types = ["parallel"]}
      ins(%x : tensor<4xf32>) outs(%e, %e : tensor<4xf32>, tensor<4xf32>) {
  ^bb0(%a: f32, %b: f32, %c: f32):
    linalg.yield %a, %a : f32, f32
  } -> (tensor<4xf32>, tensor<4xf32>)
  return %0#0, %0#1 : tensor<4xf32>, tensor<4xf32>
}

// -----

// A cache returned twice would be a copy.
func.func @copied(%c: !transformer.kv_cache<2 x 4 x f32, full>)
    -> (!transformer.kv_cache<2 x 4 x f32, full>, !transformer.kv_cache<2 x 4 x f32, full>) {
  // expected-error @+1 {{expected cache result 1 to be cache argument 1 after its appends; a cache cannot be copied or swapped}}
  return %c, %c : !transformer.kv_cache<2 x 4 x f32, full>, !transformer.kv_cache<2 x 4 x f32, full>
}

// -----

// Caches keep their order: the session owns one buffer for each.
func.func @swapped(%a: !transformer.kv_cache<2 x 4 x f32, full>, %b: !transformer.kv_cache<2 x 4 x f32, full>)
    -> (!transformer.kv_cache<2 x 4 x f32, full>, !transformer.kv_cache<2 x 4 x f32, full>) {
  // expected-error @+1 {{expected cache result 0 to be cache argument 0 after its appends; a cache cannot be copied or swapped}}
  return %b, %a : !transformer.kv_cache<2 x 4 x f32, full>, !transformer.kv_cache<2 x 4 x f32, full>
}

// -----

// A cache that is not returned would keep what was appended without its caller knowing.
func.func @dropped(%c: !transformer.kv_cache<2 x 4 x f32, full>) {
  // expected-error @+1 {{expected all 1 caches to be returned, but got 0; a cache that is dropped would lose its length}}
  return
}

// -----

// Control flow is not host code.
// expected-error @+1 {{has several blocks; entry functions are straight-line code}}
func.func @blocks(%p: i1, %x: tensor<4xf32>) -> tensor<4xf32> {
  cf.cond_br %p, ^bb1, ^bb2
^bb1:
  return %x : tensor<4xf32>
^bb2:
  return %x : tensor<4xf32>
}

// -----

// Only weights have values of i4.
// expected-error @+1 {{has an argument of i4, which only weights have; make it i8}}
func.func @narrow(%x: tensor<4xi4>) -> tensor<4xi8> {
  %e = tensor.empty() : tensor<4xi8>
  %0 = linalg.generic {indexing_maps = [affine_map<(d0) -> (d0)>, affine_map<(d0) -> (d0)>], iterator_types = ["parallel"]} ins(%x : tensor<4xi4>) outs(%e : tensor<4xi8>) {
  ^bb0(%a: i4, %b: i8):
    %w = arith.extsi %a : i4 to i8
    linalg.yield %w : i8
  } -> tensor<4xi8>
  return %0 : tensor<4xi8>
}

// -----

func.func @narrowed(%x: tensor<4xi8>) -> tensor<4xi4> {
  // expected-error @+1 {{makes values of i4, which only weights have; make them i8}}
  %e = tensor.empty() : tensor<4xi4>
  // expected-error @+1 {{makes values of i4, which only weights have; make them i8}}
  %0 = linalg.generic {indexing_maps = [affine_map<(d0) -> (d0)>, affine_map<(d0) -> (d0)>], iterator_types = ["parallel"]} ins(%x : tensor<4xi8>) outs(%e : tensor<4xi4>) {
  ^bb0(%a: i8, %b: i4):
    %w = arith.trunci %a : i8 to i4
    linalg.yield %w : i4
  } -> tensor<4xi4>
  return %0 : tensor<4xi4>
}
