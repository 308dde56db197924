//===- tf-interpret.cpp - runs entry points in the reference interpreter --===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "tools/interpret/Interpret.h"

#include "llvm/Support/CommandLine.h"
#include "llvm/Support/InitLLVM.h"
#include "llvm/Support/WithColor.h"

using namespace mlir::transformer;
namespace cl = llvm::cl;

static cl::OptionCategory category("tf-interpret");
static cl::opt<std::string> model(cl::Positional, cl::Required, cl::desc("MODEL|FILE.mlir"),
                                  cl::cat(category));
static cl::opt<std::string> entry("entry", cl::Required, cl::desc("the function to run"), cl::cat(category));
static cl::list<std::string> inputs("input", cl::desc("an input"), cl::value_desc("NAME=x.npy"),
                                    cl::cat(category));
static cl::list<std::string> outputs("output", cl::desc("where an output goes, in float64"),
                                     cl::value_desc("NAME=y.npy"), cl::cat(category));
static cl::opt<std::string> weights("weights",
                                    cl::desc("folder of an .mlir file's weights (default: its own)"),
                                    cl::value_desc("FOLDER"), cl::cat(category));
static cl::opt<std::string>
    precision("precision", cl::init("auto"), cl::cat(category),
              cl::desc("type of values fed to contractions: f32 or bf16 (default: the model's)"));
static cl::opt<Rounding>
    rounding("rounding", cl::desc("where values are rounded"), cl::init(Rounding::Ideal), cl::cat(category),
             cl::values(clEnumValN(Rounding::Ideal, "ideal", "nowhere: float64 throughout (default)"),
                        clEnumValN(Rounding::IR, "ir", "to its element type wherever an op makes a tensor")));

int main(int argc, char **argv) {
  llvm::InitLLVM init(argc, argv);
  cl::HideUnrelatedOptions(category);
  cl::ParseCommandLineOptions(
      argc, argv, "runs an entry point of a model in the reference interpreter, from empty caches\n");
  InterpretRequest request{model, entry, inputs, outputs, weights, precision, rounding};
  if (llvm::Error error = interpretModel(request)) {
    llvm::WithColor::error(llvm::errs(), "tf-interpret") << llvm::toString(std::move(error)) << '\n';
    return 1;
  }
  return 0;
}
