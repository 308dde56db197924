//===- CpuFeatures.h - whether this machine can run an artifact -----------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef XFM_RUNTIME_CPUFEATURES_H
#define XFM_RUNTIME_CPUFEATURES_H

#include "runtime/Manifest.h"

namespace xfm {

/// Whether the CPU has a feature and the system lets programs use it; unknown
/// where the name is not in the table.
enum class Feature { Present, Missing, Unknown };

/// `name` as LLVM spells it: "avx2", "avx512vnni", "dotprod".
Feature cpuFeature(std::string_view name);

/// Checks device, architecture and features of an artifact against this machine,
/// and asks the system for what must be asked for (AMX). `path` is for messages.
Status checkTarget(const Target &target, const std::string &path);

} // namespace xfm

#endif // XFM_RUNTIME_CPUFEATURES_H
