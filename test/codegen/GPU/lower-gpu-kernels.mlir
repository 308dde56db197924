// The parameters of PTX: tensor maps first, then the words of a launch.
// RUN: tfopt %s --transformer-lower-gpu-kernels | FileCheck %s
// RUN: tfopt %s --transformer-gpu-kernel-pipeline | FileCheck %s --check-prefix=LOWERED

// CHECK: llvm.mlir.global external @dynamic_shared_memory() {addr_space = 3 : i32, alignment = 1024 : i64} : !llvm.array<0 x i8>
// CHECK: llvm.func @k(%arg0: !llvm.ptr {llvm.align = 64 : i64, llvm.byval = !llvm.array<128 x i8>, nvvm.grid_constant},
// CHECK-SAME: %[[X:[^:]*]]: !llvm.ptr, %[[ROWS:[^:]*]]: i64, %[[N:[^:]*]]: i64, %[[SCALE:[^:]*]]: i64)
// CHECK-SAME: nvvm.cluster_dim = array<i32: 2, 1, 1>
// CHECK-SAME: nvvm.kernel
// CHECK-SAME: nvvm.maxntid = array<i32: 64, 1, 1>
// CHECK: arith.index_cast %[[N]] : i64 to index
// CHECK: %[[BITS:.*]] = arith.trunci %[[SCALE]] : i64 to i32
// CHECK: arith.bitcast %[[BITS]] : i32 to f32
// CHECK: llvm.mlir.addressof @dynamic_shared_memory
// LOWERED: llvm.func @k(
// LOWERED-NOT: memref
// LOWERED-NOT: scf
// LOWERED: llvm.return
func.func @k(%x: memref<?x64xf32>, %n: index, %scale: f32,
             %map: !llvm.ptr {xgpu.tensor_map = #xgpu.tensor_map<argument = 0, groups = [1, 1], box = [8, 16], swizzle = 64>})
    attributes {xgpu.kernel = #xgpu.kernel<threads = 64, shared = 256, cluster = 2>} {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %base = xgpu.shared_memory : !llvm.ptr<3>
  scf.for %i = %c0 to %n step %c1 {
    memref.store %scale, %x[%i, %c0] : memref<?x64xf32>
    llvm.store %scale, %base : f32, !llvm.ptr<3>
  }
  return
}

// Products of a warpgroup: the sums are tied to the operands that they begin as, or begin at zero; a wait passes them on.
// CHECK-LABEL: llvm.func @product
// CHECK: llvm.inline_asm has_side_effects asm_dialect = att "{ .reg .pred p; setp.ne.b32 p, 0, 0;
// CHECK-SAME: wgmma.mma_async.sync.aligned.m64n8k16.f32.bf16.bf16 {$0, $1, $2, $3}, $4, $5, p, 1, 1, 0, 0; }", "=f,=f,=f,=f,l,l"
// CHECK: "{ .reg .pred p; setp.ne.b32 p, 1, 0;
// CHECK-SAME: wgmma.mma_async.sync.aligned.m64n8k16.f32.f16.f16 {$0, $1, $2, $3}, {$8, $9, $10, $11}, $12, p, 1, 1, 1; }",
// CHECK-SAME: "=f,=f,=f,=f,0,1,2,3,r,r,r,r,l"
// CHECK: "wgmma.wait_group.sync.aligned 0;", "=f,=f,=f,=f,0,1,2,3"
func.func @product(%x: memref<?xf32>, %left: i64, %right: i64, %part: i32)
    attributes {xgpu.kernel = #xgpu.kernel<threads = 128, shared = 4096, cluster = 1>} {
  %c0 = arith.constant 0 : index
  nvvm.wgmma.fence.aligned
  %0:4 = xgpu.wgmma %left by %right {element = bf16} : i64 -> f32, f32, f32, f32
  %1:4 = xgpu.wgmma %part, %part, %part, %part by %right plus %0#0, %0#1, %0#2, %0#3 {element = f16, transposed}
      : i32, i32, i32, i32 -> f32, f32, f32, f32
  nvvm.wgmma.commit.group.sync.aligned
  %2:4 = xgpu.wgmma_wait pending 0 passes %1#0, %1#1, %1#2, %1#3 : f32, f32, f32, f32
  memref.store %2#0, %x[%c0] : memref<?xf32>
  return
}
