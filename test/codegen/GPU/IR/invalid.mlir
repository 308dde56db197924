// Every constraint of the dialect, under the label it has in the .td.
// RUN: tfopt %s --split-input-file --verify-diagnostics

// kernel C1
// expected-error @+1 {{expected threads to be a multiple of 32 from 32 to 1024, but got 48}}
func.func private @k() attributes {xgpu.kernel = #xgpu.kernel<threads = 48, shared = 0, cluster = 1>}

// -----

// kernel C2
// expected-error @+1 {{expected shared memory from 0 to 232448 bytes, but got 300000}}
func.func private @k() attributes {xgpu.kernel = #xgpu.kernel<threads = 32, shared = 300000, cluster = 1>}

// -----

// kernel C3
// expected-error @+1 {{expected a cluster of 1 to 8 blocks, but got 16}}
func.func private @k() attributes {xgpu.kernel = #xgpu.kernel<threads = 32, shared = 0, cluster = 16>}

// -----

// expected-error @+1 {{expected xgpu.kernel on functions, as #xgpu.kernel<…>}}
func.func private @k() attributes {xgpu.kernel = 3}

// -----

// config C1
// expected-error @+1 {{expected threads to be a multiple of 32 from 32 to 1024, stages and vector 1 or more, but got 128, 0 and 4}}
func.func private @d() attributes {xgpu.configs = {sm_80 = #xgpu.config<"rows", tile = [1, 32], threads = 128, stages = 0, vector = 4>}}

// -----

// tensor_map C1
// expected-error @+2 {{expected 1 to 5 groups and as many members of box, but got 2 and 1}}
func.func private @k(%x: memref<4x4xf32>,
    %map: !llvm.ptr {xgpu.tensor_map = #xgpu.tensor_map<argument = 0, groups = [1, 1], box = [4], swizzle = 0>})

// -----

// tensor_map C1
// expected-error @+2 {{expected members of box from 1 to 256, but got 512}}
func.func private @k(%x: memref<4xf32>,
    %map: !llvm.ptr {xgpu.tensor_map = #xgpu.tensor_map<argument = 0, groups = [1], box = [512], swizzle = 0>})

// -----

// tensor_map C2
// expected-error @+2 {{expected a swizzle of 0, 32, 64 or 128 bytes, but got 48}}
func.func private @k(%x: memref<4xf32>,
    %map: !llvm.ptr {xgpu.tensor_map = #xgpu.tensor_map<argument = 0, groups = [1], box = [4], swizzle = 48>})

// -----

// expected-error @+1 {{expected argument 0, which argument 1 maps, to be a memref of rank 2}}
func.func private @k(%x: memref<4xf32>,
    %map: !llvm.ptr {xgpu.tensor_map = #xgpu.tensor_map<argument = 0, groups = [1, 1], box = [4, 4], swizzle = 0>})

// -----

// expected-error @+1 {{expected argument 1, a tensor map, to be a !llvm.ptr}}
func.func private @k(%x: memref<4xf32>,
    %map: i64 {xgpu.tensor_map = #xgpu.tensor_map<argument = 0, groups = [1], box = [4], swizzle = 0>})

// -----

func.func private @k() attributes {xgpu.kernel = #xgpu.kernel<threads = 32, shared = 0, cluster = 1>} {
  // expected-error @+1 {{expected a pointer to shared memory, !llvm.ptr<3>, but got '!llvm.ptr<1>'}}
  %base = xgpu.shared_memory : !llvm.ptr<1>
  return
}

// -----

// wgmma C1
func.func private @k(%a: i32, %b: i64) {
  // expected-error @+1 {{expected left to be a descriptor (i64) or four registers (i32), but got 'i32', 'i32'}}
  %0:4 = xgpu.wgmma %a, %a by %b {element = bf16} : i32, i32 -> f32, f32, f32, f32
  return
}

// -----

// wgmma C2
func.func private @k(%a: i64, %b: i64) {
  // expected-error @+1 {{expected a multiple of 8 columns from 8 to 256, but got 4}}
  %0:2 = xgpu.wgmma %a by %b {element = bf16} : i64 -> f32, f32
  return
}

// -----

// wgmma C2
func.func private @k(%a: i64, %b: i64, %s: f32) {
  // expected-error @+1 {{expected 4 sums, but got 1}}
  %0:4 = xgpu.wgmma %a by %b plus %s {element = bf16} : i64 -> f32, f32, f32, f32
  return
}

// -----

// wgmma C3
func.func private @k(%a: i64, %b: i64) {
  // expected-error @+1 {{expected elements of bf16 or f16, but got 'f32'}}
  %0:4 = xgpu.wgmma %a by %b {element = f32} : i64 -> f32, f32, f32, f32
  return
}

// -----

// wgmma_wait C1
func.func private @k() {
  // expected-error @+1 {{expected at most 7 pending groups, but got 8}}
  xgpu.wgmma_wait pending 8
  return
}

// -----

// wgmma_wait C2
func.func private @k(%s: f32) {
  // expected-error @+1 {{expected as many results as values, but got 2 and 1}}
  %0:2 = xgpu.wgmma_wait pending 0 passes %s : f32, f32
  return
}
