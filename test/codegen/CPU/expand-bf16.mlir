// Without bf16 instructions, bf16 is accessed in memory as integers.
// RUN: tfopt %s --transformer-expand-bf16 | FileCheck %s

// CHECK-LABEL: llvm.func @plain
llvm.func @plain(%p: !llvm.ptr, %x: bf16) -> bf16 {
  // CHECK: %[[BITS:.*]] = llvm.load %{{.*}} {alignment = 2 : i64} : !llvm.ptr -> i16
  // CHECK: %[[VALUE:.*]] = llvm.bitcast %[[BITS]] : i16 to bf16
  %0 = llvm.load %p {alignment = 2 : i64} : !llvm.ptr -> bf16
  // CHECK: %[[STORED:.*]] = llvm.bitcast %{{.*}} : bf16 to i16
  // CHECK: llvm.store %[[STORED]], %{{.*}} {alignment = 2 : i64} : i16, !llvm.ptr
  llvm.store %x, %p {alignment = 2 : i64} : bf16, !llvm.ptr
  // CHECK: llvm.return %[[VALUE]]
  llvm.return %0 : bf16
}

// A copy has no bf16 left at all.
// CHECK-LABEL: llvm.func @copy
// CHECK-NOT: bf16
// CHECK: llvm.return
llvm.func @copy(%p: !llvm.ptr, %q: !llvm.ptr) {
  %0 = llvm.load %p : !llvm.ptr -> vector<8xbf16>
  llvm.store %0, %q : vector<8xbf16>, !llvm.ptr
  llvm.return
}

// CHECK-LABEL: llvm.func @masked
llvm.func @masked(%p: !llvm.ptr, %m: vector<8xi1>, %z: vector<8xbf16>) {
  // CHECK: %[[Z:.*]] = llvm.bitcast %{{.*}} : vector<8xbf16> to vector<8xi16>
  // CHECK: llvm.intr.masked.load %{{.*}}, %{{.*}}, %[[Z]] {{.*}} -> vector<8xi16>
  %0 = llvm.intr.masked.load %p, %m, %z {alignment = 2 : i32} : (!llvm.ptr, vector<8xi1>, vector<8xbf16>) -> vector<8xbf16>
  // CHECK: llvm.intr.masked.store %{{.*}} : vector<8xi16>, vector<8xi1> into !llvm.ptr
  llvm.intr.masked.store %0, %p, %m {alignment = 2 : i32} : vector<8xbf16>, vector<8xi1> into !llvm.ptr
  llvm.return
}

// Declined: other types stay as they are.
// CHECK-LABEL: llvm.func @others
// CHECK-NOT: llvm.bitcast
llvm.func @others(%p: !llvm.ptr) -> vector<8xf32> {
  // CHECK: llvm.load %{{.*}} : !llvm.ptr -> vector<8xf32>
  %0 = llvm.load %p : !llvm.ptr -> vector<8xf32>
  llvm.return %0 : vector<8xf32>
}
