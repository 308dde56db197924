//===- FuzzTokenizer.cpp - tokenizer.json --------------------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The input is the file; after its last zero byte may stand a text to encode. A
// tokenizer that is accepted must encode and decode without a crash, and its
// stream of pieces must be the text that decoding at once gives.
//
//===----------------------------------------------------------------------===//

#include "runtime/text/Tokenizer.h"
#include "runtime/text/Utf8.h"
#include "test/fuzz/Fuzz.h"

using namespace xfm;

static void use(const text::Tokenizer &tokenizer, std::string_view text) {
  std::vector<int32_t> ids;
  try {
    ids = tokenizer.encode(text);
  } catch (const text::Error &error) { // e.g. a pattern that gives up on this text
    return fuzz::checkMessage(error.what(), "");
  }
  for (int32_t id : ids)
    FUZZ_CHECK(id >= 0 && id < tokenizer.idLimit());
  std::string whole = tokenizer.decode(ids), pieces;
  text::StreamDecoder stream(tokenizer);
  for (int32_t id : ids)
    pieces += stream.push(id);
  pieces += stream.finish();
  FUZZ_CHECK(pieces == whole);
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  std::string_view input(reinterpret_cast<const char *>(data), size), json = input;
  std::string_view text = "ab a <s> \xe2\x82\xac\n";
  if (size_t zero = input.rfind('\0'); zero != std::string_view::npos) {
    json = input.substr(0, zero);
    text = input.substr(zero + 1);
  }
  try {
    use(text::Tokenizer::parse(json), text);
  } catch (const text::Error &error) {
    fuzz::checkMessage(error.what(), "");
  }
  return 0;
}
