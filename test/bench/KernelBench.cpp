//===- KernelBench.cpp - generated kernels beside libraries and limits ----===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Compiles small modules in process, calls them through the runtime, and measures
// them beside OpenBLAS and oneDNN (where they were found) and the machine's own
// limits. Random data everywhere. `kernel_ratios.py` runs it interleaved and prints
// the ratios.
//
//===----------------------------------------------------------------------===//

#include "test/bench/Limits.h"

#include "codegen/Compile.h"
#include "runtime/xfm.h"
#include "tools/driver/Driver.h"

#include "mlir/Parser/Parser.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/raw_ostream.h"

#include <benchmark/benchmark.h>

#ifdef XFM_HAVE_OPENBLAS
#include <cblas.h>
extern "C" void openblas_set_num_threads(int);
#endif
#ifdef XFM_HAVE_DNNL
#include <oneapi/dnnl/dnnl.hpp>
extern "C" void omp_set_num_threads(int);
#endif

#include <map>
#include <random>

using namespace mlir;
using namespace mlir::transformer;

namespace {

[[noreturn]] void die(const llvm::Twine &message) {
  llvm::errs() << "kernel-bench: error: " << message << '\n';
  exit(1);
}

//===----------------------------------------------------------------------===//
// Data
//===----------------------------------------------------------------------===//

/// Random values of a type, as bytes.
std::vector<char> randomBytes(size_t count, bool isBF16, unsigned seed) {
  std::mt19937 random(seed);
  std::uniform_real_distribution<float> uniform(-1, 1);
  std::vector<char> bytes(count * (isBF16 ? 2 : 4));
  // A block repeated: the values do not matter, only that they are none of the easy ones.
  std::vector<float> block(1 << 16);
  for (float &value : block)
    value = uniform(random);
  for (size_t i = 0; i < count; ++i) {
    float value = block[(i * 7919) & 0xffff];
    uint32_t bits;
    memcpy(&bits, &value, 4);
    uint16_t high = static_cast<uint16_t>(bits >> 16);
    memcpy(bytes.data() + i * (isBF16 ? 2 : 4), isBF16 ? static_cast<void *>(&high) : &value, isBF16 ? 2 : 4);
  }
  return bytes;
}

/// Random integers from -most - 1 to `most`, a byte each.
std::vector<char> randomIntegers(size_t count, int64_t most, unsigned seed) {
  std::mt19937 random(seed);
  std::vector<char> bytes(count);
  for (char &value : bytes)
    value = static_cast<char>(static_cast<int64_t>(random() % (2 * most + 2)) - most - 1);
  return bytes;
}

struct Weight {
  std::string name;
  int64_t rows, columns;
  int64_t most = 0; ///< the largest value of integers, 0 for floats
};

void writeWeights(llvm::StringRef path, llvm::ArrayRef<Weight> weights, bool isBF16) {
  std::error_code code;
  llvm::raw_fd_ostream file(path, code);
  if (code)
    die(path + ": " + code.message());
  std::string header = "{";
  size_t offset = 0;
  for (const Weight &weight : weights) {
    size_t bytes = weight.rows * weight.columns * (weight.most ? 1 : isBF16 ? 2 : 4);
    header += llvm::formatv(R"({0}"{1}":{{"dtype":"{2}","shape":[{3},{4}],"data_offsets":[{5},{6}]})",
                            header.size() > 1 ? "," : "", weight.name,
                            weight.most ? "I8"
                            : isBF16    ? "BF16"
                                        : "F32",
                            weight.rows, weight.columns, offset, offset + bytes)
                  .str();
    offset += bytes;
  }
  header += "}";
  header.append((8 - header.size() % 8) % 8, ' ');
  uint64_t size = header.size();
  file.write(reinterpret_cast<char *>(&size), 8);
  file << header;
  for (size_t i = 0; i < weights.size(); ++i) {
    size_t count = weights[i].rows * weights[i].columns;
    unsigned seed = static_cast<unsigned>(i);
    std::vector<char> bytes =
        weights[i].most ? randomIntegers(count, weights[i].most, seed) : randomBytes(count, isBF16, seed);
    file.write(bytes.data(), bytes.size());
  }
}

//===----------------------------------------------------------------------===//
// Compiled modules
//===----------------------------------------------------------------------===//

/// A module, compiled and open, with a session for each number of threads.
class Compiled {
public:
  Compiled(const std::string &text, llvm::ArrayRef<Weight> weights, bool isBF16) {
    DialectRegistry registry;
    registerAll(registry);
    MLIRContext context(registry);
    llvm::SmallString<128> folder;
    if (llvm::sys::fs::createUniqueDirectory("xfm-bench", folder))
      die("no temporary folder");
    writeWeights((folder + "/model.safetensors").str(), weights, isBF16);
    OwningOpRef<ModuleOp> module = parseSourceString<ModuleOp>(text, &context);
    if (!module)
      die("a benchmark's module does not parse");
    CompileOptions options;
    options.chunk = 16384;
    options.progress = false;
    std::string path = (folder + "/bench.tfa").str();
    if (llvm::Error error = compileToArtifact(*module, folder, path, options))
      die(llvm::toString(std::move(error)));
    if (xfm_model_open(path.c_str(), nullptr, &model) != XFM_OK)
      die(xfm_last_error());
    llvm::sys::fs::remove_directories(folder);
  }

  xfm_session *session(int threads, int64_t context = 0) {
    xfm_session *&place = sessions[threads];
    if (place)
      return place;
    xfm_session_options options = {};
    options.size = sizeof options;
    options.threads = threads;
    options.context = context;
    if (xfm_session_create(model, &options, &place) != XFM_OK)
      die(xfm_last_error());
    return place;
  }

private:
  xfm_model *model = nullptr;
  std::map<int, xfm_session *> sessions;
};

void call(xfm_session *session, const char *entry, llvm::ArrayRef<xfm_tensor> inputs) {
  if (xfm_session_call(session, entry, inputs.data(), static_cast<int32_t>(inputs.size())) != XFM_OK)
    die(xfm_last_error());
}

xfm_tensor tensorOf(const std::vector<char> &data, bool isBF16, llvm::ArrayRef<int64_t> shape) {
  xfm_tensor tensor = {};
  tensor.data = data.data();
  tensor.dtype = isBF16 ? XFM_BF16 : XFM_F32;
  tensor.rank = static_cast<int32_t>(shape.size());
  llvm::copy(shape, tensor.dims);
  return tensor;
}

template <typename... Ts> std::string text(const char *format, Ts... values) {
  return llvm::formatv(format, values...).str();
}

/// A module held for the whole run, made at its first use.
Compiled &compiled(const std::string &key, llvm::function_ref<Compiled *()> make) {
  static std::map<std::string, std::unique_ptr<Compiled>> all;
  std::unique_ptr<Compiled> &place = all[key];
  if (!place)
    place.reset(make());
  return *place;
}

//===----------------------------------------------------------------------===//
// Products
//===----------------------------------------------------------------------===//

struct Shape {
  int64_t m, k, n;
};
const Shape kShapes[] = {{1024, 1024, 1024}, {128, 768, 3072}, {128, 3072, 768}, {512, 2048, 5632}};

void setFlops(benchmark::State &state, double flops) {
  state.counters["GFLOP/s"] = benchmark::Counter(flops / 1e9, benchmark::Counter::kIsIterationInvariantRate);
}

void ours(benchmark::State &state, Shape s, bool isBF16, bool isDynamic, int threads) {
  const char *type = isBF16 ? "bf16" : "f32";
  std::string rows = isDynamic ? "?" : std::to_string(s.m);
  Compiled &module = compiled(text("{0}x{1}x{2}{3}{4}", s.m, s.k, s.n, type, rows), [&] {
    return new Compiled(text(R"(transformer.weight @w : tensor<{0}x{1}x{2}> from "model.safetensors"
func.func @run(%x: tensor<{3}x{1}x{2}> {{transformer.dims = ["{4}", ""]}) -> (tensor<{3}x{0}xf32> {{transformer.dims = ["{4}", ""]}) {{
  %w = transformer.use @w : tensor<{0}x{1}x{2}>
  %y = transformer.linear %x, %w : tensor<{3}x{1}x{2}>, tensor<{0}x{1}x{2}> -> tensor<{3}x{0}xf32>
  return %y : tensor<{3}x{0}xf32>
})",
                             s.n, s.k, type, rows, isDynamic ? "S" : ""),
                        {{"w", s.n, s.k}}, isBF16);
  });
  std::vector<char> x = randomBytes(s.m * s.k, isBF16, 9);
  xfm_tensor input = tensorOf(x, isBF16, {s.m, s.k});
  xfm_session *session = module.session(threads);
  call(session, "run", input);
  for (auto _ : state)
    call(session, "run", input);
  setFlops(state, 2.0 * s.m * s.k * s.n);
}

#ifdef XFM_HAVE_OPENBLAS
void openblas(benchmark::State &state, Shape s, int threads) {
  openblas_set_num_threads(threads);
  std::vector<char> a = randomBytes(s.m * s.k, false, 1), b = randomBytes(s.k * s.n, false, 2);
  std::vector<float> c(s.m * s.n);
  for (auto _ : state)
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, s.m, s.n, s.k, 1.0F,
                reinterpret_cast<float *>(a.data()), s.k, reinterpret_cast<float *>(b.data()), s.n, 0.0F,
                c.data(), s.n);
  setFlops(state, 2.0 * s.m * s.k * s.n);
}
#endif

#ifdef XFM_HAVE_DNNL
/// Weights `w` in the layout that the library asks for, as ours are packed.
void onednn(benchmark::State &state, Shape s, dnnl::memory::data_type type, dnnl::memory::data_type sums,
            std::vector<char> x, std::vector<char> w, int threads) {
  using namespace dnnl;
  omp_set_num_threads(threads);
  static engine cpu(engine::kind::cpu, 0);
  stream queue(cpu);
  memory::desc a({s.m, s.k}, type, memory::format_tag::ab), any({s.k, s.n}, type, memory::format_tag::any),
      plain({s.k, s.n}, type, memory::format_tag::ab), c({s.m, s.n}, sums, memory::format_tag::ab);
  matmul::primitive_desc description(matmul::desc(a, any, c), cpu, /*allow_empty=*/true);
  if (!description)
    return state.SkipWithError("oneDNN has no product of this type for this CPU");
  memory ma(a, cpu, x.data()), mp(plain, cpu, w.data()), mw(description.weights_desc(), cpu), mc(c, cpu);
  reorder(mp, mw).execute(queue, mp, mw);
  matmul product(description);
  std::unordered_map<int, memory> arguments{{DNNL_ARG_SRC, ma}, {DNNL_ARG_WEIGHTS, mw}, {DNNL_ARG_DST, mc}};
  product.execute(queue, arguments);
  queue.wait();
  for (auto _ : state) {
    product.execute(queue, arguments);
    queue.wait();
  }
  setFlops(state, 2.0 * s.m * s.k * s.n);
}

void onednnIntegers(benchmark::State &state, Shape s, int threads) {
  using type = dnnl::memory::data_type;
  onednn(state, s, type::s8, type::s32, randomIntegers(s.m * s.k, 127, 1), randomIntegers(s.k * s.n, 127, 2),
         threads);
}

void onednnFloats(benchmark::State &state, Shape s, bool isBF16, int threads) {
  using type = dnnl::memory::data_type;
  onednn(state, s, isBF16 ? type::bf16 : type::f32, type::f32, randomBytes(s.m * s.k, isBF16, 1),
         randomBytes(s.k * s.n, isBF16, 2), threads);
}
#endif

//===----------------------------------------------------------------------===//
// Decoding: one row or a few, more weights than any cache holds
//===----------------------------------------------------------------------===//

constexpr int64_t kWidth = 4096;

void gemv(benchmark::State &state, int64_t rows, bool isBF16, int threads) {
  const char *type = isBF16 ? "bf16" : "f32";
  int64_t layers = isBF16 ? 8 : 4; // 256 MiB
  Compiled &module = compiled(text("gemv{0}", type), [&] {
    std::string head, body;
    std::vector<Weight> weights;
    std::string matrix = text("tensor<{0}x{0}x{1}>", kWidth, type),
                row = text("tensor<?x{0}x{1}>", kWidth, type);
    for (int64_t i = 0; i < layers; ++i) {
      weights.push_back({text("w{0}", i), kWidth, kWidth});
      head += text("transformer.weight @w{0} : {1} from \"model.safetensors\"\n", i, matrix);
      // Something between the products, or they would be made one.
      body += text("  %w{0} = transformer.use @w{0} : {1}\n"
                   "  %y{0} = transformer.linear %x{0}, %w{0} : {3}, {1} -> {3}\n"
                   "  %x{2} = transformer.activation relu %y{0} : {3} -> {3}\n",
                   i, matrix, i + 1, row);
    }
    return new Compiled(head + text("func.func @run(%x0: {0} {{transformer.dims = [\"S\", \"\"]}) -> ({0} "
                                    "{{transformer.dims = [\"S\", \"\"]}) {{\n{1}  return %x{2} : {0}\n}",
                                    row, body, layers),
                        weights, isBF16);
  });
  std::vector<char> x = randomBytes(rows * kWidth, isBF16, 3);
  xfm_tensor input = tensorOf(x, isBF16, {rows, kWidth});
  xfm_session *session = module.session(threads);
  call(session, "run", input);
  for (auto _ : state)
    call(session, "run", input);
  state.counters["GB/s"] = benchmark::Counter(layers * kWidth * kWidth * (isBF16 ? 2.0 : 4.0) / 1e9,
                                              benchmark::Counter::kIsIterationInvariantRate);
}

//===----------------------------------------------------------------------===//
// Products of i8 and of i8 with i4
//===----------------------------------------------------------------------===//

/// %{0} of i32 from rows %{1} of [?, {3}] and the weight @{2} of [{4}, {3}] and type {5}.
const char *const kIntegerProduct = R"(
  %w{0} = transformer.use @{2} : tensor<{4}x{3}x{5}>
  %e{0} = tensor.empty(%m) : tensor<?x{4}xi32>
  %f{0} = linalg.fill ins(%zero : i32) outs(%e{0} : tensor<?x{4}xi32>) -> tensor<?x{4}xi32>
  %{0} = linalg.generic {{indexing_maps = [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (n, k)>,
      affine_map<(m, n, k) -> (m, n)>], iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%{1}, %w{0} : tensor<?x{3}xi8>, tensor<{4}x{3}x{5}>) outs(%f{0} : tensor<?x{4}xi32>) {{
  ^bb0(%a: i8, %b: {5}, %c: i32):
    %l = arith.extsi %a : i8 to i32
    %r = arith.extsi %b : {5} to i32
    %p = arith.muli %l, %r : i32
    %s = arith.addi %c, %p : i32
    linalg.yield %s : i32
  } -> tensor<?x{4}xi32>
)";

std::string integerFunction(int64_t k, int64_t n, llvm::StringRef body, llvm::StringRef result,
                            llvm::StringRef type) {
  return text(
      "func.func @run(%x0: tensor<?x{0}xi8> {{transformer.dims = [\"S\", \"\"]}) -> (tensor<?x{1}x{4}> "
      "{{transformer.dims = [\"S\", \"\"]}) {{\n  %c0 = arith.constant 0 : index\n"
      "  %zero = arith.constant 0 : i32\n  %m = tensor.dim %x0, %c0 : tensor<?x{0}xi8>\n{2}"
      "  return %{3} : tensor<?x{1}x{4}>\n}",
      k, n, body, result, type);
}

xfm_tensor integersOf(const std::vector<char> &data, llvm::ArrayRef<int64_t> shape) {
  xfm_tensor tensor = tensorOf(data, false, shape);
  tensor.dtype = XFM_I8;
  return tensor;
}

void integers(benchmark::State &state, Shape s, bool isNarrow, int threads) {
  const char *type = isNarrow ? "i4" : "i8";
  Compiled &module = compiled(text("{0}x{1}{2}", s.k, s.n, type), [&] {
    return new Compiled(
        text("transformer.weight @w : tensor<{0}x{1}x{2}> from \"model.safetensors\"\n", s.n, s.k, type) +
            integerFunction(s.k, s.n, text(kIntegerProduct, "y", "x0", "w", s.k, s.n, type), "y", "i32"),
        {{"w", s.n, s.k, isNarrow ? 7 : 127}}, false);
  });
  std::vector<char> x = randomIntegers(s.m * s.k, 127, 9);
  xfm_tensor input = integersOf(x, {s.m, s.k});
  xfm_session *session = module.session(threads);
  call(session, "run", input);
  for (auto _ : state)
    call(session, "run", input);
  setFlops(state, 2.0 * s.m * s.k * s.n);
}

void integerGemv(benchmark::State &state, bool isNarrow, int threads) {
  const char *type = isNarrow ? "i4" : "i8";
  int64_t layers = isNarrow ? 32 : 16; // 256 MiB
  Compiled &module = compiled(text("gemv{0}", type), [&] {
    std::string head, body;
    std::vector<Weight> weights;
    for (int64_t i = 0; i < layers; ++i) {
      weights.push_back({text("w{0}", i), kWidth, kWidth, isNarrow ? 7 : 127});
      head += text("transformer.weight @w{0} : tensor<{1}x{1}x{2}> from \"model.safetensors\"\n", i, kWidth,
                   type);
      body += text(kIntegerProduct, text("y{0}", i), text("x{0}", i), text("w{0}", i), kWidth, kWidth, type);
      // The next rows: some bits of the sums.
      body += text(R"(
  %n{0} = tensor.empty(%m) : tensor<?x{1}xi8>
  %x{2} = linalg.generic {{indexing_maps = [affine_map<(m, n) -> (m, n)>, affine_map<(m, n) -> (m, n)>],
      iterator_types = ["parallel", "parallel"]} ins(%y{0} : tensor<?x{1}xi32>) outs(%n{0} : tensor<?x{1}xi8>) {{
  ^bb0(%a: i32, %b: i8):
    %eight = arith.constant 8 : i32
    %s = arith.shrsi %a, %eight : i32
    %t = arith.trunci %s : i32 to i8
    linalg.yield %t : i8
  } -> tensor<?x{1}xi8>
)",
                   i, kWidth, i + 1);
    }
    return new Compiled(head + integerFunction(kWidth, kWidth, body, text("x{0}", layers), "i8"), weights,
                        false);
  });
  std::vector<char> x = randomIntegers(kWidth, 127, 3);
  xfm_tensor input = integersOf(x, {1, kWidth});
  xfm_session *session = module.session(threads);
  call(session, "run", input);
  for (auto _ : state)
    call(session, "run", input);
  state.counters["GB/s"] = benchmark::Counter(layers * kWidth * kWidth * (isNarrow ? 0.5 : 1.0) / 1e9,
                                              benchmark::Counter::kIsIterationInvariantRate);
}

//===----------------------------------------------------------------------===//
// Attention
//===----------------------------------------------------------------------===//

struct Mask {
  const char *name, *attribute;
  bool isFull;
  int64_t window; ///< keys that a position sees at most
};
constexpr Mask kMasks[] = {{"full", "none", true, INT64_MAX},
                           {"causal", "causal", false, INT64_MAX},
                           {"window", "window, 512", false, 512}};

void prefill(benchmark::State &state, int64_t length, int64_t headDim, Mask mask, bool isBF16, int threads) {
  const char *type = isBF16 ? "bf16" : "f32";
  int64_t heads = 8;
  std::string tensor = text("tensor<1x?x{0}x{1}x{2}>", heads, headDim, type);
  Compiled &module = compiled(text("attention{0}{1}{2}", headDim, mask.name, type), [&] {
    std::string dims = "{transformer.dims = [\"\", \"S\", \"\", \"\"]}";
    return new Compiled("func.func @run(%q: " + tensor + " " + dims + ", %k: " + tensor + " " + dims +
                            ", %v: " + tensor + " " + dims + ") -> (" + tensor + " " + dims +
                            ") {\n  %y = transformer.attention %q, %k, %v scale 0.125 mask <" +
                            mask.attribute + "> : " + tensor + ", " + tensor + ", " + tensor + " -> " +
                            tensor + "\n  return %y : " + tensor + "\n}",
                        {}, isBF16);
  });
  std::vector<std::vector<char>> data;
  llvm::SmallVector<xfm_tensor> inputs;
  for (unsigned i = 0; i < 3; ++i)
    data.push_back(randomBytes(length * heads * headDim, isBF16, i));
  for (auto &bytes : data)
    inputs.push_back(tensorOf(bytes, isBF16, {1, length, heads, headDim}));
  xfm_session *session = module.session(threads);
  call(session, "run", inputs);
  for (auto _ : state)
    call(session, "run", inputs);
  double pairs = 0; // that are seen
  for (int64_t i = 1; i <= length; ++i)
    pairs += std::min(mask.isFull ? length : i, mask.window);
  setFlops(state, 4.0 * pairs * heads * headDim);
}

/// One query over a long cache, in as many layers as exceed every cache of the machine.
void decode(benchmark::State &state, int64_t kvHeads, int64_t headDim, bool isBF16, int threads) {
  const char *type = isBF16 ? "bf16" : "f32";
  int64_t heads = 8, length = 16000, capacity = 16384;
  int64_t layers = 160 * 64 / (kvHeads * 2 * headDim) / (isBF16 ? 1 : 2) + 1;
  std::string cache = text("!transformer.kv_cache<{0} x {1} x {2}, full>", kvHeads, headDim, type);
  Compiled &module = compiled(text("decode{0}{1}{2}", kvHeads, headDim, type), [&] {
    std::string code;
    auto entry = [&](const char *name, bool attends) {
      const char *positions = attends ? "1" : "?", *dims = attends ? "" : "S";
      std::string query = text("tensor<?x{0}x{1}x{2}x{3}>", positions, heads, headDim, type),
                  keys = text("tensor<?x{0}x{1}x{2}x{3}>", positions, kvHeads, headDim, type),
                  named = text("{{transformer.dims = [\"B\", \"{0}\", \"\", \"\"]}", dims);
      std::string arguments, results, returned, types, body, last = "%q";
      for (int64_t i = 0; i < layers; ++i) {
        arguments += text(", %c{0}: {1} {{transformer.name = \"cache.{0}\"}", i, cache);
        results += text(", {1} {{transformer.name = \"cache.{0}\"}", i, cache);
        body += text("  %d{0} = transformer.cache_append %c{0}, %k, %k : {1}, {2}, {2}\n", i, cache, keys);
        if (attends) {
          body += text("  %y{0} = transformer.attention {1} cache %d{0} scale 0.125 mask <causal> : {2}, {3} "
                       "-> {2}\n",
                       i, last, query, cache);
          last = text("%y{0}", i);
        }
        returned += text(", %d{0}", i);
        types += ", " + cache;
      }
      if (!attends) {
        body += text("  %y = transformer.activation relu %q : {0} -> {0}\n", query);
        last = "%y";
      }
      code += "func.func @" + std::string(name) + "(%q: " + query + " " + named + ", %k: " + keys + " " +
              named + arguments + ") -> (" + query + " " + named + results + ") {\n" + body + "  return " +
              last + returned + " : " + query + types + "\n}\n";
    };
    entry("fill", false);
    entry("step", true);
    return new Compiled(code, {}, isBF16);
  });
  xfm_session *session = module.session(threads, capacity);
  std::vector<char> q = randomBytes(length * heads * headDim, isBF16, 5),
                    k = randomBytes(length * kvHeads * headDim, isBF16, 6);
  auto callWith = [&](const char *entry, int64_t positions) {
    call(session, entry,
         {tensorOf(q, isBF16, {1, positions, heads, headDim}),
          tensorOf(k, isBF16, {1, positions, kvHeads, headDim})});
  };
  if (xfm_session_length(session) < length || xfm_session_length(session) > capacity - 64) {
    xfm_session_reset(session);
    callWith("fill", length);
  }
  callWith("step", 1);
  for (auto _ : state) {
    if (xfm_session_length(session) >= capacity) {
      state.PauseTiming();
      xfm_session_reset(session);
      callWith("fill", length);
      state.ResumeTiming();
    }
    callWith("step", 1);
  }
  state.counters["GB/s"] =
      benchmark::Counter(2.0 * layers * kvHeads * headDim * length * (isBF16 ? 2 : 4) / 1e9,
                         benchmark::Counter::kIsIterationInvariantRate);
}

//===----------------------------------------------------------------------===//
// Limits
//===----------------------------------------------------------------------===//

void peak(benchmark::State &state, bool isBF16, int threads) {
  double flops = 0;
  for (auto _ : state)
    flops = runPeak(isBF16, threads);
  setFlops(state, flops);
}

void int8Peak(benchmark::State &state, int threads) {
  double operations = 0;
  for (auto _ : state)
    operations = runInt8Peak(threads);
  setFlops(state, operations);
}

void bandwidth(benchmark::State &state, Reading how, int threads) {
  double bytes = runRead(how, threads); // the first touches its buffer
  for (auto _ : state)
    bytes = runRead(how, threads);
  state.counters["GB/s"] = benchmark::Counter(bytes / 1e9, benchmark::Counter::kIsIterationInvariantRate);
}

/// One thread is timed by its own clock, which stands still while others have the
/// core; several by the wall's.
template <typename F> void add(const std::string &name, F run) {
  auto *added = benchmark::RegisterBenchmark(name.c_str(), run)->Unit(benchmark::kMillisecond);
  if (!llvm::StringRef(name).ends_with("threads:1"))
    added->UseRealTime();
}

void addIntegers(const std::string &suffix, int threads) {
  if (hasInt8Dots())
    add("peak/i8" + suffix, [=](benchmark::State &s) { int8Peak(s, threads); });
  for (bool isNarrow : {false, true}) {
    std::string type = isNarrow ? "i4" : "i8";
    for (Shape shape : kShapes) {
      std::string name = type + "/" + std::to_string(shape.m) + "x" + std::to_string(shape.k) + "x" +
                         std::to_string(shape.n);
      add("xfm/" + name + "/dynamic" + suffix,
          [=](benchmark::State &s) { integers(s, shape, isNarrow, threads); });
#ifdef XFM_HAVE_DNNL
      if (!isNarrow)
        add("onednn/" + name + suffix, [=](benchmark::State &s) { onednnIntegers(s, shape, threads); });
#endif
    }
    add("xfm/" + type + "/gemv" + suffix, [=](benchmark::State &s) { integerGemv(s, isNarrow, threads); });
  }
}

void addAll(int threads) {
  std::string suffix = "/threads:" + std::to_string(threads);
  for (bool isBF16 : {false, true}) {
    std::string type = isBF16 ? "bf16" : "f32";
    if (!isBF16 || hasBF16())
      add("peak/" + type + suffix, [=](benchmark::State &s) { peak(s, isBF16, threads); });
    for (Shape shape : kShapes) {
      std::string name = type + "/" + std::to_string(shape.m) + "x" + std::to_string(shape.k) + "x" +
                         std::to_string(shape.n);
      add("xfm/" + name + "/static" + suffix,
          [=](benchmark::State &s) { ours(s, shape, isBF16, false, threads); });
      add("xfm/" + name + "/dynamic" + suffix,
          [=](benchmark::State &s) { ours(s, shape, isBF16, true, threads); });
#ifdef XFM_HAVE_OPENBLAS
      if (!isBF16)
        add("openblas/" + name + suffix, [=](benchmark::State &s) { openblas(s, shape, threads); });
#endif
#ifdef XFM_HAVE_DNNL
      add("onednn/" + name + suffix, [=](benchmark::State &s) { onednnFloats(s, shape, isBF16, threads); });
#endif
    }
    for (int64_t rows : {1, 2, 4, 8, 16})
      add("xfm/" + type + (rows == 1 ? "/gemv" : "/gemv/rows:" + std::to_string(rows)) + suffix,
          [=](benchmark::State &s) { gemv(s, rows, isBF16, threads); });
    for (int64_t length : {1024, 4096})
      for (int64_t headDim : {64, 128})
        for (Mask mask : kMasks)
          add("xfm/" + type + "/attention/" + std::to_string(length) + "x" + std::to_string(headDim) + "/" +
                  mask.name + suffix,
              [=](benchmark::State &s) { prefill(s, length, headDim, mask, isBF16, threads); });
    for (int64_t headDim : {64, 128})
      for (int64_t kvHeads : {8, 4, 2, 1})
        add("xfm/" + type + "/decode_attention/" + std::to_string(8 / kvHeads) + ":1x" +
                std::to_string(headDim) + suffix,
            [=](benchmark::State &s) { decode(s, kvHeads, headDim, isBF16, threads); });
  }
  addIntegers(suffix, threads);
  for (auto [name, how] : {std::pair("read/ahead", Reading::Ahead), {"read/streams", Reading::Streams}})
    add(name + suffix, [=, how = how](benchmark::State &s) { bandwidth(s, how, threads); });
}

} // namespace

int main(int argc, char **argv) {
  addAll(1);
  addAll(2);
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv))
    return 1;
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
