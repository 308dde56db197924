//===- xfm_abi.h - contract between generated code and the runtime --------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The only header that codegen/ and runtime/ share. A generated module.so has
// no undefined symbols: all it asks of the process is in `xfm_abi`, handed to
// `xfm_module_init`. The table and the call structure only ever grow at the
// end; `size` tells either side how much of them the other knows.
//
// Symbols exported by a module:
//   int32_t xfm_module_init(const xfm_abi *abi);          0 when accepted
//   int32_t xfm_entry_<name>(const xfm_call *call);       one per entry point
//   int64_t xfm_arena_<name>(const int64_t *sizes);       bytes of `arena`
//
//===----------------------------------------------------------------------===//

#ifndef XFM_RUNTIME_XFM_ABI_H
#define XFM_RUNTIME_XFM_ABI_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/// Raised when an old module cannot run on a new runtime; growing a structure
/// at its end does not raise it.
#define XFM_ABI_VERSION 1

/// Every buffer handed to a module (arena, inputs, outputs, caches, weights)
/// starts at a multiple of this many bytes.
#define XFM_BUFFER_ALIGNMENT 64

/// Runs the tasks [begin, end) of one dispatch. `args` is the launch's packed
/// argument block, which lives until parallel_for returns.
typedef void (*xfm_task_fn)(void *args, int64_t begin, int64_t end);

/// Services of the runtime, one table per loaded module.
typedef struct xfm_abi {
  uint32_t size;    ///< sizeof(xfm_abi) of the runtime
  uint32_t version; ///< XFM_ABI_VERSION of the runtime
  /// Runs `fn` over [0, total), split over the threads of the session whose
  /// `context` this is, and returns when all of it is done. No piece is
  /// smaller than `grain` tasks (but for the last); total <= grain runs on the
  /// calling thread. `dispatch` numbers the launch within its entry point (the
  /// index into the manifest's `dispatches`) and is only read by the profiler.
  void (*parallel_for)(void *context, xfm_task_fn fn, void *args, int64_t total, int64_t grain,
                       int32_t dispatch);
  /// Puts a kernel of a GPU artifact in the stream of the session whose `context`
  /// this is. `kernel` is its row in the manifest's table. The grid has the product of
  /// ceil(dims[i] / tile[i]) blocks, `tile` being the row's. `words` are the kernel's
  /// arguments, 64 bits each (codegen/GPU/README.md). Both arrays are read before
  /// launch returns. A failure is kept in the session and ends the call. Null where
  /// the session is not of a GPU.
  void (*launch)(void *context, int32_t kernel, const int64_t *dims, const uint64_t *words, int32_t dispatch);
} xfm_abi;

/// The arguments of one call of an entry point.
typedef struct xfm_call {
  uint32_t size;     ///< sizeof(xfm_call) of the runtime
  uint32_t reserved; ///< zero
  void *context;     ///< handed back to xfm_abi::parallel_for
  /// Inputs, then the buffers of the caches, then outputs, in the order of the
  /// manifest; each dense and row-major.
  void *const *buffers;
  const int64_t *sizes; ///< values of the manifest's `sizes`, in its order
  void *const *weights; ///< one pointer per entry of the manifest's `weights`
  void *arena;          ///< xfm_arena_<name>(sizes) bytes
} xfm_call;

/// The arguments of the kernel that draws tokens (`sampling` in the manifest), in order; B rows of V logits.
typedef enum xfm_sample_argument {
  XFM_SAMPLE_LOGITS = 0,  ///< f32 [B, V]
  XFM_SAMPLE_OPTIONS = 1, ///< one xfm_sampling
  XFM_SAMPLE_SEEN = 2,    ///< i8 [B, V]: 1 where a token occurred; touched where there is a penalty alone
  XFM_SAMPLE_RANDOM = 3,  ///< i64 [B, 4]: the states of xoshiro256**
  XFM_SAMPLE_TOKENS = 4,  ///< i32 [B]: what was drawn
  XFM_SAMPLE_STATUS = 5,  ///< i32 [B]: an xfm_sample_status
  XFM_SAMPLE_ARGUMENTS = 6
} xfm_sample_argument;

typedef enum xfm_sample_status {
  XFM_SAMPLE_DRAWN = 0,
  XFM_SAMPLE_NAN = 1,      ///< the logit of the token that is named is NaN
  XFM_SAMPLE_INFINITE = 2, ///< the logit of the token that is named is infinite
  XFM_SAMPLE_NOTHING = 3   ///< every logit is -infinity
} xfm_sample_status;

/// How tokens are drawn, in the device's memory. Each filter works on what those before it keep.
typedef struct xfm_sampling {
  double top_k;     ///< how many of the most likely are kept, a whole number from 1 on
  double top_p;     ///< the fewest that hold this probability are kept; all where it is not below 1
  double min_logit; ///< those whose logit is at least this one plus the largest are kept: ln(min-p)
  double scale;     ///< log2(e) / temperature; 0: the most likely token
  double penalty;   ///< of tokens that occurred: logits above zero are divided by it, others multiplied
} xfm_sampling;

typedef int32_t (*xfm_module_init_fn)(const xfm_abi *abi);
typedef int32_t (*xfm_entry_fn)(const xfm_call *call);
typedef int64_t (*xfm_arena_fn)(const int64_t *sizes);

#ifdef __cplusplus
}
#endif

#endif // XFM_RUNTIME_XFM_ABI_H
