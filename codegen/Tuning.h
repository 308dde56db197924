//===- Tuning.h - lowering configs measured on a machine ------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The file that `tfopt --tune` writes and `tfopt --tuning` reads:
//
//   {"format": 1, "cpu": "znver4", "features": ["avx2", …], "dispatches": {
//     "<signature>": {"template": "contraction", "tile": [6, 64], "block": [132, 1024],
//                     "grain": 1, "name": "layer.ffn_down", "percent": 104}}}
//
// `name`, and `percent`, the time of the default config by this one's, are for people.
// What follows from the target and the options (the width of vectors, the k of a step)
// is in no file: the default's stays.
//
//===----------------------------------------------------------------------===//

#ifndef CODEGEN_TUNING_H
#define CODEGEN_TUNING_H

#include "codegen/CPU/Target.h"
#include "dialect/Transformer.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "llvm/Support/JSON.h"

#include <map>

namespace mlir::transformer {

/// Names what a dispatch computes: a hash of its types and body. Neither its own name
/// nor the model it is of matters. 32 hexadecimal digits.
std::string dispatchSignature(func::FuncOp dispatch);

/// Why `config` cannot replace `chosen` for a dispatch; empty if it can.
std::string whyNotConfig(LoweringConfigAttr config, LoweringConfigAttr chosen);

/// The members of a config that were measured.
struct TunedConfig {
  std::string templateName;
  SmallVector<int64_t> tile;  ///< rows, columns
  SmallVector<int64_t> block; ///< the first two members of a config's
  int64_t rowPanels = 0;      ///< panels of one row, the last member of a contraction's; 0 for the chosen
  int64_t keysByRows = -1;    ///< order of one position's keys, the last of an attention's; -1 for the chosen
  int64_t grain = 1;
  std::string name;   ///< of the dispatch in the model that was tuned
  double speedup = 1; ///< the time of the chosen config over this one's

  static TunedConfig of(LoweringConfigAttr config);
  /// The config it makes of the one that was chosen.
  LoweringConfigAttr over(LoweringConfigAttr chosen) const;
};

struct Tuning {
  std::string cpu;
  std::vector<std::string> features;
  std::map<std::string, TunedConfig> dispatches; ///< by signature

  static llvm::Expected<Tuning> read(StringRef path);
  llvm::json::Object toJson() const;

  /// Whether code for `target` is what was measured.
  bool isFor(const CPUTarget &target) const { return cpu == target.cpu && features == target.features; }
  /// The config of `dispatch`: the measured one, or `chosen` where there is none.
  llvm::Expected<LoweringConfigAttr> configOf(func::FuncOp dispatch, LoweringConfigAttr chosen) const;
};

} // namespace mlir::transformer

#endif // CODEGEN_TUNING_H
