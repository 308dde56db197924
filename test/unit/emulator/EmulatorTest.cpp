//===- EmulatorTest.cpp - what the emulator computes and finds ----------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "test/unit/emulator/KernelText.h"

#include <cmath>
#include <cstring>

using namespace mlir;
using namespace mlir::emulator;

namespace {

//===----------------------------------------------------------------------===//
// What it computes
//===----------------------------------------------------------------------===//

TEST(Emulator, LanesDivergeAndMeetAgain) {
  std::vector<float> data = count(64);
  // x[i] doubles i % 5 times where i is odd, and is 100 elsewhere.
  std::string text = kernelText(64, 0, R"(
    %c0 = arith.constant 0 : index
    %c2 = arith.constant 2 : index
    %c5 = arith.constant 5 : index
    %v = memref.load %x[%tid] : memref<?xf32>
    %rest = arith.remui %tid, %c2 : index
    %odd = arith.cmpi eq, %rest, %c1 : index
    %n = arith.remui %tid, %c5 : index
    %r = scf.if %odd -> f32 {
      %d = scf.for %i = %c0 to %n step %c1 iter_args(%a = %v) -> f32 {
        %b = arith.addf %a, %a : f32
        scf.yield %b : f32
      }
      scf.yield %d : f32
    } else {
      %h = arith.constant 100.0 : f32
      scf.yield %h : f32
    }
    memref.store %r, %x[%tid] : memref<?xf32>)");
  ASSERT_EQ(launch(text, data), "");
  for (int i = 0; i < 64; ++i)
    EXPECT_EQ(data[i], i % 2 ? i * std::exp2(i % 5) : 100) << i;
}

TEST(Emulator, ShufflesAndWarpsThroughSharedMemory) {
  std::vector<float> data = count(64);
  std::string text = kernelText(64, 256, R"(
    %all = arith.constant -1 : i32
    %far = arith.constant 16 : i32
    %clamp = arith.constant 31 : i32
    %v = memref.load %x[%tid] : memref<?xf32>
    %s = nvvm.shfl.sync bfly %all, %v, %far, %clamp : f32 -> f32
    llvm.store %s, %own : f32, !llvm.ptr<3>
    nvvm.barrier0
    %c252 = arith.constant 252 : i32
    %back = arith.subi %c252, %bytes : i32
    %other = llvm.getelementptr %base[%back] : (!llvm.ptr<3>, i32) -> !llvm.ptr<3>, i8
    %r = llvm.load %other : !llvm.ptr<3> -> f32
    memref.store %r, %x[%tid] : memref<?xf32>)");
  ASSERT_EQ(launch(text, data), "");
  for (int i = 0; i < 64; ++i)
    EXPECT_EQ(data[i], (63 - i) ^ 16) << i;
}

/// One product of 16 x 16 by 16 x 8 with ldmatrix, from and to global memory.
TEST(Emulator, ProductsOfFragments) {
  // The first 256 values of x are A, the next 128 are B as [n, k]; D [16, 8] comes behind. All are rounded to
  // bf16 when stored in shared memory.
  std::vector<float> data(256 + 128 + 128);
  for (int i = 0; i < 384; ++i)
    data[i] = static_cast<float>((i * 37) % 17 - 8);
  std::string text = kernelText(32, 768, R"(
    %c0 = arith.constant 0 : index
    %c32 = arith.constant 32 : index
    %c384 = arith.constant 384 : index
    scf.for %i = %tid to %c384 step %c32 {
      %v = memref.load %x[%i] : memref<?xf32>
      %n = arith.truncf %v : f32 to bf16
      %i32 = arith.index_castui %i : index to i32
      %two = arith.constant 2 : i32
      %at = arith.muli %i32, %two : i32
      %p = llvm.getelementptr %base[%at] : (!llvm.ptr<3>, i32) -> !llvm.ptr<3>, i8
      llvm.store %n, %p : bf16, !llvm.ptr<3>
    }
    nvvm.bar.warp.sync %tid32 : i32
    %c8 = arith.constant 8 : i32
    %c16 = arith.constant 16 : i32
    %rowA = arith.remui %tid32, %c16 : i32
    %half = arith.divui %tid32, %c16 : i32
    %c32b = arith.constant 32 : i32
    %offRow = arith.muli %rowA, %c32b : i32
    %offHalf = arith.muli %half, %c16 : i32
    %offA = arith.addi %offRow, %offHalf : i32
    %pA = llvm.getelementptr %base[%offA] : (!llvm.ptr<3>, i32) -> !llvm.ptr<3>, i8
    %a = nvvm.ldmatrix %pA {num = 4 : i32, layout = #nvvm.mma_layout<row>, shape = #nvvm.ld_st_matrix_shape<m = 8, n = 8>, eltType = #nvvm.ld_st_matrix_elt_type<b16>} : (!llvm.ptr<3>) -> !llvm.struct<(i32, i32, i32, i32)>
    %rowB = arith.remui %tid32, %c8 : i32
    %eighth = arith.divui %tid32, %c8 : i32
    %two = arith.constant 2 : i32
    %halfB = arith.remui %eighth, %two : i32
    %offRowB = arith.muli %rowB, %c32b : i32
    %offHalfB = arith.muli %halfB, %c16 : i32
    %sumB = arith.addi %offRowB, %offHalfB : i32
    %c512 = arith.constant 512 : i32
    %offB = arith.addi %sumB, %c512 : i32
    %pB = llvm.getelementptr %base[%offB] : (!llvm.ptr<3>, i32) -> !llvm.ptr<3>, i8
    %b = nvvm.ldmatrix %pB {num = 2 : i32, layout = #nvvm.mma_layout<row>, shape = #nvvm.ld_st_matrix_shape<m = 8, n = 8>, eltType = #nvvm.ld_st_matrix_elt_type<b16>} : (!llvm.ptr<3>) -> !llvm.struct<(i32, i32)>
    %a0 = llvm.extractvalue %a[0] : !llvm.struct<(i32, i32, i32, i32)>
    %a1 = llvm.extractvalue %a[1] : !llvm.struct<(i32, i32, i32, i32)>
    %a2 = llvm.extractvalue %a[2] : !llvm.struct<(i32, i32, i32, i32)>
    %a3 = llvm.extractvalue %a[3] : !llvm.struct<(i32, i32, i32, i32)>
    %b0 = llvm.extractvalue %b[0] : !llvm.struct<(i32, i32)>
    %b1 = llvm.extractvalue %b[1] : !llvm.struct<(i32, i32)>
    %z = arith.constant 0.0 : f32
    %d = nvvm.mma.sync A[%a0, %a1, %a2, %a3] B[%b0, %b1] C[%z, %z, %z, %z] {layoutA = #nvvm.mma_layout<row>, layoutB = #nvvm.mma_layout<col>, multiplicandAPtxType = #nvvm.mma_type<bf16>, multiplicandBPtxType = #nvvm.mma_type<bf16>, shape = #nvvm.shape<m = 16, n = 8, k = 16>} : (i32, i32, f32) -> !llvm.struct<(f32, f32, f32, f32)>
    %g = arith.constant 4 : index
    %row = arith.divui %tid, %g : index
    %lane4 = arith.remui %tid, %g : index
    %col = arith.addi %lane4, %lane4 : index
    %eight = arith.constant 8 : index
    %o = arith.muli %row, %eight : index
    %o1 = arith.addi %o, %col : index
    %o2 = arith.addi %o1, %c384 : index
    %sixtyfour = arith.constant 64 : index
    %o3 = arith.addi %o2, %sixtyfour : index
    %o2n = arith.addi %o2, %c1 : index
    %o3n = arith.addi %o3, %c1 : index
    %d0 = llvm.extractvalue %d[0] : !llvm.struct<(f32, f32, f32, f32)>
    %d1 = llvm.extractvalue %d[1] : !llvm.struct<(f32, f32, f32, f32)>
    %d2 = llvm.extractvalue %d[2] : !llvm.struct<(f32, f32, f32, f32)>
    %d3 = llvm.extractvalue %d[3] : !llvm.struct<(f32, f32, f32, f32)>
    memref.store %d0, %x[%o2] : memref<?xf32>
    memref.store %d1, %x[%o2n] : memref<?xf32>
    memref.store %d2, %x[%o3] : memref<?xf32>
    memref.store %d3, %x[%o3n] : memref<?xf32>)");
  text.replace(text.find("    nvvm.bar.warp.sync %tid32 : i32\n"),
               std::string("    nvvm.bar.warp.sync %tid32 : i32\n").size(), "");
  ASSERT_EQ(launch(text, data), "");
  for (int i = 0; i < 16; ++i)
    for (int j = 0; j < 8; ++j) {
      float sum = 0;
      for (int k = 0; k < 16; ++k)
        sum += data[i * 16 + k] * data[256 + j * 16 + k];
      EXPECT_EQ(data[384 + i * 8 + j], sum) << i << ' ' << j;
    }
}

//===----------------------------------------------------------------------===//
// What it finds
//===----------------------------------------------------------------------===//

const char *const kExchange = R"(
    %v = memref.load %x[%tid] : memref<?xf32>
    llvm.store %v, %own : f32, !llvm.ptr<3>
    BARRIER
    %c252 = arith.constant 252 : i32
    %back = arith.subi %c252, %bytes : i32
    %other = llvm.getelementptr %base[%back] : (!llvm.ptr<3>, i32) -> !llvm.ptr<3>, i8
    %r = llvm.load %other : !llvm.ptr<3> -> f32
    memref.store %r, %x[%tid] : memref<?xf32>
    AGAIN)";

std::string exchange(const std::string &barrier, const std::string &again = "") {
  std::string text = kExchange;
  text.replace(text.find("BARRIER"), 7, barrier);
  text.replace(text.find("AGAIN"), 5, again);
  return kernelText(64, 256, text);
}

TEST(EmulatorFinds, AMissingBarrier) {
  std::vector<float> data = count(64);
  EXPECT_EQ(launch(exchange("nvvm.barrier0"), data), "");
  std::string text = exchange("");
  for (uint64_t seed : {0, 1, 2, 3}) {
    EmulatorOptions options;
    options.seed = seed;
    data = count(64);
    std::string message = launch(text, data, options);
    bool told = message.find("with no barrier between") != std::string::npos ||
                message.find("nothing has written") != std::string::npos;
    EXPECT_TRUE(told) << message;
  }
}

TEST(EmulatorFinds, AWriteOverWhatOthersStillRead) {
  std::vector<float> data = count(64);
  EXPECT_EQ(launch(exchange("nvvm.barrier0", "nvvm.barrier0\nllvm.store %r, %own : f32, !llvm.ptr<3>"), data),
            "");
  expectFault(exchange("nvvm.barrier0", "llvm.store %r, %own : f32, !llvm.ptr<3>"),
              "with no barrier between");
}

std::string copyText(const std::string &commit, const std::string &wait, const std::string &barrier,
                     int distance) {
  return kernelText(64, 1024,
                    R"(
    %c16 = arith.constant 16 : i32
    %at = arith.muli %tid32, %c16 : i32
    %to = llvm.getelementptr %base[%at] : (!llvm.ptr<3>, i32) -> !llvm.ptr<3>, i8
    %address = memref.extract_aligned_pointer_as_index %x : memref<?xf32> -> index
    %a64 = arith.index_castui %address : index to i64
    %g = llvm.inttoptr %a64 : i64 to !llvm.ptr<1>
    %at64 = arith.extui %at : i32 to i64
    %from = llvm.getelementptr %g[%at64] : (!llvm.ptr<1>, i64) -> !llvm.ptr<1>, i8
    nvvm.cp.async.shared.global %to, %from, 16, cache = cg : !llvm.ptr<3>, !llvm.ptr<1>
    )" + commit + "\n" + wait +
                        "\n" + barrier + R"(
    %d = arith.constant )" +
                        std::to_string(distance) + R"( : i32
    %where = arith.xori %tid32, %d : i32
    %at2 = arith.muli %where, %c16 : i32
    %p = llvm.getelementptr %base[%at2] : (!llvm.ptr<3>, i32) -> !llvm.ptr<3>, i8
    %r = llvm.load %p : !llvm.ptr<3> -> f32
    memref.store %r, %x[%tid] : memref<?xf32>)");
}

TEST(EmulatorFinds, ReadsOfWhatIsUnderWay) {
  std::string commit = "nvvm.cp.async.commit.group", wait = "nvvm.cp.async.wait.group 0",
              barrier = "nvvm.barrier0";
  for (bool late : {true, false}) {
    EmulatorOptions options;
    options.late = late;
    std::vector<float> data = count(256);
    ASSERT_EQ(launch(copyText(commit, wait, barrier, 32), data, options), "");
    EXPECT_EQ(data[0], 128);
    data = count(256);
    ASSERT_EQ(launch(copyText(commit, wait, "", 1), data, options), ""); // own warp: a wait is enough
    EXPECT_NE(launch(copyText(commit, "", barrier, 32), data, options).find("asynchronous copy still writes"),
              std::string::npos);
    EXPECT_NE(launch(copyText("", wait, barrier, 32), data, options).find("asynchronous copy still writes"),
              std::string::npos);
    EXPECT_NE(launch(copyText(commit, "nvvm.cp.async.wait.group 1", barrier, 32), data, options)
                  .find("asynchronous copy still writes"),
              std::string::npos);
  }
  // The other warp's copies are known to have come only after a barrier.
  std::string message;
  std::vector<float> data = count(256);
  message = launch(copyText(commit, wait, "", 32), data);
  EXPECT_FALSE(message.empty());
}

TEST(EmulatorFinds, AccessesOutOfBounds) {
  std::string load = "%v = memref.load %x[%tid] : memref<?xf32>";
  expectFault(kernelText(64, 0, load), "has index 40 in dimension 0 of 40", 40);
  expectFault(kernelText(64, 128, "%f = arith.constant 1.0 : f32\nllvm.store %f, %own : f32, !llvm.ptr<3>"),
              "writes shared memory out of bounds: byte 128 of 128");
  expectFault(kernelText(64, 0, R"(
      %address = memref.extract_aligned_pointer_as_index %x : memref<?xf32> -> index
      %a64 = arith.index_castui %address : index to i64
      %g = llvm.inttoptr %a64 : i64 to !llvm.ptr<1>
      %p = llvm.getelementptr %g[%bytes] : (!llvm.ptr<1>, i32) -> !llvm.ptr<1>, i8
      %v = llvm.load %p : !llvm.ptr<1> -> f32)"),
              "reads global memory out of bounds: 160 bytes behind the begin of x, which has 160", 40);
  expectFault(
      kernelText(32, 128,
                 "%off = arith.constant 2 : i32\n%p = llvm.getelementptr %own[%off] : (!llvm.ptr<3>, i32) -> "
                 "!llvm.ptr<3>, i8\n%f = arith.constant 1.0 : f32\nllvm.store %f, %p {alignment = 4 : i64} : "
                 "f32, !llvm.ptr<3>"),
      "at an address that is no multiple of 4");
  std::vector<float> data = count(64);
  EXPECT_NE(
      launch(kernelText(32, 0, "%f = arith.constant 1.0 : f32\nmemref.store %f, %x[%tid] : memref<?xf32>"),
             data, {}, false)
          .find("read-only"),
      std::string::npos);
}

TEST(EmulatorFinds, CollectivesWithoutAllLanes) {
  std::string guard =
      "%c9 = arith.constant 9 : index\n%some = arith.cmpi ult, %tid, %c9 : index\nscf.if %some {\n";
  expectFault(kernelText(32, 0, guard + "nvvm.barrier0\n}"), "is executed by some lanes of the warp alone");
  expectFault(
      kernelText(
          32, 0,
          guard + "%m = arith.constant -1 : i32\n%o = arith.constant 1 : i32\n%c = arith.constant 31 : i32\n"
                  "%s = nvvm.shfl.sync bfly %m, %tid32, %o, %c : i32 -> i32\n}"),
      "names lanes that do not execute it");
}

TEST(EmulatorFinds, Deadlocks) {
  std::string text = kernelText(64, 0, R"(
    %c32 = arith.constant 32 : index
    %first = arith.cmpi ult, %tid, %c32 : index
    %one = arith.constant 1 : i32
    %two = arith.constant 2 : i32
    %all = arith.constant 64 : i32
    scf.if %first {
      nvvm.barrier id = %one number_of_threads = %all
    } else {
      nvvm.barrier id = %two number_of_threads = %all
    })");
  expectFault(text, "deadlock: warp 0 waits for the other warps at the barrier");
}

TEST(EmulatorFinds, WhatNothingHasWritten) {
  expectFault(kernelText(32, 128, "%v = llvm.load %own : !llvm.ptr<3> -> f32"),
              "reads shared memory that nothing has written");
}

TEST(Emulator, TellsOpsThatItDoesNotKnow) {
  std::vector<float> data = count(64);
  std::string message =
      launch(kernelText(32, 0, "%v = memref.load %x[%tid] : memref<?xf32>\n%w = math.cbrt %v : f32"), data);
  EXPECT_NE(message.find("'math.cbrt' op is unknown to the GPU emulator"), std::string::npos) << message;
}

TEST(Emulator, CountsConflictsOfBanks) {
  OwningOpRef<ModuleOp> module =
      parseSourceString<ModuleOp>(kernelText(32, 4096,
                                             "%f = arith.constant 1.0 : f32\n%c128 = arith.constant 128 : "
                                             "i32\n%at = arith.muli %tid32, %c128 : i32\n"
                                             "%p = llvm.getelementptr %base[%at] : (!llvm.ptr<3>, i32) -> "
                                             "!llvm.ptr<3>, i8\nllvm.store %f, %p : f32, !llvm.ptr<3>"),
                                  &context());
  llvm::Expected<std::unique_ptr<EmulatedKernel>> kernel =
      EmulatedKernel::create(module->lookupSymbol<func::FuncOp>("k"));
  ASSERT_TRUE(bool(kernel));
  DeviceMemory memory;
  uint64_t words[] = {0, 0};
  llvm::Expected<LaunchReport> report = (*kernel)->launch({1, words}, memory);
  ASSERT_TRUE(bool(report)) << llvm::toString(report.takeError());
  EXPECT_EQ(report->sharedAccesses, 1u);
  EXPECT_EQ(report->bankConflicts, 31u);
}

} // namespace
