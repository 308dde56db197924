//===- FewRows.cpp - which products have few rows -----------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "codegen/GPU/FewRows.h"

#include "codegen/GPU/ContractionKernel.h"

#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
using namespace mlir::transformer;

std::optional<int64_t> mlir::transformer::rowsOf(RankedTensorType input) {
  int64_t rows = 1;
  for (int64_t size : input.getShape().drop_back()) {
    if (ShapedType::isDynamic(size))
      return std::nullopt;
    rows *= size;
  }
  return rows;
}

bool mlir::transformer::hasRowOfEachSequence(Value tensor) {
  auto empty = tensor.getDefiningOp<tensor::EmptyOp>();
  if (!empty || empty.getDynamicSizes().empty() || !empty.getType().isDynamicDim(0))
    return false;
  auto dim = empty.getDynamicSizes().front().getDefiningOp<tensor::DimOp>();
  if (!dim || dim.getConstantIndex() != 0)
    return false;
  auto source = cast<RankedTensorType>(dim.getSource().getType());
  return source.getRank() > 1 && source.getDimSize(1) == 1;
}

StringRef mlir::transformer::fewRowsTemplateOf(const Projection &projection, bool isRowOfEach) {
  constexpr int64_t mostOnTensorCores = 16;
  auto input = cast<RankedTensorType>(projection.input->get().getType());
  bool suitsSkinny = suitsTensorCores(projection, /*tf32=*/false) && hasWholeChunks(projection);
  bool isStep = isRowOfEach || input.getRank() < 2 || input.getDimSize(input.getRank() - 2) == 1;
  std::optional<int64_t> rows = rowsOf(input);
  // One position of each sequence, however many there are, is a kernel with code for one row beside.
  if (suitsSkinny && (rows ? *rows > 1 && *rows <= mostOnTensorCores : isStep))
    return "skinny_gemm";
  if (isStep && !(suitsSkinny && rows && *rows > 1))
    return "gemv";
  return "";
}
