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

// CHECK-LABEL: func.func private @products
func.func private @products(%left: i64, %right: i64, %part: i32)
    attributes {xgpu.kernel = #xgpu.kernel<threads = 128, shared = 16384, cluster = 1>} {
  // CHECK: %[[A:.*]]:4 = xgpu.wgmma %{{.*}} by %{{.*}} {element = bf16} : i64 -> f32, f32, f32, f32
  %0:4 = xgpu.wgmma %left by %right {element = bf16} : i64 -> f32, f32, f32, f32
  // CHECK: %[[B:.*]]:4 = xgpu.wgmma %{{.*}}, %{{.*}}, %{{.*}}, %{{.*}} by %{{.*}} plus %[[A]]#0, %[[A]]#1, %[[A]]#2, %[[A]]#3 {element = bf16, transposed} : i32, i32, i32, i32 -> f32, f32, f32, f32
  %1:4 = xgpu.wgmma %part, %part, %part, %part by %right plus %0#0, %0#1, %0#2, %0#3 {element = bf16, transposed}
      : i32, i32, i32, i32 -> f32, f32, f32, f32
  // CHECK: xgpu.wgmma_wait pending 1{{$}}
  xgpu.wgmma_wait pending 1
  // CHECK: xgpu.wgmma_wait pending 0 passes %[[B]]#0, %[[B]]#1 : f32, f32
  %2:2 = xgpu.wgmma_wait pending 0 passes %1#0, %1#1 : f32, f32
  return
}
