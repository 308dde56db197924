// A decoding attention whose config asks for splits becomes an attention of ranges of keys and a merge.
// RUN: tfopt %s --transformer-split-attention | FileCheck %s
// RUN: tfopt %s --transformer-select-strategy --transformer-split-attention | FileCheck %s --check-prefix=CHOSEN

!cache = !transformer.kv_cache<2 x 8 x f32, full>
!windowed = !transformer.kv_cache<2 x 8 x f32, ring, 512>
!narrow = !transformer.kv_cache<2 x 8 x f32, ring, 256>

// The dispatch makes one row for each split and head: D sums, the maximum, the sum of weights.
// CHECK: func private @attn(%{{.*}}: tensor<?x1x4x8xf32>, %{{.*}}: !transformer.kv_cache<2 x 8 x f32, full>, %{{.*}}: tensor<?x3x4x10xf32>) -> tensor<?x3x4x10xf32>
// CHECK: transformer.attention %{{.*}} cache %{{.*}} scale 5.000000e-01 mask <causal> splits 3 of 64 {{.*}} -> tensor<?x3x4x10xf32>
// CHECK: func private @attn_merge(%[[PARTS:.*]]: tensor<?x3x4x10xf32>, %{{.*}}: tensor<?x1x4x8xf32>) -> tensor<?x1x4x8xf32>
// CHECK-SAME: template = "attention_merge", tile = [1, 8]
// CHECK: transformer.attention_merge %[[PARTS]] : tensor<?x3x4x10xf32> -> tensor<?x1x4x8xf32>
func.func private @attn(%q: tensor<?x1x4x8xf32>, %c: !cache, %o: tensor<?x1x4x8xf32>) -> tensor<?x1x4x8xf32>
    attributes {transformer.dispatch, transformer.config = #transformer.lowering_config<template = "attention", tile = [6, 16], block = [1, 32, 1, 1, 3, 64, 2, 0], vector = 8, grain = 1>} {
  %0 = transformer.attention %q cache %c scale 0.5 mask <causal> : tensor<?x1x4x8xf32>, !cache -> tensor<?x1x4x8xf32>
  return %0 : tensor<?x1x4x8xf32>
}

// What is narrower is made of the same splits by a merge of its own.
// CHECK: func private @attn_bf16(%{{.*}}tensor<?x3x4x10xf32>) -> tensor<?x3x4x10xf32>
// CHECK: func private @attn_bf16_merge(%{{.*}}: tensor<?x3x4x10xf32>, %{{.*}}: tensor<?x1x4x8xbf16>) -> tensor<?x1x4x8xbf16>
func.func private @attn_bf16(%q: tensor<?x1x4x8xbf16>, %c: !cache, %o: tensor<?x1x4x8xbf16>) -> tensor<?x1x4x8xbf16>
    attributes {transformer.dispatch, transformer.config = #transformer.lowering_config<template = "attention", tile = [6, 16], block = [1, 32, 1, 1, 3, 64, 2, 0], vector = 8, grain = 1>} {
  %0 = transformer.attention %q cache %c scale 0.5 mask <causal> : tensor<?x1x4x8xbf16>, !cache -> tensor<?x1x4x8xbf16>
  return %0 : tensor<?x1x4x8xbf16>
}

// Declined: one split, of several positions.
// CHECK: func private @prefill(%{{.*}}: tensor<?x?x4x8xf32>) -> tensor<?x?x4x8xf32>
// CHECK-NOT: splits
func.func private @prefill(%q: tensor<?x?x4x8xf32>, %c: !cache, %o: tensor<?x?x4x8xf32>) -> tensor<?x?x4x8xf32>
    attributes {transformer.dispatch, transformer.config = #transformer.lowering_config<template = "attention", tile = [6, 16], block = [8, 32, 1, 1, 1, 64, 2, 0], vector = 8, grain = 1>} {
  %0 = transformer.attention %q cache %c scale 0.5 mask <causal> : tensor<?x?x4x8xf32>, !cache -> tensor<?x?x4x8xf32>
  return %0 : tensor<?x?x4x8xf32>
}

// Chosen: few heads of a cache without a limit, or one of more than a range.
// CHOSEN: func private @few
// CHOSEN-SAME: tensor<?x16x4x10xf32>)
func.func private @few(%q: tensor<?x1x4x8xf32>, %c: !cache, %o: tensor<?x1x4x8xf32>) -> tensor<?x1x4x8xf32> attributes {transformer.dispatch} {
  %0 = transformer.attention %q cache %c scale 0.5 mask <causal> : tensor<?x1x4x8xf32>, !cache -> tensor<?x1x4x8xf32>
  return %0 : tensor<?x1x4x8xf32>
}
// CHOSEN: func private @ring
// CHOSEN-SAME: tensor<?x16x4x10xf32>)
func.func private @ring(%q: tensor<?x1x4x8xf32>, %c: !windowed, %o: tensor<?x1x4x8xf32>) -> tensor<?x1x4x8xf32> attributes {transformer.dispatch} {
  %0 = transformer.attention %q cache %c scale 0.5 mask <window, 512> : tensor<?x1x4x8xf32>, !windowed -> tensor<?x1x4x8xf32>
  return %0 : tensor<?x1x4x8xf32>
}
// Not chosen: a window of no more keys than a range has, enough heads or rows, several positions.
// CHOSEN: func private @narrow
// CHOSEN-SAME: tensor<?x1x4x8xf32>)
func.func private @narrow(%q: tensor<?x1x4x8xf32>, %c: !narrow, %o: tensor<?x1x4x8xf32>) -> tensor<?x1x4x8xf32> attributes {transformer.dispatch} {
  %0 = transformer.attention %q cache %c scale 0.5 mask <window, 256> : tensor<?x1x4x8xf32>, !narrow -> tensor<?x1x4x8xf32>
  return %0 : tensor<?x1x4x8xf32>
}
// CHOSEN: func private @rows
// CHOSEN-SAME: tensor<16x1x4x8xf32>)
func.func private @rows(%q: tensor<16x1x4x8xf32>, %c: !cache, %o: tensor<16x1x4x8xf32>) -> tensor<16x1x4x8xf32> attributes {transformer.dispatch} {
  %0 = transformer.attention %q cache %c scale 0.5 mask <causal> : tensor<16x1x4x8xf32>, !cache -> tensor<16x1x4x8xf32>
  return %0 : tensor<16x1x4x8xf32>
}
// CHOSEN: func private @positions
// CHOSEN-SAME: tensor<?x?x4x8xf32>)
func.func private @positions(%q: tensor<?x?x4x8xf32>, %c: !cache, %o: tensor<?x?x4x8xf32>) -> tensor<?x?x4x8xf32> attributes {transformer.dispatch} {
  %0 = transformer.attention %q cache %c scale 0.5 mask <causal> : tensor<?x?x4x8xf32>, !cache -> tensor<?x?x4x8xf32>
  return %0 : tensor<?x?x4x8xf32>
}

// Each launch becomes two; the second writes where the one did.
// CHECK-LABEL: func @decode
// CHECK: %[[OUT:.*]] = tensor.empty(%{{.*}}) : tensor<?x1x4x8xf32>
// CHECK: %[[SPLITS:.*]] = tensor.empty(%{{.*}}) : tensor<?x3x4x10xf32>
// CHECK: %[[MADE:.*]] = transformer.launch @attn ins(%{{.*}}) outs(%[[SPLITS]] : tensor<?x3x4x10xf32>) {transformer.label = "decode.attn"} -> tensor<?x3x4x10xf32>
// CHECK: %[[MERGED:.*]] = transformer.launch @attn_merge ins(%[[MADE]] : tensor<?x3x4x10xf32>) outs(%[[OUT]] : tensor<?x1x4x8xf32>) {transformer.label = "decode.attn_merge"} -> tensor<?x1x4x8xf32>
// CHECK: return %[[MERGED]]
func.func @decode(%q: tensor<?x1x4x8xf32>, %c: !cache) -> tensor<?x1x4x8xf32> {
  %c0 = arith.constant 0 : index
  %b = tensor.dim %q, %c0 : tensor<?x1x4x8xf32>
  %0 = tensor.empty(%b) : tensor<?x1x4x8xf32>
  %1 = transformer.launch @attn ins(%q, %c : tensor<?x1x4x8xf32>, !cache) outs(%0 : tensor<?x1x4x8xf32>) {transformer.label = "decode.attn"} -> tensor<?x1x4x8xf32>
  return %1 : tensor<?x1x4x8xf32>
}
