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

#map = affine_map<(d0) -> (d0)>
func.func private @inner(%x: tensor<4xf32>, %o: tensor<4xf32>) -> tensor<4xf32>
    attributes {transformer.dispatch, transformer.config = #transformer.lowering_config<template = "rows", tile = [1, 8], vector = 8, grain = 1>} {
  %e = tensor.empty() : tensor<4xf32>
  %0 = linalg.generic {indexing_maps = [#map, #map], iterator_types = ["parallel"]} ins(%x : tensor<4xf32>) outs(%e : tensor<4xf32>) {
  ^bb0(%a: f32, %b: f32):
    %s = arith.addf %a, %a : f32
    linalg.yield %s : f32
  } -> tensor<4xf32>
  %1 = linalg.generic {indexing_maps = [#map], iterator_types = ["parallel"]} outs(%o : tensor<4xf32>) {
  ^bb0(%b: f32):
    %i = linalg.index 0 : index
    // expected-error @+1 {{expected to read a tensor that comes from outside the dispatch}}
    %v = tensor.extract %0[%i] : tensor<4xf32>
    linalg.yield %v : f32
  } -> tensor<4xf32>
  return %1 : tensor<4xf32>
}
