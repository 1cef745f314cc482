#include "models/layouts/low_rank_sum.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "models/layouts/stored_parts.h"
#include "models/tunable_linear.h"
#include "nlohmann/json.hpp"
#include "tensor/ops.h"

namespace quantd {
namespace {

// Integer codes as the bytes of an I8 tensor, and back.
TensorToWrite CodeTensor(std::string name, Shape shape,
                         absl::Span<const float> codes) {
  std::string bytes(codes.size(), '\0');
  std::transform(codes.begin(), codes.end(), bytes.begin(), [](float code) {
    return static_cast<char>(static_cast<int8_t>(code));
  });
  return {std::move(name), DType::kI8, std::move(shape), std::move(bytes)};
}

absl::StatusOr<std::vector<float>> CodePart(TensorFinder find,
                                            absl::string_view layer,
                                            absl::string_view part,
                                            const Shape& shape) {
  ASSIGN_OR_RETURN(const absl::string_view bytes,
                   PartBytes(find, layer, part, DType::kI8, shape));
  std::vector<float> codes(bytes.size());
  std::transform(bytes.begin(), bytes.end(), codes.begin(), [](char byte) {
    return static_cast<float>(static_cast<int8_t>(byte));
  });
  return codes;
}

// out += a b.
void AddProduct(const Tensor& a, const Tensor& b, Tensor* out,
                ExecutionContext& ctx) {
  GemmArgs args;
  args.m = a.rows();
  args.n = b.cols();
  args.k = a.cols();
  args.a = a.data();
  args.lda = args.k;
  args.b = b.data();
  args.ldb = args.n;
  args.beta = 1.0f;
  args.c = out->data();
  args.ldc = args.n;
  ctx.device().Gemm(args);
}

class LowRankSumLinear final : public CompressedLinear {
 public:
  LowRankSumLinear(std::shared_ptr<const CompressedLinear> base,
                   LowRankFactors factors)
      : base_(std::move(base)), factors_(std::move(factors)) {
    const int64_t m = factors_.rank;
    a_ = Tensor::FromValues({base_->rows(), m}, factors_.a);
    b_ = Tensor::FromValues({m, base_->cols()}, factors_.b);
    if (!factors_.integer()) return;
    for (int64_t r = 0; r < a_.rows(); ++r) {
      for (int64_t i = 0; i < m; ++i) {
        a_.row(r)[i] *= factors_.a_scales[static_cast<size_t>(i)];
      }
    }
    for (int64_t i = 0; i < m; ++i) {
      for (int64_t c = 0; c < b_.cols(); ++c) {
        b_.row(i)[c] *= factors_.b_scales[static_cast<size_t>(i)];
      }
    }
  }

  absl::string_view layout() const override { return kLowRankSumLayout; }
  int64_t rows() const override { return base_->rows(); }
  int64_t cols() const override { return base_->cols(); }
  const CompressedLinear* base() const override { return base_.get(); }

  uint64_t stored_bits() const override {
    return base_->stored_bits() +
           8 * LowRankBytes(
                   rows(), cols(), factors_.rank,
                   factors_.integer() ? FactorType::kI8 : FactorType::kF16);
  }

  Tensor Decode(ExecutionContext& ctx) const override {
    Tensor out = base_->Decode(ctx);
    AddProduct(a_, b_, &out, ctx);
    return out;
  }

  Tensor Multiply(const Tensor& x, ExecutionContext& ctx) const override {
    const Tensor thin = ops::LinearProduct(x, b_, ctx);
    return ops::Add(base_->Multiply(x, ctx), ops::LinearProduct(thin, a_, ctx),
                    ctx);
  }

  // The factors stay as they are.
  std::unique_ptr<TunableLinear> Tunable() const override {
    return WrapTunable(
        base_->Tunable(),
        [a = a_, b = b_](const Tensor& w, ExecutionContext& ctx) {
          Tensor product = Tensor::Zeros({a.rows(), b.cols()});
          AddProduct(a, b, &product, ctx);
          return ops::Add(w, product, ctx);
        },
        [factors = factors_](std::shared_ptr<const CompressedLinear> base) {
          return NewLowRankSum(std::move(base), factors);
        });
  }

  nlohmann::json Save(absl::string_view layer,
                      std::vector<TensorToWrite>* tensors) const override {
    nlohmann::json base = base_->Save(layer, tensors);
    const int64_t m = factors_.rank;
    const auto add = factors_.integer() ? CodeTensor : F16Tensor;
    tensors->push_back(
        add(absl::StrCat(layer, ".low_rank_a"), {rows(), m}, factors_.a));
    tensors->push_back(
        add(absl::StrCat(layer, ".low_rank_b"), {m, cols()}, factors_.b));
    if (factors_.integer()) {
      tensors->push_back(F16Tensor(absl::StrCat(layer, ".low_rank_a_scales"),
                                   {m}, factors_.a_scales));
      tensors->push_back(F16Tensor(absl::StrCat(layer, ".low_rank_b_scales"),
                                   {m}, factors_.b_scales));
    }
    return {{"layout", std::string(kLowRankSumLayout)},
            {"base", std::move(base)},
            {"rank", m},
            {"factors", factors_.integer() ? "I8" : "F16"}};
  }

 private:
  const std::shared_ptr<const CompressedLinear> base_;
  const LowRankFactors factors_;
  Tensor a_;  // decoded
  Tensor b_;
};

absl::Status CheckRank(int64_t rank, int64_t rows, int64_t cols) {
  return CheckRange("rank", rank, 1, std::min(rows, cols));
}

absl::Status CheckFactor(absl::Span<const float> values,
                         absl::Span<const float> scales, size_t count,
                         size_t rank, absl::string_view name) {
  if (values.size() != count || (!scales.empty() && scales.size() != rank)) {
    return absl::InvalidArgumentError(
        absl::StrCat(name, ": expected ", count, " values and 0 or ", rank,
                     " scales, got ", values.size(), " and ", scales.size()));
  }
  if (scales.empty()) return CheckF16(values, name);
  for (float code : values) {
    if (!(std::abs(code) <= 127) || code != std::nearbyint(code)) {
      return absl::InvalidArgumentError(
          absl::StrCat(name, ": ", code, " is not an integer in -127..127"));
    }
  }
  return CheckF16(scales, absl::StrCat(name, "_scales"));
}

}  // namespace

absl::StatusOr<std::shared_ptr<const CompressedLinear>> NewLowRankSum(
    std::shared_ptr<const CompressedLinear> base, LowRankFactors factors) {
  RETURN_IF_ERROR(CheckBase(base.get(), kLowRankSumLayout));
  RETURN_IF_ERROR(CheckRank(factors.rank, base->rows(), base->cols()));
  const size_t rank = static_cast<size_t>(factors.rank);
  if (factors.a_scales.size() != factors.b_scales.size()) {
    return absl::InvalidArgumentError(
        absl::StrCat(factors.a_scales.size(), " scales of low_rank_a, ",
                     factors.b_scales.size(), " of low_rank_b"));
  }
  RETURN_IF_ERROR(CheckFactor(factors.a, factors.a_scales,
                              static_cast<size_t>(base->rows()) * rank, rank,
                              "low_rank_a"));
  RETURN_IF_ERROR(CheckFactor(factors.b, factors.b_scales,
                              static_cast<size_t>(base->cols()) * rank, rank,
                              "low_rank_b"));
  return std::shared_ptr<const CompressedLinear>(
      std::make_shared<LowRankSumLinear>(std::move(base), std::move(factors)));
}

uint64_t LowRankBytes(int64_t rows, int64_t cols, int64_t rank,
                      FactorType type) {
  const uint64_t m = static_cast<uint64_t>(rank);
  const uint64_t elements = static_cast<uint64_t>(rows + cols) * m;
  // Two bytes each, or one and two scales of two bytes a component.
  return type == FactorType::kF16 ? 2 * elements : elements + 4 * m;
}

absl::StatusOr<std::shared_ptr<const CompressedLinear>> LoadLowRankSum(
    TensorFinder find, absl::string_view layer, const nlohmann::json& header,
    int64_t rows, int64_t cols) {
  ASSIGN_OR_RETURN(auto base, LoadBase(find, layer, header, rows, cols));
  LowRankFactors factors;
  ASSIGN_OR_RETURN(factors.rank, HeaderInt(header, "rank"));
  // Before any shape is made of it.
  RETURN_IF_ERROR(CheckRank(factors.rank, rows, cols));
  ASSIGN_OR_RETURN(const std::string type, HeaderString(header, "factors"));
  if (type != "F16" && type != "I8") {
    return absl::InvalidArgumentError(
        absl::StrCat("header: factors \"", type, "\" are not F16 or I8"));
  }
  const int64_t m = factors.rank;
  const auto read = type == "I8" ? CodePart : F16Part;
  ASSIGN_OR_RETURN(factors.a, read(find, layer, "low_rank_a", {rows, m}));
  ASSIGN_OR_RETURN(factors.b, read(find, layer, "low_rank_b", {m, cols}));
  if (type == "I8") {
    ASSIGN_OR_RETURN(factors.a_scales,
                     F16Part(find, layer, "low_rank_a_scales", {m}));
    ASSIGN_OR_RETURN(factors.b_scales,
                     F16Part(find, layer, "low_rank_b_scales", {m}));
  }
  return NewLowRankSum(std::move(base), std::move(factors));
}

}  // namespace quantd
