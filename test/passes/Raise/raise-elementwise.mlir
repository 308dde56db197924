// RUN: tfopt compile %s --passes=transformer-raise-elementwise --stop-at=optimized --remarks=all --verify-numerics 2> %t | FileCheck %s
// RUN: FileCheck %s --check-prefix=REMARK --implicit-check-not=remark: --implicit-check-not=error: < %t

// A named op.
// CHECK-LABEL: func.func @named
// CHECK-NEXT: arith.addf %arg0, %arg1
// CHECK-NEXT: return
func.func @named(%x: tensor<2x3xf32>, %h: tensor<2x3xf32>) -> tensor<2x3xf32> {
  %e = tensor.empty() : tensor<2x3xf32>
  // REMARK: remark: {{.*}}raise-elementwise.mlir:[[@LINE+1]]:{{[0-9]+}}: raise-elementwise: raised to arith.addf
  %y = linalg.add ins(%x, %h : tensor<2x3xf32>, tensor<2x3xf32>) outs(%e : tensor<2x3xf32>) -> tensor<2x3xf32>
  return %y : tensor<2x3xf32>
}

// A generic of one product, of operands in another order.
// CHECK-LABEL: func.func @generic
// CHECK-NEXT: arith.mulf %arg1, %arg0
// CHECK-NEXT: return
func.func @generic(%x: tensor<2x3xf32>, %h: tensor<2x3xf32>) -> tensor<2x3xf32> {
  %e = tensor.empty() : tensor<2x3xf32>
  // REMARK: remark: {{.*}}raise-elementwise.mlir:[[@LINE+1]]:{{[0-9]+}}: raise-elementwise: raised to arith.mulf
  %y = linalg.generic {indexing_maps = [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (i, j)>], iterator_types = ["parallel", "parallel"]}
      ins(%x, %h : tensor<2x3xf32>, tensor<2x3xf32>) outs(%e : tensor<2x3xf32>) {
    ^bb0(%a: f32, %b: f32, %out: f32):
      %p = arith.mulf %b, %a : f32
      linalg.yield %p : f32
    } -> tensor<2x3xf32>
  return %y : tensor<2x3xf32>
}

// Loops in the other order, for all operands.
// CHECK-LABEL: func.func @turned
// CHECK-NEXT: arith.subf %arg0, %arg1
// CHECK-NEXT: return
func.func @turned(%x: tensor<2x3xf32>, %h: tensor<2x3xf32>) -> tensor<2x3xf32> {
  %e = tensor.empty() : tensor<2x3xf32>
  // REMARK: remark: {{.*}}raise-elementwise.mlir:[[@LINE+1]]:{{[0-9]+}}: raise-elementwise: raised to arith.subf
  %y = linalg.generic {indexing_maps = [affine_map<(i, j) -> (j, i)>, affine_map<(i, j) -> (j, i)>, affine_map<(i, j) -> (j, i)>], iterator_types = ["parallel", "parallel"]}
      ins(%x, %h : tensor<2x3xf32>, tensor<2x3xf32>) outs(%e : tensor<2x3xf32>) {
    ^bb0(%a: f32, %b: f32, %out: f32):
      %p = arith.subf %a, %b : f32
      linalg.yield %p : f32
    } -> tensor<2x3xf32>
  return %y : tensor<2x3xf32>
}

// linalg.map.
// CHECK-LABEL: func.func @mapped
// CHECK-NEXT: arith.divf %arg0, %arg1
// CHECK-NEXT: return
func.func @mapped(%x: tensor<2x3xf32>, %h: tensor<2x3xf32>) -> tensor<2x3xf32> {
  %e = tensor.empty() : tensor<2x3xf32>
  // REMARK: remark: {{.*}}raise-elementwise.mlir:[[@LINE+1]]:{{[0-9]+}}: raise-elementwise: raised to arith.divf
  %y = linalg.map { arith.divf } ins(%x, %h : tensor<2x3xf32>, tensor<2x3xf32>) outs(%e : tensor<2x3xf32>)
  return %y : tensor<2x3xf32>
}

// An operand is repeated.
// CHECK-LABEL: func.func @broadcast
// CHECK-NOT: = arith.addf %arg
// CHECK: linalg.generic
func.func @broadcast(%x: tensor<2x3xf32>, %h: tensor<3xf32>) -> tensor<2x3xf32> {
  %e = tensor.empty() : tensor<2x3xf32>
  %y = linalg.generic {indexing_maps = [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (j)>, affine_map<(i, j) -> (i, j)>], iterator_types = ["parallel", "parallel"]}
      ins(%x, %h : tensor<2x3xf32>, tensor<3xf32>) outs(%e : tensor<2x3xf32>) {
    ^bb0(%a: f32, %b: f32, %out: f32):
      %p = arith.addf %a, %b : f32
      linalg.yield %p : f32
    } -> tensor<2x3xf32>
  return %y : tensor<2x3xf32>
}

// Two ops: code generation has both in one kernel as it is.
// CHECK-LABEL: func.func @two_ops
// CHECK: linalg.generic
func.func @two_ops(%x: tensor<2x3xf32>, %h: tensor<2x3xf32>) -> tensor<2x3xf32> {
  %e = tensor.empty() : tensor<2x3xf32>
  %y = linalg.generic {indexing_maps = [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (i, j)>], iterator_types = ["parallel", "parallel"]}
      ins(%x, %h : tensor<2x3xf32>, tensor<2x3xf32>) outs(%e : tensor<2x3xf32>) {
    ^bb0(%a: f32, %b: f32, %out: f32):
      %p = arith.addf %a, %b : f32
      %q = arith.mulf %p, %b : f32
      linalg.yield %q : f32
    } -> tensor<2x3xf32>
  return %y : tensor<2x3xf32>
}
