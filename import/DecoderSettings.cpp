//===- DecoderSettings.cpp - the tensors of a decoder-only model ---------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "import/DecoderSettings.h"

using namespace llvm;

namespace mlir::transformer {

std::string DecoderSettings::layerName(int64_t layer, StringRef rest) const {
  return (names.root + names.layers + "." + Twine(layer) + "." + rest).str();
}

static Error requireNorm(const DecoderSettings &s, Checkpoint &checkpoint, const std::string &tensor,
                         int64_t size) {
  if (Error error = checkpoint.require(tensor + ".weight", {size}))
    return error;
  return s.layerNorm ? checkpoint.require(tensor + ".bias", {size}) : Error::success();
}

/// A matrix of `rows` outputs and, where there is one, its bias.
static Error requireLinear(const DecoderSettings &s, Checkpoint &checkpoint, const std::string &tensor,
                           int64_t rows, int64_t columns, bool hasBias) {
  SmallVector<int64_t> shape{rows, columns};
  if (s.storedTransposed)
    std::swap(shape[0], shape[1]);
  if (Error error = checkpoint.require(tensor + ".weight", shape))
    return error;
  return hasBias ? checkpoint.require(tensor + ".bias", {rows}) : Error::success();
}

static Error requireLayer(const DecoderSettings &s, Checkpoint &checkpoint, int64_t layer) {
  const DecoderNames &names = s.names;
  std::pair<StringRef, int64_t> norms[] = {{names.attentionNorm, s.hiddenSize},
                                           {names.feedForwardNorm, s.hiddenSize},
                                           {names.attentionOutNorm, s.hiddenSize},
                                           {names.feedForwardOutNorm, s.hiddenSize},
                                           {names.qNorm, s.headDim},
                                           {names.kNorm, s.headDim}};
  for (auto [name, size] : norms)
    if (!name.empty())
      if (Error error = requireNorm(s, checkpoint, s.layerName(layer, name), size))
        return error;

  int64_t hidden = s.hiddenSize, inner = s.intermediateSize;
  int64_t q = s.heads * s.headDim, kv = s.kvHeads * s.headDim;
  // A matrix of its own, unless it is part of a fused one.
  auto separate = [](StringRef fused, StringRef name) { return fused.empty() ? name : StringRef(); };
  struct {
    StringRef name;
    int64_t rows, columns;
    bool hasBias;
  } matrices[] = {{names.qkv, q + 2 * kv, hidden, s.qkvBias},
                  {separate(names.qkv, names.q), q, hidden, s.qkvBias},
                  {separate(names.qkv, names.k), kv, hidden, s.qkvBias},
                  {separate(names.qkv, names.v), kv, hidden, s.qkvBias},
                  {names.output, hidden, q, s.outputBias},
                  {names.gateUp, 2 * inner, hidden, s.mlpBias},
                  {separate(names.gateUp, names.gate), inner, hidden, s.mlpBias},
                  {separate(names.gateUp, names.up), inner, hidden, s.mlpBias},
                  {names.down, hidden, inner, s.mlpBias}};
  for (const auto &m : matrices)
    if (!m.name.empty())
      if (Error error =
              requireLinear(s, checkpoint, s.layerName(layer, m.name), m.rows, m.columns, m.hasBias))
        return error;
  return Error::success();
}

Error requireDecoderTensors(const DecoderSettings &s, Checkpoint &checkpoint) {
  if (Error error = checkpoint.require(s.embeddingName() + ".weight", {s.vocabSize, s.hiddenSize}))
    return error;
  if (!s.names.positions.empty())
    if (Error error = checkpoint.require(s.names.root + s.names.positions + ".weight",
                                         {s.learnedPositions, s.hiddenSize}))
      return error;
  for (int64_t layer = 0; layer < s.layers; ++layer)
    if (Error error = requireLayer(s, checkpoint, layer))
      return error;
  if (Error error = requireNorm(s, checkpoint, s.finalNormName(), s.hiddenSize))
    return error;
  return s.tiedEmbeddings ? Error::success()
                          : checkpoint.require(s.headName() + ".weight", {s.vocabSize, s.hiddenSize});
}

} // namespace mlir::transformer
