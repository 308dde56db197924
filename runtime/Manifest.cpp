//===- Manifest.cpp - what an artifact says about itself ------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "runtime/Manifest.h"
#include "runtime/CpuFeatures.h"
#include "runtime/File.h"
#include "runtime/Hash.h"
#include "runtime/Json.h"
#include "runtime/xfm_abi.h"

#include <algorithm>
#include <set>

using namespace xfm;

static constexpr std::string_view trailerHead = ",\n  \"checksum\": \"";
static constexpr std::string_view trailerTail = "\"\n}\n";
static constexpr size_t digits = 16;

const EntryPoint *Manifest::findEntryPoint(std::string_view name) const {
  for (const EntryPoint &entry : entryPoints)
    if (entry.name == name)
      return &entry;
  return nullptr;
}

const FileSpec *Manifest::findFile(std::string_view name) const {
  for (const FileSpec &file : files)
    if (file.name == name)
      return &file;
  return nullptr;
}

static Status checkTrailer(std::string_view text, const std::string &path) {
  constexpr size_t length = trailerHead.size() + digits + trailerTail.size();
  Status damaged =
      fail(XFM_CORRUPT, path, ": does not end with its checksum, so it is cut off, edited or no ",
           "manifest: compile the model again");
  if (text.size() < length)
    return damaged;
  std::string_view body = text.substr(0, text.size() - length);
  std::string_view trailer = text.substr(body.size());
  uint64_t expected;
  if (trailer.substr(0, trailerHead.size()) != trailerHead ||
      trailer.substr(trailerHead.size() + digits) != trailerTail ||
      !parseHexDigits(trailer.substr(trailerHead.size(), digits), expected))
    return damaged;
  uint64_t actual = hashBytes(body.data(), body.size());
  if (actual != expected)
    return fail(XFM_CORRUPT, path, ": checksum is ", hexDigits(actual), ", but the file says ",
                hexDigits(expected), ": it is damaged, copy or compile the artifact again");
  return {};
}

static Status checkVersions(const JsonReader &root, const Status &read, const std::string &path) {
  std::string format = root.member("format").text();
  if (read.ok() && format != "xfm-artifact")
    return fail(XFM_VERSION_MISMATCH, path, ": format is ", quote(format), ", but expected 'xfm-artifact'");
  int64_t version = root.member("format_version").integer(0, INT32_MAX);
  if (read.ok() && version != formatVersion)
    return fail(XFM_VERSION_MISMATCH, path, ": format_version is ", version, ", but this runtime reads ",
                formatVersion, ": compile the model again with the compiler of this runtime");
  int64_t abi = root.member("abi_version").integer(0, INT32_MAX);
  if (read.ok() && abi != XFM_ABI_VERSION)
    return fail(XFM_VERSION_MISMATCH, path, ": abi_version is ", abi, ", but this runtime has ",
                XFM_ABI_VERSION, ": compile the model again with the compiler of this runtime");
  return read;
}

//===----------------------------------------------------------------------===//
// Structure
//===----------------------------------------------------------------------===//

static bool isIdentifier(std::string_view text) {
  auto letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; };
  if (text.empty() || text.size() > 255 || !letter(text[0]))
    return false;
  return std::all_of(text.begin(), text.end(), [&](char c) { return letter(c) || (c >= '0' && c <= '9'); });
}

/// A name that is an identifier in C: of a symbol in module.so or of a size.
static std::string readIdentifier(const JsonReader &value) {
  std::string text = value.text();
  if (!value.failed() && !isIdentifier(text))
    value.fail("expected an identifier, but got ", quote(text));
  return text;
}

/// A name that none of `known` has yet.
static std::string readUniqueName(const JsonReader &value, std::set<std::string> &known) {
  std::string text = value.text();
  if (!value.failed() && !known.insert(text).second)
    value.fail("name ", quote(text), " is given twice");
  return text;
}

/// `sizes` are the symbols that may stand in the shape.
static std::vector<Dim> readShape(const JsonReader &shape, const std::vector<std::string> &sizes,
                                  int64_t elementBytes) {
  if (shape.size() > XFM_MAX_RANK)
    shape.fail("expected at most ", XFM_MAX_RANK, " dimensions, but got ", shape.size());
  std::vector<Dim> dims;
  std::vector<int64_t> fixed;
  shape.forEachElement([&](const JsonReader &value) {
    Dim dim;
    if (value.isString()) {
      dim.symbol = value.text();
      auto found = std::find(sizes.begin(), sizes.end(), dim.symbol);
      if (found == sizes.end())
        value.fail("expected a number or one of the sizes, but got ", quote(dim.symbol));
      dim.size = static_cast<int32_t>(found - sizes.begin());
    } else {
      dim.extent = value.integer(0, INT64_MAX);
      fixed.push_back(dim.extent);
    }
    dims.push_back(std::move(dim));
  });
  int64_t bytes;
  if (!shape.failed() && !byteSize(fixed.data(), fixed.size(), elementBytes, bytes))
    shape.fail("the tensor is larger than any memory");
  return dims;
}

static xfm_dtype readDtype(const JsonReader &value) {
  std::string name = value.text();
  std::optional<xfm_dtype> dtype = dtypeByName(name);
  if (!dtype && !value.failed())
    value.fail("expected one of f32, f16, bf16, i32, i64, i8, but got ", quote(name));
  return dtype.value_or(XFM_F32);
}

/// `nameMember` is "name" for tensors of entry points and "part" for buffers.
static TensorSpec readTensor(const JsonReader &value, const char *nameMember,
                             const std::vector<std::string> &sizes, std::set<std::string> &names) {
  TensorSpec tensor;
  tensor.name = readUniqueName(value.member(nameMember), names);
  tensor.dtype = readDtype(value.member("dtype"));
  tensor.dims = readShape(value.member("shape"), sizes, static_cast<int64_t>(xfm_dtype_size(tensor.dtype)));
  if (JsonReader range = value.optionalMember("range")) {
    if (range.size() != 2)
      range.fail("expected [begin, end)");
    if (!isInteger(tensor.dtype))
      range.fail("expected an integer type, but got ", xfm_dtype_name(tensor.dtype));
    ValueRange values{range.element(0).integer(INT64_MIN, INT64_MAX),
                      range.element(1).integer(INT64_MIN, INT64_MAX)};
    if (!range.failed() && values.begin >= values.end)
      range.fail("expected begin < end, but got ", values.begin, " and ", values.end);
    tensor.range = values;
  }
  return tensor;
}

/// A ring writes position p to slot p mod capacity. The first query of a piece of
/// `chunk` positions still sees `window` - 1 others while the last one is already
/// written, so fewer slots would overwrite what is yet to be read.
static void checkRing(const JsonReader &value, const CacheSpec &cache, int64_t chunk) {
  int64_t capacity = -1;
  for (const TensorSpec &buffer : cache.buffers) {
    if (buffer.name == "length")
      continue;
    // [B, heads, capacity, head_dim]
    bool known = buffer.dims.size() == 4 && buffer.dims[0].symbol == "B";
    for (size_t i = 1; known && i < buffer.dims.size(); ++i)
      known = buffer.dims[i].symbol.empty();
    if (!known)
      return value.fail("expected the part ", quote(buffer.name),
                        " of a ring to be [B, heads, capacity, head_dim] in numbers, but got ",
                        shapeText(buffer.dims));
    int64_t slots = buffer.dims[2].extent;
    if (capacity >= 0 && slots != capacity)
      return value.fail("expected all parts of a ring to have one capacity, but got ", capacity, " and ",
                        slots);
    capacity = slots;
  }
  if (capacity < 0)
    return value.fail("expected a ring to have keys and values");
  if (chunk < 1)
    return value.fail("a ring needs the model's chunk, which bounds its pieces");
  if (capacity < cache.window || capacity - cache.window < chunk - 1)
    value.fail("expected a ring of window ", cache.window, " and chunk ", chunk, " to have a capacity of ",
               cache.window + chunk - 1, " or more, but got ", capacity);
}

static CacheSpec readCache(const JsonReader &value, int64_t chunk, std::set<std::string> &names) {
  CacheSpec cache;
  cache.name = readUniqueName(value.member("name"), names);
  // A policy decides what the room in a cache is; one that is not known cannot
  // be checked against it.
  JsonReader policy = value.member("policy");
  std::string text = policy.text();
  bool ring = text == "ring";
  if (!policy.failed() && text != "full" && !ring)
    policy.fail("expected 'full' or 'ring', the policies of this runtime, but got ", quote(text));
  if (ring)
    cache.window = value.member("window").integer(1, INT32_MAX);
  std::set<std::string> parts;
  value.member("buffers").forEachElement([&](const JsonReader &buffer) {
    cache.buffers.push_back(readTensor(buffer, "part", {"B", "C"}, parts));
    const TensorSpec &spec = cache.buffers.back();
    if (spec.name != "length" || buffer.failed())
      return;
    if (spec.dtype != XFM_I32 || spec.dims.size() != 1 || spec.dims[0].symbol != "B")
      buffer.fail("expected the part 'length' to be i32 [B], but got ", xfm_dtype_name(spec.dtype), " ",
                  shapeText(spec.dims));
    cache.lengthBuffer = cache.buffers.size() - 1;
  });
  if (!value.failed() && !parts.count("length"))
    value.fail("expected a buffer with the part 'length'");
  if (ring && !value.failed())
    checkRing(value, cache, chunk);
  return cache;
}

/// Every size must follow from what a call is given.
static void checkSizesBound(const JsonReader &value, const EntryPoint &entry) {
  std::set<std::string> bound = {"C"};
  if (!entry.caches.empty())
    bound.insert("B");
  for (const TensorSpec &input : entry.inputs)
    for (const Dim &dim : input.dims)
      bound.insert(dim.symbol);
  for (const std::string &size : entry.sizes)
    if (!bound.count(size))
      value.fail("size ", quote(size), " is in no input's shape");
}

/// A tensor of an entry point with caches is cut along its one dimension S.
static void checkOneS(const JsonReader &value, const std::vector<TensorSpec> &tensors) {
  for (const TensorSpec &tensor : tensors)
    if (std::count_if(tensor.dims.begin(), tensor.dims.end(), [](const Dim &d) { return d.symbol == "S"; }) >
        1)
      value.fail("tensor ", quote(tensor.name), " has S twice, which an entry point with caches cannot have");
}

static Dispatch readDispatch(const JsonReader &value, const std::vector<std::string> &sizes) {
  Dispatch dispatch;
  dispatch.name = value.member("name").text();
  dispatch.count = value.member("count").integer(0, INT32_MAX);
  if (JsonReader flops = value.optionalMember("flops"))
    dispatch.flops = readTerms(flops, "coefficient", sizes, true);
  if (JsonReader bytes = value.optionalMember("bytes"))
    dispatch.bytes = readTerms(bytes, "coefficient", sizes, true);
  return dispatch;
}

static EntryPoint readEntryPoint(const JsonReader &value, const std::vector<CacheSpec> &caches,
                                 std::set<std::string> &names) {
  EntryPoint entry;
  entry.name = readUniqueName(value.member("name"), names);
  entry.symbol = readIdentifier(value.member("symbol"));
  entry.arenaSymbol = readIdentifier(value.member("arena_symbol"));
  std::set<std::string> sizes;
  value.member("sizes").forEachElement([&](const JsonReader &size) {
    readIdentifier(size);
    entry.sizes.push_back(readUniqueName(size, sizes));
  });
  std::set<std::string> used;
  value.member("caches").forEachElement([&](const JsonReader &cache) {
    std::string name = readUniqueName(cache, used);
    auto found =
        std::find_if(caches.begin(), caches.end(), [&](const CacheSpec &spec) { return spec.name == name; });
    if (found == caches.end())
      cache.fail("there is no cache ", quote(name));
    entry.caches.push_back(static_cast<size_t>(found - caches.begin()));
  });
  std::set<std::string> inputs, outputs;
  value.member("inputs").forEachElement([&](const JsonReader &input) {
    entry.inputs.push_back(readTensor(input, "name", entry.sizes, inputs));
  });
  value.member("outputs").forEachElement([&](const JsonReader &output) {
    entry.outputs.push_back(readTensor(output, "name", entry.sizes, outputs));
  });
  if (JsonReader dispatches = value.optionalMember("dispatches"))
    dispatches.forEachElement(
        [&](const JsonReader &dispatch) { entry.dispatches.push_back(readDispatch(dispatch, entry.sizes)); });
  if (JsonReader arena = value.optionalMember("arena"))
    entry.arena = readTerms(arena, "bytes", entry.sizes, false);
  if (value.failed())
    return entry;
  entry.bufferCount = entry.inputs.size() + entry.outputs.size();
  for (size_t cache : entry.caches)
    entry.bufferCount += caches[cache].buffers.size();
  checkSizesBound(value, entry);
  if (!entry.caches.empty()) {
    checkOneS(value, entry.inputs);
    checkOneS(value, entry.outputs);
  }
  return entry;
}

static WeightSpec readWeight(const JsonReader &value, std::set<std::string> &names) {
  WeightSpec weight;
  weight.name = readUniqueName(value.member("name"), names);
  weight.format = value.member("format").text();
  for (const Dim &dim : readShape(value.member("shape"), {}, 1))
    weight.shape.push_back(dim.extent);
  weight.bytes = value.member("bytes").integer(0, INT64_MAX);
  return weight;
}

/// A plain name, or one in the folder of kernels.
static bool isArtifactName(std::string_view name) {
  constexpr std::string_view folder = "kernels/";
  return isPlainName(name.substr(0, folder.size()) == folder ? name.substr(folder.size()) : name);
}

static FileSpec readFile(const JsonReader &value, std::set<std::string> &names) {
  FileSpec file;
  JsonReader name = value.member("name");
  file.name = readUniqueName(name, names);
  if (!name.failed() && !isArtifactName(file.name))
    name.fail("expected the plain name of a file inside the artifact, but got ", quote(file.name));
  file.bytes = value.member("bytes").integer(0, INT64_MAX);
  JsonReader hash = value.member("xxh3");
  if (std::string text = hash.text(); !hash.failed() && !parseHexDigits(text, file.hash))
    hash.fail("expected 16 lower-case hex digits, but got ", quote(text));
  return file;
}

static ModelFacts readModel(const JsonReader &value) {
  ModelFacts facts;
  auto read = [&](const char *name, int64_t least, int64_t &out) {
    if (JsonReader member = value.optionalMember(name))
      out = member.integer(least, INT32_MAX);
  };
  read("vocab_size", 1, facts.vocabSize);
  read("max_positions", 1, facts.maxPositions);
  read("chunk", 1, facts.chunk);
  read("bos_token_id", 0, facts.bosTokenId);
  if (JsonReader ids = value.optionalMember("eos_token_ids"))
    ids.forEachElement([&](const JsonReader &id) { facts.eosTokenIds.push_back(id.integer(0, INT32_MAX)); });
  return facts;
}

static Target readTarget(const JsonReader &value) {
  Target target;
  target.device = value.member("device").text();
  target.triple = value.member("triple").text();
  value.member("features").forEachElement([&](const JsonReader &feature) {
    target.features.push_back(feature.text());
  });
  if (JsonReader archs = value.optionalMember("archs"))
    archs.forEachElement([&](const JsonReader &arch) { target.archs.push_back(arch.text()); });
  return target;
}

/// The target's architectures are those that there are kernels for.
static void checkArchs(const JsonReader &value, const Manifest &manifest) {
  for (const std::string &arch : manifest.target.archs)
    if (std::none_of(manifest.kernels.begin(), manifest.kernels.end(),
                     [&](const KernelSet &set) { return set.arch == arch; }))
      value.fail("there are no kernels for ", quote(arch));
  for (const KernelSet &set : manifest.kernels)
    if (std::find(manifest.target.archs.begin(), manifest.target.archs.end(), set.arch) ==
        manifest.target.archs.end())
      value.fail("there are kernels for ", quote(set.arch), ", which is not listed");
}

/// The step must be one that the kernel fits to: what it draws is the step's only input.
static SamplingSpec readSampling(const JsonReader &value, const Manifest &manifest) {
  constexpr int64_t words = 11; // of the arguments that xfm_abi.h lists
  SamplingSpec sampling;
  sampling.kernel = value.member("kernel").integer(0, INT32_MAX);
  sampling.entry = value.member("entry").text();
  sampling.logits = value.member("logits").text();
  sampling.vocabulary = value.member("vocabulary").integer(1, INT32_MAX);
  if (value.failed())
    return sampling;
  const std::vector<KernelSpec> &table = manifest.kernels[0].table;
  if (static_cast<size_t>(sampling.kernel) >= table.size())
    value.fail("there is no kernel ", sampling.kernel, ": there are ", table.size());
  else if (const KernelSpec &kernel = table[static_cast<size_t>(sampling.kernel)];
           kernel.words != words || kernel.tile.size() != 1)
    value.fail("expected a kernel of ", words, " words and 1 dimension, but got ", kernel.words, " and ",
               kernel.tile.size());
  const EntryPoint *entry = manifest.findEntryPoint(sampling.entry);
  if (value.failed())
    return sampling;
  if (!entry)
    return value.fail("there is no entry point ", quote(sampling.entry)), sampling;
  auto isOfRows = [](const TensorSpec &tensor, xfm_dtype dtype, int64_t columns) {
    return tensor.dtype == dtype && tensor.dims.size() == 2 && tensor.dims[0].symbol == "B" &&
           tensor.dims[1].symbol.empty() && tensor.dims[1].extent == columns;
  };
  if (entry->caches.empty() || entry->inputs.size() != 1 || !isOfRows(entry->inputs[0], XFM_I32, 1))
    value.fail(quote(entry->name), " is no step: expected caches and one input, i32 [B, 1]");
  else if (std::none_of(entry->outputs.begin(), entry->outputs.end(), [&](const TensorSpec &output) {
             return output.name == sampling.logits && isOfRows(output, XFM_F32, sampling.vocabulary);
           }))
    value.fail(quote(entry->name), " has no output ", quote(sampling.logits), ", f32 [B, ",
               sampling.vocabulary, "]");
  return sampling;
}

static void readStructure(const JsonReader &root, Manifest &out) {
  std::set<std::string> caches, entries, weights, files;
  out.model = readModel(root.member("model"));
  root.member("caches").forEachElement(
      [&](const JsonReader &value) { out.caches.push_back(readCache(value, out.model.chunk, caches)); });
  root.member("entry_points").forEachElement([&](const JsonReader &value) {
    out.entryPoints.push_back(readEntryPoint(value, out.caches, entries));
  });
  root.member("weights").forEachElement(
      [&](const JsonReader &value) { out.weights.push_back(readWeight(value, weights)); });
  if (JsonReader stored = root.optionalMember("weights_stored"))
    out.weightsStored = stored.boolean();
  if (out.target.isGPU())
    out.kernels = readKernels(root.member("kernels"));
  if (JsonReader sampling = root.optionalMember("sampling"); sampling && out.target.isGPU() && !root.failed())
    out.sampling = readSampling(sampling, out);
  root.member("files").forEachElement(
      [&](const JsonReader &value) { out.files.push_back(readFile(value, files)); });
  if (!root.failed() && !out.findFile("module.so"))
    root.fail("files do not list 'module.so'");
  if (!root.failed() && out.target.isGPU())
    checkArchs(root.member("target").member("archs"), out);
  for (const KernelSet &set : out.kernels)
    for (const std::string &name : {set.ptx, set.cubin})
      if (!root.failed() && !name.empty() && !out.findFile(name))
        root.fail("there are kernels in ", quote(name), ", but files do not list it");
  if (!root.failed() && out.weightsStored && !out.weights.empty() && !out.findFile("weights.safetensors"))
    root.fail("there are weights, but files do not list 'weights.safetensors'");
}

Status xfm::parseManifest(std::string_view text, const std::string &path, Manifest &out) {
  if (Status status = checkTrailer(text, path); !status.ok())
    return status;
  JsonDocument document;
  if (Status status = document.parse(text, path); !status.ok())
    return status;
  Status read;
  JsonReader root = document.root(read);
  if (Status status = checkVersions(root, read, path); !status.ok())
    return status;
  out.target = readTarget(root.member("target"));
  if (!read.ok())
    return read;
  if (Status status = checkTarget(out.target, path); !status.ok())
    return status;
  readStructure(root, out);
  out.text = text;
  return read;
}
