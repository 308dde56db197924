//===- WeightOps.cpp - weights and derived weights ------------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "dialect/KernelTypes.h"
#include "dialect/OpUtils.h"
#include "dialect/Transformer.h"

#include "mlir/IR/Builders.h"

using namespace mlir;
using namespace mlir::transformer;

//===----------------------------------------------------------------------===//
// weight
//===----------------------------------------------------------------------===//

LogicalResult WeightOp::verify() {
  // C1
  StringRef file = getFile();
  if (file.empty() || file.contains('/') || file.contains(".."))
    return emitOpError("expected a plain file name without '/' or '..', but got \"") << file << '"';
  return success();
}

//===----------------------------------------------------------------------===//
// derive
//===----------------------------------------------------------------------===//

/// C2: the parameter `name` must be there with type `AttrT`.
template <typename AttrT> static FailureOr<AttrT> parameter(DeriveOp op, StringRef name, StringRef type) {
  auto attr = op->getAttrOfType<AttrT>(name);
  if (!attr) {
    op.emitOpError() << stringifyDeriveKind(op.getKind()) << " needs the parameter '" << name << "' of type "
                     << type;
    return failure();
  }
  return attr;
}

static LogicalResult verifyRopeTable(DeriveOp op) {
  auto theta = parameter<FloatAttr>(op, "theta", "f64");
  auto part = parameter<StringAttr>(op, "part", "string");
  auto scaling = parameter<StringAttr>(op, "scaling", "string");
  if (failed(theta) || failed(part) || failed(scaling))
    return failure();
  if (part->getValue() != "cos" && part->getValue() != "sin")
    return op.emitOpError("expected part \"cos\" or \"sin\", but got ") << *part;
  SmallVector<StringRef> floats, ints;
  StringRef kind = scaling->getValue();
  if (kind == "linear") {
    floats = {"factor"};
  } else if (kind == "llama3") {
    floats = {"factor", "low_freq_factor", "high_freq_factor"};
    ints = {"original_max_positions"};
  } else if (kind == "longrope") {
    floats = {"attention_factor"};
    auto factors = parameter<DenseF64ArrayAttr>(op, "ext_factors", "array<f64: ...>");
    if (failed(factors))
      return failure();
    if (factors->size() != op.getTensorType().getDimSize(1))
      return op.emitOpError("expected one ext_factor per frequency, ")
             << op.getTensorType().getDimSize(1) << ", but got " << factors->size();
  } else if (kind == "yarn") {
    floats = {"factor", "beta_fast", "beta_slow", "attention_factor"};
    ints = {"original_max_positions"};
  } else if (kind != "none") {
    return op.emitOpError("expected scaling none, linear, llama3, longrope or yarn, but got ") << *scaling;
  }
  for (StringRef name : floats)
    if (failed(parameter<FloatAttr>(op, name, "f64")))
      return failure();
  for (StringRef name : ints)
    if (failed(parameter<IntegerAttr>(op, name, "i64")))
      return failure();
  return success();
}

LogicalResult DeriveOp::verify() {
  DeriveKind kind = getKind();
  bool isTable = kind == DeriveKind::RopeTable || kind == DeriveKind::Sinusoid;
  size_t count = getSources().size();
  // C1
  if (isTable ? count != 0 : (kind == DeriveKind::Concat ? count < 1 : count != 1))
    return emitOpError() << stringifyDeriveKind(kind) << " expected " << (isTable ? "no" : "one")
                         << (kind == DeriveKind::Concat ? " or more sources" : " source") << ", but got "
                         << count;
  if (isTable && getTensorType().getRank() != 2)
    return emitOpError("expected a table of rank 2, but got ") << getType();
  // C2
  switch (kind) {
  case DeriveKind::Convert:
  case DeriveKind::Transpose:
    return success();
  case DeriveKind::Pack:
    if (!PackedAttr::of(getType()))
      return emitOpError("pack needs a result with the encoding #transformer.packed, but got ") << getType();
    return success();
  case DeriveKind::Concat:
    return LogicalResult(parameter<IntegerAttr>(*this, "axis", "i64"));
  case DeriveKind::AddScalar:
  case DeriveKind::Scale:
    return LogicalResult(parameter<FloatAttr>(*this, "value", "f64"));
  case DeriveKind::Slice:
    for (StringRef name : {"axis", "begin", "end"})
      if (failed(parameter<IntegerAttr>(*this, name, "i64")))
        return failure();
    return success();
  case DeriveKind::RopeTable:
    return verifyRopeTable(*this);
  case DeriveKind::Sinusoid: {
    auto layout = parameter<StringAttr>(*this, "layout", "string");
    if (failed(layout))
      return failure();
    if (layout->getValue() != "split" && layout->getValue() != "interleaved")
      return emitOpError("expected layout \"split\" or \"interleaved\", but got ") << *layout;
    return success();
  }
  }
  llvm_unreachable("unknown derive kind");
}

/// The tensor type of a weight symbol, or null.
static RankedTensorType weightType(Operation *symbol) {
  if (auto weight = dyn_cast_or_null<WeightOp>(symbol))
    return weight.getTensorType();
  if (auto derive = dyn_cast_or_null<DeriveOp>(symbol))
    return derive.getTensorType();
  return {};
}

LogicalResult DeriveOp::verifySymbolUses(SymbolTableCollection &tables) {
  // C4
  SmallVector<RankedTensorType> types;
  for (auto source : getSources().getAsRange<FlatSymbolRefAttr>()) {
    RankedTensorType type = weightType(tables.lookupNearestSymbolFrom(*this, source));
    if (!type)
      return emitOpError("expected a weight or derived weight, but ") << source << " is none of this module";
    if (PackedAttr::of(type))
      return emitOpError("expected a source in its logical order, but ") << source << " is packed";
    types.push_back(type);
  }
  // C3
  SmallVector<int64_t> expected;
  DeriveKind kind = getKind();
  if (kind == DeriveKind::RopeTable || kind == DeriveKind::Sinusoid)
    return success();
  expected.assign(types[0].getShape().begin(), types[0].getShape().end());
  auto axisOf = [&]() -> FailureOr<int64_t> {
    int64_t axis = (*this)->getAttrOfType<IntegerAttr>("axis").getInt();
    if (axis < 0 || axis >= types[0].getRank())
      return emitOpError("expected axis in [0, ") << types[0].getRank() << "), but got " << axis;
    return axis;
  };
  if (kind == DeriveKind::Pack && types[0].getRank() != 2)
    return emitOpError("pack expected a source of rank 2, but got ") << types[0];
  if (kind == DeriveKind::Transpose) {
    if (types[0].getRank() != 2)
      return emitOpError("transpose expected a source of rank 2, but got ") << types[0];
    std::swap(expected[0], expected[1]);
  } else if (kind == DeriveKind::Concat) {
    FailureOr<int64_t> axis = axisOf();
    if (failed(axis))
      return failure();
    for (RankedTensorType type : ArrayRef(types).drop_front()) {
      for (int64_t i = 0, e = type.getRank(); i < e; ++i)
        if (type.getRank() != types[0].getRank() || (i != *axis && type.getDimSize(i) != expected[i]))
          return emitOpError("expected sources that differ along axis ")
                 << *axis << " only, but got " << types[0] << " and " << type;
      expected[*axis] += type.getDimSize(*axis);
    }
  } else if (kind == DeriveKind::Slice) {
    FailureOr<int64_t> axis = axisOf();
    if (failed(axis))
      return failure();
    int64_t begin = (*this)->getAttrOfType<IntegerAttr>("begin").getInt();
    int64_t end = (*this)->getAttrOfType<IntegerAttr>("end").getInt();
    if (begin < 0 || end <= begin || end > expected[*axis])
      return emitOpError("expected 0 <= begin < end <= ")
             << expected[*axis] << ", but got [" << begin << ", " << end << ')';
    expected[*axis] = end - begin;
  }
  if (ArrayRef(expected) != getTensorType().getShape())
    return emitOpError("expected a result of shape [") << expected << "], but got " << getType();
  return success();
}

//===----------------------------------------------------------------------===//
// use
//===----------------------------------------------------------------------===//

LogicalResult UseOp::verifySymbolUses(SymbolTableCollection &tables) {
  // C1
  RankedTensorType type = weightType(tables.lookupNearestSymbolFrom(*this, getWeightAttr()));
  if (!type)
    return emitOpError("expected a weight or derived weight, but ")
           << getWeightAttr() << " is none of this module";
  auto shaped = cast<ShapedType>(getResult().getType());
  bool isTensor = isa<RankedTensorType>(shaped);
  if (isTensor ? shaped != type : shaped != memrefOf(type))
    return emitOpError("expected the type of ") << getWeightAttr() << ", " << type << ", but got " << shaped;
  return success();
}
