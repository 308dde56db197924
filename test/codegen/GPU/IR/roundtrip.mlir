// RUN: tfopt %s | tfopt | FileCheck %s

// CHECK-LABEL: func.func private @mapped
// CHECK-SAME: xgpu.tensor_map = #xgpu.tensor_map<argument = 0, groups = [2, 1], box = [128, 64], swizzle = 128>
// CHECK-SAME: xgpu.kernel = #xgpu.kernel<threads = 384, shared = 197632, cluster = 2, persistent = true>
func.func private @mapped(%x: memref<?x?x768xbf16>,
    %map: !llvm.ptr {xgpu.tensor_map = #xgpu.tensor_map<argument = 0, groups = [2, 1], box = [128, 64], swizzle = 128>})
    attributes {xgpu.kernel = #xgpu.kernel<threads = 384, shared = 197632, cluster = 2, persistent = true>} {
  // CHECK: xgpu.shared_memory : !llvm.ptr<3>
  %base = xgpu.shared_memory : !llvm.ptr<3>
  return
}

// CHECK-LABEL: func.func private @plain
// CHECK-SAME: #xgpu.kernel<threads = 32, shared = 0, cluster = 1>
func.func private @plain() attributes {xgpu.kernel = #xgpu.kernel<threads = 32, shared = 0, cluster = 1>} {
  return
}

// CHECK: sm_80 = #xgpu.config<"rows", tile = [4, 32], threads = 128, stages = 1, vector = 4>
func.func private @chosen()
    attributes {xgpu.configs = {sm_80 = #xgpu.config<"rows", tile = [4, 32], threads = 128, stages = 1, vector = 4>}}
