//===- Backend.cpp - kernels to PTX and cubins --------------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "codegen/GPU/Backend.h"

#include "codegen/Common/DispatchUtils.h"
#include "codegen/GPU/SampleKernel.h"
#include "codegen/GPU/Templates.h"
#include "runtime/xfm_abi.h"

#include "mlir/Target/LLVMIR/Dialect/Builtin/BuiltinToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Dialect/LLVMIR/LLVMToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Dialect/NVVM/NVVMToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Export.h"
#include "llvm/IR/LegacyPassManager.h"
#include "llvm/MC/TargetRegistry.h"
#include "llvm/Passes/PassBuilder.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/FileUtilities.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/Process.h"
#include "llvm/Support/Program.h"
#include "llvm/Support/TargetSelect.h"
#include "llvm/Target/TargetMachine.h"

using namespace mlir;
using namespace mlir::transformer;
namespace json = llvm::json;

static llvm::Error makeError(const llvm::Twine &message) {
  return llvm::createStringError(llvm::inconvertibleErrorCode(), message);
}

//===----------------------------------------------------------------------===//
// Architectures
//===----------------------------------------------------------------------===//

ArrayRef<StringRef> mlir::transformer::knownGPUArchs() {
  static const StringRef archs[] = {"sm_80", "sm_86",  "sm_87",  "sm_89",
                                    "sm_90", "sm_90a", "sm_100", "sm_120"};
  return archs;
}

llvm::Expected<std::vector<std::string>> mlir::transformer::parseGPUArchs(StringRef text) {
  SmallVector<StringRef> wanted;
  text.split(wanted, ',');
  for (StringRef arch : wanted)
    if (!llvm::is_contained(knownGPUArchs(), arch))
      return makeError("unknown architecture \"" + arch + "\" for --arch; use " +
                       llvm::join(knownGPUArchs(), ", ") + ", or several of them with commas");
  std::vector<std::string> archs;
  for (StringRef known : knownGPUArchs())
    if (llvm::is_contained(wanted, known))
      archs.push_back(known.str());
  return archs;
}

//===----------------------------------------------------------------------===//
// PTX
//===----------------------------------------------------------------------===//

/// The lowest version of PTX that has what kernels use on the architecture.
static StringRef ptxFeature(StringRef arch) {
  if (arch.starts_with("sm_100") || arch.starts_with("sm_120"))
    return "+ptx87";
  return arch.starts_with("sm_90") ? "+ptx80" : "+ptx78";
}

static llvm::Expected<std::unique_ptr<llvm::TargetMachine>> createMachine(StringRef arch) {
  static bool once = [] {
    LLVMInitializeNVPTXTargetInfo();
    LLVMInitializeNVPTXTarget();
    LLVMInitializeNVPTXTargetMC();
    LLVMInitializeNVPTXAsmPrinter();
    return true;
  }();
  (void)once;
  llvm::Triple triple("nvptx64-nvidia-cuda");
  std::string error;
  const llvm::Target *target = llvm::TargetRegistry::lookupTarget(triple, error);
  if (!target)
    return makeError("this LLVM generates no code for NVIDIA GPUs: " + error);
  return std::unique_ptr<llvm::TargetMachine>(
      target->createTargetMachine(triple, arch, ptxFeature(arch), llvm::TargetOptions(), llvm::Reloc::PIC_,
                                  std::nullopt, llvm::CodeGenOptLevel::Aggressive));
}

static void optimize(llvm::Module &module, llvm::TargetMachine &machine) {
  llvm::PipelineTuningOptions tuning;
  tuning.LoopVectorization = false;
  tuning.SLPVectorization = false;
  llvm::LoopAnalysisManager loops;
  llvm::FunctionAnalysisManager functions;
  llvm::CGSCCAnalysisManager graph;
  llvm::ModuleAnalysisManager modules;
  llvm::PassBuilder builder(&machine, tuning);
  builder.registerModuleAnalyses(modules);
  builder.registerCGSCCAnalyses(graph);
  builder.registerFunctionAnalyses(functions);
  builder.registerLoopAnalyses(loops);
  builder.crossRegisterProxies(loops, functions, graph, modules);
  builder.buildPerModuleDefaultPipeline(llvm::OptimizationLevel::O3).run(module, modules);
}

llvm::Expected<std::string> mlir::transformer::translateToPTX(ModuleOp module, StringRef arch) {
  llvm::Expected<std::unique_ptr<llvm::TargetMachine>> machine = createMachine(arch);
  if (!machine)
    return machine.takeError();
  registerBuiltinDialectTranslation(*module.getContext());
  registerLLVMDialectTranslation(*module.getContext());
  registerNVVMDialectTranslation(*module.getContext());
  llvm::LLVMContext context;
  std::unique_ptr<llvm::Module> code = translateModuleToLLVMIR(module, context, "kernels");
  if (!code)
    return makeError("the lowered kernels do not translate to LLVM IR");
  code->setTargetTriple((*machine)->getTargetTriple());
  code->setDataLayout((*machine)->createDataLayout());
  optimize(*code, **machine);
  for (const llvm::Function &function : *code)
    if (function.isDeclaration() && !function.isIntrinsic() && !function.use_empty())
      return makeError("generated kernels need functions that PTX does not have: " + function.getName());
  llvm::SmallString<0> text;
  llvm::raw_svector_ostream stream(text);
  llvm::legacy::PassManager passes;
  if ((*machine)->addPassesToEmitFile(passes, stream, nullptr, llvm::CodeGenFileType::AssemblyFile))
    return makeError("this LLVM cannot print PTX");
  passes.run(*code);
  return text.str().str();
}

//===----------------------------------------------------------------------===//
// Cubins
//===----------------------------------------------------------------------===//

std::string mlir::transformer::findPtxas() {
  SmallVector<std::string> folders;
  for (const char *variable : {"CUDA_HOME", "CUDA_PATH"})
    if (std::optional<std::string> home = llvm::sys::Process::GetEnv(variable))
      folders.push_back(*home + "/bin");
  SmallVector<StringRef> first(folders.begin(), folders.end());
  if (!first.empty())
    if (llvm::ErrorOr<std::string> found = llvm::sys::findProgramByName("ptxas", first))
      return *found;
  if (llvm::ErrorOr<std::string> found = llvm::sys::findProgramByName("ptxas"))
    return *found;
  if (llvm::ErrorOr<std::string> found = llvm::sys::findProgramByName("ptxas", {"/usr/local/cuda/bin"}))
    return *found;
  return "";
}

/// Reads `ptxas -v`: after "Function properties for NAME" come its stack and registers.
static std::vector<KernelResources> parseResources(StringRef text) {
  std::vector<KernelResources> list;
  auto numberBefore = [](StringRef line, StringRef unit) -> int64_t {
    StringRef head = line.take_front(line.find(unit)).rtrim();
    int64_t value = 0;
    head.take_back(head.size() - (head.find_last_not_of("0123456789") + 1)).getAsInteger(10, value);
    return value;
  };
  SmallVector<StringRef> lines;
  text.split(lines, '\n');
  for (StringRef line : lines) {
    if (line.contains("Function properties for"))
      list.push_back({line.rsplit(' ').second.str()});
    if (list.empty())
      continue;
    if (line.contains("bytes spill stores"))
      list.back().spillBytes =
          numberBefore(line, " bytes spill stores") + numberBefore(line, " bytes spill loads");
    if (line.contains("Used ") && line.contains(" registers"))
      list.back().registers = numberBefore(line, " registers");
  }
  return list;
}

llvm::Expected<std::vector<KernelResources>> mlir::transformer::assemble(StringRef ptxas, StringRef ptx,
                                                                         StringRef arch, StringRef cubin) {
  SmallString<128> source, log;
  if (std::error_code code = llvm::sys::fs::createTemporaryFile("kernels", "ptx", source))
    return makeError("cannot create a temporary file: " + code.message());
  llvm::FileRemover removeSource(source);
  {
    std::error_code code;
    llvm::raw_fd_ostream stream(source, code);
    stream << ptx;
    stream.close();
    if (code || stream.has_error()) {
      stream.clear_error();
      return makeError("cannot write " + source);
    }
  }
  if (std::error_code code = llvm::sys::fs::createTemporaryFile("ptxas", "log", log))
    return makeError("cannot create a temporary file: " + code.message());
  llvm::FileRemover removeLog(log);
  std::string target = ("-arch=" + arch).str();
  StringRef arguments[] = {ptxas, target, "-O3", "-v", source, "-o", cubin};
  std::string message;
  int status = llvm::sys::ExecuteAndWait(ptxas, arguments, std::nullopt,
                                         {StringRef(""), StringRef(log), StringRef(log)}, /*SecondsToWait=*/0,
                                         /*MemoryLimit=*/0, &message);
  llvm::ErrorOr<std::unique_ptr<llvm::MemoryBuffer>> output = llvm::MemoryBuffer::getFile(log);
  StringRef text = output ? (*output)->getBuffer() : StringRef();
  SmallVector<StringRef> lines;
  text.split(lines, '\n');
  for (StringRef line : lines)
    if (line.contains("error") || line.contains("fatal") || line.contains("(C75"))
      return makeError("ptxas refuses generated kernels for " + arch + ": " + line.trim());
  if (status != 0)
    return makeError("ptxas failed for " + arch + ": " +
                     (message.empty() ? text.trim() : StringRef(message)));
  return parseResources(text);
}

//===----------------------------------------------------------------------===//
// The table
//===----------------------------------------------------------------------===//

/// The words of a launch that an argument has: a memref's address and dynamic sizes.
static int64_t wordsOf(Type type) {
  auto memref = dyn_cast<MemRefType>(type);
  return memref ? 1 + memref.getNumDynamicDims() : 1;
}

static json::Object mapOf(func::FuncOp kernel, xgpu::TensorMapAttr map) {
  int64_t word = 0;
  for (int64_t i = 0; i < map.getArgument(); ++i)
    word += wordsOf(kernel.getArgumentTypes()[i]);
  auto memref = cast<MemRefType>(kernel.getArgumentTypes()[map.getArgument()]);
  json::Array dims;
  int64_t next = 0, dynamic = word + 1;
  for (int64_t group : map.getGroups()) {
    int64_t factor = 1;
    json::Array words;
    for (int64_t end = next + group; next < end; ++next) {
      if (memref.isDynamicDim(next))
        words.push_back(dynamic++);
      else
        factor *= memref.getDimSize(next);
    }
    dims.push_back(json::Object{{"words", std::move(words)}, {"factor", factor}});
  }
  std::string dtype;
  llvm::raw_string_ostream(dtype) << memref.getElementType();
  return json::Object{{"word", word},
                      {"dtype", dtype},
                      {"swizzle", map.getSwizzle()},
                      {"box", json::Array(map.getBox())},
                      {"dims", std::move(dims)}};
}

/// What a launch can hand over (runtime/cuda checks it too: artifacts come from elsewhere), and what of it a
/// tensor map takes.
static constexpr int64_t kMostParameterBytes = 4096, kMapBytes = 128, kWordBytes = 8;

llvm::Expected<json::Array> mlir::transformer::kernelTable(ModuleOp module) {
  json::Array table;
  for (auto kernel : module.getOps<func::FuncOp>()) {
    xgpu::KernelAttr mark = xgpu::KernelAttr::of(kernel);
    json::Array tile, maps;
    for (const GridDim &factor : getGrid(kernel))
      tile.push_back(factor.tile);
    int64_t words = 0;
    for (auto [i, type] : llvm::enumerate(kernel.getArgumentTypes())) {
      if (auto map = kernel.getArgAttrOfType<xgpu::TensorMapAttr>(i, xgpu::TensorMapAttr::kName))
        maps.push_back(mapOf(kernel, map));
      else
        words += wordsOf(type);
    }
    int64_t bytes = static_cast<int64_t>(maps.size()) * kMapBytes + words * kWordBytes;
    if (bytes > kMostParameterBytes)
      return makeError("kernel " + kernel.getSymName() + " has " + llvm::Twine(bytes) +
                       " bytes of parameters, of which a GPU takes " + llvm::Twine(kMostParameterBytes) +
                       "; -O0 fuses no ops that read many tensors into one kernel");
    auto config = kernel->getAttrOfType<xgpu::ConfigAttr>(kGPUConfigAttr);
    table.push_back(json::Object{{"symbol", kernel.getSymName()},
                                 {"template", config ? config.getTemplateName() : "tasks"},
                                 {"threads", mark.getThreads()},
                                 {"shared", mark.getShared()},
                                 {"cluster", mark.getCluster()},
                                 {"persistent", mark.getPersistent()},
                                 {"overlaps", mark.getOverlaps()},
                                 {"words", words},
                                 {"tile", std::move(tile)},
                                 {"maps", std::move(maps)}});
  }
  return table;
}

std::optional<json::Object> mlir::transformer::samplingOf(ModuleOp module) {
  for (auto [number, kernel] : llvm::enumerate(module.getOps<func::FuncOp>())) {
    auto config = kernel->getAttrOfType<xgpu::ConfigAttr>(kGPUConfigAttr);
    if (!config || config.getTemplateName() != kSampleTemplate)
      continue;
    auto logits = cast<MemRefType>(kernel.getArgumentTypes()[XFM_SAMPLE_LOGITS]);
    return json::Object{{"kernel", static_cast<int64_t>(number)},
                        {"entry", kSampledEntry},
                        {"logits", kSampledLogits},
                        {"vocabulary", logits.getDimSize(1)}};
  }
  return std::nullopt;
}
