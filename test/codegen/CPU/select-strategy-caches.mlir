// What a kernel works on for a while has its share of a core's second-level cache.
// RUN: tfopt %s --transformer-select-strategy="vector-bytes=64 vector-registers=32 l2-bytes=262144" | FileCheck %s --check-prefix=SMALL
// RUN: tfopt %s --transformer-select-strategy="vector-bytes=64 vector-registers=32 l2-bytes=1048576" | FileCheck %s --check-prefix=MEDIUM
// RUN: tfopt %s --transformer-select-strategy="vector-bytes=64 vector-registers=32 l2-bytes=2097152" | FileCheck %s --check-prefix=LARGE
// RUN: not tfopt %s --transformer-select-strategy=l2-bytes=1000 2>&1 | FileCheck %s --check-prefix=TINY
// TINY: error: l2-bytes: expected at least 65536, but got 1000

// Query rows of a task and keys of a tile, which stand on the stack and so have a limit.
// SMALL: func private @attention
// SMALL-SAME: block = [66, 128, 1, 1, 1, 256]
// MEDIUM: func private @attention
// MEDIUM-SAME: block = [258, 256, 1, 1, 1, 256]
// LARGE: func private @attention
// LARGE-SAME: block = [258, 256, 1, 1, 1, 256]
func.func private @attention(%q: tensor<?x?x2x128xf32>, %k: tensor<?x?x2x128xf32>, %v: tensor<?x?x2x128xf32>, %o: tensor<?x?x2x128xf32>) -> tensor<?x?x2x128xf32> attributes {transformer.dispatch} {
  %0 = transformer.attention %q, %k, %v scale 0.5 mask <causal> : tensor<?x?x2x128xf32>, tensor<?x?x2x128xf32>, tensor<?x?x2x128xf32> -> tensor<?x?x2x128xf32>
  return %0 : tensor<?x?x2x128xf32>
}

#x = affine_map<(d0, d1, d2) -> (d0, d2)>
#w = affine_map<(d0, d1, d2) -> (d1, d2)>
#y = affine_map<(d0, d1, d2) -> (d0, d1)>
transformer.weight @w : tensor<64x4096xf32> from "model.safetensors"
func.func @run(%x: tensor<?x4096xf32>, %o: tensor<?x64xf32>) -> tensor<?x64xf32> {
  %w = transformer.use @w : tensor<64x4096xf32>
  %0 = transformer.launch @projection ins(%x, %w : tensor<?x4096xf32>, tensor<64x4096xf32>) outs(%o : tensor<?x64xf32>) -> tensor<?x64xf32>
  return %0 : tensor<?x64xf32>
}

// Steps of k whose weights stay for all rows of a block, in equal parts.
// SMALL: func private @projection
// SMALL-SAME: tile = [6, 64], block = [132, 256, 1]
// MEDIUM: func private @projection
// MEDIUM-SAME: tile = [6, 64], block = [132, 1024, 1]
// LARGE: func private @projection
// LARGE-SAME: tile = [6, 64], block = [132, 2048, 1]
func.func private @projection(%x: tensor<?x4096xf32>, %w: tensor<64x4096xf32>, %o: tensor<?x64xf32>) -> tensor<?x64xf32> attributes {transformer.dispatch} {
  %zero = arith.constant 0.0 : f32
  %f = linalg.fill ins(%zero : f32) outs(%o : tensor<?x64xf32>) -> tensor<?x64xf32>
  %0 = linalg.generic {indexing_maps = [#x, #w, #y], iterator_types = ["parallel", "parallel", "reduction"]} ins(%x, %w : tensor<?x4096xf32>, tensor<64x4096xf32>) outs(%f : tensor<?x64xf32>) {
  ^bb0(%a: f32, %b: f32, %c: f32):
    %p = arith.mulf %a, %b : f32
    %s = arith.addf %c, %p : f32
    linalg.yield %s : f32
  } -> tensor<?x64xf32>
  return %0 : tensor<?x64xf32>
}
