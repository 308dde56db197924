//===- Target.cpp - the CPU code is generated for -------------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "codegen/CPU/Target.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/Sequence.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/MC/MCInstrInfo.h"
#include "llvm/MC/MCSchedule.h"
#include "llvm/MC/MCSubtargetInfo.h"
#include "llvm/MC/TargetRegistry.h"
#include "llvm/Support/TargetSelect.h"
#include "llvm/Support/Threading.h"
#include "llvm/TargetParser/Host.h"
#include "llvm/TargetParser/Triple.h"

#include <algorithm>
#include <cmath>
#include <mutex>
#include <unistd.h>

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

/// The systems code is generated for; the runtime knows no others.
static llvm::ArrayRef<llvm::StringLiteral> knownTriples() {
  static const llvm::StringLiteral triples[] = {"x86_64-unknown-linux-gnu", "aarch64-unknown-linux-gnu"};
  return triples;
}

/// What LLVM knows of a CPU; null where that is none of the triple's architecture.
static llvm::Expected<std::unique_ptr<llvm::MCSubtargetInfo>> describe(const llvm::Triple &triple,
                                                                       llvm::StringRef cpu) {
  llvm::Expected<const llvm::Target *> target = lookup(triple);
  if (!target)
    return target.takeError();
  // Asked without a name first: one that it does not know makes LLVM print a warning.
  std::unique_ptr<llvm::MCSubtargetInfo> subtarget((*target)->createMCSubtargetInfo(triple, "", ""));
  if (!subtarget->isCPUStringValid(cpu))
    return nullptr;
  subtarget.reset((*target)->createMCSubtargetInfo(triple, cpu, ""));
  return subtarget;
}

static bool isKnown(const llvm::Triple &triple) {
  return llvm::any_of(knownTriples(), [&](llvm::StringRef known) {
    return triple.getArch() == llvm::Triple(known).getArch() && triple.isOSLinux();
  });
}

/// The triples `cpu` may belong to, the likeliest first.
static llvm::Expected<llvm::SmallVector<llvm::Triple>> candidates(llvm::StringRef mtriple) {
  if (!mtriple.empty()) {
    llvm::Triple given(llvm::Triple::normalize(mtriple));
    if (!isKnown(given))
      return makeError("unknown triple \"" + mtriple + "\" for --mtriple; use " +
                       llvm::join(knownTriples(), " or "));
    return llvm::SmallVector<llvm::Triple>{given};
  }
  llvm::Triple host(llvm::sys::getDefaultTargetTriple());
  llvm::SmallVector<llvm::Triple> result{host};
  for (llvm::StringRef known : knownTriples())
    if (llvm::Triple other(known); other.getArch() != host.getArch())
      result.push_back(other);
  return result;
}

/// The instruction that most of the time of products is spent in.
static llvm::StringRef multiplyInstruction(const CPUTarget &target) {
  if (!target.isX86())
    return "FMLAv4f32";
  if (!target.has("fma"))
    return "MULPSrr";
  return target.vectorBytes() == 64 ? "VFMADD231PSZr" : "VFMADD231PSYr";
}

/// How many products of vectors begin in a cycle and how long one takes, as LLVM's scheduling model of the
/// CPU says.
static void describeMultiplication(const llvm::MCSubtargetInfo &subtarget, CPUTarget &target) {
  const llvm::MCSchedModel &model = subtarget.getSchedModel();
  if (!model.hasInstrSchedModel())
    return;
  std::string message;
  const llvm::Target *llvmTarget = llvm::TargetRegistry::lookupTarget(subtarget.getTargetTriple(), message);
  std::unique_ptr<llvm::MCInstrInfo> instructions(llvmTarget->createMCInstrInfo());
  auto opcodes = llvm::seq<unsigned>(0, instructions->getNumOpcodes());
  auto found = llvm::find_if(opcodes, [&, name = multiplyInstruction(target)](unsigned opcode) {
    return instructions->getName(opcode) == name;
  });
  if (found == opcodes.end())
    return;
  const llvm::MCSchedClassDesc &costs = *model.getSchedClassDesc(instructions->get(*found).getSchedClass());
  if (!costs.isValid() || costs.isVariant())
    return;
  double cycles = llvm::MCSchedModel::getReciprocalThroughput(subtarget, costs);
  target.fmaPipes = std::clamp<int64_t>(std::lround(1 / cycles), 1, 4);
  target.fmaLatency = std::clamp(llvm::MCSchedModel::computeInstrLatency(subtarget, costs), 1, 8);
  // LLVM has a Zen 4's model for a Zen 5, whose pipes are twice as wide (those of its mobile kin are not).
  if (target.cpu == "znver5")
    target.fmaPipes = 2;
}

/// What follows from the features and LLVM's model of the CPU alone. Few with AVX-512 have less than a
/// megabyte of second-level cache, and others half of it is a safe guess for.
static void describeCPU(const llvm::MCSubtargetInfo &subtarget, CPUTarget &target) {
  target.l2Bytes = target.vectorBytes() == 64 ? 1 << 20 : 1 << 19;
  describeMultiplication(subtarget, target);
}

/// A size that the C library says of this machine: 0 or -1 where it does not know, and odd ones in virtual
/// machines.
static int64_t sizeOfHost(int name, int64_t least, int64_t most, int64_t otherwise) {
  int64_t size = sysconf(name);
  return size > 0 ? std::clamp(size, least, most) : otherwise;
}

/// What of this machine generated code can use.
static llvm::Expected<CPUTarget> describeHost(const llvm::Triple &triple) {
  CPUTarget result{triple.str(), llvm::sys::getHostCPUName().str(), {}};
  llvm::StringMap<bool> host = llvm::sys::getHostCPUFeatures();
  for (llvm::StringRef feature : usefulFeatures(triple))
    if (host.lookup(feature))
      result.features.push_back(feature.str());
  llvm::Expected<std::unique_ptr<llvm::MCSubtargetInfo>> subtarget = describe(triple, result.cpu);
  if (!subtarget)
    return subtarget.takeError();
  if (*subtarget)
    describeCPU(**subtarget, result);
  result.l1Bytes = sizeOfHost(_SC_LEVEL1_DCACHE_SIZE, 1 << 14, 1 << 18, result.l1Bytes);
  result.l2Bytes = sizeOfHost(_SC_LEVEL2_CACHE_SIZE, 1 << 18, 1 << 21, result.l2Bytes);
  result.cores = llvm::hardware_concurrency().compute_thread_count();
  return result;
}

llvm::Expected<CPUTarget> CPUTarget::resolve(llvm::StringRef mcpu, llvm::StringRef mtriple) {
  llvm::Expected<llvm::SmallVector<llvm::Triple>> triples = candidates(mtriple);
  if (!triples)
    return triples.takeError();
  if (mcpu == "native") {
    const llvm::Triple &triple = triples->front();
    if (triple.getArch() == llvm::Triple(llvm::sys::getDefaultTargetTriple()).getArch())
      return describeHost(triple);
    mcpu = "generic";
  }
  for (const llvm::Triple &triple : *triples) {
    llvm::Expected<std::unique_ptr<llvm::MCSubtargetInfo>> subtarget = describe(triple, mcpu);
    if (!subtarget)
      return subtarget.takeError();
    if (!*subtarget)
      continue;
    CPUTarget result{triple.str(), mcpu.str(), {}};
    for (llvm::StringRef feature : usefulFeatures(triple))
      if ((*subtarget)->checkFeatures(("+" + feature).str()))
        result.features.push_back(feature.str());
    describeCPU(**subtarget, result);
    return result;
  }
  return makeError("unknown CPU \"" + mcpu + "\" for --mcpu" +
                   (mtriple.empty() ? "" : " and --mtriple=" + mtriple) +
                   "; use native, x86-64-v3, x86-64-v4, neoverse-n1 or a name that "
                   "`llc --mcpu=help` lists");
}

bool CPUTarget::isX86() const { return llvm::Triple(triple).isX86(); }

bool CPUTarget::has(llvm::StringRef feature) const { return llvm::is_contained(features, feature); }

int64_t CPUTarget::vectorBytes() const {
  // AVX-512 is taken as a whole: masks on all element types need BW and VL.
  bool avx512 = has("avx512f") && has("avx512bw") && has("avx512vl") && has("avx512dq");
  return avx512 ? 64 : has("avx") ? 32 : 16;
}

int64_t CPUTarget::vectorRegisters() const { return vectorBytes() == 64 || !isX86() ? 32 : 16; }

bool CPUTarget::multipliesBF16() const {
  return isX86() ? has("avx512bf16") && vectorBytes() == 64 : has("bf16");
}

/// A stream of a Zen comes to the second level: the misses that the first keeps count of are fewer than
/// memory could answer (24 on a Zen 4). What a Zen 5 reads soon it reads faster from the first.
int64_t CPUTarget::levelOf(Prefetched what) const {
  switch (what) {
  case Prefetched::Soon:
    return cpu == "znver5" ? 1 : 2;
  case Prefetched::Later:
    return 2;
  case Prefetched::Stream:
    return llvm::StringRef(cpu).starts_with("znver") ? 2 : 1;
  case Prefetched::Nearest:
    return 1;
  }
  llvm_unreachable("no other kind");
}

int64_t CPUTarget::int8Depth() const {
  if (!isX86())
    return has("dotprod") ? 4 : 1;
  int64_t bytes = vectorBytes();
  if (bytes == 64 ? has("avx512vnni") : bytes == 32 && has("avxvnni"))
    return 4;
  return bytes != 32 || has("avx2") ? 2 : 1;
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
