//===- Matrices.cpp - derived weights that need linear algebra ------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Eigen does the work; nothing else of the project includes it, since its
// headers take seconds.
//
//===----------------------------------------------------------------------===//

#include "weights/Matrices.h"
#include "weights/Kernels.h"

#include <Eigen/Dense>

using namespace llvm;

namespace mlir::transformer {

using Matrix = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

/// A tensor of one dimension is a column.
static Matrix toMatrix(const HostTensor &tensor) {
  ArrayRef<int64_t> shape = tensor.type.getShape();
  Matrix matrix(shape[0], shape.size() == 2 ? shape[1] : 1);
  toDoubles(*dtypeFromType(tensor.type.getElementType()), tensor.data.data(), matrix.size(), matrix.data());
  return matrix;
}

static Expected<HostTensor> fromMatrix(const Matrix &matrix, RankedTensorType type) {
  Expected<HostTensor> result = allocateTensor(type);
  if (result)
    fromDoubles(*dtypeFromType(type.getElementType()), matrix.data(), matrix.size(), result->owner.get());
  return result;
}

Expected<HostTensor> multiplyMatrices(const HostTensor &left, const HostTensor &right,
                                      RankedTensorType type) {
  return fromMatrix(toMatrix(left) * toMatrix(right), type);
}

/// Whether the `rank` largest of `squares`, the squared singular values in ascending order, are enough.
static Error checkRank(const Eigen::VectorXd &squares, int64_t rank, double maxError) {
  double total = squares.cwiseMax(0).sum();
  auto errorOf = [&](int64_t kept) {
    double lost = squares.head(squares.size() - kept).cwiseMax(0).sum();
    return total > 0 ? std::sqrt(lost / total) : 0.0;
  };
  if (errorOf(rank) <= maxError)
    return Error::success();
  int64_t enough = rank;
  while (enough < squares.size() && errorOf(enough) > maxError)
    ++enough;
  return createStringError(
      inconvertibleErrorCode(),
      "factors of rank %lld have a relative error of %.2g, more than %.2g; rank %lld is enough",
      static_cast<long long>(rank), errorOf(rank), maxError, static_cast<long long>(enough));
}

/// The eigenvectors of the smaller Gram matrix give one side, the matrix itself
/// the other. Singular values below sqrt(epsilon) of the largest are noise in
/// this way, and far below what f32 keeps of a product.
Expected<HostTensor> factorize(const HostTensor &source, bool isLeft, RankedTensorType type,
                               std::optional<double> maxError) {
  Matrix matrix = toMatrix(source);
  int64_t rank = isLeft ? type.getDimSize(1) : type.getDimSize(0);
  bool isWide = matrix.cols() > matrix.rows();
  if (isWide)
    matrix.transposeInPlace();
  Matrix gram = matrix.transpose() * matrix;
  Eigen::SelfAdjointEigenSolver<Matrix> solver(gram);
  if (maxError)
    if (Error error = checkRank(solver.eigenvalues(), rank, *maxError))
      return std::move(error);
  // Ascending order: the largest are the last.
  Matrix vectors = solver.eigenvectors().rightCols(rank);
  Eigen::VectorXd scale =
      solver.eigenvalues().tail(rank).cwiseMax(0).array().pow(0.25); // sqrt of singular values
  bool wantsVectors = isWide == isLeft;                              // the side of the Gram matrix
  Matrix factor;
  if (wantsVectors) {
    factor = vectors * scale.asDiagonal();
  } else {
    Eigen::VectorXd inverse = scale.unaryExpr([](double s) { return s > 0 ? 1 / s : 0.0; });
    factor = matrix * vectors * inverse.asDiagonal();
  }
  if (!isLeft)
    factor.transposeInPlace();
  return fromMatrix(factor, type);
}

} // namespace mlir::transformer
