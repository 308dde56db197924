// RUN: tfopt compile %s --passes=transformer-raise-attention --stop-at=optimized --remarks=all --verify-numerics 2> %t | FileCheck %s
// RUN: FileCheck %s --check-prefix=REMARK --implicit-check-not=remark: --implicit-check-not=error: < %t

#q = affine_map<(h, i, j, d) -> (h, i, d)>
#k = affine_map<(h, i, j, d) -> (h, j, d)>
#z = affine_map<(h, i, j, d) -> (h, i, j)>
#s = affine_map<(h, i, j) -> (h, i, j)>
#r = affine_map<(h, i, j) -> (h, i)>
#m = affine_map<(h, i, j) -> (i, j)>

// Scaled behind the product; a mask that selects; linalg.softmax.
// CHECK-LABEL: func.func @selected
// CHECK: transformer.attention %{{[a-z0-9_]+}}, %{{[a-z0-9_]+}}, %{{[a-z0-9_]+}} scale 0.3535533{{[0-9]*}} mask <causal>
// CHECK-NOT: linalg.{{softmax|batch_matmul|generic}}
func.func @selected(%q: tensor<2x6x8xf32>, %k: tensor<2x6x8xf32>, %v: tensor<2x6x8xf32>) -> tensor<2x6x8xf32> {
  %zero = arith.constant 0.0 : f32
  %low = arith.constant 0xFF800000 : f32
  %ez = tensor.empty() : tensor<2x6x6xf32>
  %ey = tensor.empty() : tensor<2x6x8xf32>
  %z0 = linalg.fill ins(%zero : f32) outs(%ez : tensor<2x6x6xf32>) -> tensor<2x6x6xf32>
  %y0 = linalg.fill ins(%zero : f32) outs(%ey : tensor<2x6x8xf32>) -> tensor<2x6x8xf32>
  %z = linalg.generic {indexing_maps = [#q, #k, #z], iterator_types = ["parallel", "parallel", "parallel", "reduction"]}
      ins(%q, %k : tensor<2x6x8xf32>, tensor<2x6x8xf32>) outs(%z0 : tensor<2x6x6xf32>) {
    ^bb0(%a: f32, %b: f32, %acc: f32):
      %p = arith.mulf %a, %b : f32
      %t = arith.addf %acc, %p : f32
      linalg.yield %t : f32
    } -> tensor<2x6x6xf32>
  %c = arith.constant dense<0.353553385> : tensor<2x6x6xf32>
  %zs = arith.mulf %z, %c : tensor<2x6x6xf32>
  %l = linalg.generic {indexing_maps = [#s, #s], iterator_types = ["parallel", "parallel", "parallel"]}
      ins(%zs : tensor<2x6x6xf32>) outs(%ez : tensor<2x6x6xf32>) {
    ^bb0(%a: f32, %out: f32):
      %i = linalg.index 1 : index
      %j = linalg.index 2 : index
      %seen = arith.cmpi sle, %j, %i : index
      %m = arith.select %seen, %a, %low : f32
      linalg.yield %m : f32
    } -> tensor<2x6x6xf32>
  %p = linalg.softmax dimension(2) ins(%l : tensor<2x6x6xf32>) outs(%ez : tensor<2x6x6xf32>) -> tensor<2x6x6xf32>
  // REMARK: remark: {{.*}}raise-attention.mlir:[[@LINE+1]]:{{[0-9]+}}: raise-attention: raised to attention with mask causal, 1 heads on 1
  %y = linalg.batch_matmul ins(%p, %v : tensor<2x6x6xf32>, tensor<2x6x8xf32>) outs(%y0 : tensor<2x6x8xf32>) -> tensor<2x6x8xf32>
  return %y : tensor<2x6x8xf32>
}

// Divided by the root of the head dimension; a large negative number added; softmax written out.
// CHECK-LABEL: func.func @added
// CHECK: transformer.attention %{{[a-z0-9_]+}}, %{{[a-z0-9_]+}}, %{{[a-z0-9_]+}} scale 0.3535533{{[0-9]*}} mask <causal>
// CHECK-NOT: linalg.{{softmax|batch_matmul|generic}}
func.func @added(%q: tensor<2x6x8xf32>, %k: tensor<2x6x8xf32>, %v: tensor<2x6x8xf32>) -> tensor<2x6x8xf32> {
  %zero = arith.constant 0.0 : f32
  %low = arith.constant 0xFF800000 : f32
  %ez = tensor.empty() : tensor<2x6x6xf32>
  %ey = tensor.empty() : tensor<2x6x8xf32>
  %z0 = linalg.fill ins(%zero : f32) outs(%ez : tensor<2x6x6xf32>) -> tensor<2x6x6xf32>
  %y0 = linalg.fill ins(%zero : f32) outs(%ey : tensor<2x6x8xf32>) -> tensor<2x6x8xf32>
  %z = linalg.generic {indexing_maps = [#q, #k, #z], iterator_types = ["parallel", "parallel", "parallel", "reduction"]}
      ins(%q, %k : tensor<2x6x8xf32>, tensor<2x6x8xf32>) outs(%z0 : tensor<2x6x6xf32>) {
    ^bb0(%a: f32, %b: f32, %acc: f32):
      %p = arith.mulf %a, %b : f32
      %t = arith.addf %acc, %p : f32
      linalg.yield %t : f32
    } -> tensor<2x6x6xf32>
  %c = arith.constant dense<2.82842708> : tensor<2x6x6xf32>
  %zs = arith.divf %z, %c : tensor<2x6x6xf32>
  %em = tensor.empty() : tensor<6x6xf32>
  %mask = linalg.generic {indexing_maps = [affine_map<(i, j) -> (i, j)>], iterator_types = ["parallel", "parallel"]} outs(%em : tensor<6x6xf32>) {
    ^bb0(%out: f32):
      %i = linalg.index 0 : index
      %j = linalg.index 1 : index
      %i32 = arith.index_cast %i : index to i32
      %j32 = arith.index_cast %j : index to i32
      %hidden = arith.cmpi slt, %i32, %j32 : i32
      %large = arith.constant -3.40282347E+38 : f32
      %m = arith.select %hidden, %large, %zero : f32
      linalg.yield %m : f32
    } -> tensor<6x6xf32>
  %masks = linalg.broadcast ins(%mask : tensor<6x6xf32>) outs(%ez : tensor<2x6x6xf32>) dimensions = [0]
  %l = arith.addf %masks, %zs : tensor<2x6x6xf32>
  %e2 = tensor.empty() : tensor<2x6xf32>
  %lowest = linalg.fill ins(%low : f32) outs(%e2 : tensor<2x6xf32>) -> tensor<2x6xf32>
  %max = linalg.reduce { arith.maximumf } ins(%l : tensor<2x6x6xf32>) outs(%lowest : tensor<2x6xf32>) dimensions = [2]
  %maxs = linalg.broadcast ins(%max : tensor<2x6xf32>) outs(%ez : tensor<2x6x6xf32>) dimensions = [2]
  %less = arith.subf %l, %maxs : tensor<2x6x6xf32>
  %exp = math.exp %less : tensor<2x6x6xf32>
  %zeros = linalg.fill ins(%zero : f32) outs(%e2 : tensor<2x6xf32>) -> tensor<2x6xf32>
  %sum = linalg.reduce { arith.addf } ins(%exp : tensor<2x6x6xf32>) outs(%zeros : tensor<2x6xf32>) dimensions = [2]
  %sums = linalg.broadcast ins(%sum : tensor<2x6xf32>) outs(%ez : tensor<2x6x6xf32>) dimensions = [2]
  %p = arith.divf %exp, %sums : tensor<2x6x6xf32>
  // REMARK: remark: {{.*}}raise-attention.mlir:[[@LINE+1]]:{{[0-9]+}}: raise-attention: raised to attention with mask causal, 1 heads on 1
  %y = linalg.batch_matmul ins(%p, %v : tensor<2x6x6xf32>, tensor<2x6x8xf32>) outs(%y0 : tensor<2x6x8xf32>) -> tensor<2x6x8xf32>
  return %y : tensor<2x6x8xf32>
}

// A triangle of ones, turned into what is added: (1 - t) * -1e9.
// CHECK-LABEL: func.func @triangle
// CHECK: transformer.attention %{{[a-z0-9_]+}}, %{{[a-z0-9_]+}}, %{{[a-z0-9_]+}} scale 0.3535533{{[0-9]*}} mask <causal>
// CHECK-NOT: linalg.{{softmax|batch_matmul|generic}}
func.func @triangle(%q: tensor<2x6x8xf32>, %k: tensor<2x6x8xf32>, %v: tensor<2x6x8xf32>) -> tensor<2x6x8xf32> {
  %zero = arith.constant 0.0 : f32
  %low = arith.constant 0xFF800000 : f32
  %ez = tensor.empty() : tensor<2x6x6xf32>
  %ey = tensor.empty() : tensor<2x6x8xf32>
  %z0 = linalg.fill ins(%zero : f32) outs(%ez : tensor<2x6x6xf32>) -> tensor<2x6x6xf32>
  %y0 = linalg.fill ins(%zero : f32) outs(%ey : tensor<2x6x8xf32>) -> tensor<2x6x8xf32>
  %z = linalg.generic {indexing_maps = [#q, #k, #z], iterator_types = ["parallel", "parallel", "parallel", "reduction"]}
      ins(%q, %k : tensor<2x6x8xf32>, tensor<2x6x8xf32>) outs(%z0 : tensor<2x6x6xf32>) {
    ^bb0(%a: f32, %b: f32, %acc: f32):
      %p = arith.mulf %a, %b : f32
      %t = arith.addf %acc, %p : f32
      linalg.yield %t : f32
    } -> tensor<2x6x6xf32>
  %c = arith.constant dense<0.353553385> : tensor<2x6x6xf32>
  %zs = arith.mulf %z, %c : tensor<2x6x6xf32>
  %em = tensor.empty() : tensor<6x6xf32>
  %triangle = linalg.generic {indexing_maps = [affine_map<(i, j) -> (i, j)>], iterator_types = ["parallel", "parallel"]} outs(%em : tensor<6x6xf32>) {
    ^bb0(%out: f32):
      %i = linalg.index 0 : index
      %j = linalg.index 1 : index
      %seen = arith.cmpi uge, %i, %j : index
      %t = arith.uitofp %seen : i1 to f32
      linalg.yield %t : f32
    } -> tensor<6x6xf32>
  %one = arith.constant dense<1.0> : tensor<6x6xf32>
  %large = arith.constant dense<-1.0e9> : tensor<6x6xf32>
  %rest = arith.subf %one, %triangle : tensor<6x6xf32>
  %mask = arith.mulf %rest, %large : tensor<6x6xf32>
  %masks = linalg.broadcast ins(%mask : tensor<6x6xf32>) outs(%ez : tensor<2x6x6xf32>) dimensions = [0]
  %l = arith.addf %zs, %masks : tensor<2x6x6xf32>
  %p = linalg.softmax dimension(2) ins(%l : tensor<2x6x6xf32>) outs(%ez : tensor<2x6x6xf32>) -> tensor<2x6x6xf32>
  // REMARK: remark: {{.*}}raise-attention.mlir:[[@LINE+1]]:{{[0-9]+}}: raise-attention: raised to attention with mask causal, 1 heads on 1
  %y = linalg.batch_matmul ins(%p, %v : tensor<2x6x6xf32>, tensor<2x6x8xf32>) outs(%y0 : tensor<2x6x8xf32>) -> tensor<2x6x8xf32>
  return %y : tensor<2x6x8xf32>
}

// Queries scaled before the product; keys transposed for a batch_matmul; no mask.
// CHECK-LABEL: func.func @queries_scaled
// CHECK: transformer.attention %{{[a-z0-9_]+}}, %{{[a-z0-9_]+}}, %{{[a-z0-9_]+}} scale 0.3535533{{[0-9]*}} mask <none>
// CHECK-NOT: linalg.{{softmax|batch_matmul|generic}}
func.func @queries_scaled(%q: tensor<2x6x8xf32>, %k: tensor<2x6x8xf32>, %v: tensor<2x6x8xf32>) -> tensor<2x6x8xf32> {
  %zero = arith.constant 0.0 : f32
  %low = arith.constant 0xFF800000 : f32
  %ez = tensor.empty() : tensor<2x6x6xf32>
  %ey = tensor.empty() : tensor<2x6x8xf32>
  %z0 = linalg.fill ins(%zero : f32) outs(%ez : tensor<2x6x6xf32>) -> tensor<2x6x6xf32>
  %y0 = linalg.fill ins(%zero : f32) outs(%ey : tensor<2x6x8xf32>) -> tensor<2x6x8xf32>
  %c = arith.constant dense<0.353553385> : tensor<2x6x8xf32>
  %qs = arith.mulf %q, %c : tensor<2x6x8xf32>
  %ek = tensor.empty() : tensor<2x8x6xf32>
  %kt = linalg.transpose ins(%k : tensor<2x6x8xf32>) outs(%ek : tensor<2x8x6xf32>) permutation = [0, 2, 1]
  %l = linalg.batch_matmul ins(%qs, %kt : tensor<2x6x8xf32>, tensor<2x8x6xf32>) outs(%z0 : tensor<2x6x6xf32>) -> tensor<2x6x6xf32>
  %e2 = tensor.empty() : tensor<2x6xf32>
  %lowest = linalg.fill ins(%low : f32) outs(%e2 : tensor<2x6xf32>) -> tensor<2x6xf32>
  %max = linalg.reduce { arith.maximumf } ins(%l : tensor<2x6x6xf32>) outs(%lowest : tensor<2x6xf32>) dimensions = [2]
  %maxs = linalg.broadcast ins(%max : tensor<2x6xf32>) outs(%ez : tensor<2x6x6xf32>) dimensions = [2]
  %less = arith.subf %l, %maxs : tensor<2x6x6xf32>
  %exp = math.exp %less : tensor<2x6x6xf32>
  %zeros = linalg.fill ins(%zero : f32) outs(%e2 : tensor<2x6xf32>) -> tensor<2x6xf32>
  %sum = linalg.reduce { arith.addf } ins(%exp : tensor<2x6x6xf32>) outs(%zeros : tensor<2x6xf32>) dimensions = [2]
  %sums = linalg.broadcast ins(%sum : tensor<2x6xf32>) outs(%ez : tensor<2x6x6xf32>) dimensions = [2]
  %p = arith.divf %exp, %sums : tensor<2x6x6xf32>
  // REMARK: remark: {{.*}}raise-attention.mlir:[[@LINE+1]]:{{[0-9]+}}: raise-attention: raised to attention with mask none, 1 heads on 1
  %y = linalg.batch_matmul ins(%p, %v : tensor<2x6x6xf32>, tensor<2x6x8xf32>) outs(%y0 : tensor<2x6x8xf32>) -> tensor<2x6x8xf32>
  return %y : tensor<2x6x8xf32>
}

// The root of the scale in queries and in keys, keys stored transposed.
// CHECK-LABEL: func.func @both_scaled
// CHECK: transformer.attention %{{[a-z0-9_]+}}, %{{[a-z0-9_]+}}, %{{[a-z0-9_]+}} scale 0.35355336{{[0-9]*}} mask <none>
// CHECK-NOT: linalg.{{softmax|batch_matmul|generic}}
func.func @both_scaled(%q: tensor<2x6x8xf32>, %k: tensor<2x8x6xf32>, %v: tensor<2x6x8xf32>) -> tensor<2x6x8xf32> {
  %zero = arith.constant 0.0 : f32
  %low = arith.constant 0xFF800000 : f32
  %ez = tensor.empty() : tensor<2x6x6xf32>
  %ey = tensor.empty() : tensor<2x6x8xf32>
  %z0 = linalg.fill ins(%zero : f32) outs(%ez : tensor<2x6x6xf32>) -> tensor<2x6x6xf32>
  %y0 = linalg.fill ins(%zero : f32) outs(%ey : tensor<2x6x8xf32>) -> tensor<2x6x8xf32>
  %c = arith.constant dense<0.594603538> : tensor<2x6x8xf32>
  %ct = arith.constant dense<0.594603538> : tensor<2x8x6xf32>
  %qs = arith.mulf %q, %c : tensor<2x6x8xf32>
  %ks = arith.mulf %ct, %k : tensor<2x8x6xf32>
  %l = linalg.batch_matmul ins(%qs, %ks : tensor<2x6x8xf32>, tensor<2x8x6xf32>) outs(%z0 : tensor<2x6x6xf32>) -> tensor<2x6x6xf32>
  %p = linalg.softmax dimension(2) ins(%l : tensor<2x6x6xf32>) outs(%ez : tensor<2x6x6xf32>) -> tensor<2x6x6xf32>
  // REMARK: remark: {{.*}}raise-attention.mlir:[[@LINE+1]]:{{[0-9]+}}: raise-attention: raised to attention with mask none, 1 heads on 1
  %y = linalg.batch_matmul ins(%p, %v : tensor<2x6x6xf32>, tensor<2x6x8xf32>) outs(%y0 : tensor<2x6x8xf32>) -> tensor<2x6x8xf32>
  return %y : tensor<2x6x8xf32>
}

// Scaled twice is scaled by the product.
// CHECK-LABEL: func.func @scaled_twice
// CHECK: transformer.attention %{{[a-z0-9_]+}}, %{{[a-z0-9_]+}}, %{{[a-z0-9_]+}} scale 2.500000e-01 mask <none>
// CHECK-NOT: linalg.{{softmax|batch_matmul|generic}}
func.func @scaled_twice(%q: tensor<2x6x8xf32>, %k: tensor<2x6x8xf32>, %v: tensor<2x6x8xf32>) -> tensor<2x6x8xf32> {
  %zero = arith.constant 0.0 : f32
  %low = arith.constant 0xFF800000 : f32
  %ez = tensor.empty() : tensor<2x6x6xf32>
  %ey = tensor.empty() : tensor<2x6x8xf32>
  %z0 = linalg.fill ins(%zero : f32) outs(%ez : tensor<2x6x6xf32>) -> tensor<2x6x6xf32>
  %y0 = linalg.fill ins(%zero : f32) outs(%ey : tensor<2x6x8xf32>) -> tensor<2x6x8xf32>
  %c = arith.constant dense<0.5> : tensor<2x6x8xf32>
  %qs = arith.mulf %q, %c : tensor<2x6x8xf32>
  %z = linalg.generic {indexing_maps = [#q, #k, #z], iterator_types = ["parallel", "parallel", "parallel", "reduction"]}
      ins(%qs, %k : tensor<2x6x8xf32>, tensor<2x6x8xf32>) outs(%z0 : tensor<2x6x6xf32>) {
    ^bb0(%a: f32, %b: f32, %acc: f32):
      %p = arith.mulf %a, %b : f32
      %t = arith.addf %acc, %p : f32
      linalg.yield %t : f32
    } -> tensor<2x6x6xf32>
  %c2 = arith.constant dense<0.5> : tensor<2x6x6xf32>
  %l = arith.mulf %z, %c2 : tensor<2x6x6xf32>
  %p = linalg.softmax dimension(2) ins(%l : tensor<2x6x6xf32>) outs(%ez : tensor<2x6x6xf32>) -> tensor<2x6x6xf32>
  // REMARK: remark: {{.*}}raise-attention.mlir:[[@LINE+1]]:{{[0-9]+}}: raise-attention: raised to attention with mask none, 1 heads on 1
  %y = linalg.batch_matmul ins(%p, %v : tensor<2x6x6xf32>, tensor<2x6x8xf32>) outs(%y0 : tensor<2x6x8xf32>) -> tensor<2x6x8xf32>
  return %y : tensor<2x6x8xf32>
}

// A window of three: j <= i and i - j < 3.
// CHECK-LABEL: func.func @window
// CHECK: transformer.attention %{{[a-z0-9_]+}}, %{{[a-z0-9_]+}}, %{{[a-z0-9_]+}} scale 1.000000e+00 mask <window, 3>
// CHECK-NOT: linalg.{{softmax|batch_matmul|generic}}
func.func @window(%q: tensor<2x6x8xf32>, %k: tensor<2x6x8xf32>, %v: tensor<2x6x8xf32>) -> tensor<2x6x8xf32> {
  %zero = arith.constant 0.0 : f32
  %low = arith.constant 0xFF800000 : f32
  %ez = tensor.empty() : tensor<2x6x6xf32>
  %ey = tensor.empty() : tensor<2x6x8xf32>
  %z0 = linalg.fill ins(%zero : f32) outs(%ez : tensor<2x6x6xf32>) -> tensor<2x6x6xf32>
  %y0 = linalg.fill ins(%zero : f32) outs(%ey : tensor<2x6x8xf32>) -> tensor<2x6x8xf32>
  %z = linalg.generic {indexing_maps = [#q, #k, #z], iterator_types = ["parallel", "parallel", "parallel", "reduction"]}
      ins(%q, %k : tensor<2x6x8xf32>, tensor<2x6x8xf32>) outs(%z0 : tensor<2x6x6xf32>) {
    ^bb0(%a: f32, %b: f32, %acc: f32):
      %p = arith.mulf %a, %b : f32
      %t = arith.addf %acc, %p : f32
      linalg.yield %t : f32
    } -> tensor<2x6x6xf32>
  %l = linalg.generic {indexing_maps = [#s, #s], iterator_types = ["parallel", "parallel", "parallel"]}
      ins(%z : tensor<2x6x6xf32>) outs(%ez : tensor<2x6x6xf32>) {
    ^bb0(%a: f32, %out: f32):
      %i = linalg.index 1 : index
      %j = linalg.index 2 : index
      %seen = arith.cmpi sle, %j, %i : index
      %three = arith.constant 3 : index
      %apart = arith.subi %i, %j : index
      %near = arith.cmpi slt, %apart, %three : index
      %both = arith.andi %seen, %near : i1
      %m = arith.select %both, %a, %low : f32
      linalg.yield %m : f32
    } -> tensor<2x6x6xf32>
  %p = linalg.softmax dimension(2) ins(%l : tensor<2x6x6xf32>) outs(%ez : tensor<2x6x6xf32>) -> tensor<2x6x6xf32>
  // REMARK: remark: {{.*}}raise-attention.mlir:[[@LINE+1]]:{{[0-9]+}}: raise-attention: raised to attention with mask window, 1 heads on 1
  %y = linalg.batch_matmul ins(%p, %v : tensor<2x6x6xf32>, tensor<2x6x8xf32>) outs(%y0 : tensor<2x6x8xf32>) -> tensor<2x6x8xf32>
  return %y : tensor<2x6x8xf32>
}

// Scores under a soft cap.
// CHECK-LABEL: func.func @capped
// CHECK: transformer.attention %{{[a-z0-9_]+}}, %{{[a-z0-9_]+}}, %{{[a-z0-9_]+}} scale {{.*}} mask <causal> softcap 5.000000e+01
// CHECK-NOT: linalg.{{softmax|batch_matmul|generic}}
func.func @capped(%q: tensor<2x6x8xf32>, %k: tensor<2x6x8xf32>, %v: tensor<2x6x8xf32>) -> tensor<2x6x8xf32> {
  %zero = arith.constant 0.0 : f32
  %low = arith.constant 0xFF800000 : f32
  %ez = tensor.empty() : tensor<2x6x6xf32>
  %ey = tensor.empty() : tensor<2x6x8xf32>
  %z0 = linalg.fill ins(%zero : f32) outs(%ez : tensor<2x6x6xf32>) -> tensor<2x6x6xf32>
  %y0 = linalg.fill ins(%zero : f32) outs(%ey : tensor<2x6x8xf32>) -> tensor<2x6x8xf32>
  %z = linalg.generic {indexing_maps = [#q, #k, #z], iterator_types = ["parallel", "parallel", "parallel", "reduction"]}
      ins(%q, %k : tensor<2x6x8xf32>, tensor<2x6x8xf32>) outs(%z0 : tensor<2x6x6xf32>) {
    ^bb0(%a: f32, %b: f32, %acc: f32):
      %p = arith.mulf %a, %b : f32
      %t = arith.addf %acc, %p : f32
      linalg.yield %t : f32
    } -> tensor<2x6x6xf32>
  %c = arith.constant dense<0.01> : tensor<2x6x6xf32>
  %cap = arith.constant dense<50.0> : tensor<2x6x6xf32>
  %zs = arith.mulf %z, %c : tensor<2x6x6xf32>
  %t = math.tanh %zs : tensor<2x6x6xf32>
  %capped = arith.mulf %t, %cap : tensor<2x6x6xf32>
  %l = linalg.generic {indexing_maps = [#s, #s], iterator_types = ["parallel", "parallel", "parallel"]}
      ins(%capped : tensor<2x6x6xf32>) outs(%ez : tensor<2x6x6xf32>) {
    ^bb0(%a: f32, %out: f32):
      %i = linalg.index 1 : index
      %j = linalg.index 2 : index
      %seen = arith.cmpi sle, %j, %i : index
      %m = arith.select %seen, %a, %low : f32
      linalg.yield %m : f32
    } -> tensor<2x6x6xf32>
  %p = linalg.softmax dimension(2) ins(%l : tensor<2x6x6xf32>) outs(%ez : tensor<2x6x6xf32>) -> tensor<2x6x6xf32>
  // REMARK: remark: {{.*}}raise-attention.mlir:[[@LINE+1]]:{{[0-9]+}}: raise-attention: raised to attention with mask causal, 1 heads on 1
  %y = linalg.batch_matmul ins(%p, %v : tensor<2x6x6xf32>, tensor<2x6x8xf32>) outs(%y0 : tensor<2x6x8xf32>) -> tensor<2x6x8xf32>
  return %y : tensor<2x6x8xf32>
}

// A bias of heads, queries and keys.
// CHECK-LABEL: func.func @biased
// CHECK: transformer.attention %{{[a-z0-9_]+}}, %{{[a-z0-9_]+}}, %{{[a-z0-9_]+}} bias %{{[a-z0-9_]+}} scale 1.000000e+00 mask <causal>
// CHECK-NOT: linalg.{{softmax|batch_matmul|generic}}
func.func @biased(%q: tensor<2x6x8xf32>, %k: tensor<2x6x8xf32>, %v: tensor<2x6x8xf32>, %bias: tensor<2x6x6xf32>) -> tensor<2x6x8xf32> {
  %zero = arith.constant 0.0 : f32
  %low = arith.constant 0xFF800000 : f32
  %ez = tensor.empty() : tensor<2x6x6xf32>
  %ey = tensor.empty() : tensor<2x6x8xf32>
  %z0 = linalg.fill ins(%zero : f32) outs(%ez : tensor<2x6x6xf32>) -> tensor<2x6x6xf32>
  %y0 = linalg.fill ins(%zero : f32) outs(%ey : tensor<2x6x8xf32>) -> tensor<2x6x8xf32>
  %z = linalg.generic {indexing_maps = [#q, #k, #z], iterator_types = ["parallel", "parallel", "parallel", "reduction"]}
      ins(%q, %k : tensor<2x6x8xf32>, tensor<2x6x8xf32>) outs(%z0 : tensor<2x6x6xf32>) {
    ^bb0(%a: f32, %b: f32, %acc: f32):
      %p = arith.mulf %a, %b : f32
      %t = arith.addf %acc, %p : f32
      linalg.yield %t : f32
    } -> tensor<2x6x6xf32>
  %zb = arith.addf %z, %bias : tensor<2x6x6xf32>
  %l = linalg.generic {indexing_maps = [#s, #s], iterator_types = ["parallel", "parallel", "parallel"]}
      ins(%zb : tensor<2x6x6xf32>) outs(%ez : tensor<2x6x6xf32>) {
    ^bb0(%a: f32, %out: f32):
      %i = linalg.index 1 : index
      %j = linalg.index 2 : index
      %seen = arith.cmpi sle, %j, %i : index
      %m = arith.select %seen, %a, %low : f32
      linalg.yield %m : f32
    } -> tensor<2x6x6xf32>
  %p = linalg.softmax dimension(2) ins(%l : tensor<2x6x6xf32>) outs(%ez : tensor<2x6x6xf32>) -> tensor<2x6x6xf32>
  // REMARK: remark: {{.*}}raise-attention.mlir:[[@LINE+1]]:{{[0-9]+}}: raise-attention: raised to attention with mask causal, 1 heads on 1
  %y = linalg.batch_matmul ins(%p, %v : tensor<2x6x6xf32>, tensor<2x6x8xf32>) outs(%y0 : tensor<2x6x8xf32>) -> tensor<2x6x8xf32>
  return %y : tensor<2x6x8xf32>
}

// What hides padding is a bias of keys: data, not a condition on positions.
// CHECK-LABEL: func.func @padding
// CHECK: linalg.broadcast ins(%arg3 : tensor<6xf32>)
// CHECK: transformer.attention %{{.*}} bias %{{[a-z0-9_]+}} scale 1.000000e+00 mask <none>
func.func @padding(%q: tensor<2x6x8xf32>, %k: tensor<2x6x8xf32>, %v: tensor<2x6x8xf32>, %bias: tensor<6xf32>) -> tensor<2x6x8xf32> {
  %zero = arith.constant 0.0 : f32
  %low = arith.constant 0xFF800000 : f32
  %ez = tensor.empty() : tensor<2x6x6xf32>
  %ey = tensor.empty() : tensor<2x6x8xf32>
  %z0 = linalg.fill ins(%zero : f32) outs(%ez : tensor<2x6x6xf32>) -> tensor<2x6x6xf32>
  %y0 = linalg.fill ins(%zero : f32) outs(%ey : tensor<2x6x8xf32>) -> tensor<2x6x8xf32>
  %z = linalg.generic {indexing_maps = [#q, #k, #z], iterator_types = ["parallel", "parallel", "parallel", "reduction"]}
      ins(%q, %k : tensor<2x6x8xf32>, tensor<2x6x8xf32>) outs(%z0 : tensor<2x6x6xf32>) {
    ^bb0(%a: f32, %b: f32, %acc: f32):
      %p = arith.mulf %a, %b : f32
      %t = arith.addf %acc, %p : f32
      linalg.yield %t : f32
    } -> tensor<2x6x6xf32>
  %rows = linalg.broadcast ins(%bias : tensor<6xf32>) outs(%ez : tensor<2x6x6xf32>) dimensions = [0, 1]
  %l = arith.addf %z, %rows : tensor<2x6x6xf32>
  %p = linalg.softmax dimension(2) ins(%l : tensor<2x6x6xf32>) outs(%ez : tensor<2x6x6xf32>) -> tensor<2x6x6xf32>
  // REMARK: remark: {{.*}}raise-attention.mlir:[[@LINE+1]]:{{[0-9]+}}: raise-attention: raised to attention with mask none, 1 heads on 1
  %y = linalg.batch_matmul ins(%p, %v : tensor<2x6x6xf32>, tensor<2x6x8xf32>) outs(%y0 : tensor<2x6x8xf32>) -> tensor<2x6x8xf32>
  return %y : tensor<2x6x8xf32>
}

// Heads split and transposed, batch and heads flattened; and the way back.
// CHECK-LABEL: func.func @flattened_heads
// CHECK: %[[Q:.*]] = tensor.expand_shape %arg0 {{.*}} into tensor<2x6x4x8xf32>
// CHECK: %[[K:.*]] = tensor.expand_shape %arg1 {{.*}} into tensor<2x6x4x8xf32>
// CHECK: %[[V:.*]] = tensor.expand_shape %arg2 {{.*}} into tensor<2x6x4x8xf32>
// CHECK: transformer.attention %[[Q]], %[[K]], %[[V]] scale 1.000000e+00 mask <none>
func.func @flattened_heads(%q: tensor<2x6x32xf32>, %k: tensor<2x6x32xf32>, %v: tensor<2x6x32xf32>) -> tensor<2x6x32xf32> {
  %zero = arith.constant 0.0 : f32
  %q4 = tensor.expand_shape %q [[0], [1], [2, 3]] output_shape [2, 6, 4, 8] : tensor<2x6x32xf32> into tensor<2x6x4x8xf32>
  %k4 = tensor.expand_shape %k [[0], [1], [2, 3]] output_shape [2, 6, 4, 8] : tensor<2x6x32xf32> into tensor<2x6x4x8xf32>
  %v4 = tensor.expand_shape %v [[0], [1], [2, 3]] output_shape [2, 6, 4, 8] : tensor<2x6x32xf32> into tensor<2x6x4x8xf32>
  %e = tensor.empty() : tensor<2x4x6x8xf32>
  %et = tensor.empty() : tensor<2x4x8x6xf32>
  %qt = linalg.transpose ins(%q4 : tensor<2x6x4x8xf32>) outs(%e : tensor<2x4x6x8xf32>) permutation = [0, 2, 1, 3]
  %kt = linalg.transpose ins(%k4 : tensor<2x6x4x8xf32>) outs(%et : tensor<2x4x8x6xf32>) permutation = [0, 2, 3, 1]
  %vt = linalg.transpose ins(%v4 : tensor<2x6x4x8xf32>) outs(%e : tensor<2x4x6x8xf32>) permutation = [0, 2, 1, 3]
  %qf = tensor.collapse_shape %qt [[0, 1], [2], [3]] : tensor<2x4x6x8xf32> into tensor<8x6x8xf32>
  %kf = tensor.collapse_shape %kt [[0, 1], [2], [3]] : tensor<2x4x8x6xf32> into tensor<8x8x6xf32>
  %vf = tensor.collapse_shape %vt [[0, 1], [2], [3]] : tensor<2x4x6x8xf32> into tensor<8x6x8xf32>
  %ez = tensor.empty() : tensor<8x6x6xf32>
  %z0 = linalg.fill ins(%zero : f32) outs(%ez : tensor<8x6x6xf32>) -> tensor<8x6x6xf32>
  %z = linalg.batch_matmul ins(%qf, %kf : tensor<8x6x8xf32>, tensor<8x8x6xf32>) outs(%z0 : tensor<8x6x6xf32>) -> tensor<8x6x6xf32>
  %p = linalg.softmax dimension(2) ins(%z : tensor<8x6x6xf32>) outs(%ez : tensor<8x6x6xf32>) -> tensor<8x6x6xf32>
  %ey = tensor.empty() : tensor<8x6x8xf32>
  %y0 = linalg.fill ins(%zero : f32) outs(%ey : tensor<8x6x8xf32>) -> tensor<8x6x8xf32>
  // REMARK: remark: {{.*}}raise-attention.mlir:[[@LINE+1]]:{{[0-9]+}}: raise-attention: raised to attention with mask none, 4 heads on 4
  %y = linalg.batch_matmul ins(%p, %vf : tensor<8x6x6xf32>, tensor<8x6x8xf32>) outs(%y0 : tensor<8x6x8xf32>) -> tensor<8x6x8xf32>
  %y4 = tensor.expand_shape %y [[0, 1], [2], [3]] output_shape [2, 4, 6, 8] : tensor<8x6x8xf32> into tensor<2x4x6x8xf32>
  %ev = tensor.empty() : tensor<2x6x4x8xf32>
  %yt = linalg.transpose ins(%y4 : tensor<2x4x6x8xf32>) outs(%ev : tensor<2x6x4x8xf32>) permutation = [0, 2, 1, 3]
  %rows = tensor.collapse_shape %yt [[0], [1], [2, 3]] : tensor<2x6x4x8xf32> into tensor<2x6x32xf32>
  return %rows : tensor<2x6x32xf32>
}

// Grouped heads: keys and values repeated for two heads each. Lengths are open.
// CHECK-LABEL: func.func @grouped
// CHECK: transformer.attention %{{.*}}, %{{.*}}, %{{.*}} scale 1.000000e+00 mask <none>
// CHECK-SAME: tensor<2x?x2x8xf32>, tensor<2x?x1x8xf32>, tensor<2x?x1x8xf32>
func.func @grouped(%q: tensor<4x?x8xf32>, %k: tensor<2x?x8xf32>, %v: tensor<2x?x8xf32>) -> tensor<4x?x8xf32> {
  %zero = arith.constant 0.0 : f32
  %c1 = arith.constant 1 : index
  %s = tensor.dim %q, %c1 : tensor<4x?x8xf32>
  %er = tensor.empty(%s) : tensor<2x2x?x8xf32>
  %kr = linalg.broadcast ins(%k : tensor<2x?x8xf32>) outs(%er : tensor<2x2x?x8xf32>) dimensions = [1]
  %vr = linalg.broadcast ins(%v : tensor<2x?x8xf32>) outs(%er : tensor<2x2x?x8xf32>) dimensions = [1]
  %kf = tensor.collapse_shape %kr [[0, 1], [2], [3]] : tensor<2x2x?x8xf32> into tensor<4x?x8xf32>
  %vf = tensor.collapse_shape %vr [[0, 1], [2], [3]] : tensor<2x2x?x8xf32> into tensor<4x?x8xf32>
  %ez = tensor.empty(%s, %s) : tensor<4x?x?xf32>
  %z0 = linalg.fill ins(%zero : f32) outs(%ez : tensor<4x?x?xf32>) -> tensor<4x?x?xf32>
  %z = linalg.generic {indexing_maps = [#q, #k, #z], iterator_types = ["parallel", "parallel", "parallel", "reduction"]}
      ins(%q, %kf : tensor<4x?x8xf32>, tensor<4x?x8xf32>) outs(%z0 : tensor<4x?x?xf32>) {
    ^bb0(%a: f32, %b: f32, %acc: f32):
      %p = arith.mulf %a, %b : f32
      %t = arith.addf %acc, %p : f32
      linalg.yield %t : f32
    } -> tensor<4x?x?xf32>
  %p = linalg.softmax dimension(2) ins(%z : tensor<4x?x?xf32>) outs(%ez : tensor<4x?x?xf32>) -> tensor<4x?x?xf32>
  %ey = tensor.empty(%s) : tensor<4x?x8xf32>
  %y0 = linalg.fill ins(%zero : f32) outs(%ey : tensor<4x?x8xf32>) -> tensor<4x?x8xf32>
  // REMARK: remark: {{.*}}raise-attention.mlir:[[@LINE+1]]:{{[0-9]+}}: raise-attention: raised to attention with mask none, 2 heads on 1
  %y = linalg.batch_matmul ins(%p, %vf : tensor<4x?x?xf32>, tensor<4x?x8xf32>) outs(%y0 : tensor<4x?x8xf32>) -> tensor<4x?x8xf32>
  return %y : tensor<4x?x8xf32>
}

// Groups as a dimension of their own, in one order throughout.
// CHECK-LABEL: func.func @five_loops
// CHECK: transformer.attention %{{.*}}, %arg1, %arg2 scale 1.000000e+00 mask <causal>
// CHECK-SAME: tensor<2x6x6x8xf32>, tensor<2x6x3x8xf32>, tensor<2x6x3x8xf32>
func.func @five_loops(%q: tensor<2x6x3x2x8xf32>, %k: tensor<2x6x3x8xf32>, %v: tensor<2x6x3x8xf32>) -> tensor<2x6x3x2x8xf32> {
  %zero = arith.constant 0.0 : f32
  %ez = tensor.empty() : tensor<2x3x2x6x6xf32>
  %z0 = linalg.fill ins(%zero : f32) outs(%ez : tensor<2x3x2x6x6xf32>) -> tensor<2x3x2x6x6xf32>
  %z = linalg.generic {indexing_maps = [affine_map<(b, h, g, i, j, d) -> (b, i, h, g, d)>, affine_map<(b, h, g, i, j, d) -> (b, j, h, d)>, affine_map<(b, h, g, i, j, d) -> (b, h, g, i, j)>], iterator_types = ["parallel", "parallel", "parallel", "parallel", "parallel", "reduction"]}
      ins(%q, %k : tensor<2x6x3x2x8xf32>, tensor<2x6x3x8xf32>) outs(%z0 : tensor<2x3x2x6x6xf32>) {
    ^bb0(%a: f32, %b: f32, %acc: f32):
      %p = arith.mulf %a, %b : f32
      %t = arith.addf %acc, %p : f32
      linalg.yield %t : f32
    } -> tensor<2x3x2x6x6xf32>
  %l = linalg.generic {indexing_maps = [affine_map<(b, h, g, i, j) -> (b, h, g, i, j)>, affine_map<(b, h, g, i, j) -> (b, h, g, i, j)>], iterator_types = ["parallel", "parallel", "parallel", "parallel", "parallel"]}
      ins(%z : tensor<2x3x2x6x6xf32>) outs(%ez : tensor<2x3x2x6x6xf32>) {
    ^bb0(%a: f32, %out: f32):
      %i = linalg.index 3 : index
      %j = linalg.index 4 : index
      %hidden = arith.cmpi sgt, %j, %i : index
      %large = arith.constant -1.0e9 : f32
      %m = arith.select %hidden, %large, %a : f32
      linalg.yield %m : f32
    } -> tensor<2x3x2x6x6xf32>
  %p = linalg.softmax dimension(4) ins(%l : tensor<2x3x2x6x6xf32>) outs(%ez : tensor<2x3x2x6x6xf32>) -> tensor<2x3x2x6x6xf32>
  %ey = tensor.empty() : tensor<2x6x3x2x8xf32>
  %y0 = linalg.fill ins(%zero : f32) outs(%ey : tensor<2x6x3x2x8xf32>) -> tensor<2x6x3x2x8xf32>
  // REMARK: remark: {{.*}}raise-attention.mlir:[[@LINE+1]]:{{[0-9]+}}: raise-attention: raised to attention with mask causal, 6 heads on 3
  %y = linalg.generic {indexing_maps = [affine_map<(b, h, g, i, j, d) -> (b, h, g, i, j)>, affine_map<(b, h, g, i, j, d) -> (b, j, h, d)>, affine_map<(b, h, g, i, j, d) -> (b, i, h, g, d)>], iterator_types = ["parallel", "parallel", "parallel", "parallel", "reduction", "parallel"]}
      ins(%p, %v : tensor<2x3x2x6x6xf32>, tensor<2x6x3x8xf32>) outs(%y0 : tensor<2x6x3x2x8xf32>) {
    ^bb0(%a: f32, %b: f32, %acc: f32):
      %p1 = arith.mulf %a, %b : f32
      %t = arith.addf %acc, %p1 : f32
      linalg.yield %t : f32
    } -> tensor<2x6x3x2x8xf32>
  return %y : tensor<2x6x3x2x8xf32>
}

// What differs in one constant, or in one dimension, is not raised.

// A query does not see its own position.
// CHECK-LABEL: func.func @off_by_one
// CHECK-NOT: transformer.attention
func.func @off_by_one(%q: tensor<2x6x8xf32>, %k: tensor<2x6x8xf32>, %v: tensor<2x6x8xf32>) -> tensor<2x6x8xf32> {
  %zero = arith.constant 0.0 : f32
  %low = arith.constant 0xFF800000 : f32
  %ez = tensor.empty() : tensor<2x6x6xf32>
  %ey = tensor.empty() : tensor<2x6x8xf32>
  %z0 = linalg.fill ins(%zero : f32) outs(%ez : tensor<2x6x6xf32>) -> tensor<2x6x6xf32>
  %y0 = linalg.fill ins(%zero : f32) outs(%ey : tensor<2x6x8xf32>) -> tensor<2x6x8xf32>
  %z = linalg.generic {indexing_maps = [#q, #k, #z], iterator_types = ["parallel", "parallel", "parallel", "reduction"]}
      ins(%q, %k : tensor<2x6x8xf32>, tensor<2x6x8xf32>) outs(%z0 : tensor<2x6x6xf32>) {
    ^bb0(%a: f32, %b: f32, %acc: f32):
      %p = arith.mulf %a, %b : f32
      %t = arith.addf %acc, %p : f32
      linalg.yield %t : f32
    } -> tensor<2x6x6xf32>
  %l = linalg.generic {indexing_maps = [#s, #s], iterator_types = ["parallel", "parallel", "parallel"]}
      ins(%z : tensor<2x6x6xf32>) outs(%ez : tensor<2x6x6xf32>) {
    ^bb0(%a: f32, %out: f32):
      %i = linalg.index 1 : index
      %j = linalg.index 2 : index
      %seen = arith.cmpi slt, %j, %i : index
      %m = arith.select %seen, %a, %low : f32
      linalg.yield %m : f32
    } -> tensor<2x6x6xf32>
  %p = linalg.softmax dimension(2) ins(%l : tensor<2x6x6xf32>) outs(%ez : tensor<2x6x6xf32>) -> tensor<2x6x6xf32>
  // REMARK: remark: {{.*}}raise-attention.mlir:[[@LINE+1]]:{{[0-9]+}}: raise-attention missed: mask: lets a query see keys up to position -1 from its own; let it see keys up to its own position
  %y = linalg.batch_matmul ins(%p, %v : tensor<2x6x6xf32>, tensor<2x6x8xf32>) outs(%y0 : tensor<2x6x8xf32>) -> tensor<2x6x8xf32>
  return %y : tensor<2x6x8xf32>
}

// Unsigned, a key before the query is far behind it: a query sees its own position alone.
// CHECK-LABEL: func.func @unsigned_distance
// CHECK-NOT: transformer.attention
func.func @unsigned_distance(%q: tensor<2x6x8xf32>, %k: tensor<2x6x8xf32>, %v: tensor<2x6x8xf32>) -> tensor<2x6x8xf32> {
  %zero = arith.constant 0.0 : f32
  %low = arith.constant 0xFF800000 : f32
  %ez = tensor.empty() : tensor<2x6x6xf32>
  %ey = tensor.empty() : tensor<2x6x8xf32>
  %z0 = linalg.fill ins(%zero : f32) outs(%ez : tensor<2x6x6xf32>) -> tensor<2x6x6xf32>
  %y0 = linalg.fill ins(%zero : f32) outs(%ey : tensor<2x6x8xf32>) -> tensor<2x6x8xf32>
  %z = linalg.generic {indexing_maps = [#q, #k, #z], iterator_types = ["parallel", "parallel", "parallel", "reduction"]}
      ins(%q, %k : tensor<2x6x8xf32>, tensor<2x6x8xf32>) outs(%z0 : tensor<2x6x6xf32>) {
    ^bb0(%a: f32, %b: f32, %acc: f32):
      %p = arith.mulf %a, %b : f32
      %t = arith.addf %acc, %p : f32
      linalg.yield %t : f32
    } -> tensor<2x6x6xf32>
  %l = linalg.generic {indexing_maps = [#s, #s], iterator_types = ["parallel", "parallel", "parallel"]}
      ins(%z : tensor<2x6x6xf32>) outs(%ez : tensor<2x6x6xf32>) {
    ^bb0(%a: f32, %out: f32):
      %i = linalg.index 1 : index
      %j = linalg.index 2 : index
      %one = arith.constant 1 : index
      %apart = arith.subi %j, %i : index
      %seen = arith.cmpi ult, %apart, %one : index
      %m = arith.select %seen, %a, %low : f32
      linalg.yield %m : f32
    } -> tensor<2x6x6xf32>
  %p = linalg.softmax dimension(2) ins(%l : tensor<2x6x6xf32>) outs(%ez : tensor<2x6x6xf32>) -> tensor<2x6x6xf32>
  // REMARK: remark: {{.*}}raise-attention.mlir:[[@LINE+1]]:{{[0-9]+}}: raise-attention missed: mask: is no condition on the distance of key and query;
  %y = linalg.batch_matmul ins(%p, %v : tensor<2x6x6xf32>, tensor<2x6x8xf32>) outs(%y0 : tensor<2x6x8xf32>) -> tensor<2x6x8xf32>
  return %y : tensor<2x6x8xf32>
}

// A query sees one position ahead.
// CHECK-LABEL: func.func @one_ahead
// CHECK-NOT: transformer.attention
func.func @one_ahead(%q: tensor<2x6x8xf32>, %k: tensor<2x6x8xf32>, %v: tensor<2x6x8xf32>) -> tensor<2x6x8xf32> {
  %zero = arith.constant 0.0 : f32
  %low = arith.constant 0xFF800000 : f32
  %ez = tensor.empty() : tensor<2x6x6xf32>
  %ey = tensor.empty() : tensor<2x6x8xf32>
  %z0 = linalg.fill ins(%zero : f32) outs(%ez : tensor<2x6x6xf32>) -> tensor<2x6x6xf32>
  %y0 = linalg.fill ins(%zero : f32) outs(%ey : tensor<2x6x8xf32>) -> tensor<2x6x8xf32>
  %z = linalg.generic {indexing_maps = [#q, #k, #z], iterator_types = ["parallel", "parallel", "parallel", "reduction"]}
      ins(%q, %k : tensor<2x6x8xf32>, tensor<2x6x8xf32>) outs(%z0 : tensor<2x6x6xf32>) {
    ^bb0(%a: f32, %b: f32, %acc: f32):
      %p = arith.mulf %a, %b : f32
      %t = arith.addf %acc, %p : f32
      linalg.yield %t : f32
    } -> tensor<2x6x6xf32>
  %l = linalg.generic {indexing_maps = [#s, #s], iterator_types = ["parallel", "parallel", "parallel"]}
      ins(%z : tensor<2x6x6xf32>) outs(%ez : tensor<2x6x6xf32>) {
    ^bb0(%a: f32, %out: f32):
      %i = linalg.index 1 : index
      %j = linalg.index 2 : index
      %one = arith.constant 1 : index
      %next = arith.addi %i, %one : index
      %seen = arith.cmpi sle, %j, %next : index
      %m = arith.select %seen, %a, %low : f32
      linalg.yield %m : f32
    } -> tensor<2x6x6xf32>
  %p = linalg.softmax dimension(2) ins(%l : tensor<2x6x6xf32>) outs(%ez : tensor<2x6x6xf32>) -> tensor<2x6x6xf32>
  // REMARK: remark: {{.*}}raise-attention.mlir:[[@LINE+1]]:{{[0-9]+}}: raise-attention missed: mask: lets a query see keys up to position 1 from its own; let it see keys up to its own position
  %y = linalg.batch_matmul ins(%p, %v : tensor<2x6x6xf32>, tensor<2x6x8xf32>) outs(%y0 : tensor<2x6x8xf32>) -> tensor<2x6x8xf32>
  return %y : tensor<2x6x8xf32>
}

// The triangle is the other one.
// CHECK-LABEL: func.func @later_keys
// CHECK-NOT: transformer.attention
func.func @later_keys(%q: tensor<2x6x8xf32>, %k: tensor<2x6x8xf32>, %v: tensor<2x6x8xf32>) -> tensor<2x6x8xf32> {
  %zero = arith.constant 0.0 : f32
  %low = arith.constant 0xFF800000 : f32
  %ez = tensor.empty() : tensor<2x6x6xf32>
  %ey = tensor.empty() : tensor<2x6x8xf32>
  %z0 = linalg.fill ins(%zero : f32) outs(%ez : tensor<2x6x6xf32>) -> tensor<2x6x6xf32>
  %y0 = linalg.fill ins(%zero : f32) outs(%ey : tensor<2x6x8xf32>) -> tensor<2x6x8xf32>
  %z = linalg.generic {indexing_maps = [#q, #k, #z], iterator_types = ["parallel", "parallel", "parallel", "reduction"]}
      ins(%q, %k : tensor<2x6x8xf32>, tensor<2x6x8xf32>) outs(%z0 : tensor<2x6x6xf32>) {
    ^bb0(%a: f32, %b: f32, %acc: f32):
      %p = arith.mulf %a, %b : f32
      %t = arith.addf %acc, %p : f32
      linalg.yield %t : f32
    } -> tensor<2x6x6xf32>
  %l = linalg.generic {indexing_maps = [#s, #s], iterator_types = ["parallel", "parallel", "parallel"]}
      ins(%z : tensor<2x6x6xf32>) outs(%ez : tensor<2x6x6xf32>) {
    ^bb0(%a: f32, %out: f32):
      %i = linalg.index 1 : index
      %j = linalg.index 2 : index
      %seen = arith.cmpi sge, %j, %i : index
      %m = arith.select %seen, %a, %low : f32
      linalg.yield %m : f32
    } -> tensor<2x6x6xf32>
  %p = linalg.softmax dimension(2) ins(%l : tensor<2x6x6xf32>) outs(%ez : tensor<2x6x6xf32>) -> tensor<2x6x6xf32>
  // REMARK: remark: {{.*}}raise-attention.mlir:[[@LINE+1]]:{{[0-9]+}}: raise-attention missed: mask: lets a query see keys behind its own position; let it see keys up to its own position
  %y = linalg.batch_matmul ins(%p, %v : tensor<2x6x6xf32>, tensor<2x6x8xf32>) outs(%y0 : tensor<2x6x8xf32>) -> tensor<2x6x8xf32>
  return %y : tensor<2x6x8xf32>
}

// Hidden scores are less by a hundred only.
// CHECK-LABEL: func.func @small_mask
// CHECK-NOT: transformer.attention
func.func @small_mask(%q: tensor<2x6x8xf32>, %k: tensor<2x6x8xf32>, %v: tensor<2x6x8xf32>) -> tensor<2x6x8xf32> {
  %zero = arith.constant 0.0 : f32
  %low = arith.constant 0xFF800000 : f32
  %ez = tensor.empty() : tensor<2x6x6xf32>
  %ey = tensor.empty() : tensor<2x6x8xf32>
  %z0 = linalg.fill ins(%zero : f32) outs(%ez : tensor<2x6x6xf32>) -> tensor<2x6x6xf32>
  %y0 = linalg.fill ins(%zero : f32) outs(%ey : tensor<2x6x8xf32>) -> tensor<2x6x8xf32>
  %z = linalg.generic {indexing_maps = [#q, #k, #z], iterator_types = ["parallel", "parallel", "parallel", "reduction"]}
      ins(%q, %k : tensor<2x6x8xf32>, tensor<2x6x8xf32>) outs(%z0 : tensor<2x6x6xf32>) {
    ^bb0(%a: f32, %b: f32, %acc: f32):
      %p = arith.mulf %a, %b : f32
      %t = arith.addf %acc, %p : f32
      linalg.yield %t : f32
    } -> tensor<2x6x6xf32>
  %l = linalg.generic {indexing_maps = [#s, #s], iterator_types = ["parallel", "parallel", "parallel"]}
      ins(%z : tensor<2x6x6xf32>) outs(%ez : tensor<2x6x6xf32>) {
    ^bb0(%a: f32, %out: f32):
      %i = linalg.index 1 : index
      %j = linalg.index 2 : index
      %seen = arith.cmpi sle, %j, %i : index
      %hundred = arith.constant -100.0 : f32
      %m0 = arith.select %seen, %zero, %hundred : f32
      %m = arith.addf %a, %m0 : f32
      linalg.yield %m : f32
    } -> tensor<2x6x6xf32>
  %p = linalg.softmax dimension(2) ins(%l : tensor<2x6x6xf32>) outs(%ez : tensor<2x6x6xf32>) -> tensor<2x6x6xf32>
  // REMARK: remark: {{.*}}raise-attention.mlir:[[@LINE+1]]:{{[0-9]+}}: raise-attention missed: mask: adds 0.000000 or -100.000000; add 0 to what is seen, and minus infinity or a number below -1e4 to what is hidden
  %y = linalg.batch_matmul ins(%p, %v : tensor<2x6x6xf32>, tensor<2x6x8xf32>) outs(%y0 : tensor<2x6x8xf32>) -> tensor<2x6x8xf32>
  return %y : tensor<2x6x8xf32>
}

// What is seen is raised by one: softmax does not tell, and neither do we guess.
// CHECK-LABEL: func.func @shifted_mask
// CHECK-NOT: transformer.attention
func.func @shifted_mask(%q: tensor<2x6x8xf32>, %k: tensor<2x6x8xf32>, %v: tensor<2x6x8xf32>) -> tensor<2x6x8xf32> {
  %zero = arith.constant 0.0 : f32
  %low = arith.constant 0xFF800000 : f32
  %ez = tensor.empty() : tensor<2x6x6xf32>
  %ey = tensor.empty() : tensor<2x6x8xf32>
  %z0 = linalg.fill ins(%zero : f32) outs(%ez : tensor<2x6x6xf32>) -> tensor<2x6x6xf32>
  %y0 = linalg.fill ins(%zero : f32) outs(%ey : tensor<2x6x8xf32>) -> tensor<2x6x8xf32>
  %z = linalg.generic {indexing_maps = [#q, #k, #z], iterator_types = ["parallel", "parallel", "parallel", "reduction"]}
      ins(%q, %k : tensor<2x6x8xf32>, tensor<2x6x8xf32>) outs(%z0 : tensor<2x6x6xf32>) {
    ^bb0(%a: f32, %b: f32, %acc: f32):
      %p = arith.mulf %a, %b : f32
      %t = arith.addf %acc, %p : f32
      linalg.yield %t : f32
    } -> tensor<2x6x6xf32>
  %l = linalg.generic {indexing_maps = [#s, #s], iterator_types = ["parallel", "parallel", "parallel"]}
      ins(%z : tensor<2x6x6xf32>) outs(%ez : tensor<2x6x6xf32>) {
    ^bb0(%a: f32, %out: f32):
      %i = linalg.index 1 : index
      %j = linalg.index 2 : index
      %seen = arith.cmpi sle, %j, %i : index
      %one = arith.constant 1.0 : f32
      %m0 = arith.select %seen, %one, %low : f32
      %m = arith.addf %a, %m0 : f32
      linalg.yield %m : f32
    } -> tensor<2x6x6xf32>
  %p = linalg.softmax dimension(2) ins(%l : tensor<2x6x6xf32>) outs(%ez : tensor<2x6x6xf32>) -> tensor<2x6x6xf32>
  // REMARK: remark: {{.*}}raise-attention.mlir:[[@LINE+1]]:{{[0-9]+}}: raise-attention missed: mask: adds 1.000000 or -inf;
  %y = linalg.batch_matmul ins(%p, %v : tensor<2x6x6xf32>, tensor<2x6x8xf32>) outs(%y0 : tensor<2x6x8xf32>) -> tensor<2x6x8xf32>
  return %y : tensor<2x6x8xf32>
}

// The softmax is over queries.
// CHECK-LABEL: func.func @wrong_axis
// CHECK-NOT: transformer.attention
func.func @wrong_axis(%q: tensor<2x6x8xf32>, %k: tensor<2x6x8xf32>, %v: tensor<2x6x8xf32>) -> tensor<2x6x8xf32> {
  %zero = arith.constant 0.0 : f32
  %low = arith.constant 0xFF800000 : f32
  %ez = tensor.empty() : tensor<2x6x6xf32>
  %ey = tensor.empty() : tensor<2x6x8xf32>
  %z0 = linalg.fill ins(%zero : f32) outs(%ez : tensor<2x6x6xf32>) -> tensor<2x6x6xf32>
  %y0 = linalg.fill ins(%zero : f32) outs(%ey : tensor<2x6x8xf32>) -> tensor<2x6x8xf32>
  %z = linalg.generic {indexing_maps = [#q, #k, #z], iterator_types = ["parallel", "parallel", "parallel", "reduction"]}
      ins(%q, %k : tensor<2x6x8xf32>, tensor<2x6x8xf32>) outs(%z0 : tensor<2x6x6xf32>) {
    ^bb0(%a: f32, %b: f32, %acc: f32):
      %p = arith.mulf %a, %b : f32
      %t = arith.addf %acc, %p : f32
      linalg.yield %t : f32
    } -> tensor<2x6x6xf32>
  %p = linalg.softmax dimension(1) ins(%z : tensor<2x6x6xf32>) outs(%ez : tensor<2x6x6xf32>) -> tensor<2x6x6xf32>
  // REMARK: remark: {{.*}}raise-attention.mlir:[[@LINE+1]]:{{[0-9]+}}: raise-attention missed: softmax: is not over the keys that the values are summed over; take it over the last dimension of the scores
  %y = linalg.batch_matmul ins(%p, %v : tensor<2x6x6xf32>, tensor<2x6x8xf32>) outs(%y0 : tensor<2x6x8xf32>) -> tensor<2x6x8xf32>
  return %y : tensor<2x6x8xf32>
}

// The exponentials are divided by a sum of others.
// CHECK-LABEL: func.func @other_sum
// CHECK-NOT: transformer.attention
func.func @other_sum(%q: tensor<2x6x8xf32>, %k: tensor<2x6x8xf32>, %v: tensor<2x6x8xf32>, %ez1: tensor<2x6x6xf32>) -> tensor<2x6x8xf32> {
  %zero = arith.constant 0.0 : f32
  %low = arith.constant 0xFF800000 : f32
  %ez = tensor.empty() : tensor<2x6x6xf32>
  %ey = tensor.empty() : tensor<2x6x8xf32>
  %z0 = linalg.fill ins(%zero : f32) outs(%ez : tensor<2x6x6xf32>) -> tensor<2x6x6xf32>
  %y0 = linalg.fill ins(%zero : f32) outs(%ey : tensor<2x6x8xf32>) -> tensor<2x6x8xf32>
  %z = linalg.generic {indexing_maps = [#q, #k, #z], iterator_types = ["parallel", "parallel", "parallel", "reduction"]}
      ins(%q, %k : tensor<2x6x8xf32>, tensor<2x6x8xf32>) outs(%z0 : tensor<2x6x6xf32>) {
    ^bb0(%a: f32, %b: f32, %acc: f32):
      %p = arith.mulf %a, %b : f32
      %t = arith.addf %acc, %p : f32
      linalg.yield %t : f32
    } -> tensor<2x6x6xf32>
  %l = arith.addf %z, %ez1 : tensor<2x6x6xf32>
  %e2 = tensor.empty() : tensor<2x6xf32>
  %lowest = linalg.fill ins(%low : f32) outs(%e2 : tensor<2x6xf32>) -> tensor<2x6xf32>
  %max = linalg.reduce { arith.maximumf } ins(%l : tensor<2x6x6xf32>) outs(%lowest : tensor<2x6xf32>) dimensions = [2]
  %maxs = linalg.broadcast ins(%max : tensor<2x6xf32>) outs(%ez : tensor<2x6x6xf32>) dimensions = [2]
  %less = arith.subf %l, %maxs : tensor<2x6x6xf32>
  %exp = math.exp %less : tensor<2x6x6xf32>
  %other = math.exp %l : tensor<2x6x6xf32>
  %zeros = linalg.fill ins(%zero : f32) outs(%e2 : tensor<2x6xf32>) -> tensor<2x6xf32>
  %sum = linalg.reduce { arith.addf } ins(%other : tensor<2x6x6xf32>) outs(%zeros : tensor<2x6xf32>) dimensions = [2]
  %sums = linalg.broadcast ins(%sum : tensor<2x6xf32>) outs(%ez : tensor<2x6x6xf32>) dimensions = [2]
  %p = arith.divf %exp, %sums : tensor<2x6x6xf32>
  // REMARK: remark: {{.*}}raise-attention.mlir:[[@LINE+1]]:{{[0-9]+}}: raise-attention missed: softmax: divides by a sum of other elements than its own exponentials; sum the exponentials that are divided
  %y = linalg.batch_matmul ins(%p, %v : tensor<2x6x6xf32>, tensor<2x6x8xf32>) outs(%y0 : tensor<2x6x8xf32>) -> tensor<2x6x8xf32>
  return %y : tensor<2x6x8xf32>
}

// Six queries and eight keys: positions do not begin at one place.
// CHECK-LABEL: func.func @longer_keys
// CHECK-NOT: transformer.attention
func.func @longer_keys(%q: tensor<2x6x4xf32>, %k: tensor<2x8x4xf32>, %v: tensor<2x8x4xf32>) -> tensor<2x6x4xf32> {
  %zero = arith.constant 0.0 : f32
  %low = arith.constant 0xFF800000 : f32
  %ez = tensor.empty() : tensor<2x6x8xf32>
  %z0 = linalg.fill ins(%zero : f32) outs(%ez : tensor<2x6x8xf32>) -> tensor<2x6x8xf32>
  %z = linalg.generic {indexing_maps = [#q, #k, #z], iterator_types = ["parallel", "parallel", "parallel", "reduction"]}
      ins(%q, %k : tensor<2x6x4xf32>, tensor<2x8x4xf32>) outs(%z0 : tensor<2x6x8xf32>) {
    ^bb0(%a: f32, %b: f32, %acc: f32):
      %p = arith.mulf %a, %b : f32
      %t = arith.addf %acc, %p : f32
      linalg.yield %t : f32
    } -> tensor<2x6x8xf32>
  %l = linalg.generic {indexing_maps = [#s, #s], iterator_types = ["parallel", "parallel", "parallel"]}
      ins(%z : tensor<2x6x8xf32>) outs(%ez : tensor<2x6x8xf32>) {
    ^bb0(%a: f32, %out: f32):
      %i = linalg.index 1 : index
      %j = linalg.index 2 : index
      %seen = arith.cmpi sle, %j, %i : index
      %m = arith.select %seen, %a, %low : f32
      linalg.yield %m : f32
    } -> tensor<2x6x8xf32>
  %p = linalg.softmax dimension(2) ins(%l : tensor<2x6x8xf32>) outs(%ez : tensor<2x6x8xf32>) -> tensor<2x6x8xf32>
  %ey = tensor.empty() : tensor<2x6x4xf32>
  %y0 = linalg.fill ins(%zero : f32) outs(%ey : tensor<2x6x4xf32>) -> tensor<2x6x4xf32>
  // REMARK: remark: {{.*}}raise-attention.mlir:[[@LINE+1]]:{{[0-9]+}}: raise-attention missed: mask: compares positions where there are more keys than queries; append keys and values to a cache
  %y = linalg.batch_matmul ins(%p, %v : tensor<2x6x8xf32>, tensor<2x8x4xf32>) outs(%y0 : tensor<2x6x4xf32>) -> tensor<2x6x4xf32>
  return %y : tensor<2x6x4xf32>
}
