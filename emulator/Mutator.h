//===- Mutator.h - single faults in kernels -----------------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef EMULATOR_MUTATOR_H
#define EMULATOR_MUTATOR_H

#include "mlir/IR/BuiltinOps.h"

#include <string>
#include <vector>

namespace mlir::emulator {

/// One fault: which op of the kernels, by its number in a walk, and what is done to it. Comparisons with one
/// bound are one fault together, as are the sizes of all copies: one of many may never be at its border. So
/// are shuffles of 64 bits at one distance in a block of ops: halves of them, as those of counts, are zero in
/// all lanes.
struct Mutation {
  unsigned op;
  enum Kind {
    Remove, ///< a barrier (of a cluster: both its halves), a wait, an arrival, a commit, a fence, a copy of
            ///< TMA
    WaitForLess,  ///< one more copy or group of products may be under way
    WidenBound,   ///< a comparison takes its border in
    ShiftAddress, ///< an access to shared memory is one piece of 16 bytes (an element where it is narrower)
                  ///< off
    OtherLane,    ///< a shuffle reads a nearer lane
    Transpose,    ///< ldmatrix or wgmma takes matrices transposed, or no longer does
    SwapOperands, ///< the halves of a fragment or the operands of wgmma change places
    CopyWhole,    ///< an asynchronous copy does not stop at the end of a row
    OtherCount,   ///< an mbarrier expects one arrival or one byte more
    OtherParity,  ///< a wait is for the other phase
    OtherRow,     ///< a copy of TMA begins one row further
    OtherColumn,  ///< and eight elements further
    OtherStride,  ///< matrix descriptors have another stride
    OtherSwizzle, ///< and another swizzle
    ForgetSums,   ///< wgmma begins its sums at zero
    OtherBlocks,  ///< a copy to several blocks leaves the last one out
    OtherRank,    ///< a place in the shared memory of a block is in that of its neighbour
    OwnBlock,     ///< an arrival at another block's mbarrier is at the block's own
    OtherShare,   ///< what a block's rank is multiplied by, its share of something, begins one further
    OtherScope,   ///< an arrival or a wait at an mbarrier is for the block alone
  } kind;
  std::string describe(ModuleOp module) const;
};

/// Every fault that the kernels of `module` can have.
std::vector<Mutation> mutationsOf(ModuleOp module);

/// A copy of `module` with one fault.
OwningOpRef<ModuleOp> mutate(ModuleOp module, const Mutation &mutation);

} // namespace mlir::emulator

#endif // EMULATOR_MUTATOR_H
