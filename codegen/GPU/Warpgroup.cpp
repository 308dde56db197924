//===- Warpgroup.cpp - TMA, mbarriers and wgmma for kernel templates ---------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "codegen/GPU/Warpgroup.h"

#include "codegen/GPU/Cluster.h"

#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "mlir/Dialect/SCF/IR/SCF.h"

using namespace mlir;
using namespace mlir::transformer;

static Value atByte(OpBuilder &b, Location loc, Value base, Value bytes) {
  return LLVM::GEPOp::create(b, loc, base.getType(), b.getI8Type(), base, ArrayRef<LLVM::GEPArg>{bytes},
                             LLVM::GEPNoWrapFlags::inbounds);
}

//===----------------------------------------------------------------------===//
// Roles
//===----------------------------------------------------------------------===//

Value mlir::transformer::uniform(OpBuilder &b, Location loc, Value value) {
  return NVVM::ShflOp::create(b, loc, value.getType(), constantI32(b, loc, -1), value, constantI32(b, loc, 0),
                              constantI32(b, loc, kWarp - 1), NVVM::ShflKind::idx, UnitAttr());
}

Value mlir::transformer::isLeader(OpBuilder &b, Location loc, Value thread, int64_t threads) {
  Value within = arith::RemUIOp::create(b, loc, thread, constantI32(b, loc, threads));
  return arith::CmpIOp::create(b, loc, arith::CmpIPredicate::eq, within, constantI32(b, loc, 0));
}

void mlir::transformer::takeRegisters(OpBuilder &b, Location loc, int64_t count) {
  NVVM::SetMaxRegisterOp::create(b, loc, count, NVVM::SetMaxRegisterAction::increase);
}

void mlir::transformer::giveRegistersBack(OpBuilder &b, Location loc, int64_t count) {
  NVVM::SetMaxRegisterOp::create(b, loc, count, NVVM::SetMaxRegisterAction::decrease);
}

//===----------------------------------------------------------------------===//
// Pipelines of copies
//===----------------------------------------------------------------------===//

static constexpr int64_t kBarrierBytes = 8;

MbarrierRing::MbarrierRing(SharedMemory &shared, int64_t stages, int64_t consumers, int64_t blocks)
    : stages(stages), consumers(consumers), blocks(blocks),
      full(shared.allocate(stages * kBarrierBytes, kBarrierBytes)) {
  if (consumers > 0)
    empty = shared.allocate(stages * kBarrierBytes, kBarrierBytes);
}

Value MbarrierRing::barrier(OpBuilder &b, Location loc, Value base, int64_t offset, Value stage) const {
  Value bytes = arith::MulIOp::create(b, loc, stage, constantI32(b, loc, kBarrierBytes));
  return atByte(b, loc, base, arith::AddIOp::create(b, loc, bytes, constantI32(b, loc, offset)));
}

void MbarrierRing::initialise(OpBuilder &b, Location loc, Value base) const {
  for (int64_t stage = 0; stage < stages; ++stage) {
    Value number = constantI32(b, loc, stage);
    NVVM::MBarrierInitOp::create(b, loc, barrier(b, loc, base, full, number), constantI32(b, loc, 1),
                                 Value());
    if (consumers > 0)
      NVVM::MBarrierInitOp::create(b, loc, barrier(b, loc, base, empty, number),
                                   constantI32(b, loc, consumers * blocks), Value());
  }
}

RingPlace MbarrierRing::begin(OpBuilder &b, Location loc, bool isProducer) const {
  return {constantI32(b, loc, 0), constantI32(b, loc, isProducer ? 1 : 0)};
}

RingPlace MbarrierRing::next(OpBuilder &b, Location loc, RingPlace place) const {
  Value following = arith::AddIOp::create(b, loc, place.stage, constantI32(b, loc, 1));
  Value wraps =
      arith::CmpIOp::create(b, loc, arith::CmpIPredicate::eq, following, constantI32(b, loc, stages));
  Value turned = arith::XOrIOp::create(b, loc, place.parity, constantI32(b, loc, 1));
  return {arith::SelectOp::create(b, loc, wraps, constantI32(b, loc, 0), following),
          arith::SelectOp::create(b, loc, wraps, turned, place.parity)};
}

void MbarrierRing::wait(OpBuilder &b, Location loc, Value barrier, Value parity) const {
  // The time after which the hardware looks again; the op's loop goes on.
  constexpr int64_t ticks = 10000000;
  NVVM::MBarrierTryWaitParityOp::create(b, loc, barrier, parity, constantI32(b, loc, ticks));
}

void MbarrierRing::waitUntilEmpty(OpBuilder &b, Location loc, Value base, RingPlace place) const {
  Value object = barrier(b, loc, base, empty, place.stage);
  if (blocks > 1)
    return waitForCluster(b, loc, object, place.parity);
  wait(b, loc, object, place.parity);
}

void MbarrierRing::waitUntilFull(OpBuilder &b, Location loc, Value base, RingPlace place) const {
  wait(b, loc, barrier(b, loc, base, full, place.stage), place.parity);
}

Value MbarrierRing::expect(OpBuilder &b, Location loc, Value base, RingPlace place, int64_t bytes) const {
  Value object = barrier(b, loc, base, full, place.stage);
  NVVM::MBarrierArriveExpectTxOp::create(b, loc, TypeRange(), object, constantI32(b, loc, bytes),
                                         NVVM::MemScopeKind::CTA, false, Value());
  return object;
}

static void arrive(OpBuilder &b, Location loc, Value barrier) {
  NVVM::MBarrierArriveOp::create(b, loc, TypeRange(), barrier, Value(), NVVM::MemScopeKind::CTA, false);
}

void MbarrierRing::grant(OpBuilder &b, Location loc, Value base, RingPlace place) const {
  arrive(b, loc, barrier(b, loc, base, full, place.stage));
}

void MbarrierRing::release(OpBuilder &b, Location loc, Value base, Value stage, Value lane) const {
  Value arrives = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::ult, lane, constantI32(b, loc, blocks));
  ifTrue(b, loc, arrives, [&](OpBuilder &b) {
    Value object = barrier(b, loc, base, empty, stage);
    blocks > 1 ? arriveInBlock(b, loc, object, lane) : arrive(b, loc, object);
  });
}

void mlir::transformer::fenceBarriers(OpBuilder &b, Location loc) {
  NVVM::FenceMbarrierInitOp::create(b, loc);
}

void mlir::transformer::meetAt(OpBuilder &b, Location loc, int64_t number, int64_t threads) {
  NVVM::BarrierOp::create(b, loc, TypeRange(), constantI32(b, loc, number), constantI32(b, loc, threads),
                          NVVM::BarrierReductionAttr(), Value());
}

void mlir::transformer::arriveAt(OpBuilder &b, Location loc, int64_t number, int64_t threads) {
  NVVM::BarrierArriveOp::create(b, loc, constantI32(b, loc, number), constantI32(b, loc, threads));
}

void mlir::transformer::fenceStores(OpBuilder &b, Location loc) {
  NVVM::FenceProxyOp::create(b, loc, NVVM::ProxyKindAttr::get(b.getContext(), NVVM::ProxyKind::async_shared),
                             NVVM::SharedSpaceAttr::get(b.getContext(), NVVM::SharedSpace::shared_cta));
}

void mlir::transformer::fenceClusterAccesses(OpBuilder &b, Location loc) {
  NVVM::FenceProxyOp::create(b, loc, NVVM::ProxyKindAttr::get(b.getContext(), NVVM::ProxyKind::async_shared),
                             NVVM::SharedSpaceAttr::get(b.getContext(), NVVM::SharedSpace::shared_cluster));
}

Value mlir::transformer::addTensorMap(OpBuilder &b, func::FuncOp kernel, int64_t argument,
                                      ArrayRef<int64_t> groups, ArrayRef<int64_t> box) {
  Type pointer = LLVM::LLVMPointerType::get(b.getContext());
  auto map = xgpu::TensorMapAttr::get(b.getContext(), argument, groups, box, kPanelRowBytes);
  auto attributes = b.getDictionaryAttr(b.getNamedAttr(xgpu::TensorMapAttr::kName, map));
  unsigned last = kernel.getNumArguments();
  (void)kernel.insertArgument(last, pointer, attributes, kernel.getLoc());
  return kernel.getArgument(last);
}

void mlir::transformer::copyBox(OpBuilder &b, Location loc, Value target, Value map, Value barrier,
                                ArrayRef<Value> at, int64_t blocks) {
  auto cluster = LLVM::LLVMPointerType::get(b.getContext(), 7);
  Value place = LLVM::AddrSpaceCastOp::create(b, loc, cluster, target);
  SmallVector<Value> innermostFirst(llvm::reverse(at));
  Value mask;
  if (blocks > 1)
    mask = arith::ConstantOp::create(b, loc, b.getI16IntegerAttr((int64_t(1) << blocks) - 1));
  NVVM::CpAsyncBulkTensorGlobalToSharedClusterOp::create(
      b, loc, place, map, innermostFirst, barrier, ValueRange(), mask, Value(), NVVM::TMALoadMode::TILE,
      /*isCTAOnly=*/false, NVVM::CTAGroupKindAttr(), Value());
}

//===----------------------------------------------------------------------===//
// Products
//===----------------------------------------------------------------------===//

/// A matrix descriptor (PTX ISA, "wgmma: matrix descriptor") but for its address: strides in units of 16
/// bytes and the swizzle of 128 bytes.
static int64_t descriptorBits(int64_t leading, int64_t stride) {
  constexpr int64_t swizzle128 = int64_t(1) << 62;
  return swizzle128 | (stride / 16) << 32 | (leading / 16) << 16;
}

static constexpr int64_t kAtomBytes = 8 * kPanelRowBytes; ///< eight rows: what the swizzle permutes

static Value describe(OpBuilder &b, Location loc, Value base, Value shift, int64_t offset, int64_t bits) {
  Value address = LLVM::PtrToIntOp::create(b, loc, b.getI32Type(), base);
  if (shift)
    address = arith::AddIOp::create(b, loc, address, shift);
  Value units = arith::ShRUIOp::create(b, loc, address, constantI32(b, loc, 4));
  units = arith::AndIOp::create(b, loc, units, constantI32(b, loc, 0x3fff));
  Value wide = arith::ExtUIOp::create(b, loc, b.getI64Type(), units);
  Value form = arith::ConstantOp::create(b, loc, b.getI64IntegerAttr(bits));
  wide = arith::OrIOp::create(b, loc, wide, form);
  // Shared memory ends below what the field holds, so that nothing carries out of it.
  return arith::AddIOp::create(b, loc, wide,
                               arith::ConstantOp::create(b, loc, b.getI64IntegerAttr(offset / 16)));
}

Value PanelTile::rowsAt(OpBuilder &b, Location loc, Value base, Value shift, int64_t row,
                        int64_t column) const {
  int64_t panel = column / kPanelColumns;
  int64_t place = (panel * rows + row) * kPanelRowBytes + column % kPanelColumns * 2;
  return describe(b, loc, base, shift, offset + place, descriptorBits(/*leading=*/16, kAtomBytes));
}

Value PanelTile::transposedAt(OpBuilder &b, Location loc, Value base, Value shift, int64_t row) const {
  return describe(b, loc, base, shift, offset + row * kPanelRowBytes,
                  descriptorBits(/*leading=*/rows * kPanelRowBytes, kAtomBytes));
}

void mlir::transformer::beginProducts(OpBuilder &b, Location loc) {
  NVVM::WgmmaFenceAlignedOp::create(b, loc);
}

void mlir::transformer::commitProducts(OpBuilder &b, Location loc) {
  NVVM::WgmmaGroupSyncAlignedOp::create(b, loc);
}

SmallVector<Value> mlir::transformer::multiplyWarpgroup(OpBuilder &b, Location loc, Type element,
                                                        ValueRange left, Value right, ValueRange sums,
                                                        int64_t columns, bool transposed) {
  SmallVector<Type> types(columns / 2, b.getF32Type());
  auto op = xgpu::WgmmaOp::create(b, loc, types, left, right, sums, element, transposed);
  return SmallVector<Value>(op.getResults());
}

SmallVector<Value> mlir::transformer::waitForProducts(OpBuilder &b, Location loc, int64_t pending,
                                                      ValueRange values) {
  auto op = xgpu::WgmmaWaitOp::create(b, loc, values.getTypes(), pending, values);
  return SmallVector<Value>(op.getResults());
}
