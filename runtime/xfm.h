//===- xfm.h - C API of the runtime ---------------------------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Opens an artifact (OUT.tfa), lists what it can do and runs it. An artifact
// holds native code: opening one is trusting it, like any executable.
//
// Every function that can fail returns an xfm_status and fills `out_` arguments
// only on XFM_OK. The one-line reason of the last failure on the calling thread
// is xfm_last_error(). Handles are opaque; strings that a handle returns live as
// long as the handle.
//
// Threads: a model is immutable once open and may be used by any number of
// threads. A session belongs to one thread at a time; two sessions of one model
// may run at once.
//
//===----------------------------------------------------------------------===//

#ifndef XFM_RUNTIME_XFM_H
#define XFM_RUNTIME_XFM_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum xfm_status {
  XFM_OK = 0,
  XFM_INVALID_ARGUMENT = 1, ///< a null pointer, an unknown name, a wrong shape or type
  XFM_NOT_FOUND = 2,        ///< the artifact or a file of it does not exist
  XFM_IO_ERROR = 3,         ///< the system refused to read a file
  XFM_CORRUPT = 4,          ///< a file is damaged: size, hash or structure is wrong
  XFM_VERSION_MISMATCH = 5, ///< made for another version of the format or the ABI
  XFM_TARGET_MISMATCH = 6,  ///< made for another CPU or device
  XFM_OUT_OF_RANGE = 7,     ///< a value outside its range, e.g. a token id
  XFM_CONTEXT_FULL = 8,     ///< the cache cannot hold that many more positions
  XFM_OUT_OF_MEMORY = 9,
  XFM_INTERNAL = 10,    ///< a defect of the runtime or of the generated code
  XFM_DEVICE_ERROR = 11 ///< no driver, no such GPU, or it failed
} xfm_status;

/// The name of a status, e.g. "XFM_CORRUPT"; never null.
const char *xfm_status_name(xfm_status status);

/// One line about the last failure on this thread (what, where, what to do);
/// empty if there was none.
const char *xfm_last_error(void);

/// The version of the runtime, e.g. "0.1.0".
const char *xfm_version(void);

typedef enum xfm_dtype {
  XFM_F32 = 0,
  XFM_F16 = 1,
  XFM_BF16 = 2,
  XFM_I32 = 3,
  XFM_I64 = 4,
  XFM_I8 = 5
} xfm_dtype;

/// The spelling of a type in manifests, e.g. "bf16".
const char *xfm_dtype_name(xfm_dtype dtype);
/// Bytes per element.
size_t xfm_dtype_size(xfm_dtype dtype);

typedef enum xfm_log_level { XFM_LOG_ERROR = 0, XFM_LOG_WARNING = 1, XFM_LOG_INFO = 2 } xfm_log_level;
/// Receives one line without a newline. May be called from any thread.
typedef void (*xfm_log_fn)(void *user, xfm_log_level level, const char *message);
/// Sets the process-wide receiver of log lines; null (the default) drops them.
void xfm_set_log(xfm_log_fn fn, void *user);

#define XFM_MAX_RANK 8

/// A tensor of an entry point. A dimension is a number >= 0, or -1 where it is
/// symbolic; `symbols[i]` is then its name ("B", "S"), otherwise null.
typedef struct xfm_tensor_info {
  const char *name;
  xfm_dtype dtype;
  int32_t rank;
  int64_t dims[XFM_MAX_RANK];
  const char *symbols[XFM_MAX_RANK];
} xfm_tensor_info;

typedef struct xfm_model xfm_model;
typedef struct xfm_session xfm_session;

typedef struct xfm_open_options {
  uint32_t size;            ///< sizeof(xfm_open_options)
  int32_t skip_weight_hash; ///< 1: do not verify the weights file's hash
  int32_t profile;          ///< 1: sessions of this model can be profiled
  int32_t huge_pages;       ///< 1: weights are copied to pages of 2 MiB, where the system has them
  /// "cpu", "cuda" or "cuda:N"; null for what the artifact was compiled for. Another
  /// device than that is XFM_TARGET_MISMATCH.
  const char *device;
  uint64_t random_seed; ///< not 0: weights are random values of this seed, whatever the artifact holds
  int32_t inspect;      ///< 1: read and verify the artifact only; it has no sessions, and needs no GPU
  int32_t no_graphs;    ///< 1: a GPU's steps are launched kernel by kernel, never recorded as graphs
  /// Called now and then while weights are uploaded to a GPU or made up: how many bytes of how many are done,
  /// at the end all of them.
  /// On the calling thread; null for none.
  void (*progress)(void *user, const char *what, int64_t done, int64_t total);
  void *progress_user;
} xfm_open_options;

/// Opens an artifact folder. `options` may be null. The manifest and the code
/// are always verified before anything is loaded.
xfm_status xfm_model_open(const char *path, const xfm_open_options *options, xfm_model **out_model);
/// Closes a model; its sessions must be closed before. Null is allowed.
void xfm_model_close(xfm_model *model);

/// The manifest's text (JSON).
const char *xfm_model_manifest(const xfm_model *model);
/// The folder the model was opened from.
const char *xfm_model_path(const xfm_model *model);

/// Facts of a language model that a caller needs; -1 where unknown.
typedef struct xfm_model_info {
  uint32_t size; ///< sizeof(xfm_model_info), set by the caller
  int64_t vocab_size;
  int64_t max_positions; ///< positions the tables of the model cover
  int64_t chunk;         ///< rows one call computes; longer inputs are split
  int64_t bos_token_id;
  int32_t eos_count;
  const int64_t *eos_token_ids;
} xfm_model_info;
xfm_status xfm_model_get_info(const xfm_model *model, xfm_model_info *out_info);

int32_t xfm_model_entry_count(const xfm_model *model);
/// The name of an entry point; null when out of range.
const char *xfm_model_entry_name(const xfm_model *model, int32_t entry);
/// Tensors of an entry point; -1 where there is no such entry point.
int32_t xfm_model_input_count(const xfm_model *model, const char *entry);
int32_t xfm_model_output_count(const xfm_model *model, const char *entry);
xfm_status xfm_model_input(const xfm_model *model, const char *entry, int32_t index,
                           xfm_tensor_info *out_info);
xfm_status xfm_model_output(const xfm_model *model, const char *entry, int32_t index,
                            xfm_tensor_info *out_info);

typedef struct xfm_session_options {
  uint32_t size;   ///< sizeof(xfm_session_options)
  int32_t threads; ///< threads including the caller's; 0: one per available core; of a GPU's model at most 1
  int64_t batch;   ///< rows of the caches; 0: 1
  int64_t context; ///< positions the caches hold; 0: min(max_positions, 4096)
  /// 1: each worker keeps to a core of its own, of those this process may use. The
  /// caller's thread is left as it is: the first core is for it.
  int32_t affinity;
} xfm_session_options;

/// Creates a session: its thread pool, caches and buffers. `options` may be null.
xfm_status xfm_session_create(xfm_model *model, const xfm_session_options *options,
                              xfm_session **out_session);
void xfm_session_destroy(xfm_session *session);

/// Forgets every cached position.
void xfm_session_reset(xfm_session *session);
/// Positions cached so far in row 0.
int64_t xfm_session_length(const xfm_session *session);
/// Positions the caches can hold.
int64_t xfm_session_context(const xfm_session *session);

/// A caller's dense row-major tensor.
typedef struct xfm_tensor {
  const void *data;
  xfm_dtype dtype;
  int32_t rank;
  int64_t dims[XFM_MAX_RANK];
} xfm_tensor;

/// Runs an entry point. `inputs` are in the order of xfm_model_input and are
/// only read during the call. An entry point with caches accepts more than
/// `chunk` positions and runs in several chunks. Every check (shape, type, token
/// range, room in the caches) is made before anything is computed, so that a
/// refused call leaves the session as it was. Kernels keep their scratch on the
/// stack: the calling thread needs 2 MiB of it.
xfm_status xfm_session_call(xfm_session *session, const char *entry, const xfm_tensor *inputs,
                            int32_t input_count);

/// An output of the last call; its data belongs to the session and is valid
/// until the next call, reset or destroy.
xfm_status xfm_session_output(const xfm_session *session, int32_t index, xfm_tensor *out_tensor);

/// Drawing tokens on the device. A model that can do so draws the next token of each row where the logits
/// are, and runs the next step on it without the host: tokens are all that is copied. 1 where a model can: it
/// runs on a GPU, and its artifact has the kernel.
int32_t xfm_model_can_sample(const xfm_model *model);

/// How a row's token is drawn from its logits: repetition penalty, top-k, top-p, min-p, then temperature. Of
/// equal logits the lower id comes first. A filter is off at the value in its comment.
typedef struct xfm_sampling_options {
  uint32_t size;             ///< sizeof(xfm_sampling_options)
  double temperature;        ///< 0: the most likely token, always
  int64_t top_k;             ///< the k most likely; 0: off
  double top_p;              ///< the fewest that hold this probability; 1: off
  double min_p;              ///< at least this fraction of the most likely; 0: off
  double repetition_penalty; ///< of tokens that occurred; 1: off
  uint64_t seed;             ///< row r takes a number for each token from xoshiro256**, seeded with seed + r
  int64_t count; ///< tokens that are wanted of each row at most: no step is run beyond; 0: unknown
} xfm_sampling_options;

/// Begins to draw, first from the output of logits that the last call left; the call's outputs are then gone.
/// `history` [batch, history_count] holds the ids that occurred in each row, for the penalty; those below
/// zero are none. It may be null where the count is 0. XFM_INVALID_ARGUMENT where the model cannot.
xfm_status xfm_sampling_start(xfm_session *session, const xfm_sampling_options *options,
                              const int32_t *history, int64_t history_count);

/// The next token of each row, `out_tokens` [batch]. Every token but the first is drawn from a step on the
/// one before. One step is begun beyond the token that is returned, so that the device works on while the
/// caller looks at it; its position does not count before its token is taken. A logit that is NaN or
/// +infinity, or a row of nothing but -infinity, is XFM_INTERNAL. XFM_CONTEXT_FULL where no step has room.
/// After an error, but for XFM_CONTEXT_FULL, start again.
xfm_status xfm_sampling_next(xfm_session *session, int32_t *out_tokens);

/// Ends it. The caches then hold every token that was returned but the last, as if each had been a call.
/// Another call, a reset or a new start end it too.
xfm_status xfm_sampling_stop(xfm_session *session);

/// Bytes of activations (arena) that the last call used.
int64_t xfm_session_arena_bytes(const xfm_session *session);

/// Profiling. It is chosen when a model is opened (xfm_open_options::profile),
/// which then has code of its own in memory; other models, of the same artifact
/// too, run as ever. All of these are XFM_INVALID_ARGUMENT where the model was
/// opened without it, and the counts are then zero.

/// Profiles the calls from here on, adding to what was profiled before.
xfm_status xfm_profile_start(xfm_session *session);
/// Leaves out the calls from here on.
xfm_status xfm_profile_stop(xfm_session *session);
/// Forgets what was profiled; whether calls are profiled stays as it is.
xfm_status xfm_profile_reset(xfm_session *session);

/// Wall time in seconds of all profiled calls, from end to end. A call that
/// failed does not count, here and below.
double xfm_profile_seconds(const xfm_session *session);

/// The launches of one name in one entry point. The seconds of all records
/// together are xfm_profile_seconds: a launch is charged with the generated code
/// that prepared it, and what is left of a call is the record "(host)". Launches
/// that the artifact does not list are "(unlisted)".
typedef struct xfm_profile_record {
  uint32_t size;     ///< sizeof(xfm_profile_record), set by the caller
  const char *entry; ///< name of the entry point
  const char *name;  ///< name of the dispatch
  int64_t calls;     ///< launches so far
  double seconds;    ///< of all of them
  double flops;      ///< floating-point operations of all of them; -1 where unknown
  double bytes;      ///< read and written by all of them, each value once; -1 where unknown
} xfm_profile_record;
/// Records, in the order in which they were first met.
int64_t xfm_profile_record_count(const xfm_session *session);
xfm_status xfm_profile_get_record(const xfm_session *session, int64_t index, xfm_profile_record *out_record);

/// One launch, or one stretch of "(host)".
typedef struct xfm_profile_event {
  uint32_t size;     ///< sizeof(xfm_profile_event), set by the caller
  const char *entry; ///< name of the entry point
  const char *name;  ///< name of the dispatch
  int64_t begin_ns;  ///< nanoseconds from the first start, or the last reset
  int64_t duration_ns;
} xfm_profile_event;
/// Events, in the order of time.
int64_t xfm_profile_event_count(const xfm_session *session);
xfm_status xfm_profile_get_event(const xfm_session *session, int64_t index, xfm_profile_event *out_event);

#ifdef __cplusplus
}
#endif

#endif // XFM_RUNTIME_XFM_H
