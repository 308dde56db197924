//===- DispatchModule.cpp - a dispatch as a module of its own -------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// func @prefill(…) { … %y = launch @d ins(%x, use @layers.3.w) outs(empty(%s)) … }
//   -> weight @w0
//      func @run(%x) { %y = launch @d ins(%x, use @w0) outs(empty(dim %x)) return %y }
//
//===----------------------------------------------------------------------===//

#include "tools/tune/DispatchModule.h"

#include "codegen/Common/DispatchUtils.h"
#include "codegen/Common/EntryInfo.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/IRMapping.h"
#include "llvm/ADT/SetVector.h"

using namespace mlir;
using namespace mlir::transformer;

namespace {

/// The symbol of the batch in entry points.
constexpr llvm::StringLiteral kBatch = "B";

class ModuleBuilder {
public:
  explicit ModuleBuilder(LaunchOp launch)
      : launch(launch), source(launch->getParentOfType<ModuleOp>()), b(launch.getContext()) {}

  llvm::Expected<DispatchModule> build();

private:
  std::string sizeName(Value size);
  std::string dimName(Value tensor, int64_t dim);
  /// The operations between the arguments to come and `value`, into `slice`.
  void collect(Value value);
  void addArguments(func::FuncOp entry);
  void addWeight(UseOp use);
  LogicalResult cloneOp(Operation *op);
  LogicalResult mapDim(tensor::DimOp op);
  void setResults(func::FuncOp entry);

  DictionaryAttr attributesOf(Value value, StringRef name);
  llvm::Error fail(const Twine &what) {
    return llvm::createStringError(llvm::inconvertibleErrorCode(), what);
  }

  LaunchOp launch;
  ModuleOp source;
  OpBuilder b;
  DispatchModule result;
  llvm::SetVector<Value> arguments;
  llvm::SetVector<Operation *> slice; ///< in an order in which they can be cloned
  SmallVector<LaunchOp> appends;      ///< launches whose result is a cache
  IRMapping mapping;
};

} // namespace

func::FuncOp DispatchModule::dispatch() const {
  return cast<func::FuncOp>(SymbolTable::lookupSymbolIn(*module, name));
}

//===----------------------------------------------------------------------===//
// Names of dimensions
//===----------------------------------------------------------------------===//

/// The symbol an index value stands for ("S", "B.S" for a product), or "".
std::string ModuleBuilder::sizeName(Value size) {
  if (auto dim = size.getDefiningOp<tensor::DimOp>())
    if (std::optional<int64_t> index = dim.getConstantIndex())
      return dimName(dim.getSource(), *index);
  if (auto product = size.getDefiningOp<arith::MulIOp>()) {
    std::string left = sizeName(product.getLhs()), right = sizeName(product.getRhs());
    return left.empty() || right.empty() ? "" : left + "." + right;
  }
  return "";
}

std::string ModuleBuilder::dimName(Value tensor, int64_t dim) {
  auto type = cast<RankedTensorType>(tensor.getType());
  if (!type.isDynamicDim(dim))
    return "";
  if (auto argument = dyn_cast<BlockArgument>(tensor)) {
    auto func = cast<func::FuncOp>(argument.getOwner()->getParentOp());
    auto dims = func.getArgAttrOfType<ArrayAttr>(argument.getArgNumber(), kDimsAttr);
    auto name = dims ? dyn_cast<StringAttr>(dims[dim]) : StringAttr();
    return name ? name.str() : "";
  }
  Operation *op = tensor.getDefiningOp();
  if (auto made = dyn_cast<LaunchOp>(op))
    return dimName(made.getOutputs()[cast<OpResult>(tensor).getResultNumber()], dim);
  if (auto empty = dyn_cast<tensor::EmptyOp>(op))
    return sizeName(empty.getDynamicSize(dim));
  if (auto expand = dyn_cast<tensor::ExpandShapeOp>(op)) {
    auto size = dyn_cast<Value>(expand.getMixedOutputShape()[dim]);
    return size ? sizeName(size) : "";
  }
  if (auto collapse = dyn_cast<tensor::CollapseShapeOp>(op)) {
    std::string name;
    for (int64_t from : collapse.getReassociationIndices()[dim]) {
      int64_t extent = collapse.getSrcType().getDimSize(from);
      if (extent == 1)
        continue;
      std::string part = dimName(collapse.getSrc(), from);
      if (part.empty())
        return "";
      name += (name.empty() ? "" : ".") + part;
    }
    return name;
  }
  if (isa<CacheLengthOp>(op))
    return kBatch.str();
  return "";
}

//===----------------------------------------------------------------------===//
// The slice
//===----------------------------------------------------------------------===//

void ModuleBuilder::collect(Value value) {
  Operation *op = value.getDefiningOp();
  if (!op) {
    arguments.insert(value);
    return;
  }
  auto made = dyn_cast<LaunchOp>(op);
  bool isCache = isa<KVCacheType>(value.getType());
  bool isShape = isa<tensor::EmptyOp, CacheLengthOp>(op) || op->hasTrait<OpTrait::ConstantLike>() ||
                 (value.getType().isIndex() && isa<arith::ArithDialect>(op->getDialect()));
  if (isa<UseOp, tensor::DimOp>(op)) {
    slice.insert(op);
    return;
  }
  if (!(made && isCache) && !isShape) {
    arguments.insert(value);
    return;
  }
  for (Value operand : op->getOperands())
    collect(operand);
  slice.insert(op);
  if (made)
    appends.push_back(made);
}

DictionaryAttr ModuleBuilder::attributesOf(Value value, StringRef name) {
  NamedAttrList attributes;
  attributes.set(kNameAttr, b.getStringAttr(name));
  auto type = dyn_cast<RankedTensorType>(value.getType());
  if (!type)
    return attributes.getDictionary(b.getContext());
  SmallVector<Attribute> dims;
  for (int64_t i = 0; i < type.getRank(); ++i)
    dims.push_back(b.getStringAttr(dimName(value, i)));
  attributes.set(kDimsAttr, b.getArrayAttr(dims));
  if (auto argument = dyn_cast<BlockArgument>(value)) {
    auto func = cast<func::FuncOp>(argument.getOwner()->getParentOp());
    if (Attribute range = func.getArgAttr(argument.getArgNumber(), kRangeAttr))
      attributes.set(kRangeAttr, range);
  }
  return attributes.getDictionary(b.getContext());
}

//===----------------------------------------------------------------------===//
// The module
//===----------------------------------------------------------------------===//

void ModuleBuilder::addArguments(func::FuncOp entry) {
  for (auto [i, value] : llvm::enumerate(arguments)) {
    mapping.map(value, entry.getArgument(i));
    bool isCache = isa<KVCacheType>(value.getType());
    std::string name = (isCache ? "cache." : "in.") + std::to_string(i);
    DictionaryAttr attributes = attributesOf(value, name);
    entry.setArgAttrs(i, attributes);
    result.hasCache |= isCache;
    if (!isCache)
      for (auto dim : attributes.getAs<ArrayAttr>(kDimsAttr).getAsRange<StringAttr>())
        result.hasPositions |= !dim.getValue().empty() && dim.getValue() != kBatch;
  }
}

void ModuleBuilder::addWeight(UseOp use) {
  auto type = cast<RankedTensorType>(use.getType());
  std::string name = "w" + std::to_string(result.weights.size());
  result.weights.push_back(type);
  {
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(result.module->getBody());
    WeightOp::create(b, use.getLoc(), name, type, kTuneWeights, StringAttr());
  }
  auto symbol = FlatSymbolRefAttr::get(b.getContext(), name);
  mapping.map(use.getResult(), UseOp::create(b, use.getLoc(), type, symbol).getResult());
}

/// dim(%x) -> dim of an argument whose dimension has the same symbol
LogicalResult ModuleBuilder::mapDim(tensor::DimOp op) {
  std::string name = sizeName(op.getResult());
  for (Value argument : arguments) {
    auto type = dyn_cast<RankedTensorType>(argument.getType());
    for (int64_t i = 0; type && !name.empty() && i < type.getRank(); ++i)
      if (dimName(argument, i) == name) {
        mapping.map(op.getResult(),
                    tensor::DimOp::create(b, op.getLoc(), mapping.lookup(argument), i).getResult());
        return success();
      }
  }
  return failure();
}

LogicalResult ModuleBuilder::cloneOp(Operation *op) {
  if (auto use = dyn_cast<UseOp>(op)) {
    addWeight(use);
    return success();
  }
  if (auto dim = dyn_cast<tensor::DimOp>(op))
    return mapDim(dim);
  if (auto made = dyn_cast<LaunchOp>(op))
    if (!SymbolTable::lookupSymbolIn(*result.module, made.getKernel())) {
      OpBuilder::InsertionGuard guard(b);
      b.setInsertionPointToEnd(result.module->getBody());
      b.clone(*SymbolTable::lookupSymbolIn(source, made.getKernel()));
    }
  b.clone(*op, mapping);
  return success();
}

void ModuleBuilder::setResults(func::FuncOp entry) {
  SmallVector<Value> returned{mapping.lookup(launch.getResult(0))};
  SmallVector<DictionaryAttr> attributes{attributesOf(launch.getResult(0), "out")};
  for (LaunchOp append : appends) {
    returned.push_back(mapping.lookup(append.getResult(0)));
    Value cache = append.getOutputs()[0];
    attributes.push_back(attributesOf(
        cache, "cache." + std::to_string(cast<BlockArgument>(mapping.lookup(cache)).getArgNumber())));
  }
  func::ReturnOp::create(b, launch.getLoc(), returned);
  SmallVector<Type> types = llvm::map_to_vector(returned, [](Value v) { return v.getType(); });
  entry.setType(b.getFunctionType(entry.getArgumentTypes(), types));
  for (auto [i, attribute] : llvm::enumerate(attributes))
    entry.setResultAttrs(i, attribute);
}

llvm::Expected<DispatchModule> ModuleBuilder::build() {
  for (Value operand : launch->getOperands())
    collect(operand);
  for (Operation *op : slice)
    if (auto use = dyn_cast<UseOp>(op);
        use && (cast<RankedTensorType>(use.getType()).getEncoding() ||
                !isa<FloatType>(cast<RankedTensorType>(use.getType()).getElementType())))
      return fail("it reads a weight in a format");
  result.name = launch.getKernel().str();
  result.module = ModuleOp::create(launch.getLoc());
  if (Attribute facts = source->getAttr(kModelAttr))
    (*result.module)->setAttr(kModelAttr, facts);
  b.setInsertionPointToEnd(result.module->getBody());
  SmallVector<Type> types = llvm::map_to_vector(arguments, [](Value v) { return v.getType(); });
  auto entry = func::FuncOp::create(b, launch.getLoc(), kTuneEntry, b.getFunctionType(types, {}));
  b.setInsertionPointToStart(entry.addEntryBlock());
  addArguments(entry);
  for (Operation *op : slice)
    if (failed(cloneOp(op)))
      return fail("a size it needs is none of its operands'");
  if (failed(cloneOp(launch)))
    return fail("it cannot be copied");
  setResults(entry);
  return std::move(result);
}

llvm::Expected<DispatchModule> mlir::transformer::makeDispatchModule(LaunchOp launch) {
  return ModuleBuilder(launch).build();
}
