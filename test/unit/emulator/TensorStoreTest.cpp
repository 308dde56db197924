//===- TensorStoreTest.cpp - stmatrix and stores by TMA in the emulator ---===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "test/unit/emulator/KernelText.h"

#include <cstring>

using namespace mlir;
using namespace mlir::emulator;

namespace {

//===----------------------------------------------------------------------===//
// stmatrix
//===----------------------------------------------------------------------===//

/// Lane l's register is l * 65536 + l + 100; a matrix is stored with rows of 16 bytes one behind the other,
/// and word i of it goes to x[i] as an integer.
std::string matrixText(const std::string &layout, const std::string &condition = "") {
  return kernelText(
      32, 128,
      R"(
    %c8 = arith.constant 8 : i32
    %c16 = arith.constant 16 : i32
    %c100 = arith.constant 100 : i32
    %high = arith.shli %tid32, %c16 : i32
    %low = arith.addi %tid32, %c100 : i32
    %pair = arith.addi %high, %low : i32
    %row = arith.muli %tid32, %c16 : i32
    %isRow = arith.cmpi ult, %tid32, %c8 : i32
    %far = arith.constant 100000 : i32
    %at = arith.select %isRow, %row, %far : i32
    %p = llvm.getelementptr %base[%at] : (!llvm.ptr<3>, i32) -> !llvm.ptr<3>, i8
    )" + condition +
          R"(
    nvvm.stmatrix %p, %pair {layout = #nvvm.mma_layout<)" +
          layout +
          R"(>, shape = #nvvm.ld_st_matrix_shape<m = 8, n = 8>, eltType = #nvvm.ld_st_matrix_elt_type<b16>} : !llvm.ptr<3>, i32
    )" + (condition.empty() ? "" : "}") +
          R"(
    %v = llvm.load %own {alignment = 4 : i64} : !llvm.ptr<3> -> f32
    memref.store %v, %x[%tid] : memref<?xf32>)");
}

TEST(TensorStore, MatricesAreStored) {
  // Half `half` of lane l's register.
  auto halfOf = [](int lane, int half) { return half ? lane : lane + 100; };
  for (bool transposed : {false, true}) {
    std::vector<float> data = count(64);
    ASSERT_EQ(launch(matrixText(transposed ? "col" : "row"), data), "");
    for (int row = 0; row < 8; ++row)
      for (int column = 0; column < 8; ++column) {
        uint16_t element;
        std::memcpy(&element, reinterpret_cast<char *>(data.data()) + row * 16 + column * 2, 2);
        int r = transposed ? column : row, c = transposed ? row : column;
        EXPECT_EQ(element, halfOf(r * 4 + c / 2, c % 2)) << row << ' ' << column;
      }
  }
}

TEST(TensorStore, MatricesAreStoredByWholeWarps) {
  expectFault(matrixText("row", "scf.if %isRow {"), "some lanes of the warp alone");
}

//===----------------------------------------------------------------------===//
// Stores by TMA
//===----------------------------------------------------------------------===//

struct Steps {
  std::string fence =
      "nvvm.fence.proxy {kind = #nvvm.proxy_kind<async.shared>, space = #nvvm.shared_space<cta>}";
  std::string meet = "nvvm.barrier0";
  std::string commit = "nvvm.cp.async.bulk.commit.group";
  std::string wait = "nvvm.cp.async.bulk.wait_group 0";
  std::string after = "";
  int row = 0;
};

/// 64 threads write a box of two rows of 32 numbers, 2 x, to shared memory; the first stores it to rows `row`
/// and `row` + 1 of the tensor [2, 32] that x is.
std::string storeText(const Steps &steps) {
  std::string text = kernelText(64, 256,
                                R"(
    %zero = arith.constant 0 : i32
    %row = arith.constant )" + std::to_string(steps.row) +
                                    R"( : i32
    %v = memref.load %x[%tid] : memref<?xf32>
    %d = arith.addf %v, %v : f32
    llvm.store %d, %own {alignment = 4 : i64} : f32, !llvm.ptr<3>
    )" + steps.fence + "\n" + steps.meet +
                                    R"(
    %isZero = arith.cmpi eq, %tid32, %zero : i32
    scf.if %isZero {
      nvvm.cp.async.bulk.tensor.global.shared.cta %map, %base, box[%zero, %row] : !llvm.ptr, !llvm.ptr<3>
      )" + steps.commit + "\n" + steps.wait +
                                    "\n" + steps.after + "\n}");
  const std::string argument = "%x: memref<?xf32>";
  return text.replace(text.find(argument), argument.size(),
                      "%x: memref<?xf32>, %t: memref<2x32xf32>, %map: !llvm.ptr {xgpu.tensor_map = "
                      "#xgpu.tensor_map<argument = 1, groups = [1, 1], box = [2, 32], swizzle = 0>}");
}

std::string launchStore(const Steps &steps, std::vector<float> &data, bool late = true,
                        bool writable = true) {
  DeviceMemory memory;
  memory.add(data.data(), data.size() * 4, "x", writable);
  EmulatorOptions options;
  options.late = late;
  uint64_t address = reinterpret_cast<uint64_t>(data.data());
  return launch(storeText(steps), memory, {address, data.size(), address}, options);
}

std::vector<float> alignedCount() {
  std::vector<float> data = count(64);
  EXPECT_EQ(reinterpret_cast<uint64_t>(data.data()) % 16, 0u);
  return data;
}

TEST(TensorStore, BoxesAreStoredWhereTheTensorIs) {
  for (bool late : {true, false})
    for (int row : {0, 1, -1, 2}) {
      Steps steps;
      steps.row = row;
      std::vector<float> data = alignedCount();
      ASSERT_EQ(launchStore(steps, data, late), "");
      for (int i = 0; i < 64; ++i) {
        int from = i - 32 * row;
        EXPECT_EQ(data[i], from >= 0 && from < 64 ? 2 * from : i) << row << ' ' << i;
      }
    }
}

TEST(TensorStore, StoresAreUsedWrongly) {
  auto expect = [](const Steps &steps, StringRef part) {
    for (bool late : {true, false}) {
      std::vector<float> data = alignedCount();
      std::string message = launchStore(steps, data, late);
      EXPECT_TRUE(StringRef(message).contains(part)) << late << ": " << message;
    }
  };
  Steps steps;
  steps.fence = "";
  expect(steps, "no fence.proxy between");
  steps = {};
  steps.meet = "";
  expect(steps, "reads shared memory that"); // the second warp wrote, or did not yet
  steps = {};
  steps.wait = "";
  expect(steps, "ends while stores of TMA may still read its shared memory");
  steps = {};
  steps.commit = "";
  expect(steps, "ends while stores of TMA may still read its shared memory");
  steps = {};
  steps.wait = "nvvm.cp.async.bulk.wait_group 1";
  expect(steps, "ends while stores of TMA may still read its shared memory");
  // The source is written again.
  steps = {};
  steps.wait = "";
  steps.after =
      "llvm.store %v, %own {alignment = 4 : i64} : f32, !llvm.ptr<3>\nnvvm.cp.async.bulk.wait_group 0";
  expect(steps, "still reads in a product or store under way");
  std::vector<float> data = alignedCount();
  EXPECT_NE(launchStore({}, data, true, /*writable=*/false).find("which is read-only"), std::string::npos);
}

/// A wait for the reads lets the source be written, and the tensor is not there yet; a wait for all of it
/// says that it is.
TEST(TensorStore, ReadsAreOverBeforeTheTensorIsThere) {
  for (bool late : {true, false})
    for (bool whole : {true, false}) {
      Steps steps;
      steps.wait = whole ? "nvvm.cp.async.bulk.wait_group 0" : "nvvm.cp.async.bulk.wait_group 0 {read}";
      steps.after = R"(
      llvm.store %v, %own {alignment = 4 : i64} : f32, !llvm.ptr<3>
      %five = arith.constant 5 : index
      %six = arith.constant 6 : index
      %seen = memref.load %x[%five] : memref<?xf32>
      memref.store %seen, %x[%six] : memref<?xf32>)";
      std::vector<float> data = alignedCount();
      ASSERT_EQ(launchStore(steps, data, late), "");
      EXPECT_EQ(data[5], 10);
      // Without the wait the box comes last and takes with it what was written meanwhile.
      EXPECT_EQ(data[6], whole || !late ? 10 : 12);
    }
}

} // namespace
