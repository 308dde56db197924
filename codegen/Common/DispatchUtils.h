//===- DispatchUtils.h - conventions between the passes of codegen --------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The attributes by which the passes of code generation speak to each other:
//
//   transformer.dispatch  on a function: it is an outlined dispatch
//   transformer.config    on a dispatch: its #transformer.lowering_config
//   transformer.grid      on a dispatch: its number of tasks (GridDim per factor)
//   transformer.inplace   on a dispatch: inputs whose place the result may take
//   transformer.flops, transformer.bytes  on a dispatch: the work of a launch, by
//                         its arguments; on a bufferized launch, by symbolic sizes
//   transformer.label     on a launch: the name it has in profiles
//   transformer.entry     on a bufferized entry function: its facts for the manifest
//   transformer.number    on the declaration of a GPU kernel: its row in the table of kernels
//   transformer.arena     on an entry function: its memory plan, a section each
//
//===----------------------------------------------------------------------===//

#ifndef CODEGEN_COMMON_DISPATCHUTILS_H
#define CODEGEN_COMMON_DISPATCHUTILS_H

#include "dialect/Transformer.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"

namespace mlir::transformer {

constexpr StringLiteral kDispatchAttr = "transformer.dispatch";
constexpr StringLiteral kConfigAttr = "transformer.config";
constexpr StringLiteral kGridAttr = "transformer.grid";
constexpr StringLiteral kInPlaceAttr = "transformer.inplace";
constexpr StringLiteral kFlopsAttr = "transformer.flops";
constexpr StringLiteral kBytesAttr = "transformer.bytes";
constexpr StringLiteral kLabelAttr = "transformer.label";
constexpr StringLiteral kEntryAttr = "transformer.entry";
constexpr StringLiteral kKernelNumberAttr = "transformer.number";
constexpr StringLiteral kArenaAttr = "transformer.arena";

inline void markDispatch(func::FuncOp func) {
  func->setAttr(kDispatchAttr, UnitAttr::get(func.getContext()));
}
inline bool isDispatch(func::FuncOp func) { return func->hasAttr(kDispatchAttr); }
/// Entry points are the public functions with a body.
inline bool isEntry(func::FuncOp func) { return func.isPublic() && !func.isExternal() && !isDispatch(func); }

inline void setLabel(LaunchOp launch, StringRef label) {
  launch->setAttr(kLabelAttr, StringAttr::get(launch.getContext(), label));
}
inline StringRef getLabel(LaunchOp launch) {
  auto label = launch->getAttrOfType<StringAttr>(kLabelAttr);
  return label ? label.getValue() : launch.getKernel();
}

inline LoweringConfigAttr getConfig(func::FuncOp dispatch) {
  return dispatch->getAttrOfType<LoweringConfigAttr>(kConfigAttr);
}

/// Into how many ranges the config of a decoding attention splits the keys, and how many
/// keys a range has at least.
struct AttentionSplits {
  int64_t count = 1, keys = 0;
};
inline AttentionSplits splitsOf(LoweringConfigAttr config) {
  if (config.getTemplateName() != "attention" || config.getBlock().size() < 6)
    return {};
  return {config.getBlock()[4], config.getBlock()[5]};
}

/// One factor of a dispatch's number of tasks: the product of `count` dimensions
/// from `dim` on of kernel argument `argument`, divided by `tile` and rounded up.
struct GridDim {
  int64_t argument;
  int64_t dim;
  int64_t tile;
  int64_t count = 1;
};

inline void setGrid(func::FuncOp kernel, ArrayRef<GridDim> grid) {
  SmallVector<int64_t> flat;
  for (const GridDim &g : grid)
    flat.append({g.argument, g.dim, g.tile, g.count});
  kernel->setAttr(kGridAttr, DenseI64ArrayAttr::get(kernel.getContext(), flat));
}

inline SmallVector<GridDim> getGrid(func::FuncOp kernel) {
  SmallVector<GridDim> grid;
  ArrayRef<int64_t> flat = kernel->getAttrOfType<DenseI64ArrayAttr>(kGridAttr).asArrayRef();
  for (size_t i = 0; i < flat.size(); i += 4)
    grid.push_back({flat[i], flat[i + 1], flat[i + 2], flat[i + 3]});
  return grid;
}

} // namespace mlir::transformer

#endif // CODEGEN_COMMON_DISPATCHUTILS_H
