#include "models/layouts/packed_int.h"

#include <cstring>
#include <utility>

#include "base/status_macros.h"
#include "models/layouts/grouped_codes.h"
#include "models/layouts/scalar_codes.h"
#include "models/layouts/stored_parts.h"
#include "models/tunable_linear.h"
#include "nlohmann/json.hpp"

namespace quantd {
namespace {

// One bit and a zero point are three values at most.
constexpr int kLeastBits = 2;

// The stored form: what the tensors hold, unpacked where that is small.
class PackedIntLinear final : public CompressedLinear {
 public:
  // `codes` is packed, [rows, PackedRowBytes(cols, bits)].
  PackedIntLinear(PackedIntWeights meta, std::vector<uint8_t> codes)
      : meta_(std::move(meta)), codes_(std::move(codes)) {}

  absl::string_view layout() const override { return kPackedIntLayout; }
  int64_t rows() const override { return meta_.rows; }
  int64_t cols() const override { return meta_.cols; }

  uint64_t stored_bits() const override {
    return 8 * (PackedIntBytes(meta_.rows, meta_.cols, meta_.bits,
                               meta_.group_size, meta_.symmetric) +
                4 * meta_.group_index.size());
  }

  Tensor Decode(ExecutionContext& ctx) const override {
    Tensor out = Tensor::Uninitialized({meta_.rows, meta_.cols});
    PackedIntArgs args;
    args.rows = meta_.rows;
    args.cols = meta_.cols;
    args.bits = meta_.bits;
    args.group_size = meta_.group_size;
    args.groups = meta_.groups();
    args.codes = codes_.data();
    args.scales = meta_.scales.data();
    args.zeros = meta_.zeros.data();
    args.group_of =
        meta_.group_index.empty() ? nullptr : meta_.group_index.data();
    args.out = out.data();
    ctx.device().DecodePackedInt(args);
    return out;
  }

  PackedIntWeights Unpack() const {
    PackedIntWeights w = meta_;
    w.codes = UnpackRows(codes_, w.rows, w.cols, w.bits);
    return w;
  }

  std::unique_ptr<TunableLinear> Tunable() const override {
    PackedIntWeights w = Unpack();
    const Shape by_group = {w.rows, w.groups()};
    StoredParameters p;
    p.rows = w.rows;
    p.cols = w.cols;
    p.groups = ChannelGroupsOf(w.group_size, w.group_index);
    p.values = ToFloats(w.codes, {w.rows, w.cols});
    p.scales = Tensor::FromValues(by_group, w.scales);
    p.zeros = ToFloats(w.zeros, by_group);
    return NewScalarTunable(
        std::move(p), std::move(w),
        [](PackedIntWeights result, const StoredParameters& trained) {
          result.scales = ToVector(trained.scales);
          return NewPackedInt(std::move(result));
        },
        [](const PackedIntWeights& weights,
           const StoredParameters& /*trained*/) {
          return [bits = weights.bits](int64_t, int64_t) {
            return IntegerValues(bits);
          };
        });
  }

  nlohmann::json Save(absl::string_view layer,
                      std::vector<TensorToWrite>* tensors) const override {
    const int64_t groups = meta_.groups();
    tensors->push_back(
        PackedRowsTensor(absl::StrCat(layer, ".codes"), meta_.rows, codes_));
    tensors->push_back(F16Tensor(absl::StrCat(layer, ".scales"),
                                 {meta_.rows, groups}, meta_.scales));
    if (!meta_.symmetric) {
      tensors->push_back(
          BytesTensor(layer, "zeros", PackStream(meta_.zeros, meta_.bits)));
    }
    if (!meta_.group_index.empty()) {
      tensors->push_back(GroupIndexTensor(layer, meta_.group_index));
    }
    return {{"layout", std::string(kPackedIntLayout)},
            {"bits", meta_.bits},
            {"group_size", meta_.group_size},
            {"symmetric", meta_.symmetric},
            {"group_index", !meta_.group_index.empty()}};
  }

 private:
  const PackedIntWeights meta_;  // codes empty
  const std::vector<uint8_t> codes_;
};

// The checks that memory and disk share. Codes are not looked at.
absl::Status CheckShape(const PackedIntWeights& w) {
  RETURN_IF_ERROR(CheckBits(w.bits, kLeastBits));
  RETURN_IF_ERROR(CheckGroupSize(w.group_size, w.cols));
  const size_t groups = static_cast<size_t>(w.rows * w.groups());
  if (w.scales.size() != groups || w.zeros.size() != groups) {
    return absl::InvalidArgumentError(
        absl::StrCat("expected ", groups, " scales and zeros, got ",
                     w.scales.size(), " and ", w.zeros.size()));
  }
  RETURN_IF_ERROR(CheckGroupIndex(w.group_index, w.cols, w.groups()));
  const int max_code = (1 << w.bits) - 1;
  RETURN_IF_ERROR(CheckF16(w.scales, "scale"));
  for (size_t i = 0; i < groups; ++i) {
    if (w.zeros[i] > max_code) {
      return absl::InvalidArgumentError(
          absl::StrCat("zero point ", int{w.zeros[i]}, " exceeds ", max_code));
    }
  }
  return absl::OkStatus();
}

void FillSymmetricZeros(PackedIntWeights* w) {
  if (!w->symmetric) return;
  w->zeros.assign(static_cast<size_t>(w->rows * w->groups()),
                  static_cast<uint8_t>(1 << (w->bits - 1)));
}

}  // namespace

absl::StatusOr<std::shared_ptr<const CompressedLinear>> NewPackedInt(
    PackedIntWeights weights) {
  FillSymmetricZeros(&weights);
  RETURN_IF_ERROR(CheckShape(weights));
  RETURN_IF_ERROR(
      CheckCodes(weights.codes, weights.rows, weights.cols, weights.bits));
  std::vector<uint8_t> packed =
      PackRows(weights.codes, weights.rows, weights.cols, weights.bits);
  weights.codes = {};
  return std::shared_ptr<const CompressedLinear>(
      std::make_shared<PackedIntLinear>(std::move(weights), std::move(packed)));
}

std::optional<PackedIntWeights> UnpackPackedInt(const CompressedLinear& layer) {
  if (layer.layout() != kPackedIntLayout) return std::nullopt;
  return static_cast<const PackedIntLinear&>(layer).Unpack();
}

uint64_t PackedIntBytes(int64_t rows, int64_t cols, int bits,
                        int64_t group_size, bool symmetric) {
  const int64_t scales = rows * (cols / group_size);
  int64_t bytes = rows * PackedRowBytes(cols, bits) + 2 * scales;
  if (!symmetric) bytes += PackedRowBytes(scales, bits);
  return static_cast<uint64_t>(bytes);
}

absl::StatusOr<std::shared_ptr<const CompressedLinear>> LoadPackedInt(
    TensorFinder find, absl::string_view layer, const nlohmann::json& header,
    int64_t rows, int64_t cols) {
  PackedIntWeights w;
  w.rows = rows;
  w.cols = cols;
  ASSIGN_OR_RETURN(w.bits, HeaderBits(header, kLeastBits));
  ASSIGN_OR_RETURN(w.group_size, HeaderGroupSize(header, cols));
  ASSIGN_OR_RETURN(w.symmetric, HeaderBool(header, "symmetric"));
  ASSIGN_OR_RETURN(const bool indexed, HeaderBool(header, "group_index"));

  const int64_t groups = w.groups();
  ASSIGN_OR_RETURN(const absl::string_view codes,
                   PartBytes(find, layer, "codes", DType::kU8,
                             {rows, PackedRowBytes(cols, w.bits)}));
  ASSIGN_OR_RETURN(w.scales, F16Part(find, layer, "scales", {rows, groups}));
  if (w.symmetric) {
    FillSymmetricZeros(&w);
  } else {
    ASSIGN_OR_RETURN(const absl::string_view zeros,
                     PartBytes(find, layer, "zeros", DType::kU8,
                               {PackedRowBytes(rows * groups, w.bits)}));
    w.zeros = UnpackStream(zeros, rows * groups, w.bits);
  }
  if (indexed) {
    ASSIGN_OR_RETURN(w.group_index, GroupIndexPart(find, layer, cols));
  }
  RETURN_IF_ERROR(CheckShape(w));
  return std::shared_ptr<const CompressedLinear>(
      std::make_shared<PackedIntLinear>(
          std::move(w), std::vector<uint8_t>(codes.begin(), codes.end())));
}

}  // namespace quantd
