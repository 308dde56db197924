// Every compute op becomes linalg.generic that computes in f32; attention and caches stay.
// RUN: tfopt %s --transformer-to-linalg | FileCheck %s

// A projection is a contraction with the weight as stored; narrow operands are widened where they are read.
// CHECK-LABEL: func @linear
func.func @linear(%x: tensor<?x8xf32>, %w: tensor<16x8xbf16>) -> tensor<?x16xf32> {
  // CHECK: %[[ZERO:.*]] = linalg.fill
  // CHECK: linalg.generic
  // CHECK-SAME: iterator_types = ["parallel", "parallel", "reduction"]
  // CHECK-SAME: outs(%[[ZERO]] : tensor<?x16xf32>)
  // CHECK: arith.extf %{{.*}} : bf16 to f32
  // CHECK: arith.mulf
  // CHECK: arith.addf
  %0 = transformer.linear %x, %w : tensor<?x8xf32>, tensor<16x8xbf16> -> tensor<?x16xf32>
  return %0 : tensor<?x16xf32>
}

// A narrow result is summed in f32 and rounded once, after the bias.
// CHECK-LABEL: func @rounded_once
func.func @rounded_once(%x: tensor<?x8xbf16>, %w: tensor<16x8xbf16>, %b: tensor<16xbf16>) -> tensor<?x16xbf16> {
  // CHECK: %[[SUM:.*]] = linalg.generic {{.*}}"reduction"
  // CHECK: -> tensor<?x16xf32>
  // CHECK: linalg.generic {{.*}} ins(%[[SUM]], %{{.*}} : tensor<?x16xf32>, tensor<16xbf16>)
  // CHECK: arith.addf
  // CHECK: arith.truncf %{{.*}} : f32 to bf16
  // CHECK-NOT: arith.truncf
  %0 = transformer.linear %x, %w bias %b : tensor<?x8xbf16>, tensor<16x8xbf16>, tensor<16xbf16> -> tensor<?x16xbf16>
  return %0 : tensor<?x16xbf16>
}

// The width of the result is the weight's, also where it is dynamic.
// CHECK-LABEL: func @dynamic_weight
// CHECK-SAME: %{{.*}}: tensor<?x?xf32>, %[[W:.*]]: tensor<?x?xf32>
func.func @dynamic_weight(%x: tensor<?x?xf32>, %w: tensor<?x?xf32>) -> tensor<?x?xf32> {
  // CHECK: %[[N:.*]] = tensor.dim %[[W]], %c0
  // CHECK: tensor.empty(%{{.*}}, %[[N]])
  %0 = transformer.linear %x, %w : tensor<?x?xf32>, tensor<?x?xf32> -> tensor<?x?xf32>
  return %0 : tensor<?x?xf32>
}

// A norm is a sum per row and an elementwise op that reads it.
// CHECK-LABEL: func @rms_norm
func.func @rms_norm(%x: tensor<?x8xf32>, %w: tensor<8xf32>) -> tensor<?x8xf32> {
  // CHECK: %[[SUM:.*]] = linalg.generic {{.*}}["parallel", "reduction"]
  // CHECK: -> tensor<?xf32>
  // CHECK: linalg.generic {{.*}}["parallel", "parallel"]{{.*}} ins(%{{.*}}, %[[SUM]], %{{.*}} :
  // CHECK: math.rsqrt
  %0 = transformer.rms_norm %x, %w epsilon 1.0e-5 : tensor<?x8xf32>, tensor<8xf32> -> tensor<?x8xf32>
  return %0 : tensor<?x8xf32>
}

// The variance of a layer norm is taken from the deviations, in a second sum.
// CHECK-LABEL: func @layer_norm
func.func @layer_norm(%x: tensor<?x8xf32>, %w: tensor<8xf32>) -> tensor<?x8xf32> {
  // CHECK: %[[SUM:.*]] = linalg.generic {{.*}}["parallel", "reduction"]
  // CHECK: linalg.generic {{.*}}["parallel", "reduction"]{{.*}} ins(%{{.*}}, %[[SUM]] :
  // CHECK: linalg.generic {{.*}}["parallel", "parallel"]
  %0 = transformer.layer_norm %x, %w epsilon 1.0e-5 : tensor<?x8xf32>, tensor<8xf32> -> tensor<?x8xf32>
  return %0 : tensor<?x8xf32>
}

// An embedding reads its table inside the region.
// CHECK-LABEL: func @embedding
// CHECK-SAME: %{{.*}}: tensor<?x?xi32>, %[[TABLE:.*]]: tensor<32x8xbf16>
func.func @embedding(%ids: tensor<?x?xi32>, %table: tensor<32x8xbf16>) -> tensor<?x?x8xf32> {
  // CHECK: linalg.generic
  // CHECK: tensor.extract %[[TABLE]]
  %0 = transformer.embedding %ids, %table : tensor<?x?xi32>, tensor<32x8xbf16> -> tensor<?x?x8xf32>
  return %0 : tensor<?x?x8xf32>
}

// Halves of a head that rotates whole are a dimension, so that its columns stay neighbours.
// CHECK-LABEL: func @rope_halves
func.func @rope_halves(%x: tensor<?x?x2x8xf32>, %c: tensor<32x4xf32>, %s: tensor<32x4xf32>, %at: tensor<?xi32>) -> tensor<?x?x2x8xf32> {
  // CHECK: tensor.expand_shape %{{.*}} into tensor<?x?x2x2x4xf32>
  // CHECK: linalg.generic
  // CHECK: tensor.collapse_shape
  %0 = transformer.rope half_split %x, %c, %s at %at : tensor<?x?x2x8xf32>, tensor<32x4xf32>, tensor<32x4xf32>, tensor<?xi32> -> tensor<?x?x2x8xf32>
  return %0 : tensor<?x?x2x8xf32>
}

// A head that rotates in part is not split.
// CHECK-LABEL: func @rope_part
// CHECK-NOT: expand_shape
func.func @rope_part(%x: tensor<?x?x2x8xf32>, %c: tensor<32x2xf32>, %s: tensor<32x2xf32>, %at: tensor<?xi32>) -> tensor<?x?x2x8xf32> {
  // CHECK: linalg.generic
  %0 = transformer.rope half_split %x, %c, %s at %at : tensor<?x?x2x8xf32>, tensor<32x2xf32>, tensor<32x2xf32>, tensor<?xi32> -> tensor<?x?x2x8xf32>
  return %0 : tensor<?x?x2x8xf32>
}

// Three projections and the activation between them.
// CHECK-LABEL: func @gated_mlp
func.func @gated_mlp(%x: tensor<?x8xf32>, %g: tensor<16x8xf32>, %u: tensor<16x8xf32>, %d: tensor<8x16xf32>) -> tensor<?x8xf32> {
  // CHECK-COUNT-2: "reduction"
  // CHECK: math.exp
  // CHECK: "reduction"
  %0 = transformer.gated_mlp silu %x, %g, %u, %d : tensor<?x8xf32>, tensor<16x8xf32>, tensor<16x8xf32>, tensor<8x16xf32> -> tensor<?x8xf32>
  return %0 : tensor<?x8xf32>
}

// Elementwise arith on tensors, named ops, splats, softmax and plain slices are generics as well.
// CHECK-LABEL: func @others
// CHECK-NOT: tensor.splat
// CHECK-NOT: linalg.softmax
// CHECK-NOT: linalg.transpose
// CHECK-NOT: tensor.extract_slice
// CHECK-NOT: arith.addf {{.*}} tensor
// CHECK: return
func.func @others(%x: tensor<4x8xf32>, %s: f32) -> tensor<4x4xf32> {
  %0 = tensor.splat %s : tensor<4x8xf32>
  %1 = arith.addf %x, %0 : tensor<4x8xf32>
  %e = tensor.empty() : tensor<4x8xf32>
  %2 = linalg.softmax dimension(1) ins(%1 : tensor<4x8xf32>) outs(%e : tensor<4x8xf32>) -> tensor<4x8xf32>
  %f = tensor.empty() : tensor<8x4xf32>
  %3 = linalg.transpose ins(%2 : tensor<4x8xf32>) outs(%f : tensor<8x4xf32>) permutation = [1, 0]
  %4 = tensor.extract_slice %3[2, 0] [4, 4] [1, 1] : tensor<8x4xf32> to tensor<4x4xf32>
  return %4 : tensor<4x4xf32>
}

// A slice with steps and one that drops a dimension decline: the check before dispatches reports them.
// CHECK-LABEL: func @declined
func.func @declined(%x: tensor<4x8xf32>) -> (tensor<4x4xf32>, tensor<8xf32>) {
  // CHECK: tensor.extract_slice
  %0 = tensor.extract_slice %x[0, 0] [4, 4] [1, 2] : tensor<4x8xf32> to tensor<4x4xf32>
  // CHECK: tensor.extract_slice
  %1 = tensor.extract_slice %x[1, 0] [1, 8] [1, 1] : tensor<4x8xf32> to tensor<8xf32>
  return %0, %1 : tensor<4x4xf32>, tensor<8xf32>
}

// Attention and caches have kernel templates of their own.
// CHECK-LABEL: func @kept
func.func @kept(%q: tensor<?x?x2x8xf32>, %k: tensor<?x?x2x8xf32>, %c: !transformer.kv_cache<2 x 8 x f32, full>) -> (tensor<?x?x2x8xf32>, !transformer.kv_cache<2 x 8 x f32, full>) {
  // CHECK: transformer.cache_append
  %0 = transformer.cache_append %c, %k, %k : !transformer.kv_cache<2 x 8 x f32, full>, tensor<?x?x2x8xf32>, tensor<?x?x2x8xf32>
  // CHECK: transformer.attention
  %1 = transformer.attention %q cache %0 scale 0.5 mask <causal> : tensor<?x?x2x8xf32>, !transformer.kv_cache<2 x 8 x f32, full> -> tensor<?x?x2x8xf32>
  return %1, %0 : tensor<?x?x2x8xf32>, !transformer.kv_cache<2 x 8 x f32, full>
}
