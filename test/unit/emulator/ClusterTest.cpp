//===- ClusterTest.cpp - blocks that run together in the emulator ---------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "test/unit/emulator/KernelText.h"

using namespace mlir;
using namespace mlir::emulator;

namespace {

const char *const kMeet = "nvvm.cluster.arrive {aligned}\nnvvm.cluster.wait {aligned}\n";

/// A kernel of clusters of two blocks of 32 threads.
std::string clusterText(const std::string &body, unsigned cluster = 2) {
  return kernelText(32, 4096,
                    R"(
    %zero = arith.constant 0 : i32
    %one = arith.constant 1 : i32
    %two = arith.constant 2 : i32
    %c32 = arith.constant 32 : i32
    %ticks = arith.constant 1000 : i32
    %rank = nvvm.read.ptx.sreg.cluster.ctarank : i32
    %peer = arith.xori %rank, %one : i32
    %isFirst = arith.cmpi eq, %rank, %zero : i32
    %isLeader = arith.cmpi eq, %tid32, %zero : i32
    %skipped = arith.muli %rank, %c32 : i32
    %own32 = arith.addi %skipped, %tid32 : i32
    %place = arith.index_castui %own32 : i32 to index
    )" + body,
                    cluster);
}

//===----------------------------------------------------------------------===//
// Distributed shared memory
//===----------------------------------------------------------------------===//

/// Each block doubles its numbers of x in its shared memory and writes back the other's.
std::string exchange(const std::string &first, const std::string &last, const std::string &block = "%peer") {
  return clusterText(R"(
    %v = memref.load %x[%place] : memref<?xf32>
    %d = arith.addf %v, %v : f32
    llvm.store %d, %own {alignment = 4 : i64} : f32, !llvm.ptr<3>
    )" + first + R"(
    %there = nvvm.mapa %own, )" +
                     block + R"( : !llvm.ptr<3> -> !llvm.ptr<7>
    %w = llvm.load %there {alignment = 4 : i64} : !llvm.ptr<7> -> f32
    memref.store %w, %x[%place] : memref<?xf32>
    )" + last);
}

TEST(Cluster, BlocksReadEachOthersSharedMemory) {
  for (uint64_t seed : {0, 1, 2, 3}) {
    std::vector<float> data = count(64);
    EmulatorOptions options;
    options.seed = seed;
    ASSERT_EQ(launch(exchange(kMeet, kMeet), data, options), "");
    for (int i = 0; i < 64; ++i)
      EXPECT_EQ(data[i], 2 * (i ^ 32));
  }
}

TEST(Cluster, ARankMayBeTheBlocksOwn) {
  std::vector<float> data = count(64);
  ASSERT_EQ(launch(exchange(kMeet, "", "%rank"), data), "");
  for (int i = 0; i < 64; ++i)
    EXPECT_EQ(data[i], 2 * i);
}

TEST(Cluster, BlocksAreThereWhenTheyAreReached) {
  expectFault(exchange("", kMeet), "which need not have started (no cluster barrier between)");
  expectFaults(exchange(kMeet, ""),
               {"may still reach its shared memory", "block 1, which has ended", "block 0, which has ended"});
  expectFault(exchange(kMeet, kMeet, "%two"), "names block 2 of a cluster of 2");
}

TEST(Cluster, RacesAcrossBlocksAreFound) {
  auto textOf = [](const std::string &between) {
    return clusterText(std::string(kMeet) + R"(
    %v = memref.load %x[%place] : memref<?xf32>
    %there = nvvm.mapa %own, %peer : !llvm.ptr<3> -> !llvm.ptr<7>
    llvm.store %v, %there {alignment = 4 : i64} : f32, !llvm.ptr<7>
    )" + between + R"(
    %w = llvm.load %own {alignment = 4 : i64} : !llvm.ptr<3> -> f32
    memref.store %w, %x[%place] : memref<?xf32>
    )" + kMeet);
  };
  std::vector<float> data = count(64);
  ASSERT_EQ(launch(textOf(kMeet), data), "");
  for (int i = 0; i < 64; ++i)
    EXPECT_EQ(data[i], i ^ 32);
  // What the other block writes, and does so with no barrier, may not have come.
  expectFaults(textOf(""), {"reads shared memory that nothing has written", "wrote with no barrier between"});
  expectFaults(textOf("nvvm.barrier0"),
               {"reads shared memory that nothing has written", "wrote with no barrier between"});
}

TEST(Cluster, PlacesOfOtherBlocksHaveBounds) {
  auto textOf = [](int bytes) {
    return clusterText(std::string(kMeet) + "%far = arith.constant " + std::to_string(bytes) + R"( : i32
    %there = nvvm.mapa %base, %peer : !llvm.ptr<3> -> !llvm.ptr<7>
    %p = llvm.getelementptr %there[%far] : (!llvm.ptr<7>, i32) -> !llvm.ptr<7>, i8
    llvm.store %one, %p {alignment = 4 : i64} : i32, !llvm.ptr<7>
    )" + kMeet);
  };
  std::vector<float> data = count(64);
  expectFault(textOf(4096), "writes shared memory out of bounds: byte 4096 of 4096");
  EXPECT_EQ(launch(textOf(4092), data), "");
}

//===----------------------------------------------------------------------===//
// The barrier
//===----------------------------------------------------------------------===//

TEST(Cluster, TheBarrierIsUsedWrongly) {
  expectFault(clusterText("nvvm.cluster.wait {aligned}"), "has not arrived there");
  expectFault(clusterText("nvvm.cluster.arrive {aligned}\nnvvm.cluster.arrive {aligned}"), "arrives again");
  expectFault(clusterText("scf.if %isLeader {\nnvvm.cluster.arrive {aligned}\n}"),
              "some lanes of the warp alone");
  expectFault(clusterText(kMeet, 1), "in a kernel without clusters");
  expectFault(clusterText("%m = nvvm.mapa %base, %zero : !llvm.ptr<3> -> !llvm.ptr<7>", 1),
              "in a kernel without clusters");
}

TEST(Cluster, LanesMayArriveApart) {
  std::vector<float> data = count(64);
  // Here they do not run apart: the first waits for the others and they for it.
  expectFault(clusterText(R"(
    scf.if %isLeader {
      nvvm.cluster.arrive
      nvvm.cluster.wait
    } else {
      nvvm.cluster.arrive
    })"),
              "deadlock: warp 0 of the cluster's block 0 waits for the cluster's barrier");
  EXPECT_EQ(launch(clusterText("scf.if %isLeader {\nnvvm.cluster.arrive\n} else {\nnvvm.cluster.arrive\n}\n"
                               "nvvm.cluster.wait"),
                   data),
            "");
}

TEST(Cluster, ThreadsThatEndAreNotWaitedFor) {
  std::vector<float> data = count(64);
  EXPECT_EQ(launch(clusterText("scf.if %isFirst {\n" + std::string(kMeet) + "}"), data), "");
}

TEST(Cluster, DeadlocksNameBlocks) {
  expectFault(clusterText(R"(
    scf.if %isLeader {
      nvvm.mbarrier.init %base, %one : !llvm.ptr<3>, i32
    }
    nvvm.barrier0
    scf.if %isFirst {
    )" + std::string(kMeet) +
                          R"(
    } else {
      nvvm.mbarrier.try_wait.parity %base, %zero, %ticks : !llvm.ptr<3>, i32, i32
    })"),
              "block 0 to 1: deadlock: warp 0 of the cluster's block 0 waits for the cluster's barrier");
}

TEST(Cluster, GridsAreMadeOfClusters) {
  OwningOpRef<ModuleOp> module = parseSourceString<ModuleOp>(clusterText(""), &context());
  auto kernel = EmulatedKernel::create(module->lookupSymbol<func::FuncOp>("k"));
  ASSERT_TRUE(bool(kernel));
  DeviceMemory memory;
  std::vector<float> data = count(64);
  memory.add(data.data(), 256, "x");
  uint64_t words[] = {reinterpret_cast<uint64_t>(data.data()), 64};
  auto report = (*kernel)->launch({3, words}, memory);
  ASSERT_FALSE(bool(report));
  EXPECT_EQ(llvm::toString(report.takeError()), "kernel k has 3 blocks, which are no clusters of 2");
}

//===----------------------------------------------------------------------===//
// Mbarriers of other blocks
//===----------------------------------------------------------------------===//

struct HandOver {
  std::string init = "nvvm.mbarrier.init %bar, %c32 : !llvm.ptr<3>, i32";
  std::string meet = kMeet;
  std::string arrive = "nvvm.mbarrier.arrive %bar0 {scope = #nvvm.mem_scope<cluster>} : !llvm.ptr<7>";
  std::string wait = "%done = nvvm.mbarrier.try_wait %bar, %zero {scope = #nvvm.mem_scope<cluster>} : "
                     "!llvm.ptr<3>, i32 -> i1";
  std::string end = kMeet;
};

/// Block 1 stores its numbers of x in block 0's shared memory and arrives at its mbarrier; block 0 adds 1 to
/// them.
std::string handOver(const HandOver &how) {
  return clusterText(R"(
    %at = arith.constant 1024 : i32
    %bar = llvm.getelementptr %base[%at] : (!llvm.ptr<3>, i32) -> !llvm.ptr<3>, i8
    scf.if %isLeader {
      )" + how.init + R"(
    }
    )" + how.meet + R"(
    %v = memref.load %x[%place] : memref<?xf32>
    scf.if %isFirst {
      )" + how.wait + R"(
      %w = llvm.load %own {alignment = 4 : i64} : !llvm.ptr<3> -> f32
      %add = arith.constant 1.0 : f32
      %s = arith.addf %w, %add : f32
      memref.store %s, %x[%place] : memref<?xf32>
    } else {
      %there = nvvm.mapa %own, %zero : !llvm.ptr<3> -> !llvm.ptr<7>
      %bar0 = nvvm.mapa %bar, %zero : !llvm.ptr<3> -> !llvm.ptr<7>
      llvm.store %v, %there {alignment = 4 : i64} : f32, !llvm.ptr<7>
      )" + how.arrive +
                     R"(
    }
    )" + how.end);
}

TEST(Cluster, MbarriersHandOverBetweenBlocks) {
  std::vector<float> data = count(64);
  ASSERT_EQ(launch(handOver({}), data), "");
  for (int i = 0; i < 32; ++i)
    EXPECT_EQ(data[i], 32 + i + 1);
}

TEST(Cluster, MbarriersOfOtherBlocksAreUsedWrongly) {
  HandOver how;
  how.arrive = "nvvm.mbarrier.arrive %bar0 : !llvm.ptr<7>";
  expectFault(handOver(how), "with the scope of its own block");
  how = {};
  how.arrive = "nvvm.mbarrier.arrive %bar : !llvm.ptr<3>";
  expectFault(handOver(how), "waits for a phase of an mbarrier");
  how = {};
  how.wait = "nvvm.mbarrier.try_wait.parity %bar, %zero, %ticks : !llvm.ptr<3>, i32, i32";
  expectFault(handOver(how), "wrote with no barrier between");
  how = {};
  how.meet = "nvvm.barrier0";
  expectFault(handOver(how), "which need not have started");
  how = {};
  how.init = "";
  expectFault(handOver(how), "where no mbarrier is");
  // Block 1 may still arrive, or has, when block 0 ends: its own wait says so here, no barrier is needed.
  how = {};
  how.end = "";
  std::vector<float> data = count(64);
  EXPECT_EQ(launch(handOver(how), data), "");
}

//===----------------------------------------------------------------------===//
// Copies to several blocks
//===----------------------------------------------------------------------===//

struct Multicast {
  std::string mask = "3";
  std::string fence = "nvvm.fence.mbarrier.init";
  std::string meet = kMeet;
  std::string wait = "nvvm.mbarrier.try_wait.parity %bar, %zero, %ticks : !llvm.ptr<3>, i32, i32";
  unsigned cluster = 2;
};

/// Each block copies a row of the tensor [2, 32] to both, block r to place 128 r; each adds the two up.
std::string multicast(const Multicast &how) {
  std::string text = clusterText(R"(
    %at = arith.constant 1024 : i32
    %size = arith.constant 256 : i32
    %row = arith.constant 128 : i32
    %mask = arith.constant )" + how.mask +
                                     R"( : i16
    %bar = llvm.getelementptr %base[%at] : (!llvm.ptr<3>, i32) -> !llvm.ptr<3>, i8
    scf.if %isLeader {
      nvvm.mbarrier.init %bar, %one : !llvm.ptr<3>, i32
      )" + how.fence + R"(
    }
    )" + how.meet + R"(
    scf.if %isLeader {
      nvvm.mbarrier.arrive.expect_tx %bar, %size : !llvm.ptr<3>, i32
      %shift = arith.muli %rank, %row : i32
      %part = llvm.getelementptr %base[%shift] : (!llvm.ptr<3>, i32) -> !llvm.ptr<3>, i8
      %target = llvm.addrspacecast %part : !llvm.ptr<3> to !llvm.ptr<7>
      nvvm.cp.async.bulk.tensor.shared.cluster.global %target, %map, %bar, box[%zero, %rank] multicast_mask = %mask : !llvm.ptr<7>, !llvm.ptr
    }
    )" + how.wait + R"(
    %second = llvm.getelementptr %own[%row] : (!llvm.ptr<3>, i32) -> !llvm.ptr<3>, i8
    %v = llvm.load %own {alignment = 4 : i64} : !llvm.ptr<3> -> f32
    %w = llvm.load %second {alignment = 4 : i64} : !llvm.ptr<3> -> f32
    %s = arith.addf %v, %w : f32
    memref.store %s, %x[%place] : memref<?xf32>)",
                                 how.cluster);
  const std::string argument = "%x: memref<?xf32>";
  return text.replace(text.find(argument), argument.size(),
                      "%x: memref<?xf32>, %t: memref<2x32xf32>, %map: !llvm.ptr {xgpu.tensor_map = "
                      "#xgpu.tensor_map<argument = 1, groups = [1, 1], box = [1, 32], swizzle = 0>}");
}

std::string launchMulticast(const Multicast &how, std::vector<float> &data, bool late, uint64_t seed) {
  DeviceMemory memory;
  alignas(16) float tensor[64];
  for (int i = 0; i < 64; ++i)
    tensor[i] = static_cast<float>(i < 32 ? i : 100 * i);
  memory.add(data.data(), data.size() * 4, "x", true);
  memory.add(tensor, sizeof(tensor), "t", false);
  EmulatorOptions options;
  options.late = late;
  options.seed = seed;
  return launch(multicast(how), memory,
                {reinterpret_cast<uint64_t>(data.data()), data.size(), reinterpret_cast<uint64_t>(tensor)},
                options);
}

TEST(Cluster, BoxesGoToSeveralBlocks) {
  for (bool late : {true, false})
    for (uint64_t seed : {0, 1, 2}) {
      std::vector<float> data = count(64);
      ASSERT_EQ(launchMulticast({}, data, late, seed), "");
      for (int i = 0; i < 64; ++i)
        EXPECT_EQ(data[i], i % 32 + 100 * (32 + i % 32));
    }
}

TEST(Cluster, BoxesForSeveralBlocksAreUsedWrongly) {
  auto expect = [](const Multicast &how, ArrayRef<StringRef> parts) {
    for (bool late : {true, false})
      for (uint64_t seed : {0, 1, 2}) {
        std::vector<float> data = count(64);
        std::string message = launchMulticast(how, data, late, seed);
        EXPECT_TRUE(llvm::any_of(parts, [&](StringRef part) { return StringRef(message).contains(part); }))
            << late << ' ' << seed << ": " << message;
      }
  };
  Multicast how;
  how.mask = "0";
  expect(how, {"names no block of the cluster"});
  how.mask = "4";
  expect(how, {"names block 2 of a cluster of 2"});
  // Block 1 gets neither part, or block 0 all of them and more than it expects.
  how.mask = "1";
  expect(how, {"deadlock"});
  how = {};
  how.cluster = 1;
  how.meet = "nvvm.barrier0";
  expect(how, {"in a kernel without clusters"});
  how = {};
  how.fence = "";
  expect(how, {"no fence.mbarrier.init made known"});
  how = {};
  how.meet = "nvvm.barrier0";
  expect(how, {"which need not have started"});
  how = {};
  how.wait = "";
  expect(how, {"asynchronous copy still writes", "nothing has written",
               "a copy of TMA wrote with no barrier between"});
}

} // namespace
