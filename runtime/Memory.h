//===- Memory.h - aligned and lazily touched memory -----------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef XFM_RUNTIME_MEMORY_H
#define XFM_RUNTIME_MEMORY_H

#include <cstddef>
#include <cstdint>

namespace xfm {

/// A buffer that grows and never shrinks, aligned for generated code. Growing
/// drops what it held.
class AlignedBuffer {
public:
  AlignedBuffer() = default;
  ~AlignedBuffer();
  AlignedBuffer(AlignedBuffer &&other) noexcept;
  AlignedBuffer &operator=(AlignedBuffer &&other) noexcept;

  /// Makes room for `bytes`; false where there is no memory. data() is not null
  /// afterwards even for no bytes.
  [[nodiscard]] bool reserve(int64_t bytes);

  char *data() const { return memory; }

private:
  char *memory = nullptr;
  int64_t capacity = 0;
};

/// Zeroed pages that take memory only once touched.
class LazyPages {
public:
  LazyPages() = default;
  ~LazyPages();
  LazyPages(const LazyPages &) = delete;
  LazyPages &operator=(const LazyPages &) = delete;
  void release();

  /// False where the system refuses that much address space. `huge` asks for pages
  /// of 2 MiB, which the system may have or not.
  [[nodiscard]] bool allocate(int64_t bytes, bool huge = false);

  char *data() const { return memory; }

private:
  char *memory = nullptr;
  size_t length = 0;
};

} // namespace xfm

#endif // XFM_RUNTIME_MEMORY_H
