// Every constraint of the dialect, under the label it has in the .td.
// RUN: tfopt %s --split-input-file --verify-diagnostics

//===----------------------------------------------------------------------===//
// Types and attributes
//===----------------------------------------------------------------------===//

// kv_cache C1
// expected-error @+1 {{expected positive heads and head_dim, but got 0 x 64}}
func.func private @cache(!transformer.kv_cache<0 x 64 x f32, full>)

// -----

// kv_cache C1
// expected-error @+1 {{expected positive heads and head_dim, but got 4 x 0}}
func.func private @cache(!transformer.kv_cache<4 x 0 x f32, full>)

// -----

// kv_cache C2
// expected-error @+1 {{expected cache elements of f32, f16 or bf16, but got 'i8'}}
func.func private @cache(!transformer.kv_cache<4 x 64 x i8, full>)

// -----

// kv_cache C3
// expected-error @+1 {{expected a ring of at least 1 position, but got 0}}
func.func private @cache(!transformer.kv_cache<4 x 64 x f32, ring>)

// -----

// kv_cache C3
// expected-error @+1 {{expected no window on a full cache, but got 16}}
func.func private @cache(!transformer.kv_cache<4 x 64 x f32, full, 16>)

// -----

// kv_cache: a policy is a word of the enum
// expected-error @+2 {{expected ::mlir::transformer::CachePolicy to be one of: full, ring}}
// expected-error @+1 {{failed to parse}}
func.func private @cache(!transformer.kv_cache<4 x 64 x f32, paged>)

// -----

// mask C1
// expected-error @+1 {{expected a window of at least 1, but got 0}}
func.func private @mask() attributes {mask = #transformer.mask<window>}

// -----

// mask C1
// expected-error @+1 {{expected no window on a causal mask, but got 4}}
func.func private @mask() attributes {mask = #transformer.mask<causal, 4>}

//===----------------------------------------------------------------------===//
// weight
//===----------------------------------------------------------------------===//

// -----

// weight C1
// expected-error @+1 {{expected a plain file name without '/' or '..', but got "../model.safetensors"}}
transformer.weight @w : tensor<64xf32> from "../model.safetensors"

// -----

// weight C1
// expected-error @+1 {{expected a plain file name without '/' or '..', but got "a/model.safetensors"}}
transformer.weight @w : tensor<64xf32> from "a/model.safetensors"

// -----

// weight C1
// expected-error @+1 {{expected a plain file name without '/' or '..', but got ""}}
transformer.weight @w : tensor<64xf32> from ""

// -----

// weight: the shape is static
// expected-error @+1 {{attribute 'type' failed to satisfy constraint}}
transformer.weight @w : tensor<?xf32> from "model.safetensors"

//===----------------------------------------------------------------------===//
// derive
//===----------------------------------------------------------------------===//

// -----

// derive C1
transformer.weight @a : tensor<4x8xf32> from "model.safetensors"
// expected-error @+1 {{transpose expected one source, but got 2}}
transformer.derive @b = transpose(@a, @a) : tensor<8x4xf32>

// -----

// derive C1
// expected-error @+1 {{concat expected one or more sources, but got 0}}
transformer.derive @b = concat() {axis = 0 : i64} : tensor<8x4xf32>

// -----

// derive C1
transformer.weight @a : tensor<4x8xf32> from "model.safetensors"
// expected-error @+1 {{sinusoid expected no source, but got 1}}
transformer.derive @b = sinusoid(@a) {layout = "split"} : tensor<8x4xf32>

// -----

// derive C1
// expected-error @+1 {{expected a table of rank 2, but got}}
transformer.derive @b = sinusoid() {layout = "split"} : tensor<8xf32>

// -----

// derive C1
transformer.weight @a : tensor<4x8x2xf32> from "model.safetensors"
// expected-error @+1 {{transpose expected a source of rank 2, but got 'tensor<4x8x2xf32>'}}
transformer.derive @b = transpose(@a) : tensor<8x4x2xf32>

// -----

// derive C1
transformer.weight @a : tensor<4x8xf32> from "model.safetensors"
// expected-error @+1 {{matmul expected two sources, but got 1}}
transformer.derive @b = matmul(@a) : tensor<4x8xf32>

// -----

// derive C1
transformer.weight @a : tensor<8xf32> from "model.safetensors"
// expected-error @+1 {{factorize expected a source of rank 2, but got 'tensor<8xf32>'}}
transformer.derive @b = factorize(@a) {rank = 1 : i64, part = "left"} : tensor<8x1xf32>

// -----

// derive C2
// expected-error @+1 {{fill needs the parameter 'value' of type f64}}
transformer.derive @b = fill() : tensor<8xf32>

// -----

// derive C2
transformer.weight @a : tensor<4x8xf32> from "model.safetensors"
// expected-error @+1 {{factorize needs the parameter 'rank' of type i64}}
transformer.derive @b = factorize(@a) {part = "left"} : tensor<4x1xf32>

// -----

// derive C2
transformer.weight @a : tensor<4x8xf32> from "model.safetensors"
// expected-error @+1 {{expected part "left" or "right", but got "middle"}}
transformer.derive @b = factorize(@a) {rank = 1 : i64, part = "middle"} : tensor<4x1xf32>

// -----

// derive C2
transformer.weight @a : tensor<4x8xi4> from "model.safetensors"
// expected-error @+1 {{expected an even depth, as two values of i4 are a byte, but got 1}}
transformer.derive @b = pack(@a) : tensor<4x8xi4, #transformer.packed<4 x 1>>

// -----

// derive C2
transformer.weight @a : tensor<4x8xi4> from "model.safetensors"
// expected-error @+1 {{expected a bias of at most 8 on elements of 'i4', but got 9}}
transformer.derive @b = pack(@a) : tensor<4x8xi4, #transformer.packed<4 x 2, bias 9>>

// -----

// derive C2
transformer.weight @a : tensor<4x8xf32> from "model.safetensors"
// expected-error @+1 {{expected a bias of at most 0 on elements of 'f32', but got 1}}
transformer.derive @b = pack(@a) : tensor<4x8xf32, #transformer.packed<4 x 2, bias 1>>

// -----

// packed C1
// expected-error @+1 {{expected columns and depth of at least 1, but got 0 and 2}}
func.func private @f(tensor<4x8xf32, #transformer.packed<0 x 2>>)

// -----

// packed C2
// expected-error @+1 {{expected a bias of 0 to 128, but got 129}}
func.func private @f(tensor<4x8xi8, #transformer.packed<4 x 2, bias 129>>)

// -----

// derive C3
transformer.weight @a : tensor<4x8xf32> from "model.safetensors"
// expected-error @+1 {{expected a rank in [1, 4], but got 5}}
transformer.derive @b = factorize(@a) {rank = 5 : i64, part = "left"} : tensor<4x5xf32>

// -----

// derive C3
transformer.weight @a : tensor<4x8xf32> from "model.safetensors"
// expected-error @+1 {{expected a second source of 8 rows and rank 1 or 2, but got 'tensor<4x8xf32>'}}
transformer.derive @b = matmul(@a, @a) : tensor<4x8xf32>

// -----

// derive C3
transformer.weight @a : tensor<4x8xf32> from "model.safetensors"
transformer.weight @s : tensor<4xf32> from "model.safetensors"
// expected-error @+1 {{expected one factor per column, 8, but got 'tensor<4xf32>'}}
transformer.derive @b = scale_columns(@a, @s) : tensor<4x8xf32>

// -----

// derive C3
transformer.weight @a : tensor<4x8xf32> from "model.safetensors"
transformer.weight @s : tensor<4xf32> from "model.safetensors"
// expected-error @+1 {{expected sources of one shape, but got 'tensor<4x8xf32>' and 'tensor<4xf32>'}}
transformer.derive @b = add(@a, @s) : tensor<4x8xf32>

// -----

// derive C2
transformer.weight @a : tensor<4x8xf32> from "model.safetensors"
// expected-error @+1 {{concat needs the parameter 'axis' of type i64}}
transformer.derive @b = concat(@a) : tensor<4x8xf32>

// -----

// derive C2
transformer.weight @a : tensor<4x8xf32> from "model.safetensors"
// expected-error @+1 {{add_scalar needs the parameter 'value' of type f64}}
transformer.derive @b = add_scalar(@a) {value = 1 : i64} : tensor<4x8xf32>

// -----

// derive C2
transformer.weight @a : tensor<4x8xf32> from "model.safetensors"
// expected-error @+1 {{scale needs the parameter 'value' of type f64}}
transformer.derive @b = scale(@a) : tensor<4x8xf32>

// -----

// derive C2
transformer.weight @a : tensor<4x8xf32> from "model.safetensors"
// expected-error @+1 {{slice needs the parameter 'end' of type i64}}
transformer.derive @b = slice(@a) {axis = 0 : i64, begin = 0 : i64} : tensor<4x8xf32>

// -----

// derive C2
// expected-error @+1 {{rope_table needs the parameter 'theta' of type f64}}
transformer.derive @b = rope_table() {part = "cos", scaling = "none"} : tensor<8x4xf32>

// -----

// derive C2
// expected-error @+1 {{expected part "cos" or "sin", but got "tan"}}
transformer.derive @b = rope_table() {part = "tan", scaling = "none", theta = 1.0e4 : f64} : tensor<8x4xf32>

// -----

// derive C2
// expected-error @+1 {{expected scaling none, linear, llama3, longrope or yarn, but got "dynamic"}}
transformer.derive @b = rope_table() {part = "cos", scaling = "dynamic", theta = 1.0e4 : f64} : tensor<8x4xf32>

// -----

// derive C2
// expected-error @+1 {{rope_table needs the parameter 'factor' of type f64}}
transformer.derive @b = rope_table() {part = "cos", scaling = "linear", theta = 1.0e4 : f64} : tensor<8x4xf32>

// -----

// derive C2
// expected-error @+1 {{rope_table needs the parameter 'original_max_positions' of type i64}}
transformer.derive @b = rope_table() {part = "cos", scaling = "llama3", theta = 1.0e4 : f64, factor = 8.0 : f64, low_freq_factor = 1.0 : f64, high_freq_factor = 4.0 : f64} : tensor<8x4xf32>

// -----

// derive C2
// expected-error @+1 {{expected one ext_factor per frequency, 4, but got 2}}
transformer.derive @b = rope_table() {part = "cos", scaling = "longrope", theta = 1.0e4 : f64, ext_factors = array<f64: 1.0, 2.0>, attention_factor = 1.0 : f64} : tensor<8x4xf32>

// -----

// derive C2
// expected-error @+1 {{rope_table needs the parameter 'beta_slow' of type f64}}
transformer.derive @b = rope_table() {part = "cos", scaling = "yarn", theta = 1.0e4 : f64, factor = 4.0 : f64, beta_fast = 32.0 : f64} : tensor<8x4xf32>

// -----

// derive C2
// expected-error @+1 {{expected layout "split" or "interleaved", but got "halves"}}
transformer.derive @b = sinusoid() {layout = "halves"} : tensor<8x4xf32>

// -----

// derive C3
transformer.weight @a : tensor<4x8xf32> from "model.safetensors"
// expected-error @+1 {{expected a result of shape [8, 4], but got}}
transformer.derive @b = transpose(@a) : tensor<4x8xf32>

// -----

// derive C3
transformer.weight @a : tensor<4x8xf32> from "model.safetensors"
// expected-error @+1 {{expected a result of shape [4, 8], but got}}
transformer.derive @b = convert(@a) : tensor<32xbf16>

// -----

// derive C3
transformer.weight @a : tensor<4x8xf32> from "model.safetensors"
transformer.weight @b : tensor<4x9xf32> from "model.safetensors"
// expected-error @+1 {{expected sources that differ along axis 0 only, but got 'tensor<4x8xf32>' and 'tensor<4x9xf32>'}}
transformer.derive @c = concat(@a, @b) {axis = 0 : i64} : tensor<8x8xf32>

// -----

// derive C3
transformer.weight @a : tensor<4x8xf32> from "model.safetensors"
// expected-error @+1 {{expected axis in [0, 2), but got 2}}
transformer.derive @b = concat(@a) {axis = 2 : i64} : tensor<4x8xf32>

// -----

// derive C3
transformer.weight @a : tensor<4x8xf32> from "model.safetensors"
// expected-error @+1 {{expected 0 <= begin < end <= 8, but got [4, 9)}}
transformer.derive @b = slice(@a) {axis = 1 : i64, begin = 4 : i64, end = 9 : i64} : tensor<4x5xf32>

// -----

// derive C3
transformer.weight @a : tensor<4x8xf32> from "model.safetensors"
// expected-error @+1 {{expected a result of shape [4, 3], but got}}
transformer.derive @b = slice(@a) {axis = 1 : i64, begin = 4 : i64, end = 7 : i64} : tensor<4x4xf32>

// -----

// derive C4
// expected-error @+1 {{expected a weight or derived weight, but @a is none of this module}}
transformer.derive @b = transpose(@a) : tensor<8x4xf32>

// -----

// derive C4
func.func private @a()
// expected-error @+1 {{expected a weight or derived weight, but @a is none of this module}}
transformer.derive @b = transpose(@a) : tensor<8x4xf32>

//===----------------------------------------------------------------------===//
// use
//===----------------------------------------------------------------------===//

// -----

// use C1
func.func @use() -> tensor<64xf32> {
  // expected-error @+1 {{expected a weight or derived weight, but @w is none of this module}}
  %0 = transformer.use @w : tensor<64xf32>
  return %0 : tensor<64xf32>
}

// -----

// use C1
transformer.weight @w : tensor<64xf32> from "model.safetensors"
func.func @use() -> tensor<64xbf16> {
  // expected-error @+1 {{expected the type of @w, 'tensor<64xf32>', but got 'tensor<64xbf16>'}}
  %0 = transformer.use @w : tensor<64xbf16>
  return %0 : tensor<64xbf16>
}

// -----

// use C1
transformer.weight @w : tensor<64xf32> from "model.safetensors"
func.func @use() -> tensor<8x8xf32> {
  // expected-error @+1 {{expected the type of @w, 'tensor<64xf32>', but got 'tensor<8x8xf32>'}}
  %0 = transformer.use @w : tensor<8x8xf32>
  return %0 : tensor<8x8xf32>
}

//===----------------------------------------------------------------------===//
// embedding, linear, norms, activation, gated_mlp
//===----------------------------------------------------------------------===//

// -----

// embedding C1
func.func @embedding(%ids: tensor<?x?xi32>, %table: tensor<512x64xf32>) {
  // expected-error @+1 {{expected a result of shape ?x?x64, but got 'tensor<?x64xf32>'}}
  %0 = transformer.embedding %ids, %table : tensor<?x?xi32>, tensor<512x64xf32> -> tensor<?x64xf32>
  return
}

// -----

// embedding: ids are i32
func.func @embedding(%ids: tensor<?x?xi64>, %table: tensor<512x64xf32>) {
  // expected-error @+1 {{operand #0 must be}}
  %0 = transformer.embedding %ids, %table : tensor<?x?xi64>, tensor<512x64xf32> -> tensor<?x?x64xf32>
  return
}

// -----

// linear C1
func.func @linear(%x: tensor<?x64xf32>, %w: tensor<128x32xf32>) {
  // expected-error @+1 {{expected weight columns to equal the input's last dimension 64, but got 32}}
  %0 = transformer.linear %x, %w : tensor<?x64xf32>, tensor<128x32xf32> -> tensor<?x128xf32>
  return
}

// -----

// linear C2
func.func @linear(%x: tensor<?x64xf32>, %w: tensor<128x64xf32>, %b: tensor<64xf32>) {
  // expected-error @+1 {{expected a bias of length 128, but got 64}}
  %0 = transformer.linear %x, %w bias %b : tensor<?x64xf32>, tensor<128x64xf32>, tensor<64xf32> -> tensor<?x128xf32>
  return
}

// -----

// linear C3
func.func @linear(%x: tensor<?x64xf32>, %w: tensor<128x64xf32>) {
  // expected-error @+1 {{expected a result of shape ?x128, but got 'tensor<?x64xf32>'}}
  %0 = transformer.linear %x, %w : tensor<?x64xf32>, tensor<128x64xf32> -> tensor<?x64xf32>
  return
}

// -----

// linear: activations have a last dimension
func.func @linear(%x: tensor<f32>, %w: tensor<128x64xf32>) {
  // expected-error @+1 {{expected an input of rank 1 or more}}
  %0 = transformer.linear %x, %w : tensor<f32>, tensor<128x64xf32> -> tensor<128xf32>
  return
}

// -----

// layer_norm C1
func.func @layer_norm(%x: tensor<?x64xf32>, %w: tensor<32xf32>) {
  // expected-error @+1 {{expected a scale of length 64, but got 32}}
  %0 = transformer.layer_norm %x, %w epsilon 1.0e-5 : tensor<?x64xf32>, tensor<32xf32> -> tensor<?x64xf32>
  return
}

// -----

// layer_norm C1
func.func @layer_norm(%x: tensor<?x64xf32>, %w: tensor<64xf32>, %b: tensor<32xf32>) {
  // expected-error @+1 {{expected a bias of length 64, but got 32}}
  %0 = transformer.layer_norm %x, %w bias %b epsilon 1.0e-5 : tensor<?x64xf32>, tensor<64xf32>, tensor<32xf32> -> tensor<?x64xf32>
  return
}

// -----

// layer_norm C2
func.func @layer_norm(%x: tensor<?x64xf32>, %w: tensor<64xf32>) {
  // expected-error @+1 {{expected a result of shape ?x64, but got 'tensor<?x?x64xf32>'}}
  %0 = transformer.layer_norm %x, %w epsilon 1.0e-5 : tensor<?x64xf32>, tensor<64xf32> -> tensor<?x?x64xf32>
  return
}

// -----

// layer_norm C3
func.func @layer_norm(%x: tensor<?x64xf32>, %w: tensor<64xf32>) {
  // expected-error @+1 {{expected epsilon to be 0 or more, but got -1.000000e-05}}
  %0 = transformer.layer_norm %x, %w epsilon -1.0e-5 : tensor<?x64xf32>, tensor<64xf32> -> tensor<?x64xf32>
  return
}

// -----

// rms_norm C1
func.func @rms_norm(%x: tensor<?x64xf32>, %w: tensor<32xf32>) {
  // expected-error @+1 {{expected a scale of length 64, but got 32}}
  %0 = transformer.rms_norm %x, %w epsilon 1.0e-5 : tensor<?x64xf32>, tensor<32xf32> -> tensor<?x64xf32>
  return
}

// -----

// rms_norm C2
func.func @rms_norm(%x: tensor<?x64xf32>, %w: tensor<64xf32>) {
  // expected-error @+1 {{expected a result of shape ?x64, but got 'tensor<?x32xf32>'}}
  %0 = transformer.rms_norm %x, %w epsilon 1.0e-5 : tensor<?x64xf32>, tensor<64xf32> -> tensor<?x32xf32>
  return
}

// -----

// rms_norm C3
func.func @rms_norm(%x: tensor<?x64xf32>, %w: tensor<64xf32>) {
  // expected-error @+1 {{expected epsilon to be 0 or more, but got}}
  %0 = transformer.rms_norm %x, %w epsilon -1.0 : tensor<?x64xf32>, tensor<64xf32> -> tensor<?x64xf32>
  return
}

// -----

// activation C1
func.func @activation(%x: tensor<?x64xf32>) {
  // expected-error @+1 {{expected a result of shape ?x64, but got 'tensor<?x32xf32>'}}
  %0 = transformer.activation silu %x : tensor<?x64xf32> -> tensor<?x32xf32>
  return
}

// -----

// activation: the kind is a word of the enum
func.func @activation(%x: tensor<?x64xf32>) {
  // expected-error @+2 {{expected ::mlir::transformer::ActivationKind to be one of: silu, gelu_erf, gelu_tanh, relu, quick_gelu}}
  // expected-error @+1 {{failed to parse}}
  %0 = transformer.activation swish %x : tensor<?x64xf32> -> tensor<?x64xf32>
  return
}

// -----

// gated_mlp C1
func.func @gated_mlp(%x: tensor<?x64xf32>, %g: tensor<96x64xf32>, %u: tensor<32x64xf32>, %d: tensor<64x96xf32>) {
  // expected-error @+1 {{expected gate and up of the same shape, but got 'tensor<96x64xf32>' and 'tensor<32x64xf32>'}}
  %0 = transformer.gated_mlp silu %x, %g, %u, %d : tensor<?x64xf32>, tensor<96x64xf32>, tensor<32x64xf32>, tensor<64x96xf32> -> tensor<?x64xf32>
  return
}

// -----

// gated_mlp C1
func.func @gated_mlp(%x: tensor<?x32xf32>, %g: tensor<96x64xf32>, %d: tensor<64x96xf32>) {
  // expected-error @+1 {{expected gate columns to equal the input's last dimension 32, but got 64}}
  %0 = transformer.gated_mlp silu %x, %g, %g, %d : tensor<?x32xf32>, tensor<96x64xf32>, tensor<96x64xf32>, tensor<64x96xf32> -> tensor<?x64xf32>
  return
}

// -----

// gated_mlp C2
func.func @gated_mlp(%x: tensor<?x64xf32>, %g: tensor<96x64xf32>, %d: tensor<64x64xf32>) {
  // expected-error @+1 {{expected down columns to equal gate rows 96, but got 64}}
  %0 = transformer.gated_mlp silu %x, %g, %g, %d : tensor<?x64xf32>, tensor<96x64xf32>, tensor<96x64xf32>, tensor<64x64xf32> -> tensor<?x64xf32>
  return
}

// -----

// gated_mlp C3
func.func @gated_mlp(%x: tensor<?x64xf32>, %g: tensor<96x64xf32>, %d: tensor<64x96xf32>) {
  // expected-error @+1 {{expected a result of shape ?x64, but got 'tensor<?x96xf32>'}}
  %0 = transformer.gated_mlp silu %x, %g, %g, %d : tensor<?x64xf32>, tensor<96x64xf32>, tensor<96x64xf32>, tensor<64x96xf32> -> tensor<?x96xf32>
  return
}

//===----------------------------------------------------------------------===//
// rope
//===----------------------------------------------------------------------===//

// -----

// rope C1
func.func @rope(%x: tensor<?x?x4x8xf32>, %cos: tensor<512x4xf32>, %sin: tensor<256x4xf32>, %at: tensor<?xi32>) {
  // expected-error @+1 {{expected cos and sin of the same shape, but got 'tensor<512x4xf32>' and 'tensor<256x4xf32>'}}
  %0 = transformer.rope half_split %x, %cos, %sin at %at : tensor<?x?x4x8xf32>, tensor<512x4xf32>, tensor<256x4xf32>, tensor<?xi32> -> tensor<?x?x4x8xf32>
  return
}

// -----

// rope C1
func.func @rope(%x: tensor<?x?x4x8xf32>, %cos: tensor<512x5xf32>, %at: tensor<?xi32>) {
  // expected-error @+1 {{expected rotary_dim = 2 x 5 to be at most the static head dimension, but got 8}}
  %0 = transformer.rope half_split %x, %cos, %cos at %at : tensor<?x?x4x8xf32>, tensor<512x5xf32>, tensor<512x5xf32>, tensor<?xi32> -> tensor<?x?x4x8xf32>
  return
}

// -----

// rope C2
func.func @rope(%x: tensor<2x?x4x8xf32>, %cos: tensor<512x4xf32>, %at: tensor<3xi32>) {
  // expected-error @+1 {{expected one offset per row, 2, but got 3}}
  %0 = transformer.rope half_split %x, %cos, %cos at %at : tensor<2x?x4x8xf32>, tensor<512x4xf32>, tensor<512x4xf32>, tensor<3xi32> -> tensor<2x?x4x8xf32>
  return
}

// -----

// rope C3
func.func @rope(%x: tensor<?x?x4x8xf32>, %cos: tensor<512x4xf32>, %at: tensor<?xi32>) {
  // expected-error @+1 {{expected a result of the input's shape 'tensor<?x?x4x8xf32>', but got 'tensor<?x?x8x8xf32>'}}
  %0 = transformer.rope half_split %x, %cos, %cos at %at : tensor<?x?x4x8xf32>, tensor<512x4xf32>, tensor<512x4xf32>, tensor<?xi32> -> tensor<?x?x8x8xf32>
  return
}

//===----------------------------------------------------------------------===//
// attention
//===----------------------------------------------------------------------===//

// -----

// attention C1
func.func @attention(%q: tensor<?x?x4x8xf32>) {
  // expected-error @+1 {{expected either key and value or a cache}}
  %0 = transformer.attention %q scale 1.0 mask <none> : tensor<?x?x4x8xf32> -> tensor<?x?x4x8xf32>
  return
}

// -----

// attention C1
func.func @attention(%q: tensor<?x?x4x8xf32>, %c: !transformer.kv_cache<4 x 8 x f32, full>) {
  // expected-error @+1 {{expected either key and value or a cache}}
  %0 = transformer.attention %q, %q, %q cache %c scale 1.0 mask <none> : tensor<?x?x4x8xf32>, tensor<?x?x4x8xf32>, tensor<?x?x4x8xf32>, !transformer.kv_cache<4 x 8 x f32, full> -> tensor<?x?x4x8xf32>
  return
}

// -----

// attention C2
func.func @attention(%q: tensor<?x?x4x8xf32>, %v: tensor<?x?x2x8xf32>) {
  // expected-error @+1 {{expected key and value of the same shape, but got 'tensor<?x?x4x8xf32>' and 'tensor<?x?x2x8xf32>'}}
  %0 = transformer.attention %q, %q, %v scale 1.0 mask <none> : tensor<?x?x4x8xf32>, tensor<?x?x4x8xf32>, tensor<?x?x2x8xf32> -> tensor<?x?x4x8xf32>
  return
}

// -----

// attention C2
func.func @attention(%q: tensor<?x?x4x8xf32>, %k: tensor<?x?x3x8xf32>) {
  // expected-error @+1 {{expected key/value heads to divide the static query heads 4, but got 3}}
  %0 = transformer.attention %q, %k, %k scale 1.0 mask <none> : tensor<?x?x4x8xf32>, tensor<?x?x3x8xf32>, tensor<?x?x3x8xf32> -> tensor<?x?x4x8xf32>
  return
}

// -----

// attention C2: no heads at all divide nothing
func.func @attention(%q: tensor<?x?x4x8xf32>, %k: tensor<?x?x0x8xf32>) {
  // expected-error @+1 {{expected key/value heads to divide the static query heads 4, but got 0}}
  %0 = transformer.attention %q, %k, %k scale 1.0 mask <none> : tensor<?x?x4x8xf32>, tensor<?x?x0x8xf32>, tensor<?x?x0x8xf32> -> tensor<?x?x4x8xf32>
  return
}

// -----

// attention C2
func.func @attention(%q: tensor<2x?x4x8xf32>, %k: tensor<3x?x4x8xf32>) {
  // expected-error @+1 {{expected key rows to equal query rows 2, but got 3}}
  %0 = transformer.attention %q, %k, %k scale 1.0 mask <none> : tensor<2x?x4x8xf32>, tensor<3x?x4x8xf32>, tensor<3x?x4x8xf32> -> tensor<2x?x4x8xf32>
  return
}

// -----

// attention C3
func.func @attention(%q: tensor<?x?x4x8xf32>, %c: !transformer.kv_cache<4 x 16 x f32, full>) {
  // expected-error @+1 {{expected key/value head dimension 8, but got 16}}
  %0 = transformer.attention %q cache %c scale 1.0 mask <none> : tensor<?x?x4x8xf32>, !transformer.kv_cache<4 x 16 x f32, full> -> tensor<?x?x4x8xf32>
  return
}

// -----

// attention C3
func.func @attention(%q: tensor<?x?x4x8xf32>) {
  // expected-error @+1 {{expected a result of the query's shape 'tensor<?x?x4x8xf32>', but got 'tensor<?x?x8x8xf32>'}}
  %0 = transformer.attention %q, %q, %q scale 1.0 mask <none> : tensor<?x?x4x8xf32>, tensor<?x?x4x8xf32>, tensor<?x?x4x8xf32> -> tensor<?x?x8x8xf32>
  return
}

// -----

// attention C4
func.func @attention(%q: tensor<?x?x4x8xf32>, %bias: tensor<1x3x?x?xf32>) {
  // expected-error @+1 {{expected a bias of [B or 1, H or 1, Sq, Sk], but got 'tensor<1x3x?x?xf32>'}}
  %0 = transformer.attention %q, %q, %q bias %bias scale 1.0 mask <none> : tensor<?x?x4x8xf32>, tensor<?x?x4x8xf32>, tensor<?x?x4x8xf32>, tensor<1x3x?x?xf32> -> tensor<?x?x4x8xf32>
  return
}

// -----

// attention C4
func.func @attention(%q: tensor<?x5x4x8xf32>, %bias: tensor<1x4x5x6xf32>) {
  // expected-error @+1 {{expected a bias of [B or 1, H or 1, Sq, Sk], but got 'tensor<1x4x5x6xf32>'}}
  %0 = transformer.attention %q, %q, %q bias %bias scale 1.0 mask <none> : tensor<?x5x4x8xf32>, tensor<?x5x4x8xf32>, tensor<?x5x4x8xf32>, tensor<1x4x5x6xf32> -> tensor<?x5x4x8xf32>
  return
}

// -----

// attention C5
func.func @attention(%q: tensor<?x?x4x8xf32>) {
  // expected-error @+1 {{expected a positive softcap, but got 0.000000e+00}}
  %0 = transformer.attention %q, %q, %q scale 1.0 mask <none> softcap 0.0 : tensor<?x?x4x8xf32>, tensor<?x?x4x8xf32>, tensor<?x?x4x8xf32> -> tensor<?x?x4x8xf32>
  return
}

// -----

// attention C7
func.func @attention(%q: tensor<?x1x4x8xf32>) {
  // expected-error @+1 {{expected a positive number of splits and of their keys, and one query position, but got 0 of 64 and 'tensor<?x1x4x8xf32>'}}
  %0 = transformer.attention %q, %q, %q scale 1.0 mask <none> splits 0 of 64 : tensor<?x1x4x8xf32>, tensor<?x1x4x8xf32>, tensor<?x1x4x8xf32> -> tensor<?x0x4x10xf32>
  return
}

// -----

// attention C7: of several positions
func.func @attention(%q: tensor<?x2x4x8xf32>) {
  // expected-error @+1 {{and one query position, but got 4 of 64 and 'tensor<?x2x4x8xf32>'}}
  %0 = transformer.attention %q, %q, %q scale 1.0 mask <none> splits 4 of 64 : tensor<?x2x4x8xf32>, tensor<?x2x4x8xf32>, tensor<?x2x4x8xf32> -> tensor<?x4x4x10xf32>
  return
}

// -----

// attention C7: a narrow result
func.func @attention(%q: tensor<?x1x4x8xf32>) {
  // expected-error @+1 {{expected splits with a result of f32, but got 'tensor<?x4x4x10xbf16>'}}
  %0 = transformer.attention %q, %q, %q scale 1.0 mask <none> splits 4 of 64 : tensor<?x1x4x8xf32>, tensor<?x1x4x8xf32>, tensor<?x1x4x8xf32> -> tensor<?x4x4x10xbf16>
  return
}

// -----

// attention C3: a result without place for maximum and sum
func.func @attention(%q: tensor<?x1x4x8xf32>) {
  // expected-error @+1 {{expected a result of [B, splits, H, D + 2] for the query's shape 'tensor<?x1x4x8xf32>', but got 'tensor<?x4x4x8xf32>'}}
  %0 = transformer.attention %q, %q, %q scale 1.0 mask <none> splits 4 of 64 : tensor<?x1x4x8xf32>, tensor<?x1x4x8xf32>, tensor<?x1x4x8xf32> -> tensor<?x4x4x8xf32>
  return
}

// -----

// attention_merge C1
func.func @merge(%p: tensor<?x4x4x10xf32>) {
  // expected-error @+1 {{expected an input [B, splits, H, D + 2] and a result [B, 1, H, D], but got 'tensor<?x4x4x10xf32>' and 'tensor<?x1x4x10xf32>'}}
  %0 = transformer.attention_merge %p : tensor<?x4x4x10xf32> -> tensor<?x1x4x10xf32>
  return
}

// -----

// attention C6
func.func @attention(%q: tensor<?x?x4x8xf32>, %c: !transformer.kv_cache<4 x 8 x f32, ring, 16>) {
  // expected-error @+1 {{expected a window mask of at most 16 positions over a ring cache of that many, but got #transformer.mask<causal>}}
  %0 = transformer.attention %q cache %c scale 1.0 mask <causal> : tensor<?x?x4x8xf32>, !transformer.kv_cache<4 x 8 x f32, ring, 16> -> tensor<?x?x4x8xf32>
  return
}

// -----

// attention C6
func.func @attention(%q: tensor<?x?x4x8xf32>, %c: !transformer.kv_cache<4 x 8 x f32, ring, 16>) {
  // expected-error @+1 {{expected a window mask of at most 16 positions over a ring cache of that many, but got #transformer.mask<window, 17>}}
  %0 = transformer.attention %q cache %c scale 1.0 mask <window, 17> : tensor<?x?x4x8xf32>, !transformer.kv_cache<4 x 8 x f32, ring, 16> -> tensor<?x?x4x8xf32>
  return
}

//===----------------------------------------------------------------------===//
// cache_append
//===----------------------------------------------------------------------===//

// -----

// cache_append C1
func.func @append(%c: !transformer.kv_cache<4 x 8 x f32, full>, %k: tensor<?x?x4x8xf32>, %v: tensor<?x?x2x8xf32>) {
  // expected-error @+1 {{expected keys and values of the same shape, but got 'tensor<?x?x4x8xf32>' and 'tensor<?x?x2x8xf32>'}}
  %0 = transformer.cache_append %c, %k, %v : !transformer.kv_cache<4 x 8 x f32, full>, tensor<?x?x4x8xf32>, tensor<?x?x2x8xf32>
  return
}

// -----

// cache_append C1
func.func @append(%c: !transformer.kv_cache<4 x 8 x f32, full>, %k: tensor<?x?x4x16xf32>) {
  // expected-error @+1 {{expected keys of 4 x 8 as in the cache, but got 'tensor<?x?x4x16xf32>'}}
  %0 = transformer.cache_append %c, %k, %k : !transformer.kv_cache<4 x 8 x f32, full>, tensor<?x?x4x16xf32>, tensor<?x?x4x16xf32>
  return
}

// -----

// cache_append C2: two appends
func.func @append(%c: !transformer.kv_cache<4 x 8 x f32, full>, %k: tensor<?x?x4x8xf32>) -> (!transformer.kv_cache<4 x 8 x f32, full>, !transformer.kv_cache<4 x 8 x f32, full>) {
  // expected-error @+1 {{consumes a cache that another op consumes too; a cache has one consumer}}
  %0 = transformer.cache_append %c, %k, %k : !transformer.kv_cache<4 x 8 x f32, full>, tensor<?x?x4x8xf32>, tensor<?x?x4x8xf32>
  // expected-note @+1 {{the other consumer is here}}
  %1 = transformer.cache_append %c, %k, %k : !transformer.kv_cache<4 x 8 x f32, full>, tensor<?x?x4x8xf32>, tensor<?x?x4x8xf32>
  return %0, %1 : !transformer.kv_cache<4 x 8 x f32, full>, !transformer.kv_cache<4 x 8 x f32, full>
}

// -----

// cache_append C2: an append and a return
func.func @append(%c: !transformer.kv_cache<4 x 8 x f32, full>, %k: tensor<?x?x4x8xf32>) -> (!transformer.kv_cache<4 x 8 x f32, full>, !transformer.kv_cache<4 x 8 x f32, full>) {
  // expected-error @+1 {{consumes a cache that another op consumes too; a cache has one consumer}}
  %0 = transformer.cache_append %c, %k, %k : !transformer.kv_cache<4 x 8 x f32, full>, tensor<?x?x4x8xf32>, tensor<?x?x4x8xf32>
  // expected-note @+1 {{the other consumer is here}}
  return %0, %c : !transformer.kv_cache<4 x 8 x f32, full>, !transformer.kv_cache<4 x 8 x f32, full>
}

// -----

// cache_append C2: a read after the append
func.func @append(%c: !transformer.kv_cache<4 x 8 x f32, full>, %k: tensor<?x?x4x8xf32>) -> (!transformer.kv_cache<4 x 8 x f32, full>, tensor<?xi32>) {
  // expected-error @+1 {{consumes a cache that is read afterwards; read the cache it returns}}
  %0 = transformer.cache_append %c, %k, %k : !transformer.kv_cache<4 x 8 x f32, full>, tensor<?x?x4x8xf32>, tensor<?x?x4x8xf32>
  // expected-note @+1 {{the later read is here}}
  %1 = transformer.cache_length %c : !transformer.kv_cache<4 x 8 x f32, full> -> tensor<?xi32>
  return %0, %1 : !transformer.kv_cache<4 x 8 x f32, full>, tensor<?xi32>
}

// -----

// cache_append C2: a launch that makes its result in the cache
func.func private @kernel(!transformer.kv_cache<4 x 8 x f32, full>) -> !transformer.kv_cache<4 x 8 x f32, full>
func.func @append(%c: !transformer.kv_cache<4 x 8 x f32, full>, %k: tensor<?x?x4x8xf32>) {
  // expected-note @+1 {{the other consumer is here}}
  %0 = transformer.launch @kernel outs(%c : !transformer.kv_cache<4 x 8 x f32, full>) -> !transformer.kv_cache<4 x 8 x f32, full>
  // expected-error @+1 {{consumes a cache that another op consumes too; a cache has one consumer}}
  %1 = transformer.cache_append %c, %k, %k : !transformer.kv_cache<4 x 8 x f32, full>, tensor<?x?x4x8xf32>, tensor<?x?x4x8xf32>
  return
}

//===----------------------------------------------------------------------===//
// launch
//===----------------------------------------------------------------------===//

// -----

// launch C1
func.func @launch(%a: tensor<?xf32>) {
  // expected-error @+1 {{expected a function of this module, but @kernel is none}}
  %0 = transformer.launch @kernel outs(%a : tensor<?xf32>) -> tensor<?xf32>
  return
}

// -----

// launch C1
func.func private @kernel(tensor<?xf32>) -> tensor<?xf32>
func.func @launch(%a: tensor<?xf32>) {
  // expected-error @+1 {{expected a kernel of 2 arguments, but @kernel has 1}}
  %0 = transformer.launch @kernel ins(%a : tensor<?xf32>) outs(%a : tensor<?xf32>) -> tensor<?xf32>
  return
}

// -----

// launch C1
func.func private @kernel(tensor<?xi32>, tensor<?xf32>) -> tensor<?xf32>
func.func @launch(%a: tensor<?xf32>) {
  // expected-error @+1 {{expected argument 0 of @kernel to be 'tensor<?xf32>', but got 'tensor<?xi32>'}}
  %0 = transformer.launch @kernel ins(%a : tensor<?xf32>) outs(%a : tensor<?xf32>) -> tensor<?xf32>
  return
}

// -----

// launch C1: a kernel with a grid takes the bounds of its tasks
func.func private @kernel(memref<?xf32>)
func.func @launch(%a: memref<?xf32>, %tasks: index) {
  // expected-error @+1 {{expected a kernel of 3 arguments, but @kernel has 1}}
  transformer.launch @kernel grid(%tasks) outs(%a : memref<?xf32>)
  return
}

// -----

// launch C2
func.func private @kernel(tensor<?xf32>) -> tensor<?xf32>
func.func @launch(%a: tensor<?xf32>) {
  // expected-error @+1 {{expected one result per tensor or cache in outs, of its type}}
  transformer.launch @kernel outs(%a : tensor<?xf32>)
  return
}

// -----

// launch C2
func.func private @kernel(memref<?xf32>)
func.func @launch(%a: memref<?xf32>) {
  // expected-error @+1 {{expected one result per tensor or cache in outs, of its type}}
  %0 = transformer.launch @kernel outs(%a : memref<?xf32>) -> memref<?xf32>
  return
}

// -----

// launch C3
func.func private @kernel(tensor<?xf32>) -> tensor<4xf32>
func.func @launch(%a: tensor<?xf32>) {
  // expected-error @+1 {{expected @kernel to return 'tensor<?xf32>', but it returns 'tensor<4xf32>'}}
  %0 = transformer.launch @kernel outs(%a : tensor<?xf32>) -> tensor<?xf32>
  return
}

// -----

// launch C1: an emitted kernel takes buffers, also from a launch on tensors
func.func private @kernel(memref<4xf32>, index, index)
func.func @launch(%a: tensor<?xf32>) {
  // expected-error @+1 {{expected argument 0 of @kernel to be 'memref<?xf32>', but got 'memref<4xf32>'}}
  %0 = transformer.launch @kernel outs(%a : tensor<?xf32>) -> tensor<?xf32>
  return
}

//===----------------------------------------------------------------------===//
// binding
//===----------------------------------------------------------------------===//

// -----

// binding C1
func.func @binding(%call: !llvm.ptr) {
  // expected-error @+1 {{expected one value per dynamic dimension, 1, but got 0}}
  %0 = transformer.binding %call buffer[0] : memref<?x64xf32>
  return
}

// -----

// binding C2
func.func @binding(%call: !llvm.ptr) {
  // expected-error @+1 {{expected the identity layout, but got 'memref<8x64xf32, strided<[128, 1]>>'}}
  %0 = transformer.binding %call weight[0] : memref<8x64xf32, strided<[128, 1]>>
  return
}
