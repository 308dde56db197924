// What the machine decides: its caches, cores and pipes.
// RUN: tfopt %s --transformer-select-strategy="vector-bytes=64 vector-registers=32 l2-bytes=262144 cores=2" | FileCheck %s --check-prefix=SMALL
// RUN: tfopt %s --transformer-select-strategy="vector-bytes=64 vector-registers=32 l2-bytes=1048576 cores=2" | FileCheck %s --check-prefix=MEDIUM
// RUN: tfopt %s --transformer-select-strategy="vector-bytes=64 vector-registers=32 l2-bytes=2097152 l1-bytes=49152 cores=2" | FileCheck %s --check-prefix=LARGE
// RUN: tfopt %s --transformer-select-strategy="vector-bytes=64 vector-registers=32 cores=8" | FileCheck %s --check-prefix=CORES
// RUN: tfopt %s --transformer-select-strategy="vector-bytes=64 vector-registers=32 cores=64" | FileCheck %s --check-prefix=MANY
// RUN: tfopt %s --transformer-select-strategy="vector-bytes=16 vector-registers=32 fma-pipes=2" | FileCheck %s --check-prefix=TWO
// RUN: tfopt %s --transformer-select-strategy="vector-bytes=16 vector-registers=32 fma-pipes=4" | FileCheck %s --check-prefix=FOUR
// RUN: not tfopt %s --transformer-select-strategy=l2-bytes=1000 2>&1 | FileCheck %s --check-prefix=TINY
// RUN: not tfopt %s --transformer-select-strategy=cores=0 2>&1 | FileCheck %s --check-prefix=NONE
// TINY: error: l2-bytes: expected at least 65536, but got 1000
// NONE: error: cores: expected at least 1, but got 0

// Query rows of a task, which pass with their results, and keys of a tile, which stay; both stand on the stack and so
// have a limit. All cores have a task of 512 positions, but none is too small. Decoding has four ranges of keys for each core.
// SMALL: func private @attention
// SMALL-SAME: block = [258, 128, 1, 1, 1, 256, 2, 0]
// MEDIUM: func private @attention
// MEDIUM-SAME: block = [516, 256, 1, 1, 1, 256, 2, 0]
// LARGE: func private @attention
// LARGE-SAME: block = [516, 256, 1, 1, 1, 256, 2, 0]
// CORES: func private @attention
// CORES-SAME: block = [132, 256, 1, 1, 1, 256, 2, 0]
// MANY: func private @attention
// MANY-SAME: block = [66, 256, 1, 1, 1, 256, 2, 0]
// SMALL: func private @narrow
// SMALL-SAME: block = [516, 256,
// MEDIUM: func private @narrow
// MEDIUM-SAME: block = [516, 512,
// LARGE: func private @narrow
// LARGE-SAME: block = [516, 768,
// MEDIUM: func private @decode
// MEDIUM-SAME: block = [1, 64, 1, 1, 4, 256, 2, 1]
// CORES: func private @decode
// CORES-SAME: block = [1, 64, 1, 1, 16, 256, 2, 1]
func.func private @attention(%q: tensor<?x?x2x128xf32>, %k: tensor<?x?x2x128xf32>, %v: tensor<?x?x2x128xf32>, %o: tensor<?x?x2x128xf32>) -> tensor<?x?x2x128xf32> attributes {transformer.dispatch} {
  %0 = transformer.attention %q, %k, %v scale 0.5 mask <causal> : tensor<?x?x2x128xf32>, tensor<?x?x2x128xf32>, tensor<?x?x2x128xf32> -> tensor<?x?x2x128xf32>
  return %0 : tensor<?x?x2x128xf32>
}

func.func private @narrow(%q: tensor<?x?x2x32xf32>, %k: tensor<?x?x2x32xf32>, %v: tensor<?x?x2x32xf32>, %o: tensor<?x?x2x32xf32>) -> tensor<?x?x2x32xf32> attributes {transformer.dispatch} {
  %0 = transformer.attention %q, %k, %v scale 0.5 mask <causal> : tensor<?x?x2x32xf32>, tensor<?x?x2x32xf32>, tensor<?x?x2x32xf32> -> tensor<?x?x2x32xf32>
  return %0 : tensor<?x?x2x32xf32>
}
func.func private @decode(%q: tensor<1x1x2x64xf32>, %k: tensor<1x?x2x64xf32>, %v: tensor<1x?x2x64xf32>, %o: tensor<1x1x2x64xf32>) -> tensor<1x1x2x64xf32> attributes {transformer.dispatch} {
  %0 = transformer.attention %q, %k, %v scale 0.5 mask <causal> : tensor<1x1x2x64xf32>, tensor<1x?x2x64xf32>, tensor<1x?x2x64xf32> -> tensor<1x1x2x64xf32>
  return %0 : tensor<1x1x2x64xf32>
}

#row = affine_map<(d0, d1) -> (d0, d1)>
#x = affine_map<(d0, d1, d2) -> (d0, d2)>
#w = affine_map<(d0, d1, d2) -> (d1, d2)>
#y = affine_map<(d0, d1, d2) -> (d0, d1)>
transformer.weight @w : tensor<64x4096xf32> from "model.safetensors"
func.func @run(%x: tensor<?x4096xf32>, %o: tensor<?x64xf32>) -> tensor<?x64xf32> {
  %w = transformer.use @w : tensor<64x4096xf32>
  %0 = transformer.launch @projection ins(%x, %w : tensor<?x4096xf32>, tensor<64x4096xf32>) outs(%o : tensor<?x64xf32>) -> tensor<?x64xf32>
  return %0 : tensor<?x64xf32>
}

// Rows of a block, for all cores; steps of k whose weights stay for all of them, in equal parts; and those of a turn of few.
// SMALL: func private @projection
// SMALL-SAME: tile = [6, 64], block = [30, 256, 1, 16, 48, 2, 1]
// MEDIUM: func private @projection
// MEDIUM-SAME: tile = [6, 64], block = [30, 1024, 1, 16, 48, 2, 1]
// LARGE: func private @projection
// LARGE-SAME: tile = [6, 64], block = [30, 2048, 1, 16, 72, 2, 1]
// CORES: func private @projection
// CORES-SAME: tile = [6, 64], block = [24, 1024, 1,
// MANY: func private @projection
// MANY-SAME: tile = [6, 64], block = [24, 1024, 1,
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

// Columns of one vector: rows are as many as keep all pipes busy. A piece of work for a thread is so many cycles.
// TWO: func private @column
// TWO-SAME: tile = [8, 4], {{.*}} grain = 64
// FOUR: func private @column
// FOUR-SAME: tile = [16, 4], {{.*}} grain = 128
transformer.weight @narrow_w : tensor<4x64xf32> from "model.safetensors"
func.func @run_column(%x: tensor<?x64xf32>, %o: tensor<?x4xf32>) -> tensor<?x4xf32> {
  %w = transformer.use @narrow_w : tensor<4x64xf32>
  %0 = transformer.launch @column ins(%x, %w : tensor<?x64xf32>, tensor<4x64xf32>) outs(%o : tensor<?x4xf32>) -> tensor<?x4xf32>
  return %0 : tensor<?x4xf32>
}
func.func private @column(%x: tensor<?x64xf32>, %w: tensor<4x64xf32>, %o: tensor<?x4xf32>) -> tensor<?x4xf32> attributes {transformer.dispatch} {
  %zero = arith.constant 0.0 : f32
  %f = linalg.fill ins(%zero : f32) outs(%o : tensor<?x4xf32>) -> tensor<?x4xf32>
  %0 = linalg.generic {indexing_maps = [#x, #w, #y], iterator_types = ["parallel", "parallel", "reduction"]} ins(%x, %w : tensor<?x64xf32>, tensor<4x64xf32>) outs(%f : tensor<?x4xf32>) {
  ^bb0(%a: f32, %b: f32, %c: f32):
    %p = arith.mulf %a, %b : f32
    %s = arith.addf %c, %p : f32
    linalg.yield %s : f32
  } -> tensor<?x4xf32>
  return %0 : tensor<?x4xf32>
}

// Of many columns, blocks are as large as pays: large where rows are read where they are, small where they are computed.
// CORES: func private @wide
// CORES-SAME: tile = [6, 64], block = [516, 64, 1,
// CORES: func private @computed
// CORES-SAME: tile = [6, 64], block = [66, 64, 1,
// MANY: func private @wide
// MANY-SAME: tile = [6, 64], block = [126, 64, 1,
// MANY: func private @computed
// MANY-SAME: tile = [6, 64], block = [66, 64, 1,
transformer.weight @wide_w : tensor<8192x64xf32> from "model.safetensors"
func.func @run_wide(%x: tensor<?x64xf32>, %o: tensor<?x8192xf32>) -> (tensor<?x8192xf32>, tensor<?x8192xf32>) {
  %w = transformer.use @wide_w : tensor<8192x64xf32>
  %0 = transformer.launch @wide ins(%x, %w : tensor<?x64xf32>, tensor<8192x64xf32>) outs(%o : tensor<?x8192xf32>) -> tensor<?x8192xf32>
  %1 = transformer.launch @computed ins(%x, %w : tensor<?x64xf32>, tensor<8192x64xf32>) outs(%o : tensor<?x8192xf32>) -> tensor<?x8192xf32>
  return %0, %1 : tensor<?x8192xf32>, tensor<?x8192xf32>
}
func.func private @wide(%x: tensor<?x64xf32>, %w: tensor<8192x64xf32>, %o: tensor<?x8192xf32>) -> tensor<?x8192xf32> attributes {transformer.dispatch} {
  %zero = arith.constant 0.0 : f32
  %f = linalg.fill ins(%zero : f32) outs(%o : tensor<?x8192xf32>) -> tensor<?x8192xf32>
  %0 = linalg.generic {indexing_maps = [#x, #w, #y], iterator_types = ["parallel", "parallel", "reduction"]} ins(%x, %w : tensor<?x64xf32>, tensor<8192x64xf32>) outs(%f : tensor<?x8192xf32>) {
  ^bb0(%a: f32, %b: f32, %c: f32):
    %p = arith.mulf %a, %b : f32
    %s = arith.addf %c, %p : f32
    linalg.yield %s : f32
  } -> tensor<?x8192xf32>
  return %0 : tensor<?x8192xf32>
}
func.func private @computed(%x: tensor<?x64xf32>, %w: tensor<8192x64xf32>, %o: tensor<?x8192xf32>) -> tensor<?x8192xf32> attributes {transformer.dispatch} {
  %zero = arith.constant 0.0 : f32
  %c0 = arith.constant 0 : index
  %n = tensor.dim %x, %c0 : tensor<?x64xf32>
  %e = tensor.empty(%n) : tensor<?x64xf32>
  %d = linalg.generic {indexing_maps = [#row, #row], iterator_types = ["parallel", "parallel"]} ins(%x : tensor<?x64xf32>) outs(%e : tensor<?x64xf32>) {
  ^bb0(%a: f32, %b: f32):
    %s = arith.addf %a, %a : f32
    linalg.yield %s : f32
  } -> tensor<?x64xf32>
  %f = linalg.fill ins(%zero : f32) outs(%o : tensor<?x8192xf32>) -> tensor<?x8192xf32>
  %0 = linalg.generic {indexing_maps = [#x, #w, #y], iterator_types = ["parallel", "parallel", "reduction"]} ins(%d, %w : tensor<?x64xf32>, tensor<8192x64xf32>) outs(%f : tensor<?x8192xf32>) {
  ^bb0(%a: f32, %b: f32, %c: f32):
    %p = arith.mulf %a, %b : f32
    %s = arith.addf %c, %p : f32
    linalg.yield %s : f32
  } -> tensor<?x8192xf32>
  return %0 : tensor<?x8192xf32>
}
