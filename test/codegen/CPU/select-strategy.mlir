// Each dispatch gets a config, and nothing else changes.
// RUN: tfopt %s --transformer-select-strategy="vector-bytes=32 vector-registers=16" | FileCheck %s
// RUN: tfopt %s --transformer-select-strategy="vector-bytes=64 vector-registers=32" | FileCheck %s --check-prefix=WIDE

#row = affine_map<(d0, d1) -> (d0, d1)>
#x = affine_map<(d0, d1, d2) -> (d0, d2)>
#w = affine_map<(d0, d1, d2) -> (d1, d2)>
#y = affine_map<(d0, d1, d2) -> (d0, d1)>

// An elementwise result is made row by row; a vector has as many f32 as a register.
// CHECK: func private @elementwise
// CHECK-SAME: template = "rows"
// CHECK-SAME: vector = 8
// WIDE: func private @elementwise
// WIDE-SAME: vector = 16
func.func private @elementwise(%x: tensor<?x8xf32>, %o: tensor<?x8xf32>) -> tensor<?x8xf32> attributes {transformer.dispatch} {
  %0 = linalg.generic {indexing_maps = [#row, #row], iterator_types = ["parallel", "parallel"]} ins(%x : tensor<?x8xf32>) outs(%o : tensor<?x8xf32>) {
  ^bb0(%a: f32, %b: f32):
    %s = arith.addf %a, %a : f32
    linalg.yield %s : f32
  } -> tensor<?x8xf32>
  return %0 : tensor<?x8xf32>
}

// A contraction is made in register tiles.
// CHECK: func private @contraction
// CHECK-SAME: template = "tiles"
// WIDE: func private @contraction
// WIDE-SAME: template = "tiles"
func.func private @contraction(%x: tensor<?x8xf32>, %w: tensor<16x8xf32>, %o: tensor<?x16xf32>) -> tensor<?x16xf32> attributes {transformer.dispatch} {
  %zero = arith.constant 0.0 : f32
  %f = linalg.fill ins(%zero : f32) outs(%o : tensor<?x16xf32>) -> tensor<?x16xf32>
  %0 = linalg.generic {indexing_maps = [#x, #w, #y], iterator_types = ["parallel", "parallel", "reduction"]} ins(%x, %w : tensor<?x8xf32>, tensor<16x8xf32>) outs(%f : tensor<?x16xf32>) {
  ^bb0(%a: f32, %b: f32, %c: f32):
    %p = arith.mulf %a, %b : f32
    %s = arith.addf %c, %p : f32
    linalg.yield %s : f32
  } -> tensor<?x16xf32>
  return %0 : tensor<?x16xf32>
}

// One row, as in decoding, needs no rows in its tile.
// CHECK: func private @one_row
// CHECK-SAME: template = "tiles", tile = [1, {{[0-9]+}}]
func.func private @one_row(%x: tensor<1x8xf32>, %w: tensor<16x8xf32>, %o: tensor<1x16xf32>) -> tensor<1x16xf32> attributes {transformer.dispatch} {
  %zero = arith.constant 0.0 : f32
  %f = linalg.fill ins(%zero : f32) outs(%o : tensor<1x16xf32>) -> tensor<1x16xf32>
  %0 = linalg.generic {indexing_maps = [#x, #w, #y], iterator_types = ["parallel", "parallel", "reduction"]} ins(%x, %w : tensor<1x8xf32>, tensor<16x8xf32>) outs(%f : tensor<1x16xf32>) {
  ^bb0(%a: f32, %b: f32, %c: f32):
    %p = arith.mulf %a, %b : f32
    %s = arith.addf %c, %p : f32
    linalg.yield %s : f32
  } -> tensor<1x16xf32>
  return %0 : tensor<1x16xf32>
}

// CHECK: func private @attention
// CHECK-SAME: template = "attention"
func.func private @attention(%q: tensor<?x?x2x8xf32>, %k: tensor<?x?x2x8xf32>, %v: tensor<?x?x2x8xf32>, %o: tensor<?x?x2x8xf32>) -> tensor<?x?x2x8xf32> attributes {transformer.dispatch} {
  %0 = transformer.attention %q, %k, %v scale 0.5 mask <causal> : tensor<?x?x2x8xf32>, tensor<?x?x2x8xf32>, tensor<?x?x2x8xf32> -> tensor<?x?x2x8xf32>
  return %0 : tensor<?x?x2x8xf32>
}

// CHECK: func private @append
// CHECK-SAME: template = "cache_append"
func.func private @append(%k: tensor<?x?x2x8xf32>, %c: !transformer.kv_cache<2 x 8 x f32, full>) -> !transformer.kv_cache<2 x 8 x f32, full> attributes {transformer.dispatch} {
  %0 = transformer.cache_append %c, %k, %k : !transformer.kv_cache<2 x 8 x f32, full>, tensor<?x?x2x8xf32>, tensor<?x?x2x8xf32>
  return %0 : !transformer.kv_cache<2 x 8 x f32, full>
}

// Declined: a config that is there already is kept.
// CHECK: func private @configured
// CHECK-SAME: template = "rows", tile = [1, 2], vector = 2, grain = 3
func.func private @configured(%x: tensor<?x8xf32>, %o: tensor<?x8xf32>) -> tensor<?x8xf32>
    attributes {transformer.dispatch, transformer.config = #transformer.lowering_config<template = "rows", tile = [1, 2], vector = 2, grain = 3>} {
  %0 = linalg.generic {indexing_maps = [#row, #row], iterator_types = ["parallel", "parallel"]} ins(%x : tensor<?x8xf32>) outs(%o : tensor<?x8xf32>) {
  ^bb0(%a: f32, %b: f32):
    %s = arith.addf %a, %a : f32
    linalg.yield %s : f32
  } -> tensor<?x8xf32>
  return %0 : tensor<?x8xf32>
}

// Declined: only dispatches have configs.
// CHECK: func @entry
// CHECK-NOT: transformer.config
func.func @entry(%x: tensor<?x8xf32>) -> tensor<?x8xf32> {
  return %x : tensor<?x8xf32>
}

// Weights by name can be packed: the contraction template, with the tile that wastes the least of its last panel.
// CHECK: func private @projection
// CHECK-SAME: template = "contraction", tile = [6, 16], block = [132, 64, 1], vector = 8
// WIDE: func private @projection
// WIDE-SAME: template = "contraction", tile = [8, 48], block = [128, 64, 1], vector = 16
transformer.weight @projected : tensor<96x64xf32> from "model.safetensors"
func.func @use_projection(%x: tensor<?x64xf32>, %o: tensor<?x96xf32>) -> tensor<?x96xf32> {
  %w = transformer.use @projected : tensor<96x64xf32>
  %0 = transformer.launch @projection ins(%x, %w : tensor<?x64xf32>, tensor<96x64xf32>) outs(%o : tensor<?x96xf32>) -> tensor<?x96xf32>
  return %0 : tensor<?x96xf32>
}
func.func private @projection(%x: tensor<?x64xf32>, %w: tensor<96x64xf32>, %o: tensor<?x96xf32>) -> tensor<?x96xf32> attributes {transformer.dispatch} {
  %zero = arith.constant 0.0 : f32
  %f = linalg.fill ins(%zero : f32) outs(%o : tensor<?x96xf32>) -> tensor<?x96xf32>
  %0 = linalg.generic {indexing_maps = [#x, #w, #y], iterator_types = ["parallel", "parallel", "reduction"]} ins(%x, %w : tensor<?x64xf32>, tensor<96x64xf32>) outs(%f : tensor<?x96xf32>) {
  ^bb0(%a: f32, %b: f32, %c: f32):
    %p = arith.mulf %a, %b : f32
    %s = arith.addf %c, %p : f32
    linalg.yield %s : f32
  } -> tensor<?x96xf32>
  return %0 : tensor<?x96xf32>
}
