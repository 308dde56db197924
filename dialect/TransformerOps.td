//===- TransformerOps.td - all operations ----------------------*- tablegen -*-===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===--------------------------------------------------------------------------===//

#ifndef DIALECT_TRANSFORMEROPS
#define DIALECT_TRANSFORMEROPS

include "dialect/WeightOps.td"
include "dialect/ComputeOps.td"
include "dialect/AttentionOps.td"
include "dialect/LaunchOps.td"

#endif // DIALECT_TRANSFORMEROPS
