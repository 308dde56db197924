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
