// What is in the LLVM dialect passes; weights have no code and stay.
// RUN: tfopt %s --transformer-check-lowered | FileCheck %s

// CHECK: transformer.weight @w
transformer.weight @w : tensor<4xf32> from "model.safetensors"
// CHECK: transformer.derive @v
transformer.derive @v = scale(@w) {value = 2.0 : f64} : tensor<4xf32>
// CHECK: llvm.func @f
llvm.func @f(%x: f32) -> f32 {
  llvm.return %x : f32
}
