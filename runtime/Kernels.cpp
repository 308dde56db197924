//===- Kernels.cpp - the kernels of a GPU artifact ----------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "runtime/Kernels.h"

#include <cstdlib>

using namespace xfm;

int64_t KernelSet::capability() const { return std::atoi(arch.c_str() + 3); }

static TensorMapSpec readMap(const JsonReader &value, int64_t words) {
  TensorMapSpec map;
  map.word = value.member("word").integer(0, words - 1);
  JsonReader dtype = value.member("dtype");
  std::string name = dtype.text();
  bool known = false;
  for (xfm_dtype candidate : {XFM_F32, XFM_F16, XFM_BF16, XFM_I32, XFM_I64, XFM_I8})
    if (name == xfm_dtype_name(candidate))
      map.dtype = candidate, known = true;
  if (!dtype.failed() && !known)
    dtype.fail("unknown element type ", quote(name));
  JsonReader swizzle = value.member("swizzle");
  map.swizzle = swizzle.integer(0, 128);
  if (!swizzle.failed() && map.swizzle != 0 && map.swizzle != 32 && map.swizzle != 64 && map.swizzle != 128)
    swizzle.fail("expected 0, 32, 64 or 128, but got ", map.swizzle);
  value.member("box").forEachElement(
      [&](const JsonReader &size) { map.box.push_back(size.integer(1, 256)); });
  value.member("dims").forEachElement([&](const JsonReader &dim) {
    MapDim read;
    dim.member("words").forEachElement(
        [&](const JsonReader &word) { read.words.push_back(word.integer(0, words - 1)); });
    read.factor = dim.member("factor").integer(1, INT64_MAX);
    map.dims.push_back(std::move(read));
  });
  if (!value.failed() && (map.dims.empty() || map.dims.size() > 5 || map.dims.size() != map.box.size()))
    value.fail("expected 1 to 5 dimensions and a box of as many, but got ", map.dims.size(), " and ",
               map.box.size());
  return map;
}

/// "sm_" and the number, where it runs on no other generation with an "a".
static bool isArch(std::string_view text) {
  if (text.substr(0, 3) != "sm_")
    return false;
  text.remove_prefix(3);
  if (!text.empty() && text.back() == 'a')
    text.remove_suffix(1);
  return text.size() >= 2 && text.size() <= 4 && text[0] != '0' &&
         text.find_first_not_of("0123456789") == std::string_view::npos;
}

/// One host function launches the kernels of every architecture, so that their rows take the same.
static void checkRows(const JsonReader &value, const KernelSet &set, const KernelSet &first) {
  if (set.table.size() != first.table.size())
    return value.fail("expected as many kernels as the first architecture has, ", first.table.size(),
                      ", but got ", set.table.size());
  for (size_t i = 0; i < set.table.size(); ++i)
    if (set.table[i].words != first.table[i].words || set.table[i].tile.size() != first.table[i].tile.size())
      return value.fail("expected kernel ", i, " to take ", first.table[i].words, " words and ",
                        first.table[i].tile.size(), " dimensions as for the first architecture, but got ",
                        set.table[i].words, " and ", set.table[i].tile.size());
}

static KernelSpec readKernel(const JsonReader &value) {
  KernelSpec kernel;
  kernel.symbol = value.member("symbol").text();
  JsonReader threads = value.member("threads");
  kernel.threads = threads.integer(32, 1024);
  if (!threads.failed() && kernel.threads % 32 != 0)
    threads.fail("expected a multiple of 32, but got ", kernel.threads);
  kernel.shared = value.member("shared").integer(0, 1 << 20);
  kernel.cluster = value.member("cluster").integer(1, 16);
  kernel.words = value.member("words").integer(0, 1 << 16);
  kernel.persistent = value.member("persistent").boolean();
  kernel.overlaps = value.member("overlaps").boolean();
  value.member("tile").forEachElement(
      [&](const JsonReader &tile) { kernel.tile.push_back(tile.integer(1, INT32_MAX)); });
  value.member("maps").forEachElement(
      [&](const JsonReader &map) { kernel.maps.push_back(readMap(map, kernel.words)); });
  return kernel;
}

std::vector<KernelSet> xfm::readKernels(const JsonReader &value) {
  std::vector<KernelSet> sets;
  value.forEachElement([&](const JsonReader &entry) {
    KernelSet set;
    JsonReader arch = entry.member("arch");
    set.arch = arch.text();
    if (!arch.failed() && !isArch(set.arch))
      arch.fail("expected an architecture such as sm_80, but got ", quote(set.arch));
    for (const KernelSet &other : sets)
      if (!arch.failed() && other.arch == set.arch)
        arch.fail(quote(set.arch), " is given twice");
    if (JsonReader ptx = entry.optionalMember("ptx"))
      set.ptx = ptx.text();
    if (JsonReader cubin = entry.optionalMember("cubin"))
      set.cubin = cubin.text();
    if (!entry.failed() && set.ptx.empty() && set.cubin.empty())
      entry.fail("expected a file of PTX or a cubin");
    entry.member("table").forEachElement(
        [&](const JsonReader &kernel) { set.table.push_back(readKernel(kernel)); });
    if (!entry.failed() && !sets.empty())
      checkRows(entry, set, sets[0]);
    sets.push_back(std::move(set));
  });
  if (!value.failed() && sets.empty())
    value.fail("expected the kernels of at least one architecture");
  return sets;
}
