//===- Reader.cpp - formulas of the elements of tensors -------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "passes/Raise/Expressions.h"

#include "mlir/Dialect/Math/IR/Math.h"
#include "llvm/ADT/TypeSwitch.h"

#include <cmath>

using namespace mlir;
using namespace mlir::transformer;
using namespace mlir::transformer::raise;

std::optional<double> raise::constantOf(Value value) {
  Operation *def = value.getDefiningOp();
  if (auto splat = dyn_cast_or_null<tensor::SplatOp>(def))
    return constantOf(splat.getInput());
  if (auto fill = dyn_cast_or_null<linalg::FillOp>(def))
    return constantOf(fill.getInputs().front());
  auto constant = dyn_cast_or_null<arith::ConstantOp>(def);
  if (!constant)
    return std::nullopt;
  Attribute attribute = constant.getValue();
  if (auto dense = dyn_cast<DenseElementsAttr>(attribute)) {
    if (!dense.isSplat())
      return std::nullopt;
    attribute = dense.getSplatValue<Attribute>();
  }
  if (auto real = dyn_cast<FloatAttr>(attribute))
    return real.getValueAsDouble();
  if (auto whole = dyn_cast<IntegerAttr>(attribute))
    return whole.getType().isInteger(1) ? whole.getValue().getZExtValue()
                                        : static_cast<double>(whole.getInt());
  return std::nullopt;
}

//===----------------------------------------------------------------------===//
// Ops on scalars, or element by element
//===----------------------------------------------------------------------===//

static StringRef comparisonOf(Operation *op) {
  if (auto compare = dyn_cast<arith::CmpIOp>(op))
    switch (compare.getPredicate()) {
    case arith::CmpIPredicate::slt:
    case arith::CmpIPredicate::ult:
      return "lt";
    case arith::CmpIPredicate::sle:
    case arith::CmpIPredicate::ule:
      return "le";
    case arith::CmpIPredicate::sgt:
    case arith::CmpIPredicate::ugt:
      return "gt";
    case arith::CmpIPredicate::sge:
    case arith::CmpIPredicate::uge:
      return "ge";
    case arith::CmpIPredicate::eq:
      return "eq";
    case arith::CmpIPredicate::ne:
      return "ne";
    }
  if (auto compare = dyn_cast<arith::CmpFOp>(op))
    switch (compare.getPredicate()) {
    case arith::CmpFPredicate::OLT:
    case arith::CmpFPredicate::ULT:
      return "lt";
    case arith::CmpFPredicate::OLE:
    case arith::CmpFPredicate::ULE:
      return "le";
    case arith::CmpFPredicate::OGT:
    case arith::CmpFPredicate::UGT:
      return "gt";
    case arith::CmpFPredicate::OGE:
    case arith::CmpFPredicate::UGE:
      return "ge";
    default:
      return {};
    }
  return {};
}

/// Whether the formula is of positions alone, and cannot be negative.
static bool isNatural(const Poly &poly) {
  return llvm::all_of(poly.terms, [](const Monomial &term) {
    return term.scale >= 0 && llvm::all_of(term.factors, [](const Factor &factor) {
             return factor.atom->kind == Atom::Variable && factor.power > 0;
           });
  });
}

static bool isUnsigned(Operation *op) {
  auto compare = dyn_cast<arith::CmpIOp>(op);
  return compare && compare.getPredicate() >= arith::CmpIPredicate::ult;
}

std::optional<Poly> Reader::apply(Operation *op, llvm::function_ref<Poly(Value)> operand) {
  if (depth == Sums && !isa<arith::AddFOp>(op))
    return std::nullopt;
  auto in = [&](unsigned i) { return operand(op->getOperand(i)); };
  auto call = [&](StringRef name) { return algebra.function(name, in(0)); };
  if (StringRef comparison = comparisonOf(op); !comparison.empty()) {
    Poly a = in(0), b = in(1);
    // Of a negative number, unsigned comparisons see a large one.
    if (isUnsigned(op) && !(isNatural(a) && isNatural(b)))
      return std::nullopt;
    return algebra.function(comparison, algebra.subtract(a, b));
  }
  return llvm::TypeSwitch<Operation *, std::optional<Poly>>(op)
      .Case<arith::AddFOp, arith::AddIOp>([&](auto) { return algebra.add(in(0), in(1)); })
      .Case<arith::SubFOp, arith::SubIOp>([&](auto) { return algebra.subtract(in(0), in(1)); })
      .Case<arith::MulFOp, arith::MulIOp>([&](auto) { return algebra.multiply(in(0), in(1)); })
      .Case<arith::DivFOp>([&](auto) { return algebra.multiply(in(0), algebra.power(in(1), -1)); })
      .Case<arith::NegFOp>([&](auto) { return algebra.scale(in(0), -1); })
      .Case<math::RsqrtOp>([&](auto) { return algebra.power(in(0), -0.5); })
      .Case<math::SqrtOp>([&](auto) { return algebra.power(in(0), 0.5); })
      .Case<math::FmaOp>([&](auto) { return algebra.add(algebra.multiply(in(0), in(1)), in(2)); })
      .Case<math::PowFOp>([&](auto) -> std::optional<Poly> {
        if (std::optional<double> exponent = in(1).constant())
          return algebra.power(in(0), *exponent);
        return std::nullopt;
      })
      .Case<math::FPowIOp>([&](auto) -> std::optional<Poly> {
        if (std::optional<double> exponent = in(1).constant())
          return algebra.power(in(0), *exponent);
        return std::nullopt;
      })
      .Case<math::ExpOp>([&](auto) { return call("exp"); })
      .Case<math::ErfOp>([&](auto) { return call("erf"); })
      .Case<math::TanhOp>([&](auto) { return call("tanh"); })
      .Case<arith::MaximumFOp, arith::MaxNumFOp>(
          [&](auto) { return algebra.function("max", {in(0), in(1)}); })
      .Case<arith::AndIOp>([&](auto) { return algebra.function("and", {in(0), in(1)}); })
      .Case<arith::SelectOp>([&](auto) { return algebra.function("select", {in(0), in(1), in(2)}); })
      .Case<arith::XOrIOp>([&](auto) -> std::optional<Poly> {
        std::optional<double> constant = in(1).constant();
        if (getElementTypeOrSelf(op->getResult(0).getType()).isInteger(1) && constant && *constant != 0)
          return call("not");
        return std::nullopt;
      })
      .Case<arith::ExtFOp, arith::IndexCastOp, arith::IndexCastUIOp>([&](auto) { return in(0); })
      .Case<arith::SIToFPOp, arith::UIToFPOp, arith::ExtSIOp, arith::ExtUIOp>(
          [&](auto) -> std::optional<Poly> {
            if (!getElementTypeOrSelf(op->getOperand(0).getType()).isInteger(1))
              return in(0);
            // True is one for the unsigned, and minus one for the others.
            double one = isa<arith::UIToFPOp, arith::ExtUIOp>(op) ? 1 : -1;
            return algebra.function("select", {in(0), algebra.number(one), algebra.number(0)});
          })
      .Default([](Operation *) { return std::nullopt; });
}

//===----------------------------------------------------------------------===//
// Tensors
//===----------------------------------------------------------------------===//

Poly Reader::read(const Access &start) {
  Access access = start;
  while (!llvm::is_contained(opaque, access.tensor)) {
    std::optional<Access> next = algebra.places.step(access);
    if (!next)
      break;
    access = *next;
  }
  if (std::optional<double> constant = constantOf(access.tensor))
    return algebra.number(*constant);
  Operation *def = access.tensor.getDefiningOp();
  bool isLeaf =
      !def || depth == Moves || (depth == Sums && access.tensor != root && !access.tensor.hasOneUse());
  if (isLeaf || llvm::is_contained(opaque, access.tensor) || fuel <= 0 || algebra.overflow)
    return algebra.element(access.tensor, access.at);
  return readOp(def, access);
}

Poly Reader::readOp(Operation *op, const Access &access) {
  --fuel;
  if (OpTrait::hasElementwiseMappableTraits(op)) {
    auto operand = [&](Value value) {
      if (!isa<RankedTensorType>(value.getType()))
        return scalar(value, nullptr);
      algebra.places.readsAll(value, access.at);
      return read({value, access.at});
    };
    if (std::optional<Poly> poly = apply(op, operand))
      return *poly;
  }
  auto linalgOp = dyn_cast<linalg::LinalgOp>(op);
  if (!linalgOp || linalgOp.getNumReductionLoops() != 0 || op->getNumResults() != 1)
    return algebra.element(access.tensor, access.at);
  AffineMap result = linalgOp.getMatchingIndexingMap(linalgOp.getDpsInitOperand(0));
  if (!result.isPermutation())
    return algebra.element(access.tensor, access.at);
  Body body{linalgOp, Place(linalgOp.getNumLoops())};
  for (auto [i, expr] : llvm::enumerate(result.getResults()))
    body.loops[cast<AffineDimExpr>(expr).getPosition()] = access.at[i];
  Poly poly = scalar(linalgOp.getBlock()->getTerminator()->getOperand(0), &body);
  // A body that no formula has a form for is a tensor like any other.
  bool isKnown = llvm::none_of(poly.terms, [](const Monomial &term) {
    return llvm::any_of(term.factors, [](const Factor &factor) { return factor.atom->is("unknown"); });
  });
  return isKnown ? poly : algebra.element(access.tensor, access.at);
}

Poly Reader::operandOf(Body &body, OpOperand &operand) {
  if (!isa<RankedTensorType>(operand.get().getType()))
    return scalar(operand.get(), nullptr);
  Place at;
  for (AffineExpr expr : body.op.getMatchingIndexingMap(&operand).getResults()) {
    if (auto dim = dyn_cast<AffineDimExpr>(expr))
      at.push_back(body.loops[dim.getPosition()]);
    else if (auto constant = dyn_cast<AffineConstantExpr>(expr))
      at.push_back({{}, constant.getValue()});
    else
      return algebra.function("unknown", {});
  }
  algebra.places.readsAll(operand.get(), at);
  return read({operand.get(), at});
}

std::optional<Index> Reader::indexOf(const Poly &poly) {
  Index index;
  for (const Monomial &term : poly.terms) {
    if (term.scale != std::floor(term.scale))
      return std::nullopt;
    auto scale = static_cast<int64_t>(term.scale);
    if (term.factors.empty()) {
      index.offset += scale;
      continue;
    }
    const Factor &factor = term.factors.front();
    if (term.factors.size() != 1 || factor.power != 1 || factor.atom->kind != Atom::Variable)
      return std::nullopt;
    index.terms.push_back({factor.atom->var, Size{scale, {}}});
  }
  return index;
}

Poly Reader::scalar(Value value, Body *body) {
  if (std::optional<double> constant = constantOf(value))
    return algebra.number(*constant);
  if (auto argument = dyn_cast<BlockArgument>(value);
      argument && body && argument.getOwner() == body->op.getBlock())
    return operandOf(*body, *body->op.getMatchingOpOperand(argument));
  Operation *def = value.getDefiningOp();
  if (!def || --fuel <= 0)
    return algebra.function("unknown", {});
  if (auto index = dyn_cast<linalg::IndexOp>(def); index && body)
    return algebra.position(body->loops[index.getDim()]);
  if (auto extract = dyn_cast<tensor::ExtractOp>(def)) {
    Place at;
    SmallVector<Poly> coordinates;
    for (Value coordinate : extract.getIndices()) {
      coordinates.push_back(scalar(coordinate, body));
      if (std::optional<Index> index = indexOf(coordinates.back()))
        at.push_back(*index);
    }
    return at.size() == coordinates.size() ? read({extract.getTensor(), at})
                                           : algebra.function("gather", coordinates, extract.getTensor());
  }
  if (std::optional<Poly> poly = apply(def, [&](Value operand) { return scalar(operand, body); }))
    return *poly;
  return algebra.function("unknown", {});
}

//===----------------------------------------------------------------------===//
// Reductions
//===----------------------------------------------------------------------===//

/// The argument of a reduction's body that carries the result, if the body is
/// combine(f(inputs), carried); `combine` and f's value are set.
static BlockArgument carriedBy(linalg::LinalgOp op, Operation *&combine, Value &term) {
  Block *block = op.getBlock();
  combine = block->getTerminator()->getOperand(0).getDefiningOp();
  if (!combine || !isa<arith::AddFOp, arith::MaximumFOp, arith::MaxNumFOp>(combine))
    return {};
  BlockArgument carried = block->getArguments().back();
  if (!carried.hasOneUse())
    return {};
  for (unsigned i : {0, 1})
    if (combine->getOperand(i) == carried) {
      term = combine->getOperand(1 - i);
      return carried;
    }
  return {};
}

std::optional<Reduction> Reader::reduction(const Access &access) {
  auto op = access.tensor.getDefiningOp<linalg::LinalgOp>();
  if (!op || op.getNumReductionLoops() == 0 || op->getNumResults() != 1 ||
      !isa<RankedTensorType>(access.tensor.getType()))
    return std::nullopt;
  Operation *combine = nullptr;
  Value term;
  if (!carriedBy(op, combine, term))
    return std::nullopt;
  AffineMap result = op.getMatchingIndexingMap(op.getDpsInitOperand(0));
  if (!result.isProjectedPermutation())
    return std::nullopt;
  Reduction reduction;
  reduction.isMax = !isa<arith::AddFOp>(combine);
  Body body{op, Place(op.getNumLoops())};
  llvm::SmallBitVector isSet(op.getNumLoops());
  for (auto [i, expr] : llvm::enumerate(result.getResults())) {
    body.loops[cast<AffineDimExpr>(expr).getPosition()] = access.at[i];
    isSet.set(cast<AffineDimExpr>(expr).getPosition());
  }
  for (OpOperand &operand : op->getOpOperands())
    for (auto [i, expr] : llvm::enumerate(op.getMatchingIndexingMap(&operand).getResults())) {
      auto dim = dyn_cast<AffineDimExpr>(expr);
      if (!dim || isSet.test(dim.getPosition()))
        continue;
      isSet.set(dim.getPosition());
      Index index = algebra.places.over(sizeOf(operand.get(), i));
      body.loops[dim.getPosition()] = index;
      for (const Term &term : index.terms)
        reduction.vars.push_back(term.var);
    }
  if (!isSet.all())
    return std::nullopt;
  Value init = op.getDpsInits().front();
  std::optional<double> start = constantOf(init);
  if (reduction.isMax) {
    // The least number, or one that no element is below.
    if (!start || *start > -1e4)
      return std::nullopt;
  } else {
    reduction.init = start ? algebra.number(*start) : read({init, access.at});
  }
  reduction.body = scalar(term, &body);
  return reduction;
}
