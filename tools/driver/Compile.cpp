//===- Compile.cpp - tfopt MODEL -o OUT.tfa -------------------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "codegen/Compile.h"
#include "codegen/CPU/Backend.h"
#include "codegen/GPU/Backend.h"
#include "codegen/Pipeline.h"
#include "passes/Pipeline.h"
#include "passes/Remarks.h"
#include "tools/driver/Driver.h"
#include "tools/emulate/Emulate.h"
#include "tools/tune/Tune.h"
#include "tools/verify/VerifyNumerics.h"

#include "mlir/Pass/PassManager.h"
#include "mlir/Transforms/ViewOpGraph.h"
#include "llvm/Support/CommandLine.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/ToolOutputFile.h"

#include <csignal>
#include <sys/mman.h>
#include <unistd.h>

using namespace mlir;
using namespace mlir::transformer;
namespace cl = llvm::cl;

namespace {

/// Options of a subcommand do not meet the hundreds that LLVM's libraries (and
/// lld, while it links) register under the same names.
struct Options {
  cl::SubCommand command{"compile", "compile a model"};
  cl::opt<std::string> input{cl::Positional, cl::desc("MODEL"), cl::Required, cl::sub(command)};
  cl::opt<std::string> output{"o",
                              cl::desc("the artifact to write, or the file with --emit (default: stdout)"),
                              cl::value_desc("OUT.tfa"), cl::sub(command)};
  cl::opt<std::string> target{"target", cl::desc("what to generate code for: cpu (default) or cuda"),
                              cl::init("cpu"), cl::sub(command)};
  cl::opt<std::string> arch{
      "arch", cl::desc("with --target=cuda: architectures to make kernels for (default: sm_80,sm_90a)"),
      cl::value_desc("sm_80,…"), cl::init("sm_80,sm_90a"), cl::sub(command)};
  cl::opt<std::string> mcpu{"mcpu", cl::desc("the CPU: native (default), x86-64-v3, znver4, neoverse-n1, …"),
                            cl::init("native"), cl::sub(command)};
  cl::opt<std::string> mtriple{"mtriple",
                               cl::desc("the system: x86_64-linux-gnu or aarch64-linux-gnu (default: the one "
                                        "that has the CPU, this machine's first)"),
                               cl::sub(command)};
  cl::opt<std::string> precision{"precision",
                                 cl::desc("type of values fed to contractions: f32, bf16 or, on a GPU, tf32 "
                                          "(default: the checkpoint's, f32 for F16)"),
                                 cl::init("auto"), cl::sub(command)};
  cl::opt<int64_t> maxPositions{"max-positions", cl::desc("positions to compile for (default: the model's)"),
                                cl::init(0), cl::value_desc("N"), cl::sub(command)};
  cl::opt<int64_t> chunk{"chunk", cl::desc("positions one call computes (default: 512)"), cl::init(512),
                         cl::value_desc("N"), cl::sub(command)};
  cl::opt<int> level{"O",
                     cl::Prefix,
                     cl::desc("optimisation: 0 none, 1 neighbouring ops, 2 fusion, 3 tuned (default)"),
                     cl::init(3),
                     cl::value_desc("level"),
                     cl::sub(command)};
  cl::opt<std::string> passes{"passes", cl::desc("optimisation passes to run instead of the level's"),
                              cl::value_desc("a,b"), cl::sub(command)};
  cl::opt<std::string> remarks{"remarks",
                               cl::desc("print what passes did and nearly did: passed, missed or all"),
                               cl::value_desc("kind"), cl::sub(command)};
  cl::opt<std::string> remarksFile{"remarks-file", cl::desc("write remarks as YAML (default: all of them)"),
                                   cl::value_desc("FILE.yaml"), cl::sub(command)};
  cl::opt<std::string> verify{
      "verify-numerics", cl::ValueOptional,
      cl::desc("interpret functions before and after each pass; the relative error allowed (default: 1e-6)"),
      cl::value_desc("tolerance"), cl::sub(command)};
  cl::opt<std::string> reproducer{
      "reproducer", cl::desc("where --verify-numerics writes a failing case (default: PASS-reproducer.mlir)"),
      cl::value_desc("FILE.mlir"), cl::sub(command)};
  cl::opt<bool> deterministic{
      "deterministic",
      cl::desc("results equal to the bit for any threads, batch, and cut of a prompt into calls"),
      cl::sub(command)};
  cl::opt<unsigned> threads{"compile-threads", cl::desc("threads for the weights (default: one per core)"),
                            cl::init(0), cl::sub(command)};
  cl::opt<std::string> cache{"cache",
                             cl::desc("a folder where evaluated weights are kept for later compiles"),
                             cl::value_desc("DIR"), cl::sub(command)};
  cl::opt<bool> noWeights{"no-weights",
                          cl::desc("write code and shapes only; tfrun --random-weights=SEED runs them"),
                          cl::sub(command)};
  cl::opt<std::string> emit{
      "emit", cl::desc("print a stage instead: transformer, asm, ptx, llvm or a phase of --stop-at"),
      cl::sub(command)};
  // Descriptions are not copied.
  std::string stopAtText = "print the IR after a phase instead: " + phaseNames();
  cl::opt<std::string> stopAt{"stop-at", cl::desc(stopAtText), cl::value_desc("phase"), cl::sub(command)};
  cl::opt<std::string> strategy{"strategy",
                                cl::desc("lowering configs by dispatch name, instead of the chosen ones"),
                                cl::value_desc("FILE.json"), cl::sub(command)};
  cl::opt<std::string> tune{"tune", cl::ValueOptional,
                            cl::desc("time lowering configs on this machine instead, and write them to -o "
                                     "(default: for 3 minutes, to tuning.json)"),
                            cl::value_desc("minutes"), cl::sub(command)};
  cl::opt<std::string> tuning{"tuning", cl::desc("use the lowering configs that --tune wrote"),
                              cl::value_desc("FILE.json"), cl::sub(command)};
  cl::opt<bool> opGraph{"print-op-graph", cl::desc("with --emit or --stop-at: print the IR as a graph (dot)"),
                        cl::sub(command)};
  cl::opt<std::string> gpuKernels{
      "gpu-kernels",
      cl::desc("which kernels an architecture has: stable (default), or newest, also those that no GPU has "
               "shown to be right yet"),
      cl::init("stable"), cl::value_desc("stable|newest"), cl::sub(command)};
  cl::opt<int64_t> gpuSequences{
      "gpu-sequences",
      cl::desc("with --target=cuda: how many sequences a decoding step usually has (default: 1); any other "
               "number is computed as well"),
      cl::init(1), cl::value_desc("count"), cl::sub(command)};
  cl::opt<std::string> emulate{
      "emulate-gpu", cl::ValueOptional,
      cl::desc("with --target=cuda: run the kernels in an emulator on small inputs and compare them with the "
               "interpreter; asynchronous effects come late (default) or early"),
      cl::value_desc("late|early"), cl::sub(command)};
  cl::opt<bool> verbose{"v", cl::desc("say more"), cl::sub(command)};
  cl::opt<bool> quiet{"q", cl::desc("print errors only"), cl::sub(command)};

  bool isGPU() const { return target == "cuda"; }
  static std::string phaseNames() {
    return kOptimizedPhase.str() + ", " + llvm::join(loweringPhases(), ", ") +
           "; with --target=cuda also ptx and outline";
  }
  bool isPhase(llvm::StringRef name) const {
    return name == kOptimizedPhase || llvm::is_contained(loweringPhases(isGPU()), name);
  }
};

llvm::Error makeError(const llvm::Twine &message) {
  return llvm::createStringError(llvm::inconvertibleErrorCode(), message);
}

/// Devices and pipes are written to; a file renamed over one would take its place.
bool isSpecial(llvm::StringRef path) {
  llvm::sys::fs::file_status status;
  return !llvm::sys::fs::status(path, status) && llvm::sys::fs::exists(status) &&
         !llvm::sys::fs::is_regular_file(status);
}

/// Writes a file by another name first.
llvm::Error writeFile(llvm::StringRef path, llvm::function_ref<llvm::Error(llvm::raw_ostream &)> write) {
  if (llvm::sys::fs::is_directory(path))
    return makeError(path + " is a folder; --emit, --stop-at and --tune write a file");
  std::error_code code;
  if (isSpecial(path)) {
    llvm::raw_fd_ostream stream(path, code, llvm::sys::fs::OF_Text);
    if (code)
      return makeError("cannot write " + path + ": " + code.message());
    llvm::Error error = write(stream);
    stream.close();
    if (std::error_code failed = stream.error(); failed && !error)
      error = makeError("cannot write " + path + ": " + failed.message());
    stream.clear_error();
    return error;
  }
  std::string temporary = path == "-" ? "-" : (path + ".partial").str();
  llvm::ToolOutputFile file(temporary, code, llvm::sys::fs::OF_Text);
  if (code)
    return makeError("cannot write " + path + ": " + code.message());
  if (llvm::Error error = write(file.os()))
    return error;
  file.os().flush();
  if (std::error_code failed = file.os().error()) {
    file.os().clear_error();
    return makeError("cannot write " + path + ": " + failed.message());
  }
  file.keep();
  if (path != "-")
    if (std::error_code failed = llvm::sys::fs::rename(temporary, path)) {
      llvm::sys::fs::remove(temporary);
      return makeError("cannot rename " + temporary + " to " + path + ": " + failed.message());
    }
  return llvm::Error::success();
}

llvm::Error print(const Options &options, llvm::function_ref<llvm::Error(llvm::raw_ostream &)> write) {
  return writeFile(options.output.empty() ? llvm::StringRef("-") : llvm::StringRef(options.output), write);
}

llvm::Error printModule(const Options &options, ModuleOp module) {
  return print(options, [&](llvm::raw_ostream &os) -> llvm::Error {
    if (!options.opGraph) {
      module.print(os);
      os << '\n';
      return llvm::Error::success();
    }
    PassManager pm(module.getContext());
    pm.addPass(createPrintOpGraphPass(os));
    if (failed(pm.run(module)))
      return makeError("the graph cannot be printed");
    return llvm::Error::success();
  });
}

LoweringOptions loweringOf(const Options &options) {
  LoweringOptions lowering;
  lowering.chunk = options.chunk;
  lowering.deterministic = options.deterministic;
  lowering.strategyFile = options.strategy;
  lowering.tuningFile = options.tuning;
  lowering.optLevel = options.level;
  lowering.passes = options.passes;
  if (options.isGPU())
    lowering.gpuArchs = llvm::cantFail(parseGPUArchs(options.arch)); // checked with the other options
  lowering.newestGPUKernels = options.gpuKernels == "newest";
  lowering.tf32 = options.precision == "tf32";
  lowering.gpuSequences = options.gpuSequences;
  return lowering;
}

/// Prints the stage named by --emit or --stop-at.
llvm::Error emitStage(const Options &options, ModuleOp module) {
  llvm::StringRef stage =
      options.stopAt.empty() ? llvm::StringRef(options.emit) : llvm::StringRef(options.stopAt);
  if (stage == "transformer")
    return printModule(options, module);
  llvm::Expected<CPUTarget> target = CPUTarget::resolve(options.mcpu, options.mtriple);
  if (!target)
    return target.takeError();
  // --emit=llvm is LLVM's own IR, --stop-at=llvm the dialect of that name.
  bool ownIR = !options.stopAt.empty() || (stage != "llvm" && stage != "asm" && stage != "ptx");
  std::vector<KernelModule> kernels;
  if (llvm::Error error = lowerModule(module, *target, loweringOf(options), ownIR ? stage : "", &kernels))
    return error;
  if (stage == "ptx")
    return print(options, [&](llvm::raw_ostream &os) -> llvm::Error {
      llvm::Expected<std::string> ptx = compileKernels(kernels.front());
      if (!ptx)
        return ptx.takeError();
      os << *ptx;
      return llvm::Error::success();
    });
  if (ownIR)
    return printModule(options, module);
  llvm::Expected<std::unique_ptr<CPUBackend>> backend = CPUBackend::create(module, *target);
  if (!backend)
    return backend.takeError();
  return print(options, [&](llvm::raw_ostream &os) -> llvm::Error {
    if (stage == "asm")
      return (*backend)->printAssembly(os);
    (*backend)->printIR(os);
    return llvm::Error::success();
  });
}

llvm::Error checkOptions(const Options &options) {
  if (options.target != "cpu" && options.target != "cuda")
    return makeError("unknown target \"" + options.target + "\"; use cpu or cuda");
  if (options.arch.getNumOccurrences() && !options.isGPU())
    return makeError("--arch names architectures of GPUs; add --target=cuda");
  if (options.isGPU())
    if (llvm::Expected<std::vector<std::string>> archs = parseGPUArchs(options.arch); !archs)
      return archs.takeError();
  if (options.gpuKernels != "stable" && options.gpuKernels != "newest")
    return makeError("expected --gpu-kernels=stable or newest, but got " + options.gpuKernels);
  if (!llvm::is_contained({"auto", "f32", "bf16", "tf32"}, options.precision))
    return makeError("unknown precision \"" + options.precision + "\"; use f32, bf16 or, for a GPU, tf32");
  if (options.precision == "tf32" && !options.isGPU())
    return makeError("--precision=tf32 is for --target=cuda: CPUs have no tf32");
  if (options.gpuKernels.getNumOccurrences() && !options.isGPU())
    return makeError("--gpu-kernels chooses kernels of GPUs; add --target=cuda");
  if (options.gpuSequences.getNumOccurrences() && !options.isGPU())
    return makeError("--gpu-sequences chooses kernels of GPUs; add --target=cuda");
  if (options.gpuSequences < 1)
    return makeError("expected --gpu-sequences of at least 1, but got " + llvm::Twine(options.gpuSequences));
  llvm::StringRef emit = options.emit;
  if (!emit.empty() && emit != "transformer" && emit != "asm" && !(emit == "ptx" && options.isGPU()) &&
      !options.isPhase(emit))
    return makeError("unknown stage \"" + emit + "\" for --emit; use transformer, asm, " +
                     Options::phaseNames());
  if (!emit.empty() && !options.stopAt.empty())
    return makeError("--emit and --stop-at name one stage each; give one of them");
  if (options.opGraph && emit.empty() && options.stopAt.empty())
    return makeError(
        "--print-op-graph needs the stage to print; add --emit=transformer or --stop-at=<phase>");
  if (!options.stopAt.empty() && !options.isPhase(options.stopAt))
    return makeError("unknown phase \"" + options.stopAt + "\" for --stop-at; use " + Options::phaseNames());
  if (double minutes; options.tune.getNumOccurrences() && !options.tune.empty() &&
                      (llvm::StringRef(options.tune).getAsDouble(minutes) || !(minutes > 0 && minutes < 1e6)))
    return makeError("expected --tune of more than 0 minutes, but got " + options.tune);
  bool tunes = options.tune.getNumOccurrences() > 0, emulates = options.emulate.getNumOccurrences() > 0;
  if (emulates && !options.isGPU())
    return makeError("--emulate-gpu runs kernels of a GPU; add --target=cuda");
  if (emulates && !llvm::is_contained({"", "late", "early"}, llvm::StringRef(options.emulate)))
    return makeError("expected --emulate-gpu=late or early, but got " + options.emulate);
  if (options.isGPU() && (tunes || !options.tuning.empty() || !options.strategy.empty()))
    return makeError("--tune, --tuning and --strategy are for the CPU; leave them out with --target=cuda");
  if (tunes && !(emit.empty() && options.stopAt.empty()))
    return makeError("--tune prints no stage; leave --emit and --stop-at out");
  if (!tunes && !emulates && options.emit.empty() && options.stopAt.empty() && options.output.empty())
    return makeError("nowhere to write to; add -o OUT.tfa, or --emit=transformer to print");
  if (!options.cache.empty() && !(emit.empty() && options.stopAt.empty()))
    return makeError("--cache keeps evaluated weights, but --emit and --stop-at evaluate none; leave it out");
  if (options.level < 0 || options.level > 3)
    return makeError("expected -O0, -O1, -O2 or -O3, but got -O" + llvm::Twine(options.level.getValue()));
  llvm::StringRef remarks = options.remarks;
  if (!remarks.empty() && !llvm::is_contained({"passed", "missed", "all"}, remarks))
    return makeError("unknown remarks \"" + remarks + "\"; use passed, missed or all");
  if (double tolerance; options.verify.getNumOccurrences() && !options.verify.empty() &&
                        (llvm::StringRef(options.verify).getAsDouble(tolerance) || !(tolerance >= 0)))
    return makeError("expected --verify-numerics of 0 or more, but got " + options.verify);
  if (options.chunk < 1 || options.chunk > 1 << 20)
    return makeError("expected --chunk between 1 and 1048576, but got " +
                     llvm::Twine(options.chunk.getValue()));
  if (options.maxPositions < 0)
    return makeError("expected --max-positions of 1 or more, but got " +
                     llvm::Twine(options.maxPositions.getValue()));
  return llvm::Error::success();
}

llvm::Error verify(const Options &options, const LoadedModel &model) {
  VerifyOptions verify;
  if (!options.verify.empty())
    llvm::StringRef(options.verify).getAsDouble(verify.tolerance);
  verify.optimization.level = options.level;
  verify.optimization.passes = options.passes;
  verify.folder = model.folder;
  verify.report = options.quiet ? nullptr : &llvm::errs();
  verify.reproducer = options.reproducer;
  return verifyNumerics(*model.module, verify);
}

llvm::Error startRemarks(const Options &options, MLIRContext &context) {
  if (options.remarks.empty() && options.remarksFile.empty())
    return llvm::Error::success();
  RemarkOptions remarks;
  remarks.passed = options.remarks != "missed";
  remarks.missed = options.remarks != "passed";
  remarks.lines = options.remarks.empty() ? nullptr : &llvm::errs();
  remarks.file = options.remarksFile;
  return enableRemarks(context, remarks);
}

CompileOptions compileOptionsOf(const Options &options) {
  CompileOptions compile;
  static_cast<LoweringOptions &>(compile) = loweringOf(options);
  compile.mcpu = options.mcpu;
  compile.mtriple = options.mtriple;
  compile.threads = options.threads;
  compile.cacheFolder = options.cache;
  compile.noWeights = options.noWeights;
  compile.progress = !options.quiet;
  compile.notes = options.quiet ? nullptr : &llvm::errs();
  return compile;
}

/// Reads the file of --tuning, so that a damaged one is an error before any work. One
/// of another CPU is left out with a note.
llvm::Error checkTuning(Options &options) {
  if (options.tuning.empty())
    return llvm::Error::success();
  llvm::Expected<Tuning> tuning = Tuning::read(options.tuning);
  if (!tuning)
    return tuning.takeError();
  llvm::Expected<CPUTarget> target = CPUTarget::resolve(options.mcpu, options.mtriple);
  if (!target)
    return target.takeError();
  if (tuning->isFor(*target))
    return llvm::Error::success();
  if (!options.quiet)
    llvm::errs() << options.tuning << " is not used: it was measured for the CPU " << tuning->cpu
                 << (tuning->cpu == target->cpu ? " with other features" : ", not " + target->cpu) << '\n';
  options.tuning = "";
  return llvm::Error::success();
}

llvm::Error tune(const Options &options, ModuleOp module) {
  TuneOptions tune;
  tune.compile = compileOptionsOf(options);
  double minutes = 3;
  llvm::StringRef(options.tune).getAsDouble(minutes);
  tune.seconds = minutes * 60;
  tune.report = options.quiet ? nullptr : &llvm::errs();
  // A copy: each link parses options of its own, which resets all that there are.
  std::string output = options.output.empty() ? "tuning.json" : options.output.getValue();
  // Before minutes of work: the place must be usable.
  llvm::StringRef folder = llvm::sys::path::parent_path(output);
  if (std::error_code code =
          llvm::sys::fs::access(folder.empty() ? "." : folder, llvm::sys::fs::AccessMode::Write))
    return makeError("cannot write " + output + ": " + code.message());
  if (llvm::sys::fs::is_directory(output))
    return makeError(output + " is a folder; --tune writes a file");
  llvm::Expected<Tuning> tuning = tuneModel(module, tune);
  if (!tuning)
    return tuning.takeError();
  return writeFile(output, [&](llvm::raw_ostream &os) {
    os << llvm::formatv("{0:2}", llvm::json::Value(tuning->toJson())) << '\n';
    return llvm::Error::success();
  });
}

/// tf32 is how f32 is multiplied: a checkpoint is imported in f32, and a module stays what it is.
std::string precisionOfImport(const Options &options) {
  if (options.precision != "tf32")
    return options.precision;
  return llvm::sys::fs::is_directory(options.input) ? "f32" : "auto";
}

/// A choice that would change nothing is an error.
llvm::Error checkTF32(const Options &options, ModuleOp module) {
  bool multipliesF32 = false;
  module.walk([&](LinearOp linear) {
    multipliesF32 |= getElementTypeOrSelf(linear.getInput().getType()).isF32() &&
                     getElementTypeOrSelf(linear.getWeight().getType()).isF32();
  });
  if (options.precision != "tf32" || multipliesF32)
    return llvm::Error::success();
  return makeError("--precision=tf32 is for weights of f32, of which " + options.input +
                   " has none; use --precision=bf16, which tensor cores multiply as well");
}

llvm::Error emulate(const Options &options, const LoadedModel &model) {
  EmulateOptions emulate;
  emulate.compile = compileOptionsOf(options);
  emulate.compile.notes = nullptr;
  emulate.compile.gpuArchs.resize(1);
  emulate.folder = model.folder;
  emulate.late = options.emulate != "early";
  emulate.report = &llvm::outs();
  (*model.module).walk([&](LinearOp linear) {
    emulate.isNarrow |= getElementTypeOrSelf(linear.getInput().getType()).isBF16();
  });
  return emulateModel(*model.module, emulate);
}

llvm::Error run(Options &options) {
  if (llvm::Error error = checkOptions(options))
    return error;
  if (llvm::Error error = checkTuning(options))
    return error;
  DialectRegistry registry;
  registerAll(registry);
  MLIRContext context(registry, MLIRContext::Threading::ENABLED);
  LoadOptions load;
  load.precision = precisionOfImport(options);
  load.maxPositions = options.maxPositions;
  load.notes = options.verbose ? &llvm::errs() : nullptr;
  llvm::Expected<LoadedModel> model = loadModel(context, options.input, load);
  if (!model)
    return model.takeError();
  if (llvm::Error error = checkTF32(options, *model->module))
    return error;
  // On a copy and before remarks are wanted: its passes are not the compilation's.
  if (options.verify.getNumOccurrences())
    if (llvm::Error error = verify(options, *model))
      return error;
  if (llvm::Error error = startRemarks(options, context))
    return error;
  if (options.tune.getNumOccurrences())
    return tune(options, *model->module);
  if (options.emulate.getNumOccurrences())
    return emulate(options, *model);
  if (!options.emit.empty() || !options.stopAt.empty())
    return emitStage(options, *model->module);
  return compileToArtifact(*model->module, model->folder, options.output, compileOptionsOf(options));
}

/// What `action` writes to stderr: LLVM's parser lets nobody redirect it.
std::string captureErrors(llvm::function_ref<void()> action) {
  int original = dup(STDERR_FILENO), file = memfd_create("stderr", MFD_CLOEXEC);
  if (original < 0 || file < 0) {
    action();
    return "";
  }
  dup2(file, STDERR_FILENO);
  action();
  dup2(original, STDERR_FILENO);
  close(original);
  std::string text(lseek(file, 0, SEEK_END), '\0');
  ssize_t size = pread(file, text.data(), text.size(), 0);
  close(file);
  text.resize(std::max<ssize_t>(size, 0));
  return text;
}

/// What LLVM's parser says of a command line, without the name of the program, as one line.
std::string oneLine(llvm::StringRef text) {
  llvm::SmallVector<llvm::StringRef> lines;
  text.split(lines, '\n', /*MaxSplit=*/-1, /*KeepEmpty=*/false);
  std::string result;
  for (llvm::StringRef line : lines) {
    line.consume_front("tfopt: ");
    for (llvm::StringRef hint : {"See: ", "Try: "}) // it names a help that lacks these options
      line = line.take_front(line.find(hint)).rtrim();
    result += (result.empty() || line.empty() ? "" : " ") + line.str();
  }
  return llvm::StringRef(result).rtrim(" !:.").str() + "; see tfopt compile --help";
}

} // namespace

bool mlir::transformer::isCompilation(int argc, char **argv) {
  if (argc > 1 && llvm::StringRef(argv[1]) == "compile")
    return true;
  bool isModel = false;
  for (int i = 1; i < argc; ++i) {
    llvm::StringRef argument = argv[i];
    if (argument == "-o" && i + 1 < argc && llvm::StringRef(argv[i + 1]).rtrim('/').ends_with(".tfa"))
      return true;
    llvm::StringRef option = argument.ltrim('-').split('=').first;
    if (option == "tune" || option == "tuning")
      return argument.starts_with("-");
    if (argument.ltrim('-').starts_with("emit=") || argument.ltrim('-').starts_with("stop-at="))
      return argument.starts_with("-");
    // A folder, or a file that is no MLIR, can only be meant as a model.
    if (!argument.starts_with("-") && (llvm::StringRef(argv[i - 1]) != "-o" || i == 1))
      isModel |= llvm::sys::fs::is_directory(argument);
  }
  return isModel;
}

int mlir::transformer::compileMain(int argc, char **argv) {
  // A file over its limit is an error of the call that writes it, and no end of the process.
  std::signal(SIGXFSZ, SIG_IGN);
  Options options;
  cl::SetVersionPrinter([](llvm::raw_ostream &os) { os << "tfopt " << XFM_VERSION << '\n'; });
  // The subcommand is implied by the arguments; people need not write it.
  std::vector<const char *> arguments(argv, argv + argc);
  if (llvm::StringRef(arguments[1]) != "compile")
    arguments.insert(arguments.begin() + 1, "compile");
  bool parsed = false;
  std::string message = captureErrors([&] {
    parsed = cl::ParseCommandLineOptions(static_cast<int>(arguments.size()), arguments.data(),
                                         "compiles Transformer models\n", &llvm::errs());
  });
  if (!parsed) {
    llvm::errs() << "tfopt: error: " << oneLine(message) << '\n';
    return 1;
  }
  if (llvm::Error error = run(options)) {
    llvm::errs() << "tfopt: error: " << llvm::toString(std::move(error)) << '\n';
    return 1;
  }
  return 0;
}
