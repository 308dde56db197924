//===- ReduceLayers.h - the same model with fewer layers ------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef TOOLS_VERIFY_REDUCELAYERS_H
#define TOOLS_VERIFY_REDUCELAYERS_H

#include "mlir/IR/BuiltinOps.h"

namespace mlir::transformer {

/// Takes all layers from number `keep` on out of the module's functions: what the
/// last layer gave to the rest comes from layer `keep` - 1, caches of the others
/// pass through. Layers are told apart by the names in locations
/// ("layers.3.attn_q"). Returns whether anything was taken out; a function whose
/// layers hand on more than one value stays whole.
bool reduceLayers(ModuleOp module, int64_t keep);

/// Drops the weights that no function reads.
void dropUnreadWeights(ModuleOp module);

} // namespace mlir::transformer

#endif // TOOLS_VERIFY_REDUCELAYERS_H
