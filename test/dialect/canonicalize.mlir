// RUN: tfopt %s --canonicalize --split-input-file | FileCheck %s
// RUN: tfopt %s --resolve-ranked-shaped-type-result-dims --canonicalize --split-input-file | FileCheck %s --check-prefix=DIMS

// relu is idempotent.
// CHECK-LABEL: func @relu_of_relu
// CHECK: %[[R:.*]] = transformer.activation relu %arg0
// CHECK-NEXT: return %[[R]]
func.func @relu_of_relu(%x: tensor<?x64xf32>) -> tensor<?x64xf32> {
  %0 = transformer.activation relu %x : tensor<?x64xf32> -> tensor<?x64xf32>
  %1 = transformer.activation relu %0 : tensor<?x64xf32> -> tensor<?x64xf32>
  return %1 : tensor<?x64xf32>
}

// Two silu are not one.
// CHECK-LABEL: func @silu_of_silu
// CHECK-COUNT-2: transformer.activation silu
func.func @silu_of_silu(%x: tensor<?x64xf32>) -> tensor<?x64xf32> {
  %0 = transformer.activation silu %x : tensor<?x64xf32> -> tensor<?x64xf32>
  %1 = transformer.activation silu %0 : tensor<?x64xf32> -> tensor<?x64xf32>
  return %1 : tensor<?x64xf32>
}

// The second relu also rounds: it stays.
// CHECK-LABEL: func @relu_that_rounds
// CHECK-COUNT-2: transformer.activation relu
func.func @relu_that_rounds(%x: tensor<?x64xf32>) -> tensor<?x64xbf16> {
  %0 = transformer.activation relu %x : tensor<?x64xf32> -> tensor<?x64xf32>
  %1 = transformer.activation relu %0 : tensor<?x64xf32> -> tensor<?x64xbf16>
  return %1 : tensor<?x64xbf16>
}

// What nobody reads goes, caches included.
// CHECK-LABEL: func @dead
// CHECK-NEXT: return
func.func @dead(%x: tensor<?x?x4x8xf32>, %c: !transformer.kv_cache<4 x 8 x f32, full>) {
  %0 = transformer.activation silu %x : tensor<?x?x4x8xf32> -> tensor<?x?x4x8xf32>
  %1 = transformer.cache_append %c, %0, %x : !transformer.kv_cache<4 x 8 x f32, full>, tensor<?x?x4x8xf32>, tensor<?x?x4x8xf32>
  return
}

// -----

// Result dimensions come from the operands, through every op.
// DIMS-LABEL: func @dims
// DIMS-SAME: %[[IDS:[a-z0-9]*]]: tensor<?x?xi32>
// DIMS-DAG: %[[C1:.*]] = arith.constant 1 : index
// DIMS-DAG: %[[C8:.*]] = arith.constant 8 : index
// DIMS: %[[S:.*]] = tensor.dim %[[IDS]], %[[C1]]
// DIMS: return %[[S]], %[[C8]]
func.func @dims(%ids: tensor<?x?xi32>, %t: tensor<16x8xf32>, %n: tensor<8xf32>, %w: tensor<8x8xf32>) -> (index, index) {
  %c1 = arith.constant 1 : index
  %c2 = arith.constant 2 : index
  %0 = transformer.embedding %ids, %t : tensor<?x?xi32>, tensor<16x8xf32> -> tensor<?x?x8xf32>
  %1 = transformer.rms_norm %0, %n epsilon 1.0e-5 : tensor<?x?x8xf32>, tensor<8xf32> -> tensor<?x?x8xf32>
  %2 = transformer.layer_norm %1, %n epsilon 1.0e-5 : tensor<?x?x8xf32>, tensor<8xf32> -> tensor<?x?x8xf32>
  %3 = transformer.linear %2, %w : tensor<?x?x8xf32>, tensor<8x8xf32> -> tensor<?x?x8xf32>
  %4 = transformer.gated_mlp silu %3, %w, %w, %w : tensor<?x?x8xf32>, tensor<8x8xf32>, tensor<8x8xf32>, tensor<8x8xf32> -> tensor<?x?x8xf32>
  %5 = transformer.activation silu %4 : tensor<?x?x8xf32> -> tensor<?x?x8xf32>
  %d1 = tensor.dim %5, %c1 : tensor<?x?x8xf32>
  %d2 = tensor.dim %5, %c2 : tensor<?x?x8xf32>
  return %d1, %d2 : index, index
}

// -----

// DIMS-LABEL: func @attention_dims
// DIMS-SAME: %[[X:[a-z0-9]*]]: tensor<?x?x4x8xf32>
// DIMS: %[[S:.*]] = tensor.dim %[[X]]
// DIMS: return %[[S]]
func.func @attention_dims(%x: tensor<?x?x4x8xf32>, %cos: tensor<512x4xf32>, %at: tensor<?xi32>) -> index {
  %c1 = arith.constant 1 : index
  %0 = transformer.rope half_split %x, %cos, %cos at %at : tensor<?x?x4x8xf32>, tensor<512x4xf32>, tensor<512x4xf32>, tensor<?xi32> -> tensor<?x?x4x8xf32>
  %1 = transformer.attention %0, %x, %x scale 0.125 mask <causal> : tensor<?x?x4x8xf32>, tensor<?x?x4x8xf32>, tensor<?x?x4x8xf32> -> tensor<?x?x4x8xf32>
  %2 = tensor.dim %1, %c1 : tensor<?x?x4x8xf32>
  return %2 : index
}
