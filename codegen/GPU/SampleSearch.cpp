//===- SampleSearch.cpp - candidates, and the search among them --------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Tokens stand in one order, the likelier first and of equals the lower id, by a candidate: an integer that
// is larger the earlier a token stands. With which candidate, from the largest on, do the weights sum up to
// more than a target? The answer is searched for between two bounds, in eight parts at a time. Weights are
// integers, so that their sums are the same in any order.
//
//===----------------------------------------------------------------------===//

#include "codegen/GPU/SampleEmitter.h"

#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"

using namespace mlir;
using namespace mlir::transformer;

static constexpr double kWhole = 1099511627776.0; ///< 2^40, the weight of the likeliest token

Value SampleEmitter::choose(OpBuilder &b, Value condition, function_ref<Value(OpBuilder &)> yes,
                            function_ref<Value(OpBuilder &)> no) {
  auto region = [](function_ref<Value(OpBuilder &)> value) {
    return [value](OpBuilder &b, Location loc) { scf::YieldOp::create(b, loc, value(b)); };
  };
  return scf::IfOp::create(b, loc, condition, region(yes), region(no)).getResult(0);
}

//===----------------------------------------------------------------------===//
// Tokens and candidates
//===----------------------------------------------------------------------===//

/// The logit of a token that was seen, less likely by the penalty (Keskar et al. 2019).
Value SampleEmitter::penalized(OpBuilder &b, Value logit, Value id) {
  return choose(
      b, isPenalized,
      [&](OpBuilder &b) -> Value {
        Value seen = memref::LoadOp::create(b, loc, argument(XFM_SAMPLE_SEEN), ValueRange{row, id});
        Value zero = arith::ConstantIntOp::create(b, loc, seen.getType(), 0);
        Value isPositive = arith::CmpFOp::create(b, loc, arith::CmpFPredicate::OGT, logit, f32(b, 0.0));
        Value less = select(b, isPositive, arith::DivFOp::create(b, loc, logit, penalty),
                            arith::MulFOp::create(b, loc, logit, penalty));
        less = arith::MinNumFOp::create(b, loc, less, f32(b, kMostFloat));
        return select(b, compare(b, arith::CmpIPredicate::ne, seen, zero), less, logit);
      },
      [&](OpBuilder &) { return logit; });
}

/// An i32 that is larger, without a sign, where the float is. Both zeros are one.
Value SampleEmitter::keyOf(OpBuilder &b, Value logit) {
  logit = arith::AddFOp::create(b, loc, logit, f32(b, 0.0));
  Value bits = arith::BitcastOp::create(b, loc, b.getI32Type(), logit);
  Value sign = arith::ShRSIOp::create(b, loc, bits, i32(b, 31));
  Value flips = arith::OrIOp::create(b, loc, sign, i32(b, INT32_MIN));
  return arith::XOrIOp::create(b, loc, bits, flips);
}

Value SampleEmitter::candidateAt(OpBuilder &b, Value id) {
  Value logit = memref::LoadOp::create(b, loc, argument(XFM_SAMPLE_LOGITS), ValueRange{row, id});
  Value number = arith::IndexCastUIOp::create(b, loc, b.getI32Type(), id);
  Value low = arith::XOrIOp::create(b, loc, number, i32(b, -1));
  return packCandidate(b, loc, keyOf(b, penalized(b, logit, id)), low);
}

Value SampleEmitter::logitOf(OpBuilder &b, Value candidate) {
  Value high = arith::ShRUIOp::create(b, loc, candidate, i64(b, 32));
  Value key = arith::TruncIOp::create(b, loc, b.getI32Type(), high);
  Value wasPositive = arith::ShRSIOp::create(b, loc, key, i32(b, 31));
  Value flips = arith::XOrIOp::create(b, loc, wasPositive, i32(b, -1));
  flips = arith::OrIOp::create(b, loc, flips, i32(b, INT32_MIN));
  return arith::BitcastOp::create(b, loc, b.getF32Type(), arith::XOrIOp::create(b, loc, key, flips));
}

Value SampleEmitter::idOf(OpBuilder &b, Value candidate) {
  Value low = arith::TruncIOp::create(b, loc, b.getI32Type(), candidate);
  return arith::XOrIOp::create(b, loc, low, i32(b, -1));
}

/// 2^40 exp2((logit - maximum) scale), rounded down.
Value SampleEmitter::weightOf(OpBuilder &b, Value candidate, Value scale) {
  Value distance = arith::SubFOp::create(b, loc, logitOf(b, candidate), maximum);
  // What is infinitely far stays finite: zero times infinity would be none of both.
  distance = arith::MaxNumFOp::create(b, loc, distance, f32(b, -kMostFloat));
  Value weight = approximateExp2(b, loc, arith::MulFOp::create(b, loc, distance, scale));
  weight = arith::MulFOp::create(b, loc, weight, f32(b, kWhole));
  return arith::FPToUIOp::create(b, loc, b.getI64Type(), weight);
}

//===----------------------------------------------------------------------===//
// Passes over candidates
//===----------------------------------------------------------------------===//

/// Runs `body` on the thread's candidates: those of the row, or of them what was gathered.
SmallVector<Value> SampleEmitter::forEach(OpBuilder &b, ValueRange inits, Body body) {
  auto loop = [&](OpBuilder &b, Value end, function_ref<Value(OpBuilder &, Value)> candidateAt) {
    auto step = [&](OpBuilder &b, Location loc, Value i, ValueRange carried) {
      scf::YieldOp::create(b, loc, body(b, candidateAt(b, i), carried));
    };
    return scf::ForOp::create(b, loc, thread, end, index(b, sizes.threads), inits, step).getResults();
  };
  auto overRow = [&](OpBuilder &b) {
    return loop(b, index(b, vocabulary), [&](OpBuilder &b, Value i) { return candidateAt(b, i); });
  };
  if (!isGathered)
    return SmallVector<Value>(overRow(b));
  auto overGathered = [&](OpBuilder &b) {
    return loop(b, gatheredCount, [&](OpBuilder &b, Value i) {
      return loadFrom(b, loc, b.getI64Type(), sharedAddress(b, loc, base, gathered, i, 8));
    });
  };
  auto branch = scf::IfOp::create(
      b, loc, isGathered, [&](OpBuilder &b, Location loc) { scf::YieldOp::create(b, loc, overGathered(b)); },
      [&](OpBuilder &b, Location loc) { scf::YieldOp::create(b, loc, overRow(b)); });
  return SmallVector<Value>(branch.getResults());
}

/// Each value combined over all threads of the block, in all of them.
SmallVector<Value> SampleEmitter::reduceBlock(OpBuilder &b, ArrayRef<Reduced> values) {
  SmallVector<Value> results;
  for (const Reduced &reduced : values)
    results.push_back(reduceLanes(b, loc, reduced.kind, reduced.value, kWarp));
  auto place = [&](OpBuilder &b, size_t number, Value of) {
    return sharedAddress(b, loc, base, partials + static_cast<int64_t>(number) * warps() * 8, of, 8);
  };
  if (isReduced)
    barrier(b, loc); // what was there has been read
  isReduced = true;
  ifTrue(b, loc, compare(b, arith::CmpIPredicate::eq, lane, index(b, 0)), [&](OpBuilder &b) {
    for (auto [number, value] : llvm::enumerate(results))
      storeTo(b, loc, value, place(b, number, warp));
  });
  barrier(b, loc);
  Value other = arith::RemUIOp::create(b, loc, lane, index(b, warps()));
  for (auto [number, reduced] : llvm::enumerate(values)) {
    Value part = loadFrom(b, loc, b.getI64Type(), place(b, number, other));
    results[number] = reduceLanes(b, loc, reduced.kind, part, warps());
  }
  return results;
}

/// The weights of all candidates from `bound` on.
Value SampleEmitter::sumFrom(OpBuilder &b, Value bound, Value scale) {
  SmallVector<Value> sum =
      forEach(b, i64(b, 0), [&](OpBuilder &b, Value candidate, ValueRange carried) -> SmallVector<Value> {
        return {choose(
            b, isAtLeast(b, candidate, bound),
            [&](OpBuilder &b) { return add(b, carried[0], weightOf(b, candidate, scale)); },
            [&](OpBuilder &) { return carried[0]; })};
      });
  return reduceBlock(b, {{vector::CombiningKind::ADD, sum[0]}})[0];
}

/// One pass: the part of the interval with the answer, drawn together around the candidates that there are.
SmallVector<Value> SampleEmitter::searchParts(OpBuilder &b, const Interval &interval, Value target,
                                              Weigh weigh) {
  // Part i begins at low + (high - low) i / 8, in which nothing overflows.
  Value size = sub(b, interval.high, interval.low);
  Value whole = arith::ShRUIOp::create(b, loc, size, i64(b, 3));
  Value rest = arith::AndIOp::create(b, loc, size, i64(b, kParts - 1));
  SmallVector<Value> begins{interval.low};
  for (int64_t i = 1; i < kParts; ++i) {
    Value offset = arith::MulIOp::create(b, loc, whole, i64(b, i));
    Value ofRest = arith::MulIOp::create(b, loc, rest, i64(b, i));
    offset = add(b, offset, arith::ShRUIOp::create(b, loc, ofRest, i64(b, 3)));
    begins.push_back(add(b, interval.low, offset));
  }
  begins.push_back(interval.high);
  // The weights from each part's begin on, but for the first part's; then the extremes.
  SmallVector<Value> inits(kParts - 1, i64(b, 0));
  inits.append({i64(b, -1), i64(b, 0)});
  auto body = [&](OpBuilder &b, Value candidate, ValueRange carried) -> SmallVector<Value> {
    Value isInside = arith::AndIOp::create(b, loc, isAtLeast(b, candidate, interval.low),
                                           compare(b, arith::CmpIPredicate::ult, candidate, interval.high));
    auto inside = [&](OpBuilder &b, Location loc) {
      Value weight = weigh(b, candidate);
      SmallVector<Value> next;
      for (int64_t i = 1; i < kParts; ++i) {
        Value counts = isAtLeast(b, candidate, begins[i]);
        next.push_back(add(b, carried[i - 1], select(b, counts, weight, i64(b, 0))));
      }
      next.push_back(arith::MinUIOp::create(b, loc, carried[kParts - 1], candidate));
      next.push_back(arith::MaxUIOp::create(b, loc, carried[kParts], candidate));
      scf::YieldOp::create(b, loc, next);
    };
    auto outside = [&](OpBuilder &b, Location loc) { scf::YieldOp::create(b, loc, carried); };
    return SmallVector<Value>(scf::IfOp::create(b, loc, isInside, inside, outside).getResults());
  };
  SmallVector<Value> sums = forEach(b, inits, body);
  SmallVector<Reduced> reduced;
  for (int64_t i = 1; i < kParts; ++i)
    reduced.push_back({vector::CombiningKind::ADD, sums[i - 1]});
  reduced.push_back({vector::CombiningKind::MINUI, sums[kParts - 1]});
  reduced.push_back({vector::CombiningKind::MAXUI, sums[kParts]});
  sums = reduceBlock(b, reduced);
  // The last part from whose begin on there is more than the target.
  Value low = interval.low, high = begins[1], above = add(b, interval.above, sums[0]);
  for (int64_t i = 1; i < kParts; ++i) {
    Value from = add(b, interval.above, sums[i - 1]);
    Value takes = compare(b, arith::CmpIPredicate::ugt, from, target);
    low = select(b, takes, begins[i], low);
    high = select(b, takes, begins[i + 1], high);
    above = select(b, takes, i + 1 < kParts ? add(b, interval.above, sums[i]) : interval.above, above);
  }
  low = arith::MaxUIOp::create(b, loc, low, sums[kParts - 1]);
  high = arith::MinUIOp::create(b, loc, high, add(b, sums[kParts], i64(b, 1)));
  return {low, high, above};
}

/// The candidate with which the sum of weights, from the largest on, exceeds `target`; all from `bound` on
/// together do.
Value SampleEmitter::find(OpBuilder &b, Value bound, Value target, Weigh weigh) {
  SmallVector<Value> inits{bound, add(b, most, i64(b, 1)), i64(b, 0)};
  auto before = [&](OpBuilder &b, Location loc, ValueRange interval) {
    SmallVector<Value> next = searchParts(b, {interval[0], interval[1], interval[2]}, target, weigh);
    Value goesOn = compare(b, arith::CmpIPredicate::ugt, next[1], add(b, next[0], i64(b, 1)));
    scf::ConditionOp::create(b, loc, goesOn, next);
  };
  auto after = [](OpBuilder &b, Location loc, ValueRange interval) {
    scf::YieldOp::create(b, loc, interval);
  };
  return scf::WhileOp::create(b, loc, ValueRange(inits).getTypes(), inits, before, after).getResult(0);
}

/// How many are counted by the threads before this one (i32).
Value SampleEmitter::countBefore(OpBuilder &b, Value own) {
  Value laneNumber = arith::IndexCastUIOp::create(b, loc, b.getI32Type(), lane);
  auto scan = [&](Value value, int64_t lanes) {
    for (int64_t distance = 1; distance < lanes; distance *= 2) {
      Value from = arith::AndIOp::create(b, loc, sub(b, laneNumber, i32(b, distance)), i32(b, kWarp - 1));
      Value has = compare(b, arith::CmpIPredicate::uge, laneNumber, i32(b, distance));
      value = add(b, value, select(b, has, shuffleFrom(b, loc, value, from), i32(b, 0)));
    }
    return value;
  };
  Value upTo = scan(own, kWarp);
  barrier(b, loc);
  ifTrue(b, loc, compare(b, arith::CmpIPredicate::eq, lane, index(b, kWarp - 1)),
         [&](OpBuilder &b) { storeTo(b, loc, upTo, sharedAddress(b, loc, base, partials, warp, 4)); });
  barrier(b, loc);
  Value other = arith::RemUIOp::create(b, loc, lane, index(b, warps()));
  Value ofWarps =
      scan(loadFrom(b, loc, b.getI32Type(), sharedAddress(b, loc, base, partials, other, 4)), warps());
  Value warpNumber = arith::IndexCastUIOp::create(b, loc, b.getI32Type(), warp);
  Value before = shuffleFrom(b, loc, ofWarps,
                             arith::AndIOp::create(b, loc, sub(b, warpNumber, i32(b, 1)), i32(b, kWarp - 1)));
  Value isFirst = compare(b, arith::CmpIPredicate::eq, warp, index(b, 0));
  before = select(b, isFirst, i32(b, 0), before);
  return add(b, before, sub(b, upTo, own));
}

/// Puts the candidates from `bound` on into shared memory, where later passes find them.
void SampleEmitter::gather(OpBuilder &b, Value bound) {
  auto counted = [&](OpBuilder &b, Value candidate, ValueRange carried) -> SmallVector<Value> {
    Value one = select(b, isAtLeast(b, candidate, bound), i32(b, 1), i32(b, 0));
    return {add(b, carried[0], one)};
  };
  Value next = countBefore(b, forEach(b, i32(b, 0), counted)[0]);
  forEach(b, next, [&](OpBuilder &b, Value candidate, ValueRange carried) -> SmallVector<Value> {
    return {choose(
        b, isAtLeast(b, candidate, bound),
        [&](OpBuilder &b) {
          Value place = arith::IndexCastUIOp::create(b, loc, b.getIndexType(), carried[0]);
          storeTo(b, loc, candidate, sharedAddress(b, loc, base, gathered, place, 8));
          return add(b, carried[0], i32(b, 1));
        },
        [&](OpBuilder &) { return carried[0]; })};
  });
  barrier(b, loc);
}
