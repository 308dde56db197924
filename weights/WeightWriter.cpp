//===- WeightWriter.cpp - evaluates weights into a file -------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "weights/WeightWriter.h"
#include "weights/Error.h"

#include "llvm/ADT/StringSet.h"
#include "llvm/Support/Endian.h"
#include "llvm/Support/Errno.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/JSON.h"

#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <csignal>
#include <fcntl.h>
#include <thread>
#include <unistd.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

using namespace llvm;

namespace mlir::transformer {

static constexpr uint64_t alignment = 64;

/// Larger tensors whose rows can be computed by themselves are computed in pieces of about this size.
static constexpr uint64_t pieceBytes = uint64_t(32) << 20;

//===----------------------------------------------------------------------===//
// Layout
//===----------------------------------------------------------------------===//

namespace {
/// A tensor of the file that is written.
struct Item {
  StringRef symbol;
  RankedTensorType type;
  Dtype dtype;
  uint64_t bytes;
  uint64_t padding; // bytes after it, up to the next multiple of the alignment
  uint64_t memory;
};

/// A tensor, or rows of one, which one thread evaluates.
struct Piece {
  const Item *item;
  int64_t begin, end; // rows; [0, -1) for all of a tensor that is evaluated whole
  uint64_t memory;
  bool isLast; // of its tensor
};
} // namespace

static Expected<std::vector<Item>> layOut(const WeightEvaluator &evaluator, ArrayRef<StringRef> symbols) {
  std::vector<Item> items;
  for (StringRef symbol : symbols) {
    if (symbol.starts_with("__"))
      return makeError("weight @" + symbol + ": names that start with \"__\" are the file's own; rename it");
    RankedTensorType type = evaluator.typeOf(symbol);
    Dtype dtype = *dtypeFromType(type.getElementType());
    uint64_t bytes = *byteSize(type.getShape(), dtype);
    items.push_back(
        {symbol, type, dtype, bytes, offsetToAlignment(bytes, Align(alignment)), evaluator.memoryOf(symbol)});
  }
  return items;
}

static std::vector<Piece> divide(WeightEvaluator &evaluator, ArrayRef<Item> items) {
  std::vector<Piece> pieces;
  for (const Item &item : items) {
    if (item.bytes <= pieceBytes || !evaluator.evaluatesByRows(item.symbol)) {
      pieces.push_back({&item, 0, -1, item.memory, true});
      continue;
    }
    int64_t rows = item.type.getDimSize(0);
    int64_t step = std::max<int64_t>(1, pieceBytes / (item.bytes / rows));
    for (int64_t begin = 0; begin < rows; begin += step) {
      int64_t end = std::min(begin + step, rows);
      uint64_t memory = static_cast<uint64_t>(static_cast<double>(item.memory) * (end - begin) / rows) + 1;
      pieces.push_back({&item, begin, end, memory, end == rows});
    }
  }
  return pieces;
}

static json::Object headerEntry(StringRef dtype, ArrayRef<int64_t> shape, uint64_t begin, uint64_t end) {
  return json::Object{
      {"dtype", dtype}, {"shape", json::Array(shape)}, {"data_offsets", json::Array{begin, end}}};
}

/// The length and the JSON, padded with spaces so that the data starts aligned.
/// The format has no holes: what fills the gaps are tensors `__pad.N`.
static std::string buildHeader(ArrayRef<Item> items) {
  std::string header(8, '\0');
  raw_string_ostream os(header);
  json::OStream json(os);
  uint64_t offset = 0;
  size_t pads = 0;
  auto add = [&](StringRef name, StringRef dtype, ArrayRef<int64_t> shape, uint64_t bytes) {
    json.attribute(name, headerEntry(dtype, shape, offset, offset + bytes));
    offset += bytes;
  };
  json.object([&] {
    for (const Item &item : items) {
      add(item.symbol, dtypeName(item.dtype), item.type.getShape(), item.bytes);
      if (item.padding != 0)
        add(("__pad." + Twine(pads++)).str(), "U8", {static_cast<int64_t>(item.padding)}, item.padding);
    }
  });
  json.flush();
  header.append(offsetToAlignment(header.size(), Align(alignment)), ' ');
  support::endian::write64le(header.data(), header.size() - 8);
  return header;
}

//===----------------------------------------------------------------------===//
// Output
//===----------------------------------------------------------------------===//

namespace {
/// While it lives, going over the limit of a file's size is an error of write
/// and no signal that ends the process.
class FileSizeSignalBlock {
public:
  FileSizeSignalBlock() {
    sigemptyset(&set);
    sigaddset(&set, SIGXFSZ);
    pthread_sigmask(SIG_BLOCK, &set, &previous);
  }
  ~FileSizeSignalBlock() {
    if (sigismember(&previous, SIGXFSZ))
      return;
    timespec now{0, 0}; // take the signal that may be pending, then unblock it
    while (sigtimedwait(&set, nullptr, &now) == SIGXFSZ)
      ;
    pthread_sigmask(SIG_SETMASK, &previous, nullptr);
  }

private:
  sigset_t set, previous;
};

/// The file under its temporary name, hashed on the way.
class Output {
public:
  static Expected<std::unique_ptr<Output>> create(StringRef path, uint64_t bytes) {
    Expected<sys::fs::TempFile> file = sys::fs::TempFile::create(path + ".%%%%%%%%.tmp");
    if (!file)
      return makeError(path + ": cannot be written: " + toString(file.takeError()));
    std::unique_ptr<Output> output(new Output(path, std::move(*file)));
    // Asks for all the room now, so that a full disk shows before the work. Not
    // every file system can.
    if (fallocate(output->file.FD, 0, 0, static_cast<off_t>(bytes)) != 0 &&
        (errno == ENOSPC || errno == EFBIG))
      return output->failure();
    return output;
  }

  ~Output() {
    if (!isKept)
      consumeError(file.discard());
  }

  Error write(ArrayRef<char> data) {
    XXH3_64bits_update(&state, data.data(), data.size());
    bytes += data.size();
    while (!data.empty()) {
      ssize_t count = ::write(file.FD, data.data(), data.size());
      if (count < 0 && errno == EINTR)
        continue;
      if (count < 0)
        return failure();
      data = data.drop_front(count);
    }
    return Error::success();
  }

  Error keep(WriteResult &outResult) {
    isKept = true;
    if (Error error = file.keep(path))
      return makeError(Twine(path) + ": cannot be written: " + toString(std::move(error)));
    outResult = {bytes, XXH3_64bits_digest(&state)};
    return Error::success();
  }

private:
  Output(StringRef path, sys::fs::TempFile file) : path(path.str()), file(std::move(file)) {
    XXH3_64bits_reset(&state);
  }
  Error failure() const {
    int code = errno;
    return makeError(
        Twine(path) + ": cannot be written: " + sys::StrError(code) +
        (code == ENOSPC || code == EFBIG || code == EDQUOT ? "; make room or write elsewhere" : ""));
  }

  std::string path;
  sys::fs::TempFile file;
  bool isKept = false;
  uint64_t bytes = 0;
  XXH3_state_t state;
};
} // namespace

//===----------------------------------------------------------------------===//
// Pipeline
//===----------------------------------------------------------------------===//

namespace {
/// Evaluates pieces on threads, in order, as far ahead of the reader as the
/// bytes in flight allow. They are admitted in the order in which they are
/// taken, so the oldest one always proceeds.
class Pipeline {
public:
  Pipeline(WeightEvaluator &evaluator, ArrayRef<Piece> pieces, unsigned threads, uint64_t maxBytes)
      : evaluator(evaluator), pieces(pieces), maxBytes(maxBytes), results(pieces.size()) {
    for (unsigned i = 0; i < threads; ++i)
      workers.emplace_back([this] { work(); });
  }

  ~Pipeline() {
    {
      std::lock_guard<std::mutex> lock(mutex);
      isStopped = true;
    }
    changed.notify_all();
    for (std::thread &worker : workers)
      worker.join();
    for (std::optional<Expected<HostTensor>> &result : results)
      if (result && !*result)
        consumeError(result->takeError());
  }

  Expected<HostTensor> take(size_t index) {
    std::unique_lock<std::mutex> lock(mutex);
    changed.wait(lock, [&] { return results[index].has_value(); });
    Expected<HostTensor> result = std::move(*results[index]);
    results[index].reset();
    return result;
  }

  /// The tensor is written and its memory free.
  void finish(size_t index) {
    {
      std::lock_guard<std::mutex> lock(mutex);
      bytesInFlight -= pieces[index].memory;
    }
    changed.notify_all();
  }

private:
  bool admitsNext() const {
    return bytesInFlight == 0 || pieces[next].memory == 0 ||
           (bytesInFlight < maxBytes && pieces[next].memory <= maxBytes - bytesInFlight);
  }

  void work() {
    std::unique_lock<std::mutex> lock(mutex);
    while (true) {
      changed.wait(lock, [&] { return isStopped || next == pieces.size() || admitsNext(); });
      if (isStopped || next == pieces.size())
        return;
      size_t index = next++;
      const Piece &piece = pieces[index];
      bytesInFlight += piece.memory;
      lock.unlock();
      Expected<HostTensor> result = piece.end < 0
                                        ? evaluator.evaluate(piece.item->symbol)
                                        : evaluator.evaluateRows(piece.item->symbol, piece.begin, piece.end);
      lock.lock();
      results[index].emplace(std::move(result));
      changed.notify_all();
    }
  }

  WeightEvaluator &evaluator;
  ArrayRef<Piece> pieces;
  const uint64_t maxBytes;

  std::mutex mutex; // guards what follows
  std::condition_variable changed;
  std::vector<std::optional<Expected<HostTensor>>> results;
  size_t next = 0;
  uint64_t bytesInFlight = 0;
  bool isStopped = false;

  std::vector<std::thread> workers;
};

/// Calls the progress function now and then.
class ProgressMeter {
public:
  ProgressMeter(const WriteProgressFn &report, uint64_t total) : report(report), total(total) {}

  void advance(StringRef tensor, uint64_t bytes) {
    done += bytes;
    if (!report)
      return;
    Clock::time_point now = Clock::now();
    if (done != total && now - last < std::chrono::milliseconds(100))
      return;
    last = now;
    double seconds = std::max(1e-9, std::chrono::duration<double>(now - start).count());
    double rate = static_cast<double>(done) / seconds;
    report({tensor, done, total, rate / 1e6, static_cast<double>(total - done) / std::max(rate, 1.0)});
  }

private:
  using Clock = std::chrono::steady_clock;
  const WriteProgressFn &report;
  const uint64_t total;
  uint64_t done = 0;
  const Clock::time_point start = Clock::now();
  Clock::time_point last = start - std::chrono::hours(1);
};
} // namespace

//===----------------------------------------------------------------------===//
// writeWeights
//===----------------------------------------------------------------------===//

/// Writes one tensor in pieces, letting go of mapped pages behind it: the
/// process never holds more than a piece of a tensor that is only copied.
static Error writeTensor(Output &output, const HostTensor &tensor, StringRef name, ProgressMeter &progress) {
  constexpr size_t piece = size_t(8) << 20;
  for (size_t begin = 0; begin < tensor.data.size(); begin += piece) {
    ArrayRef<char> part = tensor.data.slice(begin, std::min(piece, tensor.data.size() - begin));
    if (Error error = output.write(part))
      return error;
    if (tensor.isBorrowed())
      WeightStore::release(part);
    progress.advance(name, part.size());
  }
  return Error::success();
}

Error writeWeights(ModuleOp module, ArrayRef<StringRef> symbols, WeightStore &store, StringRef path,
                   const WriteOptions &options, WriteResult &outResult) {
  StringSet<> seen;
  SmallVector<StringRef> unique;
  for (StringRef symbol : symbols)
    if (seen.insert(symbol).second)
      unique.push_back(symbol);
  Expected<std::unique_ptr<WeightEvaluator>> evaluator =
      WeightEvaluator::create(module, unique, store, options.cache);
  if (!evaluator)
    return evaluator.takeError();
  Expected<std::vector<Item>> items = layOut(**evaluator, unique);
  if (!items)
    return items.takeError();

  std::string header = buildHeader(*items);
  uint64_t dataBytes = 0, fileBytes = header.size();
  for (const Item &item : *items) {
    dataBytes += item.bytes;
    fileBytes = SaturatingAdd(fileBytes, item.bytes + item.padding);
  }
  FileSizeSignalBlock block;
  Expected<std::unique_ptr<Output>> output = Output::create(path, fileBytes);
  if (!output)
    return output.takeError();
  if (Error error = (*output)->write(header))
    return error;

  unsigned threads = options.threads ? options.threads : std::max(1u, std::thread::hardware_concurrency());
  std::vector<Piece> pieces = divide(**evaluator, *items);
  threads = static_cast<unsigned>(std::min<size_t>(threads, pieces.size()));
  Pipeline pipeline(**evaluator, pieces, threads, options.maxBytesInFlight);
  ProgressMeter progress(options.progress, dataBytes);
  static constexpr char zeros[alignment] = {};
  for (auto [index, piece] : enumerate(pieces)) {
    Expected<HostTensor> tensor = pipeline.take(index);
    if (!tensor)
      return tensor.takeError();
    if (Error error = writeTensor(**output, *tensor, piece.item->symbol, progress))
      return error;
    if (piece.isLast)
      if (Error error = (*output)->write(ArrayRef(zeros, piece.item->padding)))
        return error;
    tensor->owner.reset();
    pipeline.finish(index);
  }
  return (*output)->keep(outResult);
}

SmallVector<StringRef> usedWeights(ModuleOp module) {
  StringSet<> used;
  module.walk([&](UseOp use) { used.insert(use.getWeight()); });
  SmallVector<StringRef> symbols;
  for (Operation &op : *module.getBody())
    if (isa<WeightOp, DeriveOp>(op) && used.contains(SymbolTable::getSymbolName(&op).getValue()))
      symbols.push_back(SymbolTable::getSymbolName(&op).getValue());
  return symbols;
}

WriteProgressFn terminalProgress() {
  if (!isatty(STDERR_FILENO))
    return nullptr;
  return [](const WriteProgress &p) {
    double percent = p.bytesTotal == 0 ? 100.0 : 100.0 * static_cast<double>(p.bytesDone) / p.bytesTotal;
    // The name comes last and is cut, so that the line never wraps.
    errs() << formatv("\r\x1b[Kweights {0,3:f0}% of {1:f1} MB, {2:f0} MB/s, {3:f0} s left  {4}", percent,
                      static_cast<double>(p.bytesTotal) / 1e6, p.megabytesPerSecond, p.secondsLeft,
                      p.tensor.take_back(30));
    if (p.bytesDone == p.bytesTotal)
      errs() << "\r\x1b[K";
  };
}

} // namespace mlir::transformer
