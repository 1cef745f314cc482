#include "models/layouts/input_rotation.h"

#include <random>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "kernels/hadamard.h"
#include "models/layouts/stored_parts.h"
#include "models/tunable_linear.h"
#include "nlohmann/json.hpp"
#include "tensor/gradient_tape.h"

namespace quantd {
namespace {

constexpr char kSignPart[] = "rotation_signs";

enum class Direction { kForward, kBack };

// One row times R or R^T, in place.
class RowRotator {
 public:
  RowRotator(const InputRotation& rotation, Direction direction)
      : rotation_(rotation),
        direction_(direction),
        hadamard_(*HadamardTransform::Make(rotation.block_size)) {}

  void Apply(double* row) const {
    const int64_t size = rotation_.size();
    const int64_t block = rotation_.block_size;
    if (direction_ == Direction::kForward) Flip(row);
    for (int64_t c = 0; c < size; c += block) {
      direction_ == Direction::kForward ? hadamard_.Apply(row + c)
                                        : hadamard_.ApplyTransposed(row + c);
    }
    if (direction_ == Direction::kBack) Flip(row);
  }

 private:
  void Flip(double* row) const {
    for (size_t c = 0; c < rotation_.flips.size(); ++c) {
      if (rotation_.flips[c] != 0) row[c] = -row[c];
    }
  }

  const InputRotation& rotation_;
  const Direction direction_;
  const HadamardTransform hadamard_;
};

Tensor RotateRows(const Tensor& x, const InputRotation& rotation,
                  Direction direction, ExecutionContext& ctx) {
  const RowRotator rotator(rotation, direction);
  Tensor y = Tensor::Uninitialized(x.shape());
  ctx.device().pool().ParallelFor(x.rows(), [&](int64_t r) {
    std::vector<double> row(x.row(r), x.row(r) + x.cols());
    rotator.Apply(row.data());
    for (size_t c = 0; c < row.size(); ++c) {
      y.row(r)[c] = static_cast<float>(row[c]);
    }
  });
  return y;
}

class InputRotationLinear final : public CompressedLinear {
 public:
  InputRotationLinear(std::shared_ptr<const CompressedLinear> base,
                      InputRotation rotation)
      : base_(std::move(base)), rotation_(std::move(rotation)) {}

  absl::string_view layout() const override { return kInputRotationLayout; }
  int64_t rows() const override { return base_->rows(); }
  int64_t cols() const override { return base_->cols(); }
  const CompressedLinear* base() const override { return base_.get(); }

  uint64_t stored_bits() const override {
    return base_->stored_bits() + 8 * InputRotationBytes(cols());
  }

  Tensor Decode(ExecutionContext& ctx) const override {
    return RotateBack(base_->Decode(ctx), rotation_, ctx);
  }

  std::unique_ptr<TunableLinear> Tunable() const override {
    return WrapTunable(
        base_->Tunable(),
        [rotation = rotation_](const Tensor& w, ExecutionContext& ctx) {
          Tensor turned = RotateBack(w, rotation, ctx);
          GradientTape* const tape = w.tape();
          if (tape == nullptr) return turned;
          // The transpose of an orthogonal matrix is its inverse.
          return tape->Record(std::move(turned), [tape, to_w = tape->IdOf(w),
                                                  rotation](const Tensor& dy) {
            tape->Add(to_w, Rotate(dy, rotation, tape->ctx()));
          });
        },
        [rotation = rotation_](std::shared_ptr<const CompressedLinear> base) {
          return NewInputRotation(std::move(base), rotation);
        });
  }

  nlohmann::json Save(absl::string_view layer,
                      std::vector<TensorToWrite>* tensors) const override {
    nlohmann::json base = base_->Save(layer, tensors);
    std::string signs(InputRotationBytes(cols()), '\0');
    for (size_t c = 0; c < rotation_.flips.size(); ++c) {
      signs[c / 8] =
          static_cast<char>(signs[c / 8] | (rotation_.flips[c] << (c % 8)));
    }
    const int64_t size = static_cast<int64_t>(signs.size());
    tensors->push_back({absl::StrCat(layer, ".", kSignPart),
                        DType::kU8,
                        {size},
                        std::move(signs)});
    return {{"layout", std::string(kInputRotationLayout)},
            {"block_size", rotation_.block_size},
            {"base", std::move(base)}};
  }

 private:
  const std::shared_ptr<const CompressedLinear> base_;
  const InputRotation rotation_;
};

}  // namespace

InputRotation RandomInputRotation(int64_t size, uint64_t seed) {
  InputRotation rotation;
  rotation.block_size = HadamardTransform::LargestKnownDivisor(size);
  // The engine's bits are the same everywhere, its distributions are not.
  std::mt19937_64 engine(seed);
  for (int64_t c = 0; c < size; ++c) {
    rotation.flips.push_back(static_cast<uint8_t>(engine() >> 63));
  }
  return rotation;
}

absl::Status CheckInputRotation(const InputRotation& rotation) {
  if (rotation.block_size < 1 || rotation.size() % rotation.block_size != 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("block_size ", rotation.block_size,
                     " does not divide the input size ", rotation.size()));
  }
  if (!HadamardTransform::Known(rotation.block_size)) {
    return absl::InvalidArgumentError(
        absl::StrCat("block_size ", rotation.block_size,
                     " is not the order of a known Hadamard matrix"));
  }
  return absl::OkStatus();
}

Tensor Rotate(const Tensor& x, const InputRotation& rotation,
              ExecutionContext& ctx) {
  return RotateRows(x, rotation, Direction::kForward, ctx);
}

Tensor RotateBack(const Tensor& x, const InputRotation& rotation,
                  ExecutionContext& ctx) {
  return RotateRows(x, rotation, Direction::kBack, ctx);
}

void RotateMoment(const InputRotation& rotation, double* h,
                  ExecutionContext& ctx) {
  const RowRotator rotator(rotation, Direction::kForward);
  const int64_t n = rotation.size();
  // H R, then (H R)^T R = R^T H R, H being symmetric.
  for (int pass = 0; pass < 2; ++pass) {
    ctx.device().pool().ParallelFor(
        n, [&](int64_t r) { rotator.Apply(h + r * n); });
    if (pass == 1) break;
    for (int64_t r = 0; r < n; ++r) {
      for (int64_t c = 0; c < r; ++c) std::swap(h[r * n + c], h[c * n + r]);
    }
  }
}

absl::StatusOr<std::shared_ptr<const CompressedLinear>> NewInputRotation(
    std::shared_ptr<const CompressedLinear> base, InputRotation rotation) {
  RETURN_IF_ERROR(CheckBase(base.get(), kInputRotationLayout));
  RETURN_IF_ERROR(
      CheckCount("rotation signs", rotation.flips.size(), base->cols()));
  for (uint8_t flip : rotation.flips) {
    if (flip > 1) {
      return absl::InvalidArgumentError(
          absl::StrCat("rotation sign ", int{flip}, " is not 0 or 1"));
    }
  }
  RETURN_IF_ERROR(CheckInputRotation(rotation));
  return std::shared_ptr<const CompressedLinear>(
      std::make_shared<InputRotationLinear>(std::move(base),
                                            std::move(rotation)));
}

absl::StatusOr<std::shared_ptr<const CompressedLinear>> LoadInputRotation(
    TensorFinder find, absl::string_view layer, const nlohmann::json& header,
    int64_t rows, int64_t cols) {
  ASSIGN_OR_RETURN(auto base, LoadBase(find, layer, header, rows, cols));
  InputRotation rotation;
  ASSIGN_OR_RETURN(rotation.block_size, HeaderInt(header, "block_size"));
  const int64_t bytes = static_cast<int64_t>(InputRotationBytes(cols));
  ASSIGN_OR_RETURN(const absl::string_view signs,
                   PartBytes(find, layer, kSignPart, DType::kU8, {bytes}));
  for (int64_t c = 0; c < 8 * bytes; ++c) {
    const uint8_t byte =
        static_cast<uint8_t>(signs[static_cast<size_t>(c / 8)]);
    const uint8_t flip = (byte >> (c % 8)) & 1;
    if (c < cols) {
      rotation.flips.push_back(flip);
    } else if (flip != 0) {
      return absl::InvalidArgumentError(
          absl::StrCat(kSignPart, ": a bit beyond the last channel is set"));
    }
  }
  return NewInputRotation(std::move(base), std::move(rotation));
}

}  // namespace quantd
