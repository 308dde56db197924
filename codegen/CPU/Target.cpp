//===- Target.cpp - the CPU code is generated for -------------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "codegen/CPU/Target.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/MC/MCSubtargetInfo.h"
#include "llvm/MC/TargetRegistry.h"
#include "llvm/Support/TargetSelect.h"
#include "llvm/TargetParser/Host.h"
#include "llvm/TargetParser/Triple.h"

#include <mutex>

using namespace mlir::transformer;

/// What generated code can profit from; features beyond these are not asked for,
/// so that an artifact does not refuse a CPU for something it never uses.
static llvm::ArrayRef<llvm::StringLiteral> usefulFeatures(const llvm::Triple &triple) {
  static const llvm::StringLiteral x86[] = {
      "avx",     "avx2",       "avx512bf16",  "avx512bw", "avx512cd",   "avx512dq",
      "avx512f", "avx512vbmi", "avx512vbmi2", "avx512vl", "avx512vnni", "avx512vpopcntdq",
      "avxvnni", "bmi",        "bmi2",        "f16c",     "fma",        "lzcnt",
      "movbe",   "popcnt",     "sse3",        "sse4.1",   "sse4.2",     "ssse3"};
  static const llvm::StringLiteral arm[] = {"bf16", "dotprod", "fp-armv8", "fullfp16", "i8mm", "neon"};
  return triple.isX86() ? llvm::ArrayRef(x86) : llvm::ArrayRef(arm);
}

static llvm::Error makeError(const llvm::Twine &message) {
  return llvm::createStringError(llvm::inconvertibleErrorCode(), message);
}

static llvm::Expected<const llvm::Target *> lookup(const llvm::Triple &triple) {
  static std::once_flag once;
  std::call_once(once, [] {
    llvm::InitializeAllTargets();
    llvm::InitializeAllTargetMCs();
    llvm::InitializeAllAsmPrinters();
  });
  std::string message;
  const llvm::Target *target = llvm::TargetRegistry::lookupTarget(triple, message);
  if (!target)
    return makeError("no code generator for " + triple.str() + ": " + message);
  return target;
}

llvm::Expected<CPUTarget> CPUTarget::resolve(llvm::StringRef mcpu) {
  llvm::Triple triple(llvm::sys::getDefaultTargetTriple());
  llvm::Expected<const llvm::Target *> target = lookup(triple);
  if (!target)
    return target.takeError();
  bool native = mcpu == "native";
  CPUTarget result;
  result.triple = triple.str();
  result.cpu = native ? llvm::sys::getHostCPUName().str() : mcpu.str();
  std::unique_ptr<llvm::MCSubtargetInfo> subtarget((*target)->createMCSubtargetInfo(triple, "", ""));
  if (!native && !subtarget->isCPUStringValid(mcpu))
    return makeError("unknown CPU \"" + mcpu +
                     "\" for --mcpu; use native, x86-64-v3, x86-64-v4 or a name that "
                     "`llc --mcpu=help` lists");
  if (native) {
    llvm::StringMap<bool> host = llvm::sys::getHostCPUFeatures();
    for (llvm::StringRef feature : usefulFeatures(triple))
      if (host.lookup(feature))
        result.features.push_back(feature.str());
  } else {
    subtarget.reset((*target)->createMCSubtargetInfo(triple, mcpu, ""));
    for (llvm::StringRef feature : usefulFeatures(triple))
      if (subtarget->checkFeatures(("+" + feature).str()))
        result.features.push_back(feature.str());
  }
  return result;
}

bool CPUTarget::has(llvm::StringRef feature) const { return llvm::is_contained(features, feature); }

int64_t CPUTarget::vectorBytes() const {
  // AVX-512 is taken as a whole: masks on all element types need BW and VL.
  bool avx512 = has("avx512f") && has("avx512bw") && has("avx512vl") && has("avx512dq");
  return avx512 ? 64 : has("avx") ? 32 : 16;
}

int64_t CPUTarget::vectorRegisters() const {
  return vectorBytes() == 64 || !llvm::Triple(triple).isX86() ? 32 : 16;
}

llvm::Expected<std::unique_ptr<llvm::TargetMachine>> CPUTarget::createMachine() const {
  llvm::Triple parsed(triple);
  llvm::Expected<const llvm::Target *> target = lookup(parsed);
  if (!target)
    return target.takeError();
  std::string list;
  for (const std::string &feature : features)
    list += (list.empty() ? "+" : ",+") + feature;
  // The baseline CPU with the listed features: the name alone would bring others in.
  llvm::StringRef baseline = parsed.isX86() ? "x86-64" : "generic";
  std::unique_ptr<llvm::TargetMachine> machine(
      (*target)->createTargetMachine(parsed, baseline, list, llvm::TargetOptions(), llvm::Reloc::PIC_,
                                     llvm::CodeModel::Small, llvm::CodeGenOptLevel::Aggressive));
  if (!machine)
    return makeError("no code generator for " + triple);
  return machine;
}
