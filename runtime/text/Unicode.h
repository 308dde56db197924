//===- Unicode.h - Normal forms and lower case --------------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef XFM_RUNTIME_TEXT_UNICODE_H
#define XFM_RUNTIME_TEXT_UNICODE_H

#include <string>
#include <string_view>

namespace xfm::text {

/// The canonical forms of Unicode Standard Annex 15. `text` must be valid UTF-8.
std::string toNFD(std::string_view text);
std::string toNFC(std::string_view text);

/// Each code point's lower case, independent of language and context.
std::string toLower(std::string_view text);

bool isAscii(std::string_view text);

} // namespace xfm::text

#endif // XFM_RUNTIME_TEXT_UNICODE_H
