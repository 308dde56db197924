//===- ByteAlphabet.h - Bytes written as letters ------------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef XFM_RUNTIME_TEXT_BYTEALPHABET_H
#define XFM_RUNTIME_TEXT_BYTEALPHABET_H

#include <optional>
#include <string>
#include <string_view>

namespace xfm::text {

// Byte-level tokenizers write each byte as one visible code point: printable Latin-1 as itself, the 68 others
// as U+0100 … U+0143 in the order of the bytes (Radford et al. 2019).

/// Each byte of `text` as its code point.
std::string toByteAlphabet(std::string_view text);

/// The bytes that `text` stands for; nothing if a code point of it stands for none.
std::optional<std::string> fromByteAlphabet(std::string_view text);

} // namespace xfm::text

#endif // XFM_RUNTIME_TEXT_BYTEALPHABET_H
