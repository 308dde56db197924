//===- Session.cpp - caches, buffers and calls ----------------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "runtime/Session.h"

#include <algorithm>
#include <cstring>

using namespace xfm;

/// More is a mistake in an option rather than a machine.
static constexpr int32_t mostThreads = 4096;
static constexpr int64_t defaultContext = 4096;

//===----------------------------------------------------------------------===//
// Creation
//===----------------------------------------------------------------------===//

Status Session::create(const Model &model, int32_t threads, int64_t batch, int64_t context, bool affinity,
                       std::unique_ptr<Session> &out) {
  if (!model.canRun())
    return fail(XFM_INVALID_ARGUMENT, model.path(), ": was opened to be looked at and cannot run");
  int64_t limit = model.manifest().model.maxPositions;
  if (threads < 0 || threads > mostThreads)
    return fail(XFM_INVALID_ARGUMENT, "threads is ", threads, ", but expected 0 to ", mostThreads);
  if (model.device() && (threads > 1 || affinity))
    return fail(XFM_INVALID_ARGUMENT, "threads are for the CPU, and the model runs on ",
                model.device()->name(), ": ask for 0 or 1 threads and no affinity");
  if (batch < 0 || batch > INT32_MAX || context < 0 || context > INT32_MAX)
    return fail(XFM_INVALID_ARGUMENT, "batch is ", batch, " and context ", context, ", but expected 0 to ",
                INT32_MAX);
  if (limit >= 0 && context > limit)
    return fail(XFM_INVALID_ARGUMENT, "context is ", context, ", but the model covers ", limit,
                " positions: ask for at most that, or compile it with a larger --max-positions");
  std::unique_ptr<Session> session(new Session(model));
  session->sizes.batch = batch ? batch : 1;
  session->sizes.context = context ? context : limit >= 0 ? std::min(limit, defaultContext) : defaultContext;
  if (Status status = session->allocateCaches(); !status.ok())
    return status;
  if (!session->broken.ok())
    return session->broken;
  int32_t poolThreads = model.device() ? 1 : threads ? threads : availableCores();
  if (Status status = ThreadPool::create(poolThreads, affinity, session->pool); !status.ok())
    return status;
  if (model.profiled())
    session->profile = std::make_unique<Profiler>(model.manifest(), *session->pool);
  out = std::move(session);
  return {};
}

/// All buffers of all caches are one mapping: untouched positions cost no memory.
Status Session::allocateCaches() {
  const std::vector<CacheSpec> &specs = model.manifest().caches;
  const std::vector<int64_t> values = {sizes.batch, sizes.context}; // of the symbols B and C
  Status tooLarge = fail(XFM_OUT_OF_MEMORY, "no memory for the caches of ", sizes.batch, " rows and ",
                         sizes.context, " positions: ask for a smaller batch or context");
  std::vector<int64_t> offsets;
  int64_t total = 0;
  for (const CacheSpec &spec : specs)
    for (const TensorSpec &buffer : spec.buffers) {
      std::vector<int64_t> dims;
      SlicedShape sliced;
      int64_t bytes;
      offsets.push_back(total);
      if (!resolveShape(buffer, values, dims, sliced, bytes) ||
          __builtin_add_overflow(total, bytes, &total) || !alignUp(total, total))
        return tooLarge;
    }
  if (device) {
    if (Status status = cachesOnDevice.reserve(*device, total, "the caches"); !status.ok())
      return status;
  } else if (!cacheMemory.allocate(total)) {
    return tooLarge;
  }
  char *base = device ? cachesOnDevice.data() : cacheMemory.data();
  size_t next = 0;
  for (const CacheSpec &spec : specs) {
    Cache cache;
    for (size_t i = 0; i < spec.buffers.size(); ++i)
      cache.buffers.push_back(base + offsets[next++]);
    cache.deviceLengths = static_cast<int32_t *>(cache.buffers[spec.lengthBuffer]);
    cache.lengths.assign(static_cast<size_t>(sizes.batch), 0);
    writeLengths(cache);
    caches.push_back(std::move(cache));
  }
  return {};
}

/// What the host counted, to where generated code counts.
void Session::writeLengths(const Cache &cache) {
  std::vector<int32_t> lengths(cache.lengths.begin(), cache.lengths.end());
  int64_t bytes = static_cast<int64_t>(lengths.size() * sizeof(int32_t));
  if (!device)
    std::memcpy(cache.deviceLengths, lengths.data(), static_cast<size_t>(bytes));
  else if (Status status = device->upload(cache.deviceLengths, lengths.data(), bytes); broken.ok())
    broken = status;
}

/// Keeps an error after which nobody knows what is in the device's memory.
Status Session::noteFailure(const Status &status) {
  if (status.code == XFM_DEVICE_ERROR && broken.ok())
    broken = status;
  return status;
}

void Session::reset() {
  isSampling = false;
  // Positions past the length are never read, so the data stays.
  for (Cache &cache : caches) {
    std::fill(cache.lengths.begin(), cache.lengths.end(), 0);
    writeLengths(cache);
  }
  outputCount = 0;
}

int64_t Session::length() const {
  int64_t longest = 0;
  for (const Cache &cache : caches)
    longest = std::max(longest, cache.lengths[0]);
  return longest;
}

Status Session::output(int32_t index, xfm_tensor &out) const {
  if (index < 0 || static_cast<size_t>(index) >= outputCount)
    return fail(XFM_INVALID_ARGUMENT, "there is no output ", index, ": the last call left ", outputCount);
  const Slot &slot = outputs[static_cast<size_t>(index)];
  out = {};
  out.data = slot.whole.data();
  out.dtype = slot.dtype;
  out.rank = static_cast<int32_t>(slot.dims.size());
  std::copy(slot.dims.begin(), slot.dims.end(), out.dims);
  return {};
}

//===----------------------------------------------------------------------===//
// Preparing a call
//===----------------------------------------------------------------------===//

Status Session::checkRoom(const Plan &plan) const {
  const EntryPoint &entry = *plan.entry;
  int64_t limit = model.manifest().model.maxPositions;
  if (entry.caches.empty() && plan.positionsIndex >= 0 && limit >= 0 && plan.positions > limit)
    return fail(XFM_OUT_OF_RANGE, quote(entry.name), ": ", plan.positions,
                " positions, but the model covers ", limit);
  for (size_t index : entry.caches)
    for (int64_t used : caches[index].lengths)
      if (plan.positions > sizes.context - used)
        return fail(XFM_CONTEXT_FULL, quote(entry.name), ": ", plan.positions,
                    " more positions do not fit: the cache holds ", used, " of ", sizes.context,
                    ": reset the session or create one with a larger context");
  return {};
}

/// Copies `count` positions from `begin` on out of a whole tensor into a packed
/// piece, or back. Whole: [outer, positions, inner]; piece: [outer, count, inner].
static void copyPositions(char *piece, char *whole, bool intoPiece, const SlicedShape &shape,
                          int64_t positions, int64_t begin, int64_t count) {
  size_t bytes = static_cast<size_t>(count * shape.innerBytes);
  for (int64_t row = 0; row < shape.outer; ++row) {
    char *packed = piece + row * count * shape.innerBytes;
    char *inWhole = whole + (row * positions + begin) * shape.innerBytes;
    std::memcpy(intoPiece ? packed : inWhole, intoPiece ? inWhole : packed, bytes);
  }
}

static Status noMemory(const EntryPoint &entry, const TensorSpec &spec) {
  return fail(XFM_OUT_OF_MEMORY, quote(entry.name), ": no memory for ", quote(spec.name), " ",
              shapeText(spec.dims), ": call with fewer rows or positions");
}

/// Bytes of a piece of a tensor. At most those of the whole, so they fit.
static int64_t pieceBytes(const SlicedShape &shape, int64_t positions) {
  return shape.outer * positions * shape.innerBytes;
}

/// Generated code takes aligned data of its own type; a caller's which is that
/// already is not copied.
Status Session::prepareInput(const Plan &plan, const TensorSpec &spec, const xfm_tensor &given, Slot &slot) {
  if (!resolveShape(spec, plan.sizes, slot.dims, slot.sliced, slot.bytes))
    return noMemory(*plan.entry, spec);
  slot.dtype = spec.dtype;
  slot.source = static_cast<const char *>(given.data);
  bool cut = plan.inPieces() && slot.sliced.hasPositions;
  bool aligned = reinterpret_cast<uintptr_t>(given.data) % XFM_BUFFER_ALIGNMENT == 0 && given.data;
  if (given.dtype != spec.dtype) {
    if (!slot.whole.reserve(slot.bytes))
      return noMemory(*plan.entry, spec);
    for (int64_t i = 0; i < slot.bytes / 4; ++i) {
      int64_t wide;
      std::memcpy(&wide, slot.source + i * 8, sizeof wide);
      int32_t narrow = static_cast<int32_t>(wide); // checkValues saw that it fits
      std::memcpy(slot.whole.data() + i * 4, &narrow, sizeof narrow);
    }
    slot.source = slot.whole.data();
  } else if (!cut && !aligned) {
    if (!slot.whole.reserve(slot.bytes))
      return noMemory(*plan.entry, spec);
    if (slot.bytes > 0)
      std::memcpy(slot.whole.data(), slot.source, static_cast<size_t>(slot.bytes));
    slot.source = slot.whole.data();
  }
  if (cut && !slot.piece.reserve(pieceBytes(slot.sliced, plan.chunk)))
    return noMemory(*plan.entry, spec);
  return reserveOnDevice(plan, spec, slot);
}

Status Session::reserveOnDevice(const Plan &plan, const TensorSpec &spec, Slot &slot) {
  if (!device)
    return {};
  int64_t bytes = isCut(plan, slot) ? pieceBytes(slot.sliced, plan.chunk) : slot.bytes;
  return slot.onDevice.reserve(*device, bytes, spec.name);
}

Status Session::prepareOutput(const Plan &plan, const TensorSpec &spec, Slot &slot) {
  if (!resolveShape(spec, plan.sizes, slot.dims, slot.sliced, slot.bytes) || !slot.whole.reserve(slot.bytes))
    return noMemory(*plan.entry, spec);
  slot.dtype = spec.dtype;
  bool cut = plan.inPieces() && slot.sliced.hasPositions;
  if (cut && !slot.piece.reserve(pieceBytes(slot.sliced, plan.chunk)))
    return noMemory(*plan.entry, spec);
  return reserveOnDevice(plan, spec, slot);
}

/// The last piece may be shorter than the others, and its arena is asked for as
/// well: nothing says that fewer positions need less.
Status Session::prepareArena(Plan &plan) {
  xfm_arena_fn arenaBytes = model.functions(*plan.entry).arena;
  int64_t most = 0;
  for (int64_t positions : {plan.chunk, plan.positions % plan.chunk}) {
    if (positions == 0)
      continue;
    if (plan.positionsIndex >= 0)
      plan.sizes[static_cast<size_t>(plan.positionsIndex)] = positions;
    int64_t bytes = arenaBytes(plan.sizes.data());
    if (bytes < 0)
      return fail(XFM_INTERNAL, quote(plan.entry->name), ": asks for an arena of ", bytes, " bytes");
    most = std::max(most, bytes);
  }
  usedArena = most;
  if (device)
    return arenaOnDevice.reserve(*device, most, "the activations of a call");
  if (!arena.reserve(most))
    return fail(XFM_OUT_OF_MEMORY, quote(plan.entry->name), ": no memory for an arena of ", most,
                " bytes: call with fewer rows or positions");
  return {};
}

//===----------------------------------------------------------------------===//
// Running a call
//===----------------------------------------------------------------------===//

/// Counts the positions that a piece appended, and checks that generated code
/// counted the same: a wrong length would show only as wrong numbers later.
Status Session::advance(const EntryPoint &entry, int64_t positions) {
  for (size_t index : entry.caches)
    for (int64_t &length : caches[index].lengths)
      length += positions;
  for (size_t index : entry.caches) {
    if (Status status = checkLengths(entry, index); !status.ok())
      return status;
    if (device)
      break; // all grow in one launch, and each copy is a wait
  }
  return {};
}

Status Session::checkLengths(const EntryPoint &entry, size_t index) {
  const Cache &cache = caches[index];
  const int32_t *counted = cache.deviceLengths;
  std::vector<int32_t> copied(device ? cache.lengths.size() : 0);
  if (device) {
    int64_t bytes = static_cast<int64_t>(copied.size() * sizeof(int32_t));
    if (Status status = device->download(copied.data(), cache.deviceLengths, bytes); !status.ok())
      return noteFailure(status);
    counted = copied.data();
  }
  for (size_t row = 0; row < cache.lengths.size(); ++row)
    if (counted[row] != cache.lengths[row])
      return fail(XFM_INTERNAL, quote(entry.name), ": expected row ", row, " of cache ",
                  quote(model.manifest().caches[index].name), " to hold ", cache.lengths[row],
                  " positions, but the module counted ", counted[row]);
  return {};
}

/// Takes back what a call that failed half-way had appended.
void Session::restoreLengths(const EntryPoint &entry, int64_t advanced) {
  for (size_t index : entry.caches) {
    for (int64_t &length : caches[index].lengths)
      length -= advanced;
    writeLengths(caches[index]);
  }
}

Status Session::runPiece(const Plan &plan, int64_t begin, int64_t count) {
  const EntryPoint &entry = *plan.entry;
  auto cut = [&](const Slot &slot) { return isCut(plan, slot); };
  buffers.clear();
  for (size_t i = 0; i < entry.inputs.size(); ++i) {
    Slot &slot = inputs[i];
    char *source = const_cast<char *>(slot.source); // only read, by the contract
    if (cut(slot))
      copyPositions(slot.piece.data(), source, true, slot.sliced, plan.positions, begin, count);
    char *data = cut(slot) ? slot.piece.data() : source;
    if (device) {
      int64_t bytes = cut(slot) ? pieceBytes(slot.sliced, count) : slot.bytes;
      if (Status status = device->upload(slot.onDevice.data(), data, bytes); !status.ok())
        return noteFailure(status);
      data = slot.onDevice.data();
    }
    buffers.push_back(data);
  }
  for (size_t index : entry.caches)
    buffers.insert(buffers.end(), caches[index].buffers.begin(), caches[index].buffers.end());
  for (size_t i = 0; i < entry.outputs.size(); ++i)
    buffers.push_back(device            ? outputs[i].onDevice.data()
                      : cut(outputs[i]) ? outputs[i].piece.data()
                                        : outputs[i].whole.data());

  xfm_call call = {};
  call.size = sizeof call;
  call.context = pool.get();
  if (profile) {
    int64_t before = 0;
    for (size_t index : entry.caches)
      before = std::max(before, caches[index].lengths[0]); // all rows have the same
    profile->beginPiece(entry, plan.sizes, meanKeys(before, count));
    call.context = profile.get();
  }
  call.buffers = buffers.data();
  call.sizes = plan.sizes.data();
  call.weights = model.weights();
  call.arena = device ? arenaOnDevice.data() : arena.data();
  if (device)
    return runOnDevice(plan, call, begin, count);
  int32_t code = model.functions(entry).entry(&call);
  if (profile)
    profile->endPiece();
  if (code != 0)
    return fail(XFM_INTERNAL, quote(entry.name), ": the generated code failed with code ", code);

  for (size_t i = 0; i < entry.outputs.size(); ++i)
    if (Slot &slot = outputs[i]; cut(slot))
      copyPositions(slot.piece.data(), slot.whole.data(), false, slot.sliced, plan.positions, begin, count);
  return {};
}

Status Session::runOnDevice(const Plan &plan, xfm_call &call, int64_t begin, int64_t count) {
  const EntryPoint &entry = *plan.entry;
  if (Status status = device->run(entry, model.functions(entry).entry, call, nullptr); !status.ok())
    return noteFailure(status);
  for (size_t i = 0; i < entry.outputs.size(); ++i) {
    Slot &slot = outputs[i];
    bool cut = isCut(plan, slot);
    int64_t bytes = cut ? pieceBytes(slot.sliced, count) : slot.bytes;
    char *target = cut ? slot.piece.data() : slot.whole.data();
    if (Status status = device->download(target, slot.onDevice.data(), bytes); !status.ok())
      return noteFailure(status);
    if (cut)
      copyPositions(slot.piece.data(), slot.whole.data(), false, slot.sliced, plan.positions, begin, count);
  }
  return {};
}

Status Session::runPieces(Plan &plan) {
  int64_t advanced = 0;
  for (int64_t begin = 0; begin < plan.positions; begin += plan.chunk) {
    int64_t count = std::min(plan.chunk, plan.positions - begin);
    if (plan.positionsIndex >= 0)
      plan.sizes[static_cast<size_t>(plan.positionsIndex)] = count;
    Status status = runPiece(plan, begin, count);
    if (status.ok()) {
      advanced += count;
      status = advance(*plan.entry, count);
    }
    if (!status.ok()) {
      restoreLengths(*plan.entry, advanced);
      return status;
    }
  }
  return {};
}

Status Session::call(const char *name, const xfm_tensor *given, int32_t count) {
  if (!profile)
    return run(name, given, count);
  profile->beginCall();
  Status status = run(name, given, count);
  profile->endCall(status.ok());
  return status;
}

Status Session::run(const char *name, const xfm_tensor *given, int32_t count) {
  // A device that failed may have left anything in its memory.
  if (!broken.ok())
    return broken;
  if (isSampling)
    if (Status status = stopSampling(); !status.ok())
      return status;
  const EntryPoint *entry = model.manifest().findEntryPoint(name);
  if (!entry)
    return fail(XFM_INVALID_ARGUMENT, "there is no entry point ", quote(name));
  Plan &plan = scratch;
  plan.entry = entry;
  if (Status status = bindSizes(*entry, given, count, sizes, plan.sizes); !status.ok())
    return status;
  if (Status status = checkValues(*entry, given); !status.ok())
    return status;
  plan.positionsIndex = positionsSize(*entry);
  plan.positions = plan.positionsIndex < 0 ? 1 : plan.sizes[static_cast<size_t>(plan.positionsIndex)];
  plan.chunk = plan.positions;
  if (int64_t chunk = model.manifest().model.chunk; chunk > 0 && !entry->caches.empty())
    plan.chunk = std::min(chunk, plan.positions);
  if (Status status = checkRoom(plan); !status.ok())
    return status;

  // From here on the buffers of the last call's outputs are used again.
  outputCount = 0;
  inputs.resize(std::max(inputs.size(), entry->inputs.size()));
  outputs.resize(std::max(outputs.size(), entry->outputs.size()));
  for (size_t i = 0; i < entry->inputs.size(); ++i)
    if (Status status = prepareInput(plan, entry->inputs[i], given[i], inputs[i]); !status.ok())
      return status;
  for (size_t i = 0; i < entry->outputs.size(); ++i)
    if (Status status = prepareOutput(plan, entry->outputs[i], outputs[i]); !status.ok())
      return status;
  if (Status status = prepareArena(plan); !status.ok())
    return status;
  if (Status status = runPieces(plan); !status.ok())
    return status;
  outputCount = entry->outputs.size();
  return {};
}
