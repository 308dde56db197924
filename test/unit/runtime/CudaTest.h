//===- CudaTest.h - artifacts of a GPU on the tests' CUDA driver ----------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// An artifact written by hand, whose kernels are functions of the tests. They read nothing but the parameters
// that the driver was handed.
//
//===----------------------------------------------------------------------===//

#ifndef XFM_TEST_UNIT_RUNTIME_CUDATEST_H
#define XFM_TEST_UNIT_RUNTIME_CUDATEST_H

#include "GpuArtifact.h"
#include "test/fake-cuda/FakeCuda.h"

#include <cstring>
#include <dlfcn.h>
#include <functional>

namespace xfm::test {

using nlohmann::json;

//===----------------------------------------------------------------------===//
// Kernels
//===----------------------------------------------------------------------===//

/// The parameters of a launch.
struct Words {
  const uint64_t *words;
  template <typename T> T *at(size_t i) const { return reinterpret_cast<T *>(words[i]); }
  int64_t number(size_t i) const { return static_cast<int64_t>(words[i]); }
};

/// What the last launch of each kind was.
struct Seen {
  unsigned blocks = 0, threads = 0, shared = 0;
  uint64_t map[3] = {0, 0, 0}; ///< the first words of a tensor map
  /// Kernels of a test; false where it has none of that name.
  std::function<bool(const std::string &name, Words words, size_t bytes)> others;
};

/// As prefillRows of fake_module.c.
inline void prefillKernel(Words w) {
  auto tokens = w.at<int32_t>(0);
  auto offsets = w.at<float>(1), keys = w.at<float>(2), sums = w.at<float>(4), pairs = w.at<float>(5),
       last = w.at<float>(6), bias = w.at<float>(8);
  auto length = w.at<int32_t>(3), copy = w.at<int32_t>(7);
  int64_t B = w.number(9), S = w.number(10), C = w.number(11);
  for (int64_t b = 0; b < B; ++b) {
    float sum = 0;
    for (int64_t i = 0; i < length[b]; ++i)
      sum += keys[b * C + i];
    for (int64_t s = 0; s < S; ++s) {
      int64_t at = b * S + s;
      copy[at] = tokens[at];
      keys[b * C + length[b]++] = static_cast<float>(copy[at]);
      sum += static_cast<float>(copy[at]);
      sums[at] = sum + offsets[2 * at] + bias[0];
      pairs[2 * at] = static_cast<float>(tokens[at]);
      pairs[2 * at + 1] = offsets[2 * at + 1];
    }
    last[2 * b] = static_cast<float>(S);
    last[2 * b + 1] = sum;
  }
}

inline void decodeKernel(Words w) {
  auto tokens = w.at<int32_t>(0), length = w.at<int32_t>(2);
  auto keys = w.at<float>(1), sums = w.at<float>(3);
  for (int64_t b = 0, B = w.number(4), C = w.number(5); b < B; ++b) {
    keys[b * C + length[b]++] = static_cast<float>(tokens[b]);
    sums[b] = 0;
    for (int64_t i = 0; i < length[b]; ++i)
      sums[b] += keys[b * C + i];
  }
}

inline void doubleKernel(Words w) {
  for (int64_t i = 0, n = w.number(2) * w.number(3); i < n; ++i)
    w.at<float>(1)[i] = 2.0f * static_cast<float>(w.at<int32_t>(0)[i]);
}

inline bool runKernel(void *user, const char *symbol, unsigned blocks, unsigned threads, unsigned shared,
                      const char *parameters, size_t bytes) {
  auto &seen = *static_cast<Seen *>(user);
  seen.blocks = blocks, seen.threads = threads, seen.shared = shared;
  std::string name = symbol;
  if (seen.others && seen.others(name, {reinterpret_cast<const uint64_t *>(parameters)}, bytes))
    return true;
  size_t maps = name == "mapped" ? 1 : 0;
  size_t words = name == "prefill" ? 12 : name == "decode" ? 6 : 4;
  EXPECT_EQ(bytes, 128 * maps + 8 * words) << name;
  if (maps)
    std::memcpy(seen.map, parameters, sizeof seen.map);
  Words w{reinterpret_cast<const uint64_t *>(parameters + 128 * maps)};
  name == "prefill" ? prefillKernel(w) : name == "decode" ? decodeKernel(w) : doubleKernel(w);
  return true;
}

//===----------------------------------------------------------------------===//
// The fixture
//===----------------------------------------------------------------------===//

class CudaTest : public ::testing::Test {
protected:
  static void SetUpTestSuite() {
    void *library = dlopen("libcuda.so.1", RTLD_NOW);
    ASSERT_NE(library, nullptr) << dlerror();
    auto find = [&](auto &function, const char *name) {
      function = reinterpret_cast<std::decay_t<decltype(function)>>(dlsym(library, name));
      ASSERT_NE(function, nullptr) << "the driver found is not the tests'";
    };
    find(reset, "fakeCudaReset");
    find(faults, "fakeCudaFaults");
    find(counts, "fakeCudaCounts");
    find(complaint, "fakeCudaComplaint");
    find(lastMap, "fakeCudaLastTensorMap");
  }
  CudaTest() {
    makeGpuArtifact(artifact, FAKE_GPU_MODULE);
    artifact.setFile("weights.safetensors", fakeWeights(100));
    reset(runKernel, &seen);
  }
  ~CudaTest() override {
    close();
    EXPECT_STREQ(complaint(), "");
  }
  void close() {
    xfm_session_destroy(session);
    xfm_model_close(model);
    session = nullptr;
    model = nullptr;
  }

  /// The message, empty where opening succeeds.
  std::string tryOpen(xfm_open_options options = {}) {
    options.size = sizeof options;
    artifact.write();
    xfm_model *opened = nullptr;
    if (xfm_model_open(artifact.path().c_str(), &options, &opened) != XFM_OK)
      return xfm_last_error();
    xfm_model_close(model);
    model = opened;
    return "";
  }
  std::string tryOpen(const char *device) {
    xfm_open_options options = {};
    options.device = device;
    return tryOpen(options);
  }
  void open(int64_t batch = 1, int64_t context = 20) {
    ASSERT_EQ(tryOpen(), "");
    session = createSession(batch, context);
    ASSERT_NE(session, nullptr) << xfm_last_error();
  }
  xfm_session *createSession(int64_t batch, int64_t context, int32_t threads = 0) {
    xfm_session_options options = {sizeof options, threads, batch, context, 0};
    xfm_session *created = nullptr;
    xfm_session_create(model, &options, &created);
    return created;
  }

  xfm_status prefill(const std::vector<int32_t> &tokens, int64_t batch = 1) {
    auto positions = static_cast<int64_t>(tokens.size()) / batch;
    std::vector<float> offsets(tokens.size() * 2);
    for (size_t i = 0; i < tokens.size(); ++i)
      offsets[2 * i] = 0.5f * static_cast<float>(i), offsets[2 * i + 1] = static_cast<float>(i);
    xfm_tensor inputs[] = {tensorOf(tokens, XFM_I32, {batch, positions}),
                           tensorOf(offsets, XFM_F32, {batch, positions, 2})};
    return xfm_session_call(session, "prefill", inputs, 2);
  }
  xfm_status decode(int32_t token, const char *entry = "decode") {
    std::vector<int32_t> tokens = {token};
    xfm_tensor input = tensorOf(tokens, XFM_I32, {1, 1});
    return xfm_session_call(session, entry, &input, 1);
  }
  xfm_status score(const char *entry, const std::vector<int32_t> &tokens) {
    xfm_tensor input = tensorOf(tokens, XFM_I32, {1, static_cast<int64_t>(tokens.size())});
    return xfm_session_call(session, entry, &input, 1);
  }
  std::vector<float> output(int32_t index) {
    xfm_tensor tensor = {};
    EXPECT_EQ(xfm_session_output(session, index, &tensor), XFM_OK) << xfm_last_error();
    size_t count = 1;
    for (int32_t i = 0; i < tensor.rank; ++i)
      count *= static_cast<size_t>(tensor.dims[i]);
    auto data = static_cast<const float *>(tensor.data);
    return data ? std::vector<float>(data, data + count) : std::vector<float>();
  }
  void expectMessage(const std::string &message, const std::string &part) {
    EXPECT_NE(message.find(part), std::string::npos) << message << "\nlacks: " << part;
    EXPECT_EQ(message.find('\n'), std::string::npos) << message;
  }
  void expectFailure(xfm_status actual, xfm_status expected, const std::string &part) {
    EXPECT_STREQ(xfm_status_name(actual), xfm_status_name(expected)) << xfm_last_error();
    expectMessage(xfm_last_error(), part);
  }
  json &kernel(size_t row) { return artifact.manifest["kernels"][0]["table"][row]; }

  static inline FakeCudaResetFn reset;
  static inline FakeCudaFaultsFn faults;
  static inline FakeCudaCountsFn counts;
  static inline FakeCudaComplaintFn complaint;
  static inline FakeCudaTensorMapFn lastMap;
  Seen seen;
  FakeArtifact artifact;
  xfm_model *model = nullptr;
  xfm_session *session = nullptr;
};

} // namespace xfm::test

#endif // XFM_TEST_UNIT_RUNTIME_CUDATEST_H
