// RUN: tfopt compile %s --passes=transformer-raise-activations --stop-at=optimized --remarks=all --verify-numerics 2> %t | FileCheck %s
// RUN: FileCheck %s --check-prefix=REMARK --implicit-check-not=remark: --implicit-check-not=error: < %t

#id = affine_map<(b, d) -> (b, d)>

// silu: x times a sigmoid of one op a step.
// CHECK-LABEL: func.func @silu_sigmoid
// CHECK-NEXT: transformer.activation silu %arg0
// CHECK-NEXT: return
func.func @silu_sigmoid(%x: tensor<4x32xf32>) -> tensor<4x32xf32> {
  %one = arith.constant dense<1.0> : tensor<4x32xf32>
  %minus = arith.negf %x : tensor<4x32xf32>
  %e = math.exp %minus : tensor<4x32xf32>
  %d = arith.addf %one, %e : tensor<4x32xf32>
  %sigmoid = arith.divf %one, %d : tensor<4x32xf32>
  // REMARK: remark: {{.*}}raise-activations.mlir:[[@LINE+1]]:{{[0-9]+}}: raise-activations: raised to silu
  %y = arith.mulf %sigmoid, %x : tensor<4x32xf32>
  return %y : tensor<4x32xf32>
}

// One generic, a quotient, and a product with minus one.
// CHECK-LABEL: func.func @silu_fused
// CHECK-NEXT: transformer.activation silu %arg0
// CHECK-NEXT: return
func.func @silu_fused(%x: tensor<4x32xf32>) -> tensor<4x32xf32> {
  %all = tensor.empty() : tensor<4x32xf32>
  %one = arith.constant 1.0 : f32
  %minus = arith.constant -1.0 : f32
  // REMARK: remark: {{.*}}raise-activations.mlir:[[@LINE+1]]:{{[0-9]+}}: raise-activations: raised to silu
  %y = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]}
      ins(%x : tensor<4x32xf32>) outs(%all : tensor<4x32xf32>) {
    ^bb0(%in0: f32, %out: f32):
      %t = arith.mulf %minus, %in0 : f32
      %e = math.exp %t : f32
      %d = arith.addf %e, %one : f32
      %q = arith.divf %in0, %d : f32
      linalg.yield %q : f32
    } -> tensor<4x32xf32>
  return %y : tensor<4x32xf32>
}

// Named ops of linalg.
// CHECK-LABEL: func.func @silu_named
// CHECK-NEXT: transformer.activation silu %arg0
// CHECK-NEXT: return
func.func @silu_named(%x: tensor<4x32xf32>) -> tensor<4x32xf32> {
  %all = tensor.empty() : tensor<4x32xf32>
  %one = arith.constant dense<1.0> : tensor<4x32xf32>
  %minus = linalg.negf ins(%x : tensor<4x32xf32>) outs(%all : tensor<4x32xf32>) -> tensor<4x32xf32>
  %e = linalg.exp ins(%minus : tensor<4x32xf32>) outs(%all : tensor<4x32xf32>) -> tensor<4x32xf32>
  %d = linalg.add ins(%e, %one : tensor<4x32xf32>, tensor<4x32xf32>) outs(%all : tensor<4x32xf32>) -> tensor<4x32xf32>
  // REMARK: remark: {{.*}}raise-activations.mlir:[[@LINE+1]]:{{[0-9]+}}: raise-activations: raised to silu
  %y = linalg.div ins(%x, %d : tensor<4x32xf32>, tensor<4x32xf32>) outs(%all : tensor<4x32xf32>) -> tensor<4x32xf32>
  return %y : tensor<4x32xf32>
}

// With the gated product in the same generic.
// CHECK-LABEL: func.func @silu_gated
// CHECK-NEXT: %[[A:.*]] = transformer.activation silu %arg0
// CHECK-NEXT: arith.mulf %[[A]], %arg1
// CHECK-NEXT: return
func.func @silu_gated(%x: tensor<4x32xf32>, %u: tensor<4x32xf32>) -> tensor<4x32xf32> {
  %all = tensor.empty() : tensor<4x32xf32>
  %one = arith.constant 1.0 : f32
  // REMARK: remark: {{.*}}raise-activations.mlir:[[@LINE+1]]:{{[0-9]+}}: raise-activations: raised to silu
  %y = linalg.generic {indexing_maps = [#id, #id, #id], iterator_types = ["parallel", "parallel"]}
      ins(%x, %u : tensor<4x32xf32>, tensor<4x32xf32>) outs(%all : tensor<4x32xf32>) {
    ^bb0(%in0: f32, %in1: f32, %out: f32):
      %t = arith.negf %in0 : f32
      %e = math.exp %t : f32
      %d = arith.addf %e, %one : f32
      %q = arith.divf %in0, %d : f32
      %p = arith.mulf %q, %in1 : f32
      linalg.yield %p : f32
    } -> tensor<4x32xf32>
  return %y : tensor<4x32xf32>
}

// quick_gelu, one op a step.
// CHECK-LABEL: func.func @quick_gelu
// CHECK-NEXT: transformer.activation quick_gelu %arg0
// CHECK-NEXT: return
func.func @quick_gelu(%x: tensor<4x32xf32>) -> tensor<4x32xf32> {
  %one = arith.constant dense<1.0> : tensor<4x32xf32>
  %k = arith.constant dense<1.702> : tensor<4x32xf32>
  %kx = arith.mulf %x, %k : tensor<4x32xf32>
  %minus = arith.negf %kx : tensor<4x32xf32>
  %e = math.exp %minus : tensor<4x32xf32>
  %d = arith.addf %one, %e : tensor<4x32xf32>
  // REMARK: remark: {{.*}}raise-activations.mlir:[[@LINE+1]]:{{[0-9]+}}: raise-activations: raised to quick_gelu
  %y = arith.divf %x, %d : tensor<4x32xf32>
  return %y : tensor<4x32xf32>
}

// The same as a product with a sigmoid.
// CHECK-LABEL: func.func @quick_gelu_sigmoid
// CHECK-NEXT: transformer.activation quick_gelu %arg0
// CHECK-NEXT: return
func.func @quick_gelu_sigmoid(%x: tensor<4x32xf32>) -> tensor<4x32xf32> {
  %all = tensor.empty() : tensor<4x32xf32>
  %one = arith.constant 1.0 : f32
  %k = arith.constant -1.702 : f32
  // REMARK: remark: {{.*}}raise-activations.mlir:[[@LINE+1]]:{{[0-9]+}}: raise-activations: raised to quick_gelu
  %y = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]}
      ins(%x : tensor<4x32xf32>) outs(%all : tensor<4x32xf32>) {
    ^bb0(%in0: f32, %out: f32):
      %t = arith.mulf %k, %in0 : f32
      %e = math.exp %t : f32
      %d = arith.addf %e, %one : f32
      %q = arith.divf %one, %d : f32
      %p = arith.mulf %in0, %q : f32
      linalg.yield %p : f32
    } -> tensor<4x32xf32>
  return %y : tensor<4x32xf32>
}

// On flattened rows, and back.
// CHECK-LABEL: func.func @quick_gelu_flat
// CHECK-NEXT: %[[Y:.*]] = transformer.activation quick_gelu %arg0
// CHECK-NOT: math.exp
func.func @quick_gelu_flat(%x: tensor<4x32xf32>) -> tensor<4x32xf32> {
  %flat = tensor.collapse_shape %x [[0, 1]] : tensor<4x32xf32> into tensor<128xf32>
  %one = arith.constant dense<1.0> : tensor<128xf32>
  %k = arith.constant dense<-1.702> : tensor<128xf32>
  %t = arith.mulf %k, %flat : tensor<128xf32>
  %e = math.exp %t : tensor<128xf32>
  %d = arith.addf %e, %one : tensor<128xf32>
  // REMARK: remark: {{.*}}raise-activations.mlir:[[@LINE+1]]:{{[0-9]+}}: raise-activations: raised to quick_gelu
  %q = arith.divf %flat, %d : tensor<128xf32>
  %y = tensor.expand_shape %q [[0, 1]] output_shape [4, 32] : tensor<128xf32> into tensor<4x32xf32>
  return %y : tensor<4x32xf32>
}

// gelu with erf: half of x first, a quotient by the root of 2.
// CHECK-LABEL: func.func @gelu_erf
// CHECK-NEXT: transformer.activation gelu_erf %arg0
// CHECK-NEXT: return
func.func @gelu_erf(%x: tensor<4x32xf32>) -> tensor<4x32xf32> {
  %one = arith.constant dense<1.0> : tensor<4x32xf32>
  %half = arith.constant dense<0.5> : tensor<4x32xf32>
  %root = arith.constant dense<1.4142135> : tensor<4x32xf32>
  %t = arith.divf %x, %root : tensor<4x32xf32>
  %e = math.erf %t : tensor<4x32xf32>
  %d = arith.addf %one, %e : tensor<4x32xf32>
  %h = arith.mulf %x, %half : tensor<4x32xf32>
  // REMARK: remark: {{.*}}raise-activations.mlir:[[@LINE+1]]:{{[0-9]+}}: raise-activations: raised to gelu_erf
  %y = arith.mulf %h, %d : tensor<4x32xf32>
  return %y : tensor<4x32xf32>
}

// Half last.
// CHECK-LABEL: func.func @gelu_erf_last
// CHECK-NEXT: transformer.activation gelu_erf %arg0
// CHECK-NEXT: return
func.func @gelu_erf_last(%x: tensor<4x32xf32>) -> tensor<4x32xf32> {
  %all = tensor.empty() : tensor<4x32xf32>
  %one = arith.constant 1.0 : f32
  %half = arith.constant 0.5 : f32
  %root = arith.constant 0.70710677 : f32
  // REMARK: remark: {{.*}}raise-activations.mlir:[[@LINE+1]]:{{[0-9]+}}: raise-activations: raised to gelu_erf
  %y = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]}
      ins(%x : tensor<4x32xf32>) outs(%all : tensor<4x32xf32>) {
    ^bb0(%in0: f32, %out: f32):
      %t = arith.mulf %root, %in0 : f32
      %e = math.erf %t : f32
      %d = arith.addf %e, %one : f32
      %p = arith.mulf %d, %in0 : f32
      %h = arith.mulf %half, %p : f32
      linalg.yield %h : f32
    } -> tensor<4x32xf32>
  return %y : tensor<4x32xf32>
}

// Multiplied out.
// CHECK-LABEL: func.func @gelu_erf_sum
// CHECK-NEXT: transformer.activation gelu_erf %arg0
// CHECK-NEXT: return
func.func @gelu_erf_sum(%x: tensor<4x32xf32>) -> tensor<4x32xf32> {
  %all = tensor.empty() : tensor<4x32xf32>
  %half = arith.constant 0.5 : f32
  %root = arith.constant 0.70710677 : f32
  // REMARK: remark: {{.*}}raise-activations.mlir:[[@LINE+1]]:{{[0-9]+}}: raise-activations: raised to gelu_erf
  %y = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]}
      ins(%x : tensor<4x32xf32>) outs(%all : tensor<4x32xf32>) {
    ^bb0(%in0: f32, %out: f32):
      %t = arith.mulf %root, %in0 : f32
      %e = math.erf %t : f32
      %h = arith.mulf %half, %in0 : f32
      %p = arith.mulf %h, %e : f32
      %z = arith.addf %p, %h : f32
      linalg.yield %z : f32
    } -> tensor<4x32xf32>
  return %y : tensor<4x32xf32>
}

// gelu with tanh: the cube as two products.
// CHECK-LABEL: func.func @gelu_tanh
// CHECK-NEXT: transformer.activation gelu_tanh %arg0
// CHECK-NEXT: return
func.func @gelu_tanh(%x: tensor<4x32xf32>) -> tensor<4x32xf32> {
  %one = arith.constant dense<1.0> : tensor<4x32xf32>
  %half = arith.constant dense<0.5> : tensor<4x32xf32>
  %c = arith.constant dense<0.797884583> : tensor<4x32xf32>
  %k = arith.constant dense<0.044715> : tensor<4x32xf32>
  %square = arith.mulf %x, %x : tensor<4x32xf32>
  %cube = arith.mulf %square, %x : tensor<4x32xf32>
  %kc = arith.mulf %k, %cube : tensor<4x32xf32>
  %i = arith.addf %x, %kc : tensor<4x32xf32>
  %t = arith.mulf %c, %i : tensor<4x32xf32>
  %e = math.tanh %t : tensor<4x32xf32>
  %d = arith.addf %one, %e : tensor<4x32xf32>
  %p = arith.mulf %x, %d : tensor<4x32xf32>
  // REMARK: remark: {{.*}}raise-activations.mlir:[[@LINE+1]]:{{[0-9]+}}: raise-activations: raised to gelu_tanh
  %y = arith.mulf %half, %p : tensor<4x32xf32>
  return %y : tensor<4x32xf32>
}

// The cube as a power.
// CHECK-LABEL: func.func @gelu_tanh_power
// CHECK-NEXT: transformer.activation gelu_tanh %arg0
// CHECK-NEXT: return
func.func @gelu_tanh_power(%x: tensor<4x32xf32>) -> tensor<4x32xf32> {
  %all = tensor.empty() : tensor<4x32xf32>
  %one = arith.constant 1.0 : f32
  %half = arith.constant 0.5 : f32
  %c = arith.constant 0.797884583 : f32
  %k = arith.constant 0.044715 : f32
  %three = arith.constant 3.0 : f32
  // REMARK: remark: {{.*}}raise-activations.mlir:[[@LINE+1]]:{{[0-9]+}}: raise-activations: raised to gelu_tanh
  %y = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]}
      ins(%x : tensor<4x32xf32>) outs(%all : tensor<4x32xf32>) {
    ^bb0(%in0: f32, %out: f32):
      %cube = math.powf %in0, %three : f32
      %kc = arith.mulf %k, %cube : f32
      %i = arith.addf %kc, %in0 : f32
      %t = arith.mulf %i, %c : f32
      %e = math.tanh %t : f32
      %d = arith.addf %one, %e : f32
      %h = arith.mulf %half, %d : f32
      %p = arith.mulf %in0, %h : f32
      linalg.yield %p : f32
    } -> tensor<4x32xf32>
  return %y : tensor<4x32xf32>
}

// x (1 + k x^2) with the constants multiplied.
// CHECK-LABEL: func.func @gelu_tanh_factored
// CHECK-NEXT: transformer.activation gelu_tanh %arg0
// CHECK-NEXT: return
func.func @gelu_tanh_factored(%x: tensor<4x32xf32>) -> tensor<4x32xf32> {
  %all = tensor.empty() : tensor<4x32xf32>
  %one = arith.constant 1.0 : f32
  %half = arith.constant 0.5 : f32
  %c = arith.constant 0.797884583 : f32
  %ck = arith.constant 0.0356774069 : f32
  // REMARK: remark: {{.*}}raise-activations.mlir:[[@LINE+1]]:{{[0-9]+}}: raise-activations: raised to gelu_tanh
  %y = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]}
      ins(%x : tensor<4x32xf32>) outs(%all : tensor<4x32xf32>) {
    ^bb0(%in0: f32, %out: f32):
      %square = arith.mulf %in0, %in0 : f32
      %kc = arith.mulf %ck, %square : f32
      %i = arith.addf %c, %kc : f32
      %t = arith.mulf %i, %in0 : f32
      %e = math.tanh %t : f32
      %d = arith.addf %one, %e : f32
      %h = arith.mulf %in0, %half : f32
      %p = arith.mulf %h, %d : f32
      linalg.yield %p : f32
    } -> tensor<4x32xf32>
  return %y : tensor<4x32xf32>
}

// relu: a maximum.
// CHECK-LABEL: func.func @relu_max
// CHECK-NEXT: transformer.activation relu %arg0
// CHECK-NEXT: return
func.func @relu_max(%x: tensor<4x32xf32>) -> tensor<4x32xf32> {
  %zero = arith.constant dense<0.0> : tensor<4x32xf32>
  // REMARK: remark: {{.*}}raise-activations.mlir:[[@LINE+1]]:{{[0-9]+}}: raise-activations: raised to relu
  %y = arith.maximumf %x, %zero : tensor<4x32xf32>
  return %y : tensor<4x32xf32>
}

// A selection.
// CHECK-LABEL: func.func @relu_select
// CHECK-NEXT: transformer.activation relu %arg0
// CHECK-NEXT: return
func.func @relu_select(%x: tensor<4x32xf32>) -> tensor<4x32xf32> {
  %all = tensor.empty() : tensor<4x32xf32>
  %zero = arith.constant 0.0 : f32
  // REMARK: remark: {{.*}}raise-activations.mlir:[[@LINE+1]]:{{[0-9]+}}: raise-activations: raised to relu
  %y = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]}
      ins(%x : tensor<4x32xf32>) outs(%all : tensor<4x32xf32>) {
    ^bb0(%in0: f32, %out: f32):
      %c = arith.cmpf ogt, %in0, %zero : f32
      %p = arith.select %c, %in0, %zero : f32
      linalg.yield %p : f32
    } -> tensor<4x32xf32>
  return %y : tensor<4x32xf32>
}

// A selection by the opposite comparison, of the zero first.
// CHECK-LABEL: func.func @relu_select_turned
// CHECK-NEXT: transformer.activation relu %arg0
// CHECK-NEXT: return
func.func @relu_select_turned(%x: tensor<4x32xf32>) -> tensor<4x32xf32> {
  %zero = arith.constant dense<0.0> : tensor<4x32xf32>
  %c = arith.cmpf olt, %x, %zero : tensor<4x32xf32>
  // REMARK: remark: {{.*}}raise-activations.mlir:[[@LINE+1]]:{{[0-9]+}}: raise-activations: raised to relu
  %y = arith.select %c, %zero, %x : tensor<4x32xi1>, tensor<4x32xf32>
  return %y : tensor<4x32xf32>
}

// What differs in one constant, or otherwise, is none of them.

// The exponent is 1.5 x.
// CHECK-LABEL: func.func @beta
// CHECK-NOT: transformer.activation
func.func @beta(%x: tensor<4x32xf32>) -> tensor<4x32xf32> {
  %all = tensor.empty() : tensor<4x32xf32>
  %one = arith.constant 1.0 : f32
  %k = arith.constant -1.5 : f32
  // REMARK: remark: {{.*}}raise-activations.mlir:[[@LINE+1]]:{{[0-9]+}}: raise-activations missed: argument: is 1.500000 times x; make it x, or 1.702 x for quick_gelu
  %y = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]}
      ins(%x : tensor<4x32xf32>) outs(%all : tensor<4x32xf32>) {
    ^bb0(%in0: f32, %out: f32):
      %t = arith.mulf %k, %in0 : f32
      %e = math.exp %t : f32
      %d = arith.addf %e, %one : f32
      %q = arith.divf %in0, %d : f32
      linalg.yield %q : f32
    } -> tensor<4x32xf32>
  return %y : tensor<4x32xf32>
}

// 0.044 instead of 0.044715.
// CHECK-LABEL: func.func @other_cubic
// CHECK-NOT: transformer.activation
func.func @other_cubic(%x: tensor<4x32xf32>) -> tensor<4x32xf32> {
  %all = tensor.empty() : tensor<4x32xf32>
  %one = arith.constant 1.0 : f32
  %half = arith.constant 0.5 : f32
  %c = arith.constant 0.797884583 : f32
  %k = arith.constant 0.044 : f32
  %three = arith.constant 3.0 : f32
  // REMARK: remark: {{.*}}raise-activations.mlir:[[@LINE+1]]:{{[0-9]+}}: raise-activations missed: argument: is not sqrt(2/pi) (x + 0.044715 x^3);
  %y = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]}
      ins(%x : tensor<4x32xf32>) outs(%all : tensor<4x32xf32>) {
    ^bb0(%in0: f32, %out: f32):
      %cube = math.powf %in0, %three : f32
      %kc = arith.mulf %k, %cube : f32
      %i = arith.addf %kc, %in0 : f32
      %t = arith.mulf %i, %c : f32
      %e = math.tanh %t : f32
      %d = arith.addf %one, %e : f32
      %h = arith.mulf %half, %d : f32
      %p = arith.mulf %in0, %h : f32
      linalg.yield %p : f32
    } -> tensor<4x32xf32>
  return %y : tensor<4x32xf32>
}

// erf of x itself.
// CHECK-LABEL: func.func @other_root
// CHECK-NOT: transformer.activation
func.func @other_root(%x: tensor<4x32xf32>) -> tensor<4x32xf32> {
  %all = tensor.empty() : tensor<4x32xf32>
  %one = arith.constant 1.0 : f32
  %half = arith.constant 0.5 : f32
  // REMARK: remark: {{.*}}raise-activations.mlir:[[@LINE+1]]:{{[0-9]+}}: raise-activations missed: argument: is not x / sqrt 2; multiply x by 0.70710678
  %y = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]}
      ins(%x : tensor<4x32xf32>) outs(%all : tensor<4x32xf32>) {
    ^bb0(%in0: f32, %out: f32):
      %e = math.erf %in0 : f32
      %d = arith.addf %e, %one : f32
      %p = arith.mulf %d, %in0 : f32
      %h = arith.mulf %half, %p : f32
      linalg.yield %h : f32
    } -> tensor<4x32xf32>
  return %y : tensor<4x32xf32>
}

// A sigmoid of another value: a gate, but no activation.
// CHECK-LABEL: func.func @two_values
// CHECK-NOT: transformer.activation
func.func @two_values(%x: tensor<4x32xf32>, %u: tensor<4x32xf32>) -> tensor<4x32xf32> {
  %one = arith.constant dense<1.0> : tensor<4x32xf32>
  %minus = arith.negf %u : tensor<4x32xf32>
  %e = math.exp %minus : tensor<4x32xf32>
  %d = arith.addf %one, %e : tensor<4x32xf32>
  %y = arith.divf %x, %d : tensor<4x32xf32>
  return %y : tensor<4x32xf32>
}

// A slope below zero.
// CHECK-LABEL: func.func @leaky
// CHECK-NOT: transformer.activation
func.func @leaky(%x: tensor<4x32xf32>) -> tensor<4x32xf32> {
  %all = tensor.empty() : tensor<4x32xf32>
  %zero = arith.constant 0.0 : f32
  %k = arith.constant 0.1 : f32
  %y = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]}
      ins(%x : tensor<4x32xf32>) outs(%all : tensor<4x32xf32>) {
    ^bb0(%in0: f32, %out: f32):
      %low = arith.mulf %k, %in0 : f32
      %c = arith.cmpf ogt, %in0, %zero : f32
      %p = arith.select %c, %in0, %low : f32
      linalg.yield %p : f32
    } -> tensor<4x32xf32>
  return %y : tensor<4x32xf32>
}

// A minimum of a kind: select(x > 0, 0, x).
// CHECK-LABEL: func.func @clipped_above
// CHECK-NOT: transformer.activation
func.func @clipped_above(%x: tensor<4x32xf32>) -> tensor<4x32xf32> {
  %all = tensor.empty() : tensor<4x32xf32>
  %zero = arith.constant 0.0 : f32
  %y = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]}
      ins(%x : tensor<4x32xf32>) outs(%all : tensor<4x32xf32>) {
    ^bb0(%in0: f32, %out: f32):
      %c = arith.cmpf ogt, %in0, %zero : f32
      %p = arith.select %c, %zero, %in0 : f32
      linalg.yield %p : f32
    } -> tensor<4x32xf32>
  return %y : tensor<4x32xf32>
}
