//===- HopperTest.cpp - mbarriers, TMA and wgmma in the emulator ----------===//
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

//===----------------------------------------------------------------------===//
// Named barriers
//===----------------------------------------------------------------------===//

/// Warps of a block of 64 threads meet at barrier 1, each naming its own number of threads.
std::string meetingOf(int first, int second) {
  return kernelText(64, 0,
                    R"(
    %one = arith.constant 1 : i32
    %c32 = arith.constant 32 : i32
    %low = arith.constant )" +
                        std::to_string(first) + R"( : i32
    %high = arith.constant )" +
                        std::to_string(second) +
                        R"( : i32
    %isFirst = arith.cmpi ult, %tid32, %c32 : i32
    %n = arith.select %isFirst, %low, %high : i32
    nvvm.barrier id = %one number_of_threads = %n)");
}

TEST(Hopper, NamedBarriersCountThreads) {
  std::vector<float> data = count(64);
  EXPECT_EQ(launch(meetingOf(64, 64), data), "");
  EXPECT_EQ(launch(meetingOf(32, 32), data), "");
  // Whoever comes first: the other has another number, or nobody to meet.
  expectFault(meetingOf(64, 32), "barrier");
  expectFault(meetingOf(0, 0), "waits for 0 threads");
  expectFault(meetingOf(96, 96), "waits for 96 threads of a block of 64");
}

//===----------------------------------------------------------------------===//
// Mbarriers
//===----------------------------------------------------------------------===//

/// Warp 0 doubles x[i] into shared memory and arrives `arrivals` times at an mbarrier of 32 arrivals; warp 1
/// waits for phase `parity` and adds 1.
std::string handOver(const std::string &arrival, int parity, const std::string &meet = "nvvm.barrier0") {
  return kernelText(64, 256,
                    R"(
    %zero = arith.constant 0 : i32
    %c32 = arith.constant 32 : i32
    %i32 = arith.constant 32 : index
    %place = arith.constant 128 : i32
    %ticks = arith.constant 1000 : i32
    %parity = arith.constant )" +
                        std::to_string(parity) + R"( : i32
    %bar = llvm.getelementptr %base[%place] : (!llvm.ptr<3>, i32) -> !llvm.ptr<3>, i8
    %isZero = arith.cmpi eq, %tid32, %zero : i32
    scf.if %isZero {
      nvvm.mbarrier.init %bar, %c32 : !llvm.ptr<3>, i32
    }
    )" + meet + R"(
    %isFirst = arith.cmpi ult, %tid32, %c32 : i32
    scf.if %isFirst {
      %v = memref.load %x[%tid] : memref<?xf32>
      %d = arith.addf %v, %v : f32
      llvm.store %d, %own {alignment = 4 : i64} : f32, !llvm.ptr<3>
      )" + arrival + R"(
    } else {
      nvvm.mbarrier.try_wait.parity %bar, %parity, %ticks : !llvm.ptr<3>, i32, i32
      %from = arith.subi %bytes, %place : i32
      %p = llvm.getelementptr %base[%from] : (!llvm.ptr<3>, i32) -> !llvm.ptr<3>, i8
      %v = llvm.load %p {alignment = 4 : i64} : !llvm.ptr<3> -> f32
      %one = arith.constant 1.0 : f32
      %s = arith.addf %v, %one : f32
      memref.store %s, %x[%tid] : memref<?xf32>
    })");
}

const char *const kArrive = "nvvm.mbarrier.arrive %bar : !llvm.ptr<3>";

TEST(Hopper, MbarriersHandOver) {
  std::vector<float> data = count(64);
  ASSERT_EQ(launch(handOver(kArrive, 0), data), "");
  for (int i = 0; i < 32; ++i)
    EXPECT_EQ(data[32 + i], 2 * i + 1);
}

TEST(Hopper, MbarriersAreUsedWrongly) {
  // The phase before the first counts as over: nothing is waited for, or, behind the first, the second for
  // ever.
  expectFault(handOver(kArrive, 1), "kernel k, block 0");
  expectFault(handOver("", 0), "waits for a phase of an mbarrier");
  // Two phases later the parity is that of the beginning.
  expectFault(handOver(std::string(kArrive) + "\n" + kArrive, 0), "waits for a phase of an mbarrier");
  expectFault(handOver(kArrive, 0, ""), "mbarrier");
}

//===----------------------------------------------------------------------===//
// TMA
//===----------------------------------------------------------------------===//

/// A box of 8 rows of 32 numbers, from row 1 of the tensor's 4 on, goes to shared memory; the first warp
/// writes row `row` of it to the first 32 numbers of x.
std::string copyOfBox(int row, const std::string &wait, int bytes = 1024) {
  std::string text = kernelText(64, 2048,
                                R"(
    %zero = arith.constant 0 : i32
    %one = arith.constant 1 : i32
    %c32 = arith.constant 32 : i32
    %place = arith.constant 1024 : i32
    %ticks = arith.constant 1000 : i32
    %size = arith.constant )" + std::to_string(bytes) +
                                    R"( : i32
    %bar = llvm.getelementptr %base[%place] : (!llvm.ptr<3>, i32) -> !llvm.ptr<3>, i8
    %isZero = arith.cmpi eq, %tid32, %zero : i32
    scf.if %isZero {
      nvvm.mbarrier.init %bar, %one : !llvm.ptr<3>, i32
      nvvm.fence.mbarrier.init
      nvvm.mbarrier.arrive.expect_tx %bar, %size : !llvm.ptr<3>, i32
      %target = llvm.addrspacecast %base : !llvm.ptr<3> to !llvm.ptr<7>
      nvvm.cp.async.bulk.tensor.shared.cluster.global %target, %map, %bar, box[%zero, %one] : !llvm.ptr<7>, !llvm.ptr
    }
    nvvm.barrier0
    )" + wait + R"(
    %isFirst = arith.cmpi ult, %tid32, %c32 : i32
    scf.if %isFirst {
      %row = arith.constant )" + std::to_string(row) +
                                    R"( : i32
      %rowBytes = arith.constant 128 : i32
      %c16 = arith.constant 16 : i32
      %chunk = arith.divui %bytes, %c16 : i32
      %within = arith.remui %bytes, %c16 : i32
      %turned = arith.xori %chunk, %row : i32
      %a = arith.muli %row, %rowBytes : i32
      %b = arith.muli %turned, %c16 : i32
      %c = arith.addi %a, %b : i32
      %d = arith.addi %c, %within : i32
      %p = llvm.getelementptr %base[%d] : (!llvm.ptr<3>, i32) -> !llvm.ptr<3>, i8
      %v = llvm.load %p {alignment = 4 : i64} : !llvm.ptr<3> -> f32
      memref.store %v, %x[%tid] : memref<?xf32>
    })");
  const std::string argument = "%x: memref<?xf32>";
  return text.replace(text.find(argument), argument.size(),
                      "%x: memref<?xf32>, %t: memref<4x32xf32>, %map: !llvm.ptr {xgpu.tensor_map = "
                      "#xgpu.tensor_map<argument = 1, groups = [1, 1], box = [8, 32], swizzle = 128>}");
}

std::string launchCopy(const std::string &text, std::vector<float> &data, bool late) {
  DeviceMemory memory;
  alignas(16) float tensor[128];
  for (int i = 0; i < 128; ++i)
    tensor[i] = static_cast<float>(1000 + i);
  memory.add(data.data(), data.size() * 4, "x", true);
  memory.add(tensor, sizeof(tensor), "t", false);
  EmulatorOptions options;
  options.late = late;
  return launch(text, memory,
                {reinterpret_cast<uint64_t>(data.data()), data.size(), reinterpret_cast<uint64_t>(tensor)},
                options);
}

const char *const kWait = "nvvm.mbarrier.try_wait.parity %bar, %zero, %ticks : !llvm.ptr<3>, i32, i32";

TEST(Hopper, BoxesAreSwizzledAndPaddedWithZeros) {
  for (bool late : {true, false})
    for (int row : {0, 2, 3, 7}) {
      std::vector<float> data = count(64);
      ASSERT_EQ(launchCopy(copyOfBox(row, kWait), data, late), "");
      for (int i = 0; i < 32; ++i)
        EXPECT_EQ(data[i], row + 1 < 4 ? 1000 + 32 * (row + 1) + i : 0) << row << ' ' << i;
    }
}

TEST(Hopper, BoxesAreWaitedFor) {
  std::vector<float> data = count(64);
  EXPECT_NE(launchCopy(copyOfBox(0, ""), data, true).find("asynchronous copy still writes"),
            std::string::npos);
  EXPECT_NE(launchCopy(copyOfBox(0, ""), data, false).find("a copy of TMA wrote with no barrier between"),
            std::string::npos);
  EXPECT_NE(launchCopy(copyOfBox(0, kWait, 1040), data, true).find("deadlock"), std::string::npos);
}

//===----------------------------------------------------------------------===//
// Launches that overlap
//===----------------------------------------------------------------------===//

TEST(Hopper, OverlappingKernelsWaitBeforeTheyTouchMemory) {
  auto textOf = [](const std::string &wait) {
    std::string text = kernelText(64, 0, wait + "\n%v = memref.load %x[%tid] : memref<?xf32>");
    const std::string mark = "cluster = 1";
    return text.replace(text.find(mark), mark.size(), "cluster = 1, overlaps = true");
  };
  std::vector<float> data = count(64);
  EXPECT_EQ(launch(textOf("nvvm.griddepcontrol wait"), data), "");
  expectFault(textOf(""), "before it has waited for the kernels ahead");
  expectFault(textOf("nvvm.griddepcontrol launch_dependents"), "before it has waited for the kernels ahead");
}

//===----------------------------------------------------------------------===//
// Registers
//===----------------------------------------------------------------------===//

TEST(Hopper, RegistersAreThereOrWaitedFor) {
  auto textOf = [](int given, int taken) {
    return kernelText(384, 0,
                      R"(
    %c128 = arith.constant 128 : i32
    %isFirst = arith.cmpi ult, %tid32, %c128 : i32
    scf.if %isFirst {
      nvvm.setmaxregister decrease )" +
                          std::to_string(given) + R"(
    } else {
      nvvm.setmaxregister increase )" +
                          std::to_string(taken) + R"(
    })");
  };
  std::vector<float> data = count(64);
  EXPECT_EQ(launch(textOf(40, 232), data), "");
  // 40 + 2 * 240 is more than three times 168.
  expectFault(textOf(40, 240), "registers that other warps have");
}

} // namespace
