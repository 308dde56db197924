// RUN: tfopt compile %s --passes=transformer-raise-heads --stop-at=optimized --remarks=all --verify-numerics 2> %t | FileCheck %s
// RUN: FileCheck %s --check-prefix=REMARK --implicit-check-not=remark: --implicit-check-not=error: < %t

// Slices of the projections, concatenated.
// CHECK-LABEL: func.func @sliced
// CHECK: %[[Q:.*]] = tensor.expand_shape %arg0 {{.*}} into tensor<2x6x4x8xf32>
// CHECK: %[[K:.*]] = tensor.expand_shape %arg1 {{.*}} into tensor<2x6x4x8xf32>
// CHECK: %[[V:.*]] = tensor.expand_shape %arg2 {{.*}} into tensor<2x6x4x8xf32>
// CHECK: %[[Y:.*]] = transformer.attention %[[Q]], %[[K]], %[[V]] scale 5.000000e-01 mask <causal>
// CHECK: tensor.collapse_shape %[[Y]] {{.*}} into tensor<2x6x32xf32>
// CHECK-NOT: tensor.concat
func.func @sliced(%q: tensor<2x6x32xf32>, %k: tensor<2x6x32xf32>, %v: tensor<2x6x32xf32>) -> tensor<2x6x32xf32> {
  %q0r = tensor.extract_slice %q[0, 0, 0] [2, 6, 8] [1, 1, 1] : tensor<2x6x32xf32> to tensor<2x6x8xf32>
  %q0 = tensor.expand_shape %q0r [[0], [1], [2, 3]] output_shape [2, 6, 1, 8] : tensor<2x6x8xf32> into tensor<2x6x1x8xf32>
  %k0r = tensor.extract_slice %k[0, 0, 0] [2, 6, 8] [1, 1, 1] : tensor<2x6x32xf32> to tensor<2x6x8xf32>
  %k0 = tensor.expand_shape %k0r [[0], [1], [2, 3]] output_shape [2, 6, 1, 8] : tensor<2x6x8xf32> into tensor<2x6x1x8xf32>
  %v0r = tensor.extract_slice %v[0, 0, 0] [2, 6, 8] [1, 1, 1] : tensor<2x6x32xf32> to tensor<2x6x8xf32>
  %v0 = tensor.expand_shape %v0r [[0], [1], [2, 3]] output_shape [2, 6, 1, 8] : tensor<2x6x8xf32> into tensor<2x6x1x8xf32>
  %y0 = transformer.attention %q0, %k0, %v0 scale 0.5 mask <causal> : tensor<2x6x1x8xf32>, tensor<2x6x1x8xf32>, tensor<2x6x1x8xf32> -> tensor<2x6x1x8xf32>
  %o0 = tensor.collapse_shape %y0 [[0], [1], [2, 3]] : tensor<2x6x1x8xf32> into tensor<2x6x8xf32>
  %q1r = tensor.extract_slice %q[0, 0, 8] [2, 6, 8] [1, 1, 1] : tensor<2x6x32xf32> to tensor<2x6x8xf32>
  %q1 = tensor.expand_shape %q1r [[0], [1], [2, 3]] output_shape [2, 6, 1, 8] : tensor<2x6x8xf32> into tensor<2x6x1x8xf32>
  %k1r = tensor.extract_slice %k[0, 0, 8] [2, 6, 8] [1, 1, 1] : tensor<2x6x32xf32> to tensor<2x6x8xf32>
  %k1 = tensor.expand_shape %k1r [[0], [1], [2, 3]] output_shape [2, 6, 1, 8] : tensor<2x6x8xf32> into tensor<2x6x1x8xf32>
  %v1r = tensor.extract_slice %v[0, 0, 8] [2, 6, 8] [1, 1, 1] : tensor<2x6x32xf32> to tensor<2x6x8xf32>
  %v1 = tensor.expand_shape %v1r [[0], [1], [2, 3]] output_shape [2, 6, 1, 8] : tensor<2x6x8xf32> into tensor<2x6x1x8xf32>
  %y1 = transformer.attention %q1, %k1, %v1 scale 0.5 mask <causal> : tensor<2x6x1x8xf32>, tensor<2x6x1x8xf32>, tensor<2x6x1x8xf32> -> tensor<2x6x1x8xf32>
  %o1 = tensor.collapse_shape %y1 [[0], [1], [2, 3]] : tensor<2x6x1x8xf32> into tensor<2x6x8xf32>
  %q2r = tensor.extract_slice %q[0, 0, 16] [2, 6, 8] [1, 1, 1] : tensor<2x6x32xf32> to tensor<2x6x8xf32>
  %q2 = tensor.expand_shape %q2r [[0], [1], [2, 3]] output_shape [2, 6, 1, 8] : tensor<2x6x8xf32> into tensor<2x6x1x8xf32>
  %k2r = tensor.extract_slice %k[0, 0, 16] [2, 6, 8] [1, 1, 1] : tensor<2x6x32xf32> to tensor<2x6x8xf32>
  %k2 = tensor.expand_shape %k2r [[0], [1], [2, 3]] output_shape [2, 6, 1, 8] : tensor<2x6x8xf32> into tensor<2x6x1x8xf32>
  %v2r = tensor.extract_slice %v[0, 0, 16] [2, 6, 8] [1, 1, 1] : tensor<2x6x32xf32> to tensor<2x6x8xf32>
  %v2 = tensor.expand_shape %v2r [[0], [1], [2, 3]] output_shape [2, 6, 1, 8] : tensor<2x6x8xf32> into tensor<2x6x1x8xf32>
  %y2 = transformer.attention %q2, %k2, %v2 scale 0.5 mask <causal> : tensor<2x6x1x8xf32>, tensor<2x6x1x8xf32>, tensor<2x6x1x8xf32> -> tensor<2x6x1x8xf32>
  %o2 = tensor.collapse_shape %y2 [[0], [1], [2, 3]] : tensor<2x6x1x8xf32> into tensor<2x6x8xf32>
  %q3r = tensor.extract_slice %q[0, 0, 24] [2, 6, 8] [1, 1, 1] : tensor<2x6x32xf32> to tensor<2x6x8xf32>
  %q3 = tensor.expand_shape %q3r [[0], [1], [2, 3]] output_shape [2, 6, 1, 8] : tensor<2x6x8xf32> into tensor<2x6x1x8xf32>
  %k3r = tensor.extract_slice %k[0, 0, 24] [2, 6, 8] [1, 1, 1] : tensor<2x6x32xf32> to tensor<2x6x8xf32>
  %k3 = tensor.expand_shape %k3r [[0], [1], [2, 3]] output_shape [2, 6, 1, 8] : tensor<2x6x8xf32> into tensor<2x6x1x8xf32>
  %v3r = tensor.extract_slice %v[0, 0, 24] [2, 6, 8] [1, 1, 1] : tensor<2x6x32xf32> to tensor<2x6x8xf32>
  %v3 = tensor.expand_shape %v3r [[0], [1], [2, 3]] output_shape [2, 6, 1, 8] : tensor<2x6x8xf32> into tensor<2x6x1x8xf32>
  %y3 = transformer.attention %q3, %k3, %v3 scale 0.5 mask <causal> : tensor<2x6x1x8xf32>, tensor<2x6x1x8xf32>, tensor<2x6x1x8xf32> -> tensor<2x6x1x8xf32>
  %o3 = tensor.collapse_shape %y3 [[0], [1], [2, 3]] : tensor<2x6x1x8xf32> into tensor<2x6x8xf32>
  // REMARK: remark: {{.*}}raise-heads.mlir:[[@LINE+1]]:{{[0-9]+}}: raise-heads: merged 4 heads
  %y = tensor.concat dim(2) %o0, %o1, %o2, %o3 : (tensor<2x6x8xf32>, tensor<2x6x8xf32>, tensor<2x6x8xf32>, tensor<2x6x8xf32>) -> tensor<2x6x32xf32>
  return %y : tensor<2x6x32xf32>
}

// Results are inserted one behind the other.
// CHECK-LABEL: func.func @inserted
// CHECK: %[[Q:.*]] = tensor.expand_shape %arg0 {{.*}} into tensor<2x6x4x8xf32>
// CHECK: %[[K:.*]] = tensor.expand_shape %arg1 {{.*}} into tensor<2x6x4x8xf32>
// CHECK: %[[V:.*]] = tensor.expand_shape %arg2 {{.*}} into tensor<2x6x4x8xf32>
// CHECK: %[[Y:.*]] = transformer.attention %[[Q]], %[[K]], %[[V]] scale 5.000000e-01 mask <causal>
// CHECK: tensor.collapse_shape %[[Y]] {{.*}} into tensor<2x6x32xf32>
// CHECK-NOT: tensor.insert_slice
func.func @inserted(%q: tensor<2x6x32xf32>, %k: tensor<2x6x32xf32>, %v: tensor<2x6x32xf32>) -> tensor<2x6x32xf32> {
  %q0r = tensor.extract_slice %q[0, 0, 0] [2, 6, 8] [1, 1, 1] : tensor<2x6x32xf32> to tensor<2x6x8xf32>
  %q0 = tensor.expand_shape %q0r [[0], [1], [2, 3]] output_shape [2, 6, 1, 8] : tensor<2x6x8xf32> into tensor<2x6x1x8xf32>
  %k0r = tensor.extract_slice %k[0, 0, 0] [2, 6, 8] [1, 1, 1] : tensor<2x6x32xf32> to tensor<2x6x8xf32>
  %k0 = tensor.expand_shape %k0r [[0], [1], [2, 3]] output_shape [2, 6, 1, 8] : tensor<2x6x8xf32> into tensor<2x6x1x8xf32>
  %v0r = tensor.extract_slice %v[0, 0, 0] [2, 6, 8] [1, 1, 1] : tensor<2x6x32xf32> to tensor<2x6x8xf32>
  %v0 = tensor.expand_shape %v0r [[0], [1], [2, 3]] output_shape [2, 6, 1, 8] : tensor<2x6x8xf32> into tensor<2x6x1x8xf32>
  %y0 = transformer.attention %q0, %k0, %v0 scale 0.5 mask <causal> : tensor<2x6x1x8xf32>, tensor<2x6x1x8xf32>, tensor<2x6x1x8xf32> -> tensor<2x6x1x8xf32>
  %o0 = tensor.collapse_shape %y0 [[0], [1], [2, 3]] : tensor<2x6x1x8xf32> into tensor<2x6x8xf32>
  %q1r = tensor.extract_slice %q[0, 0, 8] [2, 6, 8] [1, 1, 1] : tensor<2x6x32xf32> to tensor<2x6x8xf32>
  %q1 = tensor.expand_shape %q1r [[0], [1], [2, 3]] output_shape [2, 6, 1, 8] : tensor<2x6x8xf32> into tensor<2x6x1x8xf32>
  %k1r = tensor.extract_slice %k[0, 0, 8] [2, 6, 8] [1, 1, 1] : tensor<2x6x32xf32> to tensor<2x6x8xf32>
  %k1 = tensor.expand_shape %k1r [[0], [1], [2, 3]] output_shape [2, 6, 1, 8] : tensor<2x6x8xf32> into tensor<2x6x1x8xf32>
  %v1r = tensor.extract_slice %v[0, 0, 8] [2, 6, 8] [1, 1, 1] : tensor<2x6x32xf32> to tensor<2x6x8xf32>
  %v1 = tensor.expand_shape %v1r [[0], [1], [2, 3]] output_shape [2, 6, 1, 8] : tensor<2x6x8xf32> into tensor<2x6x1x8xf32>
  %y1 = transformer.attention %q1, %k1, %v1 scale 0.5 mask <causal> : tensor<2x6x1x8xf32>, tensor<2x6x1x8xf32>, tensor<2x6x1x8xf32> -> tensor<2x6x1x8xf32>
  %o1 = tensor.collapse_shape %y1 [[0], [1], [2, 3]] : tensor<2x6x1x8xf32> into tensor<2x6x8xf32>
  %q2r = tensor.extract_slice %q[0, 0, 16] [2, 6, 8] [1, 1, 1] : tensor<2x6x32xf32> to tensor<2x6x8xf32>
  %q2 = tensor.expand_shape %q2r [[0], [1], [2, 3]] output_shape [2, 6, 1, 8] : tensor<2x6x8xf32> into tensor<2x6x1x8xf32>
  %k2r = tensor.extract_slice %k[0, 0, 16] [2, 6, 8] [1, 1, 1] : tensor<2x6x32xf32> to tensor<2x6x8xf32>
  %k2 = tensor.expand_shape %k2r [[0], [1], [2, 3]] output_shape [2, 6, 1, 8] : tensor<2x6x8xf32> into tensor<2x6x1x8xf32>
  %v2r = tensor.extract_slice %v[0, 0, 16] [2, 6, 8] [1, 1, 1] : tensor<2x6x32xf32> to tensor<2x6x8xf32>
  %v2 = tensor.expand_shape %v2r [[0], [1], [2, 3]] output_shape [2, 6, 1, 8] : tensor<2x6x8xf32> into tensor<2x6x1x8xf32>
  %y2 = transformer.attention %q2, %k2, %v2 scale 0.5 mask <causal> : tensor<2x6x1x8xf32>, tensor<2x6x1x8xf32>, tensor<2x6x1x8xf32> -> tensor<2x6x1x8xf32>
  %o2 = tensor.collapse_shape %y2 [[0], [1], [2, 3]] : tensor<2x6x1x8xf32> into tensor<2x6x8xf32>
  %q3r = tensor.extract_slice %q[0, 0, 24] [2, 6, 8] [1, 1, 1] : tensor<2x6x32xf32> to tensor<2x6x8xf32>
  %q3 = tensor.expand_shape %q3r [[0], [1], [2, 3]] output_shape [2, 6, 1, 8] : tensor<2x6x8xf32> into tensor<2x6x1x8xf32>
  %k3r = tensor.extract_slice %k[0, 0, 24] [2, 6, 8] [1, 1, 1] : tensor<2x6x32xf32> to tensor<2x6x8xf32>
  %k3 = tensor.expand_shape %k3r [[0], [1], [2, 3]] output_shape [2, 6, 1, 8] : tensor<2x6x8xf32> into tensor<2x6x1x8xf32>
  %v3r = tensor.extract_slice %v[0, 0, 24] [2, 6, 8] [1, 1, 1] : tensor<2x6x32xf32> to tensor<2x6x8xf32>
  %v3 = tensor.expand_shape %v3r [[0], [1], [2, 3]] output_shape [2, 6, 1, 8] : tensor<2x6x8xf32> into tensor<2x6x1x8xf32>
  %y3 = transformer.attention %q3, %k3, %v3 scale 0.5 mask <causal> : tensor<2x6x1x8xf32>, tensor<2x6x1x8xf32>, tensor<2x6x1x8xf32> -> tensor<2x6x1x8xf32>
  %o3 = tensor.collapse_shape %y3 [[0], [1], [2, 3]] : tensor<2x6x1x8xf32> into tensor<2x6x8xf32>
  %e = tensor.empty() : tensor<2x6x32xf32>
  %f0 = tensor.insert_slice %o0 into %e[0, 0, 0] [2, 6, 8] [1, 1, 1] : tensor<2x6x8xf32> into tensor<2x6x32xf32>
  %f1 = tensor.insert_slice %o1 into %f0[0, 0, 8] [2, 6, 8] [1, 1, 1] : tensor<2x6x8xf32> into tensor<2x6x32xf32>
  %f2 = tensor.insert_slice %o2 into %f1[0, 0, 16] [2, 6, 8] [1, 1, 1] : tensor<2x6x8xf32> into tensor<2x6x32xf32>
  // REMARK: remark: {{.*}}raise-heads.mlir:[[@LINE+1]]:{{[0-9]+}}: raise-heads: merged 4 heads
  %y = tensor.insert_slice %o3 into %f2[0, 0, 24] [2, 6, 8] [1, 1, 1] : tensor<2x6x8xf32> into tensor<2x6x32xf32>
  return %y : tensor<2x6x32xf32>
}

// Two heads read each slice of keys and values.
// CHECK-LABEL: func.func @shared
// CHECK: transformer.attention {{.*}} : tensor<2x6x4x8xf32>, tensor<2x6x2x8xf32>, tensor<2x6x2x8xf32>
// CHECK-NOT: tensor.concat
func.func @shared(%q: tensor<2x6x32xf32>, %k: tensor<2x6x16xf32>, %v: tensor<2x6x16xf32>) -> tensor<2x6x32xf32> {
  %q0r = tensor.extract_slice %q[0, 0, 0] [2, 6, 8] [1, 1, 1] : tensor<2x6x32xf32> to tensor<2x6x8xf32>
  %q0 = tensor.expand_shape %q0r [[0], [1], [2, 3]] output_shape [2, 6, 1, 8] : tensor<2x6x8xf32> into tensor<2x6x1x8xf32>
  %k0r = tensor.extract_slice %k[0, 0, 0] [2, 6, 8] [1, 1, 1] : tensor<2x6x16xf32> to tensor<2x6x8xf32>
  %k0 = tensor.expand_shape %k0r [[0], [1], [2, 3]] output_shape [2, 6, 1, 8] : tensor<2x6x8xf32> into tensor<2x6x1x8xf32>
  %v0r = tensor.extract_slice %v[0, 0, 0] [2, 6, 8] [1, 1, 1] : tensor<2x6x16xf32> to tensor<2x6x8xf32>
  %v0 = tensor.expand_shape %v0r [[0], [1], [2, 3]] output_shape [2, 6, 1, 8] : tensor<2x6x8xf32> into tensor<2x6x1x8xf32>
  %y0 = transformer.attention %q0, %k0, %v0 scale 0.5 mask <causal> : tensor<2x6x1x8xf32>, tensor<2x6x1x8xf32>, tensor<2x6x1x8xf32> -> tensor<2x6x1x8xf32>
  %o0 = tensor.collapse_shape %y0 [[0], [1], [2, 3]] : tensor<2x6x1x8xf32> into tensor<2x6x8xf32>
  %q1r = tensor.extract_slice %q[0, 0, 8] [2, 6, 8] [1, 1, 1] : tensor<2x6x32xf32> to tensor<2x6x8xf32>
  %q1 = tensor.expand_shape %q1r [[0], [1], [2, 3]] output_shape [2, 6, 1, 8] : tensor<2x6x8xf32> into tensor<2x6x1x8xf32>
  %k1r = tensor.extract_slice %k[0, 0, 0] [2, 6, 8] [1, 1, 1] : tensor<2x6x16xf32> to tensor<2x6x8xf32>
  %k1 = tensor.expand_shape %k1r [[0], [1], [2, 3]] output_shape [2, 6, 1, 8] : tensor<2x6x8xf32> into tensor<2x6x1x8xf32>
  %v1r = tensor.extract_slice %v[0, 0, 0] [2, 6, 8] [1, 1, 1] : tensor<2x6x16xf32> to tensor<2x6x8xf32>
  %v1 = tensor.expand_shape %v1r [[0], [1], [2, 3]] output_shape [2, 6, 1, 8] : tensor<2x6x8xf32> into tensor<2x6x1x8xf32>
  %y1 = transformer.attention %q1, %k1, %v1 scale 0.5 mask <causal> : tensor<2x6x1x8xf32>, tensor<2x6x1x8xf32>, tensor<2x6x1x8xf32> -> tensor<2x6x1x8xf32>
  %o1 = tensor.collapse_shape %y1 [[0], [1], [2, 3]] : tensor<2x6x1x8xf32> into tensor<2x6x8xf32>
  %q2r = tensor.extract_slice %q[0, 0, 16] [2, 6, 8] [1, 1, 1] : tensor<2x6x32xf32> to tensor<2x6x8xf32>
  %q2 = tensor.expand_shape %q2r [[0], [1], [2, 3]] output_shape [2, 6, 1, 8] : tensor<2x6x8xf32> into tensor<2x6x1x8xf32>
  %k2r = tensor.extract_slice %k[0, 0, 8] [2, 6, 8] [1, 1, 1] : tensor<2x6x16xf32> to tensor<2x6x8xf32>
  %k2 = tensor.expand_shape %k2r [[0], [1], [2, 3]] output_shape [2, 6, 1, 8] : tensor<2x6x8xf32> into tensor<2x6x1x8xf32>
  %v2r = tensor.extract_slice %v[0, 0, 8] [2, 6, 8] [1, 1, 1] : tensor<2x6x16xf32> to tensor<2x6x8xf32>
  %v2 = tensor.expand_shape %v2r [[0], [1], [2, 3]] output_shape [2, 6, 1, 8] : tensor<2x6x8xf32> into tensor<2x6x1x8xf32>
  %y2 = transformer.attention %q2, %k2, %v2 scale 0.5 mask <causal> : tensor<2x6x1x8xf32>, tensor<2x6x1x8xf32>, tensor<2x6x1x8xf32> -> tensor<2x6x1x8xf32>
  %o2 = tensor.collapse_shape %y2 [[0], [1], [2, 3]] : tensor<2x6x1x8xf32> into tensor<2x6x8xf32>
  %q3r = tensor.extract_slice %q[0, 0, 24] [2, 6, 8] [1, 1, 1] : tensor<2x6x32xf32> to tensor<2x6x8xf32>
  %q3 = tensor.expand_shape %q3r [[0], [1], [2, 3]] output_shape [2, 6, 1, 8] : tensor<2x6x8xf32> into tensor<2x6x1x8xf32>
  %k3r = tensor.extract_slice %k[0, 0, 8] [2, 6, 8] [1, 1, 1] : tensor<2x6x16xf32> to tensor<2x6x8xf32>
  %k3 = tensor.expand_shape %k3r [[0], [1], [2, 3]] output_shape [2, 6, 1, 8] : tensor<2x6x8xf32> into tensor<2x6x1x8xf32>
  %v3r = tensor.extract_slice %v[0, 0, 8] [2, 6, 8] [1, 1, 1] : tensor<2x6x16xf32> to tensor<2x6x8xf32>
  %v3 = tensor.expand_shape %v3r [[0], [1], [2, 3]] output_shape [2, 6, 1, 8] : tensor<2x6x8xf32> into tensor<2x6x1x8xf32>
  %y3 = transformer.attention %q3, %k3, %v3 scale 0.5 mask <causal> : tensor<2x6x1x8xf32>, tensor<2x6x1x8xf32>, tensor<2x6x1x8xf32> -> tensor<2x6x1x8xf32>
  %o3 = tensor.collapse_shape %y3 [[0], [1], [2, 3]] : tensor<2x6x1x8xf32> into tensor<2x6x8xf32>
  // REMARK: remark: {{.*}}raise-heads.mlir:[[@LINE+1]]:{{[0-9]+}}: raise-heads: merged 4 heads
  %y = tensor.concat dim(2) %o0, %o1, %o2, %o3 : (tensor<2x6x8xf32>, tensor<2x6x8xf32>, tensor<2x6x8xf32>, tensor<2x6x8xf32>) -> tensor<2x6x32xf32>
  return %y : tensor<2x6x32xf32>
}

// All heads read the same keys and values.
// CHECK-LABEL: func.func @one_for_all
// CHECK: transformer.attention {{.*}} : tensor<2x6x4x8xf32>, tensor<2x6x1x8xf32>, tensor<2x6x1x8xf32>
// CHECK-NOT: tensor.concat
func.func @one_for_all(%q: tensor<2x6x32xf32>, %k: tensor<2x6x8xf32>, %v: tensor<2x6x8xf32>) -> tensor<2x6x32xf32> {
  %q0r = tensor.extract_slice %q[0, 0, 0] [2, 6, 8] [1, 1, 1] : tensor<2x6x32xf32> to tensor<2x6x8xf32>
  %q0 = tensor.expand_shape %q0r [[0], [1], [2, 3]] output_shape [2, 6, 1, 8] : tensor<2x6x8xf32> into tensor<2x6x1x8xf32>
  %k0r = tensor.extract_slice %k[0, 0, 0] [2, 6, 8] [1, 1, 1] : tensor<2x6x8xf32> to tensor<2x6x8xf32>
  %k0 = tensor.expand_shape %k0r [[0], [1], [2, 3]] output_shape [2, 6, 1, 8] : tensor<2x6x8xf32> into tensor<2x6x1x8xf32>
  %v0r = tensor.extract_slice %v[0, 0, 0] [2, 6, 8] [1, 1, 1] : tensor<2x6x8xf32> to tensor<2x6x8xf32>
  %v0 = tensor.expand_shape %v0r [[0], [1], [2, 3]] output_shape [2, 6, 1, 8] : tensor<2x6x8xf32> into tensor<2x6x1x8xf32>
  %y0 = transformer.attention %q0, %k0, %v0 scale 0.5 mask <causal> : tensor<2x6x1x8xf32>, tensor<2x6x1x8xf32>, tensor<2x6x1x8xf32> -> tensor<2x6x1x8xf32>
  %o0 = tensor.collapse_shape %y0 [[0], [1], [2, 3]] : tensor<2x6x1x8xf32> into tensor<2x6x8xf32>
  %q1r = tensor.extract_slice %q[0, 0, 8] [2, 6, 8] [1, 1, 1] : tensor<2x6x32xf32> to tensor<2x6x8xf32>
  %q1 = tensor.expand_shape %q1r [[0], [1], [2, 3]] output_shape [2, 6, 1, 8] : tensor<2x6x8xf32> into tensor<2x6x1x8xf32>
  %k1r = tensor.extract_slice %k[0, 0, 0] [2, 6, 8] [1, 1, 1] : tensor<2x6x8xf32> to tensor<2x6x8xf32>
  %k1 = tensor.expand_shape %k1r [[0], [1], [2, 3]] output_shape [2, 6, 1, 8] : tensor<2x6x8xf32> into tensor<2x6x1x8xf32>
  %v1r = tensor.extract_slice %v[0, 0, 0] [2, 6, 8] [1, 1, 1] : tensor<2x6x8xf32> to tensor<2x6x8xf32>
  %v1 = tensor.expand_shape %v1r [[0], [1], [2, 3]] output_shape [2, 6, 1, 8] : tensor<2x6x8xf32> into tensor<2x6x1x8xf32>
  %y1 = transformer.attention %q1, %k1, %v1 scale 0.5 mask <causal> : tensor<2x6x1x8xf32>, tensor<2x6x1x8xf32>, tensor<2x6x1x8xf32> -> tensor<2x6x1x8xf32>
  %o1 = tensor.collapse_shape %y1 [[0], [1], [2, 3]] : tensor<2x6x1x8xf32> into tensor<2x6x8xf32>
  %q2r = tensor.extract_slice %q[0, 0, 16] [2, 6, 8] [1, 1, 1] : tensor<2x6x32xf32> to tensor<2x6x8xf32>
  %q2 = tensor.expand_shape %q2r [[0], [1], [2, 3]] output_shape [2, 6, 1, 8] : tensor<2x6x8xf32> into tensor<2x6x1x8xf32>
  %k2r = tensor.extract_slice %k[0, 0, 0] [2, 6, 8] [1, 1, 1] : tensor<2x6x8xf32> to tensor<2x6x8xf32>
  %k2 = tensor.expand_shape %k2r [[0], [1], [2, 3]] output_shape [2, 6, 1, 8] : tensor<2x6x8xf32> into tensor<2x6x1x8xf32>
  %v2r = tensor.extract_slice %v[0, 0, 0] [2, 6, 8] [1, 1, 1] : tensor<2x6x8xf32> to tensor<2x6x8xf32>
  %v2 = tensor.expand_shape %v2r [[0], [1], [2, 3]] output_shape [2, 6, 1, 8] : tensor<2x6x8xf32> into tensor<2x6x1x8xf32>
  %y2 = transformer.attention %q2, %k2, %v2 scale 0.5 mask <causal> : tensor<2x6x1x8xf32>, tensor<2x6x1x8xf32>, tensor<2x6x1x8xf32> -> tensor<2x6x1x8xf32>
  %o2 = tensor.collapse_shape %y2 [[0], [1], [2, 3]] : tensor<2x6x1x8xf32> into tensor<2x6x8xf32>
  %q3r = tensor.extract_slice %q[0, 0, 24] [2, 6, 8] [1, 1, 1] : tensor<2x6x32xf32> to tensor<2x6x8xf32>
  %q3 = tensor.expand_shape %q3r [[0], [1], [2, 3]] output_shape [2, 6, 1, 8] : tensor<2x6x8xf32> into tensor<2x6x1x8xf32>
  %k3r = tensor.extract_slice %k[0, 0, 0] [2, 6, 8] [1, 1, 1] : tensor<2x6x8xf32> to tensor<2x6x8xf32>
  %k3 = tensor.expand_shape %k3r [[0], [1], [2, 3]] output_shape [2, 6, 1, 8] : tensor<2x6x8xf32> into tensor<2x6x1x8xf32>
  %v3r = tensor.extract_slice %v[0, 0, 0] [2, 6, 8] [1, 1, 1] : tensor<2x6x8xf32> to tensor<2x6x8xf32>
  %v3 = tensor.expand_shape %v3r [[0], [1], [2, 3]] output_shape [2, 6, 1, 8] : tensor<2x6x8xf32> into tensor<2x6x1x8xf32>
  %y3 = transformer.attention %q3, %k3, %v3 scale 0.5 mask <causal> : tensor<2x6x1x8xf32>, tensor<2x6x1x8xf32>, tensor<2x6x1x8xf32> -> tensor<2x6x1x8xf32>
  %o3 = tensor.collapse_shape %y3 [[0], [1], [2, 3]] : tensor<2x6x1x8xf32> into tensor<2x6x8xf32>
  // REMARK: remark: {{.*}}raise-heads.mlir:[[@LINE+1]]:{{[0-9]+}}: raise-heads: merged 4 heads
  %y = tensor.concat dim(2) %o0, %o1, %o2, %o3 : (tensor<2x6x8xf32>, tensor<2x6x8xf32>, tensor<2x6x8xf32>, tensor<2x6x8xf32>) -> tensor<2x6x32xf32>
  return %y : tensor<2x6x32xf32>
}

// Heads share keys in turn, not in groups.
// CHECK-LABEL: func.func @alternating
// CHECK: tensor.concat
func.func @alternating(%q: tensor<2x6x32xf32>, %k: tensor<2x6x16xf32>, %v: tensor<2x6x16xf32>) -> tensor<2x6x32xf32> {
  %q0r = tensor.extract_slice %q[0, 0, 0] [2, 6, 8] [1, 1, 1] : tensor<2x6x32xf32> to tensor<2x6x8xf32>
  %q0 = tensor.expand_shape %q0r [[0], [1], [2, 3]] output_shape [2, 6, 1, 8] : tensor<2x6x8xf32> into tensor<2x6x1x8xf32>
  %k0r = tensor.extract_slice %k[0, 0, 0] [2, 6, 8] [1, 1, 1] : tensor<2x6x16xf32> to tensor<2x6x8xf32>
  %k0 = tensor.expand_shape %k0r [[0], [1], [2, 3]] output_shape [2, 6, 1, 8] : tensor<2x6x8xf32> into tensor<2x6x1x8xf32>
  %v0r = tensor.extract_slice %v[0, 0, 0] [2, 6, 8] [1, 1, 1] : tensor<2x6x16xf32> to tensor<2x6x8xf32>
  %v0 = tensor.expand_shape %v0r [[0], [1], [2, 3]] output_shape [2, 6, 1, 8] : tensor<2x6x8xf32> into tensor<2x6x1x8xf32>
  // REMARK: remark: {{.*}}raise-heads.mlir:[[@LINE+1]]:{{[0-9]+}}: raise-heads missed: key: is not a slice of what the other heads read; slice the heads of one tensor in order
  %y0 = transformer.attention %q0, %k0, %v0 scale 0.5 mask <causal> : tensor<2x6x1x8xf32>, tensor<2x6x1x8xf32>, tensor<2x6x1x8xf32> -> tensor<2x6x1x8xf32>
  %o0 = tensor.collapse_shape %y0 [[0], [1], [2, 3]] : tensor<2x6x1x8xf32> into tensor<2x6x8xf32>
  %q1r = tensor.extract_slice %q[0, 0, 8] [2, 6, 8] [1, 1, 1] : tensor<2x6x32xf32> to tensor<2x6x8xf32>
  %q1 = tensor.expand_shape %q1r [[0], [1], [2, 3]] output_shape [2, 6, 1, 8] : tensor<2x6x8xf32> into tensor<2x6x1x8xf32>
  %k1r = tensor.extract_slice %k[0, 0, 8] [2, 6, 8] [1, 1, 1] : tensor<2x6x16xf32> to tensor<2x6x8xf32>
  %k1 = tensor.expand_shape %k1r [[0], [1], [2, 3]] output_shape [2, 6, 1, 8] : tensor<2x6x8xf32> into tensor<2x6x1x8xf32>
  %v1r = tensor.extract_slice %v[0, 0, 8] [2, 6, 8] [1, 1, 1] : tensor<2x6x16xf32> to tensor<2x6x8xf32>
  %v1 = tensor.expand_shape %v1r [[0], [1], [2, 3]] output_shape [2, 6, 1, 8] : tensor<2x6x8xf32> into tensor<2x6x1x8xf32>
  %y1 = transformer.attention %q1, %k1, %v1 scale 0.5 mask <causal> : tensor<2x6x1x8xf32>, tensor<2x6x1x8xf32>, tensor<2x6x1x8xf32> -> tensor<2x6x1x8xf32>
  %o1 = tensor.collapse_shape %y1 [[0], [1], [2, 3]] : tensor<2x6x1x8xf32> into tensor<2x6x8xf32>
  %q2r = tensor.extract_slice %q[0, 0, 16] [2, 6, 8] [1, 1, 1] : tensor<2x6x32xf32> to tensor<2x6x8xf32>
  %q2 = tensor.expand_shape %q2r [[0], [1], [2, 3]] output_shape [2, 6, 1, 8] : tensor<2x6x8xf32> into tensor<2x6x1x8xf32>
  %k2r = tensor.extract_slice %k[0, 0, 0] [2, 6, 8] [1, 1, 1] : tensor<2x6x16xf32> to tensor<2x6x8xf32>
  %k2 = tensor.expand_shape %k2r [[0], [1], [2, 3]] output_shape [2, 6, 1, 8] : tensor<2x6x8xf32> into tensor<2x6x1x8xf32>
  %v2r = tensor.extract_slice %v[0, 0, 0] [2, 6, 8] [1, 1, 1] : tensor<2x6x16xf32> to tensor<2x6x8xf32>
  %v2 = tensor.expand_shape %v2r [[0], [1], [2, 3]] output_shape [2, 6, 1, 8] : tensor<2x6x8xf32> into tensor<2x6x1x8xf32>
  %y2 = transformer.attention %q2, %k2, %v2 scale 0.5 mask <causal> : tensor<2x6x1x8xf32>, tensor<2x6x1x8xf32>, tensor<2x6x1x8xf32> -> tensor<2x6x1x8xf32>
  %o2 = tensor.collapse_shape %y2 [[0], [1], [2, 3]] : tensor<2x6x1x8xf32> into tensor<2x6x8xf32>
  %q3r = tensor.extract_slice %q[0, 0, 24] [2, 6, 8] [1, 1, 1] : tensor<2x6x32xf32> to tensor<2x6x8xf32>
  %q3 = tensor.expand_shape %q3r [[0], [1], [2, 3]] output_shape [2, 6, 1, 8] : tensor<2x6x8xf32> into tensor<2x6x1x8xf32>
  %k3r = tensor.extract_slice %k[0, 0, 8] [2, 6, 8] [1, 1, 1] : tensor<2x6x16xf32> to tensor<2x6x8xf32>
  %k3 = tensor.expand_shape %k3r [[0], [1], [2, 3]] output_shape [2, 6, 1, 8] : tensor<2x6x8xf32> into tensor<2x6x1x8xf32>
  %v3r = tensor.extract_slice %v[0, 0, 8] [2, 6, 8] [1, 1, 1] : tensor<2x6x16xf32> to tensor<2x6x8xf32>
  %v3 = tensor.expand_shape %v3r [[0], [1], [2, 3]] output_shape [2, 6, 1, 8] : tensor<2x6x8xf32> into tensor<2x6x1x8xf32>
  %y3 = transformer.attention %q3, %k3, %v3 scale 0.5 mask <causal> : tensor<2x6x1x8xf32>, tensor<2x6x1x8xf32>, tensor<2x6x1x8xf32> -> tensor<2x6x1x8xf32>
  %o3 = tensor.collapse_shape %y3 [[0], [1], [2, 3]] : tensor<2x6x1x8xf32> into tensor<2x6x8xf32>
  %y = tensor.concat dim(2) %o0, %o1, %o2, %o3 : (tensor<2x6x8xf32>, tensor<2x6x8xf32>, tensor<2x6x8xf32>, tensor<2x6x8xf32>) -> tensor<2x6x32xf32>
  return %y : tensor<2x6x32xf32>
}

// Queries in the opposite order of keys.
// CHECK-LABEL: func.func @reversed
// CHECK: tensor.concat
func.func @reversed(%q: tensor<2x6x32xf32>, %k: tensor<2x6x32xf32>, %v: tensor<2x6x32xf32>) -> tensor<2x6x32xf32> {
  %q0r = tensor.extract_slice %q[0, 0, 24] [2, 6, 8] [1, 1, 1] : tensor<2x6x32xf32> to tensor<2x6x8xf32>
  %q0 = tensor.expand_shape %q0r [[0], [1], [2, 3]] output_shape [2, 6, 1, 8] : tensor<2x6x8xf32> into tensor<2x6x1x8xf32>
  %k0r = tensor.extract_slice %k[0, 0, 0] [2, 6, 8] [1, 1, 1] : tensor<2x6x32xf32> to tensor<2x6x8xf32>
  %k0 = tensor.expand_shape %k0r [[0], [1], [2, 3]] output_shape [2, 6, 1, 8] : tensor<2x6x8xf32> into tensor<2x6x1x8xf32>
  %v0r = tensor.extract_slice %v[0, 0, 0] [2, 6, 8] [1, 1, 1] : tensor<2x6x32xf32> to tensor<2x6x8xf32>
  %v0 = tensor.expand_shape %v0r [[0], [1], [2, 3]] output_shape [2, 6, 1, 8] : tensor<2x6x8xf32> into tensor<2x6x1x8xf32>
  // REMARK: remark: {{.*}}raise-heads.mlir:[[@LINE+1]]:{{[0-9]+}}: raise-heads missed: query: is not a slice of what the other heads read; slice the heads of one tensor in order
  %y0 = transformer.attention %q0, %k0, %v0 scale 0.5 mask <causal> : tensor<2x6x1x8xf32>, tensor<2x6x1x8xf32>, tensor<2x6x1x8xf32> -> tensor<2x6x1x8xf32>
  %o0 = tensor.collapse_shape %y0 [[0], [1], [2, 3]] : tensor<2x6x1x8xf32> into tensor<2x6x8xf32>
  %q1r = tensor.extract_slice %q[0, 0, 16] [2, 6, 8] [1, 1, 1] : tensor<2x6x32xf32> to tensor<2x6x8xf32>
  %q1 = tensor.expand_shape %q1r [[0], [1], [2, 3]] output_shape [2, 6, 1, 8] : tensor<2x6x8xf32> into tensor<2x6x1x8xf32>
  %k1r = tensor.extract_slice %k[0, 0, 8] [2, 6, 8] [1, 1, 1] : tensor<2x6x32xf32> to tensor<2x6x8xf32>
  %k1 = tensor.expand_shape %k1r [[0], [1], [2, 3]] output_shape [2, 6, 1, 8] : tensor<2x6x8xf32> into tensor<2x6x1x8xf32>
  %v1r = tensor.extract_slice %v[0, 0, 8] [2, 6, 8] [1, 1, 1] : tensor<2x6x32xf32> to tensor<2x6x8xf32>
  %v1 = tensor.expand_shape %v1r [[0], [1], [2, 3]] output_shape [2, 6, 1, 8] : tensor<2x6x8xf32> into tensor<2x6x1x8xf32>
  %y1 = transformer.attention %q1, %k1, %v1 scale 0.5 mask <causal> : tensor<2x6x1x8xf32>, tensor<2x6x1x8xf32>, tensor<2x6x1x8xf32> -> tensor<2x6x1x8xf32>
  %o1 = tensor.collapse_shape %y1 [[0], [1], [2, 3]] : tensor<2x6x1x8xf32> into tensor<2x6x8xf32>
  %q2r = tensor.extract_slice %q[0, 0, 8] [2, 6, 8] [1, 1, 1] : tensor<2x6x32xf32> to tensor<2x6x8xf32>
  %q2 = tensor.expand_shape %q2r [[0], [1], [2, 3]] output_shape [2, 6, 1, 8] : tensor<2x6x8xf32> into tensor<2x6x1x8xf32>
  %k2r = tensor.extract_slice %k[0, 0, 16] [2, 6, 8] [1, 1, 1] : tensor<2x6x32xf32> to tensor<2x6x8xf32>
  %k2 = tensor.expand_shape %k2r [[0], [1], [2, 3]] output_shape [2, 6, 1, 8] : tensor<2x6x8xf32> into tensor<2x6x1x8xf32>
  %v2r = tensor.extract_slice %v[0, 0, 16] [2, 6, 8] [1, 1, 1] : tensor<2x6x32xf32> to tensor<2x6x8xf32>
  %v2 = tensor.expand_shape %v2r [[0], [1], [2, 3]] output_shape [2, 6, 1, 8] : tensor<2x6x8xf32> into tensor<2x6x1x8xf32>
  %y2 = transformer.attention %q2, %k2, %v2 scale 0.5 mask <causal> : tensor<2x6x1x8xf32>, tensor<2x6x1x8xf32>, tensor<2x6x1x8xf32> -> tensor<2x6x1x8xf32>
  %o2 = tensor.collapse_shape %y2 [[0], [1], [2, 3]] : tensor<2x6x1x8xf32> into tensor<2x6x8xf32>
  %q3r = tensor.extract_slice %q[0, 0, 0] [2, 6, 8] [1, 1, 1] : tensor<2x6x32xf32> to tensor<2x6x8xf32>
  %q3 = tensor.expand_shape %q3r [[0], [1], [2, 3]] output_shape [2, 6, 1, 8] : tensor<2x6x8xf32> into tensor<2x6x1x8xf32>
  %k3r = tensor.extract_slice %k[0, 0, 24] [2, 6, 8] [1, 1, 1] : tensor<2x6x32xf32> to tensor<2x6x8xf32>
  %k3 = tensor.expand_shape %k3r [[0], [1], [2, 3]] output_shape [2, 6, 1, 8] : tensor<2x6x8xf32> into tensor<2x6x1x8xf32>
  %v3r = tensor.extract_slice %v[0, 0, 24] [2, 6, 8] [1, 1, 1] : tensor<2x6x32xf32> to tensor<2x6x8xf32>
  %v3 = tensor.expand_shape %v3r [[0], [1], [2, 3]] output_shape [2, 6, 1, 8] : tensor<2x6x8xf32> into tensor<2x6x1x8xf32>
  %y3 = transformer.attention %q3, %k3, %v3 scale 0.5 mask <causal> : tensor<2x6x1x8xf32>, tensor<2x6x1x8xf32>, tensor<2x6x1x8xf32> -> tensor<2x6x1x8xf32>
  %o3 = tensor.collapse_shape %y3 [[0], [1], [2, 3]] : tensor<2x6x1x8xf32> into tensor<2x6x8xf32>
  %y = tensor.concat dim(2) %o0, %o1, %o2, %o3 : (tensor<2x6x8xf32>, tensor<2x6x8xf32>, tensor<2x6x8xf32>, tensor<2x6x8xf32>) -> tensor<2x6x32xf32>
  return %y : tensor<2x6x32xf32>
}

// One head has another scale.
// CHECK-LABEL: func.func @another_scale
// CHECK: tensor.concat
func.func @another_scale(%q: tensor<2x6x32xf32>, %k: tensor<2x6x32xf32>, %v: tensor<2x6x32xf32>) -> tensor<2x6x32xf32> {
  %q0r = tensor.extract_slice %q[0, 0, 0] [2, 6, 8] [1, 1, 1] : tensor<2x6x32xf32> to tensor<2x6x8xf32>
  %q0 = tensor.expand_shape %q0r [[0], [1], [2, 3]] output_shape [2, 6, 1, 8] : tensor<2x6x8xf32> into tensor<2x6x1x8xf32>
  %k0r = tensor.extract_slice %k[0, 0, 0] [2, 6, 8] [1, 1, 1] : tensor<2x6x32xf32> to tensor<2x6x8xf32>
  %k0 = tensor.expand_shape %k0r [[0], [1], [2, 3]] output_shape [2, 6, 1, 8] : tensor<2x6x8xf32> into tensor<2x6x1x8xf32>
  %v0r = tensor.extract_slice %v[0, 0, 0] [2, 6, 8] [1, 1, 1] : tensor<2x6x32xf32> to tensor<2x6x8xf32>
  %v0 = tensor.expand_shape %v0r [[0], [1], [2, 3]] output_shape [2, 6, 1, 8] : tensor<2x6x8xf32> into tensor<2x6x1x8xf32>
  %y0 = transformer.attention %q0, %k0, %v0 scale 0.5 mask <causal> : tensor<2x6x1x8xf32>, tensor<2x6x1x8xf32>, tensor<2x6x1x8xf32> -> tensor<2x6x1x8xf32>
  %o0 = tensor.collapse_shape %y0 [[0], [1], [2, 3]] : tensor<2x6x1x8xf32> into tensor<2x6x8xf32>
  %q1r = tensor.extract_slice %q[0, 0, 8] [2, 6, 8] [1, 1, 1] : tensor<2x6x32xf32> to tensor<2x6x8xf32>
  %q1 = tensor.expand_shape %q1r [[0], [1], [2, 3]] output_shape [2, 6, 1, 8] : tensor<2x6x8xf32> into tensor<2x6x1x8xf32>
  %k1r = tensor.extract_slice %k[0, 0, 8] [2, 6, 8] [1, 1, 1] : tensor<2x6x32xf32> to tensor<2x6x8xf32>
  %k1 = tensor.expand_shape %k1r [[0], [1], [2, 3]] output_shape [2, 6, 1, 8] : tensor<2x6x8xf32> into tensor<2x6x1x8xf32>
  %v1r = tensor.extract_slice %v[0, 0, 8] [2, 6, 8] [1, 1, 1] : tensor<2x6x32xf32> to tensor<2x6x8xf32>
  %v1 = tensor.expand_shape %v1r [[0], [1], [2, 3]] output_shape [2, 6, 1, 8] : tensor<2x6x8xf32> into tensor<2x6x1x8xf32>
  %y1 = transformer.attention %q1, %k1, %v1 scale 0.5 mask <causal> : tensor<2x6x1x8xf32>, tensor<2x6x1x8xf32>, tensor<2x6x1x8xf32> -> tensor<2x6x1x8xf32>
  %o1 = tensor.collapse_shape %y1 [[0], [1], [2, 3]] : tensor<2x6x1x8xf32> into tensor<2x6x8xf32>
  %q2r = tensor.extract_slice %q[0, 0, 16] [2, 6, 8] [1, 1, 1] : tensor<2x6x32xf32> to tensor<2x6x8xf32>
  %q2 = tensor.expand_shape %q2r [[0], [1], [2, 3]] output_shape [2, 6, 1, 8] : tensor<2x6x8xf32> into tensor<2x6x1x8xf32>
  %k2r = tensor.extract_slice %k[0, 0, 16] [2, 6, 8] [1, 1, 1] : tensor<2x6x32xf32> to tensor<2x6x8xf32>
  %k2 = tensor.expand_shape %k2r [[0], [1], [2, 3]] output_shape [2, 6, 1, 8] : tensor<2x6x8xf32> into tensor<2x6x1x8xf32>
  %v2r = tensor.extract_slice %v[0, 0, 16] [2, 6, 8] [1, 1, 1] : tensor<2x6x32xf32> to tensor<2x6x8xf32>
  %v2 = tensor.expand_shape %v2r [[0], [1], [2, 3]] output_shape [2, 6, 1, 8] : tensor<2x6x8xf32> into tensor<2x6x1x8xf32>
  // REMARK: remark: {{.*}}raise-heads.mlir:[[@LINE+1]]:{{[0-9]+}}: raise-heads missed: attention: differs from the first head's in scale, mask, cap, bias or keys; give all heads the same
  %y2 = transformer.attention %q2, %k2, %v2 scale 0.25 mask <causal> : tensor<2x6x1x8xf32>, tensor<2x6x1x8xf32>, tensor<2x6x1x8xf32> -> tensor<2x6x1x8xf32>
  %o2 = tensor.collapse_shape %y2 [[0], [1], [2, 3]] : tensor<2x6x1x8xf32> into tensor<2x6x8xf32>
  %q3r = tensor.extract_slice %q[0, 0, 24] [2, 6, 8] [1, 1, 1] : tensor<2x6x32xf32> to tensor<2x6x8xf32>
  %q3 = tensor.expand_shape %q3r [[0], [1], [2, 3]] output_shape [2, 6, 1, 8] : tensor<2x6x8xf32> into tensor<2x6x1x8xf32>
  %k3r = tensor.extract_slice %k[0, 0, 24] [2, 6, 8] [1, 1, 1] : tensor<2x6x32xf32> to tensor<2x6x8xf32>
  %k3 = tensor.expand_shape %k3r [[0], [1], [2, 3]] output_shape [2, 6, 1, 8] : tensor<2x6x8xf32> into tensor<2x6x1x8xf32>
  %v3r = tensor.extract_slice %v[0, 0, 24] [2, 6, 8] [1, 1, 1] : tensor<2x6x32xf32> to tensor<2x6x8xf32>
  %v3 = tensor.expand_shape %v3r [[0], [1], [2, 3]] output_shape [2, 6, 1, 8] : tensor<2x6x8xf32> into tensor<2x6x1x8xf32>
  %y3 = transformer.attention %q3, %k3, %v3 scale 0.5 mask <causal> : tensor<2x6x1x8xf32>, tensor<2x6x1x8xf32>, tensor<2x6x1x8xf32> -> tensor<2x6x1x8xf32>
  %o3 = tensor.collapse_shape %y3 [[0], [1], [2, 3]] : tensor<2x6x1x8xf32> into tensor<2x6x8xf32>
  %y = tensor.concat dim(2) %o0, %o1, %o2, %o3 : (tensor<2x6x8xf32>, tensor<2x6x8xf32>, tensor<2x6x8xf32>, tensor<2x6x8xf32>) -> tensor<2x6x32xf32>
  return %y : tensor<2x6x32xf32>
}
