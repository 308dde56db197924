//===- GpuArtifact.h - writes artifacts of a GPU for tests ----------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef XFM_TEST_UNIT_RUNTIME_GPUARTIFACT_H
#define XFM_TEST_UNIT_RUNTIME_GPUARTIFACT_H

#include "FakeArtifact.h"

namespace xfm::test {

/// A row of the table of kernels, without maps.
inline nlohmann::json kernelRow(const char *symbol, int64_t words, const nlohmann::json &tile) {
  return {{"symbol", symbol},  {"template", "by hand"},
          {"threads", 64},     {"shared", 0},
          {"cluster", 1},      {"persistent", false},
          {"overlaps", false}, {"words", words},
          {"tile", tile},      {"maps", nlohmann::json::array()}};
}

/// Makes an artifact one for sm_80 around `module`, a build of fake_gpu_module.c. Call write() behind it.
inline void makeGpuArtifact(FakeArtifact &artifact, const std::string &module) {
  using nlohmann::json;
  json &manifest = artifact.manifest;
  manifest["target"]["device"] = "cuda";
  manifest["target"]["archs"] = {"sm_80"};
  json score = artifact.entry("score");
  for (const char *name : {"mapped", "clustered", "unlisted", "huge", "nothing", "region"}) {
    score["name"] = name;
    score["symbol"] = std::string("xfm_entry_") + name;
    manifest["entry_points"].push_back(score);
  }
  json doubles = kernelRow("double", 4, {1, 4});
  doubles["persistent"] = true;
  doubles["shared"] = 64 << 10;
  json mapped = kernelRow("mapped", 4, {1, 8});
  mapped["maps"] = {{{"word", 0},
                     {"dtype", "i32"},
                     {"swizzle", 64},
                     {"box", {1, 16}},
                     {"dims", {{{"words", {2}}, {"factor", 2}}, {{"words", {3}}, {"factor", 1}}}}}};
  json clustered = kernelRow("double", 4, {1, 4});
  clustered["cluster"] = 4;
  clustered["persistent"] = true;
  clustered["overlaps"] = true;
  json step = artifact.entry("decode");
  step["name"] = "step";
  step["symbol"] = "xfm_entry_step";
  step["outputs"] = json::array({{{"name", "logits"}, {"dtype", "f32"}, {"shape", {"B", 4}}}});
  manifest["entry_points"].push_back(step);
  manifest["sampling"] = {{"kernel", 6}, {"entry", "step"}, {"logits", "logits"}, {"vocabulary", 4}};
  json rows = {kernelRow("prefill", 12, json::array({1})),
               doubles,
               kernelRow("decode", 6, json::array({1})),
               mapped,
               clustered,
               kernelRow("step", 6, json::array({1})),
               kernelRow("sample", 11, json::array({1}))};
  manifest["kernels"] = json::array({{{"arch", "sm_80"},
                                      {"ptx", "kernels/fake.ptx"},
                                      {"cubin", "kernels/fake.sm_80.cubin"},
                                      {"table", rows}}});
  artifact.makeFolder("kernels");
  artifact.setFile("kernels/fake.ptx", ".version 7.8\n");
  artifact.setFile("kernels/fake.sm_80.cubin", "cubin");
  artifact.setFile("module.so", readFile(module));
}

} // namespace xfm::test

#endif // XFM_TEST_UNIT_RUNTIME_GPUARTIFACT_H
