// RUN: tfopt compile %s --passes=transformer-raise-rope --stop-at=optimized --remarks=all --verify-numerics 2> %t | FileCheck %s
// RUN: FileCheck %s --check-prefix=REMARK --implicit-check-not=remark: --implicit-check-not=error: < %t

// Halves are rotated and concatenated; tables of half the width.
// CHECK-LABEL: func.func @halves
// CHECK: %[[AT:.*]] = tensor.splat %{{.*}} : tensor<2xi32>
// CHECK-NEXT: %[[Y:.*]] = transformer.rope half_split %arg0, %arg1, %arg2 at %[[AT]] : tensor<2x6x3x8xf32>, tensor<16x4xf32>, tensor<16x4xf32>, tensor<2xi32> -> tensor<2x6x3x8xf32>
// CHECK-NEXT: return %[[Y]]
func.func @halves(%x: tensor<2x6x3x8xf32>, %cos: tensor<16x4xf32>, %sin: tensor<16x4xf32>) -> tensor<2x6x3x8xf32> {
  %c6 = tensor.extract_slice %cos[0, 0] [6, 4] [1, 1] : tensor<16x4xf32> to tensor<6x4xf32>
  %s6 = tensor.extract_slice %sin[0, 0] [6, 4] [1, 1] : tensor<16x4xf32> to tensor<6x4xf32>
  %eh = tensor.empty() : tensor<2x6x3x4xf32>
  %a = tensor.extract_slice %x[0, 0, 0, 0] [2, 6, 3, 4] [1, 1, 1, 1] : tensor<2x6x3x8xf32> to tensor<2x6x3x4xf32>
  %b = tensor.extract_slice %x[0, 0, 0, 4] [2, 6, 3, 4] [1, 1, 1, 1] : tensor<2x6x3x8xf32> to tensor<2x6x3x4xf32>
  %f = linalg.generic {indexing_maps = [affine_map<(b, s, h, d) -> (b, s, h, d)>, affine_map<(b, s, h, d) -> (b, s, h, d)>, affine_map<(b, s, h, d) -> (s, d)>, affine_map<(b, s, h, d) -> (s, d)>, affine_map<(b, s, h, d) -> (b, s, h, d)>], iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
      ins(%a, %b, %c6, %s6 : tensor<2x6x3x4xf32>, tensor<2x6x3x4xf32>, tensor<6x4xf32>, tensor<6x4xf32>) outs(%eh : tensor<2x6x3x4xf32>) {
    ^bb0(%p: f32, %q: f32, %c: f32, %s: f32, %out: f32):
      %pc = arith.mulf %p, %c : f32
      %qs = arith.mulf %q, %s : f32
      %t = arith.subf %pc, %qs : f32
      linalg.yield %t : f32
    } -> tensor<2x6x3x4xf32>
  %g = linalg.generic {indexing_maps = [affine_map<(b, s, h, d) -> (b, s, h, d)>, affine_map<(b, s, h, d) -> (b, s, h, d)>, affine_map<(b, s, h, d) -> (s, d)>, affine_map<(b, s, h, d) -> (s, d)>, affine_map<(b, s, h, d) -> (b, s, h, d)>], iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
      ins(%b, %a, %c6, %s6 : tensor<2x6x3x4xf32>, tensor<2x6x3x4xf32>, tensor<6x4xf32>, tensor<6x4xf32>) outs(%eh : tensor<2x6x3x4xf32>) {
    ^bb0(%p: f32, %q: f32, %c: f32, %s: f32, %out: f32):
      %pc = arith.mulf %p, %c : f32
      %qs = arith.mulf %q, %s : f32
      %t = arith.addf %pc, %qs : f32
      linalg.yield %t : f32
    } -> tensor<2x6x3x4xf32>
  // REMARK-DAG: remark: {{.*}}raise-rope.mlir:[[@LINE+1]]:{{[0-9]+}}: raise-rope: raised to rope half_split
  %y = tensor.concat dim(3) %f, %g : (tensor<2x6x3x4xf32>, tensor<2x6x3x4xf32>) -> tensor<2x6x3x8xf32>
  return %y : tensor<2x6x3x8xf32>
}

// x cos + rotate_half(x) sin in the order [B, H, S, D], tables as wide as the head, in which the halves repeat.
// CHECK-LABEL: func.func @rotate_half
// CHECK: %[[T:.*]] = linalg.transpose ins(%arg0 : tensor<2x3x6x8xf32>) {{.*}} permutation = [0, 2, 1, 3]
// CHECK: %[[Y:.*]] = transformer.rope half_split %[[T]], %arg1, %arg2 at %{{.*}} : tensor<2x6x3x8xf32>
// CHECK: linalg.transpose ins(%[[Y]] : tensor<2x6x3x8xf32>) {{.*}} permutation = [0, 2, 1, 3]
func.func @rotate_half(%x: tensor<2x3x6x8xf32>, %cos: tensor<16x4xf32>, %sin: tensor<16x4xf32>) -> tensor<2x3x6x8xf32> {
  %c8 = tensor.concat dim(1) %cos, %cos : (tensor<16x4xf32>, tensor<16x4xf32>) -> tensor<16x8xf32>
  %s8 = tensor.concat dim(1) %sin, %sin : (tensor<16x4xf32>, tensor<16x4xf32>) -> tensor<16x8xf32>
  %cw = tensor.extract_slice %c8[0, 0] [6, 8] [1, 1] : tensor<16x8xf32> to tensor<6x8xf32>
  %sw = tensor.extract_slice %s8[0, 0] [6, 8] [1, 1] : tensor<16x8xf32> to tensor<6x8xf32>
  %a = tensor.extract_slice %x[0, 0, 0, 0] [2, 3, 6, 4] [1, 1, 1, 1] : tensor<2x3x6x8xf32> to tensor<2x3x6x4xf32>
  %b = tensor.extract_slice %x[0, 0, 0, 4] [2, 3, 6, 4] [1, 1, 1, 1] : tensor<2x3x6x8xf32> to tensor<2x3x6x4xf32>
  %n = arith.negf %b : tensor<2x3x6x4xf32>
  %turned = tensor.concat dim(3) %n, %a : (tensor<2x3x6x4xf32>, tensor<2x3x6x4xf32>) -> tensor<2x3x6x8xf32>
  %e = tensor.empty() : tensor<2x3x6x8xf32>
  %cs = linalg.broadcast ins(%cw : tensor<6x8xf32>) outs(%e : tensor<2x3x6x8xf32>) dimensions = [0, 1]
  %ss = linalg.broadcast ins(%sw : tensor<6x8xf32>) outs(%e : tensor<2x3x6x8xf32>) dimensions = [0, 1]
  %xc = arith.mulf %x, %cs : tensor<2x3x6x8xf32>
  %ts = arith.mulf %turned, %ss : tensor<2x3x6x8xf32>
  // REMARK-DAG: remark: {{.*}}raise-rope.mlir:[[@LINE+1]]:{{[0-9]+}}: raise-rope: raised to rope half_split
  %y = arith.addf %xc, %ts : tensor<2x3x6x8xf32>
  return %y : tensor<2x3x6x8xf32>
}

// The halves are inserted into an empty tensor, and the second is a fused product sum in another order.
// CHECK-LABEL: func.func @inserted
// CHECK: transformer.rope half_split %arg0, %arg1, %arg2 at %{{.*}} : tensor<2x6x3x8xf32>
func.func @inserted(%x: tensor<2x6x3x8xf32>, %cos: tensor<16x4xf32>, %sin: tensor<16x4xf32>) -> tensor<2x6x3x8xf32> {
  %c6 = tensor.extract_slice %cos[0, 0] [6, 4] [1, 1] : tensor<16x4xf32> to tensor<6x4xf32>
  %s6 = tensor.extract_slice %sin[0, 0] [6, 4] [1, 1] : tensor<16x4xf32> to tensor<6x4xf32>
  %eh = tensor.empty() : tensor<2x6x3x4xf32>
  %a = tensor.extract_slice %x[0, 0, 0, 0] [2, 6, 3, 4] [1, 1, 1, 1] : tensor<2x6x3x8xf32> to tensor<2x6x3x4xf32>
  %b = tensor.extract_slice %x[0, 0, 0, 4] [2, 6, 3, 4] [1, 1, 1, 1] : tensor<2x6x3x8xf32> to tensor<2x6x3x4xf32>
  %f = linalg.generic {indexing_maps = [affine_map<(b, s, h, d) -> (b, s, h, d)>, affine_map<(b, s, h, d) -> (b, s, h, d)>, affine_map<(b, s, h, d) -> (s, d)>, affine_map<(b, s, h, d) -> (s, d)>, affine_map<(b, s, h, d) -> (b, s, h, d)>], iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
      ins(%a, %b, %c6, %s6 : tensor<2x6x3x4xf32>, tensor<2x6x3x4xf32>, tensor<6x4xf32>, tensor<6x4xf32>) outs(%eh : tensor<2x6x3x4xf32>) {
    ^bb0(%p: f32, %q: f32, %c: f32, %s: f32, %out: f32):
      %pc = arith.mulf %p, %c : f32
      %qs = arith.mulf %q, %s : f32
      %t = arith.subf %pc, %qs : f32
      linalg.yield %t : f32
    } -> tensor<2x6x3x4xf32>
  %e6 = tensor.empty() : tensor<6x3x4xf32>
  %ch = linalg.broadcast ins(%c6 : tensor<6x4xf32>) outs(%e6 : tensor<6x3x4xf32>) dimensions = [1]
  %sh = linalg.broadcast ins(%s6 : tensor<6x4xf32>) outs(%e6 : tensor<6x3x4xf32>) dimensions = [1]
  %cc = linalg.broadcast ins(%ch : tensor<6x3x4xf32>) outs(%eh : tensor<2x6x3x4xf32>) dimensions = [0]
  %cs = linalg.broadcast ins(%sh : tensor<6x3x4xf32>) outs(%eh : tensor<2x6x3x4xf32>) dimensions = [0]
  %as = arith.mulf %cs, %a : tensor<2x6x3x4xf32>
  %bc = arith.mulf %cc, %b : tensor<2x6x3x4xf32>
  %g = arith.addf %as, %bc : tensor<2x6x3x4xf32>
  %e8 = tensor.empty() : tensor<2x6x3x8xf32>
  %y0 = tensor.insert_slice %f into %e8[0, 0, 0, 0] [2, 6, 3, 4] [1, 1, 1, 1] : tensor<2x6x3x4xf32> into tensor<2x6x3x8xf32>
  // REMARK-DAG: remark: {{.*}}raise-rope.mlir:[[@LINE+1]]:{{[0-9]+}}: raise-rope: raised to rope half_split
  %y = tensor.insert_slice %g into %y0[0, 0, 0, 4] [2, 6, 3, 4] [1, 1, 1, 1] : tensor<2x6x3x4xf32> into tensor<2x6x3x8xf32>
  return %y : tensor<2x6x3x8xf32>
}

// Neighbours are a pair: split off by a reshape, joined by another.
// CHECK-LABEL: func.func @interleaved
// CHECK: transformer.rope interleaved %arg0, %arg1, %arg2 at %{{.*}} : tensor<2x6x3x8xf32>
func.func @interleaved(%x: tensor<2x6x3x8xf32>, %cos: tensor<16x4xf32>, %sin: tensor<16x4xf32>) -> tensor<2x6x3x8xf32> {
  %c6 = tensor.extract_slice %cos[0, 0] [6, 4] [1, 1] : tensor<16x4xf32> to tensor<6x4xf32>
  %s6 = tensor.extract_slice %sin[0, 0] [6, 4] [1, 1] : tensor<16x4xf32> to tensor<6x4xf32>
  %eh = tensor.empty() : tensor<2x6x3x4xf32>
  %pairs = tensor.expand_shape %x [[0], [1], [2], [3, 4]] output_shape [2, 6, 3, 4, 2] : tensor<2x6x3x8xf32> into tensor<2x6x3x4x2xf32>
  %a1 = tensor.extract_slice %pairs[0, 0, 0, 0, 0] [2, 6, 3, 4, 1] [1, 1, 1, 1, 1] : tensor<2x6x3x4x2xf32> to tensor<2x6x3x4x1xf32>
  %b1 = tensor.extract_slice %pairs[0, 0, 0, 0, 1] [2, 6, 3, 4, 1] [1, 1, 1, 1, 1] : tensor<2x6x3x4x2xf32> to tensor<2x6x3x4x1xf32>
  %a = tensor.collapse_shape %a1 [[0], [1], [2], [3, 4]] : tensor<2x6x3x4x1xf32> into tensor<2x6x3x4xf32>
  %b = tensor.collapse_shape %b1 [[0], [1], [2], [3, 4]] : tensor<2x6x3x4x1xf32> into tensor<2x6x3x4xf32>
  %f = linalg.generic {indexing_maps = [affine_map<(b, s, h, d) -> (b, s, h, d)>, affine_map<(b, s, h, d) -> (b, s, h, d)>, affine_map<(b, s, h, d) -> (s, d)>, affine_map<(b, s, h, d) -> (s, d)>, affine_map<(b, s, h, d) -> (b, s, h, d)>], iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
      ins(%a, %b, %c6, %s6 : tensor<2x6x3x4xf32>, tensor<2x6x3x4xf32>, tensor<6x4xf32>, tensor<6x4xf32>) outs(%eh : tensor<2x6x3x4xf32>) {
    ^bb0(%p: f32, %q: f32, %c: f32, %s: f32, %out: f32):
      %pc = arith.mulf %p, %c : f32
      %qs = arith.mulf %q, %s : f32
      %t = arith.subf %pc, %qs : f32
      linalg.yield %t : f32
    } -> tensor<2x6x3x4xf32>
  %g = linalg.generic {indexing_maps = [affine_map<(b, s, h, d) -> (b, s, h, d)>, affine_map<(b, s, h, d) -> (b, s, h, d)>, affine_map<(b, s, h, d) -> (s, d)>, affine_map<(b, s, h, d) -> (s, d)>, affine_map<(b, s, h, d) -> (b, s, h, d)>], iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
      ins(%b, %a, %c6, %s6 : tensor<2x6x3x4xf32>, tensor<2x6x3x4xf32>, tensor<6x4xf32>, tensor<6x4xf32>) outs(%eh : tensor<2x6x3x4xf32>) {
    ^bb0(%p: f32, %q: f32, %c: f32, %s: f32, %out: f32):
      %pc = arith.mulf %p, %c : f32
      %qs = arith.mulf %q, %s : f32
      %t = arith.addf %pc, %qs : f32
      linalg.yield %t : f32
    } -> tensor<2x6x3x4xf32>
  %f1 = tensor.expand_shape %f [[0], [1], [2], [3, 4]] output_shape [2, 6, 3, 4, 1] : tensor<2x6x3x4xf32> into tensor<2x6x3x4x1xf32>
  %g1 = tensor.expand_shape %g [[0], [1], [2], [3, 4]] output_shape [2, 6, 3, 4, 1] : tensor<2x6x3x4xf32> into tensor<2x6x3x4x1xf32>
  %both = tensor.concat dim(4) %f1, %g1 : (tensor<2x6x3x4x1xf32>, tensor<2x6x3x4x1xf32>) -> tensor<2x6x3x4x2xf32>
  // REMARK-DAG: remark: {{.*}}raise-rope.mlir:[[@LINE+1]]:{{[0-9]+}}: raise-rope: raised to rope interleaved
  %y = tensor.collapse_shape %both [[0], [1], [2], [3, 4]] : tensor<2x6x3x4x2xf32> into tensor<2x6x3x8xf32>
  return %y : tensor<2x6x3x8xf32>
}

// x cos + turned(x) sin, with neighbours turned.
// CHECK-LABEL: func.func @interleaved_sum
// CHECK: transformer.rope interleaved %arg0, %arg1, %arg2 at %{{.*}} : tensor<2x6x3x8xf32>
func.func @interleaved_sum(%x: tensor<2x6x3x8xf32>, %cos: tensor<16x4xf32>, %sin: tensor<16x4xf32>) -> tensor<2x6x3x8xf32> {
  %c6 = tensor.extract_slice %cos[0, 0] [6, 4] [1, 1] : tensor<16x4xf32> to tensor<6x4xf32>
  %s6 = tensor.extract_slice %sin[0, 0] [6, 4] [1, 1] : tensor<16x4xf32> to tensor<6x4xf32>
  %pairs = tensor.expand_shape %x [[0], [1], [2], [3, 4]] output_shape [2, 6, 3, 4, 2] : tensor<2x6x3x8xf32> into tensor<2x6x3x4x2xf32>
  %a = tensor.extract_slice %pairs[0, 0, 0, 0, 0] [2, 6, 3, 4, 1] [1, 1, 1, 1, 1] : tensor<2x6x3x4x2xf32> to tensor<2x6x3x4x1xf32>
  %b = tensor.extract_slice %pairs[0, 0, 0, 0, 1] [2, 6, 3, 4, 1] [1, 1, 1, 1, 1] : tensor<2x6x3x4x2xf32> to tensor<2x6x3x4x1xf32>
  %n = arith.negf %b : tensor<2x6x3x4x1xf32>
  %both = tensor.concat dim(4) %n, %a : (tensor<2x6x3x4x1xf32>, tensor<2x6x3x4x1xf32>) -> tensor<2x6x3x4x2xf32>
  %turned = tensor.collapse_shape %both [[0], [1], [2], [3, 4]] : tensor<2x6x3x4x2xf32> into tensor<2x6x3x8xf32>
  %e2 = tensor.empty() : tensor<6x4x2xf32>
  %c2 = linalg.broadcast ins(%c6 : tensor<6x4xf32>) outs(%e2 : tensor<6x4x2xf32>) dimensions = [2]
  %s2 = linalg.broadcast ins(%s6 : tensor<6x4xf32>) outs(%e2 : tensor<6x4x2xf32>) dimensions = [2]
  %c8 = tensor.collapse_shape %c2 [[0], [1, 2]] : tensor<6x4x2xf32> into tensor<6x8xf32>
  %s8 = tensor.collapse_shape %s2 [[0], [1, 2]] : tensor<6x4x2xf32> into tensor<6x8xf32>
  %e = tensor.empty() : tensor<2x6x3x8xf32>
  %cs = linalg.broadcast ins(%c8 : tensor<6x8xf32>) outs(%e : tensor<2x6x3x8xf32>) dimensions = [0, 2]
  %ss = linalg.broadcast ins(%s8 : tensor<6x8xf32>) outs(%e : tensor<2x6x3x8xf32>) dimensions = [0, 2]
  %xc = arith.mulf %x, %cs : tensor<2x6x3x8xf32>
  %ts = arith.mulf %ss, %turned : tensor<2x6x3x8xf32>
  // REMARK-DAG: remark: {{.*}}raise-rope.mlir:[[@LINE+1]]:{{[0-9]+}}: raise-rope: raised to rope interleaved
  %y = arith.addf %ts, %xc : tensor<2x6x3x8xf32>
  return %y : tensor<2x6x3x8xf32>
}

// Tables are computed from angles; each half of the head reads the same ones.
// CHECK-LABEL: func.func @computed_angles
// CHECK: %[[C:.*]] = math.cos
// CHECK: %[[S:.*]] = math.sin
// CHECK: transformer.rope half_split %{{.*}}, %[[C]], %[[S]] at
func.func @computed_angles(%x: tensor<2x3x6x8xf32>, %angles: tensor<6x4xf32>) -> tensor<2x3x6x8xf32> {
  %ca = math.cos %angles : tensor<6x4xf32>
  %sa = math.sin %angles : tensor<6x4xf32>
  %cw = tensor.concat dim(1) %ca, %ca : (tensor<6x4xf32>, tensor<6x4xf32>) -> tensor<6x8xf32>
  %sw = tensor.concat dim(1) %sa, %sa : (tensor<6x4xf32>, tensor<6x4xf32>) -> tensor<6x8xf32>
  %a = tensor.extract_slice %x[0, 0, 0, 0] [2, 3, 6, 4] [1, 1, 1, 1] : tensor<2x3x6x8xf32> to tensor<2x3x6x4xf32>
  %b = tensor.extract_slice %x[0, 0, 0, 4] [2, 3, 6, 4] [1, 1, 1, 1] : tensor<2x3x6x8xf32> to tensor<2x3x6x4xf32>
  %n = arith.negf %b : tensor<2x3x6x4xf32>
  %turned = tensor.concat dim(3) %n, %a : (tensor<2x3x6x4xf32>, tensor<2x3x6x4xf32>) -> tensor<2x3x6x8xf32>
  %e = tensor.empty() : tensor<2x3x6x8xf32>
  %cs = linalg.broadcast ins(%cw : tensor<6x8xf32>) outs(%e : tensor<2x3x6x8xf32>) dimensions = [0, 1]
  %ss = linalg.broadcast ins(%sw : tensor<6x8xf32>) outs(%e : tensor<2x3x6x8xf32>) dimensions = [0, 1]
  %xc = arith.mulf %x, %cs : tensor<2x3x6x8xf32>
  %ts = arith.mulf %turned, %ss : tensor<2x3x6x8xf32>
  // REMARK-DAG: remark: {{.*}}raise-rope.mlir:[[@LINE+1]]:{{[0-9]+}}: raise-rope: raised to rope half_split
  %y = arith.addf %ts, %xc : tensor<2x3x6x8xf32>
  return %y : tensor<2x3x6x8xf32>
}

// A part of each head is rotated, and the rest concatenated.
// CHECK-LABEL: func.func @part
// CHECK: %[[Y:.*]] = transformer.rope half_split %arg0, %arg1, %arg2 at %{{.*}} : tensor<2x6x3x12xf32>, tensor<16x4xf32>
// CHECK-NEXT: return %[[Y]]
func.func @part(%x: tensor<2x6x3x12xf32>, %cos: tensor<16x4xf32>, %sin: tensor<16x4xf32>) -> tensor<2x6x3x12xf32> {
  %c6 = tensor.extract_slice %cos[0, 0] [6, 4] [1, 1] : tensor<16x4xf32> to tensor<6x4xf32>
  %s6 = tensor.extract_slice %sin[0, 0] [6, 4] [1, 1] : tensor<16x4xf32> to tensor<6x4xf32>
  %eh = tensor.empty() : tensor<2x6x3x4xf32>
  %head = tensor.extract_slice %x[0, 0, 0, 0] [2, 6, 3, 8] [1, 1, 1, 1] : tensor<2x6x3x12xf32> to tensor<2x6x3x8xf32>
  %rest = tensor.extract_slice %x[0, 0, 0, 8] [2, 6, 3, 4] [1, 1, 1, 1] : tensor<2x6x3x12xf32> to tensor<2x6x3x4xf32>
  %a = tensor.extract_slice %head[0, 0, 0, 0] [2, 6, 3, 4] [1, 1, 1, 1] : tensor<2x6x3x8xf32> to tensor<2x6x3x4xf32>
  %b = tensor.extract_slice %head[0, 0, 0, 4] [2, 6, 3, 4] [1, 1, 1, 1] : tensor<2x6x3x8xf32> to tensor<2x6x3x4xf32>
  %c = linalg.broadcast ins(%c6 : tensor<6x4xf32>) outs(%eh : tensor<2x6x3x4xf32>) dimensions = [0, 2]
  %s = linalg.broadcast ins(%s6 : tensor<6x4xf32>) outs(%eh : tensor<2x6x3x4xf32>) dimensions = [0, 2]
  %ac = arith.mulf %a, %c : tensor<2x6x3x4xf32>
  %bs = arith.mulf %b, %s : tensor<2x6x3x4xf32>
  %bc = arith.mulf %b, %c : tensor<2x6x3x4xf32>
  %as = arith.mulf %a, %s : tensor<2x6x3x4xf32>
  %f = arith.subf %ac, %bs : tensor<2x6x3x4xf32>
  %g = arith.addf %bc, %as : tensor<2x6x3x4xf32>
  // REMARK-DAG: remark: {{.*}}raise-rope.mlir:[[@LINE+1]]:{{[0-9]+}}: raise-rope: raised to rope half_split
  %turned = tensor.concat dim(3) %f, %g : (tensor<2x6x3x4xf32>, tensor<2x6x3x4xf32>) -> tensor<2x6x3x8xf32>
  // REMARK-DAG: remark: {{.*}}raise-rope.mlir:[[@LINE+1]]:{{[0-9]+}}: raise-rope: rotates 8 of 12 columns
  %y = tensor.concat dim(3) %turned, %rest : (tensor<2x6x3x8xf32>, tensor<2x6x3x4xf32>) -> tensor<2x6x3x12xf32>
  return %y : tensor<2x6x3x12xf32>
}

// The rest is another part of the row than the one that is missing.
// CHECK-LABEL: func.func @other_rest
// CHECK: transformer.rope {{.*}} : tensor<2x6x3x8xf32>
// CHECK: tensor.concat
func.func @other_rest(%x: tensor<2x6x3x12xf32>, %cos: tensor<16x4xf32>, %sin: tensor<16x4xf32>) -> tensor<2x6x3x12xf32> {
  %c6 = tensor.extract_slice %cos[0, 0] [6, 4] [1, 1] : tensor<16x4xf32> to tensor<6x4xf32>
  %s6 = tensor.extract_slice %sin[0, 0] [6, 4] [1, 1] : tensor<16x4xf32> to tensor<6x4xf32>
  %eh = tensor.empty() : tensor<2x6x3x4xf32>
  %head = tensor.extract_slice %x[0, 0, 0, 0] [2, 6, 3, 8] [1, 1, 1, 1] : tensor<2x6x3x12xf32> to tensor<2x6x3x8xf32>
  %rest = tensor.extract_slice %x[0, 0, 0, 4] [2, 6, 3, 4] [1, 1, 1, 1] : tensor<2x6x3x12xf32> to tensor<2x6x3x4xf32>
  %a = tensor.extract_slice %head[0, 0, 0, 0] [2, 6, 3, 4] [1, 1, 1, 1] : tensor<2x6x3x8xf32> to tensor<2x6x3x4xf32>
  %b = tensor.extract_slice %head[0, 0, 0, 4] [2, 6, 3, 4] [1, 1, 1, 1] : tensor<2x6x3x8xf32> to tensor<2x6x3x4xf32>
  %c = linalg.broadcast ins(%c6 : tensor<6x4xf32>) outs(%eh : tensor<2x6x3x4xf32>) dimensions = [0, 2]
  %s = linalg.broadcast ins(%s6 : tensor<6x4xf32>) outs(%eh : tensor<2x6x3x4xf32>) dimensions = [0, 2]
  %ac = arith.mulf %a, %c : tensor<2x6x3x4xf32>
  %bs = arith.mulf %b, %s : tensor<2x6x3x4xf32>
  %bc = arith.mulf %b, %c : tensor<2x6x3x4xf32>
  %as = arith.mulf %a, %s : tensor<2x6x3x4xf32>
  %f = arith.subf %ac, %bs : tensor<2x6x3x4xf32>
  %g = arith.addf %bc, %as : tensor<2x6x3x4xf32>
  // REMARK-DAG: remark: {{.*}}raise-rope.mlir:[[@LINE+1]]:{{[0-9]+}}: raise-rope: raised to rope half_split
  %turned = tensor.concat dim(3) %f, %g : (tensor<2x6x3x4xf32>, tensor<2x6x3x4xf32>) -> tensor<2x6x3x8xf32>
  // REMARK-DAG: remark: {{.*}}raise-rope.mlir:[[@LINE+1]]:{{[0-9]+}}: raise-rope missed: rest: is not what follows the rotated part in its row; concatenate the parts of one row
  %y = tensor.concat dim(3) %turned, %rest : (tensor<2x6x3x8xf32>, tensor<2x6x3x4xf32>) -> tensor<2x6x3x12xf32>
  return %y : tensor<2x6x3x12xf32>
}

// A table of all columns may hold other numbers in its second half.
// CHECK-LABEL: func.func @wide_table
// CHECK-NOT: transformer.rope
func.func @wide_table(%x: tensor<2x3x6x8xf32>, %cos: tensor<16x8xf32>, %sin: tensor<16x8xf32>) -> tensor<2x3x6x8xf32> {
  %cw = tensor.extract_slice %cos[0, 0] [6, 8] [1, 1] : tensor<16x8xf32> to tensor<6x8xf32>
  %sw = tensor.extract_slice %sin[0, 0] [6, 8] [1, 1] : tensor<16x8xf32> to tensor<6x8xf32>
  %a = tensor.extract_slice %x[0, 0, 0, 0] [2, 3, 6, 4] [1, 1, 1, 1] : tensor<2x3x6x8xf32> to tensor<2x3x6x4xf32>
  %b = tensor.extract_slice %x[0, 0, 0, 4] [2, 3, 6, 4] [1, 1, 1, 1] : tensor<2x3x6x8xf32> to tensor<2x3x6x4xf32>
  %n = arith.negf %b : tensor<2x3x6x4xf32>
  %turned = tensor.concat dim(3) %n, %a : (tensor<2x3x6x4xf32>, tensor<2x3x6x4xf32>) -> tensor<2x3x6x8xf32>
  %e = tensor.empty() : tensor<2x3x6x8xf32>
  %cs = linalg.broadcast ins(%cw : tensor<6x8xf32>) outs(%e : tensor<2x3x6x8xf32>) dimensions = [0, 1]
  %ss = linalg.broadcast ins(%sw : tensor<6x8xf32>) outs(%e : tensor<2x3x6x8xf32>) dimensions = [0, 1]
  %xc = arith.mulf %x, %cs : tensor<2x3x6x8xf32>
  %ts = arith.mulf %turned, %ss : tensor<2x3x6x8xf32>
  // REMARK-DAG: remark: {{.*}}raise-rope.mlir:[[@LINE+1]]:{{[0-9]+}}: raise-rope missed: cos: is a table of all columns, whose halves need not be equal; store half of the columns and concatenate them with themselves
  %y = arith.addf %xc, %ts : tensor<2x3x6x8xf32>
  return %y : tensor<2x3x6x8xf32>
}

// Both halves are sums: no rotation.
// CHECK-LABEL: func.func @wrong_sign
// CHECK-NOT: transformer.rope
func.func @wrong_sign(%x: tensor<2x6x3x8xf32>, %cos: tensor<16x4xf32>, %sin: tensor<16x4xf32>) -> tensor<2x6x3x8xf32> {
  %c6 = tensor.extract_slice %cos[0, 0] [6, 4] [1, 1] : tensor<16x4xf32> to tensor<6x4xf32>
  %s6 = tensor.extract_slice %sin[0, 0] [6, 4] [1, 1] : tensor<16x4xf32> to tensor<6x4xf32>
  %eh = tensor.empty() : tensor<2x6x3x4xf32>
  %a = tensor.extract_slice %x[0, 0, 0, 0] [2, 6, 3, 4] [1, 1, 1, 1] : tensor<2x6x3x8xf32> to tensor<2x6x3x4xf32>
  %b = tensor.extract_slice %x[0, 0, 0, 4] [2, 6, 3, 4] [1, 1, 1, 1] : tensor<2x6x3x8xf32> to tensor<2x6x3x4xf32>
  %f = linalg.generic {indexing_maps = [affine_map<(b, s, h, d) -> (b, s, h, d)>, affine_map<(b, s, h, d) -> (b, s, h, d)>, affine_map<(b, s, h, d) -> (s, d)>, affine_map<(b, s, h, d) -> (s, d)>, affine_map<(b, s, h, d) -> (b, s, h, d)>], iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
      ins(%a, %b, %c6, %s6 : tensor<2x6x3x4xf32>, tensor<2x6x3x4xf32>, tensor<6x4xf32>, tensor<6x4xf32>) outs(%eh : tensor<2x6x3x4xf32>) {
    ^bb0(%p: f32, %q: f32, %c: f32, %s: f32, %out: f32):
      %pc = arith.mulf %p, %c : f32
      %qs = arith.mulf %q, %s : f32
      %t = arith.addf %pc, %qs : f32
      linalg.yield %t : f32
    } -> tensor<2x6x3x4xf32>
  %g = linalg.generic {indexing_maps = [affine_map<(b, s, h, d) -> (b, s, h, d)>, affine_map<(b, s, h, d) -> (b, s, h, d)>, affine_map<(b, s, h, d) -> (s, d)>, affine_map<(b, s, h, d) -> (s, d)>, affine_map<(b, s, h, d) -> (b, s, h, d)>], iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
      ins(%b, %a, %c6, %s6 : tensor<2x6x3x4xf32>, tensor<2x6x3x4xf32>, tensor<6x4xf32>, tensor<6x4xf32>) outs(%eh : tensor<2x6x3x4xf32>) {
    ^bb0(%p: f32, %q: f32, %c: f32, %s: f32, %out: f32):
      %pc = arith.mulf %p, %c : f32
      %qs = arith.mulf %q, %s : f32
      %t = arith.addf %pc, %qs : f32
      linalg.yield %t : f32
    } -> tensor<2x6x3x4xf32>
  %y = tensor.concat dim(3) %f, %g : (tensor<2x6x3x4xf32>, tensor<2x6x3x4xf32>) -> tensor<2x6x3x8xf32>
  return %y : tensor<2x6x3x8xf32>
}

// The second half is rotated by another angle: sin where cos belongs.
// CHECK-LABEL: func.func @other_table
// CHECK-NOT: transformer.rope
func.func @other_table(%x: tensor<2x6x3x8xf32>, %cos: tensor<16x4xf32>, %sin: tensor<16x4xf32>) -> tensor<2x6x3x8xf32> {
  %c6 = tensor.extract_slice %cos[0, 0] [6, 4] [1, 1] : tensor<16x4xf32> to tensor<6x4xf32>
  %s6 = tensor.extract_slice %sin[0, 0] [6, 4] [1, 1] : tensor<16x4xf32> to tensor<6x4xf32>
  %eh = tensor.empty() : tensor<2x6x3x4xf32>
  %a = tensor.extract_slice %x[0, 0, 0, 0] [2, 6, 3, 4] [1, 1, 1, 1] : tensor<2x6x3x8xf32> to tensor<2x6x3x4xf32>
  %b = tensor.extract_slice %x[0, 0, 0, 4] [2, 6, 3, 4] [1, 1, 1, 1] : tensor<2x6x3x8xf32> to tensor<2x6x3x4xf32>
  %f = linalg.generic {indexing_maps = [affine_map<(b, s, h, d) -> (b, s, h, d)>, affine_map<(b, s, h, d) -> (b, s, h, d)>, affine_map<(b, s, h, d) -> (s, d)>, affine_map<(b, s, h, d) -> (s, d)>, affine_map<(b, s, h, d) -> (b, s, h, d)>], iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
      ins(%a, %b, %c6, %s6 : tensor<2x6x3x4xf32>, tensor<2x6x3x4xf32>, tensor<6x4xf32>, tensor<6x4xf32>) outs(%eh : tensor<2x6x3x4xf32>) {
    ^bb0(%p: f32, %q: f32, %c: f32, %s: f32, %out: f32):
      %pc = arith.mulf %p, %c : f32
      %qs = arith.mulf %q, %s : f32
      %t = arith.subf %pc, %qs : f32
      linalg.yield %t : f32
    } -> tensor<2x6x3x4xf32>
  %g = linalg.generic {indexing_maps = [affine_map<(b, s, h, d) -> (b, s, h, d)>, affine_map<(b, s, h, d) -> (b, s, h, d)>, affine_map<(b, s, h, d) -> (s, d)>, affine_map<(b, s, h, d) -> (s, d)>, affine_map<(b, s, h, d) -> (b, s, h, d)>], iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
      ins(%b, %a, %s6, %c6 : tensor<2x6x3x4xf32>, tensor<2x6x3x4xf32>, tensor<6x4xf32>, tensor<6x4xf32>) outs(%eh : tensor<2x6x3x4xf32>) {
    ^bb0(%p: f32, %q: f32, %c: f32, %s: f32, %out: f32):
      %pc = arith.mulf %p, %c : f32
      %qs = arith.mulf %q, %s : f32
      %t = arith.addf %pc, %qs : f32
      linalg.yield %t : f32
    } -> tensor<2x6x3x4xf32>
  %y = tensor.concat dim(3) %f, %g : (tensor<2x6x3x4xf32>, tensor<2x6x3x4xf32>) -> tensor<2x6x3x8xf32>
  return %y : tensor<2x6x3x8xf32>
}

// Each row of the batch has angles of its own.
// CHECK-LABEL: func.func @by_row
// CHECK-NOT: transformer.rope
func.func @by_row(%x: tensor<2x6x3x8xf32>, %cos: tensor<2x6x4xf32>, %sin: tensor<2x6x4xf32>) -> tensor<2x6x3x8xf32> {
  %eh = tensor.empty() : tensor<2x6x3x4xf32>
  %a = tensor.extract_slice %x[0, 0, 0, 0] [2, 6, 3, 4] [1, 1, 1, 1] : tensor<2x6x3x8xf32> to tensor<2x6x3x4xf32>
  %b = tensor.extract_slice %x[0, 0, 0, 4] [2, 6, 3, 4] [1, 1, 1, 1] : tensor<2x6x3x8xf32> to tensor<2x6x3x4xf32>
  %f = linalg.generic {indexing_maps = [affine_map<(b, s, h, d) -> (b, s, h, d)>, affine_map<(b, s, h, d) -> (b, s, h, d)>, affine_map<(b, s, h, d) -> (b, s, d)>, affine_map<(b, s, h, d) -> (b, s, d)>, affine_map<(b, s, h, d) -> (b, s, h, d)>], iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
      ins(%a, %b, %cos, %sin : tensor<2x6x3x4xf32>, tensor<2x6x3x4xf32>, tensor<2x6x4xf32>, tensor<2x6x4xf32>) outs(%eh : tensor<2x6x3x4xf32>) {
    ^bb0(%p: f32, %q: f32, %c: f32, %s: f32, %out: f32):
      %pc = arith.mulf %p, %c : f32
      %qs = arith.mulf %q, %s : f32
      %t = arith.subf %pc, %qs : f32
      linalg.yield %t : f32
    } -> tensor<2x6x3x4xf32>
  %g = linalg.generic {indexing_maps = [affine_map<(b, s, h, d) -> (b, s, h, d)>, affine_map<(b, s, h, d) -> (b, s, h, d)>, affine_map<(b, s, h, d) -> (b, s, d)>, affine_map<(b, s, h, d) -> (b, s, d)>, affine_map<(b, s, h, d) -> (b, s, h, d)>], iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
      ins(%b, %a, %cos, %sin : tensor<2x6x3x4xf32>, tensor<2x6x3x4xf32>, tensor<2x6x4xf32>, tensor<2x6x4xf32>) outs(%eh : tensor<2x6x3x4xf32>) {
    ^bb0(%p: f32, %q: f32, %c: f32, %s: f32, %out: f32):
      %pc = arith.mulf %p, %c : f32
      %qs = arith.mulf %q, %s : f32
      %t = arith.addf %pc, %qs : f32
      linalg.yield %t : f32
    } -> tensor<2x6x3x4xf32>
  // REMARK-DAG: remark: {{.*}}raise-rope.mlir:[[@LINE+1]]:{{[0-9]+}}: raise-rope missed: cos: depends on more than the position; make it a table of positions and pairs
  %y = tensor.concat dim(3) %f, %g : (tensor<2x6x3x4xf32>, tensor<2x6x3x4xf32>) -> tensor<2x6x3x8xf32>
  return %y : tensor<2x6x3x8xf32>
}
