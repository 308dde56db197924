//===- Cluster.cpp - blocks that share their memory, for kernel templates ----===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "codegen/GPU/Cluster.h"

#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "mlir/Dialect/SCF/IR/SCF.h"

using namespace mlir;
using namespace mlir::transformer;

Value mlir::transformer::clusterRank(OpBuilder &b, Location loc) {
  return NVVM::ClusterId::create(b, loc, b.getI32Type());
}

void mlir::transformer::meetCluster(OpBuilder &b, Location loc, bool aligned) {
  UnitAttr attribute = aligned ? b.getUnitAttr() : UnitAttr();
  NVVM::ClusterArriveOp::create(b, loc, attribute);
  NVVM::ClusterWaitOp::create(b, loc, attribute);
}

Value mlir::transformer::addressInBlock(OpBuilder &b, Location loc, Value address, Value rank) {
  return NVVM::MapaOp::create(b, loc, LLVM::LLVMPointerType::get(b.getContext(), 7), address, rank);
}

void mlir::transformer::arriveInBlock(OpBuilder &b, Location loc, Value barrier, Value rank) {
  NVVM::MBarrierArriveOp::create(b, loc, TypeRange(), addressInBlock(b, loc, barrier, rank), Value(),
                                 NVVM::MemScopeKind::CLUSTER, false);
}

void mlir::transformer::waitForCluster(OpBuilder &b, Location loc, Value barrier, Value parity) {
  scf::WhileOp::create(
      b, loc, TypeRange(), ValueRange(),
      [&](OpBuilder &b, Location loc, ValueRange) {
        Value isOver = NVVM::MBarrierTryWaitOp::create(b, loc, b.getI1Type(), barrier, parity, Value(),
                                                       NVVM::MemScopeKind::CLUSTER, false);
        Value yes = arith::ConstantOp::create(b, loc, b.getBoolAttr(true));
        scf::ConditionOp::create(b, loc, arith::XOrIOp::create(b, loc, isOver, yes), ValueRange());
      },
      [](OpBuilder &b, Location loc, ValueRange) { scf::YieldOp::create(b, loc); });
}

void mlir::transformer::meetWarp(OpBuilder &b, Location loc) {
  NVVM::SyncWarpOp::create(b, loc, constantI32(b, loc, -1));
}

//===----------------------------------------------------------------------===//
// Sums
//===----------------------------------------------------------------------===//

static Value atByte(OpBuilder &b, Location loc, Value base, Value bytes) {
  return LLVM::GEPOp::create(b, loc, base.getType(), b.getI8Type(), base, ArrayRef<LLVM::GEPArg>{bytes},
                             LLVM::GEPNoWrapFlags::inbounds);
}

ClusterSums::ClusterSums(SharedMemory &shared, int64_t blocks, int64_t threads, int64_t groups,
                         int64_t ringBytes)
    : blocks(blocks), threads(threads), groups(groups), ringBytes(ringBytes), barrier(shared.allocate(8, 8)) {
}

void ClusterSums::initialise(OpBuilder &b, Location loc, Value base) const {
  // One arrival of each warp of the cluster.
  Value count = constantI32(b, loc, blocks * threads / kWarp);
  NVVM::MBarrierInitOp::create(b, loc, atByte(b, loc, base, constantI32(b, loc, barrier)), count, Value());
}

Value ClusterSums::addressOf(OpBuilder &b, Location loc, const Place &place, Value base, Value bytes) const {
  Value own = arith::MulIOp::create(b, loc, place.thread, constantI32(b, loc, 16));
  Value at = arith::AddIOp::create(b, loc, arith::AddIOp::create(b, loc, place.shift, own), bytes);
  // Behind the ring's end it goes on at its begin: before it, the difference is below zero and so large.
  Value wrapped = arith::SubIOp::create(b, loc, at, constantI32(b, loc, ringBytes));
  return atByte(b, loc, base, arith::MinUIOp::create(b, loc, at, wrapped));
}

void ClusterSums::leave(OpBuilder &b, Location loc, const Place &place, ValueRange sums) const {
  auto four = VectorType::get({4}, b.getF32Type());
  for (int64_t group = 0; group < groups; ++group) {
    Value vector = vector::FromElementsOp::create(b, loc, four, sums.slice(4 * group, 4));
    storeTo(b, loc, vector, addressOf(b, loc, place, place.base, constantI32(b, loc, group * granule())));
  }
  meetWarp(b, loc);
  Value own = atByte(b, loc, place.base, constantI32(b, loc, barrier));
  Value lane = arith::RemUIOp::create(b, loc, place.thread, constantI32(b, loc, kWarp));
  Value arrives = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::ult, lane, constantI32(b, loc, blocks));
  ifTrue(b, loc, arrives, [&](OpBuilder &b) { arriveInBlock(b, loc, own, lane); });
  waitForCluster(b, loc, own, place.parity);
}

SmallVector<Value> ClusterSums::take(OpBuilder &b, Location loc, const Place &place, int64_t group,
                                     int64_t stride) const {
  auto four = VectorType::get({4}, b.getF32Type());
  Value bytes = arith::MulIOp::create(b, loc, place.rank, constantI32(b, loc, stride * granule()));
  bytes = arith::AddIOp::create(b, loc, bytes, constantI32(b, loc, group * granule()));
  Value sum;
  for (int64_t block = 0; block < blocks; ++block) {
    Value base = addressInBlock(b, loc, place.base, constantI32(b, loc, block));
    Value part = loadFrom(b, loc, four, addressOf(b, loc, place, base, bytes));
    sum = sum ? Value(arith::AddFOp::create(b, loc, sum, part)) : part;
  }
  SmallVector<Value> values;
  for (int64_t i = 0; i < 4; ++i)
    values.push_back(vector::ExtractOp::create(b, loc, sum, i));
  return values;
}
