// A step from tokens to logits gets a kernel that draws from them; nothing launches it here.
// RUN: tfopt %s --split-input-file --transformer-add-sample-kernel | FileCheck %s

// CHECK-LABEL: func.func @decode
// CHECK: func.func private @sample(%[[LOGITS:.*]]: memref<?x50xf32>, %{{.*}}: memref<5xf64>, %{{.*}}: memref<?x50xi8>, %{{.*}}: memref<?x4xi64>, %[[TOKENS:.*]]: memref<?xi32>, %{{.*}}: memref<?xi32>)
// A block for each row of logits.
// CHECK-SAME: transformer.dispatch, transformer.grid = array<i64: 0, 0, 1, 1>
// CHECK-SAME: xgpu.config = #xgpu.config<"sample", tile = [1], threads = 512, stages = 1, vector = 1>
// CHECK-SAME: xgpu.kernel = #xgpu.kernel<threads = 512,
// CHECK: nvvm.read.ptx.sreg.ctaid.x
// CHECK: memref.load %[[LOGITS]]
// CHECK: scf.while
// CHECK: memref.store %{{.*}}, %[[TOKENS]]
func.func @decode(%c: !transformer.kv_cache<2 x 64 x bf16, full> {transformer.name = "c"}, %t: tensor<?x1xi32> {transformer.name = "tokens", transformer.dims = ["B", ""]})
    -> (tensor<?x50xf32> {transformer.name = "logits", transformer.dims = ["B", ""]}, !transformer.kv_cache<2 x 64 x bf16, full> {transformer.name = "c"}) {
  %0 = tensor.empty() : tensor<1x50xf32>
  %1 = tensor.cast %0 : tensor<1x50xf32> to tensor<?x50xf32>
  return %1, %c : tensor<?x50xf32>, !transformer.kv_cache<2 x 64 x bf16, full>
}

// -----

// The name is the model's own already.
// CHECK-LABEL: func.func private @sample()
// CHECK-LABEL: func.func @decode
// CHECK: func.func private @sample_0(%{{.*}}: memref<?x7xf32>
func.func private @sample()
func.func @decode(%c: !transformer.kv_cache<2 x 64 x bf16, full> {transformer.name = "c"}, %t: tensor<?x1xi32> {transformer.name = "tokens", transformer.dims = ["B", ""]})
    -> (tensor<?x7xf32> {transformer.name = "logits", transformer.dims = ["B", ""]}, !transformer.kv_cache<2 x 64 x bf16, full> {transformer.name = "c"}) {
  %0 = tensor.empty() : tensor<1x7xf32>
  %1 = tensor.cast %0 : tensor<1x7xf32> to tensor<?x7xf32>
  return %1, %c : tensor<?x7xf32>, !transformer.kv_cache<2 x 64 x bf16, full>
}

// -----

// Another input beside the tokens, which no draw gives.
// CHECK-LABEL: func.func @decode
// CHECK-NOT: sample
func.func @decode(%c: !transformer.kv_cache<2 x 64 x bf16, full> {transformer.name = "c"}, %t: tensor<?x1xi32> {transformer.name = "tokens", transformer.dims = ["B", ""]},
                  %u: tensor<?x1xi32> {transformer.name = "positions", transformer.dims = ["B", ""]})
    -> (tensor<?x7xf32> {transformer.name = "logits", transformer.dims = ["B", ""]}, !transformer.kv_cache<2 x 64 x bf16, full> {transformer.name = "c"}) {
  %0 = tensor.empty() : tensor<1x7xf32>
  %1 = tensor.cast %0 : tensor<1x7xf32> to tensor<?x7xf32>
  return %1, %c : tensor<?x7xf32>, !transformer.kv_cache<2 x 64 x bf16, full>
}

// -----

// Logits of another type, and of every position.
// CHECK-LABEL: func.func @decode
// CHECK-NOT: sample
func.func @decode(%c: !transformer.kv_cache<2 x 64 x bf16, full> {transformer.name = "c"}, %t: tensor<?x1xi32> {transformer.name = "tokens", transformer.dims = ["B", ""]})
    -> (tensor<?x7xbf16> {transformer.name = "logits", transformer.dims = ["B", ""]}, !transformer.kv_cache<2 x 64 x bf16, full> {transformer.name = "c"}) {
  %0 = tensor.empty() : tensor<1x7xbf16>
  %1 = tensor.cast %0 : tensor<1x7xbf16> to tensor<?x7xbf16>
  return %1, %c : tensor<?x7xbf16>, !transformer.kv_cache<2 x 64 x bf16, full>
}

// -----

// CHECK-LABEL: func.func @prefill
// CHECK-NOT: sample
func.func @prefill(%c: !transformer.kv_cache<2 x 64 x bf16, full> {transformer.name = "c"}, %t: tensor<?x1xi32> {transformer.name = "tokens", transformer.dims = ["B", ""]})
    -> (tensor<?x7xf32> {transformer.name = "logits", transformer.dims = ["B", ""]}, !transformer.kv_cache<2 x 64 x bf16, full> {transformer.name = "c"}) {
  %0 = tensor.empty() : tensor<1x7xf32>
  %1 = tensor.cast %0 : tensor<1x7xf32> to tensor<?x7xf32>
  return %1, %c : tensor<?x7xf32>, !transformer.kv_cache<2 x 64 x bf16, full>
}

// -----

// No cache: it is no step, and what it was given before is forgotten.
// CHECK-LABEL: func.func @decode
// CHECK-NOT: sample
func.func @decode(%t: tensor<?x1xi32> {transformer.name = "tokens", transformer.dims = ["B", ""]})
    -> (tensor<?x7xf32> {transformer.name = "logits", transformer.dims = ["B", ""]}) {
  %0 = tensor.empty() : tensor<1x7xf32>
  %1 = tensor.cast %0 : tensor<1x7xf32> to tensor<?x7xf32>
  return %1 : tensor<?x7xf32>
}
