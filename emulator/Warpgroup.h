//===- Warpgroup.h - asynchronous products of four warps ---------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef EMULATOR_WARPGROUP_H
#define EMULATOR_WARPGROUP_H

#include "emulator/Execution.h"
#include "emulator/Program.h"

#include <deque>
#include <map>

namespace mlir::emulator {

/// How a matrix descriptor (PTX ISA, "wgmma: matrix descriptor") names an operand in shared memory: atoms of
/// 8 rows of 128 bytes, with the swizzle of 128 bytes.
struct MatrixDescriptor {
  explicit MatrixDescriptor(uint64_t bits);
  /// What is wrong with it, or an empty string.
  std::string check() const;
  /// The byte where element `k` of row (column) `i` stands; `isTransposed`: k is the slower index.
  uint64_t addressOf(unsigned i, unsigned k, bool isTransposed) const;

  uint64_t start, leading, stride, layout, baseOffset;
};

/// What a product of a warpgroup is for one of its warps: sums [16, columns] += A [16, 16] B [16, columns].
struct WarpgroupProduct {
  unsigned columns;
  ScalarType type;
  bool isTransposed; ///< B is [k, column] in shared memory
  bool hasLeftInRegisters, clears;
  uint64_t left, right;            ///< descriptors
  std::vector<uint64_t> registers; ///< of A, by register and lane
  std::vector<uint64_t> sums;      ///< by register and lane
};

/// Products that a warp has issued. Their sums are not there until a wait: until then the registers hold
/// names of them, which read as NaN.
class WarpgroupProducts {
public:
  void fence() { isFenced = true; }
  void issue(Warp &warp, Operation *op, WarpgroupProduct product, unsigned result);
  void commit();
  /// Completes all but `pending` groups.
  void wait(Warp &warp, Operation *op, unsigned pending);
  /// What stands in a register after a wait, where it may name a sum.
  uint64_t resolve(Warp &warp, Operation *op, uint64_t word, unsigned lane);

private:
  struct Pending {
    WarpgroupProduct product;
    uint32_t number;
  };
  std::vector<uint64_t> multiply(Warp &warp, Operation *op, const WarpgroupProduct &product);

  bool isFenced = false;
  uint32_t next = 1;
  std::vector<Pending> issued;
  std::deque<std::vector<Pending>> groups;
  std::map<uint32_t, std::vector<uint64_t>> results;
};

} // namespace mlir::emulator

#endif // EMULATOR_WARPGROUP_H
