//===- BufferizeEntries.cpp - entry functions to launches on memrefs ------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// func @run(%x: tensor<?x8xf32>) -> tensor<?x8xf32> { launch @k ins(%x) outs(%empty) }
//   -> func @xfm_entry_run(%call) { launch @k grid(%n) ins(%buffer0) outs(%buffer1) }
//
// An entry function is straight-line code in which every op makes its result in
// a place it is given, so each value has one buffer and nothing is ever copied:
// no analysis is needed to find that out (see the folder's README).
//
//===----------------------------------------------------------------------===//

#include "codegen/Common/DispatchUtils.h"
#include "codegen/Common/EntryInfo.h"
#include "codegen/Common/Monomial.h"
#include "codegen/Passes.h"
#include "dialect/KernelTypes.h"

#include "mlir/Dialect/Arith/Utils/Utils.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/IR/IRMapping.h"
#include "llvm/ADT/SetVector.h"

#define DEBUG_TYPE "transformer-bufferize-entries"

namespace mlir::transformer {
#define GEN_PASS_DEF_BUFFERIZEENTRIESPASS
#include "codegen/Passes.h.inc"
} // namespace mlir::transformer

using namespace mlir;
using namespace mlir::transformer;

namespace {

constexpr StringLiteral kAdvanceKernel = "cache_advance";
constexpr StringLiteral kLengthKernel = "cache_length";

/// A memref and its sizes, static or as values.
struct Buffer {
  Value memref;
  SmallVector<OpFoldResult> sizes;
};

/// The buffers of a cache. The length is that of the begin of the call until its
/// end; `appended` says how many positions have come since.
struct Cache {
  Buffer keys, values, length;
  OpFoldResult appended;
};

class EntryBufferizer {
public:
  EntryBufferizer(ModuleOp module, llvm::SetVector<Attribute> &weights, int64_t chunk)
      : module(module), weights(weights), chunk(chunk) {}

  LogicalResult run(func::FuncOp entry);

private:
  void bindArguments();
  LogicalResult bindResults();
  LogicalResult convert(Operation &op);
  LogicalResult convertLaunch(LaunchOp op);
  Buffer currentLength(CacheLengthOp op);
  Buffer bind(BindingKind kind, int64_t index, MemRefType type, ArrayRef<OpFoldResult> sizes);
  Buffer &bufferOf(Value tensor) { return buffers[tensor]; }
  /// The values a launch operand has in a kernel.
  void appendOperands(Value value, SmallVectorImpl<Buffer> &operands);
  Buffer place(Value result, ArrayRef<OpFoldResult> sizes);
  Value gridOf(func::FuncOp kernel, ArrayRef<Buffer> operands);
  void setWork(LaunchOp launch, LaunchOp tensorLaunch, func::FuncOp kernel);
  func::FuncOp buildKernel(const Twine &name, ArrayRef<Type> types, int64_t gridArgument,
                           function_ref<void(OpBuilder &, ValueRange, Value)> body);
  void launchOnLengths(func::FuncOp kernel, Value count, ArrayRef<Value> inputs, ArrayRef<Buffer> outputs);
  void advanceLengths();
  OpFoldResult mapSize(OpFoldResult size) {
    if (auto value = dyn_cast<Value>(size))
      return getAsOpFoldResult(values.lookupOrDefault(value));
    return size;
  }

  ModuleOp module;
  llvm::SetVector<Attribute> &weights;
  int64_t chunk;
  func::FuncOp entry;
  EntryInfo info;
  OpBuilder b{module.getContext()};
  Location loc{module.getLoc()};
  Value call;
  SmallVector<Value> symbols;
  DenseMap<Value, Buffer> buffers; // of tensors
  DenseMap<Value, Cache> caches;
  IRMapping values;                 // scalars
  DenseMap<Value, int64_t> outputs; // launch result -> buffer of the call
  int64_t nextBuffer = 0;
};

} // namespace

Buffer EntryBufferizer::bind(BindingKind kind, int64_t index, MemRefType type, ArrayRef<OpFoldResult> sizes) {
  SmallVector<Value> dynamic;
  for (auto [i, size] : llvm::enumerate(sizes))
    if (type.isDynamicDim(i))
      dynamic.push_back(getValueOrCreateConstantIndexOp(b, loc, size));
  return {BindingOp::create(b, loc, type, call, kind, index, dynamic), SmallVector<OpFoldResult>(sizes)};
}

/// In the order of xfm_call::buffers: inputs, then the buffers of the caches.
void EntryBufferizer::bindArguments() {
  for (auto [argument, input] : llvm::zip(entry.getArguments(), info.arguments)) {
    auto type = dyn_cast<RankedTensorType>(argument.getType());
    if (!type)
      continue;
    SmallVector<OpFoldResult> sizes;
    for (int64_t i = 0; i < type.getRank(); ++i)
      sizes.push_back(type.isDynamicDim(i) ? OpFoldResult(symbols[info.sizeIndex(input.dims[i])])
                                           : OpFoldResult(b.getIndexAttr(type.getDimSize(i))));
    buffers[argument] = bind(BindingKind::Buffer, nextBuffer++, memrefOf(type), sizes);
  }
  for (BlockArgument argument : entry.getArguments()) {
    auto cache = dyn_cast<KVCacheType>(argument.getType());
    if (!cache)
      continue;
    SmallVector<Type> types;
    appendKernelTypes(cache, types);
    OpFoldResult batch = symbols[info.sizeIndex("B")], capacity = symbols[info.sizeIndex("C")];
    if (cache.getPolicy() == CachePolicy::Ring)
      capacity = b.getIndexAttr(ringCapacity(cache, chunk));
    SmallVector<OpFoldResult> data{batch, b.getIndexAttr(cache.getHeads()), capacity,
                                   b.getIndexAttr(cache.getHeadDim())};
    auto bindPart = [&](unsigned part, ArrayRef<OpFoldResult> sizes) {
      return bind(BindingKind::Buffer, nextBuffer++, cast<MemRefType>(types[part]), sizes);
    };
    Buffer keys = bindPart(0, data), values = bindPart(1, data), length = bindPart(2, batch);
    caches[argument] = {keys, values, length, b.getIndexAttr(0)};
  }
}

/// The launch result that `value` is, through reshapes; null if it is none.
static Value launchResultOf(Value value) {
  while (Operation *def = value.getDefiningOp()) {
    if (isa<LaunchOp>(def))
      return value;
    if (!isa<tensor::ExpandShapeOp, tensor::CollapseShapeOp, tensor::CastOp>(def))
      return {};
    value = def->getOperand(0);
  }
  return {};
}

LogicalResult EntryBufferizer::bindResults() {
  auto ret = cast<func::ReturnOp>(entry.getBody().front().getTerminator());
  for (auto [i, value] : llvm::enumerate(ret.getOperands())) {
    if (isa<KVCacheType>(value.getType()))
      continue;
    Value made = launchResultOf(value);
    if (!made)
      return ret.emitOpError("expected result ")
             << i << " to be computed by the function; it is an input or a weight";
    if (!outputs.try_emplace(made, nextBuffer++).second)
      return ret.emitOpError("expected each result once, but result ")
             << i << " shares its buffer with another";
  }
  return success();
}

void EntryBufferizer::appendOperands(Value value, SmallVectorImpl<Buffer> &operands) {
  if (isa<KVCacheType>(value.getType())) {
    const Cache &cache = caches[value];
    operands.append({cache.keys, cache.values, cache.length});
    operands.push_back({getValueOrCreateConstantIndexOp(b, loc, cache.appended), {}});
  } else if (isa<RankedTensorType>(value.getType()))
    operands.push_back(bufferOf(value));
  else
    operands.push_back({values.lookupOrDefault(value), {}});
}

Value EntryBufferizer::gridOf(func::FuncOp kernel, ArrayRef<Buffer> operands) {
  Value grid = arith::ConstantIndexOp::create(b, loc, 1);
  for (const GridDim &factor : getGrid(kernel)) {
    ArrayRef<OpFoldResult> sizes = operands[factor.argument].sizes;
    if (sizes.empty()) { // a size by itself
      grid = arith::MulIOp::create(b, loc, grid, operands[factor.argument].memref);
      continue;
    }
    Value size = getValueOrCreateConstantIndexOp(b, loc, sizes[factor.dim]);
    for (OpFoldResult other : sizes.slice(factor.dim + 1, factor.count - 1))
      size = arith::MulIOp::create(b, loc, size, getValueOrCreateConstantIndexOp(b, loc, other));
    if (factor.tile > 1)
      size = arith::CeilDivUIOp::create(b, loc, size, arith::ConstantIndexOp::create(b, loc, factor.tile));
    grid = arith::MulIOp::create(b, loc, grid, size);
  }
  return grid;
}

/// Restates the kernel's work, given by its arguments, by the call's sizes.
void EntryBufferizer::setWork(LaunchOp launch, LaunchOp tensorLaunch, func::FuncOp kernel) {
  for (StringRef name : {kFlopsAttr, kBytesAttr}) {
    auto terms = kernel->getAttrOfType<ArrayAttr>(name);
    if (!terms)
      continue;
    SmallVector<Attribute> list;
    for (auto term : terms.getAsRange<DenseI64ArrayAttr>()) {
      ArrayRef<int64_t> flat = term.asArrayRef();
      Monomial work{flat[0], {}};
      bool known = true;
      for (size_t i = 2; i < flat.size() && known; i += 2) {
        int64_t argument = flat[i], inputCount = tensorLaunch.getInputs().size();
        Value operand = argument < inputCount ? tensorLaunch.getInputs()[argument]
                                              : tensorLaunch.getResults()[argument - inputCount];
        OpFoldResult extent =
            operand.getType().isIndex() ? mapSize(operand) : bufferOf(operand).sizes[flat[i + 1]];
        std::optional<Monomial> size = Monomial::of(extent);
        known = size.has_value();
        if (known)
          work *= *size;
      }
      if (!known)
        continue;
      SmallVector<StringRef> sizes =
          llvm::map_to_vector(work.symbols, [&](int64_t s) -> StringRef { return info.sizes[s]; });
      if (flat[1])
        sizes.push_back(kKeysSize);
      list.push_back(
          b.getDictionaryAttr({b.getNamedAttr("coefficient", b.getI64IntegerAttr(work.coefficient)),
                               b.getNamedAttr("sizes", b.getStrArrayAttr(sizes))}));
    }
    launch->setAttr(name, b.getArrayAttr(list));
  }
}

/// A kernel of this pass: one task per row of argument `gridArgument`.
func::FuncOp EntryBufferizer::buildKernel(const Twine &name, ArrayRef<Type> types, int64_t gridArgument,
                                          function_ref<void(OpBuilder &, ValueRange, Value)> body) {
  if (auto kernel = module.lookupSymbol<func::FuncOp>(name.str()))
    return kernel;
  OpBuilder top = OpBuilder::atBlockEnd(module.getBody());
  SmallVector<Type> arguments(types);
  arguments.append(2, top.getIndexType());
  auto kernel = func::FuncOp::create(top, loc, name.str(), top.getFunctionType(arguments, {}));
  kernel.setPrivate();
  markDispatch(kernel);
  kernel->setAttr(kConfigAttr, LoweringConfigAttr::get(top.getContext(), "rows", {1, 1}, {}, 1, 1 << 16));
  setGrid(kernel, {{gridArgument, 0, 1}});
  Block *block = kernel.addEntryBlock();
  top.setInsertionPointToStart(block);
  Value one = arith::ConstantIndexOp::create(top, loc, 1);
  ValueRange all = block->getArguments();
  scf::ForOp::create(top, loc, all.drop_back().back(), all.back(), one, ValueRange(),
                     [&](OpBuilder &b, Location loc, Value row, ValueRange) {
                       body(b, all.drop_back(2), row);
                       scf::YieldOp::create(b, loc);
                     });
  func::ReturnOp::create(top, loc);
  return kernel;
}

/// count + length[row] as an i32.
static Value longerLength(OpBuilder &b, Location loc, Value count, Value length, Value row) {
  Value more = arith::IndexCastOp::create(b, loc, b.getI32Type(), count);
  return arith::AddIOp::create(b, loc, memref::LoadOp::create(b, loc, length, row), more);
}

void EntryBufferizer::launchOnLengths(func::FuncOp kernel, Value count, ArrayRef<Value> inputs,
                                      ArrayRef<Buffer> outputs) {
  SmallVector<Value> ins{count}, outs;
  llvm::append_range(ins, inputs);
  for (const Buffer &output : outputs)
    outs.push_back(output.memref);
  Value grid = getValueOrCreateConstantIndexOp(b, loc, outputs[0].sizes[0]);
  auto launch = LaunchOp::create(b, loc, TypeRange{}, SymbolRefAttr::get(kernel), grid, ins, outs);
  setLabel(launch, (info.name + "." + kernel.getSymName()).str());
}

/// Lengths grow at the end of a call, all in one launch: until then every kernel
/// adds what was appended, so that no order between tasks is needed.
void EntryBufferizer::advanceLengths() {
  auto ret = cast<func::ReturnOp>(entry.getBody().front().getTerminator());
  SmallVector<std::pair<OpFoldResult, SmallVector<Buffer>>> groups; // by positions
  for (Value value : ret.getOperands()) {
    if (!isa<KVCacheType>(value.getType()))
      continue;
    const Cache &cache = caches[value];
    if (isConstantIntValue(cache.appended, 0))
      continue;
    auto *group =
        llvm::find_if(groups, [&](auto &g) { return isEqualConstantIntOrValue(g.first, cache.appended); });
    if (group == groups.end())
      group = &groups.emplace_back(cache.appended, SmallVector<Buffer>());
    group->second.push_back(cache.length);
  }
  for (auto &[count, lengths] : groups) {
    SmallVector<Type> types{b.getIndexType()};
    types.append(lengths.size(), lengths[0].memref.getType());
    std::string name = kAdvanceKernel.str();
    if (auto existing = module.lookupSymbol<func::FuncOp>(name);
        existing && existing.getNumArguments() != types.size() + 2)
      name += "_" + std::to_string(lengths.size());
    func::FuncOp kernel =
        buildKernel(name, types, /*gridArgument=*/1, [&](OpBuilder &b, ValueRange all, Value row) {
          for (Value length : all.drop_front())
            memref::StoreOp::create(b, loc, longerLength(b, loc, all[0], length, row), length, row);
        });
    launchOnLengths(kernel, getValueOrCreateConstantIndexOp(b, loc, count), {}, lengths);
  }
}

/// The length of a cache that may have grown in this call.
Buffer EntryBufferizer::currentLength(CacheLengthOp op) {
  const Cache &cache = caches[op.getCache()];
  if (isConstantIntValue(cache.appended, 0))
    return cache.length;
  Type type = cache.length.memref.getType();
  func::FuncOp kernel = buildKernel(kLengthKernel, {b.getIndexType(), type, type}, /*gridArgument=*/2,
                                    [&](OpBuilder &b, ValueRange all, Value row) {
                                      Value sum = longerLength(b, loc, all[0], all[1], row);
                                      memref::StoreOp::create(b, loc, sum, all[2], row);
                                    });
  Buffer result = place(op.getResult(), cache.length.sizes);
  launchOnLengths(kernel, getValueOrCreateConstantIndexOp(b, loc, cache.appended), cache.length.memref,
                  result);
  return result;
}

/// Where a launch makes `result`: an output of the call or an allocation.
Buffer EntryBufferizer::place(Value result, ArrayRef<OpFoldResult> sizes) {
  auto type = memrefOf(cast<RankedTensorType>(result.getType()));
  if (auto it = outputs.find(result); it != outputs.end())
    return bind(BindingKind::Buffer, it->second, type, sizes);
  SmallVector<Value> dynamic;
  for (auto [i, size] : llvm::enumerate(sizes))
    if (type.isDynamicDim(i))
      dynamic.push_back(getValueOrCreateConstantIndexOp(b, loc, size));
  return {memref::AllocOp::create(b, loc, type, dynamic), SmallVector<OpFoldResult>(sizes)};
}

LogicalResult EntryBufferizer::convertLaunch(LaunchOp op) {
  auto kernel = module.lookupSymbol<func::FuncOp>(op.getKernel());
  SmallVector<Buffer> operands;
  bool grows = llvm::any_of(op.getResultTypes(), [](Type t) { return isa<KVCacheType>(t); });
  if (grows && (op.getInputs().empty() || !op.getInputs()[0].getType().isIndex()))
    return op.emitOpError("expected the first operand to be the positions appended to the cache");
  for (Value input : op.getInputs())
    appendOperands(input, operands);
  size_t inputCount = operands.size();
  for (auto [output, result] : llvm::zip(op.getOutputs(), op.getResults())) {
    if (!isa<KVCacheType>(output.getType()))
      buffers[result] = place(result, bufferOf(output).sizes);
    appendOperands(isa<KVCacheType>(output.getType()) ? output : result, operands);
  }
  SmallVector<Value> memrefs =
      llvm::map_to_vector(operands, [](const Buffer &buffer) { return buffer.memref; });
  auto launch =
      LaunchOp::create(b, op.getLoc(), TypeRange{}, op.getKernelAttr(), gridOf(kernel, operands),
                       ArrayRef(memrefs).take_front(inputCount), ArrayRef(memrefs).drop_front(inputCount));
  setLabel(launch, getLabel(op));
  setWork(launch, op, kernel);
  for (auto [output, result] : llvm::zip(op.getOutputs(), op.getResults())) {
    if (!isa<KVCacheType>(result.getType()))
      continue;
    // The dispatch's first argument says how much the cache grows.
    Cache cache = caches[output];
    OpFoldResult positions = mapSize(op.getInputs()[0]);
    cache.appended = isConstantIntValue(cache.appended, 0)
                         ? positions
                         : getAsOpFoldResult(arith::AddIOp::create(
                               b, loc, getValueOrCreateConstantIndexOp(b, loc, cache.appended),
                               getValueOrCreateConstantIndexOp(b, loc, positions)));
    caches[result] = cache;
  }
  return success();
}

LogicalResult EntryBufferizer::convert(Operation &op) {
  b.setInsertionPointToEnd(b.getInsertionBlock());
  auto reshaped = [&](Value source, Value result, ArrayRef<OpFoldResult> sizes, auto create) {
    auto type = memrefOf(cast<RankedTensorType>(result.getType()));
    buffers[result] = {create(type, bufferOf(source).memref), SmallVector<OpFoldResult>(sizes)};
    return success();
  };
  return TypeSwitch<Operation *, LogicalResult>(&op)
      .Case([&](LaunchOp launch) { return convertLaunch(launch); })
      .Case([&](UseOp use) {
        auto type = cast<RankedTensorType>(use.getResult().getType());
        weights.insert(use.getWeightAttr());
        int64_t index = llvm::find(weights, use.getWeightAttr()) - weights.begin();
        SmallVector<OpFoldResult> sizes = getAsIndexOpFoldResult(op.getContext(), type.getShape());
        buffers[use.getResult()] = bind(BindingKind::Weight, index, memrefOf(type), sizes);
        return success();
      })
      .Case([&](CacheLengthOp length) {
        buffers[length.getResult()] = currentLength(length);
        return success();
      })
      .Case([&](tensor::EmptyOp empty) {
        // Only a shape: equal ones may have been merged, so each launch gets a place of its own.
        SmallVector<OpFoldResult> sizes;
        for (OpFoldResult size : empty.getMixedSizes())
          sizes.push_back(mapSize(size));
        buffers[empty] = {Value(), sizes};
        return success();
      })
      .Case([&](tensor::DimOp dim) {
        if (!dim.getConstantIndex())
          return LogicalResult(dim.emitOpError("expected a constant dimension"));
        OpFoldResult size = bufferOf(dim.getSource()).sizes[*dim.getConstantIndex()];
        values.map(dim.getResult(), getValueOrCreateConstantIndexOp(b, loc, size));
        return success();
      })
      .Case([&](tensor::ExpandShapeOp expand) {
        SmallVector<OpFoldResult> sizes;
        for (OpFoldResult size : expand.getMixedOutputShape())
          sizes.push_back(mapSize(size));
        return reshaped(expand.getSrc(), expand.getResult(), sizes, [&](MemRefType type, Value source) {
          return memref::ExpandShapeOp::create(b, op.getLoc(), type, source, expand.getReassociationIndices(),
                                               sizes);
        });
      })
      .Case([&](tensor::CollapseShapeOp collapse) {
        SmallVector<OpFoldResult> sizes;
        Buffer source = bufferOf(collapse.getSrc());
        for (const ReassociationIndices &group : collapse.getReassociationIndices()) {
          OpFoldResult size = b.getIndexAttr(1);
          for (int64_t i : group) {
            if (isConstantIntValue(size, 1))
              size = source.sizes[i];
            else if (!isConstantIntValue(source.sizes[i], 1))
              size = getAsOpFoldResult(
                  arith::MulIOp::create(b, loc, getValueOrCreateConstantIndexOp(b, loc, size),
                                        getValueOrCreateConstantIndexOp(b, loc, source.sizes[i]))
                      .getResult());
          }
          sizes.push_back(size);
        }
        return reshaped(collapse.getSrc(), collapse.getResult(), sizes, [&](MemRefType, Value source) {
          return memref::CollapseShapeOp::create(b, op.getLoc(), source, collapse.getReassociationIndices());
        });
      })
      .Case([&](tensor::CastOp cast) {
        return reshaped(cast.getSource(), cast.getResult(), bufferOf(cast.getSource()).sizes,
                        [&](MemRefType type, Value source) {
                          return memref::CastOp::create(b, op.getLoc(), type, source);
                        });
      })
      .Case([&](func::ReturnOp ret) {
        advanceLengths();
        func::ReturnOp::create(b, ret.getLoc(), Value(arith::ConstantIntOp::create(b, loc, 0, 32)));
        return success();
      })
      .Default([&](Operation *other) {
        bool scalar =
            llvm::none_of(other->getResultTypes(), [](Type t) { return isa<ShapedType, KVCacheType>(t); });
        if (!scalar || !isMemoryEffectFree(other) || other->getNumRegions() != 0)
          return LogicalResult(other->emitOpError("has no lowering to the host program"));
        b.clone(*other, values);
        return success();
      });
}

LogicalResult EntryBufferizer::run(func::FuncOp func) {
  entry = func;
  loc = func.getLoc();
  FailureOr<EntryInfo> found = EntryInfo::of(func);
  if (failed(found))
    return failure();
  info = *found;
  b.setInsertionPoint(entry);
  auto pointer = LLVM::LLVMPointerType::get(b.getContext());
  auto lowered =
      func::FuncOp::create(b, loc, "xfm_entry_" + info.name, b.getFunctionType(pointer, b.getI32Type()));
  Block *body = lowered.addEntryBlock();
  call = body->getArgument(0);
  b.setInsertionPointToStart(body);
  for (size_t i = 0; i < info.sizes.size(); ++i)
    symbols.push_back(SizeOp::create(b, loc, b.getIndexType(), call, i));
  bindArguments();
  if (failed(bindResults()))
    return failure();
  for (Operation &op : entry.getBody().front())
    if (failed(convert(op)))
      return failure();
  lowered->setAttr(kEntryAttr, info.toAttribute(b.getContext()));
  entry.erase();
  return success();
}

namespace {
struct BufferizeEntries : transformer::impl::BufferizeEntriesPassBase<BufferizeEntries> {
  using BufferizeEntriesPassBase::BufferizeEntriesPassBase;

  void runOnOperation() override {
    llvm::SetVector<Attribute> weights;
    if (failed(checkCaches()))
      return signalPassFailure();
    for (func::FuncOp func : llvm::make_early_inc_range(getOperation().getOps<func::FuncOp>()))
      if (isEntry(func) && failed(EntryBufferizer(getOperation(), weights, chunk).run(func)))
        return signalPassFailure();
    getOperation()->setAttr(kWeightsAttr, ArrayAttr::get(&getContext(), weights.getArrayRef()));
  }

  /// A session has one cache of a name, whichever entry point asks for it.
  LogicalResult checkCaches() {
    llvm::StringMap<KVCacheType> types;
    for (func::FuncOp func : getOperation().getOps<func::FuncOp>()) {
      if (!isEntry(func))
        continue;
      for (auto [i, type] : llvm::enumerate(func.getArgumentTypes())) {
        auto cache = dyn_cast<KVCacheType>(type);
        if (!cache)
          continue;
        auto given = func.getArgAttrOfType<StringAttr>(i, kNameAttr);
        std::string name = given ? given.str() : "in" + std::to_string(i);
        KVCacheType first = types.try_emplace(name, cache).first->second;
        if (first != cache)
          return func.emitOpError("expected cache \"")
                 << name << "\" to be " << first << " as in another entry point, but got " << cache;
      }
    }
    return success();
  }
};
} // namespace
