//===- Artifact.cpp - writes an artifact folder ---------------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "llvm/Support/JSON.h"

#include "codegen/Artifact.h"
#include "codegen/Common/DispatchUtils.h"
#include "codegen/Common/EntryInfo.h"
#include "dialect/KernelTypes.h"
#include "runtime/xfm_abi.h"

#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "llvm/ADT/StringSet.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/Process.h"
#include "llvm/Support/Signals.h"
#include "llvm/Support/xxhash.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/syscall.h>
#include <unistd.h>

using namespace mlir;
using namespace mlir::transformer;
namespace fs = llvm::sys::fs;
namespace json = llvm::json;

static llvm::Error makeError(const llvm::Twine &message) {
  return llvm::createStringError(llvm::inconvertibleErrorCode(), message);
}

//===----------------------------------------------------------------------===//
// The folder
//===----------------------------------------------------------------------===//

/// Every file an artifact may hold; removal touches no others.
static const llvm::StringLiteral kArtifactFiles[] = {"manifest.json",  "module.so",
                                                     "module.so.o",    "weights.safetensors",
                                                     "tokenizer.json", "tokenizer_config.json"};

/// The folder of a GPU artifact's kernels, and what may be in it.
static const llvm::StringLiteral kKernelFolder = "kernels";
static bool isKernelFile(llvm::StringRef path) { return path.ends_with(".ptx") || path.ends_with(".cubin"); }

/// Removes the files of an artifact and its folder, and nothing else.
static void removeArtifact(llvm::StringRef folder) {
  // Temporary files of the writers carry the final name as prefix.
  std::error_code code;
  std::vector<std::string> entries;
  for (fs::directory_iterator it(folder, code), end; it != end && !code; it.increment(code))
    entries.push_back(it->path());
  for (const std::string &entry : entries) {
    llvm::StringRef name = llvm::sys::path::filename(entry);
    if (llvm::any_of(kArtifactFiles, [&](llvm::StringRef known) { return name.starts_with(known); }))
      fs::remove(entry);
  }
  std::string kernels = (folder + "/" + kKernelFolder).str();
  for (fs::directory_iterator it(kernels, code), end; it != end && !code; it.increment(code))
    if (isKernelFile(it->path()))
      fs::remove(it->path());
  fs::remove(kernels);
  fs::remove(folder);
}

/// Whether the folder holds the manifest of an artifact and nothing strange.
static bool isArtifact(llvm::StringRef folder) {
  llvm::SmallString<128> manifest(folder);
  llvm::sys::path::append(manifest, "manifest.json");
  llvm::ErrorOr<std::unique_ptr<llvm::MemoryBuffer>> text = llvm::MemoryBuffer::getFile(manifest);
  if (!text || !(*text)->getBuffer().contains("\"xfm-artifact\""))
    return false;
  std::error_code code;
  for (fs::directory_iterator it(folder, code), end; it != end && !code; it.increment(code))
    if (llvm::StringRef name = llvm::sys::path::filename(it->path());
        !llvm::is_contained(kArtifactFiles, name) && name != kKernelFolder)
      return false;
  if (code)
    return false;
  std::string kernels = (folder + "/" + kKernelFolder).str();
  if (!fs::exists(kernels))
    return true;
  for (fs::directory_iterator it(kernels, code), end; it != end && !code; it.increment(code))
    if (!isKernelFile(it->path()))
      return false;
  return !code;
}

llvm::Expected<std::unique_ptr<ArtifactWriter>> ArtifactWriter::create(llvm::StringRef given) {
  llvm::StringRef path = given.rtrim('/');
  if (path.empty())
    return makeError("expected the path of an artifact after -o, e.g. -o model.tfa");
  if (fs::exists(path) && !isArtifact(path))
    return makeError(path + " exists and is no artifact; it is not replaced, choose another path");
  llvm::StringRef parent = llvm::sys::path::parent_path(path);
  if (!parent.empty() && !fs::is_directory(parent))
    return makeError("the folder " + parent + " does not exist; create it first");
  // Random rather than the process's number: that comes again, and what a killed process left does not.
  llvm::SmallString<128> temporary;
  fs::createUniquePath(path + ".partial-%%%%%%%%", temporary, /*MakeAbsolute=*/false);
  std::unique_ptr<ArtifactWriter> writer(new ArtifactWriter(path.str(), temporary.str().str()));
  if (std::error_code code = fs::create_directory(temporary, /*IgnoreExisting=*/false))
    return makeError("cannot create " + temporary + ": " + code.message());
  writer->created = true;
  return writer;
}

ArtifactWriter::~ArtifactWriter() {
  if (created && !committed)
    removeArtifact(temporary);
}

std::string ArtifactWriter::pathOf(llvm::StringRef name) const { return temporary + "/" + name.str(); }

void ArtifactWriter::addFile(llvm::StringRef name, uint64_t bytes, uint64_t hash) {
  files.push_back({name.str(), bytes, hash});
}

llvm::Error ArtifactWriter::addFile(llvm::StringRef name) {
  llvm::ErrorOr<std::unique_ptr<llvm::MemoryBuffer>> data =
      llvm::MemoryBuffer::getFile(pathOf(name), /*IsText=*/false, /*RequiresNullTerminator=*/false);
  if (!data)
    return makeError("cannot read back " + pathOf(name) + ": " + data.getError().message());
  llvm::StringRef bytes = (*data)->getBuffer();
  addFile(name, bytes.size(), llvm::xxh3_64bits(bytes));
  return llvm::Error::success();
}

llvm::Error ArtifactWriter::createFolderOf(llvm::StringRef name) {
  std::error_code code = fs::create_directories(llvm::sys::path::parent_path(pathOf(name)));
  return code ? makeError("cannot create the folder of " + pathOf(name) + ": " + code.message())
              : llvm::Error::success();
}

llvm::Error ArtifactWriter::writeFile(llvm::StringRef name, llvm::StringRef contents) {
  if (llvm::Error error = createFolderOf(name))
    return error;
  std::error_code code;
  llvm::raw_fd_ostream stream(pathOf(name), code);
  if (!code) {
    stream << contents;
    stream.close();
    code = stream.error();
    stream.clear_error();
  }
  if (code)
    return makeError("cannot write " + pathOf(name) + ": " + code.message());
  addFile(name, contents.size(), llvm::xxh3_64bits(contents));
  return llvm::Error::success();
}

llvm::Error ArtifactWriter::copyIfPresent(llvm::StringRef source, llvm::StringRef name) {
  if (!fs::exists(source))
    return llvm::Error::success();
  if (std::error_code code = fs::copy_file(source, pathOf(name)))
    return makeError("cannot copy " + source + ": " + code.message());
  return addFile(name);
}

static std::string hex(uint64_t value) { return llvm::formatv("{0:x-16}", value); }

/// Exchanges two folders in one step where the file system can.
static bool exchangeFolders(llvm::StringRef a, llvm::StringRef b) {
#ifdef SYS_renameat2
  return syscall(SYS_renameat2, AT_FDCWD, a.str().c_str(), AT_FDCWD, b.str().c_str(), RENAME_EXCHANGE) == 0;
#else
  return false;
#endif
}

llvm::Error ArtifactWriter::commit(json::Object manifest) {
  json::Array list;
  for (const File &file : files)
    list.push_back(
        json::Object{{"name", file.name}, {"bytes", int64_t(file.bytes)}, {"xxh3", hex(file.hash)}});
  manifest["files"] = std::move(list);
  std::string text;
  llvm::raw_string_ostream(text) << llvm::formatv("{0:2}", json::Value(std::move(manifest)));
  // The checksum is the last member and covers every byte before it.
  text = llvm::StringRef(text).rtrim().drop_back().rtrim().str();
  text += ",\n  \"checksum\": \"" + hex(llvm::xxh3_64bits(text)) + "\"\n}\n";
  {
    std::error_code code;
    llvm::raw_fd_ostream stream(pathOf("manifest.json"), code);
    if (!code) {
      stream << text;
      stream.close();
      code = stream.error();
      stream.clear_error();
    }
    if (code)
      return makeError("cannot write " + pathOf("manifest.json") + ": " + code.message());
  }
  if (fs::exists(path)) {
    if (!isArtifact(path))
      return makeError(path + " exists and is no artifact; it is not replaced");
    if (!exchangeFolders(temporary, path))
      removeArtifact(path);
    else {
      committed = true;
      removeArtifact(temporary);
      return llvm::Error::success();
    }
  }
  if (std::error_code code = fs::rename(temporary, path))
    return makeError("cannot rename " + temporary + " to " + path + ": " + code.message());
  committed = true;
  return llvm::Error::success();
}

//===----------------------------------------------------------------------===//
// The manifest
//===----------------------------------------------------------------------===//

static std::string typeName(Type type) {
  std::string text;
  llvm::raw_string_ostream(text) << type;
  return text;
}

static json::Value shapeOf(const EntryValue &value) {
  json::Array shape;
  auto type = cast<RankedTensorType>(value.type);
  for (int64_t i = 0; i < type.getRank(); ++i)
    shape.push_back(type.isDynamicDim(i) ? json::Value(value.dims[i]) : json::Value(type.getDimSize(i)));
  return shape;
}

static json::Object tensorOf(const EntryValue &value) {
  json::Object tensor{{"name", value.name},
                      {"dtype", typeName(cast<RankedTensorType>(value.type).getElementType())},
                      {"shape", shapeOf(value)}};
  if (value.range)
    tensor["range"] = json::Array{value.range->first, value.range->second};
  return tensor;
}

static json::Object cacheOf(const EntryValue &value, int64_t chunk) {
  auto type = cast<KVCacheType>(value.type);
  bool ring = type.getPolicy() == CachePolicy::Ring;
  json::Value capacity = ring ? json::Value(ringCapacity(type, chunk)) : json::Value("C");
  json::Array data{"B", type.getHeads(), capacity, type.getHeadDim()}, buffers;
  for (const char *part : {"keys", "values"})
    buffers.push_back(
        json::Object{{"part", part}, {"dtype", typeName(type.getElement())}, {"shape", json::Array(data)}});
  buffers.push_back(json::Object{{"part", "length"}, {"dtype", "i32"}, {"shape", json::Array{"B"}}});
  json::Object cache{{"name", value.name},
                     {"policy", stringifyCachePolicy(type.getPolicy()).str()},
                     {"buffers", std::move(buffers)}};
  if (ring)
    cache["window"] = type.getWindow();
  return cache;
}

/// An attribute of dictionaries, lists, strings and integers as JSON.
static json::Value toJson(Attribute attr) {
  if (auto text = dyn_cast<StringAttr>(attr))
    return text.str();
  if (auto number = dyn_cast<IntegerAttr>(attr))
    return number.getInt();
  if (auto numbers = dyn_cast<DenseI64ArrayAttr>(attr))
    return json::Array(numbers.asArrayRef());
  if (auto list = dyn_cast<ArrayAttr>(attr)) {
    json::Array array;
    for (Attribute element : list)
      array.push_back(toJson(element));
    return array;
  }
  json::Object object;
  for (NamedAttribute member : cast<DictionaryAttr>(attr))
    object[member.getName().getValue()] = toJson(member.getValue());
  return object;
}

static json::Object entryOf(LLVM::LLVMFuncOp func, int64_t chunk, json::Array &caches,
                            llvm::StringSet<> &knownCaches) {
  EntryInfo info = EntryInfo::fromAttribute(func->getAttrOfType<DictionaryAttr>(kEntryAttr));
  json::Array inputs, outputs, cacheNames;
  for (const EntryValue &value : info.arguments) {
    if (!isa<KVCacheType>(value.type)) {
      inputs.push_back(tensorOf(value));
      continue;
    }
    cacheNames.push_back(value.name);
    if (knownCaches.insert(value.name).second)
      caches.push_back(cacheOf(value, chunk));
  }
  for (const EntryValue &value : info.results)
    if (!isa<KVCacheType>(value.type))
      outputs.push_back(tensorOf(value));
  json::Array sizes;
  for (const std::string &size : info.sizes)
    sizes.push_back(size);
  return json::Object{{"name", info.name},
                      {"symbol", "xfm_entry_" + info.name},
                      {"arena_symbol", "xfm_arena_" + info.name},
                      {"sizes", std::move(sizes)},
                      {"inputs", std::move(inputs)},
                      {"caches", std::move(cacheNames)},
                      {"outputs", std::move(outputs)},
                      {"arena", toJson(func->getAttr(kArenaAttr))},
                      {"dispatches", toJson(func->getAttr(kDispatchesAttr))}};
}

/// The facts of the model that its importer left on the module.
static json::Object modelOf(ModuleOp module, const LoweringOptions &options, uint64_t sourceHash) {
  json::Object model;
  if (auto facts = module->getAttrOfType<DictionaryAttr>(kModelAttr))
    for (NamedAttribute fact : facts)
      model[fact.getName().getValue()] = toJson(fact.getValue());
  model["chunk"] = options.chunk;
  model["deterministic"] = options.deterministic;
  model["source_hash"] = hex(sourceHash);
  return model;
}

json::Object mlir::transformer::buildManifest(ModuleOp module, const CPUTarget &target,
                                              const LoweringOptions &options, uint64_t sourceHash) {
  json::Array entries, caches, weights, features;
  llvm::StringSet<> knownCaches;
  for (auto func : module.getOps<LLVM::LLVMFuncOp>())
    if (func->hasAttr(kEntryAttr))
      entries.push_back(entryOf(func, options.chunk, caches, knownCaches));
  SymbolTable symbols(module);
  if (auto used = module->getAttrOfType<ArrayAttr>(kWeightsAttr))
    for (auto symbol : used.getAsRange<FlatSymbolRefAttr>()) {
      Operation *op = symbols.lookup(symbol.getValue());
      auto type = storedType(cast<RankedTensorType>(op->getAttrOfType<TypeAttr>("type").getValue()));
      int64_t bytes = type.getNumElements() * type.getElementTypeBitWidth() / 8;
      weights.push_back(json::Object{{"name", symbol.getValue().str()},
                                     {"format", typeName(type.getElementType())},
                                     {"shape", json::Array(type.getShape())},
                                     {"bytes", bytes}});
    }
  for (const std::string &feature : target.features)
    features.push_back(feature);
  json::Object device{{"device", options.gpuArchs.empty() ? "cpu" : "cuda"},
                      {"triple", target.triple},
                      {"cpu", target.cpu},
                      {"features", std::move(features)}};
  if (!options.gpuArchs.empty())
    device["archs"] = json::Array(options.gpuArchs);
  return json::Object{
      {"format", "xfm-artifact"},
      {"format_version", 1},
      {"abi_version", XFM_ABI_VERSION},
      {"compiler", json::Object{{"name", "tfopt"}, {"version", XFM_VERSION}}},
      {"target", std::move(device)},
      {"model", modelOf(module, options, sourceHash)},
      {"entry_points", std::move(entries)},
      {"caches", std::move(caches)},
      {"weights", std::move(weights)},
  };
}
