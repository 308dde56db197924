//===- Backend.cpp - LLVM dialect to a shared object ----------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "codegen/CPU/Backend.h"
#include "dialect/Transformer.h"

#include "lld/Common/Driver.h"
#include "mlir/Target/LLVMIR/Dialect/Builtin/BuiltinToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Dialect/LLVMIR/LLVMToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Export.h"
#include "llvm/AsmParser/Parser.h"
#include "llvm/IR/InstIterator.h"
#include "llvm/IR/IntrinsicInst.h"
#include "llvm/IR/LegacyPassManager.h"
#include "llvm/Linker/Linker.h"
#include "llvm/Passes/PassBuilder.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/SourceMgr.h"
#include "llvm/Transforms/IPO/Internalize.h"
#include "llvm/Transforms/Utils/Cloning.h"

#include <cerrno>
#include <fcntl.h>
#include <thread>
#include <unistd.h>

LLD_HAS_DRIVER(elf)

using namespace mlir;
using namespace mlir::transformer;

static llvm::Error makeError(const llvm::Twine &message) {
  return llvm::createStringError(llvm::inconvertibleErrorCode(), message);
}

/// The code generator may call these wherever it likes; a module brings its own.
/// "no-builtins" keeps the loops from being recognised as what they implement.
static const char kMemoryFunctions[] = R"(
define hidden ptr @memcpy(ptr %d, ptr %s, i64 %n) #0 {
entry:
  %empty = icmp eq i64 %n, 0
  br i1 %empty, label %done, label %loop
loop:
  %i = phi i64 [ 0, %entry ], [ %next, %loop ]
  %from = getelementptr i8, ptr %s, i64 %i
  %to = getelementptr i8, ptr %d, i64 %i
  %byte = load i8, ptr %from
  store i8 %byte, ptr %to
  %next = add i64 %i, 1
  %more = icmp ult i64 %next, %n
  br i1 %more, label %loop, label %done
done:
  ret ptr %d
}
define hidden ptr @memmove(ptr %d, ptr %s, i64 %n) #0 {
entry:
  %forward = icmp ule ptr %d, %s
  br i1 %forward, label %copy, label %back.entry
copy:
  %r = call ptr @memcpy(ptr %d, ptr %s, i64 %n)
  ret ptr %d
back.entry:
  %empty = icmp eq i64 %n, 0
  br i1 %empty, label %done, label %loop
loop:
  %i = phi i64 [ %n, %back.entry ], [ %next, %loop ]
  %next = sub i64 %i, 1
  %from = getelementptr i8, ptr %s, i64 %next
  %to = getelementptr i8, ptr %d, i64 %next
  %byte = load i8, ptr %from
  store i8 %byte, ptr %to
  %more = icmp ne i64 %next, 0
  br i1 %more, label %loop, label %done
done:
  ret ptr %d
}
define hidden ptr @memset(ptr %d, i32 %value, i64 %n) #0 {
entry:
  %byte = trunc i32 %value to i8
  %empty = icmp eq i64 %n, 0
  br i1 %empty, label %done, label %loop
loop:
  %i = phi i64 [ 0, %entry ], [ %next, %loop ]
  %to = getelementptr i8, ptr %d, i64 %i
  store i8 %byte, ptr %to
  %next = add i64 %i, 1
  %more = icmp ult i64 %next, %n
  br i1 %more, label %loop, label %done
done:
  ret ptr %d
}
attributes #0 = { nounwind "no-builtins" noinline optsize }
@llvm.compiler.used = appending global [3 x ptr] [ptr @memcpy, ptr @memmove, ptr @memset], section "llvm.metadata"
)";

static bool isExported(const llvm::GlobalValue &value) {
  llvm::StringRef name = value.getName();
  return name == "xfm_module_init" || name.starts_with("xfm_entry_") || name.starts_with("xfm_arena_");
}

/// Makes what kernels ask for (`Prefetched`) come to the cache that the target says.
static void choosePrefetches(llvm::Function &function, const CPUTarget &target) {
  for (llvm::Instruction &instruction : llvm::instructions(function)) {
    auto *prefetch = llvm::dyn_cast<llvm::IntrinsicInst>(&instruction);
    if (!prefetch || prefetch->getIntrinsicID() != llvm::Intrinsic::prefetch)
      continue;
    auto *locality = llvm::cast<llvm::ConstantInt>(prefetch->getArgOperand(2));
    int64_t level = target.levelOf(static_cast<Prefetched>(locality->getZExtValue()));
    prefetch->setArgOperand(2, llvm::ConstantInt::get(locality->getType(), level == 2 ? 2 : 3));
  }
}

/// Everything but the entry points is internal, and may use all of the target.
static void prepare(llvm::Module &module, const CPUTarget &target) {
  llvm::internalizeModule(module, [](const llvm::GlobalValue &value) {
    return isExported(value) || value.getName() == "memcpy" || value.getName() == "memmove" ||
           value.getName() == "memset";
  });
  for (llvm::Function &function : module) {
    if (function.isDeclaration())
      continue;
    function.addFnAttr(llvm::Attribute::NoUnwind);
    choosePrefetches(function, target);
    // An entry point is one long block of address arithmetic that grows with the
    // model's depth; optimising it costs more than it could ever save.
    if (function.getName().starts_with("xfm_entry_")) {
      function.addFnAttr(llvm::Attribute::OptimizeNone);
      function.addFnAttr(llvm::Attribute::NoInline);
    }
    // A loop that copies or clears stays a loop of vectors: the module's own memcpy and
    // memset are there for what the backend itself asks for, and slow.
    function.addFnAttr("no-builtins");
    std::string bits = std::to_string(target.vectorBytes() * 8);
    function.addFnAttr("prefer-vector-width", bits);
    function.addFnAttr("min-legal-vector-width", bits);
    // The default schedule of AArch64 is for CPUs that run instructions in order: it loads early, and
    // with register tiles that take nearly all registers it spills.
    if (!target.isX86())
      function.addFnAttr("tune-cpu", "cortex-a76");
  }
}

static void optimize(llvm::Module &module, llvm::TargetMachine &machine) {
  // Kernels come with their vectors and register tiles; more unrolling only spills them.
  llvm::PipelineTuningOptions tuning;
  tuning.LoopUnrolling = false;
  tuning.LoopVectorization = false;
  tuning.SLPVectorization = false;
  tuning.LoopInterleaving = false;
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
  builder.buildPerModuleDefaultPipeline(llvm::OptimizationLevel::O2).run(module, modules);
}

/// Functions that are called but not there, e.g. of libm.
static llvm::Error checkUndefined(const llvm::Module &module) {
  std::string names;
  for (const llvm::Function &function : module)
    if (function.isDeclaration() && !function.isIntrinsic() && !function.use_empty())
      names += (names.empty() ? "" : ", ") + function.getName().str();
  if (names.empty())
    return llvm::Error::success();
  return makeError("generated code needs functions that modules do not have: " + names);
}

llvm::Expected<std::unique_ptr<CPUBackend>> CPUBackend::create(ModuleOp source, const CPUTarget &target) {
  llvm::Expected<std::unique_ptr<llvm::TargetMachine>> machine = target.createMachine();
  if (!machine)
    return machine.takeError();
  registerBuiltinDialectTranslation(*source.getContext());
  registerLLVMDialectTranslation(*source.getContext());
  auto backend = std::make_unique<CPUBackend>();
  backend->machine = std::move(*machine);
  // Weight symbols have no code.
  OwningOpRef<ModuleOp> code = source.clone();
  for (Operation &op : llvm::make_early_inc_range(*code->getBody()))
    if (isa<WeightOp, DeriveOp>(op))
      op.erase();
  backend->module = translateModuleToLLVMIR(*code, backend->context, "module");
  if (!backend->module)
    return makeError("the lowered module does not translate to LLVM IR");
  llvm::Module &module = *backend->module;
  module.setTargetTriple(backend->machine->getTargetTriple());
  module.setDataLayout(backend->machine->createDataLayout());
  module.setPICLevel(llvm::PICLevel::BigPIC);

  llvm::SMDiagnostic diagnostic;
  std::unique_ptr<llvm::Module> helpers =
      llvm::parseAssemblyString(kMemoryFunctions, diagnostic, backend->context);
  if (!helpers)
    return makeError("the memory functions do not parse: " + diagnostic.getMessage());
  helpers->setTargetTriple(module.getTargetTriple());
  helpers->setDataLayout(module.getDataLayout());
  if (llvm::Linker::linkModules(module, std::move(helpers)))
    return makeError("the memory functions do not link");
  prepare(module, target);
  optimize(module, *backend->machine);
  if (llvm::Error error = checkUndefined(module))
    return std::move(error);
  return backend;
}

void CPUBackend::printIR(llvm::raw_ostream &os) const { module->print(os, nullptr); }

llvm::Error CPUBackend::emit(llvm::raw_pwrite_stream &os, llvm::CodeGenFileType type) {
  llvm::legacy::PassManager passes;
  // Code generation changes the module: print a clone.
  std::unique_ptr<llvm::Module> clone = llvm::CloneModule(*module);
  if (machine->addPassesToEmitFile(passes, os, nullptr, type))
    return makeError("the target cannot emit this kind of file");
  passes.run(*clone);
  return llvm::Error::success();
}

llvm::Error CPUBackend::printAssembly(llvm::raw_ostream &os) {
  llvm::SmallString<0> text;
  llvm::raw_svector_ostream stream(text);
  if (llvm::Error error = emit(stream, llvm::CodeGenFileType::AssemblyFile))
    return error;
  os << text;
  return llvm::Error::success();
}

/// Links an object file and returns the shared object. lld writes files through a
/// mapping, where a full disk is a SIGBUS, or ends the process when it is told not
/// to; to a pipe it just writes.
static llvm::Expected<std::string> linkShared(const std::string &object) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0)
    return makeError("cannot link: " + std::generic_category().message(errno));
  std::string image, errors, output = "/proc/self/fd/" + std::to_string(ends[1]);
  std::thread reader([&] {
    char buffer[1 << 16];
    ssize_t count;
    while ((count = read(ends[0], buffer, sizeof buffer)) > 0 || (count < 0 && errno == EINTR))
      image.append(buffer, std::max<ssize_t>(count, 0));
  });
  llvm::raw_string_ostream errorStream(errors);
  std::vector<const char *> arguments{
      "ld.lld",      "-shared",       "--no-undefined",  "-z", "now", "-z",
      "noexecstack", "--gc-sections", "--build-id=none", "-s", "-o",  output.c_str(),
      object.c_str()};
  lld::Result result = lld::lldMain(arguments, llvm::nulls(), errorStream, {{lld::Gnu, &lld::elf::link}});
  close(ends[1]);
  reader.join();
  close(ends[0]);
  if (result.retCode != 0)
    return makeError("linking failed: " + llvm::StringRef(errors).split('\n').first);
  return image;
}

llvm::Error CPUBackend::writeSharedObject(llvm::StringRef path) {
  std::string object = (path + ".o").str();
  {
    std::error_code code;
    llvm::raw_fd_ostream stream(object, code);
    if (code)
      return makeError("cannot write " + object + ": " + code.message());
    llvm::Error error = emit(stream, llvm::CodeGenFileType::ObjectFile);
    stream.close();
    if (!error && stream.has_error())
      error = makeError("cannot write " + object + ": " + stream.error().message());
    stream.clear_error();
    if (error) {
      llvm::sys::fs::remove(object);
      return error;
    }
  }
  llvm::Expected<std::string> image = linkShared(object);
  llvm::sys::fs::remove(object);
  if (!image)
    return image.takeError();
  std::error_code code;
  llvm::raw_fd_ostream stream(path, code);
  if (code)
    return makeError("cannot write " + path + ": " + code.message());
  stream << *image;
  stream.close();
  code = stream.error();
  stream.clear_error();
  if (code)
    return makeError("cannot write " + path + ": " + code.message());
  return llvm::Error::success();
}
