//===- Artifact.h - writes an artifact folder -----------------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef CODEGEN_ARTIFACT_H
#define CODEGEN_ARTIFACT_H

#include "codegen/Compile.h"
#include "codegen/RemoveOnSignal.h"

#include "mlir/IR/BuiltinOps.h"
#include "llvm/ADT/StringRef.h"

namespace mlir::transformer {

/// A folder in the making, beside the place it will have. Nothing is to be seen
/// under that name before commit(); without commit() nothing is left behind, also
/// when the process is interrupted.
class ArtifactWriter {
public:
  /// Refuses a place where there is something other than an artifact.
  static llvm::Expected<std::unique_ptr<ArtifactWriter>> create(llvm::StringRef path);
  ~ArtifactWriter();

  /// The path of a file of the folder.
  std::string pathOf(llvm::StringRef name) const;
  /// For a file that others write: its folder may be one in the artifact's.
  llvm::Error createFolderOf(llvm::StringRef name);
  /// Records a file for the manifest; hashes it unless its hash is known.
  llvm::Error addFile(llvm::StringRef name);
  void addFile(llvm::StringRef name, uint64_t bytes, uint64_t hash);
  /// Writes and adds a file; `name` may be in a folder of the artifact.
  llvm::Error writeFile(llvm::StringRef name, llvm::StringRef contents);
  /// Copies a file into the folder if it exists.
  llvm::Error copyIfPresent(llvm::StringRef source, llvm::StringRef name);
  /// Writes the manifest and puts the folder in its place.
  llvm::Error commit(llvm::json::Object manifest);

private:
  ArtifactWriter(std::string path, std::string temporary)
      : path(std::move(path)), temporary(std::move(temporary)), removeOnSignal(this->temporary) {}

  struct File {
    std::string name;
    uint64_t bytes, hash;
  };
  std::string path, temporary;
  std::vector<File> files;
  bool created = false, committed = false;
  RemoveOnSignal removeOnSignal;
};

/// The manifest of a module whose launches have been lowered (runtime/README.md
/// states its form); `files` and `checksum` are added by ArtifactWriter.
llvm::json::Object buildManifest(ModuleOp module, const CPUTarget &target, const LoweringOptions &options,
                                 uint64_t sourceHash);

} // namespace mlir::transformer

#endif // CODEGEN_ARTIFACT_H
