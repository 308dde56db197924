// Weights of contractions are stored in the order that the config of their dispatch asks for.
// RUN: tfopt %s --transformer-pack-weights --split-input-file | FileCheck %s

#x = affine_map<(d0, d1, d2) -> (d0, d2)>
#w = affine_map<(d0, d1, d2) -> (d1, d2)>
#y = affine_map<(d0, d1, d2) -> (d0, d1)>

// Two launches of a shared dispatch read two weights, each packed once whatever the number of its readers.
// CHECK: transformer.weight @a : tensor<20x8xf32>
// CHECK-NEXT: transformer.derive @a.packed_16x1 = pack(@a) : tensor<20x8xf32, #transformer.packed<16 x 1>>
// CHECK-NEXT: transformer.weight @b : tensor<20x8xf32>
// CHECK-NEXT: transformer.derive @b.packed_16x1 = pack(@b) : tensor<20x8xf32, #transformer.packed<16 x 1>>
// CHECK-NOT: derive
// CHECK-LABEL: func @run
// CHECK: transformer.use @a.packed_16x1
// CHECK: transformer.use @b.packed_16x1
// CHECK: func private @d(%{{.*}}: tensor<?x8xf32>, %{{.*}}: tensor<20x8xf32, #transformer.packed<16 x 1>>, %{{.*}}: tensor<?x20xf32>)
transformer.weight @a : tensor<20x8xf32> from "model.safetensors"
transformer.weight @b : tensor<20x8xf32> from "model.safetensors"
func.func @run(%x: tensor<?x8xf32>, %e: tensor<?x20xf32>) -> (tensor<?x20xf32>, tensor<?x20xf32>, tensor<?x20xf32>) {
  %a = transformer.use @a : tensor<20x8xf32>
  %b = transformer.use @b : tensor<20x8xf32>
  %0 = transformer.launch @d ins(%x, %a : tensor<?x8xf32>, tensor<20x8xf32>) outs(%e : tensor<?x20xf32>) -> tensor<?x20xf32>
  %1 = transformer.launch @d ins(%x, %b : tensor<?x8xf32>, tensor<20x8xf32>) outs(%e : tensor<?x20xf32>) -> tensor<?x20xf32>
  %2 = transformer.launch @d ins(%x, %a : tensor<?x8xf32>, tensor<20x8xf32>) outs(%e : tensor<?x20xf32>) -> tensor<?x20xf32>
  return %0, %1, %2 : tensor<?x20xf32>, tensor<?x20xf32>, tensor<?x20xf32>
}
func.func private @d(%x: tensor<?x8xf32>, %w: tensor<20x8xf32>, %o: tensor<?x20xf32>) -> tensor<?x20xf32>
    attributes {transformer.dispatch, transformer.config = #transformer.lowering_config<template = "contraction", tile = [6, 16], block = [132, 8, 1], vector = 8, grain = 1>} {
  %zero = arith.constant 0.0 : f32
  %f = linalg.fill ins(%zero : f32) outs(%o : tensor<?x20xf32>) -> tensor<?x20xf32>
  %0 = linalg.generic {indexing_maps = [#x, #w, #y], iterator_types = ["parallel", "parallel", "reduction"]} ins(%x, %w : tensor<?x8xf32>, tensor<20x8xf32>) outs(%f : tensor<?x20xf32>) {
  ^bb0(%a: f32, %b: f32, %c: f32):
    %p = arith.mulf %a, %b : f32
    %s = arith.addf %c, %p : f32
    linalg.yield %s : f32
  } -> tensor<?x20xf32>
  return %0 : tensor<?x20xf32>
}

// -----

#x = affine_map<(d0, d1, d2) -> (d0, d2)>
#w = affine_map<(d0, d1, d2) -> (d1, d2)>
#y = affine_map<(d0, d1, d2) -> (d0, d1)>
// Declined: another template reads weights as they are.
// CHECK-NOT: pack(
// CHECK: func private @tiles(%{{.*}}: tensor<?x8xf32>, %{{.*}}: tensor<20x8xf32>, %{{.*}}: tensor<?x20xf32>)
transformer.weight @a : tensor<20x8xf32> from "model.safetensors"
func.func @run(%x: tensor<?x8xf32>, %e: tensor<?x20xf32>) -> tensor<?x20xf32> {
  %a = transformer.use @a : tensor<20x8xf32>
  %0 = transformer.launch @tiles ins(%x, %a : tensor<?x8xf32>, tensor<20x8xf32>) outs(%e : tensor<?x20xf32>) -> tensor<?x20xf32>
  return %0 : tensor<?x20xf32>
}
func.func private @tiles(%x: tensor<?x8xf32>, %w: tensor<20x8xf32>, %o: tensor<?x20xf32>) -> tensor<?x20xf32>
    attributes {transformer.dispatch, transformer.config = #transformer.lowering_config<template = "tiles", tile = [2, 4], vector = 8, grain = 1>} {
  %zero = arith.constant 0.0 : f32
  %f = linalg.fill ins(%zero : f32) outs(%o : tensor<?x20xf32>) -> tensor<?x20xf32>
  %0 = linalg.generic {indexing_maps = [#x, #w, #y], iterator_types = ["parallel", "parallel", "reduction"]} ins(%x, %w : tensor<?x8xf32>, tensor<20x8xf32>) outs(%f : tensor<?x20xf32>) {
  ^bb0(%a: f32, %b: f32, %c: f32):
    %p = arith.mulf %a, %b : f32
    %s = arith.addf %c, %p : f32
    linalg.yield %s : f32
  } -> tensor<?x20xf32>
  return %0 : tensor<?x20xf32>
}
