// transformer.embedding
// Goldens: test/goldens/make_numeric.py; run by test/numeric/NumericTest.cpp.

// f32 rows.
func.func @embedding_f32(
    %ids: tensor<?x?xi32> {transformer.name = "ids", transformer.dims = ["B", "S"], transformer.range = [0, 32]},
    %table: tensor<32x16xf32> {transformer.name = "table", transformer.dims = ["", ""]}
  ) -> (tensor<?x?x16xf32> {transformer.name = "rows", transformer.dims = ["B", "S", ""]}) {
  %0 = transformer.embedding %ids, %table : tensor<?x?xi32>, tensor<32x16xf32> -> tensor<?x?x16xf32>
  return %0 : tensor<?x?x16xf32>
}

// A bf16 table read as f32.
func.func @embedding_bf16(
    %ids: tensor<?x?xi32> {transformer.name = "ids", transformer.dims = ["B", "S"], transformer.range = [0, 32]},
    %table: tensor<32x17xbf16> {transformer.name = "table", transformer.dims = ["", ""]}
  ) -> (tensor<?x?x17xf32> {transformer.name = "rows", transformer.dims = ["B", "S", ""]}) {
  %0 = transformer.embedding %ids, %table : tensor<?x?xi32>, tensor<32x17xbf16> -> tensor<?x?x17xf32>
  return %0 : tensor<?x?x17xf32>
}

// An f32 table read as bf16.
func.func @embedding_narrow(
    %ids: tensor<?x?xi32> {transformer.name = "ids", transformer.dims = ["B", "S"], transformer.range = [0, 24]},
    %table: tensor<24x8xf32> {transformer.name = "table", transformer.dims = ["", ""]}
  ) -> (tensor<?x?x8xbf16> {transformer.name = "rows", transformer.dims = ["B", "S", ""]}) {
  %0 = transformer.embedding %ids, %table : tensor<?x?xi32>, tensor<24x8xf32> -> tensor<?x?x8xbf16>
  return %0 : tensor<?x?x8xbf16>
}

// Ids of rank 1.
func.func @embedding_ids_1d(
    %ids: tensor<?xi32> {transformer.name = "ids", transformer.dims = ["S"], transformer.range = [0, 16]},
    %table: tensor<16x8xf32> {transformer.name = "table", transformer.dims = ["", ""]}
  ) -> (tensor<?x8xf32> {transformer.name = "rows", transformer.dims = ["S", ""]}) {
  %0 = transformer.embedding %ids, %table : tensor<?xi32>, tensor<16x8xf32> -> tensor<?x8xf32>
  return %0 : tensor<?x8xf32>
}
