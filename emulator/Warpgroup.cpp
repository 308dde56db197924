//===- Warpgroup.cpp - asynchronous products of four warps -------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "emulator/Warpgroup.h"

#include <cstring>

using namespace mlir;
using namespace mlir::emulator;

static constexpr unsigned kRows = 16, kDepth = 16, kPieceBytes = 16;
static constexpr uint64_t kAtomBytes = 1024, kRowBytes = 128;
static constexpr uint64_t kSwizzle128 = 1;

//===----------------------------------------------------------------------===//
// Descriptors
//===----------------------------------------------------------------------===//

MatrixDescriptor::MatrixDescriptor(uint64_t bits)
    : start((bits & 0x3fff) << 4), leading((bits >> 16 & 0x3fff) << 4), stride((bits >> 32 & 0x3fff) << 4),
      layout(bits >> 62), baseOffset(bits >> 49 & 7) {}

std::string MatrixDescriptor::check() const {
  if (layout != kSwizzle128)
    return "has a descriptor of a swizzle other than 128 bytes, which the emulator does not know";
  if (baseOffset != 0 || (start & ~(kRowBytes - 1)) % kAtomBytes != 0)
    return "has a descriptor that does not begin at a multiple of 1024 bytes";
  return "";
}

uint64_t MatrixDescriptor::addressOf(unsigned i, unsigned k, bool isTransposed) const {
  constexpr unsigned atomRows = 8, atomColumns = kRowBytes / 2;
  uint64_t address = start;
  if (isTransposed)
    address +=
        i / atomColumns * leading + k / atomRows * stride + k % atomRows * kRowBytes + i % atomColumns * 2;
  else
    address += i / atomRows * stride + i % atomRows * kRowBytes + k * 2;
  return address ^ ((address >> 7 & 7) << 4);
}

//===----------------------------------------------------------------------===//
// Names of sums
//===----------------------------------------------------------------------===//

/// A register has 64 bits and an f32 needs 32: the others name the sum that will stand there.
static uint64_t nameOf(uint32_t product, unsigned index) {
  constexpr uint64_t nan = 0x7fffffff;
  return uint64_t(product) << 40 | uint64_t(index) << 32 | nan;
}
static uint32_t productOf(uint64_t word) { return static_cast<uint32_t>(word >> 40); }
static unsigned indexOf(uint64_t word) { return word >> 32 & 0xff; }

uint64_t WarpgroupProducts::resolve(Warp &warp, Operation *op, uint64_t word, unsigned lane) {
  if (productOf(word) == 0)
    return word;
  auto it = results.find(productOf(word));
  if (it == results.end())
    warp.fail(op, "passes on sums of a product that is still under way");
  return it->second[indexOf(word) * kLanes + lane];
}

//===----------------------------------------------------------------------===//
// Products
//===----------------------------------------------------------------------===//

/// Every 16-byte piece of shared memory that a warp's part of a product reads.
template <typename F> static void forPieces(const WarpgroupProduct &product, unsigned warp, F visit) {
  constexpr unsigned elements = kPieceBytes / 2;
  MatrixDescriptor left(product.left), right(product.right);
  if (!product.hasLeftInRegisters)
    for (unsigned row = 0; row < kRows; ++row)
      for (unsigned k = 0; k < kDepth; k += elements)
        visit(left.addressOf(warp % 4 * kRows + row, k, false));
  for (unsigned column = 0; column < product.columns; column += product.isTransposed ? elements : 1)
    for (unsigned k = 0; k < kDepth; k += product.isTransposed ? 1 : elements)
      visit(right.addressOf(column, k, product.isTransposed));
}

void WarpgroupProducts::issue(Warp &warp, Operation *op, WarpgroupProduct product, unsigned result) {
  if (!isFenced)
    warp.fail(op, "begins with no wgmma.fence before it");
  std::string message = MatrixDescriptor(product.right).check();
  if (message.empty() && !product.hasLeftInRegisters)
    message = MatrixDescriptor(product.left).check();
  if (!message.empty())
    warp.fail(op, message);
  SharedState &shared = warp.block.shared;
  forPieces(product, warp.number, [&](uint64_t address) {
    if (address + kPieceBytes > shared.size())
      warp.fail(op, "reads shared memory out of bounds: byte " + std::to_string(address) + " of " +
                        std::to_string(shared.size()));
    message = shared.beginRead(address, kPieceBytes, warp.member, warp.clock);
    if (!message.empty())
      warp.fail(op, message);
  });
  Pending pending{std::move(product), next++};
  unsigned count = pending.product.columns / 2;
  if (warp.block.options.late) {
    for (unsigned i = 0; i < count; ++i)
      std::fill_n(warp.at(result + i), kLanes, nameOf(pending.number, i));
  } else {
    std::vector<uint64_t> sums = multiply(warp, op, pending.product);
    std::copy(sums.begin(), sums.end(), warp.at(result));
  }
  issued.push_back(std::move(pending));
}

void WarpgroupProducts::commit() {
  groups.push_back(std::move(issued));
  issued.clear();
  isFenced = false;
}

/// D = A B + C as of mma.m16n8k16, of which this is many side by side.
std::vector<uint64_t> WarpgroupProducts::multiply(Warp &warp, Operation *op,
                                                  const WarpgroupProduct &product) {
  const uint8_t *shared = warp.block.shared.data();
  MatrixDescriptor left(product.left), right(product.right);
  auto element = [&](uint64_t address) {
    uint16_t bits;
    std::memcpy(&bits, shared + address, 2);
    return toDouble(bits, product.type);
  };
  double x[kRows][kDepth];
  for (unsigned row = 0; row < kRows; ++row)
    for (unsigned k = 0; k < kDepth; ++k)
      if (product.hasLeftInRegisters) {
        unsigned which = row / 8 + k / 8 * 2, lane = row % 8 * 4 + k % 8 / 2;
        x[row][k] =
            toDouble(product.registers[which * kLanes + lane] >> (16 * (k % 2)) & 0xffff, product.type);
      } else {
        x[row][k] = element(left.addressOf(warp.number % 4 * kRows + row, k, false));
      }
  unsigned columns = product.columns;
  std::vector<double> y(size_t(columns) * kDepth), z(size_t(columns) * kRows); // [k, columns], [row, columns]
  for (unsigned column = 0; column < columns; ++column)
    for (unsigned k = 0; k < kDepth; ++k)
      y[k * columns + column] = element(right.addressOf(column, k, product.isTransposed));
  // The sum that register i of a lane has.
  auto sumAt = [&](unsigned i, unsigned lane) -> double & {
    return z[(lane / 4 + i / 2 % 2 * 8) * columns + i / 4 * 8 + lane % 4 * 2 + i % 2];
  };
  std::vector<uint64_t> sums(size_t(columns) / 2 * kLanes);
  if (!product.clears)
    for (unsigned i = 0; i < columns / 2; ++i)
      for (unsigned lane = 0; lane < kLanes; ++lane)
        sumAt(i, lane) = toFloat(resolve(warp, op, product.sums[i * kLanes + lane], lane));
  // Neighbours innermost, so that the host adds several at once; each in the order of k.
  for (unsigned row = 0; row < kRows; ++row)
    for (unsigned k = 0; k < kDepth; ++k)
      for (unsigned column = 0; column < columns; ++column)
        z[row * columns + column] += x[row][k] * y[k * columns + column];
  for (unsigned i = 0; i < columns / 2; ++i)
    for (unsigned lane = 0; lane < kLanes; ++lane)
      sums[i * kLanes + lane] = fromFloat(static_cast<float>(sumAt(i, lane)));
  if (!product.clears)
    results.erase(productOf(product.sums[0])); // they live on in these
  return sums;
}

void WarpgroupProducts::wait(Warp &warp, Operation *op, unsigned pending) {
  while (groups.size() > pending) {
    for (const Pending &done : groups.front()) {
      if (warp.block.options.late)
        results[done.number] = multiply(warp, op, done.product);
      forPieces(done.product, warp.number, [&](uint64_t address) {
        warp.block.shared.endRead(address, kPieceBytes, warp.member, warp.clock);
      });
    }
    groups.pop_front();
    // What those still under way read as well is still being read.
    for (const std::vector<Pending> &group : groups)
      for (const Pending &other : group)
        forPieces(other.product, warp.number, [&](uint64_t address) {
          warp.block.shared.beginRead(address, kPieceBytes, warp.member, warp.clock);
        });
  }
}
