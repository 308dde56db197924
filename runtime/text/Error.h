//===- Error.h - What the text library throws ---------------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef XFM_RUNTIME_TEXT_ERROR_H
#define XFM_RUNTIME_TEXT_ERROR_H

#include <stdexcept>

namespace xfm::text {

/// One line: what is wrong, where, and what to do where that is known.
class Error : public std::runtime_error {
public:
  using std::runtime_error::runtime_error;
};

} // namespace xfm::text

#endif // XFM_RUNTIME_TEXT_ERROR_H
