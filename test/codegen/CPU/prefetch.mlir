// RUN: tfopt %s --mcpu=znver4 --emit=asm -o - | FileCheck %s --check-prefix=SECOND --implicit-check-not=prefetcht0
// RUN: tfopt %s --mcpu=znver5 --emit=asm -o - | FileCheck %s --check-prefix=SOON
// RUN: tfopt %s --mcpu=sapphirerapids --emit=asm -o - | FileCheck %s --check-prefix=FIRST

// Keys and values are asked for a tile's time before they are read, in the second-level cache (of a Zen 5 in the first):
// while keys are multiplied the values of these keys and the keys two blocks on, and while values are, the next tile's keys.
// One row's weights are a stream, which comes to the second-level cache of a Zen and to the first of others.

// SECOND: attention.task:
// SECOND-COUNT-4: prefetcht1
// SECOND: attention_merge.task:
// SECOND: generic.task:
// SECOND-COUNT-4: prefetcht1

// SOON: attention.task:
// SOON-NOT: prefetcht1
// SOON-COUNT-4: prefetcht0
// SOON-NOT: prefetcht1
// SOON: attention_merge.task:
// SOON-NOT: prefetcht0
// SOON: generic.task:
// SOON-COUNT-4: prefetcht1

// FIRST: attention.task:
// FIRST-NOT: prefetcht0
// FIRST-COUNT-4: prefetcht1
// FIRST-NOT: prefetcht0
// FIRST: attention_merge.task:
// FIRST-NOT: prefetcht1
// FIRST: generic.task:
// FIRST-COUNT-4: prefetcht0

!cache = !transformer.kv_cache<1 x 64 x f32, full>
func.func @step(%q: tensor<?x1x8x64xf32> {transformer.dims = ["B", "", "", ""]},
                %k: tensor<?x1x1x64xf32> {transformer.dims = ["B", "", "", ""]},
                %c: !cache {transformer.name = "cache.0"})
    -> (tensor<?x1x8x64xf32> {transformer.dims = ["B", "", "", ""]}, !cache {transformer.name = "cache.0"}) {
  %d = transformer.cache_append %c, %k, %k : !cache, tensor<?x1x1x64xf32>, tensor<?x1x1x64xf32>
  %y = transformer.attention %q cache %d scale 0.125 mask <causal> : tensor<?x1x8x64xf32>, !cache -> tensor<?x1x8x64xf32>
  return %y, %d : tensor<?x1x8x64xf32>, !cache
}

transformer.weight @w : tensor<512x256xf32> from "model.safetensors"
func.func @row(%x: tensor<1x1x256xf32>) -> tensor<1x1x512xf32> {
  %w = transformer.use @w : tensor<512x256xf32>
  %y = transformer.linear %x, %w : tensor<1x1x256xf32>, tensor<512x256xf32> -> tensor<1x1x512xf32>
  return %y : tensor<1x1x512xf32>
}
