// RUN: tfopt %s --split-input-file --verify-diagnostics --transformer-emit-gpu-kernels

// expected-error @+1 {{has no configs; run transformer-select-gpu-kernels first}}
func.func private @nothing(%x: tensor<?xf32>, %out: tensor<?xf32>) -> tensor<?xf32> attributes {transformer.dispatch} {
  return %x : tensor<?xf32>
}

// -----

#id = affine_map<(r) -> (r)>
// expected-error @+1 {{names the unknown kernel template "magic"}}
func.func private @unknown(%x: tensor<?xf32>, %out: tensor<?xf32>) -> tensor<?xf32>
    attributes {transformer.dispatch, xgpu.configs = {sm_80 = #xgpu.config<"magic", tile = [1], threads = 64, stages = 1, vector = 1>}} {
  %0 = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel"]} ins(%x : tensor<?xf32>) outs(%out : tensor<?xf32>) {
  ^bb0(%a: f32, %b: f32):
    linalg.yield %a : f32
  } -> tensor<?xf32>
  return %0 : tensor<?xf32>
}

// -----

!cache = !transformer.kv_cache<2 x 16 x bf16, full>
func.func private @decode(%q: tensor<?x1x4x16xbf16>, %c: !cache, %o: tensor<?x1x4x16xbf16>) -> tensor<?x1x4x16xbf16>
    attributes {transformer.dispatch, xgpu.configs = {sm_80 = #xgpu.config<"decode_attention", tile = [4, 1, 64], threads = 256, stages = 1, vector = 8>}} {
  // expected-error @+1 {{expected at most 16 rows, positions times heads that share keys, but got #xgpu.config<"decode_attention", tile = [4, 1, 64]}}
  %0 = transformer.attention %q cache %c scale 0.5 mask <causal> : tensor<?x1x4x16xbf16>, !cache -> tensor<?x1x4x16xbf16>
  return %0 : tensor<?x1x4x16xbf16>
}

// -----

// expected-error @+1 {{expected a cluster of 1, 2 or 4 blocks, but got 3}}
func.func private @product(%x: tensor<?x512xbf16>, %w: tensor<64x512xbf16>, %out: tensor<?x64xf32>) -> tensor<?x64xf32>
    attributes {transformer.dispatch, xgpu.configs = {sm_90a = #xgpu.config<"wgmma_gemm", tile = [128, 128, 64, 3], threads = 384, stages = 4, vector = 8>}} {
  %0 = transformer.linear %x, %w : tensor<?x512xbf16>, tensor<64x512xbf16> -> tensor<?x64xf32>
  return %0 : tensor<?x64xf32>
}

// -----

// expected-error @+1 {{expected columns in multiples of 32 for each block of a cluster, but got 64 for 4}}
func.func private @product(%x: tensor<?x512xbf16>, %w: tensor<64x512xbf16>, %out: tensor<?x64xf32>) -> tensor<?x64xf32>
    attributes {transformer.dispatch, xgpu.configs = {sm_90a = #xgpu.config<"wgmma_gemm", tile = [128, 64, 64, 4], threads = 384, stages = 4, vector = 8>}} {
  %0 = transformer.linear %x, %w : tensor<?x512xbf16>, tensor<64x512xbf16> -> tensor<?x64xf32>
  return %0 : tensor<?x64xf32>
}

// -----

// expected-error @+1 {{expected 128 rows, up to 256 columns in multiples of 8, a depth in multiples of 64, a cluster and 384 threads, but got}}
func.func private @product(%x: tensor<?x512xbf16>, %w: tensor<64x512xbf16>, %out: tensor<?x64xf32>) -> tensor<?x64xf32>
    attributes {transformer.dispatch, xgpu.configs = {sm_90a = #xgpu.config<"wgmma_gemm", tile = [128, 128, 64], threads = 384, stages = 4, vector = 8>}} {
  %0 = transformer.linear %x, %w : tensor<?x512xbf16>, tensor<64x512xbf16> -> tensor<?x64xf32>
  return %0 : tensor<?x64xf32>
}

// -----

// Rows that the dispatch computes are for the templates of few rows.
#x = affine_map<(b, s, k) -> (b, s, k)>
#rows = affine_map<(b, s, n, k) -> (b, s, k)>
#matrix = affine_map<(b, s, n, k) -> (n, k)>
#sums = affine_map<(b, s, n, k) -> (b, s, n)>
// expected-error @+1 {{expected rows that are an argument, but got #xgpu.config<"simt_gemm"}}
func.func private @computed(%x: tensor<1x4x32xf32>, %w: tensor<64x32xf32>, %out: tensor<1x4x64xf32>) -> tensor<1x4x64xf32>
    attributes {transformer.dispatch, xgpu.configs = {sm_80 = #xgpu.config<"simt_gemm", tile = [64, 64, 16], threads = 256, stages = 1, vector = 4>}} {
  %zero = arith.constant 0.0 : f32
  %e = tensor.empty() : tensor<1x4x32xf32>
  %0 = linalg.generic {indexing_maps = [#x, #x], iterator_types = ["parallel", "parallel", "parallel"]}
      ins(%x : tensor<1x4x32xf32>) outs(%e : tensor<1x4x32xf32>) {
  ^bb0(%a: f32, %o: f32):
    %n = arith.negf %a : f32
    linalg.yield %n : f32
  } -> tensor<1x4x32xf32>
  %f = linalg.fill ins(%zero : f32) outs(%out : tensor<1x4x64xf32>) -> tensor<1x4x64xf32>
  %1 = linalg.generic {indexing_maps = [#rows, #matrix, #sums], iterator_types = ["parallel", "parallel", "parallel", "reduction"]}
      ins(%0, %w : tensor<1x4x32xf32>, tensor<64x32xf32>) outs(%f : tensor<1x4x64xf32>) {
  ^bb0(%a: f32, %b: f32, %c: f32):
    %p = arith.mulf %a, %b : f32
    %s = arith.addf %c, %p : f32
    linalg.yield %s : f32
  } -> tensor<1x4x64xf32>
  return %1 : tensor<1x4x64xf32>
}
