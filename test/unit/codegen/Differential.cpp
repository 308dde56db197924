//===- Differential.cpp - compiled code against the interpreter -----------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "test/unit/codegen/Differential.h"

#include "test/numeric/Goldens.h"
#include "test/unit/weights/Fixtures.h"
#include "tools/driver/Driver.h"
#include "weights/Dtype.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Parser/Parser.h"

#include <gtest/gtest.h>

using namespace mlir;
using namespace mlir::transformer;
using namespace mlir::transformer::numeric;

//===----------------------------------------------------------------------===//
// Text
//===----------------------------------------------------------------------===//

namespace {
struct Spelled {
  std::string type, attributes;
};
} // namespace

/// "B, 8, f32" as tensor<?x8xf32> and its transformer.dims.
static Spelled spell(const Signature &value) {
  std::string attributes = "transformer.name = \"" + value.name + "\"";
  if (!value.attributes.empty())
    attributes += ", " + value.attributes;
  if (StringRef(value.type).starts_with("!"))
    return {value.type, attributes};
  SmallVector<StringRef> parts;
  StringRef(value.type).split(parts, ',');
  std::string type = "tensor<", names;
  for (StringRef part : ArrayRef(parts).drop_back()) {
    part = part.trim();
    bool isSymbol = !llvm::isDigit(part[0]);
    type += (isSymbol ? "?" : part.str()) + "x";
    names += (names.empty() ? "\"" : ", \"") + (isSymbol ? part.str() : "") + "\"";
  }
  return {type + parts.back().trim().str() + ">", attributes + ", transformer.dims = [" + names + "]"};
}

std::string numeric::functionText(const std::string &name, const std::vector<Signature> &arguments,
                                  const std::vector<Signature> &results, std::string body) {
  std::string head = "func.func @" + name + "(", tail;
  auto replaceType = [&](const std::string &what, const std::string &type) {
    for (size_t at; (at = body.find("{" + what + "}")) != std::string::npos;)
      body.replace(at, what.size() + 2, type);
  };
  for (const Signature &argument : arguments) {
    Spelled spelled = spell(argument);
    head += (&argument == arguments.data() ? "%" : ", %") + argument.name + ": " + spelled.type + " {" +
            spelled.attributes + "}";
    replaceType(argument.name, spelled.type);
  }
  for (const Signature &result : results) {
    Spelled spelled = spell(result);
    tail += (tail.empty() ? "" : ", ") + spelled.type + " {" + spelled.attributes + "}";
    replaceType(result.name, spelled.type);
  }
  return head + ") -> (" + tail + ") {\n" + body + "\n}\n";
}

//===----------------------------------------------------------------------===//
// Running
//===----------------------------------------------------------------------===//

static MLIRContext &context() {
  static MLIRContext *context = [] {
    DialectRegistry registry;
    registerAll(registry);
    return new MLIRContext(registry, MLIRContext::Threading::DISABLED);
  }();
  return *context;
}

Differential::Differential(const std::string &text, StringRef mcpu,
                           const emulator::EmulatorOptions &emulation) {
  module = parseSourceString<ModuleOp>(text, &context());
  if (!module) {
    ADD_FAILURE() << "does not parse:\n" << text;
    return;
  }
  test::TempFolder folder;
  folder.write("model.safetensors", makeWeights());
  llvm::Expected<std::unique_ptr<CompiledModule>> result =
      compileFor(*module, mcpu, {}, 512, emulation, folder.str());
  if (!result)
    ADD_FAILURE() << mcpu.str() << ": " << llvm::toString(result.takeError());
  else
    compiled = std::move(*result);
}

std::string Differential::makeWeights() {
  test::SafetensorsBuilder file;
  for (auto weight : module->getOps<WeightOp>()) {
    auto type = cast<RankedTensorType>(weight.getType());
    Tensor tensor = makeInput(type.getElementType(), {}, type.getShape());
    ArrayRef<double> values = tensor.getFloats();
    Dtype dtype = *dtypeFromType(type.getElementType());
    std::string bytes(values.size() * dtypeSize(dtype), 0);
    fromDoubles(dtype, values.data(), values.size(), bytes.data());
    file.addBytes(weight.getSymName(), dtypeName(dtype), type.getShape().vec(), bytes);
    weights.try_emplace(weight.getSymName(), std::move(tensor));
  }
  return file.build();
}

Tensor Differential::makeInput(Type type, Attribute range, ArrayRef<int64_t> shape) {
  Tensor tensor(shape, type);
  if (tensor.isFloat()) {
    std::normal_distribution<double> normal;
    for (double &value : tensor.getMutableFloats())
      value = normal(random);
    tensor.round();
    return tensor;
  }
  auto bounds = dyn_cast_or_null<DenseI64ArrayAttr>(range);
  std::uniform_int_distribution<int64_t> uniform(bounds ? bounds[0] : -9, bounds ? bounds[1] - 1 : 9);
  for (int64_t &value : tensor.getMutableInts())
    value = uniform(random);
  return tensor;
}

void Differential::compareCall(StringRef name, const std::map<std::string, int64_t> &sizes,
                               SmallVector<KVCache> &caches, double tolerance) {
  auto function = module->lookupSymbol<func::FuncOp>(name);
  ASSERT_TRUE(function) << name.str();
  std::string where = name.str() + " [";
  for (auto &[symbol, size] : sizes)
    where += " " + symbol + "=" + std::to_string(size);
  where += " ]";
  SmallVector<Tensor> inputs;
  SmallVector<RuntimeValue> arguments;
  auto *cache = caches.begin();
  for (auto [i, type] : llvm::enumerate(function.getArgumentTypes())) {
    if (isa<KVCacheType>(type)) {
      arguments.push_back(*cache++);
      continue;
    }
    auto tensorType = cast<RankedTensorType>(type);
    auto dims = function.getArgAttrOfType<ArrayAttr>(i, "transformer.dims");
    SmallVector<int64_t> shape(tensorType.getShape());
    for (auto [size, dim] : llvm::zip(shape, dims.getAsRange<StringAttr>()))
      if (ShapedType::isDynamic(size))
        size = sizes.at(dim.str());
    inputs.push_back(
        makeInput(tensorType.getElementType(), function.getArgAttr(i, "transformer.range"), shape));
    if (override && inputs.back().isFloat()) {
      auto given = function.getArgAttrOfType<StringAttr>(i, "transformer.name");
      override(given.getValue(), inputs.back().getMutableFloats());
      inputs.back().round();
    }
    arguments.push_back(inputs.back());
  }
  InterpreterOptions options;
  options.weight = [&](StringRef symbol) -> FailureOr<Tensor> { return weights.at(symbol); };
  FailureOr<SmallVector<RuntimeValue>> expected = interpret(*module, name, arguments, options);
  ASSERT_TRUE(succeeded(expected)) << where;
  llvm::Expected<SmallVector<Tensor>> actual = compiled->call(name, inputs);
  ASSERT_TRUE(bool(actual)) << where << ": " << llvm::toString(actual.takeError());
  ++calls;
  caches.clear();
  auto *output = actual->begin();
  for (RuntimeValue &value : *expected) {
    if (auto *longer = std::get_if<KVCache>(&value)) {
      caches.push_back(std::move(*longer));
      continue;
    }
    Tensor &wanted = std::get<Tensor>(value);
    bool isNarrow = wanted.isFloat() && wanted.getElementType().getIntOrFloatBitWidth() < 32;
    ASSERT_TRUE(output != actual->end()) << where;
    double error = relativeError(*output++, wanted);
    EXPECT_LE(error, isNarrow ? std::max(kNarrowTolerance, tolerance) : tolerance) << where;
    double &largest = isNarrow ? worstNarrow : worst;
    largest = std::max(largest, error);
  }
}

void Differential::check(StringRef function, const std::map<std::string, int64_t> &sizes, double tolerance) {
  checkSequence(function, sizes, {}, tolerance);
}

SmallVector<KVCache> Differential::begin(StringRef name, int64_t rows, int64_t context) {
  SmallVector<KVCache> caches;
  for (Type type : module->lookupSymbol<func::FuncOp>(name).getArgumentTypes())
    if (auto cache = dyn_cast<KVCacheType>(type))
      caches.push_back(KVCache::empty(cache, rows));
  if (calls == 0 || !caches.empty())
    if (llvm::Error error = compiled->begin(rows, context, /*threads=*/2))
      ADD_FAILURE() << llvm::toString(std::move(error));
  return caches;
}

void Differential::checkSequence(StringRef name, std::map<std::string, int64_t> sizes,
                                 ArrayRef<int64_t> positions, double tolerance) {
  ASSERT_TRUE(isCompiled());
  SmallVector<KVCache> caches = begin(name, sizes.count("B") ? sizes["B"] : 1, /*context=*/96);
  if (positions.empty())
    return compareCall(name, sizes, caches, tolerance);
  for (int64_t count : positions) {
    sizes["S"] = count;
    compareCall(name, sizes, caches, tolerance);
  }
}

void Differential::checkCalls(ArrayRef<std::pair<std::string, int64_t>> list,
                              std::map<std::string, int64_t> sizes, double tolerance) {
  ASSERT_TRUE(isCompiled());
  int64_t context = 0;
  for (auto &[name, count] : list)
    context += count;
  SmallVector<KVCache> caches = begin(list.front().first, sizes.at("B"), context);
  for (auto &[name, count] : list) {
    sizes["S"] = count;
    compareCall(name, sizes, caches, tolerance);
  }
}
