//===- Memory.cpp - aligned and lazily touched memory ---------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "runtime/Memory.h"
#include "runtime/Tensor.h"
#include "runtime/xfm_abi.h"

#include <algorithm>
#include <cstdlib>
#include <sys/mman.h>
#include <utility>

using namespace xfm;

AlignedBuffer::~AlignedBuffer() { std::free(memory); }

AlignedBuffer::AlignedBuffer(AlignedBuffer &&other) noexcept { *this = std::move(other); }

AlignedBuffer &AlignedBuffer::operator=(AlignedBuffer &&other) noexcept {
  std::swap(memory, other.memory);
  std::swap(capacity, other.capacity);
  return *this;
}

bool AlignedBuffer::reserve(int64_t bytes) {
  if (memory && bytes <= capacity)
    return true;
  int64_t rounded;
  if (bytes < 0 || !alignUp(std::max<int64_t>(bytes, 1), rounded))
    return false;
  // Freed first: what it held is not kept, so both need not exist at once.
  std::free(std::exchange(memory, nullptr));
  capacity = 0;
  memory = static_cast<char *>(std::aligned_alloc(XFM_BUFFER_ALIGNMENT, static_cast<size_t>(rounded)));
  if (!memory)
    return false;
  capacity = rounded;
  return true;
}

LazyPages::~LazyPages() { release(); }

void LazyPages::release() {
  if (memory)
    munmap(memory, length);
  memory = nullptr;
}

bool LazyPages::allocate(int64_t bytes, bool huge) {
  constexpr size_t hugePage = size_t(2) << 20;
  length = static_cast<size_t>(std::max<int64_t>(bytes, 1));
  if (huge && length > SIZE_MAX - 2 * hugePage)
    return false;
  // The system joins pages within its own multiples of their size.
  if (huge)
    length = (length + hugePage - 1) / hugePage * hugePage;
  void *address =
      mmap(nullptr, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (address == MAP_FAILED)
    return false;
  memory = static_cast<char *>(address);
  if (huge)
    madvise(memory, length, MADV_HUGEPAGE);
  return true;
}
