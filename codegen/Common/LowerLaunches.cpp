//===- LowerLaunches.cpp - launches to the runtime's ABI ------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// launch @k grid(%n) ins(%a) outs(%b)
//   CPU -> store the addresses and sizes of a and b in %block;
//          abi->parallel_for(context, @k.task, %block, n, grain, id)
//   GPU -> the same, every one of 64 bits; abi->launch(context, number of @k, factors of the grid, %block,
//   id)
//
// Runs on bufferized functions with a planned arena. What remains is memref,
// vector, scf and arith code for the upstream conversions to LLVM. The layout of
// xfm_abi and xfm_call is runtime/xfm_abi.h's.
//
//===----------------------------------------------------------------------===//

#include "codegen/Common/DispatchUtils.h"
#include "codegen/Common/EntryInfo.h"
#include "codegen/Common/MemrefDescriptor.h"
#include "codegen/Passes.h"
#include "runtime/xfm_abi.h"

#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "llvm/ADT/MapVector.h"

#define DEBUG_TYPE "transformer-lower-launches"

namespace mlir::transformer {
#define GEN_PASS_DEF_LOWERLAUNCHESPASS
#include "codegen/Passes.h.inc"
} // namespace mlir::transformer

using namespace mlir;
using namespace mlir::transformer;

namespace {

constexpr StringLiteral kAbiGlobal = "xfm_abi";

// Fields of xfm_call and xfm_abi by number.
enum CallField { kContext = 2, kBuffers = 3, kSizes = 4, kWeights = 5, kArena = 6 };
enum AbiField { kAbiSize = 0, kAbiVersion = 1, kParallelFor = 2, kLaunch = 3 };

class Lowering {
public:
  Lowering(ModuleOp module, bool gpu)
      : module(module), gpu(gpu), converter(module.getContext()), b(module.getContext()),
        pointer(LLVM::LLVMPointerType::get(module.getContext())), i32(b.getI32Type()), i64(b.getI64Type()),
        callType(LLVM::LLVMStructType::getLiteral(b.getContext(),
                                                  {i32, i32, pointer, pointer, pointer, pointer, pointer})),
        abiType(LLVM::LLVMStructType::getLiteral(b.getContext(), {i32, i32, pointer, pointer})) {}

  void run();

private:
  void emitInit();
  void emitTask(func::FuncOp kernel);
  void lowerEntry(func::FuncOp entry);
  void lowerSize(SizeOp op);
  Value bindingAddress(BindingOp op);
  void lowerLaunch(LaunchOp op, Value block, Value context, int32_t id);
  void lowerGPULaunch(LaunchOp op, Value words, Value dims, Value context, int32_t id);

  /// What a launch hands over of each operand: a dense memref's address and dynamic
  /// sizes, a scalar itself. The rest of a descriptor follows from its type.
  LLVM::LLVMStructType blockType(TypeRange types) {
    SmallVector<Type> fields;
    for (Type type : types) {
      auto memref = dyn_cast<MemRefType>(type);
      fields.push_back(memref ? pointer : converter.convertType(type));
      if (memref)
        fields.append(memref.getNumDynamicDims(), i64);
    }
    return LLVM::LLVMStructType::getLiteral(b.getContext(), fields);
  }
  /// The address of a buffer of an entry function and its dynamic sizes (i64),
  /// through views, without a descriptor for any of them.
  Value addressOf(Value memref);
  Value sizeOf(Value memref, int64_t dim);
  Value field(Location loc, Type structure, Value base, int32_t index, Type type) {
    Value address = LLVM::GEPOp::create(b, loc, pointer, structure, base, ArrayRef<LLVM::GEPArg>{0, index});
    return LLVM::LoadOp::create(b, loc, type, address);
  }
  Value element(Location loc, Value array, int64_t index, Type type) {
    Value address = LLVM::GEPOp::create(b, loc, pointer, type, array,
                                        ArrayRef<LLVM::GEPArg>{static_cast<int32_t>(index)});
    return LLVM::LoadOp::create(b, loc, type, address);
  }
  Value convert(Location loc, Value value) {
    Type type = converter.convertType(value.getType());
    if (type == value.getType())
      return value;
    return UnrealizedConversionCastOp::create(b, loc, type, value).getResult(0);
  }
  Value toIndex(Location loc, Value value) {
    return arith::IndexCastOp::create(b, loc, b.getIndexType(), value);
  }
  Value fromIndex(Location loc, Value value) { return arith::IndexCastOp::create(b, loc, i64, value); }
  Value constant(Location loc, Type type, int64_t value) {
    return LLVM::ConstantOp::create(b, loc, type, b.getIntegerAttr(type, value));
  }

  /// The table that the runtime handed over, and its function `index`.
  Value abiFunction(Location loc, int32_t index) {
    Value abi = LLVM::LoadOp::create(b, loc, pointer, LLVM::AddressOfOp::create(b, loc, pointer, kAbiGlobal));
    return field(loc, abiType, abi, index, pointer);
  }
  void storeWord(Location loc, Value value, Value array, int32_t index) {
    Value address = LLVM::GEPOp::create(b, loc, pointer, i64, array, ArrayRef<LLVM::GEPArg>{index});
    LLVM::StoreOp::create(b, loc, value, address);
  }
  /// A scalar operand as the 64 bits that a kernel gets.
  Value wordOf(Location loc, Value scalar) {
    if (scalar.getType().isF32())
      scalar = LLVM::BitcastOp::create(b, loc, i32, scalar);
    else
      scalar = convert(loc, scalar);
    return scalar.getType() == i64 ? scalar : Value(LLVM::ZExtOp::create(b, loc, i64, scalar));
  }

  ModuleOp module;
  bool gpu;
  LLVMTypeConverter converter;
  OpBuilder b;
  DenseMap<Value, Value> addresses; // of the entry function being lowered
  Type pointer, i32, i64;
  LLVM::LLVMStructType callType, abiType;
};

/// The launches of one name: how many, and their work together.
struct Dispatch {
  int64_t count = 0;
  llvm::MapVector<Attribute, int64_t> flops, bytes; // sizes -> coefficient

  void add(LaunchOp launch) {
    ++count;
    addTerms(launch, kFlopsAttr, flops);
    addTerms(launch, kBytesAttr, bytes);
  }

  DictionaryAttr toAttribute(Builder &b, StringRef name) const {
    return b.getDictionaryAttr(
        {b.getNamedAttr("name", b.getStringAttr(name)), b.getNamedAttr("count", b.getI64IntegerAttr(count)),
         b.getNamedAttr("flops", terms(b, flops)), b.getNamedAttr("bytes", terms(b, bytes))});
  }

private:
  static void addTerms(LaunchOp launch, StringRef name, llvm::MapVector<Attribute, int64_t> &sum) {
    if (auto list = launch->getAttrOfType<ArrayAttr>(name))
      for (auto term : list.getAsRange<DictionaryAttr>())
        sum[term.get("sizes")] += term.getAs<IntegerAttr>("coefficient").getInt();
  }
  static ArrayAttr terms(Builder &b, const llvm::MapVector<Attribute, int64_t> &sum) {
    SmallVector<Attribute> list;
    for (auto &[sizes, coefficient] : sum)
      list.push_back(b.getDictionaryAttr(
          {b.getNamedAttr("coefficient", b.getI64IntegerAttr(coefficient)), b.getNamedAttr("sizes", sizes)}));
    return b.getArrayAttr(list);
  }
};

std::string taskName(StringRef kernel) { return (kernel + ".task").str(); }

/// `xfm_module_init`: refuses a table it does not know, keeps the others.
void Lowering::emitInit() {
  Location loc = module.getLoc();
  b.setInsertionPointToStart(module.getBody());
  auto global = LLVM::GlobalOp::create(b, loc, pointer, /*isConstant=*/false, LLVM::Linkage::Internal,
                                       kAbiGlobal, Attribute());
  {
    OpBuilder::InsertionGuard guard(b);
    b.createBlock(&global.getInitializerRegion());
    LLVM::ReturnOp::create(b, loc, Value(LLVM::ZeroOp::create(b, loc, pointer)));
  }
  auto func = LLVM::LLVMFuncOp::create(b, loc, "xfm_module_init", LLVM::LLVMFunctionType::get(i32, pointer));
  Block *body = func.addEntryBlock(b);
  Block *keep = b.createBlock(&func.getBody());
  Block *refuse = b.createBlock(&func.getBody());
  b.setInsertionPointToStart(body);
  Value abi = body->getArgument(0);
  Value version = field(loc, abiType, abi, kAbiVersion, i32), size = field(loc, abiType, abi, kAbiSize, i32);
  size_t needed = (gpu ? offsetof(xfm_abi, launch) : offsetof(xfm_abi, parallel_for)) + sizeof(void *);
  Value same =
      LLVM::ICmpOp::create(b, loc, LLVM::ICmpPredicate::eq, version, constant(loc, i32, XFM_ABI_VERSION));
  Value whole = LLVM::ICmpOp::create(b, loc, LLVM::ICmpPredicate::uge, size, constant(loc, i32, needed));
  LLVM::CondBrOp::create(b, loc, LLVM::AndOp::create(b, loc, same, whole), keep, refuse);
  b.setInsertionPointToStart(keep);
  LLVM::StoreOp::create(b, loc, abi, LLVM::AddressOfOp::create(b, loc, global));
  LLVM::ReturnOp::create(b, loc, constant(loc, i32, 0));
  b.setInsertionPointToStart(refuse);
  LLVM::ReturnOp::create(b, loc, constant(loc, i32, 1));
}

/// The function parallel_for calls: unpacks the block and runs the kernel.
void Lowering::emitTask(func::FuncOp kernel) {
  Location loc = kernel.getLoc();
  b.setInsertionPointAfter(kernel);
  auto task =
      func::FuncOp::create(b, loc, taskName(kernel.getSymName()), b.getFunctionType({pointer, i64, i64}, {}));
  task.setPrivate();
  Block *body = task.addEntryBlock();
  b.setInsertionPointToStart(body);
  ArrayRef<Type> types = kernel.getArgumentTypes().drop_back(2);
  LLVM::LLVMStructType block = blockType(types);
  SmallVector<Value> operands;
  int32_t next = 0;
  auto read = [&] {
    int32_t index = next++;
    return field(loc, block, body->getArgument(0), index, block.getBody()[index]);
  };
  for (Type type : types) {
    Value value = read();
    if (auto memref = dyn_cast<MemRefType>(type)) {
      SmallVector<Value> dims;
      for (size_t i = 0; i < memref.getNumDynamicDims(); ++i)
        dims.push_back(read());
      value = describeMemref(b, loc, converter, memref, value, dims);
    } else if (value.getType() != type) {
      value = UnrealizedConversionCastOp::create(b, loc, type, value).getResult(0);
    }
    operands.push_back(value);
  }
  operands.push_back(toIndex(loc, body->getArgument(1)));
  operands.push_back(toIndex(loc, body->getArgument(2)));
  func::CallOp::create(b, loc, kernel, operands);
  func::ReturnOp::create(b, loc);
}

void Lowering::lowerSize(SizeOp op) {
  b.setInsertionPoint(op);
  Value sizes = field(op.getLoc(), callType, op.getCall(), kSizes, pointer);
  op.replaceAllUsesWith(toIndex(op.getLoc(), element(op.getLoc(), sizes, op.getIndex(), i64)));
  op.erase();
}

/// The pointer a call hands over.
Value Lowering::bindingAddress(BindingOp op) {
  Location loc = op.getLoc();
  if (op.getKind() == BindingKind::Arena)
    return field(loc, callType, op.getCall(), kArena, pointer);
  int32_t list = op.getKind() == BindingKind::Weight ? kWeights : kBuffers;
  return element(loc, field(loc, callType, op.getCall(), list, pointer), op.getIndex(), pointer);
}

Value Lowering::addressOf(Value memref) {
  auto [it, isNew] = addresses.try_emplace(memref, Value());
  if (!isNew)
    return it->second;
  Operation *def = memref.getDefiningOp();
  Location loc = memref.getLoc();
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointAfter(def);
  Value address;
  if (auto binding = dyn_cast<BindingOp>(def)) {
    address = bindingAddress(binding);
  } else if (auto view = dyn_cast<memref::ViewOp>(def)) {
    Value base = addressOf(view.getSource());
    Value offset = fromIndex(loc, view.getByteShift());
    address = LLVM::GEPOp::create(b, loc, pointer, b.getI8Type(), base, ArrayRef<LLVM::GEPArg>{offset});
  } else {
    address = addressOf(def->getOperand(0));
  }
  return addresses[memref] = address;
}

Value Lowering::sizeOf(Value memref, int64_t dim) {
  auto type = cast<MemRefType>(memref.getType());
  Location loc = memref.getLoc();
  if (!type.isDynamicDim(dim))
    return constant(loc, i64, type.getDimSize(dim));
  Operation *def = memref.getDefiningOp();
  if (auto binding = dyn_cast<BindingOp>(def))
    return fromIndex(loc, binding.getDims()[type.getDynamicDimIndex(dim)]);
  if (auto view = dyn_cast<memref::ViewOp>(def))
    return fromIndex(loc, view.getSizes()[type.getDynamicDimIndex(dim)]);
  if (auto expand = dyn_cast<memref::ExpandShapeOp>(def))
    return fromIndex(loc, expand.getOutputShape()[type.getDynamicDimIndex(dim)]);
  if (auto collapse = dyn_cast<memref::CollapseShapeOp>(def)) {
    Value size = constant(loc, i64, 1);
    for (int64_t i : collapse.getReassociationIndices()[dim])
      size = LLVM::MulOp::create(b, loc, size, sizeOf(collapse.getSrc(), i));
    return size;
  }
  return sizeOf(cast<memref::CastOp>(def).getSource(), dim);
}

void Lowering::lowerLaunch(LaunchOp op, Value block, Value context, int32_t id) {
  Location loc = op.getLoc();
  b.setInsertionPoint(op);
  SmallVector<Value> operands(op.getInputs());
  llvm::append_range(operands, op.getOutputs());
  LLVM::LLVMStructType type = blockType(ValueRange(operands).getTypes());
  int32_t next = 0;
  auto write = [&](Value value) {
    Value address = LLVM::GEPOp::create(b, loc, pointer, type, block, ArrayRef<LLVM::GEPArg>{0, next++});
    LLVM::StoreOp::create(b, loc, value, address);
  };
  for (Value operand : operands) {
    auto memref = dyn_cast<MemRefType>(operand.getType());
    if (!memref) {
      write(convert(loc, operand));
      continue;
    }
    write(addressOf(operand));
    for (int64_t i = 0; i < memref.getRank(); ++i)
      if (memref.isDynamicDim(i))
        write(sizeOf(operand, i));
  }
  auto kernel = module.lookupSymbol<func::FuncOp>(op.getKernel());
  auto task = module.lookupSymbol<func::FuncOp>(taskName(op.getKernel()));
  Value taskAddress = func::ConstantOp::create(b, loc, task.getFunctionType(), SymbolRefAttr::get(task));
  taskAddress = UnrealizedConversionCastOp::create(b, loc, pointer, taskAddress).getResult(0);
  Value parallelFor = abiFunction(loc, kParallelFor);
  auto signature = LLVM::LLVMFunctionType::get(LLVM::LLVMVoidType::get(b.getContext()),
                                               {pointer, pointer, pointer, i64, i64, i32});
  Value grain = constant(loc, i64, getConfig(kernel).getGrain());
  LLVM::CallOp::create(b, loc, signature,
                       ValueRange{parallelFor, context, taskAddress, block, fromIndex(loc, op.getGrid()),
                                  grain, constant(loc, i32, id)});
  op.erase();
}

void Lowering::lowerGPULaunch(LaunchOp op, Value words, Value dims, Value context, int32_t id) {
  Location loc = op.getLoc();
  b.setInsertionPoint(op);
  SmallVector<Value> operands(op.getInputs());
  llvm::append_range(operands, op.getOutputs());
  int32_t next = 0;
  for (Value operand : operands) {
    auto memref = dyn_cast<MemRefType>(operand.getType());
    if (!memref) {
      storeWord(loc, wordOf(loc, operand), words, next++);
      continue;
    }
    storeWord(loc, LLVM::PtrToIntOp::create(b, loc, i64, addressOf(operand)), words, next++);
    for (int64_t i = 0; i < memref.getRank(); ++i)
      if (memref.isDynamicDim(i))
        storeWord(loc, sizeOf(operand, i), words, next++);
  }
  auto kernel = module.lookupSymbol<func::FuncOp>(op.getKernel());
  // Factors that an architecture's tile divides: the runtime knows which.
  next = 0;
  for (const GridDim &factor : getGrid(kernel)) {
    Value operand = operands[factor.argument], size;
    if (!isa<MemRefType>(operand.getType()))
      size = wordOf(loc, operand);
    else
      for (int64_t i = factor.dim; i < factor.dim + factor.count; ++i) {
        Value extent = sizeOf(operand, i);
        size = size ? LLVM::MulOp::create(b, loc, size, extent) : extent;
      }
    storeWord(loc, size, dims, next++);
  }
  auto signature = LLVM::LLVMFunctionType::get(LLVM::LLVMVoidType::get(b.getContext()),
                                               {pointer, i32, pointer, pointer, i32});
  int64_t number = kernel->getAttrOfType<IntegerAttr>(kKernelNumberAttr).getInt();
  LLVM::CallOp::create(b, loc, signature,
                       ValueRange{abiFunction(loc, kLaunch), context, constant(loc, i32, number), dims, words,
                                  constant(loc, i32, id)});
  op.erase();
}

void Lowering::lowerEntry(func::FuncOp entry) {
  Location loc = entry.getLoc();
  SmallVector<LaunchOp> launches(entry.getOps<LaunchOp>());
  // One block serves all launches: nothing of it is read after a launch returns. Every
  // field takes at most eight bytes.
  int64_t words = 1, factors = 1;
  llvm::MapVector<StringRef, Dispatch> counts;
  for (LaunchOp launch : launches) {
    int64_t fields = 0;
    for (Type type : launch->getOperandTypes())
      fields += isa<MemRefType>(type) ? 1 + cast<MemRefType>(type).getNumDynamicDims() : 1;
    words = std::max(words, fields);
    auto kernel = module.lookupSymbol<func::FuncOp>(launch.getKernel());
    factors = std::max<int64_t>(factors, getGrid(kernel).size());
    counts[getLabel(launch)].add(launch);
  }
  b.setInsertionPointToStart(&entry.getBody().front());
  Value block = LLVM::AllocaOp::create(b, loc, pointer, i64, constant(loc, i64, words), /*alignment=*/8);
  Value dims;
  if (gpu)
    dims = LLVM::AllocaOp::create(b, loc, pointer, i64, constant(loc, i64, factors), /*alignment=*/8);
  Value context = field(loc, callType, entry.getArgument(0), kContext, pointer);
  for (LaunchOp launch : launches) {
    int32_t id = static_cast<int32_t>(counts.find(getLabel(launch)) - counts.begin());
    if (gpu)
      lowerGPULaunch(launch, block, dims, context, id);
    else
      lowerLaunch(launch, block, context, id);
  }
  SmallVector<Attribute> list;
  for (auto &[label, dispatch] : counts)
    list.push_back(dispatch.toAttribute(b, label));
  entry->setAttr(kDispatchesAttr, b.getArrayAttr(list));
  // Launches were the only readers of buffers: bindings and views are dead now.
  addresses.clear();
  for (Operation &op : llvm::make_early_inc_range(llvm::reverse(entry.getBody().front())))
    if (isa<BindingOp, ViewLikeOpInterface, memref::CastOp>(op) && op.use_empty())
      op.erase();
  for (auto op : llvm::make_early_inc_range(entry.getOps<SizeOp>()))
    lowerSize(op);
}

void Lowering::run() {
  emitInit();
  SmallVector<func::FuncOp> functions(module.getOps<func::FuncOp>());
  for (func::FuncOp func : functions)
    if (isDispatch(func) && !gpu)
      emitTask(func);
  for (func::FuncOp func : functions)
    if (func->hasAttr(kEntryAttr))
      lowerEntry(func);
  // Kernels of a GPU have been moved away; what stood for them is of no use now.
  for (func::FuncOp func : functions)
    if (isDispatch(func) && gpu)
      func.erase();
}

struct LowerLaunches : transformer::impl::LowerLaunchesPassBase<LowerLaunches> {
  using Base::Base;
  void runOnOperation() override { Lowering(getOperation(), gpu).run(); }
};

} // namespace
