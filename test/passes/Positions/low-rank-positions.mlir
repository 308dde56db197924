// The factors are computed from a table of rank 4, which they keep to within rounding.
// RUN: rm -rf %t && mkdir -p %t && %python %test_tools/low_rank_table.py %t/model.safetensors && cp %s %t/m.mlir
// RUN: tfopt compile %t/m.mlir "--passes=transformer-low-rank-positions{rank=4 max-error=1e-6}" --stop-at=optimized --remarks=all --verify-numerics=1e-6 2> %t/log | FileCheck %s
// RUN: FileCheck %s --check-prefix=REMARK --implicit-check-not=remark: < %t/log

// A lower rank loses more than a tenth of it: that is told when the factors are computed, with the rank that is enough.
// RUN: not tfopt compile %t/m.mlir "--passes=transformer-low-rank-positions{rank=2}" --stop-at=optimized --verify-numerics --reproducer=%t/r.mlir 2>&1 | FileCheck %s --check-prefix=RANK
// RANK: derived weight @smooth.factorize{{.*}}: factors of rank 2 have a relative error of 0.{{[0-9]+}}, more than 0.01; rank {{[34]}} is enough

// Where a rank of 2 is allowed, what it does to results is beyond what lossy passes of positions may lose.
// RUN: not tfopt compile %t/m.mlir "--passes=transformer-low-rank-positions{rank=2 max-error=1}" --stop-at=optimized --verify-numerics --reproducer=%t/r.mlir 2>&1 | FileCheck %s --check-prefix=BUDGET
// BUDGET: verify-numerics: transformer-low-rank-positions changes @positions by a relative {{[0-9.]+}}e-01, more than 5e-02
// RUN: FileCheck %s --check-prefix=COMMAND < %t/r.mlir
// COMMAND: // tfopt compile {{.*}}r.mlir "--passes=transformer-low-rank-positions{max-error={{[^ ]*}} rank=2}" --verify-numerics

// RUN: not tfopt %s "--transformer-low-rank-positions=rank=0" 2>&1 | FileCheck %s --check-prefix=NONE
// NONE: error: expected a rank of 1 or more and a max-error of 0 or more, but got 0 and 1.0

transformer.weight @smooth : tensor<64x32xf32> from "model.safetensors"
// CHECK: transformer.derive @[[L:.*]] = factorize(@smooth) {max_error = 9.9999999999999995E-7 : f64, part = "left", rank = 4 : i64} : tensor<64x4xf32>
// CHECK: transformer.derive @[[R:.*]] = factorize(@smooth) {{{.*}} part = "right", rank = 4 : i64} : tensor<4x32xf32>
// CHECK: transformer.derive @[[T:.*]] = transpose(@[[R]]) : tensor<32x4xf32>

// CHECK-LABEL: func.func @positions
// CHECK-DAG: %[[VL:.*]] = transformer.use @[[L]]
// CHECK-DAG: %[[VT:.*]] = transformer.use @[[T]]
// CHECK: %[[E:.*]] = transformer.embedding %{{.*}}, %[[VL]] : tensor<?xi32>, tensor<64x4xf32> -> tensor<?x4xf32>
// CHECK: transformer.linear %[[E]], %[[VT]] : tensor<?x4xf32>, tensor<32x4xf32> -> tensor<?x32xf32>
func.func @positions(%c: !transformer.kv_cache<2 x 8 x f32, full>) -> tensor<?x32xf32> {
  %at = transformer.cache_length %c : <2 x 8 x f32, full> -> tensor<?xi32>
  %p = transformer.use @smooth : tensor<64x32xf32>
  // REMARK: remark: {{.*}}m.mlir:[[@LINE+1]]:8: low-rank-positions: factors of rank 4: 384 weights instead of 2048
  %0 = transformer.embedding %at, %p : tensor<?xi32>, tensor<64x32xf32> -> tensor<?x32xf32>
  return %0 : tensor<?x32xf32>
}

// Rows of tokens are no positions.
// CHECK-LABEL: func.func @tokens
// CHECK: transformer.embedding %{{.*}} tensor<64x32xf32>
func.func @tokens(%ids: tensor<?xi32>) -> tensor<?x32xf32> {
  %p = transformer.use @smooth : tensor<64x32xf32>
  %0 = transformer.embedding %ids, %p : tensor<?xi32>, tensor<64x32xf32> -> tensor<?x32xf32>
  return %0 : tensor<?x32xf32>
}

// The factors of a small table are no smaller.
transformer.weight @few : tensor<4x32xf32> from "model.safetensors"
// CHECK-LABEL: func.func @small
// CHECK: transformer.embedding %{{.*}} tensor<4x32xf32>
func.func @small(%c: !transformer.kv_cache<2 x 8 x f32, full>) -> tensor<?x32xf32> {
  %at = transformer.cache_length %c : <2 x 8 x f32, full> -> tensor<?xi32>
  %p = transformer.use @few : tensor<4x32xf32>
  // REMARK: remark: {{.*}}m.mlir:[[@LINE+1]]:8: low-rank-positions missed: table: has 128 elements, its factors of rank 4 144; ask for a rank below 4
  %0 = transformer.embedding %at, %p : tensor<?xi32>, tensor<4x32xf32> -> tensor<?x32xf32>
  return %0 : tensor<?x32xf32>
}
