// A dispatch becomes a kernel on memrefs; architectures with another config have one of their own.
// RUN: tfopt %s --transformer-emit-gpu-kernels | FileCheck %s

#id = affine_map<(r, c) -> (r, c)>

// The row is dealt to 16 threads of four elements each, so without a loop, eight rows to a block.
// CHECK-LABEL: func.func private @double(
// CHECK-SAME: %[[X:.*]]: memref<?x64xf32>, %[[OUT:.*]]: memref<?x64xf32>)
// CHECK-SAME: transformer.grid = array<i64: 1, 0, 8, 1>
// CHECK-SAME: transformer.inplace = array<i64: 0>
// CHECK-SAME: xgpu.config = #xgpu.config<"rows", tile = [8, 16]
// CHECK-SAME: xgpu.kernel = #xgpu.kernel<threads = 128, shared = 0, cluster = 1>
// CHECK-SAME: xgpu.variants = {sm_90a = @double.sm_90a}
// CHECK-DAG: nvvm.read.ptx.sreg.ctaid.x
// CHECK-DAG: nvvm.read.ptx.sreg.tid.x range <i32, 0, 128>
// CHECK: scf.if
// CHECK: vector.load %[[X]]{{.*}} {alignment = 16 : i64} : memref<?x64xf32>, vector<4xf32>
// CHECK: vector.store {{.*}}, %[[OUT]]{{.*}} {alignment = 16 : i64}
// CHECK-LABEL: func.func private @double.sm_90a(
// CHECK-SAME: xgpu.kernel = #xgpu.kernel<threads = 64
func.func private @double(%x: tensor<?x64xf32>, %out: tensor<?x64xf32>) -> tensor<?x64xf32>
    attributes {transformer.dispatch, xgpu.configs = {
      sm_80 = #xgpu.config<"rows", tile = [8, 16], threads = 128, stages = 1, vector = 4>,
      sm_90a = #xgpu.config<"rows", tile = [4, 16], threads = 64, stages = 1, vector = 4>}} {
  %0 = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]} ins(%x : tensor<?x64xf32>) outs(%out : tensor<?x64xf32>) {
  ^bb0(%a: f32, %b: f32):
    %1 = arith.addf %a, %a : f32
    linalg.yield %1 : f32
  } -> tensor<?x64xf32>
  return %0 : tensor<?x64xf32>
}

// A sum over a row that 128 threads share: over the lanes by shuffles, over the warps through shared memory.
// CHECK-LABEL: func.func private @share(
// CHECK-SAME: shared = 16
// CHECK: nvvm.shfl.sync bfly
// CHECK: llvm.store {{.*}} : f32, !llvm.ptr<3>
// CHECK: nvvm.barrier0
// CHECK: llvm.load {{.*}} : !llvm.ptr<3> -> f32
func.func private @share(%x: tensor<?x512xf32>, %out: tensor<?x512xf32>) -> tensor<?x512xf32>
    attributes {transformer.dispatch, xgpu.configs = {sm_80 = #xgpu.config<"rows", tile = [1, 128], threads = 128, stages = 1, vector = 4>}} {
  %zero = arith.constant 0.0 : f32
  %c0 = arith.constant 0 : index
  %rows = tensor.dim %x, %c0 : tensor<?x512xf32>
  %empty = tensor.empty(%rows) : tensor<?xf32>
  %init = linalg.fill ins(%zero : f32) outs(%empty : tensor<?xf32>) -> tensor<?xf32>
  %sum = linalg.generic {indexing_maps = [#id, affine_map<(r, c) -> (r)>], iterator_types = ["parallel", "reduction"]} ins(%x : tensor<?x512xf32>) outs(%init : tensor<?xf32>) {
  ^bb0(%a: f32, %b: f32):
    %1 = arith.addf %a, %b : f32
    linalg.yield %1 : f32
  } -> tensor<?xf32>
  %0 = linalg.generic {indexing_maps = [#id, affine_map<(r, c) -> (r)>, #id], iterator_types = ["parallel", "parallel"]} ins(%x, %sum : tensor<?x512xf32>, tensor<?xf32>) outs(%out : tensor<?x512xf32>) {
  ^bb0(%a: f32, %s: f32, %b: f32):
    %1 = arith.divf %a, %s : f32
    linalg.yield %1 : f32
  } -> tensor<?x512xf32>
  return %0 : tensor<?x512xf32>
}
