#include "models/layouts/packed_affine.h"

#include <utility>

#include "base/status_macros.h"
#include "models/layouts/grouped_codes.h"
#include "models/layouts/scalar_codes.h"
#include "models/layouts/stored_parts.h"
#include "models/tunable_linear.h"
#include "nlohmann/json.hpp"

namespace quantd {
namespace {

class PackedAffineLinear final : public CompressedLinear {
 public:
  // `codes` is packed, [rows, PackedRowBytes(cols, bits)].
  PackedAffineLinear(PackedAffineWeights meta, std::vector<uint8_t> codes)
      : meta_(std::move(meta)), codes_(std::move(codes)) {}

  absl::string_view layout() const override { return kPackedAffineLayout; }
  int64_t rows() const override { return meta_.rows; }
  int64_t cols() const override { return meta_.cols; }

  uint64_t stored_bits() const override {
    return 8 * PackedAffineBytes(meta_.rows, meta_.cols, meta_.bits,
                                 meta_.group_size);
  }

  Tensor Decode(ExecutionContext& ctx) const override {
    const int64_t groups = meta_.groups();
    return DecodePackedRows(
        codes_, meta_.rows, meta_.cols, meta_.bits,
        [&](int64_t r, const uint8_t* codes, float* out) {
          for (int64_t c = 0; c < meta_.cols; ++c) {
            const size_t group =
                static_cast<size_t>(r * groups + c / meta_.group_size);
            out[c] = meta_.scales[group] *
                     (static_cast<float>(codes[c]) - meta_.zeros[group]);
          }
        },
        ctx);
  }

  std::unique_ptr<TunableLinear> Tunable() const override {
    PackedAffineWeights w = meta_;
    w.codes = UnpackRows(codes_, w.rows, w.cols, w.bits);
    const Shape by_group = {w.rows, w.groups()};
    StoredParameters p;
    p.rows = w.rows;
    p.cols = w.cols;
    p.groups = ChannelGroupsOf(w.group_size, {});
    p.values = ToFloats(w.codes, {w.rows, w.cols});
    p.scales = Tensor::FromValues(by_group, w.scales);
    p.zeros = Tensor::FromValues(by_group, w.zeros);
    p.train_zeros = true;
    return NewScalarTunable(
        std::move(p), std::move(w),
        [](PackedAffineWeights result, const StoredParameters& trained) {
          result.scales = ToVector(trained.scales);
          result.zeros = ToVector(trained.zeros);
          return NewPackedAffine(std::move(result));
        },
        [](const PackedAffineWeights& weights,
           const StoredParameters& /*trained*/) {
          return [bits = weights.bits](int64_t, int64_t) {
            return IntegerValues(bits);
          };
        });
  }

  nlohmann::json Save(absl::string_view layer,
                      std::vector<TensorToWrite>* tensors) const override {
    const Shape groups = {meta_.rows, meta_.groups()};
    tensors->push_back(
        PackedRowsTensor(absl::StrCat(layer, ".codes"), meta_.rows, codes_));
    tensors->push_back(
        F16Tensor(absl::StrCat(layer, ".scales"), groups, meta_.scales));
    tensors->push_back(
        F16Tensor(absl::StrCat(layer, ".zeros"), groups, meta_.zeros));
    return {{"layout", std::string(kPackedAffineLayout)},
            {"bits", meta_.bits},
            {"group_size", meta_.group_size}};
  }

 private:
  const PackedAffineWeights meta_;  // codes empty
  const std::vector<uint8_t> codes_;
};

// The checks that memory and disk share. Codes are not looked at.
absl::Status Check(const PackedAffineWeights& w) {
  RETURN_IF_ERROR(CheckBits(w.bits));
  RETURN_IF_ERROR(CheckGroupSize(w.group_size, w.cols));
  const size_t groups = static_cast<size_t>(w.rows * w.groups());
  if (w.scales.size() != groups || w.zeros.size() != groups) {
    return absl::InvalidArgumentError(
        absl::StrCat("expected ", groups, " scales and zeros, got ",
                     w.scales.size(), " and ", w.zeros.size()));
  }
  RETURN_IF_ERROR(CheckF16(w.scales, "scale"));
  return CheckF16(w.zeros, "zero");
}

}  // namespace

absl::StatusOr<std::shared_ptr<const CompressedLinear>> NewPackedAffine(
    PackedAffineWeights weights) {
  RETURN_IF_ERROR(Check(weights));
  RETURN_IF_ERROR(
      CheckCodes(weights.codes, weights.rows, weights.cols, weights.bits));
  std::vector<uint8_t> packed =
      PackRows(weights.codes, weights.rows, weights.cols, weights.bits);
  weights.codes = {};
  return std::shared_ptr<const CompressedLinear>(
      std::make_shared<PackedAffineLinear>(std::move(weights),
                                           std::move(packed)));
}

uint64_t PackedAffineBytes(int64_t rows, int64_t cols, int bits,
                           int64_t group_size) {
  return static_cast<uint64_t>(
      rows * (PackedRowBytes(cols, bits) + 4 * (cols / group_size)));
}

absl::StatusOr<std::shared_ptr<const CompressedLinear>> LoadPackedAffine(
    TensorFinder find, absl::string_view layer, const nlohmann::json& header,
    int64_t rows, int64_t cols) {
  PackedAffineWeights w;
  w.rows = rows;
  w.cols = cols;
  ASSIGN_OR_RETURN(w.bits, HeaderBits(header));
  ASSIGN_OR_RETURN(w.group_size, HeaderGroupSize(header, cols));
  ASSIGN_OR_RETURN(const absl::string_view codes,
                   PartBytes(find, layer, "codes", DType::kU8,
                             {rows, PackedRowBytes(cols, w.bits)}));
  ASSIGN_OR_RETURN(w.scales,
                   F16Part(find, layer, "scales", {rows, w.groups()}));
  ASSIGN_OR_RETURN(w.zeros, F16Part(find, layer, "zeros", {rows, w.groups()}));
  RETURN_IF_ERROR(Check(w));
  return std::shared_ptr<const CompressedLinear>(
      std::make_shared<PackedAffineLinear>(
          std::move(w), std::vector<uint8_t>(codes.begin(), codes.end())));
}

}  // namespace quantd
