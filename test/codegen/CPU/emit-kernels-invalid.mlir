// What emit-kernels refuses.
// RUN: tfopt %s --split-input-file --verify-diagnostics --transformer-emit-kernels

// expected-error @+1 {{has no lowering config; run transformer-select-strategy first}}
func.func private @undecided(%o: tensor<4xf32>) -> tensor<4xf32> attributes {transformer.dispatch} {
  %zero = arith.constant 0.0 : f32
  %0 = linalg.fill ins(%zero : f32) outs(%o : tensor<4xf32>) -> tensor<4xf32>
  return %0 : tensor<4xf32>
}

// -----

// expected-error @+1 {{names the unknown kernel template "columns"}}
func.func private @unknown(%o: tensor<4xf32>) -> tensor<4xf32>
    attributes {transformer.dispatch, transformer.config = #transformer.lowering_config<template = "columns", tile = [1, 1], vector = 8, grain = 1>} {
  %zero = arith.constant 0.0 : f32
  %0 = linalg.fill ins(%zero : f32) outs(%o : tensor<4xf32>) -> tensor<4xf32>
  return %0 : tensor<4xf32>
}

// -----

func.func private @shifted(%x: tensor<4xf32>, %o: tensor<8xf32>) -> tensor<8xf32>
    attributes {transformer.dispatch, transformer.config = #transformer.lowering_config<template = "rows", tile = [1, 8], vector = 8, grain = 1>} {
  // expected-error @+1 {{expected a result map that is a permutation of the parallel loops}}
  %0 = linalg.generic {indexing_maps = [affine_map<(d0) -> (d0)>, affine_map<(d0) -> (d0 * 2)>], iterator_types = ["parallel"]}
      ins(%x : tensor<4xf32>) outs(%o : tensor<8xf32>) {
  ^bb0(%a: f32, %b: f32):
    linalg.yield %a : f32
  } -> tensor<8xf32>
  return %0 : tensor<8xf32>
}

// -----

func.func private @transposed(%x: tensor<4x8xf32>, %o: tensor<8x4xf32>) -> tensor<8x4xf32>
    attributes {transformer.dispatch, transformer.config = #transformer.lowering_config<template = "rows", tile = [1, 8], vector = 8, grain = 1>} {
  // expected-error @+1 {{expected an identity result map; transpose the inputs instead}}
  %0 = linalg.generic {indexing_maps = [affine_map<(d0, d1) -> (d0, d1)>, affine_map<(d0, d1) -> (d1, d0)>], iterator_types = ["parallel", "parallel"]}
      ins(%x : tensor<4x8xf32>) outs(%o : tensor<8x4xf32>) {
  ^bb0(%a: f32, %b: f32):
    linalg.yield %a : f32
  } -> tensor<8x4xf32>
  return %0 : tensor<8x4xf32>
}

// -----

func.func private @append(%k: tensor<?x?x2x8xf32>, %c: !transformer.kv_cache<2 x 8 x f32, full>) -> !transformer.kv_cache<2 x 8 x f32, full>
    attributes {transformer.dispatch, transformer.config = #transformer.lowering_config<template = "cache_append", tile = [1, 1], vector = 8, grain = 1>} {
  // expected-error @+1 {{expected a dispatch whose first argument is the number of positions}}
  %0 = transformer.cache_append %c, %k, %k : !transformer.kv_cache<2 x 8 x f32, full>, tensor<?x?x2x8xf32>, tensor<?x?x2x8xf32>
  return %0 : !transformer.kv_cache<2 x 8 x f32, full>
}

// -----

func.func private @unpacked(%x: tensor<?x16xf32>, %w: tensor<16x16xf32>, %o: tensor<?x16xf32>) -> tensor<?x16xf32>
    attributes {transformer.dispatch, transformer.config = #transformer.lowering_config<template = "contraction", tile = [2, 16], block = [8, 16, 1, 1, 16, 2, 1], vector = 8, grain = 1>} {
  %zero = arith.constant 0.0 : f32
  %f = linalg.fill ins(%zero : f32) outs(%o : tensor<?x16xf32>) -> tensor<?x16xf32>
  // expected-error @+1 {{expected weights packed as #transformer.packed<16 x 1>, but got 'tensor<16x16xf32>'}}
  %0 = linalg.generic {indexing_maps = [affine_map<(d0, d1, d2) -> (d0, d2)>, affine_map<(d0, d1, d2) -> (d1, d2)>, affine_map<(d0, d1, d2) -> (d0, d1)>],
                       iterator_types = ["parallel", "parallel", "reduction"]} ins(%x, %w : tensor<?x16xf32>, tensor<16x16xf32>) outs(%f : tensor<?x16xf32>) {
  ^bb0(%a: f32, %b: f32, %c: f32):
    %p = arith.mulf %a, %b : f32
    %s = arith.addf %c, %p : f32
    linalg.yield %s : f32
  } -> tensor<?x16xf32>
  return %0 : tensor<?x16xf32>
}

// -----

// expected-error @+1 {{expected a config with a tile of 2 members and a block of 8, but got #transformer.lowering_config<template = "attention", tile = [2, 16], vector = 8, grain = 1>}}
func.func private @attention(%q: tensor<?x?x4x8xf32>, %k: tensor<?x?x2x8xf32>, %o: tensor<?x?x4x8xf32>) -> tensor<?x?x4x8xf32>
    attributes {transformer.dispatch, transformer.config = #transformer.lowering_config<template = "attention", tile = [2, 16], vector = 8, grain = 1>} {
  %0 = transformer.attention %q, %k, %k scale 0.5 mask <causal> : tensor<?x?x4x8xf32>, tensor<?x?x2x8xf32>, tensor<?x?x2x8xf32> -> tensor<?x?x4x8xf32>
  return %0 : tensor<?x?x4x8xf32>
}

// -----

#x = affine_map<(d0, d1, d2) -> (d0, d2)>
#w = affine_map<(d0, d1, d2) -> (d1, d2)>
#y = affine_map<(d0, d1, d2) -> (d0, d1)>
func.func private @unbiased(%x: tensor<?x16xi8>, %w: tensor<16x16xi8, #transformer.packed<16 x 4>>, %o: tensor<?x16xi32>) -> tensor<?x16xi32>
    attributes {transformer.dispatch, transformer.config = #transformer.lowering_config<template = "contraction", tile = [2, 16], block = [8, 4, 4, 1, 4, 2, 1], vector = 16, grain = 1>} {
  %zero = arith.constant 0 : i32
  %f = linalg.fill ins(%zero : i32) outs(%o : tensor<?x16xi32>) -> tensor<?x16xi32>
  // expected-error @+1 {{expected weights packed as #transformer.packed<16 x 4, bias 128>, but got 'tensor<16x16xi8, #transformer.packed<16 x 4>>'}}
  %0 = linalg.generic {indexing_maps = [#x, #w, #y], iterator_types = ["parallel", "parallel", "reduction"]} ins(%x, %w : tensor<?x16xi8>, tensor<16x16xi8, #transformer.packed<16 x 4>>) outs(%f : tensor<?x16xi32>) {
  ^bb0(%a: i8, %b: i8, %c: i32):
    %l = arith.extsi %a : i8 to i32
    %r = arith.extsi %b : i8 to i32
    %p = arith.muli %l, %r : i32
    %s = arith.addi %c, %p : i32
    linalg.yield %s : i32
  } -> tensor<?x16xi32>
  return %0 : tensor<?x16xi32>
}
