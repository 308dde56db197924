// What a kernel computes before its own loops: norms before projections, rotations before attention and appends; and
// projections of one input whose results meet.
// RUN: tfopt %s --transformer-to-linalg --canonicalize --cse --transformer-form-dispatches --split-input-file | FileCheck %s
// RUN: tfopt %s --transformer-to-linalg --canonicalize --cse --transformer-form-dispatches="fusion=1" --split-input-file | FileCheck %s --check-prefix=ONE
// RUN: tfopt %s --transformer-to-linalg --canonicalize --cse --transformer-form-dispatches="fusion=0" --split-input-file | FileCheck %s --check-prefix=ZERO

// A gated MLP is two dispatches: the norm, both projections, the activation and the product; then the projection down
// with the residual sum. Without fusion, each op is one.
// CHECK-LABEL: func @mlp
// CHECK-COUNT-2: transformer.launch
// CHECK-NOT: transformer.launch
// CHECK: func private
// CHECK: math.rsqrt
// CHECK: math.exp
// CHECK-NOT: math.
// ONE-LABEL: func @mlp
// ONE-COUNT-4: transformer.launch
// ONE-NOT: transformer.launch
// ONE: func private
// ZERO-LABEL: func @mlp
// ZERO-COUNT-8: transformer.launch
// ZERO-NOT: transformer.launch
// ZERO: func private
transformer.weight @norm : tensor<8xf32> from "model.safetensors"
transformer.weight @gate : tensor<24x8xf32> from "model.safetensors"
transformer.weight @up : tensor<24x8xf32> from "model.safetensors"
transformer.weight @down : tensor<8x24xf32> from "model.safetensors"
func.func @mlp(%x: tensor<?x?x8xf32>) -> tensor<?x?x8xf32> {
  %n = transformer.use @norm : tensor<8xf32>
  %g = transformer.use @gate : tensor<24x8xf32>
  %u = transformer.use @up : tensor<24x8xf32>
  %d = transformer.use @down : tensor<8x24xf32>
  %0 = transformer.rms_norm %x, %n epsilon 1.0e-5 : tensor<?x?x8xf32>, tensor<8xf32> -> tensor<?x?x8xf32>
  %1 = transformer.gated_mlp silu %0, %g, %u, %d : tensor<?x?x8xf32>, tensor<24x8xf32>, tensor<24x8xf32>, tensor<8x24xf32> -> tensor<?x?x8xf32>
  %2 = arith.addf %x, %1 : tensor<?x?x8xf32>
  return %2 : tensor<?x?x8xf32>
}

// -----

// Queries, keys and values: slices and rotations run in the attention and in the append, through their reshapes.
// CHECK-LABEL: func @attend
// CHECK-COUNT-3: transformer.launch
// CHECK-NOT: transformer.launch
// CHECK: func private
// ONE-LABEL: func @attend
// ONE-COUNT-8: transformer.launch
// ONE-NOT: transformer.launch
// ONE: func private
transformer.weight @qkv : tensor<64x8xf32> from "model.safetensors"
func.func @attend(%x: tensor<?x?x8xf32>, %cos: tensor<16x4xf32>, %sin: tensor<16x4xf32>, %c: !transformer.kv_cache<2 x 8 x f32, full>)
    -> (tensor<?x?x4x8xf32>, !transformer.kv_cache<2 x 8 x f32, full>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %b = tensor.dim %x, %c0 : tensor<?x?x8xf32>
  %s = tensor.dim %x, %c1 : tensor<?x?x8xf32>
  %n = transformer.cache_length %c : <2 x 8 x f32, full> -> tensor<?xi32>
  %w = transformer.use @qkv : tensor<64x8xf32>
  %0 = transformer.linear %x, %w : tensor<?x?x8xf32>, tensor<64x8xf32> -> tensor<?x?x64xf32>
  %1 = tensor.expand_shape %0 [[0], [1], [2, 3]] output_shape [%b, %s, 8, 8] : tensor<?x?x64xf32> into tensor<?x?x8x8xf32>
  %q = tensor.extract_slice %1[0, 0, 0, 0] [%b, %s, 4, 8] [1, 1, 1, 1] : tensor<?x?x8x8xf32> to tensor<?x?x4x8xf32>
  %k = tensor.extract_slice %1[0, 0, 4, 0] [%b, %s, 2, 8] [1, 1, 1, 1] : tensor<?x?x8x8xf32> to tensor<?x?x2x8xf32>
  %v = tensor.extract_slice %1[0, 0, 6, 0] [%b, %s, 2, 8] [1, 1, 1, 1] : tensor<?x?x8x8xf32> to tensor<?x?x2x8xf32>
  %qr = transformer.rope half_split %q, %cos, %sin at %n : tensor<?x?x4x8xf32>, tensor<16x4xf32>, tensor<16x4xf32>, tensor<?xi32> -> tensor<?x?x4x8xf32>
  %kr = transformer.rope half_split %k, %cos, %sin at %n : tensor<?x?x2x8xf32>, tensor<16x4xf32>, tensor<16x4xf32>, tensor<?xi32> -> tensor<?x?x2x8xf32>
  %c2 = transformer.cache_append %c, %kr, %v : !transformer.kv_cache<2 x 8 x f32, full>, tensor<?x?x2x8xf32>, tensor<?x?x2x8xf32>
  %y = transformer.attention %qr cache %c2 scale 0.5 mask <causal> : tensor<?x?x4x8xf32>, !transformer.kv_cache<2 x 8 x f32, full> -> tensor<?x?x4x8xf32>
  return %y, %c2 : tensor<?x?x4x8xf32>, !transformer.kv_cache<2 x 8 x f32, full>
}

// -----

// Declined: a norm that two kernels read is computed once, by itself.
// CHECK-LABEL: func @shared
// CHECK-COUNT-3: transformer.launch
// CHECK-NOT: transformer.launch
// CHECK: func private
transformer.weight @a : tensor<8x8xf32> from "model.safetensors"
transformer.weight @b : tensor<16x8xf32> from "model.safetensors"
func.func @shared(%x: tensor<?x8xf32>, %n: tensor<8xf32>) -> (tensor<?x8xf32>, tensor<?x16xf32>) {
  %a = transformer.use @a : tensor<8x8xf32>
  %b = transformer.use @b : tensor<16x8xf32>
  %0 = transformer.rms_norm %x, %n epsilon 1.0e-5 : tensor<?x8xf32>, tensor<8xf32> -> tensor<?x8xf32>
  %1 = transformer.linear %0, %a : tensor<?x8xf32>, tensor<8x8xf32> -> tensor<?x8xf32>
  %2 = transformer.linear %0, %b : tensor<?x8xf32>, tensor<16x8xf32> -> tensor<?x16xf32>
  return %1, %2 : tensor<?x8xf32>, tensor<?x16xf32>
}

// -----

// Declined: what follows a contraction stays with it, not with the contraction behind.
// CHECK-LABEL: func @epilogue_first
// CHECK-COUNT-2: transformer.launch
// CHECK-NOT: transformer.launch
// CHECK: func private
// CHECK: math.exp
// CHECK: return
// CHECK-NOT: math.exp
transformer.weight @a : tensor<8x8xf32> from "model.safetensors"
transformer.weight @b : tensor<16x8xf32> from "model.safetensors"
func.func @epilogue_first(%x: tensor<?x8xf32>) -> tensor<?x16xf32> {
  %a = transformer.use @a : tensor<8x8xf32>
  %b = transformer.use @b : tensor<16x8xf32>
  %0 = transformer.linear %x, %a : tensor<?x8xf32>, tensor<8x8xf32> -> tensor<?x8xf32>
  %1 = transformer.activation silu %0 : tensor<?x8xf32> -> tensor<?x8xf32>
  %2 = transformer.linear %1, %b : tensor<?x8xf32>, tensor<16x8xf32> -> tensor<?x16xf32>
  return %2 : tensor<?x16xf32>
}
