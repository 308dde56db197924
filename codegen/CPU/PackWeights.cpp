//===- PackWeights.cpp - weights in the order kernels read them -----------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// launch @d ins(use @w : tensor<NxKxf32>)
//   -> launch @d ins(use @w.packed_64x1 : tensor<NxKxf32, #transformer.packed<64 x 1>>)
//
// Runs after select-strategy, whose configs say the layout, and before kernels are
// emitted, which read it off the argument's type.
//
//===----------------------------------------------------------------------===//

#include "codegen/CPU/IntegerProducts.h"
#include "codegen/Common/DispatchUtils.h"
#include "codegen/Common/Projection.h"
#include "codegen/Passes.h"

#define DEBUG_TYPE "transformer-pack-weights"

namespace mlir::transformer {
#define GEN_PASS_DEF_PACKWEIGHTSPASS
#include "codegen/Passes.h.inc"
} // namespace mlir::transformer

using namespace mlir;
using namespace mlir::transformer;

namespace {

struct PackWeights : transformer::impl::PackWeightsPassBase<PackWeights> {
  void runOnOperation() override {
    DenseMap<Attribute, SmallVector<LaunchOp>> launches;
    getOperation().walk(
        [&](LaunchOp launch) { launches[launch.getKernelAttr().getLeafReference()].push_back(launch); });
    SymbolTable symbols(getOperation());
    for (func::FuncOp func : getOperation().getOps<func::FuncOp>()) {
      LoweringConfigAttr config = getConfig(func);
      if (!isDispatch(func) || !config || config.getTemplateName() != "contraction")
        continue;
      for (Projection &root : projectionsOf(func))
        if (failed(pack(func, cast<BlockArgument>(root.weight->get()), config,
                        launches[func.getSymNameAttr()], symbols)))
          return signalPassFailure();
    }
  }

  LogicalResult pack(func::FuncOp func, BlockArgument argument, LoweringConfigAttr config,
                     ArrayRef<LaunchOp> callers, SymbolTable &symbols) {
    auto type = cast<RankedTensorType>(argument.getType());
    if (PackedAttr::of(type))
      return success(); // two projections of one weight
    auto encoding = PackedAttr::get(&getContext(), config.getTile()[1], config.getBlock()[2],
                                    biasOf(type.getElementType(), config));
    auto packed = RankedTensorType::get(type.getShape(), type.getElementType(), encoding);
    unsigned number = argument.getArgNumber();
    for (LaunchOp launch : callers) {
      auto use = launch.getInputs()[number].getDefiningOp<UseOp>();
      if (!use)
        return launch.emitOpError("expected operand ")
               << number << " to be a weight: the template contraction reads packed ones alone";
      OpBuilder b(launch);
      FlatSymbolRefAttr symbol = packedWeight(use, packed, encoding, symbols);
      launch.getInputsMutable()[number].set(UseOp::create(b, use.getLoc(), packed, symbol));
    }
    argument.setType(packed);
    SmallVector<Type> types(func.getArgumentTypes());
    types[number] = packed;
    func.setType(FunctionType::get(&getContext(), types, func.getResultTypes()));
    return success();
  }

  /// The derived weight that `use` reads in the order of `encoding`.
  FlatSymbolRefAttr packedWeight(UseOp use, RankedTensorType type, PackedAttr encoding,
                                 SymbolTable &symbols) {
    std::string name =
        (use.getWeight() + ".packed_" + Twine(encoding.getColumns()) + "x" + Twine(encoding.getDepth()))
            .str();
    Operation *source = symbols.lookup(use.getWeight());
    if (!symbols.lookup(name)) {
      OpBuilder b(&getContext());
      b.setInsertionPointAfter(source);
      auto derive = DeriveOp::create(b, source->getLoc(), name, DeriveKind::Pack,
                                     b.getArrayAttr(use.getWeightAttr()), type);
      symbols.insert(derive, Block::iterator(derive->getNextNode()));
    }
    return FlatSymbolRefAttr::get(&getContext(), name);
  }
};

} // namespace
