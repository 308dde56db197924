//===- FuzzConfig.cpp - config.json --------------------------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The input is the config of a folder whose weights are those of the family that
// it names: a tiny model of each family is in XFM_FUZZ_MODELS. The whole import
// runs; what it accepts must verify, which the importer checks itself.
//
//===----------------------------------------------------------------------===//

#include "import/HuggingFace.h"
#include "test/fuzz/Fuzz.h"

#include "mlir/IR/MLIRContext.h"
#include "llvm/ADT/StringRef.h"
#include "llvm/Support/FileSystem.h"

using namespace mlir;
using namespace mlir::transformer;

/// Longer names first: gemma is a part of gemma2.
static const char *const families[] = {"gemma3",  "gemma2", "gemma", "gpt2",  "granite",
                                       "mistral", "phi3",   "qwen2", "qwen3", "smollm"};

/// A folder with the weights of a family, made when it is first asked for.
static fuzz::Folder &folderOf(llvm::StringRef config) {
  static std::unique_ptr<fuzz::Folder> folders[std::size(families)];
  size_t index = 0;
  while (index + 1 < std::size(families) && !config.contains(families[index]))
    ++index;
  std::unique_ptr<fuzz::Folder> &folder = folders[index];
  if (!folder) {
    folder = std::make_unique<fuzz::Folder>();
    std::string weights = std::string(XFM_FUZZ_MODELS "/") + families[index] + "/model.safetensors";
    FUZZ_CHECK(!llvm::sys::fs::create_link(weights, folder->path + "/model.safetensors"));
  }
  return *folder;
}

/// Types and attributes live as long as their context: a new one now and then.
static MLIRContext &context() {
  static std::unique_ptr<MLIRContext> context;
  static unsigned uses = 0;
  if (!context || ++uses % 256 == 0)
    context = std::make_unique<MLIRContext>(MLIRContext::Threading::DISABLED);
  return *context;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  llvm::StringRef config(reinterpret_cast<const char *>(data), size);
  fuzz::Folder &folder = folderOf(config);
  folder.write("config.json", config.str());
  ImportOptions options;
  llvm::Expected<OwningOpRef<ModuleOp>> module = importHuggingFace(context(), folder.path, options);
  if (!module) {
    std::string message = llvm::toString(module.takeError());
    fuzz::checkMessage(message, "");
    FUZZ_CHECK(!llvm::StringRef(message).contains("defect"));
  }
  return 0;
}
