// Above 50 M weights, functions are checked on a copy of two layers: the third is not run here.
// RUN: tfopt compile %s --passes=transformer-fuse-gated-mlp --stop-at=optimized --verify-numerics 2>&1 | FileCheck %s
// RUN: not tfopt-test %s --passes=test-wrong-rewrite --stop-at=optimized --verify-numerics --reproducer=%t.mlir 2>&1 | FileCheck %s --check-prefix=WRONG
// RUN: FileCheck %s --check-prefix=SMALL --implicit-check-not=@w1 --implicit-check-not=@w2 < %t.mlir

// CHECK: verify-numerics: two layers with random weights
// CHECK: verify-numerics: transformer-fuse-gated-mlp: nothing changed
// WRONG: verify-numerics: two layers with random weights
// WRONG: verify-numerics: test-wrong-rewrite changes @three
// SMALL: transformer.weight @w0
// SMALL: func.func @three
transformer.weight @w0 : tensor<4200x4200xbf16> from "model.safetensors"
transformer.weight @w1 : tensor<4200x4200xbf16> from "model.safetensors"
transformer.weight @w2 : tensor<4200x4200xbf16> from "model.safetensors"
func.func @three(%x: tensor<1x2x4200xf32>) -> tensor<1x2x4200xf32> {
  %w0 = transformer.use @w0 : tensor<4200x4200xbf16> loc("layers.0.mix")
  %0 = transformer.linear %x, %w0 : tensor<1x2x4200xf32>, tensor<4200x4200xbf16> -> tensor<1x2x4200xf32> loc("layers.0.mix")
  %a0 = tensor.expand_shape %0 [[0], [1], [2, 3]] output_shape [1, 2, 1, 4200] : tensor<1x2x4200xf32> into tensor<1x2x1x4200xf32> loc("layers.0.heads")
  %b0 = transformer.attention %a0, %a0, %a0 scale 0.001 mask <causal> : tensor<1x2x1x4200xf32>, tensor<1x2x1x4200xf32>, tensor<1x2x1x4200xf32> -> tensor<1x2x1x4200xf32> loc("layers.0.attn")
  %c0 = tensor.collapse_shape %b0 [[0], [1], [2, 3]] : tensor<1x2x1x4200xf32> into tensor<1x2x4200xf32> loc("layers.0.join")
  %w1 = transformer.use @w1 : tensor<4200x4200xbf16> loc("layers.1.mix")
  %1 = transformer.linear %c0, %w1 : tensor<1x2x4200xf32>, tensor<4200x4200xbf16> -> tensor<1x2x4200xf32> loc("layers.1.mix")
  %w2 = transformer.use @w2 : tensor<4200x4200xbf16> loc("layers.2.mix")
  %2 = transformer.linear %1, %w2 : tensor<1x2x4200xf32>, tensor<4200x4200xbf16> -> tensor<1x2x4200xf32> loc("layers.2.mix")
  %y = arith.negf %2 : tensor<1x2x4200xf32> loc("end")
  return %y : tensor<1x2x4200xf32>
}
