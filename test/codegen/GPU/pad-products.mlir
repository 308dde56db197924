// Rows of a product on tensor cores become multiples of 16 bytes: weights at compile time, all else by a copy.
// RUN: tfopt %s --transformer-to-linalg --transformer-pad-products | FileCheck %s
// RUN: tfopt %s --transformer-to-linalg --transformer-pad-products=tf32 | FileCheck %s --check-prefix=TF32
// RUN: tfopt %s --transformer-gpu-pipeline="archs=sm_80 stop-at=strategy" | FileCheck %s --check-prefix=FUSED

// One derived weight, however many products read it.
// CHECK: transformer.weight @w : tensor<8x50xbf16>
// CHECK-NEXT: transformer.derive @w.padded_56.zeros = fill() {value = 0.000000e+00 : f64} : tensor<8x6xbf16>
// CHECK-NEXT: transformer.derive @w.padded_56 = concat(@w, @w.padded_56.zeros) {axis = 1 : i64} : tensor<8x56xbf16>
// CHECK-NOT: transformer.derive
transformer.weight @w : tensor<8x50xbf16> from "model.safetensors"
transformer.weight @scale : tensor<50xf32> from "model.safetensors"
transformer.weight @even : tensor<8x56xbf16> from "model.safetensors"
transformer.weight @wide : tensor<8x50xf32> from "model.safetensors"

// Behind the 50 elements of a row stand zeros, whatever is behind them in memory.
// CHECK-LABEL: func.func @linear(
// CHECK-SAME: %[[X:.*]]: tensor<?x?x50xbf16>
// CHECK: %[[P:.*]] = linalg.generic {{.*}} outs(%{{.*}} : tensor<?x?x56xbf16>)
// CHECK: %[[K:.*]] = linalg.index 2
// CHECK: %[[END:.*]] = arith.constant 50 : index
// CHECK: %[[EXISTS:.*]] = arith.cmpi ult, %[[K]], %[[END]]
// CHECK: %[[LAST:.*]] = arith.constant 49 : index
// CHECK: %[[AT:.*]] = arith.minui %[[K]], %[[LAST]]
// CHECK: %[[V:.*]] = tensor.extract %[[X]][%{{.*}}, %{{.*}}, %[[AT]]]
// CHECK: %[[ZERO:.*]] = arith.constant 0.000000e+00 : bf16
// CHECK: arith.select %[[EXISTS]], %[[V]], %[[ZERO]]
// CHECK: %[[W:.*]] = transformer.use @w.padded_56 : tensor<8x56xbf16>
// CHECK: linalg.generic {{.*}} ins(%[[P]], %[[W]] : tensor<?x?x56xbf16>, tensor<8x56xbf16>)
func.func @linear(%x: tensor<?x?x50xbf16> {transformer.name = "x", transformer.dims = ["B", "S", ""]})
    -> (tensor<?x?x8xf32> {transformer.name = "y", transformer.dims = ["B", "S", ""]}) {
  %w = transformer.use @w : tensor<8x50xbf16>
  %y = transformer.linear %x, %w : tensor<?x?x50xbf16>, tensor<8x50xbf16> -> tensor<?x?x8xf32>
  return %y : tensor<?x?x8xf32>
}

// What makes x stores it so, in the kernel that it had.
// FUSED-LABEL: func.func @norm(
// FUSED: %[[P:.*]] = transformer.launch @{{.*}} -> tensor<?x?x56xbf16>
// FUSED-NEXT: transformer.use @w.padded_56
// FUSED-NEXT: transformer.launch @{{.*}} ins(%[[P]], %{{.*}} : tensor<?x?x56xbf16>, tensor<8x56xbf16>)
// FUSED-NOT: transformer.launch
// FUSED: return
func.func @norm(%x: tensor<?x?x50xbf16> {transformer.name = "x", transformer.dims = ["B", "S", ""]})
    -> (tensor<?x?x8xf32> {transformer.name = "y", transformer.dims = ["B", "S", ""]}) {
  %scale = transformer.use @scale : tensor<50xf32>
  %w = transformer.use @w : tensor<8x50xbf16>
  %n = transformer.rms_norm %x, %scale epsilon 1.0e-5 : tensor<?x?x50xbf16>, tensor<50xf32> -> tensor<?x?x50xbf16>
  %y = transformer.linear %n, %w : tensor<?x?x50xbf16>, tensor<8x50xbf16> -> tensor<?x?x8xf32>
  return %y : tensor<?x?x8xf32>
}

// But a product, whose kernel is finished with its own columns, goes on to do that, and a copy follows.
// FUSED-LABEL: func.func @chain(
// FUSED: %[[H:.*]] = transformer.launch @{{.*}} -> tensor<?x50xbf16>
// FUSED: %[[P:.*]] = transformer.launch @{{.*}} ins(%[[H]] : tensor<?x50xbf16>) {{.*}} -> tensor<?x56xbf16>
// FUSED: transformer.launch @{{.*}} ins(%[[P]], %{{.*}} : tensor<?x56xbf16>, tensor<8x56xbf16>)
transformer.weight @up : tensor<50x64xbf16> from "model.safetensors"
func.func @chain(%x: tensor<?x64xbf16> {transformer.name = "x", transformer.dims = ["B", ""]})
    -> (tensor<?x8xf32> {transformer.name = "y", transformer.dims = ["B", ""]}) {
  %up = transformer.use @up : tensor<50x64xbf16>
  %w = transformer.use @w : tensor<8x50xbf16>
  %0 = transformer.linear %x, %up : tensor<?x64xbf16>, tensor<50x64xbf16> -> tensor<?x50xbf16>
  %1 = transformer.activation silu %0 : tensor<?x50xbf16> -> tensor<?x50xbf16>
  %y = transformer.linear %1, %w : tensor<?x50xbf16>, tensor<8x50xbf16> -> tensor<?x8xf32>
  return %y : tensor<?x8xf32>
}

// Whole chunks stay as they are, and so does what no tensor core multiplies.
// CHECK-LABEL: func.func @whole(
// CHECK-NOT: padded
// CHECK: return
func.func @whole(%x: tensor<?x56xbf16> {transformer.name = "x", transformer.dims = ["B", ""]})
    -> (tensor<?x8xf32> {transformer.name = "y", transformer.dims = ["B", ""]}) {
  %w = transformer.use @even : tensor<8x56xbf16>
  %y = transformer.linear %x, %w : tensor<?x56xbf16>, tensor<8x56xbf16> -> tensor<?x8xf32>
  return %y : tensor<?x8xf32>
}
// CHECK-LABEL: func.func @mixed(
// CHECK-NOT: padded
// CHECK: return
func.func @mixed(%x: tensor<?x50xbf16> {transformer.name = "x", transformer.dims = ["B", ""]})
    -> (tensor<?x8xf32> {transformer.name = "y", transformer.dims = ["B", ""]}) {
  %w = transformer.use @wide : tensor<8x50xf32>
  %y = transformer.linear %x, %w : tensor<?x50xbf16>, tensor<8x50xf32> -> tensor<?x8xf32>
  return %y : tensor<?x8xf32>
}

// Four elements of f32 are a chunk; only as tf32 are they multiplied on tensor cores.
// CHECK-LABEL: func.func @f32(
// CHECK-NOT: padded
// CHECK: return
// TF32-LABEL: func.func @f32(
// TF32: transformer.use @wide.padded_52 : tensor<8x52xf32>
func.func @f32(%x: tensor<?x50xf32> {transformer.name = "x", transformer.dims = ["B", ""]})
    -> (tensor<?x8xf32> {transformer.name = "y", transformer.dims = ["B", ""]}) {
  %w = transformer.use @wide : tensor<8x50xf32>
  %y = transformer.linear %x, %w : tensor<?x50xf32>, tensor<8x50xf32> -> tensor<?x8xf32>
  return %y : tensor<?x8xf32>
}
