//===- Limits.h - what the machine can do at most -------------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef TEST_BENCH_LIMITS_H
#define TEST_BENCH_LIMITS_H

/// Whether this machine multiplies pairs of bf16 in one instruction.
bool hasBF16();

/// Whether it sums products of four bytes in one instruction.
bool hasInt8Dots();

/// Runs independent multiplications and additions in registers, with the widest
/// vectors, on `threads` threads for some milliseconds. Returns the operations done
/// (a fused multiplication and addition counting as two); 0 where there is no loop
/// for this machine.
double runPeak(bool isBF16, int threads);

/// The same for dot products of bytes.
double runInt8Peak(int threads);

/// How memory is read: as one stream whose lines are asked for a page ahead, or as several streams without
/// that. Which of them is given more depends on the processor; x86-64 without AVX2 has too few registers for
/// streams and reads ahead for both.
enum class Reading { Ahead, Streams };

/// Reads 1 GiB once, on `threads` threads. Returns the bytes read.
double runRead(Reading how, int threads);

#endif // TEST_BENCH_LIMITS_H
