// RUN: tfopt compile %s --passes=transformer-trim-position-tables --stop-at=optimized --remarks=all --verify-numerics 2> %t | FileCheck %s
// RUN: FileCheck %s --check-prefix=REMARK --implicit-check-not=remark: --implicit-check-not=error: < %t

// RUN: tfopt %s --transformer-trim-position-tables | FileCheck %s

// A module for 16 positions.
module attributes {transformer.model = {max_positions = 16 : i64}} {
  transformer.derive @cos = rope_table() {part = "cos", scaling = "none", theta = 1.0e4 : f64} : tensor<64x4xf32>
  transformer.derive @sin = rope_table() {part = "sin", scaling = "none", theta = 1.0e4 : f64} : tensor<64x4xf32>
  transformer.derive @short = rope_table() {part = "sin", scaling = "none", theta = 1.0e4 : f64} : tensor<16x4xf32>
  transformer.weight @stored : tensor<32x8xf32> from "model.safetensors"
  // CHECK: transformer.derive @[[COS:cos_[0-9]+]] = rope_table() {part = "cos", scaling = "none", theta = 1.000000e+04 : f64} : tensor<16x4xf32>
  // CHECK: transformer.derive @[[ROWS:.*]] = slice(@stored) {axis = 0 : i64, begin = 0 : i64, end = 16 : i64} : tensor<16x8xf32>

  // Computed tables are computed shorter, for queries and keys the same; one is there already.
  // CHECK-LABEL: func.func @rotate
  // CHECK-DAG: transformer.use @[[COS]] : tensor<16x4xf32>
  // CHECK-DAG: transformer.use @short : tensor<16x4xf32>
  // CHECK-COUNT-2: transformer.rope half_split {{.*}} tensor<16x4xf32>, tensor<16x4xf32>
  func.func @rotate(%q: tensor<1x2x4x8xf32>, %k: tensor<1x2x2x8xf32>, %at: tensor<1xi32>) -> (tensor<1x2x4x8xf32>, tensor<1x2x2x8xf32>) {
    %0 = transformer.use @cos : tensor<64x4xf32>
    %1 = transformer.use @sin : tensor<64x4xf32>
    // REMARK: remark: {{.*}}trim-position-tables.mlir:[[@LINE+2]]:10: trim-position-tables: 16 rows of cos instead of 64
    // REMARK: remark: {{.*}}trim-position-tables.mlir:[[@LINE+1]]:10: trim-position-tables: 16 rows of sin instead of 64
    %2 = transformer.rope half_split %q, %0, %1 at %at : tensor<1x2x4x8xf32>, tensor<64x4xf32>, tensor<64x4xf32>, tensor<1xi32> -> tensor<1x2x4x8xf32>
    // REMARK-COUNT-2: remark: {{.*}}trim-position-tables.mlir:[[@LINE+1]]:10:
    %3 = transformer.rope half_split %k, %0, %1 at %at : tensor<1x2x2x8xf32>, tensor<64x4xf32>, tensor<64x4xf32>, tensor<1xi32> -> tensor<1x2x2x8xf32>
    return %2, %3 : tensor<1x2x4x8xf32>, tensor<1x2x2x8xf32>
  }

  // A stored table is cut, where its ids are positions; where they are tokens, every row may be read.
  // CHECK-LABEL: func.func @learned
  // CHECK-DAG: %[[P:.*]] = transformer.use @[[ROWS]]
  // CHECK-DAG: %[[T:.*]] = transformer.use @stored
  // CHECK-DAG: transformer.embedding %{{.*}}, %[[P]] : tensor<?x?xi32>, tensor<16x8xf32>
  // CHECK-DAG: transformer.embedding %{{.*}}, %[[T]] : tensor<?x?xi32>, tensor<32x8xf32>
  func.func @learned(%tokens: tensor<?x?xi32> {transformer.range = array<i64: 0, 32>}, %c: !transformer.kv_cache<2 x 8 x f32, full>) -> (tensor<?x?x8xf32>, tensor<?x?x8xf32>) {
    %c0 = arith.constant 0 : index
    %c1 = arith.constant 1 : index
    %b = tensor.dim %tokens, %c0 : tensor<?x?xi32>
    %s = tensor.dim %tokens, %c1 : tensor<?x?xi32>
    %length = transformer.cache_length %c : <2 x 8 x f32, full> -> tensor<?xi32>
    %empty = tensor.empty(%b, %s) : tensor<?x?xi32>
    %at = linalg.generic {indexing_maps = [affine_map<(b, s) -> (b)>, affine_map<(b, s) -> (b, s)>], iterator_types = ["parallel", "parallel"]} ins(%length : tensor<?xi32>) outs(%empty : tensor<?x?xi32>) {
    ^bb0(%l: i32, %out: i32):
      %i = linalg.index 1 : index
      %j = arith.index_cast %i : index to i32
      %p = arith.addi %l, %j : i32
      linalg.yield %p : i32
    } -> tensor<?x?xi32>
    %table = transformer.use @stored : tensor<32x8xf32>
    // REMARK: remark: {{.*}}trim-position-tables.mlir:[[@LINE+1]]:10: trim-position-tables: 16 rows of stored instead of 32
    %0 = transformer.embedding %at, %table : tensor<?x?xi32>, tensor<32x8xf32> -> tensor<?x?x8xf32>
    %1 = transformer.embedding %tokens, %table : tensor<?x?xi32>, tensor<32x8xf32> -> tensor<?x?x8xf32>
    return %0, %1 : tensor<?x?x8xf32>, tensor<?x?x8xf32>
  }

  // Of a pair of tables one is given to the function: neither is cut. One of the right length stays.
  // CHECK-LABEL: func.func @stays
  // CHECK: transformer.rope half_split {{.*}} tensor<64x4xf32>, tensor<64x4xf32>
  // CHECK: transformer.rope half_split {{.*}} tensor<16x4xf32>, tensor<16x4xf32>
  func.func @stays(%q: tensor<1x2x4x8xf32>, %sin: tensor<64x4xf32>, %at: tensor<1xi32>) -> tensor<1x2x4x8xf32> {
    %0 = transformer.use @cos : tensor<64x4xf32>
    %1 = transformer.use @short : tensor<16x4xf32>
    // REMARK: remark: {{.*}}trim-position-tables.mlir:[[@LINE+1]]:10: trim-position-tables missed: table: is a value computed at run time; make it a transformer.weight
    %2 = transformer.rope half_split %q, %0, %sin at %at : tensor<1x2x4x8xf32>, tensor<64x4xf32>, tensor<64x4xf32>, tensor<1xi32> -> tensor<1x2x4x8xf32>
    %3 = transformer.rope half_split %2, %1, %1 at %at : tensor<1x2x4x8xf32>, tensor<16x4xf32>, tensor<16x4xf32>, tensor<1xi32> -> tensor<1x2x4x8xf32>
    return %3 : tensor<1x2x4x8xf32>
  }
}
