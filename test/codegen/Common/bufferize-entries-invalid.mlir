// What bufferize-entries refuses.
// RUN: tfopt %s --split-input-file --verify-diagnostics --transformer-bufferize-entries

// expected-error @+1 {{expected argument 0 of an entry point to be a ranked tensor or a cache, but got 'f32'}}
func.func @scalar(%x: f32) {
  return
}

// -----

// expected-error @+1 {{expected a name for dimension 1 of argument 0, which is dynamic; add {transformer.dims = ["B", …]}}}
func.func @unnamed(%x: tensor<4x?xf32>) {
  return
}

// -----

// expected-error @+1 {{expected the dimensions of result 0 to be named by an argument, but none has "S"}}
func.func @unbound(%x: tensor<4xf32>) -> (tensor<?xf32> {transformer.dims = ["S"]}) {
  %0 = tensor.cast %x : tensor<4xf32> to tensor<?xf32>
  return %0 : tensor<?xf32>
}

// -----

func.func @argument(%x: tensor<4xf32>) -> tensor<4xf32> {
  // expected-error @+1 {{expected result 0 to be computed by the function; it is an input or a weight}}
  return %x : tensor<4xf32>
}

// -----

func.func private @k(memref<4xf32>, memref<4xf32>, index, index)
    attributes {transformer.dispatch, transformer.grid = array<i64>,
                transformer.config = #transformer.lowering_config<template = "rows", tile = [1, 8], vector = 8, grain = 1>}
func.func @twice(%x: tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>) {
  %e = tensor.empty() : tensor<4xf32>
  %0 = transformer.launch @k ins(%x : tensor<4xf32>) outs(%e : tensor<4xf32>) -> tensor<4xf32>
  // expected-error @+1 {{expected each result once, but result 1 shares its buffer with another}}
  return %0, %0 : tensor<4xf32>, tensor<4xf32>
}

// -----

// How much a cache grows is the first operand of what appends to it.
func.func private @append(memref<?x?x2x8xf32>, memref<?x2x?x8xf32>, memref<?x2x?x8xf32>, memref<?xi32>, index, index, index)
    attributes {transformer.dispatch, transformer.grid = array<i64>,
                transformer.config = #transformer.lowering_config<template = "cache_append", tile = [1, 1], vector = 8, grain = 1>}
func.func @silent(%k: tensor<?x?x2x8xf32> {transformer.dims = ["B", "S", "", ""]}, %c: !transformer.kv_cache<2 x 8 x f32, full>)
    -> !transformer.kv_cache<2 x 8 x f32, full> {
  // expected-error @+1 {{expected the first operand to be the positions appended}}
  %0 = transformer.launch @append ins(%k : tensor<?x?x2x8xf32>) outs(%c : !transformer.kv_cache<2 x 8 x f32, full>) -> !transformer.kv_cache<2 x 8 x f32, full>
  return %0 : !transformer.kv_cache<2 x 8 x f32, full>
}

// -----

func.func private @k(index, memref<4xf32>, index, index)
    attributes {transformer.dispatch, transformer.grid = array<i64>,
                transformer.config = #transformer.lowering_config<template = "rows", tile = [1, 8], vector = 8, grain = 1>}
func.func @which(%x: tensor<4xf32>, %n: tensor<1xindex>) -> tensor<4xf32> {
  // expected-error @+1 {{has no lowering to the host program}}
  %0 = arith.addf %x, %x : tensor<4xf32>
  %e = tensor.empty() : tensor<4xf32>
  %c0 = arith.constant 0 : index
  %1 = transformer.launch @k ins(%c0 : index) outs(%e : tensor<4xf32>) -> tensor<4xf32>
  return %1 : tensor<4xf32>
}

// -----

func.func private @k(index, memref<4xf32>, index, index)
    attributes {transformer.dispatch, transformer.grid = array<i64>,
                transformer.config = #transformer.lowering_config<template = "rows", tile = [1, 8], vector = 8, grain = 1>}
func.func private @opaque() -> index
func.func @dimension(%x: tensor<4x?xf32> {transformer.dims = ["", "S"]}) -> tensor<4xf32> {
  %c0 = arith.constant 0 : index
  %s = tensor.dim %x, %c0 : tensor<4x?xf32>
  // expected-error @+1 {{expected a constant dimension}}
  %d = tensor.dim %x, %s : tensor<4x?xf32>
  %e = tensor.empty() : tensor<4xf32>
  %1 = transformer.launch @k ins(%d : index) outs(%e : tensor<4xf32>) -> tensor<4xf32>
  return %1 : tensor<4xf32>
}

// -----

// The session has one cache of a name.
func.func @one(%c: !transformer.kv_cache<2 x 8 x f32, full> {transformer.name = "c"}) -> !transformer.kv_cache<2 x 8 x f32, full> {
  return %c : !transformer.kv_cache<2 x 8 x f32, full>
}
// expected-error @+1 {{expected cache "c" to be '!transformer.kv_cache<2 x 8 x f32, full>' as in another entry point, but got '!transformer.kv_cache<2 x 4 x f32, full>'}}
func.func @another(%c: !transformer.kv_cache<2 x 4 x f32, full> {transformer.name = "c"}) -> !transformer.kv_cache<2 x 4 x f32, full> {
  return %c : !transformer.kv_cache<2 x 4 x f32, full>
}
