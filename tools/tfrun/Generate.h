//===- Generate.h - Text and ids from a language model ------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef XFM_TOOLS_TFRUN_GENERATE_H
#define XFM_TOOLS_TFRUN_GENERATE_H

#include "runtime/text/Tokenizer.h"
#include "tools/tfrun/Model.h"
#include "tools/tfrun/Options.h"
#include "tools/tfrun/StopStrings.h"

#include <functional>
#include <memory>

namespace xfm::tfrun {

/// -p and --tokens: writes the prompt and its continuation to stdout as it arises, statistics to stderr.
void generate(const Model &model, const Options &options);

/// Receives ids and writes text: what all calls write is the decoding of all ids, cut before a stop string in
/// the generated part.
class TextWriter {
public:
  using Write = std::function<void(std::string_view text)>;
  TextWriter(const text::Tokenizer &tokenizer, const std::vector<int32_t> &prompt,
             std::vector<std::string> stops, Write write);

  /// Takes a generated id. Returns false once a stop string was met.
  bool push(int32_t id);
  void finish();

private:
  void emit(std::string text);
  text::StreamDecoder decoder;
  StopStrings stops;
  Write write;
  size_t promptBytes; ///< of the prompt's text that are still to be written
};

/// Ids of a prompt: those of the tokenizer, with the model's BOS in front where the prompt is empty or
/// `addBos`.
std::vector<int32_t> encodePrompt(const text::Tokenizer &tokenizer, const std::string &prompt, int64_t bos,
                                  bool addBos);

/// `add_bos_token` of a tokenizer_config.json; false if there is no such file.
bool readAddBos(const std::string &path);

} // namespace xfm::tfrun

#endif // XFM_TOOLS_TFRUN_GENERATE_H
