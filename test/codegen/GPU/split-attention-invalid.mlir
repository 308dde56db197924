// RUN: tfopt %s --split-input-file --verify-diagnostics --transformer-split-attention

!cache = !transformer.kv_cache<2 x 16 x bf16, full>

// The host function of an entry point serves every architecture.
// expected-error @+1 {{expected as many splits for "sm_90a" as for "sm_80", 3 of 64, but got 4 of 64}}
func.func private @attn(%q: tensor<?x1x4x16xbf16>, %c: !cache, %o: tensor<?x1x4x16xbf16>) -> tensor<?x1x4x16xbf16>
    attributes {transformer.dispatch, xgpu.configs = {sm_80 = #xgpu.config<"decode_attention", tile = [2, 3, 64], threads = 256, stages = 1, vector = 8>,
                                                      sm_90a = #xgpu.config<"decode_attention", tile = [2, 4, 64], threads = 256, stages = 1, vector = 8>}} {
  %0 = transformer.attention %q cache %c scale 0.5 mask <causal> : tensor<?x1x4x16xbf16>, !cache -> tensor<?x1x4x16xbf16>
  return %0 : tensor<?x1x4x16xbf16>
}
