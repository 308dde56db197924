//===- TransformerOps.cpp - weights, projections, norms, activations, launches ===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "dialect/interpreter/Execution.h"

#include "mlir/Interfaces/FunctionInterfaces.h"
#include "llvm/Support/Parallel.h"

#include <cmath>

using namespace mlir;
using namespace mlir::transformer;

//===----------------------------------------------------------------------===//
// use, launch
//===----------------------------------------------------------------------===//

static LogicalResult runUse(UseOp op, Execution &execution) {
  if (!execution.getOptions().weight)
    return op.emitOpError("reads ") << op.getWeightAttr() << ", but no weights were given to the interpreter";
  FailureOr<Tensor> tensor = execution.getOptions().weight(op.getWeight());
  if (failed(tensor))
    return op.emitOpError("cannot read the weight ") << op.getWeightAttr();
  if (!hasType(*tensor, op.getType()))
    return op.emitOpError("expected a weight of type ") << op.getType() << ", but got " << describe(*tensor);
  return execution.define(op->getResult(0), std::move(*tensor));
}

/// On tensors a launch is a call of its kernel.
static LogicalResult runLaunch(LaunchOp op, Execution &execution) {
  auto kernel = SymbolTable::lookupNearestSymbolFrom<FunctionOpInterface>(op, op.getKernelAttr());
  if (llvm::any_of(kernel.getArgumentTypes(), [](Type type) { return isa<MemRefType>(type); }))
    return op.emitOpError(
        "of an emitted kernel is not supported by the interpreter: interpret the program before "
        "kernels are emitted");
  FailureOr<SmallVector<RuntimeValue>> results =
      execution.call(op, op.getKernelAttr(), execution.take(op->getOpOperands()));
  if (failed(results))
    return failure();
  if (results->size() != op.getNumResults())
    return op.emitOpError("expected ")
           << op.getNumResults() << " results of " << op.getKernelAttr() << ", but got " << results->size();
  for (auto [result, value] : llvm::zip_equal(op.getResults(), *results))
    if (failed(execution.bind(result, std::move(value))))
      return failure();
  return success();
}

//===----------------------------------------------------------------------===//
// embedding
//===----------------------------------------------------------------------===//

static LogicalResult runEmbedding(EmbeddingOp op, Execution &execution) {
  Tensor ids = execution.getTensor(op.getIds()), table = execution.getTensor(op.getTable());
  int64_t rows = table.getDim(0), length = table.getDim(1);
  SmallVector<int64_t> shape(ids.getShape());
  shape.push_back(length);
  FailureOr<Tensor> result = execution.makeTensor(op, shape, table.getElementType());
  if (failed(result))
    return failure();
  double *out = result->getMutableFloats().data();
  for (int64_t id : ids.getInts()) {
    if (id < 0 || id >= rows)
      return op.emitOpError("reads id ") << id << " of a table of " << rows << " rows";
    out = std::copy_n(table.getFloats().data() + id * length, length, out);
  }
  return execution.define(op->getResult(0), std::move(*result));
}

//===----------------------------------------------------------------------===//
// linear, gated_mlp
//===----------------------------------------------------------------------===//

/// Several running sums let the compiler use vectors without reordering ours.
static double dot(const double *a, const double *b, int64_t length) {
  constexpr int64_t width = 8;
  double sums[width] = {};
  int64_t k = 0;
  for (; k + width <= length; k += width)
    for (int64_t i = 0; i < width; ++i)
      sums[i] += a[k + i] * b[k + i];
  double sum = 0;
  for (; k < length; ++k)
    sum += a[k] * b[k];
  for (double part : sums)
    sum += part;
  return sum;
}

/// input [M, K] times weight [N, K] transposed, plus bias [N] if there is one.
static std::vector<double> project(ArrayRef<double> input, const Tensor &weight, const Tensor *bias) {
  int64_t n = weight.getDim(0), k = weight.getDim(1), m = k == 0 ? 0 : input.size() / k;
  std::vector<double> result(m * n);
  const double *w = weight.getFloats().data();
  auto column = [&](size_t j) {
    double offset = bias ? bias->getFloats()[j] : 0.0;
    for (int64_t i = 0; i < m; ++i)
      result[i * n + j] = dot(input.data() + i * k, w + j * k, k) + offset;
  };
  constexpr int64_t worthThreads = 1 << 20;
  if (m * n * k < worthThreads)
    for (int64_t j = 0; j < n; ++j)
      column(j);
  else
    llvm::parallelFor(0, n, column);
  return result;
}

static SmallVector<int64_t> withLast(ArrayRef<int64_t> shape, int64_t last) {
  SmallVector<int64_t> result(shape);
  result.back() = last;
  return result;
}

/// Static types may leave open what the verifier would refuse.
static LogicalResult expectColumns(Operation *op, const Tensor &weight, int64_t columns) {
  if (weight.getDim(1) == columns && columns != 0)
    return success();
  return op->emitOpError("expected a weight of ") << columns << " columns, but got " << weight.getDim(1);
}

static LogicalResult runLinear(LinearOp op, Execution &execution) {
  Tensor input = execution.getTensor(op.getInput()), weight = execution.getTensor(op.getWeight());
  Tensor bias = op.getBias() ? execution.getTensor(op.getBias()) : Tensor();
  if (failed(expectColumns(op, weight, input.getShape().back())))
    return failure();
  if (op.getBias() && bias.getDim(0) != weight.getDim(0))
    return op.emitOpError("expected a bias of length ") << weight.getDim(0) << ", but got " << bias.getDim(0);
  SmallVector<int64_t> shape = withLast(input.getShape(), weight.getDim(0));
  return execution.define(op->getResult(0),
                          Tensor(shape, input.getElementType(),
                                 project(input.getFloats(), weight, op.getBias() ? &bias : nullptr)));
}

static double activate(ActivationKind kind, double x) {
  switch (kind) {
  case ActivationKind::Silu:
    return x / (1 + std::exp(-x));
  case ActivationKind::GeluErf:
    return x / 2 * (1 + std::erf(x * M_SQRT1_2));
  case ActivationKind::GeluTanh:
    return x / 2 * (1 + std::tanh(M_2_SQRTPI * M_SQRT1_2 * (x + 0.044715 * x * x * x)));
  case ActivationKind::Relu:
    return std::isnan(x) ? x : std::max(x, 0.0);
  case ActivationKind::QuickGelu:
    return x / (1 + std::exp(-1.702 * x));
  }
  llvm_unreachable("unknown activation");
}

static LogicalResult runGatedMLP(GatedMLPOp op, Execution &execution) {
  Tensor input = execution.getTensor(op.getInput()), gate = execution.getTensor(op.getGate()),
         up = execution.getTensor(op.getUp()), down = execution.getTensor(op.getDown());
  if (failed(expectColumns(op, gate, input.getShape().back())) ||
      failed(expectColumns(op, up, input.getShape().back())) ||
      failed(expectColumns(op, down, gate.getDim(0))))
    return failure();
  if (gate.getShape() != up.getShape())
    return op.emitOpError("expected gate and up of the same shape");
  std::vector<double> product = project(input.getFloats(), gate, nullptr);
  std::vector<double> factor = project(input.getFloats(), up, nullptr);
  for (auto [p, f] : llvm::zip_equal(product, factor)) {
    p = activate(op.getKind(), p) * f;
    if (execution.roundsToIR())
      p = roundTo(input.getElementType(), p);
  }
  SmallVector<int64_t> shape = withLast(input.getShape(), down.getDim(0));
  return execution.define(op->getResult(0),
                          Tensor(shape, input.getElementType(), project(product, down, nullptr)));
}

static LogicalResult runActivation(ActivationOp op, Execution &execution) {
  Tensor tensor = execution.takeTensor(op.getInputMutable());
  for (double &x : tensor.getMutableFloats())
    x = activate(op.getKind(), x);
  return execution.define(op->getResult(0), std::move(tensor));
}

//===----------------------------------------------------------------------===//
// norms
//===----------------------------------------------------------------------===//

/// Calls `normalize` on each row of the last dimension, then applies scale and bias.
template <typename OpT, typename Fn>
static LogicalResult runNorm(OpT op, Value biasValue, Execution &execution, Fn normalize) {
  Tensor tensor = execution.takeTensor(op.getInputMutable()), scale = execution.getTensor(op.getScale());
  Tensor bias = biasValue ? execution.getTensor(biasValue) : Tensor();
  int64_t length = tensor.getShape().back();
  if (scale.getDim(0) != length || (biasValue && bias.getDim(0) != length))
    return op.emitOpError("expected scale and bias of length ") << length;
  double epsilon = op.getEpsilon().convertToDouble();
  MutableArrayRef<double> elements = tensor.getMutableFloats();
  for (int64_t start = 0; start < tensor.size(); start += length) {
    MutableArrayRef<double> row = elements.slice(start, length);
    normalize(row, epsilon);
    for (int64_t i = 0; i < length; ++i)
      row[i] = row[i] * scale.getFloats()[i] + (biasValue ? bias.getFloats()[i] : 0.0);
  }
  return execution.define(op->getResult(0), std::move(tensor));
}

static LogicalResult runLayerNorm(LayerNormOp op, Execution &execution) {
  return runNorm(op, op.getBias(), execution, [](MutableArrayRef<double> row, double epsilon) {
    double mean = 0, variance = 0;
    for (double x : row)
      mean += x;
    mean /= row.size();
    for (double x : row)
      variance += (x - mean) * (x - mean);
    variance /= row.size();
    double factor = 1 / std::sqrt(variance + epsilon);
    for (double &x : row)
      x = (x - mean) * factor;
  });
}

static LogicalResult runRMSNorm(RMSNormOp op, Execution &execution) {
  return runNorm(op, Value(), execution, [](MutableArrayRef<double> row, double epsilon) {
    double squares = 0;
    for (double x : row)
      squares += x * x;
    double factor = 1 / std::sqrt(squares / row.size() + epsilon);
    for (double &x : row)
      x *= factor;
  });
}

void transformer::addTransformerOps(HandlerTable &table) {
  table.add<UseOp, runUse>();
  table.add<LaunchOp, runLaunch>();
  table.add<EmbeddingOp, runEmbedding>();
  table.add<LinearOp, runLinear>();
  table.add<GatedMLPOp, runGatedMLP>();
  table.add<ActivationOp, runActivation>();
  table.add<LayerNormOp, runLayerNorm>();
  table.add<RMSNormOp, runRMSNorm>();
}
