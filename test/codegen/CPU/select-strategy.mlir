// Each dispatch gets a config, and nothing else changes.
// RUN: tfopt %s --transformer-select-strategy="vector-bytes=32 vector-registers=16" | FileCheck %s
// RUN: tfopt %s --transformer-select-strategy="vector-bytes=64 vector-registers=32" | FileCheck %s --check-prefix=WIDE
// RUN: tfopt %s --transformer-select-strategy="vector-bytes=64 vector-registers=32 int8-depth=4" | FileCheck %s --check-prefix=DOTS
// RUN: tfopt %s --transformer-select-strategy="vector-bytes=32 int8-depth=2" | FileCheck %s --check-prefix=PAIRS
// RUN: tfopt %s --transformer-select-strategy="vector-bytes=16 vector-registers=32" | FileCheck %s --check-prefix=SINGLES

#row = affine_map<(d0, d1) -> (d0, d1)>
#xs = affine_map<(d0, d1, d2, d3) -> (d0, d1, d3)>
#ws = affine_map<(d0, d1, d2, d3) -> (d2, d3)>
#ys = affine_map<(d0, d1, d2, d3) -> (d0, d1, d2)>
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

// One position reads keys one after the other for one head, on x86.
// CHECK: func private @attend
// CHECK-SAME: template = "attention", tile = [6, 16], block = [1, 16, 1, 1, 16, 256, 4, 1]
// WIDE: func private @attend
// WIDE-SAME: template = "attention", tile = [6, 64], block = [1, 64, 1, 1, 16, 256, 2, 1]
// SINGLES: func private @attend
// SINGLES-SAME: template = "attention", tile = [6, 16], block = [1, 96, 1, 1, 16, 256, 2, 0]
func.func private @attend(%q: tensor<?x1x2x64xf32>, %c: !transformer.kv_cache<2 x 64 x f32, full>, %o: tensor<?x1x2x64xf32>) -> tensor<?x1x2x64xf32> attributes {transformer.dispatch} {
  %0 = transformer.attention %q cache %c scale 0.5 mask <causal> : tensor<?x1x2x64xf32>, !transformer.kv_cache<2 x 64 x f32, full> -> tensor<?x1x2x64xf32>
  return %0 : tensor<?x1x2x64xf32>
}

// And for two heads, where a key is four vectors or more.
// CHECK: func private @two
// CHECK-SAME: block = [1, 16, 1, 1, 32, 256, 4, 1]
// WIDE: func private @two
// WIDE-SAME: block = [1, 64, 1, 1, 32, 256, 2, 1]
func.func private @two(%q: tensor<?x1x2x64xf32>, %c: !transformer.kv_cache<1 x 64 x f32, full>, %o: tensor<?x1x2x64xf32>) -> tensor<?x1x2x64xf32> attributes {transformer.dispatch} {
  %0 = transformer.attention %q cache %c scale 0.5 mask <causal> : tensor<?x1x2x64xf32>, !transformer.kv_cache<1 x 64 x f32, full> -> tensor<?x1x2x64xf32>
  return %0 : tensor<?x1x2x64xf32>
}
// WIDE: func private @two_short
// WIDE-SAME: block = [1, 64, 1, 1, 32, 256, 2, 0]
func.func private @two_short(%q: tensor<?x1x2x32xf32>, %c: !transformer.kv_cache<1 x 32 x f32, full>, %o: tensor<?x1x2x32xf32>) -> tensor<?x1x2x32xf32> attributes {transformer.dispatch} {
  %0 = transformer.attention %q cache %c scale 0.5 mask <causal> : tensor<?x1x2x32xf32>, !transformer.kv_cache<1 x 32 x f32, full> -> tensor<?x1x2x32xf32>
  return %0 : tensor<?x1x2x32xf32>
}

// CHECK: func private @grouped
// CHECK-SAME: block = [1, {{[0-9]+}}, 1, 1, 16, 256, 4, 0]
func.func private @grouped(%q: tensor<?x1x6x64xf32>, %c: !transformer.kv_cache<2 x 64 x f32, full>, %o: tensor<?x1x6x64xf32>) -> tensor<?x1x6x64xf32> attributes {transformer.dispatch} {
  %0 = transformer.attention %q cache %c scale 0.5 mask <causal> : tensor<?x1x6x64xf32>, !transformer.kv_cache<2 x 64 x f32, full> -> tensor<?x1x6x64xf32>
  return %0 : tensor<?x1x6x64xf32>
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
// CHECK-SAME: template = "contraction", tile = [6, 16], block = [48, 64, 1, 16, 64, 4, 4], vector = 8
// WIDE: func private @projection
// WIDE-SAME: template = "contraction", tile = [8, 48], block = [24, 64, 1, 16, 64, 2, 1], vector = 16
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

// Products of bytes: the k of a step is what the target sums in one instruction, twice that of i4, which are two to a byte.
// DOTS: func private @bytes
// DOTS-SAME: template = "contraction", tile = [12, 32], block = [24, 16, 4, 1, 16, 2, 1], vector = 16
// PAIRS: func private @bytes
// PAIRS-SAME: template = "contraction", tile = [4, 16], block = [48, 32, 2, 1, 32, 2, 4], vector = 8
// SINGLES: func private @bytes
// SINGLES-SAME: template = "contraction", tile = [6, 16], block = [48, 64, 1, 1, 64, 2, 1], vector = 4
transformer.weight @bytes.weight : tensor<96x64xi8> from "model.safetensors"
func.func @use_bytes(%x: tensor<?x64xi8>, %o: tensor<?x96xi32>) -> tensor<?x96xi32> {
  %w = transformer.use @bytes.weight : tensor<96x64xi8>
  %0 = transformer.launch @bytes ins(%x, %w : tensor<?x64xi8>, tensor<96x64xi8>) outs(%o : tensor<?x96xi32>) -> tensor<?x96xi32>
  return %0 : tensor<?x96xi32>
}
func.func private @bytes(%x: tensor<?x64xi8>, %w: tensor<96x64xi8>, %o: tensor<?x96xi32>) -> tensor<?x96xi32>
    attributes {transformer.dispatch} {
  %zero = arith.constant 0 : i32
  %f = linalg.fill ins(%zero : i32) outs(%o : tensor<?x96xi32>) -> tensor<?x96xi32>
  %0 = linalg.generic {indexing_maps = [#x, #w, #y], iterator_types = ["parallel", "parallel", "reduction"]} ins(%x, %w : tensor<?x64xi8>, tensor<96x64xi8>) outs(%f : tensor<?x96xi32>) {
  ^bb0(%a: i8, %b: i8, %c: i32):
    %l = arith.extsi %a : i8 to i32
    %r = arith.extsi %b : i8 to i32
    %p = arith.muli %l, %r : i32
    %s = arith.addi %c, %p : i32
    linalg.yield %s : i32
  } -> tensor<?x96xi32>
  return %0 : tensor<?x96xi32>
}

// DOTS: func private @halves
// DOTS-SAME: template = "contraction", tile = [12, 32], block = [24, 8, 8, 1, 8, 2, 1], vector = 16
// PAIRS: func private @halves
// PAIRS-SAME: template = "contraction", tile = [4, 16], block = [48, 16, 4, 1, 16, 2, 1], vector = 8
// SINGLES: func private @halves
// SINGLES-SAME: template = "contraction", tile = [8, 8], block = [64, 32, 2, 1, 32, 2, 1], vector = 4
transformer.weight @halves.weight : tensor<96x64xi4> from "model.safetensors"
func.func @use_halves(%x: tensor<?x64xi8>, %o: tensor<?x96xi32>) -> tensor<?x96xi32> {
  %w = transformer.use @halves.weight : tensor<96x64xi4>
  %0 = transformer.launch @halves ins(%x, %w : tensor<?x64xi8>, tensor<96x64xi4>) outs(%o : tensor<?x96xi32>) -> tensor<?x96xi32>
  return %0 : tensor<?x96xi32>
}
func.func private @halves(%x: tensor<?x64xi8>, %w: tensor<96x64xi4>, %o: tensor<?x96xi32>) -> tensor<?x96xi32>
    attributes {transformer.dispatch} {
  %zero = arith.constant 0 : i32
  %f = linalg.fill ins(%zero : i32) outs(%o : tensor<?x96xi32>) -> tensor<?x96xi32>
  %0 = linalg.generic {indexing_maps = [#x, #w, #y], iterator_types = ["parallel", "parallel", "reduction"]} ins(%x, %w : tensor<?x64xi8>, tensor<96x64xi4>) outs(%f : tensor<?x96xi32>) {
  ^bb0(%a: i8, %b: i4, %c: i32):
    %l = arith.extsi %a : i8 to i32
    %r = arith.extsi %b : i4 to i32
    %p = arith.muli %l, %r : i32
    %s = arith.addi %c, %p : i32
    linalg.yield %s : i32
  } -> tensor<?x96xi32>
  return %0 : tensor<?x96xi32>
}

// A few rows are cut in equal parts, one row is a tile of its own.
// DOTS: func private @few
// DOTS-SAME: template = "contraction", tile = [8, 32]
// DOTS: func private @one
// DOTS-SAME: template = "contraction", tile = [1, 32]
// PAIRS: func private @one
// PAIRS-SAME: template = "contraction", tile = [1, 16], block = [48, 32, 2, 1, 32, 2, 4]
func.func @use_few(%x: tensor<16x64xi8>, %o: tensor<16x96xi32>) -> tensor<16x96xi32> {
  %w = transformer.use @bytes.weight : tensor<96x64xi8>
  %0 = transformer.launch @few ins(%x, %w : tensor<16x64xi8>, tensor<96x64xi8>) outs(%o : tensor<16x96xi32>) -> tensor<16x96xi32>
  return %0 : tensor<16x96xi32>
}
func.func private @few(%x: tensor<16x64xi8>, %w: tensor<96x64xi8>, %o: tensor<16x96xi32>) -> tensor<16x96xi32>
    attributes {transformer.dispatch} {
  %zero = arith.constant 0 : i32
  %f = linalg.fill ins(%zero : i32) outs(%o : tensor<16x96xi32>) -> tensor<16x96xi32>
  %0 = linalg.generic {indexing_maps = [#x, #w, #y], iterator_types = ["parallel", "parallel", "reduction"]} ins(%x, %w : tensor<16x64xi8>, tensor<96x64xi8>) outs(%f : tensor<16x96xi32>) {
  ^bb0(%a: i8, %b: i8, %c: i32):
    %l = arith.extsi %a : i8 to i32
    %r = arith.extsi %b : i8 to i32
    %p = arith.muli %l, %r : i32
    %s = arith.addi %c, %p : i32
    linalg.yield %s : i32
  } -> tensor<16x96xi32>
  return %0 : tensor<16x96xi32>
}
func.func @use_one(%x: tensor<1x64xi8>, %o: tensor<1x96xi32>) -> tensor<1x96xi32> {
  %w = transformer.use @bytes.weight : tensor<96x64xi8>
  %0 = transformer.launch @one ins(%x, %w : tensor<1x64xi8>, tensor<96x64xi8>) outs(%o : tensor<1x96xi32>) -> tensor<1x96xi32>
  return %0 : tensor<1x96xi32>
}
func.func private @one(%x: tensor<1x64xi8>, %w: tensor<96x64xi8>, %o: tensor<1x96xi32>) -> tensor<1x96xi32>
    attributes {transformer.dispatch} {
  %zero = arith.constant 0 : i32
  %f = linalg.fill ins(%zero : i32) outs(%o : tensor<1x96xi32>) -> tensor<1x96xi32>
  %0 = linalg.generic {indexing_maps = [#x, #w, #y], iterator_types = ["parallel", "parallel", "reduction"]} ins(%x, %w : tensor<1x64xi8>, tensor<96x64xi8>) outs(%f : tensor<1x96xi32>) {
  ^bb0(%a: i8, %b: i8, %c: i32):
    %l = arith.extsi %a : i8 to i32
    %r = arith.extsi %b : i8 to i32
    %p = arith.muli %l, %r : i32
    %s = arith.addi %c, %p : i32
    linalg.yield %s : i32
  } -> tensor<1x96xi32>
  return %0 : tensor<1x96xi32>
}

// Declined: a type whose products no kernel makes.
// DOTS: func private @words
// DOTS-SAME: template = "tiles"
transformer.weight @words.weight : tensor<96x64xi16> from "model.safetensors"
func.func @use_words(%x: tensor<?x64xi8>, %o: tensor<?x96xi32>) -> tensor<?x96xi32> {
  %w = transformer.use @words.weight : tensor<96x64xi16>
  %0 = transformer.launch @words ins(%x, %w : tensor<?x64xi8>, tensor<96x64xi16>) outs(%o : tensor<?x96xi32>) -> tensor<?x96xi32>
  return %0 : tensor<?x96xi32>
}
func.func private @words(%x: tensor<?x64xi8>, %w: tensor<96x64xi16>, %o: tensor<?x96xi32>) -> tensor<?x96xi32>
    attributes {transformer.dispatch} {
  %zero = arith.constant 0 : i32
  %f = linalg.fill ins(%zero : i32) outs(%o : tensor<?x96xi32>) -> tensor<?x96xi32>
  %0 = linalg.generic {indexing_maps = [#x, #w, #y], iterator_types = ["parallel", "parallel", "reduction"]} ins(%x, %w : tensor<?x64xi8>, tensor<96x64xi16>) outs(%f : tensor<?x96xi32>) {
  ^bb0(%a: i8, %b: i16, %c: i32):
    %l = arith.extsi %a : i8 to i32
    %r = arith.extsi %b : i16 to i32
    %p = arith.muli %l, %r : i32
    %s = arith.addi %c, %p : i32
    linalg.yield %s : i32
  } -> tensor<?x96xi32>
  return %0 : tensor<?x96xi32>
}

// Floats too. Where there are more rows than few, none take turns.
// CHECK: func private @seven
// CHECK-SAME: template = "contraction", tile = [4, 16], block = [48, 64, 1, 16, 64, 4, 1]
// WIDE: func private @seven
// WIDE-SAME: template = "contraction", tile = [7, 48], block = [21, 64, 1, 16, 64, 2, 1]
// CHECK: func private @seventeen
// CHECK-SAME: template = "contraction", tile = [6, 16], block = [48, 64, 1, 1, 64, 4, 1]
func.func @use_seven(%x: tensor<7x64xf32>, %o: tensor<7x96xf32>) -> tensor<7x96xf32> {
  %w = transformer.use @projected : tensor<96x64xf32>
  %0 = transformer.launch @seven ins(%x, %w : tensor<7x64xf32>, tensor<96x64xf32>) outs(%o : tensor<7x96xf32>) -> tensor<7x96xf32>
  return %0 : tensor<7x96xf32>
}
func.func @use_seventeen(%x: tensor<17x64xf32>, %o: tensor<17x96xf32>) -> tensor<17x96xf32> {
  %w = transformer.use @projected : tensor<96x64xf32>
  %0 = transformer.launch @seventeen ins(%x, %w : tensor<17x64xf32>, tensor<96x64xf32>) outs(%o : tensor<17x96xf32>) -> tensor<17x96xf32>
  return %0 : tensor<17x96xf32>
}
func.func private @seven(%x: tensor<7x64xf32>, %w: tensor<96x64xf32>, %o: tensor<7x96xf32>) -> tensor<7x96xf32>
    attributes {transformer.dispatch} {
  %zero = arith.constant 0.0 : f32
  %f = linalg.fill ins(%zero : f32) outs(%o : tensor<7x96xf32>) -> tensor<7x96xf32>
  %0 = linalg.generic {indexing_maps = [#x, #w, #y], iterator_types = ["parallel", "parallel", "reduction"]} ins(%x, %w : tensor<7x64xf32>, tensor<96x64xf32>) outs(%f : tensor<7x96xf32>) {
  ^bb0(%a: f32, %b: f32, %c: f32):
    %p = arith.mulf %a, %b : f32
    %s = arith.addf %c, %p : f32
    linalg.yield %s : f32
  } -> tensor<7x96xf32>
  return %0 : tensor<7x96xf32>
}
func.func private @seventeen(%x: tensor<17x64xf32>, %w: tensor<96x64xf32>, %o: tensor<17x96xf32>) -> tensor<17x96xf32>
    attributes {transformer.dispatch} {
  %zero = arith.constant 0.0 : f32
  %f = linalg.fill ins(%zero : f32) outs(%o : tensor<17x96xf32>) -> tensor<17x96xf32>
  %0 = linalg.generic {indexing_maps = [#x, #w, #y], iterator_types = ["parallel", "parallel", "reduction"]} ins(%x, %w : tensor<17x64xf32>, tensor<96x64xf32>) outs(%f : tensor<17x96xf32>) {
  ^bb0(%a: f32, %b: f32, %c: f32):
    %p = arith.mulf %a, %b : f32
    %s = arith.addf %c, %p : f32
    linalg.yield %s : f32
  } -> tensor<17x96xf32>
  return %0 : tensor<17x96xf32>
}

// One row, which the step of one sequence has, is multiplied with several panels; a prompt is more rows. With 32 registers a
// panel is wide enough.
// CHECK: func private @step
// CHECK-SAME: template = "contraction", tile = [6, 16], block = [48, 64, 1, 16, 64, 4, 4]
// WIDE: func private @step
// WIDE-SAME: template = "contraction", tile = [8, 48], block = [24, 64, 1, 16, 64, 2, 1]
// CHECK: func private @prompt
// CHECK-SAME: template = "contraction", tile = [6, 16], block = [48, 64, 1, 16, 64, 4, 1]
func.func @use_step(%x: tensor<?x1x64xf32>, %o: tensor<?x1x96xf32>) -> tensor<?x1x96xf32> {
  %w = transformer.use @projected : tensor<96x64xf32>
  %0 = transformer.launch @step ins(%x, %w : tensor<?x1x64xf32>, tensor<96x64xf32>) outs(%o : tensor<?x1x96xf32>) -> tensor<?x1x96xf32>
  return %0 : tensor<?x1x96xf32>
}
func.func private @step(%x: tensor<?x1x64xf32>, %w: tensor<96x64xf32>, %o: tensor<?x1x96xf32>) -> tensor<?x1x96xf32>
    attributes {transformer.dispatch} {
  %zero = arith.constant 0.0 : f32
  %f = linalg.fill ins(%zero : f32) outs(%o : tensor<?x1x96xf32>) -> tensor<?x1x96xf32>
  %0 = linalg.generic {indexing_maps = [#xs, #ws, #ys], iterator_types = ["parallel", "parallel", "parallel", "reduction"]} ins(%x, %w : tensor<?x1x64xf32>, tensor<96x64xf32>) outs(%f : tensor<?x1x96xf32>) {
  ^bb0(%a: f32, %b: f32, %c: f32):
    %p = arith.mulf %a, %b : f32
    %s = arith.addf %c, %p : f32
    linalg.yield %s : f32
  } -> tensor<?x1x96xf32>
  return %0 : tensor<?x1x96xf32>
}
func.func @use_prompt(%x: tensor<?x?x64xf32>, %o: tensor<?x?x96xf32>) -> tensor<?x?x96xf32> {
  %w = transformer.use @projected : tensor<96x64xf32>
  %0 = transformer.launch @prompt ins(%x, %w : tensor<?x?x64xf32>, tensor<96x64xf32>) outs(%o : tensor<?x?x96xf32>) -> tensor<?x?x96xf32>
  return %0 : tensor<?x?x96xf32>
}
func.func private @prompt(%x: tensor<?x?x64xf32>, %w: tensor<96x64xf32>, %o: tensor<?x?x96xf32>) -> tensor<?x?x96xf32>
    attributes {transformer.dispatch} {
  %zero = arith.constant 0.0 : f32
  %f = linalg.fill ins(%zero : f32) outs(%o : tensor<?x?x96xf32>) -> tensor<?x?x96xf32>
  %0 = linalg.generic {indexing_maps = [#xs, #ws, #ys], iterator_types = ["parallel", "parallel", "parallel", "reduction"]} ins(%x, %w : tensor<?x?x64xf32>, tensor<96x64xf32>) outs(%f : tensor<?x?x96xf32>) {
  ^bb0(%a: f32, %b: f32, %c: f32):
    %p = arith.mulf %a, %b : f32
    %s = arith.addf %c, %p : f32
    linalg.yield %s : f32
  } -> tensor<?x?x96xf32>
  return %0 : tensor<?x?x96xf32>
}
