//===- Rope.cpp - rotary positions of a config ----------------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "import/Rope.h"
#include "weights/Error.h"

#include <cmath>

using namespace llvm;

namespace mlir::transformer {

/// How yarn raises the attention's scale with the factor (arXiv:2309.00071,
/// equation 22), times the two knobs that DeepSeek's configs add.
static double yarnAttentionFactor(Config &scaling, double factor) {
  auto scale = [&](double knob) { return factor <= 1 ? 1.0 : 0.1 * knob * std::log(factor) + 1.0; };
  if (scaling.has("attention_factor"))
    return scaling.positive("attention_factor");
  if (scaling.has("mscale") && scaling.has("mscale_all_dim"))
    return scale(scaling.positive("mscale")) / scale(scaling.positive("mscale_all_dim"));
  return scale(1.0);
}

/// Reads longrope: the long factors where the tables go beyond the original
/// length. One table serves every prompt, so short ones use it as well.
static void readLongRope(Config &config, Config &scaling, RopeSettings &rope, int64_t maxPositions) {
  constexpr StringLiteral key = "original_max_position_embeddings";
  int64_t trained = config.size("max_position_embeddings");
  bool isStated = config.has(key) || scaling.has(key);
  int64_t original = config.has(key) ? config.size(key) : scaling.size(key, trained);
  size_t count = static_cast<size_t>(rope.rotaryDim / 2);
  rope.scaling = "longrope";
  rope.extFactors = scaling.positives(maxPositions > original ? "long_factor" : "short_factor", count);
  // The stretch is that of the lengths; `factor` counts where only one of them is stated.
  double stretch = isStated ? static_cast<double>(trained) / static_cast<double>(original)
                            : scaling.positive("factor", 1.0);
  double byLength = stretch <= 1 || original <= 1
                        ? 1.0
                        : std::sqrt(1 + std::log(stretch) / std::log(static_cast<double>(original)));
  rope.attentionFactor = scaling.positive("attention_factor", byLength);
}

static void readYarn(Config &config, Config &scaling, RopeSettings &rope) {
  int64_t trained = config.size("max_position_embeddings");
  rope.scaling = "yarn";
  rope.originalMaxPositions = scaling.size("original_max_position_embeddings", trained);
  rope.factor = scaling.positive("factor", static_cast<double>(trained) /
                                               static_cast<double>(rope.originalMaxPositions));
  rope.betaFast = scaling.positive("beta_fast", 32.0);
  rope.betaSlow = scaling.positive("beta_slow", 1.0);
  rope.attentionFactor = yarnAttentionFactor(scaling, rope.factor);
  if (!scaling.flag("truncate", true))
    scaling.fail("yarn without truncate is not supported");
}

RopeSettings readRope(Config &config, int64_t headDim, int64_t maxPositions, StringRef layerType) {
  RopeSettings rope;
  bool isNew = config.has("rope_parameters");
  Config scaling = config.child(isNew ? "rope_parameters" : "rope_scaling");
  if (isNew && scaling.has(layerType)) {
    Config ofLayers = scaling.child(layerType);
    ofLayers.absorb(scaling);
    scaling = std::move(ofLayers);
  }
  // A newer config states everything in one object; older ones beside it.
  rope.theta = scaling.positive("rope_theta", config.positive("rope_theta", 10000.0));
  double part = scaling.positive("partial_rotary_factor", config.positive("partial_rotary_factor", 1.0));
  if (part > 1)
    config.fail("\"partial_rotary_factor\" is greater than 1");
  rope.rotaryDim = static_cast<int64_t>(static_cast<double>(headDim) * std::min(part, 1.0));
  if (rope.rotaryDim < 2 || rope.rotaryDim % 2 != 0) {
    config.fail("rotary positions need an even number of dimensions, but head_dim " + Twine(headDim) +
                " gives " + Twine(rope.rotaryDim));
    rope.rotaryDim = 2;
  }

  std::string kind = scaling.text("rope_type", scaling.text("type", "default"));
  if (kind == "linear") {
    rope.scaling = kind;
    rope.factor = scaling.positive("factor");
  } else if (kind == "llama3") {
    rope.scaling = kind;
    rope.factor = scaling.positive("factor");
    rope.lowFreqFactor = scaling.positive("low_freq_factor");
    rope.highFreqFactor = scaling.positive("high_freq_factor");
    rope.originalMaxPositions = scaling.size("original_max_position_embeddings");
    if (rope.highFreqFactor <= rope.lowFreqFactor)
      scaling.fail("expected \"high_freq_factor\" to be greater than \"low_freq_factor\"");
  } else if (kind == "yarn") {
    readYarn(config, scaling, rope);
  } else if (kind == "longrope" || kind == "su") {
    readLongRope(config, scaling, rope, maxPositions);
  } else if (kind != "default" && kind != "none") {
    scaling.fail("the rope_type " + quoted(kind) +
                 " is not supported; supported are default, linear, llama3, longrope and yarn");
  }
  config.absorb(scaling);
  return rope;
}

} // namespace mlir::transformer
