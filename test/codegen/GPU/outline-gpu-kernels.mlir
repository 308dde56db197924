// Kernels go into a module for each architecture, under names that PTX has; declarations with their numbers stay.
// RUN: tfopt %s --transformer-outline-gpu-kernels="archs=sm_80,sm_90a" | FileCheck %s

// CHECK: func.func private @layer.norm(memref<?xf32>) attributes
// CHECK-SAME: transformer.number = 0
// CHECK-NOT: @layer.norm.sm_90a
func.func private @layer.norm(%x: memref<?xf32>)
    attributes {transformer.dispatch, transformer.grid = array<i64: 0, 0, 64, 1>, xgpu.variants = {sm_90a = @layer.norm.sm_90a},
                xgpu.kernel = #xgpu.kernel<threads = 64, shared = 0, cluster = 1>} {
  return
}
func.func private @layer.norm.sm_90a(%x: memref<?xf32>)
    attributes {transformer.dispatch, transformer.grid = array<i64: 0, 0, 256, 1>,
                xgpu.kernel = #xgpu.kernel<threads = 256, shared = 0, cluster = 1>} {
  return
}

// A range of tasks becomes a task for each thread.
// CHECK: func.func private @cache_advance(memref<?xi32>) attributes
// CHECK-SAME: transformer.number = 1
func.func private @cache_advance(%x: memref<?xi32>, %begin: index, %end: index)
    attributes {transformer.dispatch, transformer.grid = array<i64: 0, 0, 1, 1>} {
  %one = arith.constant 1 : index
  %value = arith.constant 7 : i32
  scf.for %i = %begin to %end step %one {
    memref.store %value, %x[%i] : memref<?xi32>
  }
  return
}

// CHECK: module @sm_80
// CHECK: func.func @layer$norm({{.*}}threads = 64
// CHECK: func.func @cache_advance(%[[X:.*]]: memref<?xi32>)
// CHECK-SAME: transformer.grid = array<i64: 0, 0, 128, 1>
// CHECK-SAME: #xgpu.kernel<threads = 128
// CHECK: %[[TASK:.*]] = arith.addi
// CHECK: scf.for %{{.*}} = %[[TASK]]
// CHECK: module @sm_90a
// CHECK: func.func @layer$norm({{.*}}threads = 256
