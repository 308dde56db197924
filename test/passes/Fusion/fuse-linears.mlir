// RUN: tfopt compile %s --passes=transformer-fuse-linears --stop-at=optimized --remarks=all --verify-numerics 2> %t | FileCheck %s
// RUN: FileCheck %s --check-prefix=REMARK --implicit-check-not=remark: --implicit-check-not=error: < %t

transformer.weight @a : tensor<64x32xf32> from "model.safetensors"
transformer.weight @b : tensor<16x64xf32> from "model.safetensors"
transformer.weight @c : tensor<16xf32> from "model.safetensors"
transformer.weight @d : tensor<64xf32> from "model.safetensors"
transformer.weight @down : tensor<4x64xf32> from "model.safetensors"
transformer.weight @up : tensor<64x4xf32> from "model.safetensors"
transformer.weight @narrow : tensor<16x64xbf16> from "model.safetensors"
// CHECK: transformer.derive @[[BA:.*]] = matmul(@b, @a) : tensor<16x32xf32>
// CHECK: transformer.derive @[[BD:.*]] = matmul(@b, @d) : tensor<16xf32>
// CHECK: transformer.derive @[[SUM:.*]] = add(@c, @[[BD]]) : tensor<16xf32>

// CHECK-LABEL: func.func @pair
// CHECK: %[[W:.*]] = transformer.use @[[BA]]
// CHECK: transformer.linear %{{.*}}, %[[W]] : tensor<?x32xf32>, tensor<16x32xf32>
// CHECK-NEXT: return
func.func @pair(%x: tensor<?x32xf32>) -> tensor<?x16xf32> {
  %a = transformer.use @a : tensor<64x32xf32>
  %b = transformer.use @b : tensor<16x64xf32>
  %0 = transformer.linear %x, %a : tensor<?x32xf32>, tensor<64x32xf32> -> tensor<?x64xf32>
  // REMARK: remark: {{.*}}fuse-linears.mlir:[[@LINE+1]]:8: fuse-linears: fused with {{.*}}: 512 weights instead of 3072
  %1 = transformer.linear %0, %b : tensor<?x64xf32>, tensor<16x64xf32> -> tensor<?x16xf32>
  return %1 : tensor<?x16xf32>
}

// The first bias goes through the second matrix.
// CHECK-LABEL: func.func @biased
// CHECK-DAG: %[[W:.*]] = transformer.use @[[BA]]
// CHECK-DAG: %[[B:.*]] = transformer.use @[[SUM]]
// CHECK: transformer.linear %{{.*}}, %[[W]] bias %[[B]]
func.func @biased(%x: tensor<?x32xf32>) -> tensor<?x16xf32> {
  %a = transformer.use @a : tensor<64x32xf32>
  %b = transformer.use @b : tensor<16x64xf32>
  %c = transformer.use @c : tensor<16xf32>
  %d = transformer.use @d : tensor<64xf32>
  %0 = transformer.linear %x, %a bias %d : tensor<?x32xf32>, tensor<64x32xf32>, tensor<64xf32> -> tensor<?x64xf32>
  // REMARK: remark: {{.*}}fuse-linears.mlir:[[@LINE+1]]:8: fuse-linears: fused
  %1 = transformer.linear %0, %b bias %c : tensor<?x64xf32>, tensor<16x64xf32>, tensor<16xf32> -> tensor<?x16xf32>
  return %1 : tensor<?x16xf32>
}

// Factors of low rank have fewer elements than their product.
// CHECK-LABEL: func.func @low_rank
// CHECK-COUNT-2: transformer.linear
func.func @low_rank(%x: tensor<?x64xf32>) -> tensor<?x64xf32> {
  %a = transformer.use @down : tensor<4x64xf32>
  %b = transformer.use @up : tensor<64x4xf32>
  %0 = transformer.linear %x, %a : tensor<?x64xf32>, tensor<4x64xf32> -> tensor<?x4xf32>
  // REMARK: remark: {{.*}}fuse-linears.mlir:[[@LINE+1]]:8: fuse-linears missed: weight: times that before it has 4096 elements, both 512; keep both: two small projections are faster
  %1 = transformer.linear %0, %b : tensor<?x4xf32>, tensor<64x4xf32> -> tensor<?x64xf32>
  return %1 : tensor<?x64xf32>
}

// CHECK-LABEL: func.func @narrow_weight
// CHECK-COUNT-2: transformer.linear
func.func @narrow_weight(%x: tensor<?x32xf32>) -> tensor<?x16xf32> {
  %a = transformer.use @a : tensor<64x32xf32>
  %b = transformer.use @narrow : tensor<16x64xbf16>
  %0 = transformer.linear %x, %a : tensor<?x32xf32>, tensor<64x32xf32> -> tensor<?x64xf32>
  // REMARK: remark: {{.*}}fuse-linears.mlir:[[@LINE+1]]:8: fuse-linears missed: weight: is not stored in f32, so that the product would be rounded; store it in f32
  %1 = transformer.linear %0, %b : tensor<?x64xf32>, tensor<16x64xbf16> -> tensor<?x16xf32>
  return %1 : tensor<?x16xf32>
}

// CHECK-LABEL: func.func @read_between
// CHECK-COUNT-2: transformer.linear
func.func @read_between(%x: tensor<?x32xf32>) -> (tensor<?x64xf32>, tensor<?x16xf32>) {
  %a = transformer.use @a : tensor<64x32xf32>
  %b = transformer.use @b : tensor<16x64xf32>
  // REMARK: remark: {{.*}}fuse-linears.mlir:[[@LINE+1]]:8: fuse-linears missed: result: has another reader; let the second projection be its only reader
  %0 = transformer.linear %x, %a : tensor<?x32xf32>, tensor<64x32xf32> -> tensor<?x64xf32>
  %1 = transformer.linear %0, %b : tensor<?x64xf32>, tensor<16x64xf32> -> tensor<?x16xf32>
  return %0, %1 : tensor<?x64xf32>, tensor<?x16xf32>
}
