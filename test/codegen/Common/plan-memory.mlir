// Allocations become places in one arena, whose size a function computes.
// RUN: tfopt %s --transformer-plan-memory --canonicalize --cse --split-input-file | FileCheck %s

func.func private @k(memref<?x16xf32>, memref<?x16xf32>, index, index)
    attributes {transformer.dispatch, transformer.grid = array<i64: 0, 0, 1, 1>,
                transformer.config = #transformer.lowering_config<template = "rows", tile = [1, 8], vector = 8, grain = 1>}

// Three buffers of 64 bytes per S, of which two are alive at once: the arena has 128 bytes per S, and the third
// buffer takes the place of the first.
// CHECK: func.func @xfm_arena_run(%[[SIZES:.*]]: !llvm.ptr) -> i64
// CHECK: %[[UNIT:.*]] = arith.constant 128 : index
// CHECK: %[[S:.*]] = llvm.load %[[SIZES]]
// CHECK: arith.muli %{{.*}}, %[[UNIT]]
// CHECK: func.func @xfm_entry_run
// CHECK-SAME: transformer.arena = [{bound = 128 : i64, bytes = 128 : i64, sizes = ["S"]}]
// CHECK: %[[ARENA:.*]] = transformer.binding %{{.*}} arena[0]
// CHECK-NOT: memref.alloc
// CHECK: %[[A:.*]] = memref.view %[[ARENA]]
// CHECK: %[[B:.*]] = memref.view %[[ARENA]]
// CHECK: transformer.launch @k {{.*}} ins(%[[A]] : {{.*}}) outs(%[[B]] :
// CHECK: transformer.launch @k {{.*}} ins(%[[B]] : {{.*}}) outs(%[[A]] :
// CHECK-NOT: memref.alloc
func.func @xfm_entry_run(%call: !llvm.ptr) -> i32
    attributes {transformer.entry = {name = "run", sizes = ["S"], arguments = [], results = []}} {
  %s = transformer.size %call[0]
  %x = transformer.binding %call buffer[0] (%s) : memref<?x16xf32>
  %a = memref.alloc(%s) : memref<?x16xf32>
  transformer.launch @k grid(%s) ins(%x : memref<?x16xf32>) outs(%a : memref<?x16xf32>)
  %b = memref.alloc(%s) : memref<?x16xf32>
  transformer.launch @k grid(%s) ins(%a : memref<?x16xf32>) outs(%b : memref<?x16xf32>)
  %c = memref.alloc(%s) : memref<?x16xf32>
  transformer.launch @k grid(%s) ins(%b : memref<?x16xf32>) outs(%c : memref<?x16xf32>)
  transformer.launch @k grid(%s) ins(%c : memref<?x16xf32>) outs(%x : memref<?x16xf32>)
  %zero = arith.constant 0 : i32
  return %zero : i32
}

// -----

func.func private @k(memref<?x16xf32>, memref<?x16xf32>, index, index)
    attributes {transformer.dispatch, transformer.grid = array<i64: 0, 0, 1, 1>, transformer.inplace = array<i64: 0>,
                transformer.config = #transformer.lowering_config<template = "rows", tile = [1, 8], vector = 8, grain = 1>}

// A kernel that allows it writes over the operand that dies with it.
// CHECK: func.func @xfm_entry_over
// CHECK-SAME: bytes = 64
// CHECK: %[[A:.*]] = memref.view
// CHECK: transformer.launch @k {{.*}} ins(%[[A]] : {{.*}}) outs(%[[A]] :
func.func @xfm_entry_over(%call: !llvm.ptr) -> i32
    attributes {transformer.entry = {name = "over", sizes = ["S"], arguments = [], results = []}} {
  %s = transformer.size %call[0]
  %x = transformer.binding %call buffer[0] (%s) : memref<?x16xf32>
  %a = memref.alloc(%s) : memref<?x16xf32>
  transformer.launch @k grid(%s) ins(%x : memref<?x16xf32>) outs(%a : memref<?x16xf32>)
  %b = memref.alloc(%s) : memref<?x16xf32>
  transformer.launch @k grid(%s) ins(%a : memref<?x16xf32>) outs(%b : memref<?x16xf32>)
  transformer.launch @k grid(%s) ins(%b : memref<?x16xf32>) outs(%x : memref<?x16xf32>)
  %zero = arith.constant 0 : i32
  return %zero : i32
}

// -----

// Other products of sizes have sections of their own: none of them knows which is larger.
// CHECK: func.func @xfm_entry_sections
// CHECK-SAME: sizes = ["B"]
// CHECK-SAME: sizes = ["B", "S"]
func.func private @use(memref<?x4xf32>, memref<?x?x4xf32>, index, index)
func.func @xfm_entry_sections(%call: !llvm.ptr) -> i32
    attributes {transformer.entry = {name = "sections", sizes = ["B", "S"], arguments = [], results = []}} {
  %b = transformer.size %call[0]
  %s = transformer.size %call[1]
  %x = memref.alloc(%b) : memref<?x4xf32>
  %y = memref.alloc(%b, %s) : memref<?x?x4xf32>
  transformer.launch @use grid(%b) ins(%x : memref<?x4xf32>) outs(%y : memref<?x?x4xf32>)
  %zero = arith.constant 0 : i32
  return %zero : i32
}

// -----

// A view keeps its buffer alive: what is read through it does not share its place.
// CHECK: func.func @xfm_entry_views
// CHECK-SAME: bytes = 128
func.func private @flat(memref<16xf32>, memref<4x4xf32>, index, index)
func.func @xfm_entry_views(%call: !llvm.ptr) -> i32
    attributes {transformer.entry = {name = "views", sizes = [], arguments = [], results = []}} {
  %one = arith.constant 1 : index
  %x = memref.alloc() : memref<4x4xf32>
  %v = memref.collapse_shape %x [[0, 1]] : memref<4x4xf32> into memref<16xf32>
  %y = memref.alloc() : memref<4x4xf32>
  transformer.launch @flat grid(%one) ins(%v : memref<16xf32>) outs(%y : memref<4x4xf32>)
  transformer.launch @flat grid(%one) ins(%v : memref<16xf32>) outs(%y : memref<4x4xf32>)
  %zero = arith.constant 0 : i32
  return %zero : i32
}

// -----

// Declined: allocations elsewhere are not this pass's.
// CHECK: func.func @other
// CHECK: memref.alloc
func.func @other() -> memref<4xf32> {
  %a = memref.alloc() : memref<4xf32>
  return %a : memref<4xf32>
}
