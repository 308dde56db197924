//===- SampleKernel.cpp - the next token from logits --------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A block has a row of logits. Tokens stand in one order, the likelier first and of equals the lower id, by a
// candidate: an integer that is larger the earlier a token stands. Each filter keeps the candidates from a
// bound on, so top-k, top-p and the draw are one question: with which candidate, from the largest on, do the
// weights sum up to more than a target? Its answer is searched for between two bounds, in eight parts at a
// time. Weights are integers, so that their sums are the same in any order.
//
//===----------------------------------------------------------------------===//

#include "codegen/GPU/SampleKernel.h"

#include "codegen/Common/DispatchUtils.h"
#include "codegen/Common/GenericBuilder.h"
#include "codegen/GPU/Templates.h"
#include "runtime/xfm_abi.h"

#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"

using namespace mlir;
using namespace mlir::transformer;

namespace {
constexpr int64_t kThreads = 512;
constexpr int64_t kParts = 8;               ///< of what is searched, in each pass
constexpr int64_t kMostGathered = 2048;     ///< candidates that are kept in shared memory
constexpr double kWhole = 1099511627776.0;  ///< 2^40, the weight of the likeliest token
constexpr double kMostFloat = 3.4028235e38; ///< the largest f32

class SampleEmitter {
public:
  SampleEmitter(func::FuncOp kernel, int64_t vocabulary)
      : kernel(kernel), loc(kernel.getLoc()), vocabulary(vocabulary) {}
  void emit(OpBuilder &b);
  int64_t sharedBytes() const { return shared.size(); }

private:
  using Weigh = function_ref<Value(OpBuilder &, Value candidate)>;
  using Body = function_ref<SmallVector<Value>(OpBuilder &, Value candidate, ValueRange carried)>;
  struct Reduced {
    vector::CombiningKind kind;
    Value value; // i64
  };
  /// The interval of candidates that is searched (from `low` on, below `high`), and the weights from `high`
  /// on.
  struct Interval {
    Value low, high, above;
  };

  // Tokens and candidates.
  Value penalized(OpBuilder &b, Value logit, Value id);
  Value keyOf(OpBuilder &b, Value logit);
  Value candidateAt(OpBuilder &b, Value id);
  Value logitOf(OpBuilder &b, Value candidate);
  Value idOf(OpBuilder &b, Value candidate);
  Value weightOf(OpBuilder &b, Value candidate, Value scale);

  // Passes over candidates by all threads of the block.
  SmallVector<Value> forEach(OpBuilder &b, ValueRange inits, Body body);
  SmallVector<Value> reduceBlock(OpBuilder &b, ArrayRef<Reduced> values);
  Value sumFrom(OpBuilder &b, Value bound, Value scale);
  Value find(OpBuilder &b, Value bound, Value target, Weigh weigh);
  SmallVector<Value> searchParts(OpBuilder &b, const Interval &interval, Value target, Weigh weigh);
  void gather(OpBuilder &b, Value bound);
  Value countBefore(OpBuilder &b, Value own);

  // Steps of a draw.
  void loadOptions(OpBuilder &b);
  void inspectRow(OpBuilder &b);
  Value keepTopK(OpBuilder &b);
  Value keepTopP(OpBuilder &b, Value bound);
  Value draw(OpBuilder &b, Value bound);
  Value drawCandidate(OpBuilder &b);
  void advanceRandom(OpBuilder &b, ArrayRef<Value> state);
  void writeResult(OpBuilder &b, Value id, Value status);

  Value i32(OpBuilder &b, int64_t v) { return constantI32(b, loc, v); }
  Value i64(OpBuilder &b, int64_t v) { return arith::ConstantIntOp::create(b, loc, b.getI64Type(), v); }
  Value index(OpBuilder &b, int64_t v) { return constantIndex(b, loc, v); }
  Value f32(OpBuilder &b, double v) { return constantF32(b, loc, v); }
  Value add(OpBuilder &b, Value x, Value y) { return arith::AddIOp::create(b, loc, x, y); }
  Value sub(OpBuilder &b, Value x, Value y) { return arith::SubIOp::create(b, loc, x, y); }
  Value compare(OpBuilder &b, arith::CmpIPredicate p, Value x, Value y) {
    return arith::CmpIOp::create(b, loc, p, x, y);
  }
  Value select(OpBuilder &b, Value condition, Value yes, Value no) {
    return arith::SelectOp::create(b, loc, condition, yes, no);
  }
  Value isAtLeast(OpBuilder &b, Value x, Value y) { return compare(b, arith::CmpIPredicate::uge, x, y); }
  /// One of two values by a condition that is the same for all threads of the block.
  Value choose(OpBuilder &b, Value condition, function_ref<Value(OpBuilder &)> yes,
               function_ref<Value(OpBuilder &)> no);
  Value argument(xfm_sample_argument which) { return kernel.getArgument(which); }

  func::FuncOp kernel;
  Location loc;
  int64_t vocabulary;
  SharedMemory shared;
  int64_t partials = 0, gathered = 0; ///< places in shared memory
  Value base, thread, lane, warp, row;
  Value topK, topP, minLogit, scale, penalty, isPenalized; // the options
  Value most, least, wrongToken, maximum;                  // of the row
  Value isGathered, gatheredCount;                         // null until candidates are
};
} // namespace

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

/// key << 32 | ~id
static Value packCandidate(OpBuilder &b, Location loc, Value key, Value low) {
  Value high = arith::ExtUIOp::create(b, loc, b.getI64Type(), key);
  high = arith::ShLIOp::create(b, loc, high, arith::ConstantIntOp::create(b, loc, b.getI64Type(), 32));
  return arith::OrIOp::create(b, loc, high, arith::ExtUIOp::create(b, loc, b.getI64Type(), low));
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
    return scf::ForOp::create(b, loc, thread, end, index(b, kThreads), inits, step).getResults();
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
  constexpr int64_t kWarps = kThreads / kWarp;
  SmallVector<Value> results;
  for (const Reduced &reduced : values)
    results.push_back(reduceLanes(b, loc, reduced.kind, reduced.value, kWarp));
  auto place = [&](OpBuilder &b, size_t number, Value of) {
    return sharedAddress(b, loc, base, partials + static_cast<int64_t>(number) * kWarps * 8, of, 8);
  };
  barrier(b, loc); // what was there has been read
  ifTrue(b, loc, compare(b, arith::CmpIPredicate::eq, lane, index(b, 0)), [&](OpBuilder &b) {
    for (auto [number, value] : llvm::enumerate(results))
      storeTo(b, loc, value, place(b, number, warp));
  });
  barrier(b, loc);
  Value other = arith::RemUIOp::create(b, loc, lane, index(b, kWarps));
  for (auto [number, reduced] : llvm::enumerate(values)) {
    Value part = loadFrom(b, loc, b.getI64Type(), place(b, number, other));
    results[number] = reduceLanes(b, loc, reduced.kind, part, kWarps);
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
  constexpr int64_t kWarps = kThreads / kWarp;
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
  Value other = arith::RemUIOp::create(b, loc, lane, index(b, kWarps));
  Value ofWarps =
      scan(loadFrom(b, loc, b.getI32Type(), sharedAddress(b, loc, base, partials, other, 4)), kWarps);
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

//===----------------------------------------------------------------------===//
// A draw
//===----------------------------------------------------------------------===//

void SampleEmitter::loadOptions(OpBuilder &b) {
  auto option = [&](int64_t number) -> Value {
    return memref::LoadOp::create(b, loc, argument(XFM_SAMPLE_OPTIONS), index(b, number));
  };
  auto narrow = [&](Value value) -> Value { return arith::TruncFOp::create(b, loc, b.getF32Type(), value); };
  topK = arith::FPToUIOp::create(b, loc, b.getI64Type(), option(offsetof(xfm_sampling, top_k) / 8));
  topP = option(offsetof(xfm_sampling, top_p) / 8);
  minLogit = narrow(option(offsetof(xfm_sampling, min_logit) / 8));
  scale = narrow(option(offsetof(xfm_sampling, scale) / 8));
  penalty = narrow(option(offsetof(xfm_sampling, penalty) / 8));
  isPenalized = arith::CmpFOp::create(b, loc, arith::CmpFPredicate::UNE, penalty, f32(b, 1.0));
}

/// The extremes of the row, and the first logit that is none: NaN or infinite.
void SampleEmitter::inspectRow(OpBuilder &b) {
  SmallVector<Value> inits{i64(b, -1), i64(b, 0), i64(b, -1)};
  Value infinity = arith::ConstantOp::create(
      b, loc, b.getFloatAttr(b.getF32Type(), APFloat::getInf(APFloat::IEEEsingle())));
  auto step = [&](OpBuilder &b, Location loc, Value id, ValueRange carried) {
    Value logit = memref::LoadOp::create(b, loc, argument(XFM_SAMPLE_LOGITS), ValueRange{row, id});
    Value isLogit = arith::CmpFOp::create(b, loc, arith::CmpFPredicate::OLT, logit, infinity);
    Value number = arith::IndexCastUIOp::create(b, loc, b.getI64Type(), id);
    Value candidate = candidateAt(b, id);
    Value wrong = arith::MinUIOp::create(b, loc, carried[2], select(b, isLogit, i64(b, -1), number));
    scf::YieldOp::create(b, loc,
                         ValueRange{arith::MinUIOp::create(b, loc, carried[0], candidate),
                                    arith::MaxUIOp::create(b, loc, carried[1], candidate), wrong});
  };
  auto loop = scf::ForOp::create(b, loc, thread, index(b, vocabulary), index(b, kThreads), inits, step);
  SmallVector<Value> results = reduceBlock(b, {{vector::CombiningKind::MINUI, loop.getResult(0)},
                                               {vector::CombiningKind::MAXUI, loop.getResult(1)},
                                               {vector::CombiningKind::MINUI, loop.getResult(2)}});
  least = results[0], most = results[1], wrongToken = results[2];
  maximum = logitOf(b, most);
}

/// The last of the `topK` largest candidates.
Value SampleEmitter::keepTopK(OpBuilder &b) {
  Value filters = compare(b, arith::CmpIPredicate::ult, topK, i64(b, vocabulary));
  auto last = [&](OpBuilder &b) {
    return find(b, least, sub(b, topK, i64(b, 1)), [&](OpBuilder &b, Value) { return i64(b, 1); });
  };
  return choose(b, filters, last, [&](OpBuilder &) { return least; });
}

/// The last of the fewest candidates that hold the share `topP` of what is kept.
Value SampleEmitter::keepTopP(OpBuilder &b, Value bound) {
  Value whole = arith::ConstantOp::create(b, loc, b.getF64FloatAttr(1));
  Value filters = arith::CmpFOp::create(b, loc, arith::CmpFPredicate::OLT, topP, whole);
  auto last = [&](OpBuilder &b) {
    Value scale = f32(b, 1.4426950408889634); // log2(e): of temperature 1
    Value sum = sumFrom(b, bound, scale);
    Value share = arith::UIToFPOp::create(b, loc, b.getF64Type(), sum);
    share = math::CeilOp::create(b, loc, arith::MulFOp::create(b, loc, share, topP));
    Value target = arith::FPToUIOp::create(b, loc, b.getI64Type(), share);
    target = arith::MaxUIOp::create(b, loc, arith::MinUIOp::create(b, loc, target, sum), i64(b, 1));
    return find(b, bound, sub(b, target, i64(b, 1)),
                [&](OpBuilder &b, Value candidate) { return weightOf(b, candidate, scale); });
  };
  return choose(b, filters, last, [&](OpBuilder &) { return bound; });
}

/// Draws from what is kept, with the next number of the row's generator.
Value SampleEmitter::draw(OpBuilder &b, Value bound) {
  SmallVector<Value> state;
  for (int64_t i = 0; i < 4; ++i)
    state.push_back(
        memref::LoadOp::create(b, loc, argument(XFM_SAMPLE_RANDOM), ValueRange{row, index(b, i)}));
  auto rotate = [&](Value x, int64_t k) -> Value {
    return arith::OrIOp::create(b, loc, arith::ShLIOp::create(b, loc, x, i64(b, k)),
                                arith::ShRUIOp::create(b, loc, x, i64(b, 64 - k)));
  };
  // xoshiro256** (Blackman and Vigna 2018); a number in [0, 1) of 53 bits.
  Value number = arith::MulIOp::create(b, loc, state[1], i64(b, 5));
  number = arith::MulIOp::create(b, loc, rotate(number, 7), i64(b, 9));
  Value uniform =
      arith::UIToFPOp::create(b, loc, b.getF64Type(), arith::ShRUIOp::create(b, loc, number, i64(b, 11)));
  uniform =
      arith::MulFOp::create(b, loc, uniform, arith::ConstantOp::create(b, loc, b.getF64FloatAttr(0x1p-53)));
  Value shifted = arith::ShLIOp::create(b, loc, state[1], i64(b, 17));
  auto mix = [&](Value &x, Value y) { x = arith::XOrIOp::create(b, loc, x, y); };
  mix(state[2], state[0]);
  mix(state[3], state[1]);
  mix(state[1], state[2]);
  mix(state[0], state[3]);
  mix(state[2], shifted);
  state[3] = rotate(state[3], 45);

  Value sum = sumFrom(b, bound, scale); // behind its barriers, all threads have read the state
  advanceRandom(b, state);
  Value share = arith::UIToFPOp::create(b, loc, b.getF64Type(), sum);
  Value target =
      arith::FPToUIOp::create(b, loc, b.getI64Type(), arith::MulFOp::create(b, loc, share, uniform));
  target = arith::MinUIOp::create(b, loc, target, sub(b, sum, i64(b, 1)));
  return find(b, bound, target, [&](OpBuilder &b, Value candidate) { return weightOf(b, candidate, scale); });
}

void SampleEmitter::advanceRandom(OpBuilder &b, ArrayRef<Value> state) {
  ifTrue(b, loc, compare(b, arith::CmpIPredicate::eq, thread, index(b, 0)), [&](OpBuilder &b) {
    for (auto [i, word] : llvm::enumerate(state))
      memref::StoreOp::create(b, loc, word, argument(XFM_SAMPLE_RANDOM),
                              ValueRange{row, index(b, static_cast<int64_t>(i))});
  });
}

/// Top-k, top-p, min-p, then temperature, as the sampler of the CPU.
Value SampleEmitter::drawCandidate(OpBuilder &b) {
  Value bound = keepTopK(b);
  Value count = arith::MinUIOp::create(b, loc, topK, i64(b, vocabulary));
  Value fits = compare(b, arith::CmpIPredicate::ule, count, i64(b, kMostGathered));
  ifTrue(b, loc, fits, [&](OpBuilder &b) { gather(b, bound); });
  // From here on passes are over what was gathered, where it was.
  isGathered = fits;
  gatheredCount = arith::IndexCastUIOp::create(b, loc, b.getIndexType(), count);
  bound = keepTopP(b, bound);
  Value lowest = keyOf(b, arith::AddFOp::create(b, loc, maximum, minLogit));
  bound = arith::MaxUIOp::create(b, loc, bound, packCandidate(b, loc, lowest, i32(b, 0)));
  return draw(b, bound);
}

void SampleEmitter::writeResult(OpBuilder &b, Value id, Value status) {
  ifTrue(b, loc, compare(b, arith::CmpIPredicate::eq, thread, index(b, 0)), [&](OpBuilder &b) {
    memref::StoreOp::create(b, loc, id, argument(XFM_SAMPLE_TOKENS), row);
    memref::StoreOp::create(b, loc, status, argument(XFM_SAMPLE_STATUS), row);
    ifTrue(b, loc, isPenalized, [&](OpBuilder &b) {
      Value one = arith::ConstantIntOp::create(b, loc, b.getI8Type(), 1);
      Value place = arith::IndexCastUIOp::create(b, loc, b.getIndexType(), id);
      memref::StoreOp::create(b, loc, one, argument(XFM_SAMPLE_SEEN), ValueRange{row, place});
    });
  });
}

void SampleEmitter::emit(OpBuilder &b) {
  partials = shared.allocate((kParts + 1) * kThreads / kWarp * 8);
  gathered = shared.allocate(std::min(kMostGathered, vocabulary) * 8);
  base = sharedBase(b, loc);
  thread = threadIndex(b, loc, kThreads);
  lane = arith::RemUIOp::create(b, loc, thread, index(b, kWarp));
  warp = arith::DivUIOp::create(b, loc, thread, index(b, kWarp));
  row = blockIndex(b, loc);
  loadOptions(b);
  inspectRow(b);
  Value isWrong = compare(b, arith::CmpIPredicate::ne, wrongToken, i64(b, -1));
  Value isNothing = arith::CmpFOp::create(b, loc, arith::CmpFPredicate::OLT, maximum, f32(b, -kMostFloat));
  auto tellWrong = [&](OpBuilder &b) {
    Value id = arith::TruncIOp::create(b, loc, b.getI32Type(), wrongToken);
    Value place = arith::IndexCastUIOp::create(b, loc, b.getIndexType(), wrongToken);
    Value logit = memref::LoadOp::create(b, loc, argument(XFM_SAMPLE_LOGITS), ValueRange{row, place});
    Value isNaN = arith::CmpFOp::create(b, loc, arith::CmpFPredicate::UNO, logit, logit);
    writeResult(b, id, select(b, isNaN, i32(b, XFM_SAMPLE_NAN), i32(b, XFM_SAMPLE_INFINITE)));
  };
  auto take = [&](OpBuilder &b) {
    Value isGreedy = arith::CmpFOp::create(b, loc, arith::CmpFPredicate::OEQ, scale, f32(b, 0.0));
    Value candidate = choose(
        b, isGreedy, [&](OpBuilder &) { return most; }, [&](OpBuilder &b) { return drawCandidate(b); });
    writeResult(b, idOf(b, candidate), i32(b, XFM_SAMPLE_DRAWN));
  };
  ifTrue(b, loc, isWrong, tellWrong, [&](OpBuilder &b) {
    ifTrue(
        b, loc, isNothing, [&](OpBuilder &b) { writeResult(b, i32(b, 0), i32(b, XFM_SAMPLE_NOTHING)); },
        take);
  });
}

func::FuncOp mlir::transformer::emitSampleKernel(OpBuilder &b, Location loc, StringRef name,
                                                 int64_t vocabulary) {
  OpBuilder::InsertionGuard guard(b);
  constexpr int64_t kAny = ShapedType::kDynamic;
  auto memref = [](ArrayRef<int64_t> shape, Type element) -> Type { return MemRefType::get(shape, element); };
  SmallVector<Type> types(XFM_SAMPLE_ARGUMENTS);
  types[XFM_SAMPLE_LOGITS] = memref({kAny, vocabulary}, b.getF32Type());
  types[XFM_SAMPLE_OPTIONS] = memref({sizeof(xfm_sampling) / 8}, b.getF64Type());
  types[XFM_SAMPLE_SEEN] = memref({kAny, vocabulary}, b.getI8Type());
  types[XFM_SAMPLE_RANDOM] = memref({kAny, 4}, b.getI64Type());
  types[XFM_SAMPLE_TOKENS] = types[XFM_SAMPLE_STATUS] = memref({kAny}, b.getI32Type());
  auto kernel = func::FuncOp::create(b, loc, name, b.getFunctionType(types, {}));
  kernel.setPrivate();
  markDispatch(kernel);
  setGrid(kernel, {{XFM_SAMPLE_LOGITS, 0, 1}});
  b.setInsertionPointToStart(kernel.addEntryBlock());
  SampleEmitter emitter(kernel, vocabulary);
  emitter.emit(b);
  func::ReturnOp::create(b, loc);
  kernel->setAttr(kGPUConfigAttr, xgpu::ConfigAttr::get(b.getContext(), kSampleTemplate, {1}, kThreads,
                                                        /*stages=*/1, /*vector=*/1));
  kernel->setAttr(xgpu::KernelAttr::kName,
                  xgpu::KernelAttr::get(b.getContext(), kThreads, emitter.sharedBytes(), /*cluster=*/1,
                                        /*persistent=*/false, /*overlaps=*/false));
  return kernel;
}
