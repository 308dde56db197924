// RUN: tfopt compile %s --passes=transformer-raise-linear --stop-at=optimized --remarks=all --verify-numerics 2> %t | FileCheck %s
// RUN: FileCheck %s --check-prefix=REMARK --implicit-check-not=remark: --implicit-check-not=error: < %t

transformer.weight @w : tensor<16x8xf32> from "model.safetensors"
transformer.weight @wt : tensor<8x16xf32> from "model.safetensors"
transformer.weight @narrow : tensor<16x8xbf16> from "model.safetensors"
transformer.weight @three : tensor<48x8xf32> from "model.safetensors"
transformer.weight @b : tensor<16xf32> from "model.safetensors"

// A matmul with the weight transposed on the way, rows flattened, a bias broadcast and added.
// CHECK-LABEL: func.func @flattened
// CHECK-DAG: %[[W:.*]] = transformer.use @w : tensor<16x8xf32>
// CHECK-DAG: %[[B:.*]] = transformer.use @b : tensor<16xf32>
// CHECK: transformer.linear %arg0, %[[W]] bias %[[B]] : tensor<2x3x8xf32>, tensor<16x8xf32>, tensor<16xf32> -> tensor<2x3x16xf32>
// CHECK-NOT: linalg
func.func @flattened(%x: tensor<2x3x8xf32>) -> tensor<2x3x16xf32> {
  %zero = arith.constant 0.0 : f32
  %w = transformer.use @w : tensor<16x8xf32>
  %b = transformer.use @b : tensor<16xf32>
  %ew = tensor.empty() : tensor<8x16xf32>
  %wt = linalg.transpose ins(%w : tensor<16x8xf32>) outs(%ew : tensor<8x16xf32>) permutation = [1, 0]
  %flat = tensor.collapse_shape %x [[0, 1], [2]] : tensor<2x3x8xf32> into tensor<6x8xf32>
  %e = tensor.empty() : tensor<6x16xf32>
  %init = linalg.fill ins(%zero : f32) outs(%e : tensor<6x16xf32>) -> tensor<6x16xf32>
  // REMARK-DAG: remark: {{.*}}raise-linear.mlir:[[@LINE+1]]:{{[0-9]+}}: raise-linear: raised to linear of 16 columns{{$}}
  %y = linalg.matmul ins(%flat, %wt : tensor<6x8xf32>, tensor<8x16xf32>) outs(%init : tensor<6x16xf32>) -> tensor<6x16xf32>
  %bs = linalg.broadcast ins(%b : tensor<16xf32>) outs(%e : tensor<6x16xf32>) dimensions = [0]
  // REMARK-DAG: remark: {{.*}}raise-linear.mlir:[[@LINE+1]]:{{[0-9]+}}: raise-linear: added the bias to linear
  %sum = linalg.add ins(%bs, %y : tensor<6x16xf32>, tensor<6x16xf32>) outs(%e : tensor<6x16xf32>) -> tensor<6x16xf32>
  %rows = tensor.expand_shape %sum [[0, 1], [2]] output_shape [2, 3, 16] : tensor<6x16xf32> into tensor<2x3x16xf32>
  return %rows : tensor<2x3x16xf32>
}

// A contraction over three dimensions, and a bias that is not first in a longer sum.
// CHECK-LABEL: func.func @contracted
// CHECK: %[[Y:.*]] = transformer.linear %arg0, %{{.*}} bias %{{.*}} : tensor<?x3x8xf32>
// CHECK: arith.addf %[[Y]], %arg1
func.func @contracted(%x: tensor<?x3x8xf32>, %h: tensor<?x3x16xf32>) -> tensor<?x3x16xf32> {
  %zero = arith.constant 0.0 : f32
  %c0 = arith.constant 0 : index
  %n = tensor.dim %x, %c0 : tensor<?x3x8xf32>
  %w = transformer.use @w : tensor<16x8xf32>
  %b = transformer.use @b : tensor<16xf32>
  %e = tensor.empty(%n) : tensor<?x3x16xf32>
  %init = linalg.fill ins(%zero : f32) outs(%e : tensor<?x3x16xf32>) -> tensor<?x3x16xf32>
  // REMARK-DAG: remark: {{.*}}raise-linear.mlir:[[@LINE+1]]:{{[0-9]+}}: raise-linear: raised to linear of 16 columns
  %y = linalg.contract indexing_maps = [affine_map<(b, s, n, k) -> (b, s, k)>, affine_map<(b, s, n, k) -> (n, k)>, affine_map<(b, s, n, k) -> (b, s, n)>]
      ins(%x, %w : tensor<?x3x8xf32>, tensor<16x8xf32>) outs(%init : tensor<?x3x16xf32>) -> tensor<?x3x16xf32>
  %sum = arith.addf %y, %h : tensor<?x3x16xf32>
  // REMARK-DAG: remark: {{.*}}raise-linear.mlir:[[@LINE+1]]:{{[0-9]+}}: raise-linear: added the bias to linear
  %z = linalg.generic {indexing_maps = [affine_map<(b, s, n) -> (n)>, affine_map<(b, s, n) -> (b, s, n)>, affine_map<(b, s, n) -> (b, s, n)>], iterator_types = ["parallel", "parallel", "parallel"]}
      ins(%b, %sum : tensor<16xf32>, tensor<?x3x16xf32>) outs(%e : tensor<?x3x16xf32>) {
    ^bb0(%p: f32, %q: f32, %out: f32):
      %s = arith.addf %p, %q : f32
      linalg.yield %s : f32
    } -> tensor<?x3x16xf32>
  return %z : tensor<?x3x16xf32>
}

// Stored [in, out]; the sum begins with the bias.
// CHECK-LABEL: func.func @stored_transposed
// CHECK: %[[W:.*]] = transformer.use @wt.transpose : tensor<16x8xf32>
// CHECK: transformer.linear %arg0, %[[W]] bias %{{.*}} : tensor<6x8xf32>
// CHECK-NOT: linalg
func.func @stored_transposed(%x: tensor<6x8xf32>) -> tensor<6x16xf32> {
  %w = transformer.use @wt : tensor<8x16xf32>
  %b = transformer.use @b : tensor<16xf32>
  %e = tensor.empty() : tensor<6x16xf32>
  %init = linalg.broadcast ins(%b : tensor<16xf32>) outs(%e : tensor<6x16xf32>) dimensions = [0]
  // REMARK-DAG: remark: {{.*}}raise-linear.mlir:[[@LINE+1]]:{{[0-9]+}}: raise-linear: raised to linear of 16 columns with the weight transposed
  %y = linalg.matmul ins(%x, %w : tensor<6x8xf32>, tensor<8x16xf32>) outs(%init : tensor<6x16xf32>) -> tensor<6x16xf32>
  return %y : tensor<6x16xf32>
}

// A weight in bf16, widened on the way; the weight is the first factor and the result is its transpose.
// CHECK-LABEL: func.func @widened
// CHECK: %[[Y:.*]] = transformer.linear %arg0, %{{.*}} : tensor<6x8xf32>, tensor<16x8xbf16> -> tensor<6x16xf32>
// CHECK: linalg.transpose ins(%[[Y]]
func.func @widened(%x: tensor<6x8xf32>) -> tensor<16x6xf32> {
  %zero = arith.constant 0.0 : f32
  %w = transformer.use @narrow : tensor<16x8xbf16>
  %wide = arith.extf %w : tensor<16x8xbf16> to tensor<16x8xf32>
  %e = tensor.empty() : tensor<16x6xf32>
  %init = linalg.fill ins(%zero : f32) outs(%e : tensor<16x6xf32>) -> tensor<16x6xf32>
  // REMARK-DAG: remark: {{.*}}raise-linear.mlir:[[@LINE+1]]:{{[0-9]+}}: raise-linear: raised to linear of 16 columns
  %y = linalg.generic {indexing_maps = [affine_map<(n, m, k) -> (n, k)>, affine_map<(n, m, k) -> (m, k)>, affine_map<(n, m, k) -> (n, m)>], iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%wide, %x : tensor<16x8xf32>, tensor<6x8xf32>) outs(%init : tensor<16x6xf32>) {
    ^bb0(%p: f32, %q: f32, %acc: f32):
      %s = arith.mulf %p, %q : f32
      %t = arith.addf %s, %acc : f32
      linalg.yield %t : f32
    } -> tensor<16x6xf32>
  return %y : tensor<16x6xf32>
}

// Rows of a larger matrix.
// CHECK-LABEL: func.func @part_of_a_weight
// CHECK: %[[W:.*]] = transformer.use @three.slice : tensor<16x8xf32>
// CHECK: transformer.linear %arg0, %[[W]]
func.func @part_of_a_weight(%x: tensor<6x8xf32>) -> tensor<6x16xf32> {
  %zero = arith.constant 0.0 : f32
  %w = transformer.use @three : tensor<48x8xf32>
  %part = tensor.extract_slice %w[16, 0] [16, 8] [1, 1] : tensor<48x8xf32> to tensor<16x8xf32>
  %e = tensor.empty() : tensor<6x16xf32>
  %init = linalg.fill ins(%zero : f32) outs(%e : tensor<6x16xf32>) -> tensor<6x16xf32>
  // REMARK-DAG: remark: {{.*}}raise-linear.mlir:[[@LINE+1]]:{{[0-9]+}}: raise-linear: raised to linear of 16 columns
  %y = linalg.matmul indexing_maps = [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (n, k)>, affine_map<(m, n, k) -> (m, n)>]
      ins(%x, %part : tensor<6x8xf32>, tensor<16x8xf32>) outs(%init : tensor<6x16xf32>) -> tensor<6x16xf32>
  return %y : tensor<6x16xf32>
}

// Heads are merged by a transpose and a reshape before the projection: it reads through them.
// CHECK-LABEL: func.func @merged_heads
// CHECK: %[[T:.*]] = linalg.transpose ins(%arg0 : tensor<2x2x3x4xf32>) {{.*}} permutation = [0, 2, 1, 3]
// CHECK: %[[X:.*]] = tensor.collapse_shape %[[T]] {{.*}} into tensor<2x3x8xf32>
// CHECK: transformer.linear %[[X]], %{{.*}} : tensor<2x3x8xf32>
func.func @merged_heads(%x: tensor<2x2x3x4xf32>) -> tensor<2x3x16xf32> {
  %zero = arith.constant 0.0 : f32
  %w = transformer.use @w : tensor<16x8xf32>
  %et = tensor.empty() : tensor<2x3x2x4xf32>
  %t = linalg.transpose ins(%x : tensor<2x2x3x4xf32>) outs(%et : tensor<2x3x2x4xf32>) permutation = [0, 2, 1, 3]
  %flat = tensor.collapse_shape %t [[0, 1], [2, 3]] : tensor<2x3x2x4xf32> into tensor<6x8xf32>
  %e = tensor.empty() : tensor<6x16xf32>
  %init = linalg.fill ins(%zero : f32) outs(%e : tensor<6x16xf32>) -> tensor<6x16xf32>
  // REMARK-DAG: remark: {{.*}}raise-linear.mlir:[[@LINE+1]]:{{[0-9]+}}: raise-linear: raised to linear of 16 columns
  %y = linalg.matmul indexing_maps = [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (n, k)>, affine_map<(m, n, k) -> (m, n)>]
      ins(%flat, %w : tensor<6x8xf32>, tensor<16x8xf32>) outs(%init : tensor<6x16xf32>) -> tensor<6x16xf32>
  %rows = tensor.expand_shape %y [[0, 1], [2]] output_shape [2, 3, 16] : tensor<6x16xf32> into tensor<2x3x16xf32>
  return %rows : tensor<2x3x16xf32>
}

// A matrix for each batch is no weight of a projection.
transformer.weight @many : tensor<2x8x16xf32> from "model.safetensors"
// CHECK-LABEL: func.func @batched_weight
// CHECK-NOT: transformer.linear
func.func @batched_weight(%x: tensor<2x3x8xf32>) -> tensor<2x3x16xf32> {
  %zero = arith.constant 0.0 : f32
  %w = transformer.use @many : tensor<2x8x16xf32>
  %e = tensor.empty() : tensor<2x3x16xf32>
  %init = linalg.fill ins(%zero : f32) outs(%e : tensor<2x3x16xf32>) -> tensor<2x3x16xf32>
  // REMARK-DAG: remark: {{.*}}raise-linear.mlir:[[@LINE+1]]:{{[0-9]+}}: raise-linear missed: weight: has rank 3; store it as a matrix
  %y = linalg.batch_matmul ins(%x, %w : tensor<2x3x8xf32>, tensor<2x8x16xf32>) outs(%init : tensor<2x3x16xf32>) -> tensor<2x3x16xf32>
  return %y : tensor<2x3x16xf32>
}

// A product of two values that are both computed is nobody's near miss.
// CHECK-LABEL: func.func @no_weight
// CHECK-NOT: transformer.linear
func.func @no_weight(%x: tensor<6x8xf32>, %w: tensor<8x16xf32>) -> tensor<6x16xf32> {
  %zero = arith.constant 0.0 : f32
  %e = tensor.empty() : tensor<6x16xf32>
  %init = linalg.fill ins(%zero : f32) outs(%e : tensor<6x16xf32>) -> tensor<6x16xf32>
  %y = linalg.matmul ins(%x, %w : tensor<6x8xf32>, tensor<8x16xf32>) outs(%init : tensor<6x16xf32>) -> tensor<6x16xf32>
  return %y : tensor<6x16xf32>
}

// Each product is scaled by two.
// CHECK-LABEL: func.func @scaled_products
// CHECK-NOT: transformer.linear
func.func @scaled_products(%x: tensor<6x8xf32>) -> tensor<6x16xf32> {
  %zero = arith.constant 0.0 : f32
  %two = arith.constant 2.0 : f32
  %w = transformer.use @w : tensor<16x8xf32>
  %e = tensor.empty() : tensor<6x16xf32>
  %init = linalg.fill ins(%zero : f32) outs(%e : tensor<6x16xf32>) -> tensor<6x16xf32>
  // REMARK-DAG: remark: {{.*}}raise-linear.mlir:[[@LINE+1]]:{{[0-9]+}}: raise-linear missed: product: is scaled inside of the sum; scale the result or the weight
  %y = linalg.generic {indexing_maps = [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (n, k)>, affine_map<(m, n, k) -> (m, n)>], iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%x, %w : tensor<6x8xf32>, tensor<16x8xf32>) outs(%init : tensor<6x16xf32>) {
    ^bb0(%p: f32, %q: f32, %acc: f32):
      %s = arith.mulf %p, %q : f32
      %d = arith.mulf %s, %two : f32
      %t = arith.addf %d, %acc : f32
      linalg.yield %t : f32
    } -> tensor<6x16xf32>
  return %y : tensor<6x16xf32>
}

// A vector along rows is no bias.
// CHECK-LABEL: func.func @added_to_rows
// CHECK: transformer.linear %arg0, %{{[0-9]+}} :
// CHECK: arith.addf
func.func @added_to_rows(%x: tensor<16x8xf32>) -> tensor<16x16xf32> {
  %zero = arith.constant 0.0 : f32
  %w = transformer.use @w : tensor<16x8xf32>
  %b = transformer.use @b : tensor<16xf32>
  %e = tensor.empty() : tensor<16x16xf32>
  %init = linalg.fill ins(%zero : f32) outs(%e : tensor<16x16xf32>) -> tensor<16x16xf32>
  // REMARK-DAG: remark: {{.*}}raise-linear.mlir:[[@LINE+1]]:{{[0-9]+}}: raise-linear: raised to linear of 16 columns
  %y = linalg.matmul indexing_maps = [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (n, k)>, affine_map<(m, n, k) -> (m, n)>]
      ins(%x, %w : tensor<16x8xf32>, tensor<16x8xf32>) outs(%init : tensor<16x16xf32>) -> tensor<16x16xf32>
  %bs = linalg.broadcast ins(%b : tensor<16xf32>) outs(%e : tensor<16x16xf32>) dimensions = [1]
  %sum = arith.addf %y, %bs : tensor<16x16xf32>
  return %sum : tensor<16x16xf32>
}
