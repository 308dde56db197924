//===- BenchEntry.cpp - Measuring an entry point ------------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "tools/tfrun/BenchEntry.h"
#include "runtime/text/Sampler.h"
#include "tools/tfrun/Entry.h"
#include "tools/tfrun/Output.h"
#include "tools/tfrun/Profile.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <stdexcept>

namespace xfm::tfrun {

namespace {
/// Integers of an input are in [begin, end).
struct Range {
  int64_t begin = 0, end = 1;
};

/// Median, least and most.
struct Spread {
  double median, least, most;
};
} // namespace

/// What the manifest says of an integer input; else ids of the vocabulary where its size is known, else 0
/// alone.
static Range rangeOf(const Model &model, const std::string &entry, size_t index) {
  nlohmann::json manifest = nlohmann::json::parse(model.manifest()); // the runtime verified it
  for (const nlohmann::json &candidate : manifest.at("entry_points"))
    if (candidate.at("name") == entry)
      if (const nlohmann::json &input = candidate.at("inputs").at(index); input.contains("range"))
        return {input.at("range").at(0), input.at("range").at(1)};
  return {0, std::max<int64_t>(1, model.info().vocab_size)};
}

/// In [-1, 1), as f16: every multiple of 2^-10 there is one. Built from its bits, as C++17 has no such type.
static uint16_t randomHalf(text::Random &random) {
  uint64_t bits = random.next();
  auto steps = static_cast<uint32_t>(bits >> 54); // 10 bits: |value| * 1024
  uint16_t sign = (bits & 1) ? 0x8000 : 0;
  if (steps == 0)
    return sign;
  int exponent = 31 - __builtin_clz(steps);
  uint32_t mantissa = (steps << (10 - exponent)) & 0x3ff;
  return static_cast<uint16_t>(sign | uint32_t(exponent + 5) << 10 | mantissa); // 2^(exponent - 10), bias 15
}

static float randomFloat(text::Random &random) {
  return static_cast<float>(static_cast<int64_t>(random.next() >> 40) - (1 << 23)) * 0x1p-23f;
}

template <typename T, typename Make> static void fill(std::vector<char> &data, Make make) {
  for (size_t at = 0; at + sizeof(T) <= data.size(); at += sizeof(T)) {
    T value = static_cast<T>(make());
    std::memcpy(data.data() + at, &value, sizeof value);
  }
}

/// Floats in [-1, 1), integers of their range.
static std::vector<char> randomValues(const xfm_tensor_info &info, size_t bytes, Range range,
                                      text::Random &random) {
  std::vector<char> data(bytes);
  auto integer = [&] {
    return range.begin + static_cast<int64_t>(random.uniform() * (double(range.end) - double(range.begin)));
  };
  switch (info.dtype) {
  case XFM_F32:
    fill<float>(data, [&] { return randomFloat(random); });
    break;
  case XFM_F16:
    fill<uint16_t>(data, [&] { return randomHalf(random); });
    break;
  case XFM_BF16: // the upper half of an f32
    fill<uint16_t>(data, [&] {
      float value = randomFloat(random);
      uint32_t bits = 0;
      std::memcpy(&bits, &value, sizeof bits);
      return bits >> 16;
    });
    break;
  case XFM_I32:
    fill<int32_t>(data, integer);
    break;
  case XFM_I64:
    fill<int64_t>(data, integer);
    break;
  case XFM_I8:
    fill<int8_t>(data, integer);
    break;
  }
  return data;
}

/// A tensor of the input's static shape, whose values `data` holds.
static xfm_tensor randomTensor(const Model &model, const Options &options, size_t index,
                               const xfm_tensor_info &info, text::Random &random, std::vector<char> &data) {
  xfm_tensor tensor{};
  tensor.dtype = info.dtype;
  tensor.rank = info.rank;
  size_t bytes = xfm_dtype_size(info.dtype);
  for (int32_t d = 0; d < info.rank; ++d) {
    if (info.dims[d] < 0)
      throw std::runtime_error("input '" + std::string(info.name) + "' of '" + options.entry +
                               "' has the dimension " + (info.symbols[d] ? info.symbols[d] : "?") +
                               " of any size: give --input " + info.name + "=FILE.npy");
    tensor.dims[d] = info.dims[d];
    if (__builtin_mul_overflow(bytes, size_t(info.dims[d]), &bytes))
      throw std::runtime_error("input '" + std::string(info.name) + "' is too large");
  }
  data = randomValues(info, bytes, rangeOf(model, options.entry, index), random);
  tensor.data = data.data();
  return tensor;
}

static Spread measure(xfm_session *session, const Options &options, const std::vector<xfm_tensor> &tensors) {
  Profile profile(session, options);
  profile.stop();
  std::vector<double> times;
  // Two warm up: a GPU's second call of the same shapes records its graph.
  for (int64_t repetition = -2; repetition < options.repetitions; ++repetition) {
    using Clock = std::chrono::steady_clock;
    xfm_session_reset(session);
    if (repetition == 0)
      profile.start();
    Clock::time_point begin = Clock::now();
    check(xfm_session_call(session, options.entry.c_str(), tensors.data(), int32_t(tensors.size())));
    if (repetition >= 0)
      times.push_back(std::chrono::duration<double, std::milli>(Clock::now() - begin).count());
  }
  profile.report();
  std::sort(times.begin(), times.end());
  size_t half = times.size() / 2;
  double median = times.size() % 2 ? times[half] : (times[half - 1] + times[half]) / 2;
  return {median, times.front(), times.back()};
}

static void write(const Options &options, int32_t threads, const Spread &times) {
  if (options.json) {
    nlohmann::ordered_json result = {
        {"entry", options.entry},
        {"threads", threads},
        {"repetitions", options.repetitions},
        {"milliseconds", {{"median", times.median}, {"min", times.least}, {"max", times.most}}}};
    return writeOut(nlohmann::ordered_json::array({result}).dump(2) + "\n");
  }
  int width = static_cast<int>(std::min<size_t>(40, std::max<size_t>(7, options.entry.size())));
  char line[256];
  std::snprintf(line, sizeof line, "%-*s %7s %12s %12s %12s\n", width, "entry", "threads", "ms", "min",
                "max");
  std::string table = line;
  std::snprintf(line, sizeof line, " %7d %12.4f %12.4f %12.4f\n", int(threads), times.median, times.least,
                times.most);
  std::string name = options.entry;
  name.resize(std::max(name.size(), size_t(width)), ' ');
  writeOut(table + name + line);
}

void benchEntry(const Model &model, const Options &options) {
  model.needEntry(options.entry);
  std::vector<xfm_tensor_info> infos = model.inputs(options.entry);
  std::vector<NpyArray> given(infos.size());
  std::vector<xfm_tensor> tensors = readInputs(options.inputs, infos, given);
  std::vector<std::vector<char>> made(infos.size());
  text::Random random(42);
  for (size_t i = 0; i < infos.size(); ++i)
    if (!tensors[i].data)
      tensors[i] = randomTensor(model, options, i, infos[i], random, made[i]);
  int32_t threads = options.threads > 0 ? options.threads : model.isForGPU() ? 1 : availableCores();
  auto session = createSession(model, threads, batchOf(infos, tensors), options.context);
  write(options, threads, measure(session.get(), options, tensors));
}

} // namespace xfm::tfrun
