//===- Entry.cpp - One call of an entry point ---------------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "tools/tfrun/Entry.h"
#include "tools/tfrun/Profile.h"

#include <algorithm>
#include <stdexcept>

namespace xfm::tfrun {

static std::string namesOf(const std::vector<xfm_tensor_info> &tensors) {
  std::string names;
  for (const xfm_tensor_info &tensor : tensors)
    names += (names.empty() ? "" : ", ") + std::string(tensor.name);
  return names.empty() ? "none" : names;
}

/// The index of each named tensor. Throws where a name is unknown or given twice.
static std::vector<size_t> indicesOf(const std::vector<NamedFile> &files,
                                     const std::vector<xfm_tensor_info> &tensors, const char *what) {
  std::vector<size_t> indices;
  for (const NamedFile &file : files) {
    auto found = std::find_if(tensors.begin(), tensors.end(),
                              [&](const xfm_tensor_info &tensor) { return file.name == tensor.name; });
    if (found == tensors.end())
      throw std::runtime_error(std::string("there is no ") + what + " '" + file.name + "', but " +
                               namesOf(tensors));
    size_t index = size_t(found - tensors.begin());
    if (std::find(indices.begin(), indices.end(), index) != indices.end())
      throw std::runtime_error(std::string(what) + " '" + file.name + "' is given twice");
    indices.push_back(index);
  }
  return indices;
}

static void check(const Status &status) {
  if (!status.ok())
    throw std::runtime_error(status.message);
}

std::vector<xfm_tensor> readInputs(const std::vector<NamedFile> &files,
                                   const std::vector<xfm_tensor_info> &inputs,
                                   std::vector<NpyArray> &arrays) {
  std::vector<size_t> indices = indicesOf(files, inputs, "input");
  std::vector<xfm_tensor> tensors(inputs.size());
  for (size_t i = 0; i < indices.size(); ++i) {
    NpyArray &array = arrays[indices[i]];
    check(readNpy(files[i].path, NpyReadOptions(), array));
    tensors[indices[i]] = array.tensor();
  }
  return tensors;
}

int64_t batchOf(const std::vector<xfm_tensor_info> &infos, const std::vector<xfm_tensor> &tensors) {
  for (size_t i = 0; i < infos.size(); ++i)
    for (int32_t d = 0; d < std::min(infos[i].rank, tensors[i].rank); ++d)
      if (infos[i].symbols[d] && std::string(infos[i].symbols[d]) == "B")
        return std::max<int64_t>(1, tensors[i].dims[d]);
  return 1;
}

void runEntry(const Model &model, const Options &options) {
  model.needEntry(options.entry);
  std::vector<xfm_tensor_info> inputs = model.inputs(options.entry), outputs = model.outputs(options.entry);
  std::vector<size_t> outputIndices = indicesOf(options.outputs, outputs, "output");
  std::vector<NpyArray> arrays(inputs.size());
  if (options.inputs.size() < inputs.size()) {
    indicesOf(options.inputs, inputs, "input"); // an unknown name is the better message
    throw std::runtime_error("entry point '" + options.entry + "' needs --input for each of " +
                             namesOf(inputs));
  }
  if (outputIndices.empty())
    throw std::runtime_error("no --output is asked for; there is " + namesOf(outputs));

  std::vector<xfm_tensor> tensors = readInputs(options.inputs, inputs, arrays);
  auto session = createSession(model, options.threads, batchOf(inputs, tensors), options.context);
  Profile profile(session.get(), options);
  check(xfm_session_call(session.get(), options.entry.c_str(), tensors.data(), int32_t(tensors.size())));

  std::vector<xfm_tensor> results(outputIndices.size());
  for (size_t i = 0; i < outputIndices.size(); ++i)
    check(xfm_session_output(session.get(), int32_t(outputIndices[i]), &results[i]));
  for (size_t i = 0; i < outputIndices.size(); ++i)
    check(writeNpy(options.outputs[i].path, results[i]));
  profile.report();
}

} // namespace xfm::tfrun
