// RUN: tfopt compile %s --passes=transformer-fuse-gated-mlp --stop-at=optimized --remarks=all --verify-numerics 2> %t | FileCheck %s
// RUN: FileCheck %s --check-prefix=REMARK --implicit-check-not=remark: --implicit-check-not=error: < %t

// SwiGLU as importers write it: the product is rounded to the input's type.
// CHECK-LABEL: func.func @swiglu
// CHECK-SAME: (%[[X:.*]]: tensor<?x?x64xbf16>, %[[G:.*]]: tensor<96x64xbf16>, %[[U:.*]]: tensor<96x64xbf16>, %[[D:.*]]: tensor<64x96xbf16>)
// CHECK-NEXT: %[[Y:.*]] = transformer.gated_mlp silu %[[X]], %[[G]], %[[U]], %[[D]]
// CHECK-NEXT: return %[[Y]]
func.func @swiglu(%x: tensor<?x?x64xbf16>, %g: tensor<96x64xbf16>, %u: tensor<96x64xbf16>, %d: tensor<64x96xbf16>) -> tensor<?x?x64xf32> {
  %0 = transformer.linear %x, %g : tensor<?x?x64xbf16>, tensor<96x64xbf16> -> tensor<?x?x96xf32>
  %1 = transformer.linear %x, %u : tensor<?x?x64xbf16>, tensor<96x64xbf16> -> tensor<?x?x96xf32>
  %2 = transformer.activation silu %0 : tensor<?x?x96xf32> -> tensor<?x?x96xf32>
  %3 = arith.mulf %2, %1 : tensor<?x?x96xf32>
  %4 = arith.truncf %3 : tensor<?x?x96xf32> to tensor<?x?x96xbf16>
  // REMARK: remark: {{.*}}fuse-gated-mlp.mlir:[[@LINE+1]]:8: fuse-gated-mlp: fused gate, up and down of 96 columns
  %5 = transformer.linear %4, %d : tensor<?x?x96xbf16>, tensor<64x96xbf16> -> tensor<?x?x64xf32>
  return %5 : tensor<?x?x64xf32>
}

// GeGLU with the gate as the second operand.
// CHECK-LABEL: func.func @geglu_swapped
// CHECK-SAME: (%[[X:.*]]: tensor<4x64xf32>, %[[G:.*]]: tensor<96x64xf32>, %[[U:.*]]: tensor<96x64xf32>, %[[D:.*]]: tensor<64x96xf32>)
// CHECK-NEXT: transformer.gated_mlp gelu_tanh %[[X]], %[[G]], %[[U]], %[[D]]
func.func @geglu_swapped(%x: tensor<4x64xf32>, %g: tensor<96x64xf32>, %u: tensor<96x64xf32>, %d: tensor<64x96xf32>) -> tensor<4x64xf32> {
  %0 = transformer.linear %x, %g : tensor<4x64xf32>, tensor<96x64xf32> -> tensor<4x96xf32>
  %1 = transformer.linear %x, %u : tensor<4x64xf32>, tensor<96x64xf32> -> tensor<4x96xf32>
  %2 = transformer.activation gelu_tanh %0 : tensor<4x96xf32> -> tensor<4x96xf32>
  %3 = arith.mulf %1, %2 : tensor<4x96xf32>
  // REMARK: remark: {{.*}}fuse-gated-mlp.mlir:[[@LINE+1]]:8: fuse-gated-mlp: fused
  %4 = transformer.linear %3, %d : tensor<4x96xf32>, tensor<64x96xf32> -> tensor<4x64xf32>
  return %4 : tensor<4x64xf32>
}

// An MLP without a gate is nobody's near miss.
// CHECK-LABEL: func.func @plain
// CHECK-NOT: gated_mlp
func.func @plain(%x: tensor<4x64xf32>, %u: tensor<96x64xf32>, %d: tensor<64x96xf32>) -> tensor<4x64xf32> {
  %0 = transformer.linear %x, %u : tensor<4x64xf32>, tensor<96x64xf32> -> tensor<4x96xf32>
  %1 = transformer.activation relu %0 : tensor<4x96xf32> -> tensor<4x96xf32>
  %2 = transformer.linear %1, %d : tensor<4x96xf32>, tensor<64x96xf32> -> tensor<4x64xf32>
  return %2 : tensor<4x64xf32>
}

// The gate has another reader: fused, it would be computed twice.
// CHECK-LABEL: func.func @gate_is_read
// CHECK-NOT: gated_mlp
func.func @gate_is_read(%x: tensor<4x64xf32>, %g: tensor<96x64xf32>, %u: tensor<96x64xf32>, %d: tensor<64x96xf32>) -> (tensor<4x64xf32>, tensor<4x96xf32>) {
  // REMARK: remark: {{.*}}fuse-gated-mlp.mlir:[[@LINE+1]]:8: fuse-gated-mlp missed: result: is read outside the MLP as well; compute it a second time for the other reader
  %0 = transformer.linear %x, %g : tensor<4x64xf32>, tensor<96x64xf32> -> tensor<4x96xf32>
  %1 = transformer.linear %x, %u : tensor<4x64xf32>, tensor<96x64xf32> -> tensor<4x96xf32>
  %2 = transformer.activation silu %0 : tensor<4x96xf32> -> tensor<4x96xf32>
  %3 = arith.mulf %2, %1 : tensor<4x96xf32>
  %4 = transformer.linear %3, %d : tensor<4x96xf32>, tensor<64x96xf32> -> tensor<4x64xf32>
  return %4, %0 : tensor<4x64xf32>, tensor<4x96xf32>
}

// Gate and up of different values.
// CHECK-LABEL: func.func @two_inputs
// CHECK-NOT: gated_mlp
func.func @two_inputs(%x: tensor<4x64xf32>, %z: tensor<4x64xf32>, %g: tensor<96x64xf32>, %u: tensor<96x64xf32>, %d: tensor<64x96xf32>) -> tensor<4x64xf32> {
  %0 = transformer.linear %x, %g : tensor<4x64xf32>, tensor<96x64xf32> -> tensor<4x96xf32>
  %1 = transformer.linear %z, %u : tensor<4x64xf32>, tensor<96x64xf32> -> tensor<4x96xf32>
  %2 = transformer.activation silu %0 : tensor<4x96xf32> -> tensor<4x96xf32>
  // REMARK: remark: {{.*}}fuse-gated-mlp.mlir:[[@LINE+1]]:8: fuse-gated-mlp missed: up: is projected from another value than the gate; project both from one value
  %3 = arith.mulf %2, %1 : tensor<4x96xf32>
  %4 = transformer.linear %3, %d : tensor<4x96xf32>, tensor<64x96xf32> -> tensor<4x64xf32>
  return %4 : tensor<4x64xf32>
}

// A bias.
// CHECK-LABEL: func.func @biased
// CHECK-NOT: gated_mlp
func.func @biased(%x: tensor<4x64xf32>, %g: tensor<96x64xf32>, %b: tensor<96xf32>, %u: tensor<96x64xf32>, %d: tensor<64x96xf32>) -> tensor<4x64xf32> {
  // REMARK: remark: {{.*}}fuse-gated-mlp.mlir:[[@LINE+1]]:8: fuse-gated-mlp missed: bias: is something transformer.gated_mlp does not have;
  %0 = transformer.linear %x, %g bias %b : tensor<4x64xf32>, tensor<96x64xf32>, tensor<96xf32> -> tensor<4x96xf32>
  %1 = transformer.linear %x, %u : tensor<4x64xf32>, tensor<96x64xf32> -> tensor<4x96xf32>
  %2 = transformer.activation silu %0 : tensor<4x96xf32> -> tensor<4x96xf32>
  %3 = arith.mulf %2, %1 : tensor<4x96xf32>
  %4 = transformer.linear %3, %d : tensor<4x96xf32>, tensor<64x96xf32> -> tensor<4x64xf32>
  return %4 : tensor<4x64xf32>
}

// The fused op would store the product in bf16; here it is stored in f32.
// CHECK-LABEL: func.func @wide_product
// CHECK-NOT: gated_mlp
func.func @wide_product(%x: tensor<4x64xbf16>, %g: tensor<96x64xf32>, %u: tensor<96x64xf32>, %d: tensor<64x96xf32>) -> tensor<4x64xf32> {
  %0 = transformer.linear %x, %g : tensor<4x64xbf16>, tensor<96x64xf32> -> tensor<4x96xf32>
  %1 = transformer.linear %x, %u : tensor<4x64xbf16>, tensor<96x64xf32> -> tensor<4x96xf32>
  %2 = transformer.activation silu %0 : tensor<4x96xf32> -> tensor<4x96xf32>
  // REMARK: remark: {{.*}}fuse-gated-mlp.mlir:[[@LINE+1]]:8: fuse-gated-mlp missed: result: is stored in another type than the MLP's input; round it to the input's type
  %3 = arith.mulf %2, %1 : tensor<4x96xf32>
  %4 = transformer.linear %3, %d : tensor<4x96xf32>, tensor<64x96xf32> -> tensor<4x64xf32>
  return %4 : tensor<4x64xf32>
}
