// Launches store descriptors in a block on the stack and call parallel_for of the ABI table.
// RUN: tfopt %s --transformer-lower-launches | FileCheck %s

// The table is kept by xfm_module_init, which refuses one of another version or too small.
// CHECK: llvm.mlir.global internal @xfm_abi
// CHECK: llvm.func @xfm_module_init(%[[ABI:.*]]: !llvm.ptr) -> i32
// CHECK: llvm.icmp "eq"
// CHECK: llvm.icmp "uge"
// CHECK: llvm.cond_br
// CHECK: llvm.store %[[ABI]]

// CHECK: func.func private @double
func.func private @double(%x: memref<?x8xf32>, %n: index, %y: memref<?x8xf32>, %begin: index, %end: index)
    attributes {transformer.dispatch, transformer.grid = array<i64: 0, 0, 1, 1>,
                transformer.config = #transformer.lowering_config<template = "rows", tile = [1, 8], vector = 8, grain = 7>} {
  return
}
// The task function unpacks the block and calls the kernel on its range.
// CHECK: func.func private @double.task(%[[BLOCK:.*]]: !llvm.ptr, %[[BEGIN:.*]]: i64, %[[END:.*]]: i64)
// CHECK-COUNT-3: llvm.getelementptr %[[BLOCK]]
// CHECK: call @double(

// One block for all launches; each has the number of its label, the same label the same number.
// CHECK: func.func @xfm_entry_run(%[[CALL:.*]]: !llvm.ptr)
// CHECK-SAME: transformer.dispatches = [{{.*}}count = 2 : i64, {{.*}}name = "first"}, {{.*}}count = 1 : i64, {{.*}}name = "second"}]
// CHECK-DAG: %[[BLOCK:.*]] = llvm.alloca
// CHECK-NOT: llvm.alloca
// CHECK: llvm.call %{{.*}}(%{{.*}}, %{{.*}}, %[[BLOCK]], %{{.*}}, %{{.*}}, %{{.*}}) : !llvm.ptr, (!llvm.ptr, !llvm.ptr, !llvm.ptr, i64, i64, i32) -> ()
// CHECK-COUNT-2: llvm.call
// CHECK-NOT: transformer.launch
// CHECK-NOT: transformer.binding
// CHECK-NOT: transformer.size
// CHECK: return
func.func @xfm_entry_run(%call: !llvm.ptr) -> i32
    attributes {transformer.entry = {name = "run", sizes = ["S"], arguments = [], results = []}} {
  %s = transformer.size %call[0]
  %x = transformer.binding %call buffer[0] (%s) : memref<?x8xf32>
  %y = transformer.binding %call arena[0] (%s) : memref<?x8xf32>
  transformer.launch @double grid(%s) ins(%x, %s : memref<?x8xf32>, index) outs(%y : memref<?x8xf32>) {transformer.label = "first"}
  transformer.launch @double grid(%s) ins(%y, %s : memref<?x8xf32>, index) outs(%x : memref<?x8xf32>) {transformer.label = "second"}
  transformer.launch @double grid(%s) ins(%x, %s : memref<?x8xf32>, index) outs(%y : memref<?x8xf32>) {transformer.label = "first"}
  %zero = arith.constant 0 : i32
  return %zero : i32
}

// Declined: a function that is neither a dispatch nor an entry function stays.
// CHECK: func.func private @helper
// CHECK-NOT: @helper.task
func.func private @helper(%x: memref<?xf32>) {
  return
}
