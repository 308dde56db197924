// One config for each architecture, by what a dispatch is, its types and its shape.
// RUN: tfopt %s --transformer-select-gpu-kernels="archs=sm_80,sm_90a" | FileCheck %s
// RUN: tfopt %s --transformer-gpu-pipeline="archs=sm_80,sm_90a stop-at=strategy" | FileCheck %s --check-prefix=LINEAR
// RUN: tfopt %s --transformer-gpu-pipeline="archs=sm_80,sm_90a newest stop-at=strategy" | FileCheck %s --check-prefix=NEWEST
// RUN: tfopt %s --transformer-gpu-pipeline="archs=sm_80 tf32 stop-at=strategy" | FileCheck %s --check-prefix=TF32

transformer.weight @w : tensor<100x64xbf16> from "model.safetensors"
transformer.weight @odd : tensor<100x63xbf16> from "model.safetensors"
transformer.weight @wide : tensor<100x64xf32> from "model.safetensors"

// LINEAR: func.func private @[[NARROW:.*]](%{{.*}}: tensor<?x?x64xbf16>, %{{.*}}: tensor<100x64xbf16>
// LINEAR-SAME: sm_80 = #xgpu.config<"mma_gemm", tile = [64, 64, 32], threads = 128, stages = 4, vector = 8>
// LINEAR-SAME: sm_90a = #xgpu.config<"mma_gemm"
// NEWEST: func.func private @{{.*}}(%{{.*}}: tensor<?x?x64xbf16>, %{{.*}}: tensor<100x64xbf16>
// NEWEST-SAME: sm_80 = #xgpu.config<"mma_gemm"
// NEWEST-SAME: sm_90a = #xgpu.config<"wgmma_gemm", tile = [128, 128, 64, 1], threads = 384, stages = 6, vector = 8>
func.func @linear(%x: tensor<?x?x64xbf16> {transformer.name = "x", transformer.dims = ["B", "S", ""]})
    -> (tensor<?x?x100xf32> {transformer.name = "y", transformer.dims = ["B", "S", ""]}) {
  %w = transformer.use @w : tensor<100x64xbf16>
  %y = transformer.linear %x, %w : tensor<?x?x64xbf16>, tensor<100x64xbf16> -> tensor<?x?x100xf32>
  return %y : tensor<?x?x100xf32>
}

// Clusters where a share of K is worth an exchange of sums: two blocks, or four where tiles are few.
// NEWEST: func.func private @{{.*}}(%{{.*}}: tensor<?x?x512xbf16>
// NEWEST-SAME: sm_90a = #xgpu.config<"wgmma_gemm", tile = [128, 256, 64, 2], threads = 384, stages = 4, vector = 8>
// NEWEST: func.func private @{{.*}}(%{{.*}}: tensor<1x64x1024xbf16>
// NEWEST-SAME: sm_90a = #xgpu.config<"wgmma_gemm", tile = [128, 128, 64, 4], threads = 384, stages = 6, vector = 8>
transformer.weight @columns : tensor<4096x512xbf16> from "model.safetensors"
transformer.weight @deep : tensor<100x1024xbf16> from "model.safetensors"
func.func @pairs(%x: tensor<?x?x512xbf16> {transformer.name = "x", transformer.dims = ["B", "S", ""]})
    -> (tensor<?x?x4096xf32> {transformer.name = "y", transformer.dims = ["B", "S", ""]}) {
  %w = transformer.use @columns : tensor<4096x512xbf16>
  %y = transformer.linear %x, %w : tensor<?x?x512xbf16>, tensor<4096x512xbf16> -> tensor<?x?x4096xf32>
  return %y : tensor<?x?x4096xf32>
}
func.func @fours(%x: tensor<1x64x1024xbf16> {transformer.name = "x", transformer.dims = ["", "", ""]})
    -> (tensor<1x64x100xf32> {transformer.name = "y", transformer.dims = ["", "", ""]}) {
  %w = transformer.use @deep : tensor<100x1024xbf16>
  %y = transformer.linear %x, %w : tensor<1x64x1024xbf16>, tensor<100x1024xbf16> -> tensor<1x64x100xf32>
  return %y : tensor<1x64x100xf32>
}

// Rows of k that do not begin at multiples of 16 bytes have been padded, those of x by a kernel: what is left is the
// kernel of whole rows, here that of @linear, and tensor cores for few rows as for many.
// LINEAR: func.func private @{{.*}}(%{{.*}}: tensor<?x?x63xbf16>, %{{.*}}: tensor<?x?x64xbf16>)
// LINEAR-SAME: "rows"
// LINEAR: func.func private @{{.*}}(%{{.*}}: tensor<1x100x56xbf16>, %{{.*}}: tensor<100x56xbf16>
// LINEAR-SAME: "mma_gemm"
// LINEAR: func.func private @{{.*}}(%{{.*}}: tensor<1x2x56xbf16>, %{{.*}}: tensor<100x56xbf16>
// LINEAR-SAME: "skinny_gemm"
// NEWEST: func.func private @{{.*}}(%{{.*}}: tensor<1x100x56xbf16>, %{{.*}}: tensor<100x56xbf16>
// NEWEST-SAME: sm_90a = #xgpu.config<"wgmma_gemm"
transformer.weight @fifty : tensor<100x50xbf16> from "model.safetensors"
func.func @unaligned(%x: tensor<?x?x63xbf16> {transformer.name = "x", transformer.dims = ["B", "S", ""]})
    -> (tensor<?x?x100xf32> {transformer.name = "y", transformer.dims = ["B", "S", ""]}) {
  %w = transformer.use @odd : tensor<100x63xbf16>
  %y = transformer.linear %x, %w : tensor<?x?x63xbf16>, tensor<100x63xbf16> -> tensor<?x?x100xf32>
  return %y : tensor<?x?x100xf32>
}
func.func @fifty_of_many(%x: tensor<1x100x50xbf16> {transformer.name = "x", transformer.dims = ["", "", ""]})
    -> (tensor<1x100x100xf32> {transformer.name = "y", transformer.dims = ["", "", ""]}) {
  %w = transformer.use @fifty : tensor<100x50xbf16>
  %y = transformer.linear %x, %w : tensor<1x100x50xbf16>, tensor<100x50xbf16> -> tensor<1x100x100xf32>
  return %y : tensor<1x100x100xf32>
}
func.func @fifty_of_two(%x: tensor<1x2x50xbf16> {transformer.name = "x", transformer.dims = ["", "", ""]})
    -> (tensor<1x2x100xf32> {transformer.name = "y", transformer.dims = ["", "", ""]}) {
  %w = transformer.use @fifty : tensor<100x50xbf16>
  %y = transformer.linear %x, %w : tensor<1x2x50xbf16>, tensor<100x50xbf16> -> tensor<1x2x100xf32>
  return %y : tensor<1x2x100xf32>
}

// One row for each of the batch.
// LINEAR: func.func private @{{.*}}(%{{.*}}: tensor<?x1x64xf32>, %{{.*}}: tensor<100x64xf32>
// LINEAR-SAME: "gemv"
func.func @step(%x: tensor<?x1x64xf32> {transformer.name = "x", transformer.dims = ["B", "", ""]})
    -> (tensor<?x1x100xf32> {transformer.name = "y", transformer.dims = ["B", "", ""]}) {
  %w = transformer.use @wide : tensor<100x64xf32>
  %y = transformer.linear %x, %w : tensor<?x1x64xf32>, tensor<100x64xf32> -> tensor<?x1x100xf32>
  return %y : tensor<?x1x100xf32>
}

// Several rows of f32: FMAs, or tensor cores where they are asked for.
// LINEAR: func.func private @{{.*}}(%{{.*}}: tensor<?x?x64xf32>, %{{.*}}: tensor<100x64xf32>
// LINEAR-SAME: "simt_gemm"
// TF32: func.func private @{{.*}}(%{{.*}}: tensor<?x1x64xf32>, %{{.*}}: tensor<100x64xf32>
// TF32-SAME: "gemv"
// TF32: func.func private @{{.*}}(%{{.*}}: tensor<?x?x64xf32>, %{{.*}}: tensor<100x64xf32>
// TF32-SAME: "mma_gemm", tile = [64, 64, 16], threads = 128, stages = 4, vector = 4
func.func @rows(%x: tensor<?x?x64xf32> {transformer.name = "x", transformer.dims = ["B", "S", ""]})
    -> (tensor<?x?x100xf32> {transformer.name = "y", transformer.dims = ["B", "S", ""]}) {
  %w = transformer.use @wide : tensor<100x64xf32>
  %y = transformer.linear %x, %w : tensor<?x?x64xf32>, tensor<100x64xf32> -> tensor<?x?x100xf32>
  return %y : tensor<?x?x100xf32>
}

// The same in a type of tensor cores, whose kernel has code for one row and for several.
// LINEAR: func.func private @{{.*}}(%{{.*}}: tensor<?x1x64xbf16>, %{{.*}}: tensor<100x64xbf16>
// LINEAR-SAME: "skinny_gemm", tile = [16], threads = 256, stages = 2
func.func @narrow_step(%x: tensor<?x1x64xbf16> {transformer.name = "x", transformer.dims = ["B", "", ""]})
    -> (tensor<?x1x100xf32> {transformer.name = "y", transformer.dims = ["B", "", ""]}) {
  %w = transformer.use @w : tensor<100x64xbf16>
  %y = transformer.linear %x, %w : tensor<?x1x64xbf16>, tensor<100x64xbf16> -> tensor<?x1x100xf32>
  return %y : tensor<?x1x100xf32>
}

// Rows that are one for each sequence, as those of a model's head, and rows that may be many.
// LINEAR: func.func private @{{.*}}(%{{.*}}: tensor<?x64xbf16>, %{{.*}}: tensor<100x64xbf16>
// LINEAR-SAME: "skinny_gemm"
// LINEAR: func.func private @{{.*}}(%{{.*}}: tensor<?x64xbf16>, %{{.*}}: tensor<100x64xbf16>
// LINEAR-SAME: "mma_gemm"
func.func @head(%x: tensor<?x1x64xbf16> {transformer.name = "x", transformer.dims = ["B", "", ""]})
    -> (tensor<?x100xf32> {transformer.name = "y", transformer.dims = ["B", ""]}) {
  %w = transformer.use @w : tensor<100x64xbf16>
  %last = tensor.collapse_shape %x [[0, 1], [2]] : tensor<?x1x64xbf16> into tensor<?x64xbf16>
  %y = transformer.linear %last, %w : tensor<?x64xbf16>, tensor<100x64xbf16> -> tensor<?x100xf32>
  return %y : tensor<?x100xf32>
}
func.func @flat(%x: tensor<?x64xbf16> {transformer.name = "x", transformer.dims = ["M", ""]})
    -> (tensor<?x100xbf16> {transformer.name = "y", transformer.dims = ["M", ""]}) {
  %w = transformer.use @w : tensor<100x64xbf16>
  %y = transformer.linear %x, %w : tensor<?x64xbf16>, tensor<100x64xbf16> -> tensor<?x100xbf16>
  return %y : tensor<?x100xbf16>
}

// As many rows as are known to be few, one, and more.
// LINEAR: func.func private @{{.*}}(%{{.*}}: tensor<2x8x64xbf16>
// LINEAR-SAME: "skinny_gemm"
// LINEAR: func.func private @{{.*}}(%{{.*}}: tensor<1x1x64xbf16>
// LINEAR-SAME: "gemv"
// LINEAR: func.func private @{{.*}}(%{{.*}}: tensor<17x1x64xbf16>
// LINEAR-SAME: "mma_gemm"
func.func @sixteen(%x: tensor<2x8x64xbf16> {transformer.name = "x", transformer.dims = ["", "", ""]})
    -> (tensor<2x8x100xf32> {transformer.name = "y", transformer.dims = ["", "", ""]}) {
  %w = transformer.use @w : tensor<100x64xbf16>
  %y = transformer.linear %x, %w : tensor<2x8x64xbf16>, tensor<100x64xbf16> -> tensor<2x8x100xf32>
  return %y : tensor<2x8x100xf32>
}
func.func @one(%x: tensor<1x1x64xbf16> {transformer.name = "x", transformer.dims = ["", "", ""]})
    -> (tensor<1x1x100xf32> {transformer.name = "y", transformer.dims = ["", "", ""]}) {
  %w = transformer.use @w : tensor<100x64xbf16>
  %y = transformer.linear %x, %w : tensor<1x1x64xbf16>, tensor<100x64xbf16> -> tensor<1x1x100xf32>
  return %y : tensor<1x1x100xf32>
}
func.func @seventeen(%x: tensor<17x1x64xbf16> {transformer.name = "x", transformer.dims = ["", "", ""]})
    -> (tensor<17x1x100xf32> {transformer.name = "y", transformer.dims = ["", "", ""]}) {
  %w = transformer.use @w : tensor<100x64xbf16>
  %y = transformer.linear %x, %w : tensor<17x1x64xbf16>, tensor<100x64xbf16> -> tensor<17x1x100xf32>
  return %y : tensor<17x1x100xf32>
}

// CHECK-LABEL: func.func private @f32
// CHECK-SAME: "simt_attention", tile = [64, 32], threads = 128
func.func private @f32(%q: tensor<?x?x8x64xf32>, %k: tensor<?x?x2x64xf32>, %v: tensor<?x?x2x64xf32>, %out: tensor<?x?x8x64xf32>) -> tensor<?x?x8x64xf32> attributes {transformer.dispatch} {
  %0 = transformer.attention %q, %k, %v scale 0.125 mask <causal> : tensor<?x?x8x64xf32>, tensor<?x?x2x64xf32>, tensor<?x?x2x64xf32> -> tensor<?x?x8x64xf32>
  return %0 : tensor<?x?x8x64xf32>
}

// Wide heads, in fewer keys at a time; an even number of dimensions is enough.
// CHECK-LABEL: func.func private @wide_on_tensor_cores
// CHECK-SAME: "flash_attention", tile = [64, 32], threads = 128
func.func private @wide_on_tensor_cores(%q: tensor<?x?x8x202xbf16>, %k: tensor<?x?x2x202xbf16>, %v: tensor<?x?x2x202xbf16>, %out: tensor<?x?x8x202xbf16>) -> tensor<?x?x8x202xbf16> attributes {transformer.dispatch} {
  %0 = transformer.attention %q, %k, %v scale 0.125 mask <causal> : tensor<?x?x8x202xbf16>, tensor<?x?x2x202xbf16>, tensor<?x?x2x202xbf16> -> tensor<?x?x8x202xbf16>
  return %0 : tensor<?x?x8x202xbf16>
}

// Heads whose tiles do not fit.
// CHECK-LABEL: func.func private @wide_heads
// CHECK-SAME: "row_attention"
func.func private @wide_heads(%q: tensor<?x?x8x160xf32>, %k: tensor<?x?x2x160xf32>, %v: tensor<?x?x2x160xf32>, %out: tensor<?x?x8x160xf32>) -> tensor<?x?x8x160xf32> attributes {transformer.dispatch} {
  %0 = transformer.attention %q, %k, %v scale 0.125 mask <causal> : tensor<?x?x8x160xf32>, tensor<?x?x2x160xf32>, tensor<?x?x2x160xf32> -> tensor<?x?x8x160xf32>
  return %0 : tensor<?x?x8x160xf32>
}

// CHECK-LABEL: func.func private @tensor_cores
// CHECK-SAME: "flash_attention", tile = [64, 64], threads = 128
func.func private @tensor_cores(%q: tensor<?x?x8x64xbf16>, %k: tensor<?x?x2x64xbf16>, %v: tensor<?x?x2x64xbf16>, %out: tensor<?x?x8x64xbf16>) -> tensor<?x?x8x64xbf16> attributes {transformer.dispatch} {
  %0 = transformer.attention %q, %k, %v scale 0.125 mask <causal> : tensor<?x?x8x64xbf16>, tensor<?x?x2x64xbf16>, tensor<?x?x2x64xbf16> -> tensor<?x?x8x64xbf16>
  return %0 : tensor<?x?x8x64xbf16>
}

// One position: the heads that share keys, and as many splits as make blocks for a large GPU.
// CHECK-LABEL: func.func private @decode(
// CHECK-SAME: "decode_attention", tile = [4, 132, 256], threads = 256, stages = 1, vector = 8>
func.func private @decode(%q: tensor<?x1x8x64xbf16>, %c: !transformer.kv_cache<2 x 64 x bf16, full>, %out: tensor<?x1x8x64xbf16>) -> tensor<?x1x8x64xbf16> attributes {transformer.dispatch} {
  %0 = transformer.attention %q cache %c scale 0.125 mask <causal> : tensor<?x1x8x64xbf16>, !transformer.kv_cache<2 x 64 x bf16, full> -> tensor<?x1x8x64xbf16>
  return %0 : tensor<?x1x8x64xbf16>
}

// A few positions whose heads make one block's rows, and more than that.
// CHECK-LABEL: func.func private @two_positions(
// CHECK-SAME: "decode_attention", tile = [16, 1, 256]
func.func private @two_positions(%q: tensor<?x2x16x64xbf16>, %c: !transformer.kv_cache<2 x 64 x bf16, full>, %out: tensor<?x2x16x64xbf16>) -> tensor<?x2x16x64xbf16> attributes {transformer.dispatch} {
  %0 = transformer.attention %q cache %c scale 0.125 mask <causal> : tensor<?x2x16x64xbf16>, !transformer.kv_cache<2 x 64 x bf16, full> -> tensor<?x2x16x64xbf16>
  return %0 : tensor<?x2x16x64xbf16>
}
// CHECK-LABEL: func.func private @three_positions(
// CHECK-SAME: "flash_attention"
func.func private @three_positions(%q: tensor<?x3x16x64xbf16>, %c: !transformer.kv_cache<2 x 64 x bf16, full>, %out: tensor<?x3x16x64xbf16>) -> tensor<?x3x16x64xbf16> attributes {transformer.dispatch} {
  %0 = transformer.attention %q cache %c scale 0.125 mask <causal> : tensor<?x3x16x64xbf16>, !transformer.kv_cache<2 x 64 x bf16, full> -> tensor<?x3x16x64xbf16>
  return %0 : tensor<?x3x16x64xbf16>
}

// More heads than a block has rows share their keys, and a window has too few keys for splits.
// CHECK-LABEL: func.func private @decode_in_window(
// CHECK-SAME: "simt_decode_attention", tile = [6, 1, 256], threads = 256, stages = 1, vector = 4>
func.func private @decode_in_window(%q: tensor<?x1x12x60xf32>, %k: tensor<?x?x1x60xf32>, %v: tensor<?x?x1x60xf32>, %out: tensor<?x1x12x60xf32>) -> tensor<?x1x12x60xf32> attributes {transformer.dispatch} {
  %0 = transformer.attention %q, %k, %v scale 0.125 mask <window, 300> : tensor<?x1x12x60xf32>, tensor<?x?x1x60xf32>, tensor<?x?x1x60xf32> -> tensor<?x1x12x60xf32>
  return %0 : tensor<?x1x12x60xf32>
}

// CHECK-LABEL: func.func private @merge(
// CHECK-SAME: "attention_merge"
func.func private @merge(%p: tensor<?x16x8x66xf32>, %out: tensor<?x1x8x64xbf16>) -> tensor<?x1x8x64xbf16> attributes {transformer.dispatch} {
  %0 = transformer.attention_merge %p : tensor<?x16x8x66xf32> -> tensor<?x1x8x64xbf16>
  return %0 : tensor<?x1x8x64xbf16>
}

// A config that is there is kept.
// CHECK-LABEL: func.func private @kept
// CHECK-SAME: xgpu.configs = {sm_80 = #xgpu.config<"elements", tile = [1], threads = 64, stages = 1, vector = 1>}
func.func private @kept(%x: tensor<?x64xf32>, %out: tensor<?x64xf32>) -> tensor<?x64xf32>
    attributes {transformer.dispatch, xgpu.configs = {sm_80 = #xgpu.config<"elements", tile = [1], threads = 64, stages = 1, vector = 1>}} {
  return %x : tensor<?x64xf32>
}
