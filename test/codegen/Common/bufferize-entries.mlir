// Entry functions bind the buffers of a call and launch on them; nothing is copied.
// RUN: tfopt %s --transformer-bufferize-entries --split-input-file | FileCheck %s

func.func private @k(memref<?x8xf32>, memref<?x8xf32>, index, index)
    attributes {transformer.dispatch, transformer.grid = array<i64: 1, 0, 4, 1>,
                transformer.config = #transformer.lowering_config<template = "rows", tile = [1, 8], vector = 8, grain = 1>}

// An argument and the result are buffers of the call, what is between them is an allocation; the grid is computed
// from the sizes.
// CHECK: func.func @xfm_entry_run(%[[CALL:.*]]: !llvm.ptr) -> i32
// CHECK-SAME: transformer.entry = {
// CHECK: %[[S:.*]] = transformer.size %[[CALL]][0]
// CHECK: %[[X:.*]] = transformer.binding %[[CALL]] buffer[0] (%[[S]]) : memref<?x8xf32>
// CHECK: %[[T:.*]] = memref.alloc(%[[S]]) : memref<?x8xf32>
// CHECK: %[[TASKS:.*]] = arith.ceildivui %[[S]]
// CHECK: transformer.launch @k grid(%{{.*}}) ins(%[[X]] : memref<?x8xf32>) outs(%[[T]] : memref<?x8xf32>)
// CHECK: %[[Y:.*]] = transformer.binding %[[CALL]] buffer[1] (%[[S]]) : memref<?x8xf32>
// CHECK: transformer.launch @k grid(%{{.*}}) ins(%[[T]] : memref<?x8xf32>) outs(%[[Y]] : memref<?x8xf32>)
// CHECK-NOT: memref.copy
// CHECK: return %{{.*}} : i32
func.func @run(%x: tensor<?x8xf32> {transformer.dims = ["S", ""]}) -> (tensor<?x8xf32> {transformer.dims = ["S", ""]}) {
  %c0 = arith.constant 0 : index
  %s = tensor.dim %x, %c0 : tensor<?x8xf32>
  %e = tensor.empty(%s) : tensor<?x8xf32>
  %0 = transformer.launch @k ins(%x : tensor<?x8xf32>) outs(%e : tensor<?x8xf32>) -> tensor<?x8xf32>
  %1 = transformer.launch @k ins(%0 : tensor<?x8xf32>) outs(%e : tensor<?x8xf32>) -> tensor<?x8xf32>
  return %1 : tensor<?x8xf32>
}

// -----

transformer.weight @w : tensor<4x8xf32> from "model.safetensors"
func.func private @k(memref<4x8xf32>, memref<32xf32>, memref<4x8xf32>, index, index)
    attributes {transformer.dispatch, transformer.grid = array<i64: 0, 0, 1, 1>,
                transformer.config = #transformer.lowering_config<template = "rows", tile = [1, 8], vector = 8, grain = 1>}

// A weight is a binding of its own kind, listed on the module; a reshape is a view.
// CHECK: module attributes {transformer.weights = [@w]}
// CHECK: %[[W:.*]] = transformer.binding %{{.*}} weight[0] : memref<4x8xf32>
// CHECK: %[[FLAT:.*]] = memref.collapse_shape %[[W]]
// CHECK: transformer.launch @k grid(%{{.*}}) ins(%[[W]], %[[FLAT]] : memref<4x8xf32>, memref<32xf32>)
func.func @weights() -> tensor<4x8xf32> {
  %w = transformer.use @w : tensor<4x8xf32>
  %f = tensor.collapse_shape %w [[0, 1]] : tensor<4x8xf32> into tensor<32xf32>
  %e = tensor.empty() : tensor<4x8xf32>
  %0 = transformer.launch @k ins(%w, %f : tensor<4x8xf32>, tensor<32xf32>) outs(%e : tensor<4x8xf32>) -> tensor<4x8xf32>
  return %0 : tensor<4x8xf32>
}

// -----

func.func private @append(index, memref<?x?x2x8xf32>, memref<?x2x?x8xf32>, memref<?x2x?x8xf32>, memref<?xi32>, index, index, index)
    attributes {transformer.dispatch, transformer.grid = array<i64: 2, 0, 1, 1, 0, 0, 1, 1>,
                transformer.config = #transformer.lowering_config<template = "cache_append", tile = [1, 1], vector = 8, grain = 1>}

// A cache is three buffers, behind those of the tensors whatever the order of arguments, updated in place, and the
// positions appended in this call. Its length grows at the end of the call; read before that, it is summed.
// CHECK: func.func @xfm_entry_grow(%[[CALL:.*]]: !llvm.ptr)
// CHECK-DAG: %[[S:.*]] = transformer.size %[[CALL]][2]
// CHECK-DAG: transformer.binding %[[CALL]] buffer[0] ({{.*}}) : memref<?x?x2x8xf32>
// CHECK-DAG: %[[K:.*]] = transformer.binding %[[CALL]] buffer[1] ({{.*}}) : memref<?x2x?x8xf32>
// CHECK-DAG: %[[V:.*]] = transformer.binding %[[CALL]] buffer[2] ({{.*}}) : memref<?x2x?x8xf32>
// CHECK-DAG: %[[N:.*]] = transformer.binding %[[CALL]] buffer[3] ({{.*}}) : memref<?xi32>
// CHECK: transformer.launch @append {{.*}} outs(%[[K]], %[[V]], %[[N]], %{{.*}} :
// CHECK: transformer.launch @append {{.*}} outs(%[[K]], %[[V]], %[[N]], %[[S]] :
// CHECK: %[[BOTH:.*]] = arith.addi %[[S]], %[[S]]
// CHECK: transformer.launch @cache_length {{.*}} ins(%[[BOTH]], %[[N]] :
// CHECK: transformer.launch @cache_advance {{.*}} ins(%[[BOTH]] : index) outs(%[[N]] :
// CHECK: func private @cache_length
// CHECK: func private @cache_advance
// CHECK: arith.addi
func.func @grow(%c: !transformer.kv_cache<2 x 8 x f32, full> {transformer.name = "c"}, %k: tensor<?x?x2x8xf32> {transformer.dims = ["B", "S", "", ""]})
    -> !transformer.kv_cache<2 x 8 x f32, full> {
  %c1 = arith.constant 1 : index
  %s = tensor.dim %k, %c1 : tensor<?x?x2x8xf32>
  %0 = transformer.launch @append ins(%s, %k : index, tensor<?x?x2x8xf32>) outs(%c : !transformer.kv_cache<2 x 8 x f32, full>) -> !transformer.kv_cache<2 x 8 x f32, full>
  %1 = transformer.launch @append ins(%s, %k : index, tensor<?x?x2x8xf32>) outs(%0 : !transformer.kv_cache<2 x 8 x f32, full>) -> !transformer.kv_cache<2 x 8 x f32, full>
  %n = transformer.cache_length %1 : !transformer.kv_cache<2 x 8 x f32, full> -> tensor<?xi32>
  return %1 : !transformer.kv_cache<2 x 8 x f32, full>
}

// -----

// Declined: private functions are no entry points.
// CHECK: func.func private @helper(%{{.*}}: tensor<4xf32>) -> tensor<4xf32>
func.func private @helper(%x: tensor<4xf32>) -> tensor<4xf32> {
  return %x : tensor<4xf32>
}
