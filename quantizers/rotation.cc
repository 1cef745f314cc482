#include "quantizers/rotation.h"

#include <algorithm>
#include <cmath>
#include <random>

#include "Eigen/Dense"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"

namespace quantd {
namespace {

using RowMajor =
    Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

// Rows or columns that one thread turns at a time; fixed.
constexpr int64_t kPiece = 16;

bool UsesHadamard(int64_t size, RotationKind kind) {
  return kind == RotationKind::kHadamard ||
         (kind == RotationKind::kAny && HadamardTransform::Known(size));
}

// Standard normal, by the polar method: the standard library's distribution
// differs between implementations.
double Normal(std::mt19937_64& engine) {
  const auto uniform = [&] {
    return static_cast<double>(engine() >> 11) * 0x1p-52 - 1.0;
  };
  while (true) {
    const double a = uniform();
    const double b = uniform();
    const double square = a * a + b * b;
    if (square > 0 && square < 1) {
      return a * std::sqrt(-2.0 * std::log(square) / square);
    }
  }
}

std::vector<double> RandomOrthogonal(int64_t size, uint64_t seed) {
  std::mt19937_64 engine(seed);
  Eigen::MatrixXd matrix(size, size);
  for (int64_t c = 0; c < size; ++c) {
    for (int64_t r = 0; r < size; ++r) matrix(r, c) = Normal(engine);
  }
  const Eigen::HouseholderQR<Eigen::MatrixXd> qr(matrix);
  RowMajor q = qr.householderQ();
  for (int64_t c = 0; c < size; ++c) {
    if (qr.matrixQR()(c, c) < 0) q.col(c) = -q.col(c);
  }
  return std::vector<double>(q.data(), q.data() + q.size());
}

}  // namespace

absl::Status Rotation::Check(int64_t size, RotationKind kind) {
  if (kind == RotationKind::kHadamard && !HadamardTransform::Known(size)) {
    return absl::InvalidArgumentError(
        absl::StrCat("no Hadamard matrix of order ", size, " is known here"));
  }
  return absl::OkStatus();
}

uint64_t Rotation::SizeBytes(int64_t size, RotationKind kind) {
  const uint64_t n = static_cast<uint64_t>(size);
  return sizeof(double) * (UsesHadamard(size, kind) ? n : n * n);
}

absl::StatusOr<Rotation> Rotation::Random(int64_t size, RotationKind kind,
                                          uint64_t seed) {
  RETURN_IF_ERROR(Check(size, kind));
  Rotation rotation;
  rotation.size_ = size;
  if (!UsesHadamard(size, kind)) {
    rotation.dense_ = RandomOrthogonal(size, seed);
    return rotation;
  }
  rotation.hadamard_ = HadamardTransform::Make(size);
  std::mt19937_64 engine(seed);
  for (int64_t i = 0; i < size; ++i) {
    rotation.signs_.push_back(engine() >> 63 == 0 ? 1.0 : -1.0);
  }
  return rotation;
}

void Rotation::Apply(double* x, int64_t rows) const {
  if (!hadamard_.has_value()) {
    Eigen::Map<RowMajor> values(x, rows, size_);
    const Eigen::Map<const RowMajor> q(dense_.data(), size_, size_);
    values = (values * q).eval();
    return;
  }
  for (int64_t r = 0; r < rows; ++r) {
    double* const row = x + r * size_;
    for (int64_t c = 0; c < size_; ++c) {
      row[c] *= signs_[static_cast<size_t>(c)];
    }
    hadamard_->Apply(row);
  }
}

Tensor Rotation::RotateRows(const Tensor& x, absl::Span<const float> gains,
                            ExecutionContext& ctx) const {
  Tensor y = Tensor::Uninitialized(x.shape());
  const int64_t pieces = (x.rows() + kPiece - 1) / kPiece;
  ctx.device().pool().ParallelFor(pieces, [&](int64_t piece) {
    const int64_t begin = piece * kPiece;
    const int64_t count = std::min(kPiece, x.rows() - begin);
    std::vector<double> rows(x.row(begin), x.row(begin) + count * size_);
    if (!gains.empty()) {
      for (size_t i = 0; i < rows.size(); ++i) {
        rows[i] *= double{gains[i % gains.size()]};
      }
    }
    Apply(rows.data(), count);
    std::transform(rows.begin(), rows.end(), y.row(begin),
                   [](double v) { return static_cast<float>(v); });
  });
  return y;
}

Tensor Rotation::RotateColumns(const Tensor& x, ExecutionContext& ctx) const {
  Tensor y = Tensor::Uninitialized(x.shape());
  const int64_t pieces = (x.cols() + kPiece - 1) / kPiece;
  ctx.device().pool().ParallelFor(pieces, [&](int64_t piece) {
    const int64_t begin = piece * kPiece;
    const int64_t count = std::min(kPiece, x.cols() - begin);
    // (Q^T x)^T = x^T Q.
    std::vector<double> columns(static_cast<size_t>(count * size_));
    for (int64_t r = 0; r < size_; ++r) {
      for (int64_t c = 0; c < count; ++c) {
        columns[static_cast<size_t>(c * size_ + r)] = x.row(r)[begin + c];
      }
    }
    Apply(columns.data(), count);
    for (int64_t r = 0; r < size_; ++r) {
      for (int64_t c = 0; c < count; ++c) {
        y.row(r)[begin + c] =
            static_cast<float>(columns[static_cast<size_t>(c * size_ + r)]);
      }
    }
  });
  return y;
}

}  // namespace quantd
