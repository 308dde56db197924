// Splits that the configs of a GPU ask for; the merge is a dispatch whose kernel is selected after that.
// RUN: tfopt %s --transformer-split-attention | FileCheck %s
// RUN: tfopt %s --transformer-select-gpu-kernels="archs=sm_80,sm_90a" --transformer-split-attention --transformer-select-gpu-kernels="archs=sm_80,sm_90a" | FileCheck %s --check-prefix=CHOSEN
// RUN: tfopt %s --transformer-split-attention --transformer-select-gpu-kernels="archs=sm_80" --transformer-emit-gpu-kernels | FileCheck %s --check-prefix=KERNEL

!cache = !transformer.kv_cache<2 x 16 x bf16, full>

// CHECK: func private @attn(%{{.*}}: tensor<?x1x4x16xbf16>, %{{.*}}: tensor<?x3x4x18xf32>) -> tensor<?x3x4x18xf32>
// CHECK: transformer.attention %{{.*}} cache %{{.*}} splits 3 of 64
// CHECK: func private @attn_merge(%[[PARTS:.*]]: tensor<?x3x4x18xf32>, %{{.*}}: tensor<?x1x4x16xbf16>) -> tensor<?x1x4x16xbf16> attributes
// CHECK-NOT: config
// CHECK: transformer.attention_merge %[[PARTS]]
// CHOSEN: func private @attn_merge(
// CHOSEN-SAME: sm_80 = #xgpu.config<"attention_merge", {{.*}}sm_90a = #xgpu.config<"attention_merge"

// A block for each of the batch, pair of heads that share keys, and split; keys come straight from memory, and
// only the merge of the warps goes through shared memory.
// KERNEL-LABEL: func.func private @attn(
// KERNEL-SAME: transformer.grid = array<i64: [[OUT:.*]], 0, 1, 1, [[OUT]], 2, 2, 1, [[OUT]], 1, 1, 1>
// KERNEL-SAME: xgpu.kernel = #xgpu.kernel<threads = 256
// KERNEL-NOT: nvvm.barrier0
// KERNEL: scf.for
// KERNEL: llvm.load {{.*}} {alignment = 8 : i64} : !llvm.ptr<1> -> vector<4xbf16>
// KERNEL: nvvm.mma.sync
// KERNEL: llvm.store {{.*}} : vector<2xf32>, !llvm.ptr<3>
// KERNEL: nvvm.barrier0
// KERNEL-LABEL: func.func private @attn_merge(
// KERNEL-SAME: xgpu.kernel = #xgpu.kernel<threads = 32, shared = 0
// KERNEL: nvvm.shfl.sync idx
func.func private @attn(%q: tensor<?x1x4x16xbf16>, %c: !cache, %o: tensor<?x1x4x16xbf16>) -> tensor<?x1x4x16xbf16>
    attributes {transformer.dispatch, xgpu.configs = {sm_80 = #xgpu.config<"decode_attention", tile = [2, 3, 64], threads = 256, stages = 1, vector = 8>}} {
  %0 = transformer.attention %q cache %c scale 0.5 mask <causal> : tensor<?x1x4x16xbf16>, !cache -> tensor<?x1x4x16xbf16>
  return %0 : tensor<?x1x4x16xbf16>
}
