// A prompt's kernels ask for what they read next while they multiply: products for the weights of the next panel, a place
// for each two steps; attention for the next tile's keys and values, or the next task's with its queries, and for its
// results before they are written.
// RUN: tfopt %s --mcpu=znver4 --emit=asm -o - | FileCheck %s --check-prefix=ZEN --implicit-check-not=prefetcht0
// RUN: tfopt %s --mcpu=znver5 --emit=asm -o - | FileCheck %s --check-prefix=SOON
// RUN: tfopt %s --mcpu=neoverse-v1 --emit=asm -o - | FileCheck %s --check-prefix=ARM

// ZEN: attention.task:
// ZEN-COUNT-16: prefetcht1
// ZEN: generic.task:
// ZEN: vfmadd
// ZEN: prefetcht1
// ZEN: vfmadd

// Of products a Zen 5 reads it soon enough to have it in the first-level cache.
// SOON: attention.task:
// SOON-NOT: prefetcht0
// SOON-COUNT-16: prefetcht1
// SOON-NOT: prefetcht0
// SOON: generic.task:
// SOON: vfmadd
// SOON: prefetcht0
// SOON: vfmadd

// ARM: attention.task:
// ARM: pldl2keep
// ARM: pstl2keep
// ARM: generic.task:
// ARM: fmla
// ARM: pldl2keep
// ARM: fmla

func.func @attend(%q: tensor<1x?x2x64xf32> {transformer.dims = ["", "S", "", ""]},
                  %k: tensor<1x?x2x64xf32> {transformer.dims = ["", "S", "", ""]},
                  %v: tensor<1x?x2x64xf32> {transformer.dims = ["", "S", "", ""]})
    -> (tensor<1x?x2x64xf32> {transformer.dims = ["", "S", "", ""]}) {
  %y = transformer.attention %q, %k, %v scale 0.125 mask <causal> : tensor<1x?x2x64xf32>, tensor<1x?x2x64xf32>, tensor<1x?x2x64xf32> -> tensor<1x?x2x64xf32>
  return %y : tensor<1x?x2x64xf32>
}

transformer.weight @w : tensor<512x256xf32> from "model.safetensors"
func.func @rows(%x: tensor<1x?x256xf32> {transformer.dims = ["", "S", ""]})
    -> (tensor<1x?x512xf32> {transformer.dims = ["", "S", ""]}) {
  %w = transformer.use @w : tensor<512x256xf32>
  %y = transformer.linear %x, %w : tensor<1x?x256xf32>, tensor<512x256xf32> -> tensor<1x?x512xf32>
  return %y : tensor<1x?x512xf32>
}
