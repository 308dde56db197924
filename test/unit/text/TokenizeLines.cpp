//===- TokenizeLines.cpp - Tokenizer results for other programs to compare ---===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
//
// tokenize-lines TOKENIZER.json: each line of stdin is a JSON string to encode or
// an array of ids to decode; each line of stdout is an object with "ids", "plain"
// (ids without special tokens), "text", "skipped" (decoded without them), or
// "error".
//
//===----------------------------------------------------------------------===//

#include "runtime/text/Json.h"
#include "runtime/text/Tokenizer.h"

#include <iostream>

using xfm::text::Json;

int main(int argc, char **argv) {
  try {
    auto tokenizer = xfm::text::Tokenizer::load(argc > 1 ? argv[1] : "");
    for (std::string line; std::getline(std::cin, line);) {
      Json result, query = xfm::text::parseJson(line);
      try {
        if (query.is_string()) {
          result["ids"] = tokenizer.encode(query.get<std::string>());
          result["plain"] = tokenizer.encode(query.get<std::string>(), false);
          query = result["ids"];
        }
        std::vector<int32_t> ids = query;
        result["text"] = tokenizer.decode(ids);
        result["skipped"] = tokenizer.decode(ids, true);
      } catch (const xfm::text::Error &error) {
        result["error"] = error.what();
      }
      std::cout << result.dump() << '\n';
    }
    return 0;
  } catch (const xfm::text::Error &error) {
    std::cerr << "tokenize-lines: error: " << error.what() << '\n';
    return 1;
  }
}
