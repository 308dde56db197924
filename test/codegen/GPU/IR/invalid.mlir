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
