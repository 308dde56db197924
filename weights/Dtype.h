//===- Dtype.h - element types of stored tensors --------------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef WEIGHTS_DTYPE_H
#define WEIGHTS_DTYPE_H

#include "mlir/IR/Types.h"
#include "llvm/ADT/StringRef.h"

#include <optional>

namespace mlir::transformer {

/// The element types of safetensors that weights may have.
enum class Dtype : uint8_t { F64, F32, F16, BF16, I64, I32, I16, I8, U8, BOOL };

/// The name in a safetensors header, e.g. "BF16".
llvm::StringRef dtypeName(Dtype dtype);
std::optional<Dtype> dtypeFromName(llvm::StringRef name);
/// The names of all of them, for error messages.
llvm::StringRef knownDtypes();

/// Bytes of one element.
uint64_t dtypeSize(Dtype dtype);
inline bool isFloat(Dtype dtype) { return dtype <= Dtype::BF16; }

/// The element type in the IR: integers are signless but for U8; BOOL is i1.
Type dtypeToType(Dtype dtype, MLIRContext *context);
/// What values of the type are stored as. Safetensors have no i4: it is stored in I8.
std::optional<Dtype> dtypeFromType(Type elementType);

/// Widens `count` elements.
void toDoubles(Dtype dtype, const char *source, size_t count, double *result);
/// Rounds `count` values to nearest, ties to even, once. `dtype` is a float.
void fromDoubles(Dtype dtype, const double *source, size_t count, char *result);

/// Copies `count` elements, converting them where the types differ. A result
/// of another integer type than the source's is not possible.
void convertElements(Dtype from, const char *source, size_t count, Dtype to, char *result);

} // namespace mlir::transformer

#endif // WEIGHTS_DTYPE_H
