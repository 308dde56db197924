//===- SampleKernel.cpp - the next token from logits --------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A block has a row of logits. Each filter keeps the candidates from a bound on, so top-k, top-p and the draw
// are one question, which SampleSearch answers.
//
//===----------------------------------------------------------------------===//

#include "codegen/GPU/SampleKernel.h"

#include "codegen/Common/DispatchUtils.h"
#include "codegen/GPU/SampleEmitter.h"

#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"

using namespace mlir;
using namespace mlir::transformer;

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
  auto loop = scf::ForOp::create(b, loc, thread, index(b, vocabulary), index(b, sizes.threads), inits, step);
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
  Value fits = compare(b, arith::CmpIPredicate::ule, count, i64(b, sizes.gathered));
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
  partials = shared.allocate((kParts + 1) * warps() * 8);
  gathered = shared.allocate(std::min(sizes.gathered, vocabulary) * 8);
  base = sharedBase(b, loc);
  thread = threadIndex(b, loc, sizes.threads);
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
                                                 int64_t vocabulary, const SampleSizes &sizes) {
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
  SampleEmitter emitter(kernel, vocabulary, sizes);
  emitter.emit(b);
  func::ReturnOp::create(b, loc);
  kernel->setAttr(kGPUConfigAttr, xgpu::ConfigAttr::get(b.getContext(), kSampleTemplate, {1}, sizes.threads,
                                                        /*stages=*/1, /*vector=*/1));
  kernel->setAttr(xgpu::KernelAttr::kName,
                  xgpu::KernelAttr::get(b.getContext(), sizes.threads, emitter.sharedBytes(), /*cluster=*/1,
                                        /*persistent=*/false, /*overlaps=*/false));
  return kernel;
}
