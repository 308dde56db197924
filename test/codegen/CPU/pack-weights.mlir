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
    attributes {transformer.dispatch, transformer.config = #transformer.lowering_config<template = "contraction", tile = [6, 16], block = [132, 8, 1, 1, 8, 2, 1], vector = 8, grain = 1>} {
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

// -----

#x = affine_map<(d0, d1, d2) -> (d0, d2)>
#w = affine_map<(d0, d1, d2) -> (d1, d2)>
#y = affine_map<(d0, d1, d2) -> (d0, d1)>
// Bytes that an instruction takes for unsigned are stored larger; i4 stands two to a byte, with steps twice as deep.
// CHECK: transformer.derive @w.packed_32x4 = pack(@w) : tensor<20x8xi8, #transformer.packed<32 x 4, bias 128>>
// CHECK: transformer.derive @v.packed_8x4 = pack(@v) : tensor<20x8xi4, #transformer.packed<8 x 4, bias 8>>
transformer.weight @w : tensor<20x8xi8> from "model.safetensors"
transformer.weight @v : tensor<20x8xi4> from "model.safetensors"
func.func @run(%x: tensor<?x8xi8>, %e: tensor<?x20xi32>) -> (tensor<?x20xi32>, tensor<?x20xi32>) {
  %w = transformer.use @w : tensor<20x8xi8>
  %v = transformer.use @v : tensor<20x8xi4>
  %0 = transformer.launch @bytes ins(%x, %w : tensor<?x8xi8>, tensor<20x8xi8>) outs(%e : tensor<?x20xi32>) -> tensor<?x20xi32>
  %1 = transformer.launch @halves ins(%x, %v : tensor<?x8xi8>, tensor<20x8xi4>) outs(%e : tensor<?x20xi32>) -> tensor<?x20xi32>
  return %0, %1 : tensor<?x20xi32>, tensor<?x20xi32>
}
func.func private @bytes(%x: tensor<?x8xi8>, %w: tensor<20x8xi8>, %o: tensor<?x20xi32>) -> tensor<?x20xi32>
    attributes {transformer.dispatch, transformer.config = #transformer.lowering_config<template = "contraction", tile = [12, 32], block = [96, 2, 4, 1, 2, 2, 1], vector = 16, grain = 1>} {
  %zero = arith.constant 0 : i32
  %f = linalg.fill ins(%zero : i32) outs(%o : tensor<?x20xi32>) -> tensor<?x20xi32>
  %0 = linalg.generic {indexing_maps = [#x, #w, #y], iterator_types = ["parallel", "parallel", "reduction"]} ins(%x, %w : tensor<?x8xi8>, tensor<20x8xi8>) outs(%f : tensor<?x20xi32>) {
  ^bb0(%a: i8, %b: i8, %c: i32):
    %l = arith.extsi %a : i8 to i32
    %r = arith.extsi %b : i8 to i32
    %p = arith.muli %l, %r : i32
    %s = arith.addi %c, %p : i32
    linalg.yield %s : i32
  } -> tensor<?x20xi32>
  return %0 : tensor<?x20xi32>
}
func.func private @halves(%x: tensor<?x8xi8>, %w: tensor<20x8xi4>, %o: tensor<?x20xi32>) -> tensor<?x20xi32>
    attributes {transformer.dispatch, transformer.config = #transformer.lowering_config<template = "contraction", tile = [4, 8], block = [132, 2, 4, 1, 2, 2, 1], vector = 8, grain = 1>} {
  %zero = arith.constant 0 : i32
  %f = linalg.fill ins(%zero : i32) outs(%o : tensor<?x20xi32>) -> tensor<?x20xi32>
  %0 = linalg.generic {indexing_maps = [#x, #w, #y], iterator_types = ["parallel", "parallel", "reduction"]} ins(%x, %w : tensor<?x8xi8>, tensor<20x8xi4>) outs(%f : tensor<?x20xi32>) {
  ^bb0(%a: i8, %b: i4, %c: i32):
    %l = arith.extsi %a : i8 to i32
    %r = arith.extsi %b : i4 to i32
    %p = arith.muli %l, %r : i32
    %s = arith.addi %c, %p : i32
    linalg.yield %s : i32
  } -> tensor<?x20xi32>
  return %0 : tensor<?x20xi32>
}
