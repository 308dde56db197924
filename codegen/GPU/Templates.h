//===- Templates.h - kernel templates of the GPU --------------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef CODEGEN_GPU_TEMPLATES_H
#define CODEGEN_GPU_TEMPLATES_H

#include "codegen/Common/DispatchBody.h"
#include "codegen/Common/Evaluator.h"
#include "codegen/GPU/IR/XGPU.h"
#include "codegen/GPU/KernelBuilder.h"

namespace mlir::transformer {

/// On a dispatch: its #xgpu.config by architecture. On a kernel: its own, and the kernels of
/// other architectures, where they have one of their own.
constexpr StringLiteral kGPUConfigsAttr = "xgpu.configs";
constexpr StringLiteral kGPUConfigAttr = "xgpu.config";
constexpr StringLiteral kGPUVariantsAttr = "xgpu.variants";

/// A kernel being written. A template sets its grid (`setGrid`) and takes the shared
/// memory it needs; the builder stands in the kernel's body.
struct GPUKernelContext : KernelContext {
  xgpu::ConfigAttr config;
  SharedMemory shared;
  bool persistent = false; ///< blocks take tiles until none is left
  int64_t cluster = 1;     ///< blocks that run together
};

/// Elementwise results and row reductions: `tile` = [rows of a block, threads of a row].
LogicalResult emitRowsKernel(OpBuilder &b, GPUKernelContext &context);

/// Writes keys and values behind those in the cache; `tile` as of rows, a row being one
/// head of one position.
LogicalResult emitAppendKernel(OpBuilder &b, GPUKernelContext &context);

/// One element of the result per thread, whatever it takes: for contractions that no
/// other template makes.
LogicalResult emitElementsKernel(OpBuilder &b, GPUKernelContext &context);

/// Products with few rows: a warp makes `tile` = [columns, rows] sums at a time and
/// reads each weight once for them.
LogicalResult emitGemvKernel(OpBuilder &b, GPUKernelContext &context);

/// Products of bf16 or f16 with up to 16 rows on tensor cores (sm_80 and later): `tile` = [columns] of a
/// block.
LogicalResult emitSkinnyGemmKernel(OpBuilder &b, GPUKernelContext &context);

/// Products in f32: `tile` = [rows, columns, k] of a block, through shared memory.
LogicalResult emitSimtGemmKernel(OpBuilder &b, GPUKernelContext &context);

/// Products of bf16 or f16 on tensor cores (sm_80 and later): `tile` = [rows, columns, k] of a block.
LogicalResult emitMmaGemmKernel(OpBuilder &b, GPUKernelContext &context);

/// The same on sm_90a: TMA and wgmma, `tile` = [128, columns, k, blocks of a cluster], of blocks that stay
/// for several tiles.
LogicalResult emitWgmmaGemmKernel(OpBuilder &b, GPUKernelContext &context);

/// Attention with one warp per query and head, keys in tiles of a warp, online softmax.
LogicalResult emitRowAttentionKernel(OpBuilder &b, GPUKernelContext &context);

/// Attention of many queries of any types in f32: `tile` = [rows, keys] of a block, through shared memory.
LogicalResult emitSimtAttentionKernel(OpBuilder &b, GPUKernelContext &context);

/// Attention of few queries, or of a split of their keys: `tile` = [rows, splits, split_keys]. On tensor
/// cores for bf16 or f16 (sm_80 and later), and of any types.
LogicalResult emitDecodeAttentionKernel(OpBuilder &b, GPUKernelContext &context);
LogicalResult emitSimtDecodeAttentionKernel(OpBuilder &b, GPUKernelContext &context);

/// One attention from those to splits of its keys.
LogicalResult emitAttentionMergeKernel(OpBuilder &b, GPUKernelContext &context);

/// Attention of bf16 or f16 on tensor cores (sm_80 and later): `tile` = [rows, keys] of a block.
LogicalResult emitFlashAttentionKernel(OpBuilder &b, GPUKernelContext &context);

/// The same on sm_90a, by TMA and wgmma: `tile` = [128, keys] of a block.
LogicalResult emitWgmmaAttentionKernel(OpBuilder &b, GPUKernelContext &context);

} // namespace mlir::transformer

#endif // CODEGEN_GPU_TEMPLATES_H
