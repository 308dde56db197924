//===- CpuFeatures.cpp - whether this machine can run an artifact ---------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The names and bits are those of LLVM's getHostCPUFeatures, so that what a
// compiler finds by "native" is found here as well.
//
//===----------------------------------------------------------------------===//

#include "runtime/CpuFeatures.h"

#include <unistd.h>

#if defined(__x86_64__)
#include <cpuid.h>
#include <sys/syscall.h>
#elif defined(__aarch64__)
#include <sys/auxv.h>
#endif

using namespace xfm;

#if defined(__x86_64__)

static constexpr const char *hostArchitecture = "x86_64";

namespace {
enum Register { EAX, EBX, ECX, EDX };

/// The registers that the system must save for a feature to be usable, as bits
/// of XCR0. Without them its instructions fault whatever the CPU says.
enum SavedState : uint64_t { None = 0, AVX = 0x6, AVX512 = 0xe6, AMX = 0x60000, APX = 0x80000 };

struct Row {
  const char *name;
  uint32_t leaf, subleaf;
  Register reg;
  int bit;
  SavedState state = None;
};
} // namespace

static constexpr Row featureTable[] = {
    {"x87", 1, 0, EDX, 0},
    {"cx8", 1, 0, EDX, 8},
    {"cmov", 1, 0, EDX, 15},
    {"mmx", 1, 0, EDX, 23},
    {"fxsr", 1, 0, EDX, 24},
    {"sse", 1, 0, EDX, 25},
    {"sse2", 1, 0, EDX, 26},
    {"sse3", 1, 0, ECX, 0},
    {"pclmul", 1, 0, ECX, 1},
    {"ssse3", 1, 0, ECX, 9},
    {"fma", 1, 0, ECX, 12, AVX},
    {"cx16", 1, 0, ECX, 13},
    {"sse4.1", 1, 0, ECX, 19},
    {"sse4.2", 1, 0, ECX, 20},
    {"crc32", 1, 0, ECX, 20},
    {"movbe", 1, 0, ECX, 22},
    {"popcnt", 1, 0, ECX, 23},
    {"aes", 1, 0, ECX, 25},
    {"xsave", 1, 0, ECX, 27},
    {"avx", 1, 0, ECX, 28, AVX},
    {"f16c", 1, 0, ECX, 29, AVX},
    {"rdrnd", 1, 0, ECX, 30},
    {"fsgsbase", 7, 0, EBX, 0},
    {"sgx", 7, 0, EBX, 2},
    {"bmi", 7, 0, EBX, 3},
    {"avx2", 7, 0, EBX, 5, AVX},
    {"bmi2", 7, 0, EBX, 8},
    {"invpcid", 7, 0, EBX, 10},
    {"rtm", 7, 0, EBX, 11},
    {"avx512f", 7, 0, EBX, 16, AVX512},
    {"evex512", 7, 0, EBX, 16, AVX512},
    {"avx512dq", 7, 0, EBX, 17, AVX512},
    {"rdseed", 7, 0, EBX, 18},
    {"adx", 7, 0, EBX, 19},
    {"avx512ifma", 7, 0, EBX, 21, AVX512},
    {"clflushopt", 7, 0, EBX, 23},
    {"clwb", 7, 0, EBX, 24},
    {"avx512cd", 7, 0, EBX, 28, AVX512},
    {"sha", 7, 0, EBX, 29},
    {"avx512bw", 7, 0, EBX, 30, AVX512},
    {"avx512vl", 7, 0, EBX, 31, AVX512},
    {"avx512vbmi", 7, 0, ECX, 1, AVX512},
    {"pku", 7, 0, ECX, 4},
    {"waitpkg", 7, 0, ECX, 5},
    {"avx512vbmi2", 7, 0, ECX, 6, AVX512},
    {"shstk", 7, 0, ECX, 7},
    {"gfni", 7, 0, ECX, 8},
    {"vaes", 7, 0, ECX, 9, AVX},
    {"vpclmulqdq", 7, 0, ECX, 10, AVX},
    {"avx512vnni", 7, 0, ECX, 11, AVX512},
    {"avx512bitalg", 7, 0, ECX, 12, AVX512},
    {"avx512vpopcntdq", 7, 0, ECX, 14, AVX512},
    {"rdpid", 7, 0, ECX, 22},
    {"kl", 7, 0, ECX, 23},
    {"cldemote", 7, 0, ECX, 25},
    {"movdiri", 7, 0, ECX, 27},
    {"movdir64b", 7, 0, ECX, 28},
    {"enqcmd", 7, 0, ECX, 29},
    {"uintr", 7, 0, EDX, 5},
    {"avx512vp2intersect", 7, 0, EDX, 8, AVX512},
    {"serialize", 7, 0, EDX, 14},
    {"tsxldtrk", 7, 0, EDX, 16},
    {"pconfig", 7, 0, EDX, 18},
    {"amx-bf16", 7, 0, EDX, 22, AMX},
    {"avx512fp16", 7, 0, EDX, 23, AVX512},
    {"amx-tile", 7, 0, EDX, 24, AMX},
    {"amx-int8", 7, 0, EDX, 25, AMX},
    {"sha512", 7, 1, EAX, 0, AVX},
    {"sm3", 7, 1, EAX, 1, AVX},
    {"sm4", 7, 1, EAX, 2, AVX},
    {"raoint", 7, 1, EAX, 3},
    {"avxvnni", 7, 1, EAX, 4, AVX},
    {"avx512bf16", 7, 1, EAX, 5, AVX512},
    {"cmpccxadd", 7, 1, EAX, 7},
    {"amx-fp16", 7, 1, EAX, 21, AMX},
    {"hreset", 7, 1, EAX, 22},
    {"avxifma", 7, 1, EAX, 23, AVX},
    {"movrs", 7, 1, EAX, 31},
    {"avxvnniint8", 7, 1, EDX, 4, AVX},
    {"avxneconvert", 7, 1, EDX, 5, AVX},
    {"amx-complex", 7, 1, EDX, 8, AMX},
    {"avxvnniint16", 7, 1, EDX, 10, AVX},
    {"prefetchi", 7, 1, EDX, 14},
    {"usermsr", 7, 1, EDX, 15},
    {"ccmp", 7, 1, EDX, 21, APX},
    {"cf", 7, 1, EDX, 21, APX},
    {"egpr", 7, 1, EDX, 21, APX},
    {"ndd", 7, 1, EDX, 21, APX},
    {"nf", 7, 1, EDX, 21, APX},
    {"ppx", 7, 1, EDX, 21, APX},
    {"push2pop2", 7, 1, EDX, 21, APX},
    {"zu", 7, 1, EDX, 21, APX},
    {"xsaveopt", 0xd, 1, EAX, 0},
    {"xsavec", 0xd, 1, EAX, 1},
    {"xsaves", 0xd, 1, EAX, 3},
    {"ptwrite", 0x14, 0, EBX, 4},
    {"widekl", 0x19, 0, EBX, 2},
    {"amx-fp8", 0x1e, 1, EAX, 4, AMX},
    {"amx-tf32", 0x1e, 1, EAX, 6, AMX},
    {"amx-avx512", 0x1e, 1, EAX, 7, AMX},
    {"amx-movrs", 0x1e, 1, EAX, 8, AMX},
    {"sahf", 0x80000001, 0, ECX, 0},
    {"lzcnt", 0x80000001, 0, ECX, 5},
    {"sse4a", 0x80000001, 0, ECX, 6},
    {"prfchw", 0x80000001, 0, ECX, 8},
    {"xop", 0x80000001, 0, ECX, 11, AVX},
    {"lwp", 0x80000001, 0, ECX, 15},
    {"fma4", 0x80000001, 0, ECX, 16, AVX},
    {"tbm", 0x80000001, 0, ECX, 21},
    {"mwaitx", 0x80000001, 0, ECX, 29},
    {"64bit", 0x80000001, 0, EDX, 29},
    {"clzero", 0x80000008, 0, EBX, 0},
    {"rdpru", 0x80000008, 0, EBX, 4},
    {"wbnoinvd", 0x80000008, 0, EBX, 9},
};

/// XCR0: the register states that the system saves for a thread.
static uint64_t savedStates() {
  uint32_t eax, ebx, ecx, edx;
  if (!__get_cpuid(1, &eax, &ebx, &ecx, &edx) || !(ecx & bit_OSXSAVE))
    return 0; // XGETBV itself faults then
  uint32_t low, high;
  asm volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return uint64_t{high} << 32 | low;
}

static bool cpuidBit(const Row &row) {
  uint32_t values[4];
  // A leaf that the CPU does not have reads as zeros; one beyond the last reads
  // as the last, hence the test of the highest leaf inside __get_cpuid_count.
  if (!__get_cpuid_count(row.leaf, row.subleaf, &values[EAX], &values[EBX], &values[ECX], &values[EDX]))
    return false;
  return values[row.reg] >> row.bit & 1;
}

/// AVX10 has a version number instead of bits.
static bool hasAvx10(uint32_t version) {
  constexpr Row avx10 = {"avx10", 7, 1, EDX, 19, AVX512};
  uint32_t eax, ebx, ecx, edx;
  return cpuidBit(avx10) && (savedStates() & AVX512) == AVX512 &&
         __get_cpuid_count(0x24, 0, &eax, &ebx, &ecx, &edx) && (ebx & 0xff) >= version;
}

Feature xfm::cpuFeature(std::string_view name) {
  if (name == "avx10.1" || name == "avx10.2")
    return hasAvx10(name.back() - '0') ? Feature::Present : Feature::Missing;
  for (const Row &row : featureTable)
    if (name == row.name)
      return cpuidBit(row) && (savedStates() & row.state) == row.state ? Feature::Present : Feature::Missing;
  return Feature::Unknown;
}

/// Linux lets a process use the tile registers only after it asked for them.
static Status requestTiles(const std::string &path) {
  constexpr int requestPermission = 0x1023, tileData = 18; // ARCH_REQ_XCOMP_PERM, XTILEDATA
  if (syscall(SYS_arch_prctl, requestPermission, tileData) != 0)
    return fail(XFM_TARGET_MISMATCH, path, ": needs AMX, but the system does not grant it to this process: ",
                "compile the model without amx-tile");
  return {};
}

#elif defined(__aarch64__)

static constexpr const char *hostArchitecture = "aarch64";

namespace {
struct Row {
  const char *name;
  unsigned long word; ///< AT_HWCAP or AT_HWCAP2
  int bit;
};
} // namespace

static constexpr Row featureTable[] = {
    {"fp-armv8", AT_HWCAP, 0},   {"neon", AT_HWCAP, 1},     {"aes", AT_HWCAP, 4},
    {"sha2", AT_HWCAP, 6},       {"crc", AT_HWCAP, 7},      {"lse", AT_HWCAP, 8},
    {"fullfp16", AT_HWCAP, 10},  {"rdm", AT_HWCAP, 12},     {"jsconv", AT_HWCAP, 13},
    {"complxnum", AT_HWCAP, 14}, {"rcpc", AT_HWCAP, 15},    {"ccpp", AT_HWCAP, 16},
    {"sha3", AT_HWCAP, 17},      {"sm4", AT_HWCAP, 19},     {"dotprod", AT_HWCAP, 20},
    {"sve", AT_HWCAP, 22},       {"fp16fml", AT_HWCAP, 23}, {"flagm", AT_HWCAP, 27},
    {"sb", AT_HWCAP, 29},        {"sve2", AT_HWCAP2, 1},    {"i8mm", AT_HWCAP2, 13},
    {"bf16", AT_HWCAP2, 14},     {"sme", AT_HWCAP2, 23},
};

Feature xfm::cpuFeature(std::string_view name) {
  for (const Row &row : featureTable)
    if (name == row.name)
      return getauxval(row.word) >> row.bit & 1 ? Feature::Present : Feature::Missing;
  return Feature::Unknown;
}

static Status requestTiles(const std::string &) { return {}; }

#else
#error "the runtime knows x86_64 and aarch64"
#endif

Status xfm::checkTarget(const Target &target, const std::string &path) {
  if (target.device != "cpu" && !target.isGPU())
    return fail(XFM_TARGET_MISMATCH, path, ": made for the device ", quote(target.device),
                ", but this runtime has 'cpu' and 'cuda'");
  std::string_view triple = target.triple;
  std::string_view architecture = triple.substr(0, triple.find('-'));
  if (architecture != hostArchitecture || triple.find("-linux") == std::string_view::npos)
    return fail(XFM_TARGET_MISMATCH, path, ": made for ", quote(triple), ", but this machine is ",
                hostArchitecture, "-linux: compile the model for it");
  bool tiles = false;
  for (const std::string &name : target.features) {
    switch (cpuFeature(name)) {
    case Feature::Present:
      tiles |= name.rfind("amx-", 0) == 0;
      break;
    case Feature::Missing:
      return fail(XFM_TARGET_MISMATCH, path, ": needs the CPU feature ", quote(name),
                  ", which this machine lacks: compile the model for this CPU");
    case Feature::Unknown:
      return fail(XFM_TARGET_MISMATCH, path, ": needs the CPU feature ", quote(name),
                  ", which this runtime does not know: compile the model without it");
    }
  }
  return tiles ? requestTiles(path) : Status{};
}
