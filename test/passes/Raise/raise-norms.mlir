// RUN: tfopt compile %s --passes=transformer-raise-norms --stop-at=optimized --remarks=all --verify-numerics 2> %t | FileCheck %s
// RUN: FileCheck %s --check-prefix=REMARK --implicit-check-not=remark: --implicit-check-not=error: < %t

#id = affine_map<(b, d) -> (b, d)>
#row = affine_map<(b, d) -> (b)>
#column = affine_map<(b, d) -> (d)>

// One op a step: a square, a sum, a quotient, epsilon, rsqrt, broadcasts.
// CHECK-LABEL: func.func @rms_steps
// CHECK-SAME: (%[[X:.*]]: tensor<4x32xf32>, %[[W:.*]]: tensor<32xf32>)
// CHECK-NEXT: %[[Y:.*]] = transformer.rms_norm %[[X]], %[[W]] epsilon 9.9999997473787516E-6
// CHECK-NEXT: return %[[Y]]
func.func @rms_steps(%x: tensor<4x32xf32>, %w: tensor<32xf32>) -> tensor<4x32xf32> {
  %square = arith.mulf %x, %x : tensor<4x32xf32>
  %zero = arith.constant 0.0 : f32
  %rows = tensor.empty() : tensor<4xf32>
  %zeros = linalg.fill ins(%zero : f32) outs(%rows : tensor<4xf32>) -> tensor<4xf32>
  %sum = linalg.reduce ins(%square : tensor<4x32xf32>) outs(%zeros : tensor<4xf32>) dimensions = [1]
    (%in: f32, %acc: f32) {
      %s = arith.addf %in, %acc : f32
      linalg.yield %s : f32
    }
  %n = arith.constant dense<32.0> : tensor<4xf32>
  %mean = arith.divf %sum, %n : tensor<4xf32>
  %epsilon = arith.constant dense<1.0e-5> : tensor<4xf32>
  %inside = arith.addf %mean, %epsilon : tensor<4xf32>
  %root = math.rsqrt %inside : tensor<4xf32>
  %all = tensor.empty() : tensor<4x32xf32>
  %roots = linalg.broadcast ins(%root : tensor<4xf32>) outs(%all : tensor<4x32xf32>) dimensions = [1]
  %normed = arith.mulf %x, %roots : tensor<4x32xf32>
  %scales = linalg.broadcast ins(%w : tensor<32xf32>) outs(%all : tensor<4x32xf32>) dimensions = [0]
  // REMARK: remark: {{.*}}raise-norms.mlir:[[@LINE+1]]:{{[0-9]+}}: raise-norms: raised to rms_norm
  %y = arith.mulf %normed, %scales : tensor<4x32xf32>
  return %y : tensor<4x32xf32>
}

// Two fused generics: a power instead of the product, a quotient by the root, and the scale first.
// CHECK-LABEL: func.func @rms_fused
// CHECK-NEXT: transformer.rms_norm %arg0, %arg1 epsilon 9.9999999747524271E-7
// CHECK-NEXT: return
func.func @rms_fused(%x: tensor<4x32xf32>, %w: tensor<32xf32>) -> tensor<4x32xf32> {
  %zero = arith.constant 0.0 : f32
  %two = arith.constant 2.0 : f32
  %n = arith.constant 0.03125 : f32
  %epsilon = arith.constant 1.0e-6 : f32
  %rows = tensor.empty() : tensor<4xf32>
  %zeros = linalg.fill ins(%zero : f32) outs(%rows : tensor<4xf32>) -> tensor<4xf32>
  %sum = linalg.generic {indexing_maps = [#id, #row], iterator_types = ["parallel", "reduction"]}
      ins(%x : tensor<4x32xf32>) outs(%zeros : tensor<4xf32>) {
    ^bb0(%in: f32, %acc: f32):
      %square = math.powf %in, %two : f32
      %s = arith.addf %acc, %square : f32
      linalg.yield %s : f32
    } -> tensor<4xf32>
  %all = tensor.empty() : tensor<4x32xf32>
  // REMARK: remark: {{.*}}raise-norms.mlir:[[@LINE+1]]:{{[0-9]+}}: raise-norms: raised to rms_norm
  %y = linalg.generic {indexing_maps = [#column, #id, #row, #id], iterator_types = ["parallel", "parallel"]}
      ins(%w, %x, %sum : tensor<32xf32>, tensor<4x32xf32>, tensor<4xf32>) outs(%all : tensor<4x32xf32>) {
    ^bb0(%scale: f32, %in: f32, %total: f32, %out: f32):
      %mean = arith.mulf %n, %total : f32
      %inside = arith.addf %epsilon, %mean : f32
      %root = math.sqrt %inside : f32
      %scaled = arith.mulf %scale, %in : f32
      %normed = arith.divf %scaled, %root : f32
      linalg.yield %normed : f32
    } -> tensor<4x32xf32>
  return %y : tensor<4x32xf32>
}

// The sum keeps its dimension and runs over a flattened copy; 1 / sqrt; nothing scales.
// CHECK-LABEL: func.func @rms_flattened
// CHECK: %[[ONES:.*]] = transformer.use @weight.fill : tensor<32xf32>
// CHECK: transformer.rms_norm %arg0, %[[ONES]] epsilon
// CHECK-SAME: tensor<2x2x32xf32>
func.func @rms_flattened(%x: tensor<2x2x32xf32>) -> tensor<2x2x32xf32> {
  %zero = arith.constant 0.0 : f32
  %two = arith.constant dense<2.0> : tensor<4x32xf32>
  %flat = tensor.collapse_shape %x [[0, 1], [2]] : tensor<2x2x32xf32> into tensor<4x32xf32>
  %square = math.powf %flat, %two : tensor<4x32xf32>
  %rows = tensor.empty() : tensor<4xf32>
  %zeros = linalg.fill ins(%zero : f32) outs(%rows : tensor<4xf32>) -> tensor<4xf32>
  %sum = linalg.reduce { arith.addf } ins(%square : tensor<4x32xf32>) outs(%zeros : tensor<4xf32>) dimensions = [1]
  %kept = tensor.expand_shape %sum [[0, 1, 2]] output_shape [2, 2, 1] : tensor<4xf32> into tensor<2x2x1xf32>
  %n = arith.constant dense<0.03125> : tensor<2x2x1xf32>
  %mean = arith.mulf %kept, %n : tensor<2x2x1xf32>
  %epsilon = arith.constant dense<1.0e-5> : tensor<2x2x1xf32>
  %inside = arith.addf %mean, %epsilon : tensor<2x2x1xf32>
  %root = math.sqrt %inside : tensor<2x2x1xf32>
  %one = arith.constant dense<1.0> : tensor<2x2x1xf32>
  %inverse = arith.divf %one, %root : tensor<2x2x1xf32>
  %row = tensor.collapse_shape %inverse [[0], [1, 2]] : tensor<2x2x1xf32> into tensor<2x2xf32>
  %all = tensor.empty() : tensor<2x2x32xf32>
  %inverses = linalg.broadcast ins(%row : tensor<2x2xf32>) outs(%all : tensor<2x2x32xf32>) dimensions = [2]
  // REMARK: remark: {{.*}}raise-norms.mlir:[[@LINE+1]]:{{[0-9]+}}: raise-norms: raised to rms_norm
  %y = arith.mulf %x, %inverses : tensor<2x2x32xf32>
  return %y : tensor<2x2x32xf32>
}

// A checkpoint that stores the scale minus one.
transformer.weight @w : tensor<32xf32> from "model.safetensors"
// CHECK-LABEL: func.func @rms_less_one
// CHECK: %[[W:.*]] = transformer.use @w.add_scalar : tensor<32xf32>
// CHECK: transformer.rms_norm %arg0, %[[W]]
func.func @rms_less_one(%x: tensor<4x32xf32>) -> tensor<4x32xf32> {
  %w = transformer.use @w : tensor<32xf32>
  %zero = arith.constant 0.0 : f32
  %n = arith.constant 0.03125 : f32
  %one = arith.constant 1.0 : f32
  %epsilon = arith.constant 1.0e-5 : f32
  %square = arith.mulf %x, %x : tensor<4x32xf32>
  %rows = tensor.empty() : tensor<4xf32>
  %zeros = linalg.fill ins(%zero : f32) outs(%rows : tensor<4xf32>) -> tensor<4xf32>
  %sum = linalg.reduce { arith.addf } ins(%square : tensor<4x32xf32>) outs(%zeros : tensor<4xf32>) dimensions = [1]
  %all = tensor.empty() : tensor<4x32xf32>
  // REMARK: remark: {{.*}}raise-norms.mlir:[[@LINE+1]]:{{[0-9]+}}: raise-norms: raised to rms_norm
  %y = linalg.generic {indexing_maps = [#column, #id, #row, #id], iterator_types = ["parallel", "parallel"]}
      ins(%w, %x, %sum : tensor<32xf32>, tensor<4x32xf32>, tensor<4xf32>) outs(%all : tensor<4x32xf32>) {
    ^bb0(%scale: f32, %in: f32, %total: f32, %out: f32):
      %mean = arith.mulf %n, %total : f32
      %inside = arith.addf %epsilon, %mean : f32
      %root = math.rsqrt %inside : f32
      %normed = arith.mulf %in, %root : f32
      %more = arith.addf %one, %scale : f32
      %scaled = arith.mulf %normed, %more : f32
      linalg.yield %scaled : f32
    } -> tensor<4x32xf32>
  return %y : tensor<4x32xf32>
}

// The variance as the mean of squared deviations.
// CHECK-LABEL: func.func @layer_deviations
// CHECK-NEXT: transformer.layer_norm %arg0, %arg1 bias %arg2 epsilon
// CHECK-NEXT: return
func.func @layer_deviations(%x: tensor<4x32xf32>, %w: tensor<32xf32>, %b: tensor<32xf32>) -> tensor<4x32xf32> {
  %zero = arith.constant 0.0 : f32
  %rows = tensor.empty() : tensor<4xf32>
  %all = tensor.empty() : tensor<4x32xf32>
  %zeros = linalg.fill ins(%zero : f32) outs(%rows : tensor<4xf32>) -> tensor<4xf32>
  %n = arith.constant dense<32.0> : tensor<4xf32>
  %epsilon = arith.constant dense<1.0e-5> : tensor<4xf32>
  %total = linalg.reduce { arith.addf } ins(%x : tensor<4x32xf32>) outs(%zeros : tensor<4xf32>) dimensions = [1]
  %mean = arith.divf %total, %n : tensor<4xf32>
  %means = linalg.broadcast ins(%mean : tensor<4xf32>) outs(%all : tensor<4x32xf32>) dimensions = [1]
  %centred = arith.subf %x, %means : tensor<4x32xf32>
  %square = arith.mulf %centred, %centred : tensor<4x32xf32>
  %squares = linalg.reduce { arith.addf } ins(%square : tensor<4x32xf32>) outs(%zeros : tensor<4xf32>) dimensions = [1]
  %variance = arith.divf %squares, %n : tensor<4xf32>
  %inside = arith.addf %variance, %epsilon : tensor<4xf32>
  %root = math.sqrt %inside : tensor<4xf32>
  %roots = linalg.broadcast ins(%root : tensor<4xf32>) outs(%all : tensor<4x32xf32>) dimensions = [1]
  %normed = arith.divf %centred, %roots : tensor<4x32xf32>
  %scales = linalg.broadcast ins(%w : tensor<32xf32>) outs(%all : tensor<4x32xf32>) dimensions = [0]
  %biases = linalg.broadcast ins(%b : tensor<32xf32>) outs(%all : tensor<4x32xf32>) dimensions = [0]
  %scaled = arith.mulf %scales, %normed : tensor<4x32xf32>
  // REMARK: remark: {{.*}}raise-norms.mlir:[[@LINE+1]]:{{[0-9]+}}: raise-norms: raised to layer_norm
  %y = arith.addf %biases, %scaled : tensor<4x32xf32>
  return %y : tensor<4x32xf32>
}

// The variance as the mean of squares less the square of the mean; the scale is multiplied into the root.
// CHECK-LABEL: func.func @layer_moments
// CHECK-NEXT: transformer.layer_norm %arg0, %arg1 bias %arg2 epsilon
// CHECK-NEXT: return
func.func @layer_moments(%x: tensor<4x32xf32>, %w: tensor<32xf32>, %b: tensor<32xf32>) -> tensor<4x32xf32> {
  %zero = arith.constant 0.0 : f32
  %n = arith.constant 0.03125 : f32
  %epsilon = arith.constant 1.0e-5 : f32
  %power = arith.constant -0.5 : f32
  %rows = tensor.empty() : tensor<4xf32>
  %all = tensor.empty() : tensor<4x32xf32>
  %zeros = linalg.fill ins(%zero : f32) outs(%rows : tensor<4xf32>) -> tensor<4xf32>
  %square = arith.mulf %x, %x : tensor<4x32xf32>
  %total = linalg.reduce { arith.addf } ins(%x : tensor<4x32xf32>) outs(%zeros : tensor<4xf32>) dimensions = [1]
  %squares = linalg.reduce { arith.addf } ins(%square : tensor<4x32xf32>) outs(%zeros : tensor<4xf32>) dimensions = [1]
  // REMARK: remark: {{.*}}raise-norms.mlir:[[@LINE+1]]:{{[0-9]+}}: raise-norms: raised to layer_norm
  %y = linalg.generic {indexing_maps = [#id, #row, #row, #column, #column, #id], iterator_types = ["parallel", "parallel"]}
      ins(%x, %total, %squares, %w, %b : tensor<4x32xf32>, tensor<4xf32>, tensor<4xf32>, tensor<32xf32>, tensor<32xf32>)
      outs(%all : tensor<4x32xf32>) {
    ^bb0(%in: f32, %t: f32, %s: f32, %scale: f32, %bias: f32, %out: f32):
      %mean = arith.mulf %t, %n : f32
      %second = arith.mulf %s, %n : f32
      %first = arith.mulf %mean, %mean : f32
      %variance = arith.subf %second, %first : f32
      %inside = arith.addf %variance, %epsilon : f32
      %root = math.powf %inside, %power : f32
      %factor = arith.mulf %root, %scale : f32
      %centred = arith.subf %in, %mean : f32
      %scaled = arith.mulf %centred, %factor : f32
      %result = arith.addf %scaled, %bias : f32
      linalg.yield %result : f32
    } -> tensor<4x32xf32>
  return %y : tensor<4x32xf32>
}

// Over three dimensions, in another order of sums and without a bias.
// CHECK-LABEL: func.func @layer_unbiased
// CHECK: transformer.layer_norm %arg0, %arg1 epsilon
// CHECK-SAME: tensor<?x2x32xf32>, tensor<32xf32> -> tensor<?x2x32xf32>
// CHECK-NEXT: return
func.func @layer_unbiased(%x: tensor<?x2x32xf32>, %w: tensor<32xf32>) -> tensor<?x2x32xf32> {
  %zero = arith.constant 0.0 : f32
  %n = arith.constant 32.0 : f32
  %epsilon = arith.constant 1.0e-5 : f32
  %c0 = arith.constant 0 : index
  %size = tensor.dim %x, %c0 : tensor<?x2x32xf32>
  %rows = tensor.empty(%size) : tensor<?x2xf32>
  %all = tensor.empty(%size) : tensor<?x2x32xf32>
  %zeros = linalg.fill ins(%zero : f32) outs(%rows : tensor<?x2xf32>) -> tensor<?x2xf32>
  %total = linalg.reduce { arith.addf } ins(%x : tensor<?x2x32xf32>) outs(%zeros : tensor<?x2xf32>) dimensions = [2]
  %squares = linalg.generic {indexing_maps = [affine_map<(b, s, d) -> (b, s, d)>, affine_map<(b, s, d) -> (b, s)>, affine_map<(b, s, d) -> (b, s)>], iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%x, %total : tensor<?x2x32xf32>, tensor<?x2xf32>) outs(%zeros : tensor<?x2xf32>) {
    ^bb0(%in: f32, %t: f32, %acc: f32):
      %mean = arith.divf %t, %n : f32
      %centred = arith.subf %mean, %in : f32
      %square = arith.mulf %centred, %centred : f32
      %s = arith.addf %square, %acc : f32
      linalg.yield %s : f32
    } -> tensor<?x2xf32>
  // REMARK: remark: {{.*}}raise-norms.mlir:[[@LINE+1]]:{{[0-9]+}}: raise-norms: raised to layer_norm
  %y = linalg.generic {indexing_maps = [affine_map<(b, s, d) -> (b, s, d)>, affine_map<(b, s, d) -> (b, s)>, affine_map<(b, s, d) -> (b, s)>, affine_map<(b, s, d) -> (d)>, affine_map<(b, s, d) -> (b, s, d)>], iterator_types = ["parallel", "parallel", "parallel"]}
      ins(%x, %total, %squares, %w : tensor<?x2x32xf32>, tensor<?x2xf32>, tensor<?x2xf32>, tensor<32xf32>) outs(%all : tensor<?x2x32xf32>) {
    ^bb0(%in: f32, %t: f32, %s: f32, %scale: f32, %out: f32):
      %mean = arith.divf %t, %n : f32
      %variance = arith.divf %s, %n : f32
      %inside = arith.addf %epsilon, %variance : f32
      %root = math.rsqrt %inside : f32
      %centred = arith.subf %in, %mean : f32
      %factor = arith.mulf %scale, %root : f32
      %result = arith.mulf %factor, %centred : f32
      linalg.yield %result : f32
    } -> tensor<?x2x32xf32>
  return %y : tensor<?x2x32xf32>
}

// Epsilon is added to the root, not to the mean of squares.
// CHECK-LABEL: func.func @epsilon_outside
// CHECK-NOT: transformer.rms_norm
func.func @epsilon_outside(%x: tensor<4x32xf32>, %w: tensor<32xf32>) -> tensor<4x32xf32> {
  %zero = arith.constant 0.0 : f32
  %n = arith.constant 0.03125 : f32
  %epsilon = arith.constant 1.0e-5 : f32
  %square = arith.mulf %x, %x : tensor<4x32xf32>
  %rows = tensor.empty() : tensor<4xf32>
  %zeros = linalg.fill ins(%zero : f32) outs(%rows : tensor<4xf32>) -> tensor<4xf32>
  %sum = linalg.reduce { arith.addf } ins(%square : tensor<4x32xf32>) outs(%zeros : tensor<4xf32>) dimensions = [1]
  %all = tensor.empty() : tensor<4x32xf32>
  // REMARK: remark: {{.*}}raise-norms.mlir:[[@LINE+1]]:{{[0-9]+}}: raise-norms missed: epsilon: is added to the root; add it to the mean of squares, inside of the root
  %y = linalg.generic {indexing_maps = [#column, #id, #row, #id], iterator_types = ["parallel", "parallel"]}
      ins(%w, %x, %sum : tensor<32xf32>, tensor<4x32xf32>, tensor<4xf32>) outs(%all : tensor<4x32xf32>) {
    ^bb0(%scale: f32, %in: f32, %total: f32, %out: f32):
      %mean = arith.mulf %n, %total : f32
      %root = math.sqrt %mean : f32
      %below = arith.addf %root, %epsilon : f32
      %normed = arith.divf %in, %below : f32
      %scaled = arith.mulf %normed, %scale : f32
      linalg.yield %scaled : f32
    } -> tensor<4x32xf32>
  return %y : tensor<4x32xf32>
}

// The mean is over 31 of 32 elements: the unbiased variance.
// CHECK-LABEL: func.func @unbiased_variance
// CHECK-NOT: transformer.rms_norm
func.func @unbiased_variance(%x: tensor<4x32xf32>, %w: tensor<32xf32>) -> tensor<4x32xf32> {
  %zero = arith.constant 0.0 : f32
  %n = arith.constant 31.0 : f32
  %epsilon = arith.constant 1.0e-5 : f32
  %square = arith.mulf %x, %x : tensor<4x32xf32>
  %rows = tensor.empty() : tensor<4xf32>
  %zeros = linalg.fill ins(%zero : f32) outs(%rows : tensor<4xf32>) -> tensor<4xf32>
  %sum = linalg.reduce { arith.addf } ins(%square : tensor<4x32xf32>) outs(%zeros : tensor<4xf32>) dimensions = [1]
  %all = tensor.empty() : tensor<4x32xf32>
  // REMARK: remark: {{.*}}raise-norms.mlir:[[@LINE+1]]:{{[0-9]+}}: raise-norms missed: mean: divides by 31 where the sum is of 32 elements; divide by their number
  %y = linalg.generic {indexing_maps = [#column, #id, #row, #id], iterator_types = ["parallel", "parallel"]}
      ins(%w, %x, %sum : tensor<32xf32>, tensor<4x32xf32>, tensor<4xf32>) outs(%all : tensor<4x32xf32>) {
    ^bb0(%scale: f32, %in: f32, %total: f32, %out: f32):
      %mean = arith.divf %total, %n : f32
      %inside = arith.addf %mean, %epsilon : f32
      %root = math.rsqrt %inside : f32
      %normed = arith.mulf %in, %root : f32
      %scaled = arith.mulf %normed, %scale : f32
      linalg.yield %scaled : f32
    } -> tensor<4x32xf32>
  return %y : tensor<4x32xf32>
}

// The sum runs over rows, what it divides are columns.
// CHECK-LABEL: func.func @wrong_dimension
// CHECK-NOT: transformer.rms_norm
func.func @wrong_dimension(%x: tensor<32x32xf32>, %w: tensor<32xf32>) -> tensor<32x32xf32> {
  %zero = arith.constant 0.0 : f32
  %n = arith.constant 0.03125 : f32
  %epsilon = arith.constant 1.0e-5 : f32
  %square = arith.mulf %x, %x : tensor<32x32xf32>
  %rows = tensor.empty() : tensor<32xf32>
  %zeros = linalg.fill ins(%zero : f32) outs(%rows : tensor<32xf32>) -> tensor<32xf32>
  %sum = linalg.reduce { arith.addf } ins(%square : tensor<32x32xf32>) outs(%zeros : tensor<32xf32>) dimensions = [1]
  %all = tensor.empty() : tensor<32x32xf32>
  %y = linalg.generic {indexing_maps = [#column, #id, #column, #id], iterator_types = ["parallel", "parallel"]}
      ins(%w, %x, %sum : tensor<32xf32>, tensor<32x32xf32>, tensor<32xf32>) outs(%all : tensor<32x32xf32>) {
    ^bb0(%scale: f32, %in: f32, %total: f32, %out: f32):
      %mean = arith.mulf %total, %n : f32
      %inside = arith.addf %mean, %epsilon : f32
      %root = math.rsqrt %inside : f32
      %normed = arith.mulf %in, %root : f32
      %scaled = arith.mulf %normed, %scale : f32
      linalg.yield %scaled : f32
    } -> tensor<32x32xf32>
  return %y : tensor<32x32xf32>
}
