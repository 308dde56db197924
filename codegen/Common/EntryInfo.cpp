//===- EntryInfo.cpp - what an entry point looks like from outside --------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "codegen/Common/EntryInfo.h"

using namespace mlir;
using namespace mlir::transformer;

static void addSize(EntryInfo &info, StringRef symbol) {
  if (!llvm::is_contained(info.sizes, symbol))
    info.sizes.push_back(symbol.str());
}

/// Reads one argument's or result's attributes.
static FailureOr<EntryValue> readValue(func::FuncOp func, Type type, DictionaryAttr attrs,
                                       const Twine &what) {
  EntryValue value;
  value.type = type;
  auto attribute = [&](StringRef name) { return attrs ? attrs.get(name) : Attribute(); };
  if (auto name = dyn_cast_or_null<StringAttr>(attribute(kNameAttr)))
    value.name = name.str();
  if (auto range = dyn_cast_or_null<DenseI64ArrayAttr>(attribute(kRangeAttr)); range && range.size() == 2)
    value.range = {range[0], range[1]};
  if (isa<KVCacheType>(type))
    return value;
  auto tensor = dyn_cast<RankedTensorType>(type);
  if (!tensor)
    return func.emitOpError("expected ")
           << what << " of an entry point to be a ranked tensor or a cache, but got " << type;
  auto dims = dyn_cast_or_null<ArrayAttr>(attribute(kDimsAttr));
  for (int64_t i = 0; i < tensor.getRank(); ++i) {
    std::string symbol;
    if (dims && static_cast<int64_t>(dims.size()) == tensor.getRank())
      if (auto text = dyn_cast<StringAttr>(dims[i]))
        symbol = text.str();
    if (tensor.isDynamicDim(i) && symbol.empty())
      return func.emitOpError("expected a name for dimension ")
             << i << " of " << what << ", which is dynamic; add {" << kDimsAttr << " = [\"B\", …]}";
    value.dims.push_back(tensor.isDynamicDim(i) ? symbol : "");
  }
  return value;
}

FailureOr<EntryInfo> EntryInfo::of(func::FuncOp func) {
  EntryInfo info;
  info.name = func.getSymName().str();
  for (unsigned i = 0; i < func.getNumArguments(); ++i) {
    FailureOr<EntryValue> value =
        readValue(func, func.getArgument(i).getType(), func.getArgAttrDict(i), "argument " + Twine(i));
    if (failed(value))
      return failure();
    if (value->name.empty())
      value->name = "in" + std::to_string(i);
    for (const std::string &dim : value->dims)
      if (!dim.empty())
        addSize(info, dim);
    if (isa<KVCacheType>(value->type)) {
      addSize(info, "B");
      addSize(info, "C");
    }
    info.arguments.push_back(*value);
  }
  for (unsigned i = 0; i < func.getNumResults(); ++i) {
    FailureOr<EntryValue> value =
        readValue(func, func.getResultTypes()[i], func.getResultAttrDict(i), "result " + Twine(i));
    if (failed(value))
      return failure();
    if (value->name.empty())
      value->name = "out" + std::to_string(i);
    for (const std::string &dim : value->dims)
      if (!dim.empty() && !llvm::is_contained(info.sizes, dim))
        return func.emitOpError("expected the dimensions of result ")
               << i << " to be named by an argument, but none has \"" << dim << '"';
    info.results.push_back(*value);
  }
  return info;
}

static DictionaryAttr valueToAttribute(Builder &b, const EntryValue &value) {
  SmallVector<NamedAttribute> attrs{
      b.getNamedAttr("name", b.getStringAttr(value.name)), b.getNamedAttr("type", TypeAttr::get(value.type)),
      b.getNamedAttr("dims", b.getStrArrayAttr(llvm::to_vector_of<StringRef>(value.dims)))};
  if (value.range)
    attrs.push_back(
        b.getNamedAttr("range", b.getDenseI64ArrayAttr({value.range->first, value.range->second})));
  return b.getDictionaryAttr(attrs);
}

static EntryValue valueFromAttribute(DictionaryAttr attr) {
  EntryValue value;
  value.name = attr.getAs<StringAttr>("name").str();
  value.type = attr.getAs<TypeAttr>("type").getValue();
  for (auto dim : attr.getAs<ArrayAttr>("dims").getAsRange<StringAttr>())
    value.dims.push_back(dim.str());
  if (auto range = attr.getAs<DenseI64ArrayAttr>("range"))
    value.range = {range[0], range[1]};
  return value;
}

DictionaryAttr EntryInfo::toAttribute(MLIRContext *context) const {
  Builder b(context);
  auto list = [&](ArrayRef<EntryValue> values) {
    return b.getArrayAttr(llvm::map_to_vector(
        values, [&](const EntryValue &v) -> Attribute { return valueToAttribute(b, v); }));
  };
  return b.getDictionaryAttr(
      {b.getNamedAttr("name", b.getStringAttr(name)),
       b.getNamedAttr("sizes", b.getStrArrayAttr(llvm::to_vector_of<StringRef>(sizes))),
       b.getNamedAttr("arguments", list(arguments)), b.getNamedAttr("results", list(results))});
}

EntryInfo EntryInfo::fromAttribute(DictionaryAttr attr) {
  EntryInfo info;
  info.name = attr.getAs<StringAttr>("name").str();
  for (auto size : attr.getAs<ArrayAttr>("sizes").getAsRange<StringAttr>())
    info.sizes.push_back(size.str());
  for (auto value : attr.getAs<ArrayAttr>("arguments").getAsRange<DictionaryAttr>())
    info.arguments.push_back(valueFromAttribute(value));
  for (auto value : attr.getAs<ArrayAttr>("results").getAsRange<DictionaryAttr>())
    info.results.push_back(valueFromAttribute(value));
  return info;
}
