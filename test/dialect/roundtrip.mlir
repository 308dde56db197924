// Every op, type and attribute, parsed and printed twice: in its own form and in the generic form.
// RUN: tfopt %s | tfopt | FileCheck %s
// RUN: tfopt %s --mlir-print-op-generic | tfopt | FileCheck %s
// RUN: tfopt %s --emit-bytecode | tfopt | FileCheck %s

// Words are one space apart.
// RUN: tfopt %s | FileCheck %s --check-prefix=SPACES --strict-whitespace
// SPACES-NOT: {{[^ ]}}  {{[^ ]}}

//===----------------------------------------------------------------------===//
// Weights
//===----------------------------------------------------------------------===//

// CHECK: transformer.weight @a : tensor<8x4xf32> from "model.safetensors"
transformer.weight @a : tensor<8x4xf32> from "model.safetensors"
// CHECK: transformer.weight @model.b.weight : tensor<8x4xbf16> from "model-00001-of-00002.safetensors" key "b.weight"
transformer.weight @model.b.weight : tensor<8x4xbf16> from "model-00001-of-00002.safetensors" key "b.weight"
// Integers are weights too.
// CHECK: transformer.weight @ids : tensor<1x16xi64> from "model.safetensors"
transformer.weight @ids : tensor<1x16xi64> from "model.safetensors"

// CHECK: transformer.derive @a.bf16 = convert(@a) : tensor<8x4xbf16>
transformer.derive @a.bf16 = convert(@a) : tensor<8x4xbf16>
// CHECK: transformer.derive @a.packed = pack(@a) : tensor<8x4xf32, #transformer.packed<16 x 2>>
transformer.derive @a.packed = pack(@a) : tensor<8x4xf32, #transformer.packed<16 x 2, bias 0>>
// CHECK: transformer.weight @bytes : tensor<8x4xi4>
transformer.weight @bytes : tensor<8x4xi4> from "model.safetensors"
// CHECK: transformer.derive @bytes.packed = pack(@bytes) : tensor<8x4xi4, #transformer.packed<16 x 8, bias 8>>
transformer.derive @bytes.packed = pack(@bytes) : tensor<8x4xi4, #transformer.packed<16 x 8, bias 8>>
// CHECK: transformer.derive @a.t = transpose(@a) : tensor<4x8xf32>
transformer.derive @a.t = transpose(@a) : tensor<4x8xf32>
// CHECK: transformer.derive @ab = concat(@a, @model.b.weight) {axis = 1 : i64} : tensor<8x8xf32>
transformer.derive @ab = concat(@a, @model.b.weight) {axis = 1 : i64} : tensor<8x8xf32>
// CHECK: transformer.derive @a.1 = add_scalar(@a) {value = 1.000000e+00 : f64} : tensor<8x4xf32>
transformer.derive @a.1 = add_scalar(@a) {value = 1.0 : f64} : tensor<8x4xf32>
// CHECK: transformer.derive @a.half = scale(@a) {value = 5.000000e-01 : f64} : tensor<8x4xf32>
transformer.derive @a.half = scale(@a) {value = 0.5 : f64} : tensor<8x4xf32>
// CHECK: transformer.derive @a.top = slice(@a) {axis = 0 : i64, begin = 2 : i64, end = 5 : i64} : tensor<3x4xf32>
transformer.derive @a.top = slice(@a) {axis = 0 : i64, begin = 2 : i64, end = 5 : i64} : tensor<3x4xf32>
// CHECK: transformer.derive @rope.none = rope_table() {part = "cos", scaling = "none", theta = 1.000000e+04 : f64} : tensor<16x4xf32>
transformer.derive @rope.none = rope_table() {part = "cos", scaling = "none", theta = 1.0e4 : f64} : tensor<16x4xf32>
// CHECK: transformer.derive @rope.linear = rope_table() {{.*}}scaling = "linear"
transformer.derive @rope.linear = rope_table() {part = "sin", scaling = "linear", factor = 2.0 : f64, theta = 1.0e4 : f64} : tensor<16x4xf32>
// CHECK: transformer.derive @rope.llama3 = rope_table() {{.*}}scaling = "llama3"
transformer.derive @rope.llama3 = rope_table() {part = "cos", scaling = "llama3", theta = 5.0e5 : f64, factor = 8.0 : f64, low_freq_factor = 1.0 : f64, high_freq_factor = 4.0 : f64, original_max_positions = 8192 : i64} : tensor<16x4xf32>
// CHECK: transformer.derive @rope.longrope = rope_table() {{.*}}ext_factors = array<f64: 1.000000e+00, 1.100000e+00, 1.200000e+00, 1.300000e+00>
transformer.derive @rope.longrope = rope_table() {part = "cos", scaling = "longrope", theta = 1.0e4 : f64, ext_factors = array<f64: 1.0, 1.1, 1.2, 1.3>, attention_factor = 1.2 : f64} : tensor<16x4xf32>
// CHECK: transformer.derive @rope.yarn = rope_table() {{.*}}beta_fast = 3.200000e+01 : f64, beta_slow = 1.000000e+00 : f64
transformer.derive @rope.yarn = rope_table() {part = "sin", scaling = "yarn", theta = 1.0e4 : f64, factor = 4.0 : f64, beta_fast = 32.0 : f64, beta_slow = 1.0 : f64, attention_factor = 1.1 : f64, original_max_positions = 4096 : i64} : tensor<16x4xf32>
// CHECK: transformer.derive @positions = sinusoid() {layout = "split"} : tensor<16x8xf32>
transformer.derive @positions = sinusoid() {layout = "split"} : tensor<16x8xf32>
// CHECK: transformer.derive @positions.i = sinusoid() {layout = "interleaved"} : tensor<16x8xf32>
transformer.derive @positions.i = sinusoid() {layout = "interleaved"} : tensor<16x8xf32>

// CHECK-LABEL: func @use
func.func @use() -> (tensor<8x4xf32>, memref<4x8xf32>) {
  // CHECK: transformer.use @a : tensor<8x4xf32>
  %0 = transformer.use @a : tensor<8x4xf32>
  // CHECK: transformer.use @a.t : memref<4x8xf32>
  %1 = transformer.use @a.t : memref<4x8xf32>
  return %0, %1 : tensor<8x4xf32>, memref<4x8xf32>
}

//===----------------------------------------------------------------------===//
// Compute
//===----------------------------------------------------------------------===//

// CHECK-LABEL: func @embedding
func.func @embedding(%ids: tensor<?x?xi32>, %table: tensor<512x64xbf16>) -> tensor<?x?x64xf32> {
  // CHECK: transformer.embedding %{{.*}}, %{{.*}} : tensor<?x?xi32>, tensor<512x64xbf16> -> tensor<?x?x64xf32>
  %0 = transformer.embedding %ids, %table : tensor<?x?xi32>, tensor<512x64xbf16> -> tensor<?x?x64xf32>
  return %0 : tensor<?x?x64xf32>
}

// CHECK-LABEL: func @linear
func.func @linear(%x: tensor<?x?x64xf32>, %w: tensor<128x64xbf16>, %b: tensor<128xf16>) -> tensor<?x?x128xbf16> {
  // CHECK: transformer.linear %{{.*}}, %{{.*}} : tensor<?x?x64xf32>, tensor<128x64xbf16> -> tensor<?x?x128xf32>
  %0 = transformer.linear %x, %w : tensor<?x?x64xf32>, tensor<128x64xbf16> -> tensor<?x?x128xf32>
  // CHECK: transformer.linear %{{.*}}, %{{.*}} bias %{{.*}} {note = "kept"} : tensor<?x?x64xf32>, tensor<128x64xbf16>, tensor<128xf16> -> tensor<?x?x128xbf16>
  %1 = transformer.linear %x, %w bias %b {note = "kept"} : tensor<?x?x64xf32>, tensor<128x64xbf16>, tensor<128xf16> -> tensor<?x?x128xbf16>
  return %1 : tensor<?x?x128xbf16>
}

// CHECK-LABEL: func @norms
func.func @norms(%x: tensor<?x64xf32>, %w: tensor<64xf32>, %b: tensor<64xf32>) -> tensor<?x64xbf16> {
  // CHECK: transformer.layer_norm %{{.*}}, %{{.*}} epsilon 1.000000e-05 : tensor<?x64xf32>, tensor<64xf32> -> tensor<?x64xf32>
  %0 = transformer.layer_norm %x, %w epsilon 1.0e-5 : tensor<?x64xf32>, tensor<64xf32> -> tensor<?x64xf32>
  // CHECK: transformer.layer_norm %{{.*}}, %{{.*}} bias %{{.*}} epsilon 9.9999999999999998E-13 : tensor<?x64xf32>, tensor<64xf32>, tensor<64xf32> -> tensor<?x64xf32>
  %1 = transformer.layer_norm %0, %w bias %b epsilon 1.0e-12 : tensor<?x64xf32>, tensor<64xf32>, tensor<64xf32> -> tensor<?x64xf32>
  // CHECK: transformer.rms_norm %{{.*}}, %{{.*}} epsilon 9.9999999999999995E-7 : tensor<?x64xf32>, tensor<64xf32> -> tensor<?x64xbf16>
  %2 = transformer.rms_norm %1, %w epsilon 1.0e-6 : tensor<?x64xf32>, tensor<64xf32> -> tensor<?x64xbf16>
  return %2 : tensor<?x64xbf16>
}

// CHECK-LABEL: func @activations
func.func @activations(%x: tensor<?x64xf32>) -> tensor<?x64xf16> {
  // CHECK: transformer.activation silu %{{.*}} : tensor<?x64xf32> -> tensor<?x64xf32>
  %0 = transformer.activation silu %x : tensor<?x64xf32> -> tensor<?x64xf32>
  // CHECK: transformer.activation gelu_erf
  %1 = transformer.activation gelu_erf %0 : tensor<?x64xf32> -> tensor<?x64xf32>
  // CHECK: transformer.activation gelu_tanh
  %2 = transformer.activation gelu_tanh %1 : tensor<?x64xf32> -> tensor<?x64xf32>
  // CHECK: transformer.activation relu
  %3 = transformer.activation relu %2 : tensor<?x64xf32> -> tensor<?x64xf32>
  // CHECK: transformer.activation quick_gelu %{{.*}} : tensor<?x64xf32> -> tensor<?x64xf16>
  %4 = transformer.activation quick_gelu %3 : tensor<?x64xf32> -> tensor<?x64xf16>
  return %4 : tensor<?x64xf16>
}

// CHECK-LABEL: func @gated_mlp
func.func @gated_mlp(%x: tensor<?x?x64xf32>, %g: tensor<96x64xf32>, %u: tensor<96x64xf32>, %d: tensor<64x96xf32>) -> tensor<?x?x64xf32> {
  // CHECK: transformer.gated_mlp silu %{{.*}}, %{{.*}}, %{{.*}}, %{{.*}} : tensor<?x?x64xf32>, tensor<96x64xf32>, tensor<96x64xf32>, tensor<64x96xf32> -> tensor<?x?x64xf32>
  %0 = transformer.gated_mlp silu %x, %g, %u, %d : tensor<?x?x64xf32>, tensor<96x64xf32>, tensor<96x64xf32>, tensor<64x96xf32> -> tensor<?x?x64xf32>
  return %0 : tensor<?x?x64xf32>
}

//===----------------------------------------------------------------------===//
// Attention
//===----------------------------------------------------------------------===//

// CHECK-LABEL: func @rope
func.func @rope(%x: tensor<?x?x4x8xf32>, %cos: tensor<512x3xf32>, %sin: tensor<512x3xf32>, %at: tensor<?xi32>) -> tensor<?x?x4x8xf32> {
  // CHECK: transformer.rope half_split %{{.*}}, %{{.*}}, %{{.*}} at %{{.*}} : tensor<?x?x4x8xf32>, tensor<512x3xf32>, tensor<512x3xf32>, tensor<?xi32> -> tensor<?x?x4x8xf32>
  %0 = transformer.rope half_split %x, %cos, %sin at %at : tensor<?x?x4x8xf32>, tensor<512x3xf32>, tensor<512x3xf32>, tensor<?xi32> -> tensor<?x?x4x8xf32>
  // CHECK: transformer.rope interleaved
  %1 = transformer.rope interleaved %0, %cos, %sin at %at : tensor<?x?x4x8xf32>, tensor<512x3xf32>, tensor<512x3xf32>, tensor<?xi32> -> tensor<?x?x4x8xf32>
  return %1 : tensor<?x?x4x8xf32>
}

// CHECK-LABEL: func @attention
func.func @attention(%q: tensor<?x?x8x64xf32>, %k: tensor<?x?x4x64xf32>, %v: tensor<?x?x4x64xf32>, %bias: tensor<1x8x?x?xf32>) -> tensor<?x?x8x64xf32> {
  // CHECK: transformer.attention %{{.*}}, %{{.*}}, %{{.*}} scale 1.250000e-01 mask <none> : tensor<?x?x8x64xf32>, tensor<?x?x4x64xf32>, tensor<?x?x4x64xf32> -> tensor<?x?x8x64xf32>
  %0 = transformer.attention %q, %k, %v scale 0.125 mask <none> : tensor<?x?x8x64xf32>, tensor<?x?x4x64xf32>, tensor<?x?x4x64xf32> -> tensor<?x?x8x64xf32>
  // CHECK: transformer.attention %{{.*}}, %{{.*}}, %{{.*}} bias %{{.*}} scale 1.250000e-01 mask <causal> softcap 5.000000e+01 : tensor<?x?x8x64xf32>, tensor<?x?x4x64xf32>, tensor<?x?x4x64xf32>, tensor<1x8x?x?xf32> -> tensor<?x?x8x64xf32>
  %1 = transformer.attention %0, %k, %v bias %bias scale 0.125 mask <causal> softcap 50.0 : tensor<?x?x8x64xf32>, tensor<?x?x4x64xf32>, tensor<?x?x4x64xf32>, tensor<1x8x?x?xf32> -> tensor<?x?x8x64xf32>
  return %1 : tensor<?x?x8x64xf32>
}

// CHECK-LABEL: func @splits
func.func @splits(%q: tensor<?x1x8x64xbf16>, %c: !transformer.kv_cache<4 x 64 x bf16, full>) -> tensor<?x1x8x64xbf16> {
  // CHECK: transformer.attention %{{.*}} cache %{{.*}} scale 1.250000e-01 mask <causal> splits 16 of 256 : tensor<?x1x8x64xbf16>, !transformer.kv_cache<4 x 64 x bf16, full> -> tensor<?x16x8x66xf32>
  %0 = transformer.attention %q cache %c scale 0.125 mask <causal> splits 16 of 256 : tensor<?x1x8x64xbf16>, !transformer.kv_cache<4 x 64 x bf16, full> -> tensor<?x16x8x66xf32>
  // CHECK: transformer.attention_merge %{{.*}} : tensor<?x16x8x66xf32> -> tensor<?x1x8x64xbf16>
  %1 = transformer.attention_merge %0 : tensor<?x16x8x66xf32> -> tensor<?x1x8x64xbf16>
  return %1 : tensor<?x1x8x64xbf16>
}

// CHECK-LABEL: func @caches
// CHECK-SAME: !transformer.kv_cache<4 x 64 x f32, full>
// CHECK-SAME: !transformer.kv_cache<4 x 64 x bf16, ring, 1024>
func.func @caches(%q: tensor<?x?x8x64xf32>, %k: tensor<?x?x4x64xf32>, %v: tensor<?x?x4x64xf32>, %c: !transformer.kv_cache<4 x 64 x f32, full>, %r: !transformer.kv_cache<4 x 64 x bf16, ring, 1024>) -> (tensor<?x?x8x64xf32>, tensor<?xi32>, !transformer.kv_cache<4 x 64 x f32, full>, !transformer.kv_cache<4 x 64 x bf16, ring, 1024>) {
  // CHECK: %[[LENGTH:.*]] = transformer.cache_length %{{.*}} : <4 x 64 x f32, full> -> tensor<?xi32>
  %length = transformer.cache_length %c : !transformer.kv_cache<4 x 64 x f32, full> -> tensor<?xi32>
  // CHECK: %[[FULL:.*]] = transformer.cache_append %{{.*}}, %{{.*}}, %{{.*}} : <4 x 64 x f32, full>, tensor<?x?x4x64xf32>, tensor<?x?x4x64xf32>
  %0 = transformer.cache_append %c, %k, %v : !transformer.kv_cache<4 x 64 x f32, full>, tensor<?x?x4x64xf32>, tensor<?x?x4x64xf32>
  // CHECK: transformer.attention %{{.*}} cache %[[FULL]] scale 1.250000e-01 mask <causal> : tensor<?x?x8x64xf32>, !transformer.kv_cache<4 x 64 x f32, full> -> tensor<?x?x8x64xf32>
  %1 = transformer.attention %q cache %0 scale 0.125 mask <causal> : tensor<?x?x8x64xf32>, !transformer.kv_cache<4 x 64 x f32, full> -> tensor<?x?x8x64xf32>
  // CHECK: %[[RING:.*]] = transformer.cache_append
  %2 = transformer.cache_append %r, %k, %v : !transformer.kv_cache<4 x 64 x bf16, ring, 1024>, tensor<?x?x4x64xf32>, tensor<?x?x4x64xf32>
  // CHECK: transformer.attention %{{.*}} cache %[[RING]] scale 1.250000e-01 mask <window, 512> : tensor<?x?x8x64xf32>, !transformer.kv_cache<4 x 64 x bf16, ring, 1024> -> tensor<?x?x8x64xf32>
  %3 = transformer.attention %1 cache %2 scale 0.125 mask <window, 512> : tensor<?x?x8x64xf32>, !transformer.kv_cache<4 x 64 x bf16, ring, 1024> -> tensor<?x?x8x64xf32>
  return %3, %length, %0, %2 : tensor<?x?x8x64xf32>, tensor<?xi32>, !transformer.kv_cache<4 x 64 x f32, full>, !transformer.kv_cache<4 x 64 x bf16, ring, 1024>
}

//===----------------------------------------------------------------------===//
// Launches
//===----------------------------------------------------------------------===//

func.func private @on_tensors(%a: tensor<?xf32>, %out: tensor<?xf32>) -> tensor<?xf32>
func.func private @on_memrefs(memref<?xf32>, memref<?xf32>, index, index)

// CHECK-LABEL: func @launches
func.func @launches(%a: tensor<?xf32>, %m: memref<?xf32>, %tasks: index) -> tensor<?xf32> {
  // CHECK: transformer.launch @on_tensors ins(%{{.*}} : tensor<?xf32>) outs(%{{.*}} : tensor<?xf32>) -> tensor<?xf32>
  %0 = transformer.launch @on_tensors ins(%a : tensor<?xf32>) outs(%a : tensor<?xf32>) -> tensor<?xf32>
  // CHECK: transformer.launch @on_memrefs grid(%{{.*}}) ins(%{{.*}} : memref<?xf32>) outs(%{{.*}} : memref<?xf32>) {config = #transformer.lowering_config<template = "generic", tile = [4, 4], vector = 16, grain = 8>}
  transformer.launch @on_memrefs grid(%tasks) ins(%m : memref<?xf32>) outs(%m : memref<?xf32>) {config = #transformer.lowering_config<template = "generic", tile = [4, 4], vector = 16, grain = 8>}
  return %0 : tensor<?xf32>
}

// What lowered entry points read from their call.
// CHECK-LABEL: func @call
func.func @call(%call: !llvm.ptr) -> (memref<?x64xf32>, memref<64xf32>, memref<?xi8>) {
  // CHECK: %[[S:.*]] = transformer.size %{{.*}}[1]
  %s = transformer.size %call[1]
  // CHECK: transformer.binding %{{.*}} buffer[0] (%[[S]]) : memref<?x64xf32>
  %0 = transformer.binding %call buffer[0] (%s) : memref<?x64xf32>
  // CHECK: transformer.binding %{{.*}} weight[3] : memref<64xf32>
  %1 = transformer.binding %call weight[3] : memref<64xf32>
  // CHECK: transformer.binding %{{.*}} arena[0] (%[[S]]) : memref<?xi8>
  %2 = transformer.binding %call arena[0] (%s) : memref<?xi8>
  return %0, %1, %2 : memref<?x64xf32>, memref<64xf32>, memref<?xi8>
}

// CHECK: mask.causal = #transformer.mask<causal>
// CHECK-SAME: mask.none = #transformer.mask<none>
// CHECK-SAME: mask.window = #transformer.mask<window, 4096>
module attributes {mask.none = #transformer.mask<none>, mask.causal = #transformer.mask<causal>, mask.window = #transformer.mask<window, 4096>} {}
