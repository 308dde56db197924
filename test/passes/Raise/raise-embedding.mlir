// RUN: tfopt compile %s --passes=transformer-raise-embedding --stop-at=optimized --remarks=all --verify-numerics 2> %t | FileCheck %s
// RUN: FileCheck %s --check-prefix=REMARK --implicit-check-not=remark: --implicit-check-not=error: < %t

transformer.weight @table : tensor<16x8xf32> from "model.safetensors"

// Ids are an operand of the op that gathers.
// CHECK-LABEL: func.func @operand
// CHECK: %[[T:.*]] = transformer.use @table
// CHECK-NEXT: transformer.embedding %arg0, %[[T]] : tensor<2x3xi32>, tensor<16x8xf32> -> tensor<2x3x8xf32>
// CHECK-NEXT: return
func.func @operand(%ids: tensor<2x3xi32> {transformer.name = "ids", transformer.dims = ["", ""], transformer.range = [0, 16]}) -> tensor<2x3x8xf32> {
  %table = transformer.use @table : tensor<16x8xf32>
  %e = tensor.empty() : tensor<2x3x8xf32>
  // REMARK: remark: {{.*}}raise-embedding.mlir:[[@LINE+1]]:{{[0-9]+}}: raise-embedding: raised to embedding
  %y = linalg.generic {indexing_maps = [affine_map<(b, s, d) -> (b, s)>, affine_map<(b, s, d) -> (b, s, d)>], iterator_types = ["parallel", "parallel", "parallel"]}
      ins(%ids : tensor<2x3xi32>) outs(%e : tensor<2x3x8xf32>) {
    ^bb0(%id: i32, %out: f32):
      %row = arith.index_cast %id : i32 to index
      %d = linalg.index 2 : index
      %v = tensor.extract %table[%row, %d] : tensor<16x8xf32>
      linalg.yield %v : f32
    } -> tensor<2x3x8xf32>
  return %y : tensor<2x3x8xf32>
}

// Ids are read by their index, and the column comes first.
// CHECK-LABEL: func.func @by_index
// CHECK: transformer.embedding %arg0, %{{.*}} : tensor<?x3xi32>, tensor<16x8xf32> -> tensor<?x3x8xf32>
// CHECK: linalg.transpose {{.*}} permutation = [2, 0, 1]
func.func @by_index(%ids: tensor<?x3xi32> {transformer.name = "ids", transformer.dims = ["B", ""], transformer.range = [0, 16]}) -> tensor<8x?x3xf32> {
  %table = transformer.use @table : tensor<16x8xf32>
  %c0 = arith.constant 0 : index
  %n = tensor.dim %ids, %c0 : tensor<?x3xi32>
  %e = tensor.empty(%n) : tensor<8x?x3xf32>
  // REMARK: remark: {{.*}}raise-embedding.mlir:[[@LINE+1]]:{{[0-9]+}}: raise-embedding: raised to embedding
  %y = linalg.generic {indexing_maps = [affine_map<(d, b, s) -> (d, b, s)>], iterator_types = ["parallel", "parallel", "parallel"]}
      outs(%e : tensor<8x?x3xf32>) {
    ^bb0(%out: f32):
      %d = linalg.index 0 : index
      %b = linalg.index 1 : index
      %s = linalg.index 2 : index
      %id = tensor.extract %ids[%b, %s] : tensor<?x3xi32>
      %row = arith.index_cast %id : i32 to index
      %v = tensor.extract %table[%row, %d] : tensor<16x8xf32>
      linalg.yield %v : f32
    } -> tensor<8x?x3xf32>
  return %y : tensor<8x?x3xf32>
}

// Ids are flattened, and the table is narrow.
transformer.weight @narrow : tensor<16x8xbf16> from "model.safetensors"
// CHECK-LABEL: func.func @flattened
// CHECK: transformer.embedding %arg0, %{{.*}} : tensor<2x3xi32>, tensor<16x8xbf16> -> tensor<2x3x8xf32>
func.func @flattened(%ids: tensor<2x3xi32> {transformer.name = "ids", transformer.dims = ["", ""], transformer.range = [0, 16]}) -> tensor<6x8xf32> {
  %table = transformer.use @narrow : tensor<16x8xbf16>
  %flat = tensor.collapse_shape %ids [[0, 1]] : tensor<2x3xi32> into tensor<6xi32>
  %e = tensor.empty() : tensor<6x8xf32>
  // REMARK: remark: {{.*}}raise-embedding.mlir:[[@LINE+1]]:{{[0-9]+}}: raise-embedding: raised to embedding
  %y = linalg.generic {indexing_maps = [affine_map<(s, d) -> (s)>, affine_map<(s, d) -> (s, d)>], iterator_types = ["parallel", "parallel"]}
      ins(%flat : tensor<6xi32>) outs(%e : tensor<6x8xf32>) {
    ^bb0(%id: i32, %out: f32):
      %row = arith.index_castui %id : i32 to index
      %d = linalg.index 1 : index
      %v = tensor.extract %table[%row, %d] : tensor<16x8xbf16>
      %w = arith.extf %v : bf16 to f32
      linalg.yield %w : f32
    } -> tensor<6x8xf32>
  return %y : tensor<6x8xf32>
}

// The row after the one that the id names.
// CHECK-LABEL: func.func @next_row
// CHECK-NOT: transformer.embedding
func.func @next_row(%ids: tensor<2x3xi32> {transformer.name = "ids", transformer.dims = ["", ""], transformer.range = [0, 15]}) -> tensor<2x3x8xf32> {
  %table = transformer.use @table : tensor<16x8xf32>
  %e = tensor.empty() : tensor<2x3x8xf32>
  %one = arith.constant 1 : index
  // REMARK: remark: {{.*}}raise-embedding.mlir:[[@LINE+1]]:{{[0-9]+}}: raise-embedding missed: ids: are computed; gather the rows that a tensor of ids names
  %y = linalg.generic {indexing_maps = [affine_map<(b, s, d) -> (b, s)>, affine_map<(b, s, d) -> (b, s, d)>], iterator_types = ["parallel", "parallel", "parallel"]}
      ins(%ids : tensor<2x3xi32>) outs(%e : tensor<2x3x8xf32>) {
    ^bb0(%id: i32, %out: f32):
      %at = arith.index_cast %id : i32 to index
      %row = arith.addi %at, %one : index
      %d = linalg.index 2 : index
      %v = tensor.extract %table[%row, %d] : tensor<16x8xf32>
      linalg.yield %v : f32
    } -> tensor<2x3x8xf32>
  return %y : tensor<2x3x8xf32>
}

// Columns of the table, not rows.
// CHECK-LABEL: func.func @columns
// CHECK-NOT: transformer.embedding
func.func @columns(%ids: tensor<2x3xi32> {transformer.name = "ids", transformer.dims = ["", ""], transformer.range = [0, 8]}) -> tensor<2x3x16xf32> {
  %table = transformer.use @table : tensor<16x8xf32>
  %e = tensor.empty() : tensor<2x3x16xf32>
  // REMARK: remark: {{.*}}raise-embedding.mlir:[[@LINE+1]]:{{[0-9]+}}: raise-embedding missed: ids: choose columns; transpose the table
  %y = linalg.generic {indexing_maps = [affine_map<(b, s, d) -> (b, s)>, affine_map<(b, s, d) -> (b, s, d)>], iterator_types = ["parallel", "parallel", "parallel"]}
      ins(%ids : tensor<2x3xi32>) outs(%e : tensor<2x3x16xf32>) {
    ^bb0(%id: i32, %out: f32):
      %row = arith.index_cast %id : i32 to index
      %d = linalg.index 2 : index
      %v = tensor.extract %table[%d, %row] : tensor<16x8xf32>
      linalg.yield %v : f32
    } -> tensor<2x3x16xf32>
  return %y : tensor<2x3x16xf32>
}

// Ids of 64 bits.
// CHECK-LABEL: func.func @wide_ids
// CHECK-NOT: transformer.embedding
func.func @wide_ids(%ids: tensor<2x3xi64> {transformer.name = "ids", transformer.dims = ["", ""], transformer.range = [0, 16]}) -> tensor<2x3x8xf32> {
  %table = transformer.use @table : tensor<16x8xf32>
  %e = tensor.empty() : tensor<2x3x8xf32>
  // REMARK: remark: {{.*}}raise-embedding.mlir:[[@LINE+1]]:{{[0-9]+}}: raise-embedding missed: ids: are not i32; narrow them before
  %y = linalg.generic {indexing_maps = [affine_map<(b, s, d) -> (b, s)>, affine_map<(b, s, d) -> (b, s, d)>], iterator_types = ["parallel", "parallel", "parallel"]}
      ins(%ids : tensor<2x3xi64>) outs(%e : tensor<2x3x8xf32>) {
    ^bb0(%id: i64, %out: f32):
      %row = arith.index_cast %id : i64 to index
      %d = linalg.index 2 : index
      %v = tensor.extract %table[%row, %d] : tensor<16x8xf32>
      linalg.yield %v : f32
    } -> tensor<2x3x8xf32>
  return %y : tensor<2x3x8xf32>
}
