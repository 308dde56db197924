//===- Cost.cpp - what a call takes, by its sizes -------------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "runtime/Cost.h"

#include <algorithm>

using namespace xfm;

std::vector<Term> xfm::readTerms(const JsonReader &list, const char *coefficient,
                                 const std::vector<std::string> &sizes, bool keys) {
  std::vector<Term> terms;
  list.forEachElement([&](const JsonReader &value) {
    Term term;
    term.coefficient = value.member(coefficient).integer(0, INT64_MAX);
    value.member("sizes").forEachElement([&](const JsonReader &size) {
      std::string name = size.text();
      auto found = std::find(sizes.begin(), sizes.end(), name);
      if (found != sizes.end())
        term.sizes.push_back(static_cast<int32_t>(found - sizes.begin()));
      else if (keys && name == "T")
        term.sizes.push_back(keysSize);
      else if (!size.failed())
        size.fail("expected one of the entry point's sizes", keys ? " or 'T'" : "", ", but got ",
                  quote(name));
    });
    terms.push_back(std::move(term));
  });
  return terms;
}

double xfm::evaluate(const std::vector<Term> &terms, const std::vector<int64_t> &sizes, double keys) {
  double sum = 0;
  for (const Term &term : terms) {
    double product = static_cast<double>(term.coefficient);
    for (int32_t size : term.sizes)
      product *= size == keysSize ? keys : static_cast<double>(sizes[static_cast<size_t>(size)]);
    sum += product;
  }
  return sum;
}
