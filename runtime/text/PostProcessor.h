//===- PostProcessor.h - Tokens around the text -------------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef XFM_RUNTIME_TEXT_POSTPROCESSOR_H
#define XFM_RUNTIME_TEXT_POSTPROCESSOR_H

#include "runtime/text/Json.h"

#include <vector>

namespace xfm::text {

/// The `post_processor` of a tokenizer.json for a single text: ids put before and behind it, such as BOS.
class PostProcessor {
public:
  PostProcessor() = default;
  explicit PostProcessor(const Json &description) { add(description); }

  const std::vector<int32_t> &before() const { return prefix; }
  const std::vector<int32_t> &behind() const { return suffix; }

private:
  void add(const Json &description);
  void addTemplate(const Json &description);
  std::vector<int32_t> prefix, suffix;
};

} // namespace xfm::text

#endif // XFM_RUNTIME_TEXT_POSTPROCESSOR_H
