//===- AttentionOps.td - rotary positions, attention, caches ---*- tablegen -*-===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===--------------------------------------------------------------------------===//

#ifndef DIALECT_ATTENTIONOPS
#define DIALECT_ATTENTIONOPS

include "dialect/TransformerTypes.td"

def Transformer_RopeOp : Transformer_TensorOp<"rope"> {
  let summary = "rotary position embedding";
  let description = [{
    Rotates pairs of each head by the angle of its position (arXiv:2104.09864):
    with p = offsets[b] + s, c = cos[p, i] and s = sin[p, i], the pair (a, b)
    becomes (a c - b s, b c + a s). `half_split` pairs i with i + rotary_dim/2,
    `interleaved` 2i with 2i + 1. rotary_dim is twice the tables' width; elements
    of a head from rotary_dim on pass through. The input is [B, S, H, D].

    Constraints:
    - C1: cos and sin have the same shape [positions, rotary_dim/2], rotary_dim <= D.
    - C2: there is one offset per row.
    - C3: the result has the input's shape.

    ```mlir
    func.func @rotate(%x: tensor<?x?x4x8xf32>, %cos: tensor<512x4xf32>, %sin: tensor<512x4xf32>, %at: tensor<?xi32>) -> tensor<?x?x4x8xf32> {
      %0 = transformer.rope half_split %x, %cos, %sin at %at : tensor<?x?x4x8xf32>, tensor<512x4xf32>, tensor<512x4xf32>, tensor<?xi32> -> tensor<?x?x4x8xf32>
      return %0 : tensor<?x?x4x8xf32>
    }
    ```
  }];
  let arguments = (ins
    Transformer_RopeStyleAttr:$style,
    Transformer_FloatTensor<[4]>:$input,
    Transformer_FloatTensor<[2]>:$cos,
    Transformer_FloatTensor<[2]>:$sin,
    TensorRankOf<[I32], [1]>:$offsets
  );
  let results = (outs Transformer_FloatTensor<[4]>:$result);
  let assemblyFormat = "`` $style $input `,` $cos `,` $sin `at` $offsets attr-dict `:` type(operands) `->` type($result)";
  let hasVerifier = 1;
}

def Transformer_AttentionOp : Transformer_TensorOp<"attention", [AttrSizedOperandSegments]> {
  let summary = "softmax(scale * Q K^T + bias, masked) V";
  let description = [{
    Per row and head, over all visible keys (arXiv:1706.03762):
    softmax_j(cap(scale * q_i . k_j) + bias_ij) v_j, where cap(x) is
    softcap * tanh(x / softcap) if `softcap` is given. Queries are [B, Sq, H, D];
    keys and values are either tensors [B, Sk, KV, D] or a cache that already
    holds the keys of the queries' own positions. H is a multiple of KV: query
    head h reads key/value head h / (H/KV) (grouped queries, arXiv:2305.13245).
    Where queries, values and result are of one type of 16 bits, exp(s_j - m) is
    rounded to it before it meets v_j, m being the largest score.

    The mask compares positions. Query s is at position length - Sq + s, where
    length is Sk or the cache's length. A query that sees no key gets zeros, also
    where a bias of -inf hides them. To read a position that a ring has forgotten
    is an error of the program; a query of the latest append never does.

    With `splits n of k` the n visible ranges of keys of one query are attended to
    apart (FlashDecoding), and `attention_merge` makes one result of them. Of v
    visible keys each range has max(k, ceil(v / n)) rounded up to 64, the last ones
    what is left, which may be nothing. The result is f32 [B, n, H, D + 2]: sums of
    exp(s_j - m) v_j, then m, the largest score s_j of the range, then the sum of
    exp(s_j - m). Of a range without keys that is 0 and m is -1e30; its other sums are
    anything.

    Constraints:
    - C1: either key and value, or a cache.
    - C2: key and value have the same shape; its heads divide the query's.
    - C3: the head dimensions of query, key/value and result are equal, or the result
      is that of splits.
    - C4: the bias is [B or 1, H or 1, Sq, Sk].
    - C5: softcap is positive.
    - C6: a ring cache is read through a window mask no wider than the ring.
    - C7: splits and their keys are positive; the query has one position.

    ```mlir
    func.func @attend(%q: tensor<?x?x8x64xf32>, %c: !transformer.kv_cache<4 x 64 x f32, full>) -> tensor<?x?x8x64xf32> {
      %0 = transformer.attention %q cache %c scale 0.125 mask <causal> : tensor<?x?x8x64xf32>, !transformer.kv_cache<4 x 64 x f32, full> -> tensor<?x?x8x64xf32>
      return %0 : tensor<?x?x8x64xf32>
    }
    ```
  }];
  let arguments = (ins
    Transformer_FloatTensor<[4]>:$query,
    Optional<Transformer_FloatTensor<[4]>>:$key,
    Optional<Transformer_FloatTensor<[4]>>:$value,
    Optional<Transformer_KVCacheType>:$cache,
    Optional<Transformer_FloatTensor<[4]>>:$bias,
    F64Attr:$scale,
    Transformer_MaskAttr:$mask,
    OptionalAttr<F64Attr>:$softcap,
    OptionalAttr<I64Attr>:$splits,
    OptionalAttr<I64Attr>:$split_keys
  );
  let results = (outs Transformer_FloatTensor<[4]>:$result);
  let assemblyFormat = [{
    $query (`,` $key^ `,` $value)? (`cache` $cache^)? (`bias` $bias^)?
    `scale` custom<F64>($scale) `mask` $mask (`softcap` custom<OptionalF64>($softcap)^)?
    (`splits` $splits^ `of` $split_keys)? attr-dict `:` type(operands) `->` type($result)
  }];
  let builders = [OpBuilder<(ins "::mlir::Type":$result, "::mlir::Value":$query, "::mlir::Value":$key,
                                 "::mlir::Value":$value, "::mlir::Value":$cache, "::mlir::Value":$bias,
                                 "::mlir::FloatAttr":$scale, "MaskAttr":$mask, "::mlir::FloatAttr":$softcap), [{
    build($_builder, $_state, result, query, key, value, cache, bias, scale, mask, softcap,
          ::mlir::IntegerAttr(), ::mlir::IntegerAttr());
  }]>];
  let hasVerifier = 1;
  let extraClassDeclaration = [{
    /// What the keys of a split are rounded up to.
    static constexpr int64_t kSplitUnit = 64;
    /// The number of splits, 0 for an attention in one piece, and their least keys.
    int64_t splitCount() { return static_cast<int64_t>(getSplits().value_or(0)); }
    int64_t leastSplitKeys() { return static_cast<int64_t>(getSplitKeys().value_or(0)); }
    /// The maximum of a range of keys that holds none.
    static constexpr double kNoMaximum = -1.0e30;
  }];
}

def Transformer_AttentionMergeOp : Transformer_TensorOp<"attention_merge"> {
  let summary = "one attention from those to ranges of keys";
  let description = [{
    The second half of FlashDecoding (https://pytorch.org/blog/flash-decoding): of the
    ranges i that an attention with `splits` attended to, with sums o_i, maxima m_i and
    sums of weights l_i, and M = max_i m_i,
    sum_i exp(m_i - M) o_i / sum_i exp(m_i - M) l_i, or zeros where the divisor is 0. A
    range whose l_i is 0 is left out, whatever its o_i.

    Constraints:
    - C1: the input is [B, splits, H, D + 2], the result [B, 1, H, D].

    ```mlir
    func.func @merge(%p: tensor<?x8x4x66xf32>) -> tensor<?x1x4x64xbf16> {
      %0 = transformer.attention_merge %p : tensor<?x8x4x66xf32> -> tensor<?x1x4x64xbf16>
      return %0 : tensor<?x1x4x64xbf16>
    }
    ```
  }];
  let arguments = (ins TensorRankOf<[F32], [4]>:$input);
  let results = (outs Transformer_FloatTensor<[4]>:$result);
  let assemblyFormat = "$input attr-dict `:` type($input) `->` type($result)";
  let hasVerifier = 1;
}

def Transformer_CacheAppendOp : Transformer_Op<"cache_append", [
    Pure, AllTypesMatch<["cache", "result"]>]> {
  let summary = "adds positions to a cache";
  let description = [{
    Writes the keys and values [B, S, KV, D] of S new positions after those that
    each row of the cache holds and returns the longer cache. The operand is
    consumed: the buffers are updated in place.

    Constraints:
    - C1: keys and values have the same shape, of the cache's heads and head_dim.
    - C2: the consumed cache has no other consumer (a return is one) and is not
      read afterwards.

    ```mlir
    func.func @append(%c: !transformer.kv_cache<4 x 8 x f32, full>, %k: tensor<?x?x4x8xf32>, %v: tensor<?x?x4x8xf32>) -> !transformer.kv_cache<4 x 8 x f32, full> {
      %0 = transformer.cache_append %c, %k, %v : !transformer.kv_cache<4 x 8 x f32, full>, tensor<?x?x4x8xf32>, tensor<?x?x4x8xf32>
      return %0 : !transformer.kv_cache<4 x 8 x f32, full>
    }
    ```
  }];
  let arguments = (ins
    Transformer_KVCacheType:$cache,
    Transformer_FloatTensor<[4]>:$key,
    Transformer_FloatTensor<[4]>:$value
  );
  let results = (outs Transformer_KVCacheType:$result);
  let assemblyFormat = "$cache `,` $key `,` $value attr-dict `:` type($cache) `,` type($key) `,` type($value)";
  let hasVerifier = 1;
}

def Transformer_CacheLengthOp : Transformer_Op<"cache_length", [Pure]> {
  let summary = "how many positions were appended to each row of a cache";
  let description = [{
    The position that the next `cache_append` writes, for a ring too.

    ```mlir
    func.func @length(%c: !transformer.kv_cache<4 x 8 x f32, full>) -> tensor<?xi32> {
      %0 = transformer.cache_length %c : !transformer.kv_cache<4 x 8 x f32, full> -> tensor<?xi32>
      return %0 : tensor<?xi32>
    }
    ```
  }];
  let arguments = (ins Transformer_KVCacheType:$cache);
  let results = (outs TensorRankOf<[I32], [1]>:$result);
  let assemblyFormat = "$cache attr-dict `:` type($cache) `->` type($result)";
}

#endif // DIALECT_ATTENTIONOPS
