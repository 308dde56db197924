//===- Mbarriers.h - barriers that count bytes -------------------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef EMULATOR_MBARRIERS_H
#define EMULATOR_MBARRIERS_H

#include "emulator/SharedState.h"

#include "mlir/Support/LLVM.h"

#include <deque>
#include <map>
#include <optional>

namespace mlir::emulator {

/// How TMA sees a memref of the launch (#xgpu.tensor_map).
struct TensorMap {
  unsigned memref; ///< its registers: address, sizes
  unsigned elementBytes;
  SmallVector<int64_t> groups, box;
  int64_t swizzle;
};

/// A box of a tensor on its way to or from shared memory: element 0 of it stands at `at`, outermost first.
struct TensorCopy {
  const TensorMap *map;
  uint64_t base;              ///< of the tensor, in global memory
  SmallVector<int64_t> sizes; ///< of its dimensions
  SmallVector<int64_t> at;    ///< may be out of bounds: zeros are there
  uint64_t target;            ///< in shared memory
  uint32_t time = 0;          ///< among the copies of its mbarrier

  uint64_t bytes() const;
  void load(uint8_t *shared) const;
  /// The box as it stands in shared memory, element after element; and that to the tensor, but for what is
  /// out of bounds.
  std::vector<uint8_t> gather(const uint8_t *shared) const;
  void store(const std::vector<uint8_t> &box) const;

private:
  /// The place of element `number` of the box in the tensor, in elements; none where it is out of bounds.
  std::optional<uint64_t> placeOf(uint64_t number) const;
  uint64_t sharedPlaceOf(uint64_t number) const;
};

/// An mbarrier object (PTX ISA, "mbarrier"): a phase ends when all arrivals have come and all bytes
/// that they announced.
struct Mbarrier {
  unsigned count = 0, pending = 0; ///< arrivals of a phase, and those that are missing
  int64_t bytes = 0;               ///< announced and not yet arrived
  uint64_t phase = 0;
  unsigned member = 0;      ///< of clocks: its copies
  unsigned initialiser = 0; ///< the warp
  uint32_t initialised = 0, copies = 0;
  bool isFenced = false; ///< known to the asynchronous proxy
  /// What those who arrive know, of this block and of others; by parity of the phase.
  Clock arriving, arrivingFromOthers, completed[2], completedByOthers[2];
  std::deque<TensorCopy> underWay;
};

/// Those of a block, by address.
class Mbarriers {
public:
  /// `firstMember` of clocks is that of the first mbarrier's copies.
  Mbarriers(SharedState &shared, unsigned firstMember, bool late)
      : shared(shared), firstMember(firstMember), late(late) {}
  /// Members that a clock has for mbarriers: as many as there may be.
  static constexpr unsigned kMost = 32;

  std::string init(uint64_t address, unsigned count, unsigned warp, Clock &clock);
  /// The object at an address, as `warp` may use it; null with a message.
  Mbarrier *find(uint64_t address, unsigned warp, const Clock &clock, std::string &message);
  void fenceInit(unsigned warp);
  /// `fromOther`: the warp is one of another block.
  std::string arrive(Mbarrier &barrier, unsigned count, int64_t bytes, unsigned warp, Clock &clock,
                     bool fromOther = false);
  std::string copy(Mbarrier &barrier, TensorCopy copy, unsigned warp, const Clock &clock);
  /// Whether the phase of `parity` is over; copies that come late come now.
  bool isOver(Mbarrier &barrier, unsigned parity);
  bool anyUnderWay() const;

private:
  void land(Mbarrier &barrier, const TensorCopy &copy);
  void completeIfDue(Mbarrier &barrier);

  SharedState &shared;
  unsigned firstMember;
  bool late;
  std::map<uint64_t, Mbarrier> objects;
};

} // namespace mlir::emulator

#endif // EMULATOR_MBARRIERS_H
