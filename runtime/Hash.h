//===- Hash.h - XXH3-64 of bytes, as the manifest spells it ---------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef XFM_RUNTIME_HASH_H
#define XFM_RUNTIME_HASH_H

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace xfm {

uint64_t hashBytes(const void *data, size_t size);

/// 16 lower-case hex digits.
std::string hexDigits(uint64_t hash);

/// Reads exactly 16 lower-case hex digits. Upper case is refused, so that every
/// flipped bit of a digit is noticed.
bool parseHexDigits(std::string_view text, uint64_t &out);

} // namespace xfm

#endif // XFM_RUNTIME_HASH_H
