//===- Cost.h - what a call takes, by its sizes ---------------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef XFM_RUNTIME_COST_H
#define XFM_RUNTIME_COST_H

#include "runtime/Json.h"

#include <cstdint>
#include <string>
#include <vector>

namespace xfm {

/// Stands in Term::sizes for "T", the mean number of keys that a query sees.
constexpr int32_t keysSize = -1;

/// A coefficient times sizes of an entry point.
struct Term {
  int64_t coefficient = 0;
  std::vector<int32_t> sizes; ///< indices into the entry point's sizes, or keysSize
};

/// Reads a sum of terms whose coefficient is the member `coefficient`. `sizes`
/// are the symbols of the entry point; "T" is another one where `keys` is true.
std::vector<Term> readTerms(const JsonReader &list, const char *coefficient,
                            const std::vector<std::string> &sizes, bool keys);

/// The value of a sum where the entry point's sizes have these values and a query
/// sees `keys` keys.
double evaluate(const std::vector<Term> &terms, const std::vector<int64_t> &sizes, double keys);

/// The mean number of keys that the queries of `positions` positions behind
/// `before` others see, each query itself and all before it.
inline double meanKeys(int64_t before, int64_t positions) {
  return static_cast<double>(before) + (static_cast<double>(positions) + 1) / 2;
}

} // namespace xfm

#endif // XFM_RUNTIME_COST_H
