// Dispatches become loops on memrefs: inputs, then the result, then the range of tasks.
// RUN: tfopt %s --transformer-emit-kernels --split-input-file | FileCheck %s

#row = affine_map<(d0, d1) -> (d0, d1)>
// rows: one task per row, whole vectors and a masked rest.
// CHECK: func private @rows(%[[X:.*]]: memref<?x?xf32>, %[[O:.*]]: memref<?x?xf32>, %[[BEGIN:.*]]: index, %[[END:.*]]: index)
// CHECK-SAME: transformer.grid = array<i64: 1, 0, 1, 1>
// CHECK: scf.for %{{.*}} = %[[BEGIN]] to %[[END]]
// CHECK: scf.for
// CHECK: vector.load %[[X]]{{.*}} vector<8xf32>
// CHECK: vector.store %{{.*}}, %[[O]]
// CHECK: vector.create_mask
// CHECK: vector.maskedload %[[X]]
// CHECK: vector.maskedstore %[[O]]
func.func private @rows(%x: tensor<?x?xf32>, %o: tensor<?x?xf32>) -> tensor<?x?xf32>
    attributes {transformer.dispatch, transformer.config = #transformer.lowering_config<template = "rows", tile = [1, 8], vector = 8, grain = 1>} {
  %0 = linalg.generic {indexing_maps = [#row, #row], iterator_types = ["parallel", "parallel"]} ins(%x : tensor<?x?xf32>) outs(%o : tensor<?x?xf32>) {
  ^bb0(%a: f32, %b: f32):
    %s = arith.addf %a, %a : f32
    linalg.yield %s : f32
  } -> tensor<?x?xf32>
  return %0 : tensor<?x?xf32>
}

// -----

#row = affine_map<(d0, d1) -> (d0, d1)>
// A row that is whole vectors has no rest.
// CHECK: func private @whole
// CHECK: vector.load
// CHECK-NOT: vector.maskedload
func.func private @whole(%x: tensor<?x16xf32>, %o: tensor<?x16xf32>) -> tensor<?x16xf32>
    attributes {transformer.dispatch, transformer.config = #transformer.lowering_config<template = "rows", tile = [1, 8], vector = 8, grain = 1>} {
  %0 = linalg.generic {indexing_maps = [#row, #row], iterator_types = ["parallel", "parallel"]} ins(%x : tensor<?x16xf32>) outs(%o : tensor<?x16xf32>) {
  ^bb0(%a: f32, %b: f32):
    %s = arith.addf %a, %a : f32
    linalg.yield %s : f32
  } -> tensor<?x16xf32>
  return %0 : tensor<?x16xf32>
}

// -----

#row = affine_map<(d0, d1) -> (d0, d1)>
// Declined: columns that are not neighbours are read one by one.
// CHECK: func private @scalars
// CHECK-NOT: vector.load
// CHECK: memref.load
// CHECK: memref.store
func.func private @scalars(%x: tensor<?x?xf32>, %o: tensor<?x?xf32>) -> tensor<?x?xf32>
    attributes {transformer.dispatch, transformer.config = #transformer.lowering_config<template = "rows", tile = [1, 8], vector = 8, grain = 1>} {
  %0 = linalg.generic {indexing_maps = [affine_map<(d0, d1) -> (d1, d0)>, #row], iterator_types = ["parallel", "parallel"]} ins(%x : tensor<?x?xf32>) outs(%o : tensor<?x?xf32>) {
  ^bb0(%a: f32, %b: f32):
    linalg.yield %a : f32
  } -> tensor<?x?xf32>
  return %0 : tensor<?x?xf32>
}

// -----

#row = affine_map<(d0, d1) -> (d0, d1)>
// Lanes that do not exist hold zeros: they divide by one.
// CHECK: func private @division
// CHECK: vector.create_mask
// CHECK: %[[SAFE:.*]] = arith.select
// CHECK: arith.remsi %{{.*}}, %[[SAFE]]
func.func private @division(%x: tensor<?x3xi32>, %o: tensor<?x3xi32>) -> tensor<?x3xi32>
    attributes {transformer.dispatch, transformer.config = #transformer.lowering_config<template = "rows", tile = [1, 8], vector = 8, grain = 1>} {
  %0 = linalg.generic {indexing_maps = [#row, #row], iterator_types = ["parallel", "parallel"]} ins(%x : tensor<?x3xi32>) outs(%o : tensor<?x3xi32>) {
  ^bb0(%a: i32, %b: i32):
    %s = arith.remsi %a, %a : i32
    linalg.yield %s : i32
  } -> tensor<?x3xi32>
  return %0 : tensor<?x3xi32>
}

// -----

#x = affine_map<(d0, d1, d2) -> (d0, d2)>
#w = affine_map<(d0, d1, d2) -> (d1, d2)>
#y = affine_map<(d0, d1, d2) -> (d0, d1)>
#row = affine_map<(d0, d1) -> (d0, d1)>
// tiles: 2 x 4 accumulators are carried by the loop over k, reduced, and go through the rest of the dispatch.
// CHECK: func private @tiles
// CHECK-SAME: transformer.grid
// CHECK: %{{.*}}:8 = scf.for
// CHECK: vector.reduction <add>
// CHECK: arith.maximumf
// CHECK: memref.store
func.func private @tiles(%x: tensor<?x16xf32>, %w: tensor<16x16xf32>, %o: tensor<?x16xf32>) -> tensor<?x16xf32>
    attributes {transformer.dispatch, transformer.config = #transformer.lowering_config<template = "tiles", tile = [2, 4], vector = 8, grain = 1>} {
  %zero = arith.constant 0.0 : f32
  %c0 = arith.constant 0 : index
  %m = tensor.dim %x, %c0 : tensor<?x16xf32>
  %e = tensor.empty(%m) : tensor<?x16xf32>
  %f = linalg.fill ins(%zero : f32) outs(%e : tensor<?x16xf32>) -> tensor<?x16xf32>
  %0 = linalg.generic {indexing_maps = [#x, #w, #y], iterator_types = ["parallel", "parallel", "reduction"]} ins(%x, %w : tensor<?x16xf32>, tensor<16x16xf32>) outs(%f : tensor<?x16xf32>) {
  ^bb0(%a: f32, %b: f32, %c: f32):
    %p = arith.mulf %a, %b : f32
    %s = arith.addf %c, %p : f32
    linalg.yield %s : f32
  } -> tensor<?x16xf32>
  %1 = linalg.generic {indexing_maps = [#row, #row], iterator_types = ["parallel", "parallel"]} ins(%0 : tensor<?x16xf32>) outs(%o : tensor<?x16xf32>) {
  ^bb0(%a: f32, %b: f32):
    %s = arith.maximumf %a, %zero : f32
    linalg.yield %s : f32
  } -> tensor<?x16xf32>
  return %1 : tensor<?x16xf32>
}

// -----

// attention: a cache is its keys, values, length and what was appended since. Keys are transposed into scratch,
// tile by tile, values copied beside them; scores and output are register tiles of the same kernel. Only where a row's range
// ends are keys compared with it.
// CHECK: func private @attention(%{{.*}}: memref<?x?x4x8xf32>, %[[K:.*]]: memref<?x2x?x8xbf16>, %[[V:.*]]: memref<?x2x?x8xbf16>, %[[N:.*]]: memref<?xi32>, %[[MORE:.*]]: index, %[[O:.*]]: memref<?x?x4x8xf32>, %{{.*}}: index, %{{.*}}: index)
// CHECK-SAME: transformer.grid = array<i64: 5, 0, 1, 1, 5, 2, 2, 1, 5, 1, 4, 1>
// CHECK: memref.load %[[N]]
// CHECK: arith.addi %{{.*}}, %[[MORE]]
// CHECK: vector.load %[[K]]
// CHECK: vector.shuffle
// CHECK: vector.load %[[V]]
// CHECK: vector.fma
// CHECK: %[[SEEN:[0-9]+]] = scf.for %{{.*}} to %[[ENDS:.*]] step
// CHECK-NOT: arith.cmpi
// CHECK: scf.for %{{.*}} = %[[ENDS]] to %{{.*}} iter_args(%{{.*}} = %[[SEEN]])
// CHECK: arith.cmpi slt
// CHECK: vector.reduction <maximumf>
// CHECK: math.roundeven
// CHECK: arith.shli
// CHECK: vector.fma
// CHECK: vector.store %{{.*}}, %[[O]]
func.func private @attention(%q: tensor<?x?x4x8xf32>, %c: !transformer.kv_cache<2 x 8 x bf16, full>, %o: tensor<?x?x4x8xf32>) -> tensor<?x?x4x8xf32>
    attributes {transformer.dispatch, transformer.config = #transformer.lowering_config<template = "attention", tile = [2, 16], block = [4, 32, 1, 1, 1, 256, 2, 0], vector = 8, grain = 1>} {
  %0 = transformer.attention %q cache %c scale 0.5 mask <causal> : tensor<?x?x4x8xf32>, !transformer.kv_cache<2 x 8 x bf16, full> -> tensor<?x?x4x8xf32>
  return %0 : tensor<?x?x4x8xf32>
}

// -----

// One position, keys one after the other: each is read from its first element to its last and multiplied with both heads, and
// its value is asked for meanwhile. Sums are corrected only where a maximum is new.
// CHECK: func private @by_rows(%{{.*}}: memref<?x1x2x64xf32>, %[[K:.*]]: memref<?x1x?x64xf32>, %[[V:.*]]: memref<?x1x?x64xf32>,
// CHECK: %[[KEYS:.*]] = memref.subview %[[K]]
// CHECK: scf.for %[[KEY:.*]] = %{{.*}} to %c8
// CHECK-NOT: memref.prefetch %[[K]]
// CHECK: memref.prefetch %[[V]]
// CHECK: llvm.inline_asm has_side_effects
// CHECK: %{{.*}}:8 = scf.for
// CHECK: %[[X:.*]] = vector.load %[[KEYS]][%[[KEY]],
// CHECK: vector.fma %{{.*}}, %[[X]]
// CHECK: vector.fma %{{.*}}, %[[X]]
// CHECK: %[[NEW:.*]] = vector.reduction <or>
// CHECK: scf.if %[[NEW]]
func.func private @by_rows(%q: tensor<?x1x2x64xf32>, %c: !transformer.kv_cache<1 x 64 x f32, full>, %o: tensor<?x1x2x64xf32>) -> tensor<?x1x2x64xf32>
    attributes {transformer.dispatch, transformer.config = #transformer.lowering_config<template = "attention", tile = [2, 16], block = [1, 16, 1, 1, 1, 256, 2, 1], vector = 8, grain = 1>} {
  %0 = transformer.attention %q cache %c scale 0.5 mask <causal> : tensor<?x1x2x64xf32>, !transformer.kv_cache<1 x 64 x f32, full> -> tensor<?x1x2x64xf32>
  return %0 : tensor<?x1x2x64xf32>
}

// -----

// One position of heads in two tiles that share keys, which are widened once for both. What is asked for comes a line at a time,
// each tile's half: values while scores are summed, the next tile's keys while values are. Values of bf16 are halves of words.
// CHECK: func private @widened_keys(%{{.*}}: memref<?x1x8x64xf32>, %[[K:.*]]: memref<?x1x?x64xbf16>, %[[V:.*]]: memref<?x1x?x64xbf16>,
// CHECK: vector.load %[[K]]
// CHECK-NOT: memref.prefetch
// CHECK: scf.for %[[TILE:.*]] = %{{.*}} to %c2
// CHECK: %{{.*}}:8 = scf.for %{{.*}} to %c16{{.*}} step %c4
// CHECK: arith.muli %[[TILE]], %c128
// CHECK: memref.prefetch %[[V]]
// CHECK-NOT: memref.prefetch
// CHECK: scf.yield
// CHECK: %{{.*}}:8 = scf.for
// CHECK: memref.prefetch %[[K]]
// CHECK: %[[WORDS:.*]] = vector.bitcast %{{.*}} : vector<16xbf16> to vector<8xi32>
// CHECK: arith.shli %[[WORDS]]
// CHECK: arith.andi %[[WORDS]]
// CHECK: vector.fma
func.func private @widened_keys(%q: tensor<?x1x8x64xf32>, %c: !transformer.kv_cache<1 x 64 x bf16, full>, %o: tensor<?x1x8x64xf32>) -> tensor<?x1x8x64xf32>
    attributes {transformer.dispatch, transformer.config = #transformer.lowering_config<template = "attention", tile = [6, 16], block = [1, 64, 1, 1, 1, 256, 2, 0], vector = 8, grain = 1>} {
  %0 = transformer.attention %q cache %c scale 0.5 mask <causal> : tensor<?x1x8x64xf32>, !transformer.kv_cache<1 x 64 x bf16, full> -> tensor<?x1x8x64xf32>
  return %0 : tensor<?x1x8x64xf32>
}

// -----

// cache_append: rounds to the cache's type and leaves the length as it is, since other tasks read it.
// CHECK: func private @append(%{{.*}}: index, %[[NEW:.*]]: memref<?x?x2x8xf32>, %[[K:.*]]: memref<?x2x?x8xbf16>, %[[V:.*]]: memref<?x2x?x8xbf16>, %[[N:.*]]: memref<?xi32>,
// CHECK: memref.load %[[N]]
// CHECK: arith.truncf
// CHECK: vector.store %{{.*}}, %[[K]]
// CHECK: vector.store %{{.*}}, %[[V]]
// CHECK-NOT: memref.store
func.func private @append(%n: index, %k: tensor<?x?x2x8xf32>, %c: !transformer.kv_cache<2 x 8 x bf16, full>) -> !transformer.kv_cache<2 x 8 x bf16, full>
    attributes {transformer.dispatch, transformer.config = #transformer.lowering_config<template = "cache_append", tile = [1, 1], vector = 8, grain = 1>} {
  %0 = transformer.cache_append %c, %k, %k : !transformer.kv_cache<2 x 8 x bf16, full>, tensor<?x?x2x8xf32>, tensor<?x?x2x8xf32>
  return %0 : !transformer.kv_cache<2 x 8 x bf16, full>
}

// -----

#x = affine_map<(d0, d1, d2) -> (d0, d2)>
#w = affine_map<(d0, d1, d2) -> (d1, d2)>
#y = affine_map<(d0, d1, d2) -> (d0, d1)>
#row = affine_map<(d0, d1) -> (d0, d1)>
// contraction: what x is made from is computed into a scratch, tile by tile the accumulators run over k, and the rest of
// the dispatch reads them from a tile in memory, of the rows of one register tile.
// CHECK: func private @contraction(%{{.*}}: memref<?x16xf32>, %[[W:.*]]: memref<2x16x16xf32>
// CHECK-SAME: transformer.grid = array<i64: 2, 0, 8, 1, 2, 1, 16, 1>
// CHECK: %[[SCRATCH:.*]] = memref.alloca() {{.*}} : memref<8x16xf32>
// CHECK: %[[TILE:.*]] = memref.alloca() {{.*}} : memref<2x16xf32>
// CHECK: math.absf
// CHECK: vector.store %{{.*}}, %[[SCRATCH]]
// CHECK: %{{.*}}:4 = scf.for
// CHECK: vector.load %[[W]]
// CHECK: vector.fma
// CHECK: vector.store %{{.*}}, %[[TILE]]
// CHECK: vector.load %[[TILE]]
// CHECK: arith.maximumf
// CHECK-NOT: arith.maximumf
func.func private @contraction(%x: tensor<?x16xf32>, %w: tensor<32x16xf32, #transformer.packed<16 x 1>>, %o: tensor<?x32xf32>) -> tensor<?x32xf32>
    attributes {transformer.dispatch, transformer.config = #transformer.lowering_config<template = "contraction", tile = [2, 16], block = [8, 16, 1, 1, 16, 2, 1], vector = 8, grain = 1>} {
  %zero = arith.constant 0.0 : f32
  %c0 = arith.constant 0 : index
  %m = tensor.dim %x, %c0 : tensor<?x16xf32>
  %ex = tensor.empty(%m) : tensor<?x16xf32>
  %abs = linalg.generic {indexing_maps = [#row, #row], iterator_types = ["parallel", "parallel"]} ins(%x : tensor<?x16xf32>) outs(%ex : tensor<?x16xf32>) {
  ^bb0(%a: f32, %b: f32):
    %s = math.absf %a : f32
    linalg.yield %s : f32
  } -> tensor<?x16xf32>
  %e = tensor.empty(%m) : tensor<?x32xf32>
  %f = linalg.fill ins(%zero : f32) outs(%e : tensor<?x32xf32>) -> tensor<?x32xf32>
  %0 = linalg.generic {indexing_maps = [#x, #w, #y], iterator_types = ["parallel", "parallel", "reduction"]} ins(%abs, %w : tensor<?x16xf32>, tensor<32x16xf32, #transformer.packed<16 x 1>>) outs(%f : tensor<?x32xf32>) {
  ^bb0(%a: f32, %b: f32, %c: f32):
    %p = arith.mulf %a, %b : f32
    %s = arith.addf %c, %p : f32
    linalg.yield %s : f32
  } -> tensor<?x32xf32>
  %1 = linalg.generic {indexing_maps = [#row, #row], iterator_types = ["parallel", "parallel"]} ins(%0 : tensor<?x32xf32>) outs(%o : tensor<?x32xf32>) {
  ^bb0(%a: f32, %b: f32):
    %s = arith.maximumf %a, %zero : f32
    linalg.yield %s : f32
  } -> tensor<?x32xf32>
  return %1 : tensor<?x32xf32>
}

// -----

#x = affine_map<(d0, d1, d2) -> (d0, d2)>
#w = affine_map<(d0, d1, d2) -> (d1, d2)>
#y = affine_map<(d0, d1, d2) -> (d0, d1)>
// Rows are cut into equal register tiles, for each number of which there is a loop. Those of few rows (here 2 to 4) take
// turns of 8 steps, in which they ask for the weights behind them; one row asks for its own.
// CHECK: func private @few(%{{.*}}: memref<?x16xf32>, %[[W:.*]]: memref<2x16x16xf32>
// CHECK: %[[TILE:.*]] = memref.alloca() {{.*}} : memref<4x16xf32>
// CHECK: %[[FEW:.*]] = arith.andi
// CHECK: %[[TURN:.*]] = arith.select %[[FEW]], %{{.*}}, %{{.*}} : index
// CHECK: %[[STEPS:.*]] = arith.select %[[FEW]], %{{.*}}, %{{.*}} : index
// CHECK: scf.for %{{.*}} to %{{.*}} step %[[TURN]]
// CHECK: scf.for %{{.*}} to %{{.*}} step %[[STEPS]]
// CHECK: scf.index_switch
// CHECK-NEXT: case 1 {
// CHECK: %{{.*}}:2 = scf.for
// CHECK: memref.prefetch %[[W]]{{.*}}, locality<2>
// CHECK: default {
// CHECK: vector.load %[[TILE]]
// CHECK: %{{.*}}:4 = scf.for
// CHECK: memref.prefetch %[[W]]{{.*}}, locality<0>
func.func private @few(%x: tensor<?x16xf32>, %w: tensor<32x16xf32, #transformer.packed<16 x 1>>, %o: tensor<?x32xf32>) -> tensor<?x32xf32>
    attributes {transformer.dispatch, transformer.config = #transformer.lowering_config<template = "contraction", tile = [2, 16], block = [8, 16, 1, 4, 8, 2, 1], vector = 8, grain = 1>} {
  %zero = arith.constant 0.0 : f32
  %f = linalg.fill ins(%zero : f32) outs(%o : tensor<?x32xf32>) -> tensor<?x32xf32>
  %0 = linalg.generic {indexing_maps = [#x, #w, #y], iterator_types = ["parallel", "parallel", "reduction"]} ins(%x, %w : tensor<?x16xf32>, tensor<32x16xf32, #transformer.packed<16 x 1>>) outs(%f : tensor<?x32xf32>) {
  ^bb0(%a: f32, %b: f32, %c: f32):
    %p = arith.mulf %a, %b : f32
    %s = arith.addf %c, %p : f32
    linalg.yield %s : f32
  } -> tensor<?x32xf32>
  return %0 : tensor<?x32xf32>
}

// -----

#x = affine_map<(d0, d1, d2) -> (d0, d2)>
#w = affine_map<(d0, d1, d2) -> (d1, d2)>
#y = affine_map<(d0, d1, d2) -> (d0, d1)>
// In a block of four register tiles or more, those of three rows and of two have loops of four steps a turn (four lines of
// weights), each of which asks for one line; fewer tiles and one row have those of two steps. Seventeen steps are four
// turns and one more.
// CHECK: func private @many(%{{.*}}: memref<?x17xf32>, %[[W:.*]]: memref<2x17x16xf32>
// CHECK: %[[MANY:.*]] = arith.cmpi uge, %{{.*}}, %c4{{.*}} : index
// CHECK: %[[LARGE:.*]] = arith.cmpi uge, %[[COUNT:.*]], %c2{{.*}} : index
// CHECK: %[[BOTH:.*]] = arith.andi %[[MANY]], %[[LARGE]] : i1
// CHECK: %[[BEHIND:.*]] = arith.addi %[[COUNT]], %c3{{.*}} : index
// CHECK: %[[LOOP:.*]] = arith.select %[[BOTH]], %[[BEHIND]], %[[COUNT]] : index
// CHECK: scf.index_switch %[[LOOP]]
// CHECK-NEXT: case 5 {
// CHECK: %{{.*}}:4 = scf.for %{{.*}} step %c4
// CHECK-COUNT-16: vector.fma
// CHECK-NOT: vector.fma
// CHECK: %{{.*}}:4 = scf.for %{{.*}} step %c1
// CHECK-COUNT-4: vector.fma
// CHECK-NOT: vector.fma
// CHECK: case 3 {
// CHECK: step %c2
// CHECK: case 2 {
// CHECK: step %c2
// CHECK: case 1 {
// CHECK: step %c2
// CHECK: default {
// CHECK: %{{.*}}:6 = scf.for %{{.*}} step %c4
// CHECK-COUNT-12: vector.fma
// CHECK: memref.prefetch %[[W]]{{.*}}, locality<0>
// CHECK-NOT: prefetch
// CHECK-COUNT-12: vector.fma
// CHECK: %{{.*}}:6 = scf.for %{{.*}} step %c1
func.func private @many(%x: tensor<?x17xf32>, %w: tensor<32x17xf32, #transformer.packed<16 x 1>>, %o: tensor<?x32xf32>) -> tensor<?x32xf32>
    attributes {transformer.dispatch, transformer.config = #transformer.lowering_config<template = "contraction", tile = [3, 16], block = [12, 18, 1, 1, 18, 4, 1], vector = 8, grain = 1>} {
  %zero = arith.constant 0.0 : f32
  %f = linalg.fill ins(%zero : f32) outs(%o : tensor<?x32xf32>) -> tensor<?x32xf32>
  %0 = linalg.generic {indexing_maps = [#x, #w, #y], iterator_types = ["parallel", "parallel", "reduction"]} ins(%x, %w : tensor<?x17xf32>, tensor<32x17xf32, #transformer.packed<16 x 1>>) outs(%f : tensor<?x32xf32>) {
  ^bb0(%a: f32, %b: f32, %c: f32):
    %p = arith.mulf %a, %b : f32
    %s = arith.addf %c, %p : f32
    linalg.yield %s : f32
  } -> tensor<?x32xf32>
  return %0 : tensor<?x32xf32>
}

// -----

#x = affine_map<(d0, d1, d2) -> (d0, d2)>
#w = affine_map<(d0, d1, d2) -> (d1, d2)>
#y = affine_map<(d0, d1, d2) -> (d0, d1)>
// It is known that all register tiles have two rows and are many: there is one loop. Widened rows of a page stand a line
// more than that apart.
// CHECK: func private @apart(%{{.*}}: memref<8x1024xbf16>
// CHECK: memref.alloca() {{.*}} : memref<8x1040xf32>
// CHECK-NOT: case
// CHECK: step %c4
func.func private @apart(%x: tensor<8x1024xbf16>, %w: tensor<16x1024xf32, #transformer.packed<16 x 1>>, %o: tensor<8x16xf32>) -> tensor<8x16xf32>
    attributes {transformer.dispatch, transformer.config = #transformer.lowering_config<template = "contraction", tile = [2, 16], block = [8, 1024, 1, 1, 16, 4, 1], vector = 8, grain = 1>} {
  %zero = arith.constant 0.0 : f32
  %f = linalg.fill ins(%zero : f32) outs(%o : tensor<8x16xf32>) -> tensor<8x16xf32>
  %0 = linalg.generic {indexing_maps = [#x, #w, #y], iterator_types = ["parallel", "parallel", "reduction"]} ins(%x, %w : tensor<8x1024xbf16>, tensor<16x1024xf32, #transformer.packed<16 x 1>>) outs(%f : tensor<8x16xf32>) {
  ^bb0(%a: bf16, %b: f32, %c: f32):
    %l = arith.extf %a : bf16 to f32
    %p = arith.mulf %l, %b : f32
    %s = arith.addf %c, %p : f32
    linalg.yield %s : f32
  } -> tensor<8x16xf32>
  return %0 : tensor<8x16xf32>
}

// -----

#x = affine_map<(d0, d1, d2) -> (d0, d2)>
#w = affine_map<(d0, d1, d2) -> (d1, d2)>
#y = affine_map<(d0, d1, d2) -> (d0, d1)>
// One row is multiplied with two panels at a time, which nothing is asked for ahead: their sums are carried together. What
// is left of the panels, or all of them where there are more rows, goes one by one.
// CHECK: func private @streams(%{{.*}}: memref<?x16xf32>, %[[W:.*]]: memref<3x16x16xf32>
// CHECK-DAG: %[[TILE:.*]] = memref.alloca() {{.*}} : memref<2x16xf32>
// CHECK: %[[ONE:.*]] = arith.cmpi eq, %{{.*}}, %{{.*}} : index
// CHECK: %[[COUNT:.*]] = arith.subi
// CHECK: %[[REST:.*]] = arith.remui %[[COUNT]]
// CHECK: %[[LEFT:.*]] = arith.select %[[ONE]], %[[REST]], %[[COUNT]] : index
// CHECK: %[[MIDDLE:.*]] = arith.subi %{{.*}}, %[[LEFT]] : index
// CHECK: scf.for %[[PANEL:.*]] = %{{.*}} to %[[MIDDLE]] step %{{.*}} {
// CHECK: %[[SECOND:.*]] = arith.addi %[[PANEL]]
// CHECK: %[[SUMS:.*]]:4 = scf.for
// CHECK-NOT: prefetch
// CHECK-COUNT-4: vector.load %[[W]][%[[PANEL]],
// CHECK-COUNT-4: vector.load %[[W]][%[[SECOND]],
// CHECK: vector.store %[[SUMS]]#3, %[[TILE]]
// CHECK: scf.for %{{.*}} = %[[MIDDLE]] to
// CHECK: scf.index_switch
func.func private @streams(%x: tensor<?x16xf32>, %w: tensor<48x16xf32, #transformer.packed<16 x 1>>, %o: tensor<?x48xf32>) -> tensor<?x48xf32>
    attributes {transformer.dispatch, transformer.config = #transformer.lowering_config<template = "contraction", tile = [2, 16], block = [8, 16, 1, 1, 16, 2, 2], vector = 8, grain = 1>} {
  %zero = arith.constant 0.0 : f32
  %f = linalg.fill ins(%zero : f32) outs(%o : tensor<?x48xf32>) -> tensor<?x48xf32>
  %0 = linalg.generic {indexing_maps = [#x, #w, #y], iterator_types = ["parallel", "parallel", "reduction"]} ins(%x, %w : tensor<?x16xf32>, tensor<48x16xf32, #transformer.packed<16 x 1>>) outs(%f : tensor<?x48xf32>) {
  ^bb0(%a: f32, %b: f32, %c: f32):
    %p = arith.mulf %a, %b : f32
    %s = arith.addf %c, %p : f32
    linalg.yield %s : f32
  } -> tensor<?x48xf32>
  return %0 : tensor<?x48xf32>
}

// -----

#x = affine_map<(d0, d1, d2) -> (d0, d2)>
#w = affine_map<(d0, d1, d2) -> (d1, d2)>
#y = affine_map<(d0, d1, d2) -> (d0, d1)>
// Rows of bf16 that no instruction multiplies are widened once. Of three rows there are no tiles but of two and one.
// CHECK: func private @widened(%{{.*}}: memref<3x16xbf16>, %[[W:.*]]: memref<2x16x16xbf16>
// CHECK: %[[SCRATCH:.*]] = memref.alloca() {{.*}} : memref<8x16xf32>
// CHECK: %[[WIDE:.*]] = arith.extf %{{.*}} : vector<8xbf16> to vector<8xf32>
// CHECK: vector.store %[[WIDE]], %[[SCRATCH]]
// CHECK: scf.index_switch
// CHECK-NEXT: case 1 {
// CHECK-NOT: case
// CHECK: memref.load %[[SCRATCH]]
// CHECK: vector.fma
func.func private @widened(%x: tensor<3x16xbf16>, %w: tensor<32x16xbf16, #transformer.packed<16 x 1>>, %o: tensor<3x32xf32>) -> tensor<3x32xf32>
    attributes {transformer.dispatch, transformer.config = #transformer.lowering_config<template = "contraction", tile = [2, 16], block = [8, 16, 1, 1, 16, 2, 1], vector = 8, grain = 1>} {
  %zero = arith.constant 0.0 : f32
  %f = linalg.fill ins(%zero : f32) outs(%o : tensor<3x32xf32>) -> tensor<3x32xf32>
  %0 = linalg.generic {indexing_maps = [#x, #w, #y], iterator_types = ["parallel", "parallel", "reduction"]} ins(%x, %w : tensor<3x16xbf16>, tensor<32x16xbf16, #transformer.packed<16 x 1>>) outs(%f : tensor<3x32xf32>) {
  ^bb0(%a: bf16, %b: bf16, %c: f32):
    %l = arith.extf %a : bf16 to f32
    %r = arith.extf %b : bf16 to f32
    %p = arith.mulf %l, %r : f32
    %s = arith.addf %c, %p : f32
    linalg.yield %s : f32
  } -> tensor<3x32xf32>
  return %0 : tensor<3x32xf32>
}

// -----

// Declined: a function that is no dispatch stays on tensors.
// CHECK: func @entry(%{{.*}}: tensor<?xf32>) -> tensor<?xf32>
func.func @entry(%x: tensor<?xf32>) -> tensor<?xf32> {
  return %x : tensor<?xf32>
}

// -----

#x = affine_map<(d0, d1, d2) -> (d0, d2)>
#w = affine_map<(d0, d1, d2) -> (d1, d2)>
#y = affine_map<(d0, d1, d2) -> (d0, d1)>
// Bytes are multiplied as unsigned by signed: weights are stored 128 larger, and sums start from what takes that back.
// CHECK: func private @bytes(%[[X:.*]]: memref<?x16xi8>, %[[W:.*]]: memref<2x4x64xi8>
// CHECK: %[[START:.*]] = memref.alloca() {{.*}} : memref<8x1xi32>
// CHECK: %[[TILE:.*]] = memref.alloca() {{.*}} : memref<2x16xi32>
// CHECK: %[[SUM:.*]] = vector.reduction <add>
// CHECK: %[[MINUS:.*]] = arith.constant -128 : i32
// CHECK: %[[BACK:.*]] = arith.muli %[[SUM]], %[[MINUS]]
// CHECK: memref.store %[[BACK]], %[[START]]
// CHECK: memref.load %[[START]]
// CHECK: %{{.*}}:2 = scf.for
// CHECK: %[[WEIGHTS:.*]] = vector.load %[[W]]{{.*}} vector<64xi8>
// CHECK: vector.load %[[X]]{{.*}} vector<4xi8>
// CHECK: llvm.call_intrinsic "llvm.x86.avx512.vpdpbusd.512"(%{{.*}}, %[[WEIGHTS]], %{{.*}})
// CHECK: vector.store %{{.*}}, %[[TILE]]
func.func private @bytes(%x: tensor<?x16xi8>, %w: tensor<32x16xi8, #transformer.packed<16 x 4, bias 128>>, %o: tensor<?x32xi32>) -> tensor<?x32xi32>
    attributes {transformer.dispatch, transformer.config = #transformer.lowering_config<template = "contraction", tile = [2, 16], block = [8, 4, 4, 1, 4, 2, 1], vector = 16, grain = 1>} {
  %zero = arith.constant 0 : i32
  %f = linalg.fill ins(%zero : i32) outs(%o : tensor<?x32xi32>) -> tensor<?x32xi32>
  %0 = linalg.generic {indexing_maps = [#x, #w, #y], iterator_types = ["parallel", "parallel", "reduction"]} ins(%x, %w : tensor<?x16xi8>, tensor<32x16xi8, #transformer.packed<16 x 4, bias 128>>) outs(%f : tensor<?x32xi32>) {
  ^bb0(%a: i8, %b: i8, %c: i32):
    %l = arith.extsi %a : i8 to i32
    %r = arith.extsi %b : i8 to i32
    %p = arith.muli %l, %r : i32
    %s = arith.addi %c, %p : i32
    linalg.yield %s : i32
  } -> tensor<?x32xi32>
  return %0 : tensor<?x32xi32>
}

// -----

#x = affine_map<(d0, d1, d2) -> (d0, d2)>
#w = affine_map<(d0, d1, d2) -> (d1, d2)>
#y = affine_map<(d0, d1, d2) -> (d0, d1)>
// Where products are of i16, rows are widened to it once, and bytes as they are loaded.
// CHECK: func private @pairs(%[[X:.*]]: memref<?x16xi8>, %[[W:.*]]: memref<4x8x16xi8>
// CHECK: %[[SCRATCH:.*]] = memref.alloca() {{.*}} : memref<8x16xi16>
// CHECK: vector.store %{{.*}}, %[[SCRATCH]]
// CHECK: %[[BYTES:.*]] = vector.load %[[W]]{{.*}} vector<16xi8>
// CHECK: %[[WEIGHTS:.*]] = arith.extsi %[[BYTES]] : vector<16xi8> to vector<16xi16>
// CHECK: llvm.call_intrinsic "llvm.x86.avx2.pmadd.wd"(%[[WEIGHTS]], %{{.*}})
func.func private @pairs(%x: tensor<?x16xi8>, %w: tensor<32x16xi8, #transformer.packed<8 x 2>>, %o: tensor<?x32xi32>) -> tensor<?x32xi32>
    attributes {transformer.dispatch, transformer.config = #transformer.lowering_config<template = "contraction", tile = [2, 8], block = [8, 8, 2, 1, 8, 2, 1], vector = 8, grain = 1>} {
  %zero = arith.constant 0 : i32
  %f = linalg.fill ins(%zero : i32) outs(%o : tensor<?x32xi32>) -> tensor<?x32xi32>
  %0 = linalg.generic {indexing_maps = [#x, #w, #y], iterator_types = ["parallel", "parallel", "reduction"]} ins(%x, %w : tensor<?x16xi8>, tensor<32x16xi8, #transformer.packed<8 x 2>>) outs(%f : tensor<?x32xi32>) {
  ^bb0(%a: i8, %b: i8, %c: i32):
    %l = arith.extsi %a : i8 to i32
    %r = arith.extsi %b : i8 to i32
    %p = arith.muli %l, %r : i32
    %s = arith.addi %c, %p : i32
    linalg.yield %s : i32
  } -> tensor<?x32xi32>
  return %0 : tensor<?x32xi32>
}

// -----

#x = affine_map<(d0, d1, d2) -> (d0, d2)>
#w = affine_map<(d0, d1, d2) -> (d1, d2)>
#y = affine_map<(d0, d1, d2) -> (d0, d1)>
// Two values of i4 are a byte: its halves are the operands of two instructions.
// CHECK: func private @halves(%[[X:.*]]: memref<?x16xi8>, %[[W:.*]]: memref<8x2x16xi8>
// CHECK: %[[BYTES:.*]] = vector.load %[[W]]{{.*}} vector<16xi8>
// CHECK: %[[LOW:.*]] = arith.andi %[[BYTES]], %{{.*}} : vector<16xi8>
// CHECK: llvm.call_intrinsic "llvm.aarch64.neon.sdot.v4i32.v16i8"(%{{.*}}, %[[LOW]], %{{.*}})
// CHECK: %[[HIGH:.*]] = arith.shrui %[[BYTES]], %{{.*}} : vector<16xi8>
// CHECK: llvm.call_intrinsic "llvm.aarch64.neon.sdot.v4i32.v16i8"(%{{.*}}, %[[HIGH]], %{{.*}})
func.func private @halves(%x: tensor<?x16xi8>, %w: tensor<32x16xi4, #transformer.packed<4 x 8, bias 8>>, %o: tensor<?x32xi32>) -> tensor<?x32xi32>
    attributes {transformer.dispatch, transformer.config = #transformer.lowering_config<template = "contraction", tile = [2, 4], block = [8, 2, 8, 1, 2, 2, 1], vector = 4, grain = 1>} {
  %zero = arith.constant 0 : i32
  %f = linalg.fill ins(%zero : i32) outs(%o : tensor<?x32xi32>) -> tensor<?x32xi32>
  %0 = linalg.generic {indexing_maps = [#x, #w, #y], iterator_types = ["parallel", "parallel", "reduction"]} ins(%x, %w : tensor<?x16xi8>, tensor<32x16xi4, #transformer.packed<4 x 8, bias 8>>) outs(%f : tensor<?x32xi32>) {
  ^bb0(%a: i8, %b: i4, %c: i32):
    %l = arith.extsi %a : i8 to i32
    %r = arith.extsi %b : i4 to i32
    %p = arith.muli %l, %r : i32
    %s = arith.addi %c, %p : i32
    linalg.yield %s : i32
  } -> tensor<?x32xi32>
  return %0 : tensor<?x32xi32>
}
