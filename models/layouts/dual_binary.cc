#include "models/layouts/dual_binary.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "kernels/float_formats.h"
#include "models/layouts/grouped_codes.h"
#include "models/layouts/stored_parts.h"
#include "models/tunable_linear.h"
#include "nlohmann/json.hpp"
#include "tensor/ops.h"

namespace quantd {
namespace {

constexpr int kCodeBits = 2;

// --- Trained levels --------------------------------------------------------

// Parameters: highs and lows with their signs.
class DualBinaryTunable final : public TunableLinear {
 public:
  explicit DualBinaryTunable(DualBinaryWeights start)
      : start_(std::move(start)),
        groups_(ChannelGroupsOf(start_.group_size, start_.group_index)),
        levels_(SignedLevels(start_)),
        high_bits_(Tensor::Uninitialized({start_.rows, start_.cols})),
        low_bits_(Tensor::Uninitialized({start_.rows, start_.cols})) {
    for (size_t i = 0; i < start_.codes.size(); ++i) {
      high_bits_.data()[i] = static_cast<float>(start_.codes[i] & 1);
      low_bits_.data()[i] = static_cast<float>(start_.codes[i] >> 1);
    }
  }

  std::vector<Tensor> Parameters() const override {
    return {levels_.highs.Clone(), levels_.lows.Clone()};
  }

  Tensor Weight(absl::Span<const Tensor> parameters,
                ExecutionContext& ctx) const override {
    return SumOfLevels(high_bits_, low_bits_, Stored(parameters, ctx), groups_,
                       ctx);
  }

  void Project(absl::Span<Tensor> parameters) const override {
    DualLevels levels = {parameters[0], parameters[1]};
    OrderLevels(start_.mirrored, &levels);
  }

  absl::StatusOr<std::shared_ptr<const CompressedLinear>> Freeze(
      absl::Span<const Tensor> parameters,
      ExecutionContext& ctx) const override {
    DualBinaryWeights result = start_;
    SetSignedLevels(Stored(parameters, ctx), &result);
    return NewDualBinary(std::move(result));
  }

 private:
  static DualLevels Stored(absl::Span<const Tensor> parameters,
                           ExecutionContext& ctx) {
    return {ops::RoundToF16StraightThrough(parameters[0], ctx),
            ops::RoundToF16StraightThrough(parameters[1], ctx)};
  }

  const DualBinaryWeights start_;
  const ChannelGroups groups_;
  const DualLevels levels_;
  Tensor high_bits_;
  Tensor low_bits_;
};

// --- One layer -------------------------------------------------------------

// The stored form: planes packed, the rest unpacked.
class DualBinaryLinear final : public CompressedLinear {
 public:
  // Both planes [rows, PackedRowBytes(cols, 1)].
  DualBinaryLinear(DualBinaryWeights meta, std::vector<uint8_t> high_bits,
                   std::vector<uint8_t> low_bits)
      : meta_(std::move(meta)),
        high_bits_(std::move(high_bits)),
        low_bits_(std::move(low_bits)) {}

  absl::string_view layout() const override { return kDualBinaryLayout; }
  int64_t rows() const override { return meta_.rows; }
  int64_t cols() const override { return meta_.cols; }

  uint64_t stored_bits() const override {
    return 8 * (DualBinaryBytes(meta_.rows, meta_.cols, meta_.group_size,
                                !meta_.mirrored.empty()) +
                4 * meta_.group_index.size());
  }

  Tensor Decode(ExecutionContext& ctx) const override {
    const DualLevels levels = SignedLevels(meta_);
    const std::vector<int32_t> group_of =
        ChannelGroupsOf(meta_.group_size, meta_.group_index)
            .ByChannel(meta_.cols);
    const int64_t row_bytes = PackedRowBytes(meta_.cols, 1);
    return DecodePackedRows(
        high_bits_, meta_.rows, meta_.cols, 1,
        [&](int64_t r, const uint8_t* high, float* out) {
          std::vector<uint8_t> low(group_of.size());
          UnpackBits(low_bits_.data() + r * row_bytes, meta_.cols, 1,
                     low.data());
          for (size_t c = 0; c < low.size(); ++c) {
            const int64_t g = group_of[c];
            out[c] = (high[c] != 0 ? levels.highs.row(r)[g] : 0.0f) +
                     (low[c] != 0 ? levels.lows.row(r)[g] : 0.0f);
          }
        },
        ctx);
  }

  DualBinaryWeights Unpack() const {
    DualBinaryWeights w = meta_;
    w.codes = UnpackRows(high_bits_, w.rows, w.cols, 1);
    const std::vector<uint8_t> low = UnpackRows(low_bits_, w.rows, w.cols, 1);
    for (size_t i = 0; i < low.size(); ++i) {
      w.codes[i] = static_cast<uint8_t>(w.codes[i] + 2 * low[i]);
    }
    return w;
  }

  std::unique_ptr<TunableLinear> Tunable() const override {
    return std::make_unique<DualBinaryTunable>(Unpack());
  }

  nlohmann::json Save(absl::string_view layer,
                      std::vector<TensorToWrite>* tensors) const override {
    tensors->push_back(PackedRowsTensor(absl::StrCat(layer, ".high_bits"),
                                        meta_.rows, high_bits_));
    tensors->push_back(PackedRowsTensor(absl::StrCat(layer, ".low_bits"),
                                        meta_.rows, low_bits_));
    const Shape per_group = {meta_.rows, meta_.groups()};
    tensors->push_back(
        F16Tensor(absl::StrCat(layer, ".highs"), per_group, meta_.highs));
    tensors->push_back(
        F16Tensor(absl::StrCat(layer, ".lows"), per_group, meta_.lows));
    if (!meta_.mirrored.empty()) {
      tensors->push_back(
          BytesTensor(layer, "mirrored", PackStream(meta_.mirrored, 1)));
    }
    if (!meta_.group_index.empty()) {
      tensors->push_back(GroupIndexTensor(layer, meta_.group_index));
    }
    return {{"layout", std::string(kDualBinaryLayout)},
            {"group_size", meta_.group_size},
            {"mirrored", !meta_.mirrored.empty()},
            {"group_index", !meta_.group_index.empty()}};
  }

 private:
  const DualBinaryWeights meta_;  // codes empty
  const std::vector<uint8_t> high_bits_;
  const std::vector<uint8_t> low_bits_;
};

// The checks that memory and disk share. Codes are not looked at.
absl::Status CheckParameters(const DualBinaryWeights& w) {
  RETURN_IF_ERROR(CheckGroupSize(w.group_size, w.cols));
  const size_t groups = static_cast<size_t>(w.rows * w.groups());
  if (w.highs.size() != groups || w.lows.size() != groups ||
      (!w.mirrored.empty() && w.mirrored.size() != groups)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "expected ", groups, " high and low levels and mirrored groups, got ",
        w.highs.size(), ", ", w.lows.size(), " and ", w.mirrored.size()));
  }
  RETURN_IF_ERROR(CheckGroupIndex(w.group_index, w.cols, w.groups()));
  RETURN_IF_ERROR(CheckF16(w.highs, "high level"));
  RETURN_IF_ERROR(CheckF16(w.lows, "low level"));
  for (size_t i = 0; i < groups; ++i) {
    if (!(w.highs[i] > 0 && w.lows[i] < 0 && w.highs[i] > -w.lows[i])) {
      return absl::InvalidArgumentError(
          absl::StrCat("levels ", w.highs[i], " and ", w.lows[i],
                       " are out of order: high > -low > 0 is required"));
    }
  }
  for (uint8_t entry : w.mirrored) {
    if (entry > 1) {
      return absl::InvalidArgumentError(
          absl::StrCat("mirrored entry ", int{entry}, " is not 0 or 1"));
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::shared_ptr<const CompressedLinear>> NewDualBinary(
    DualBinaryWeights weights) {
  RETURN_IF_ERROR(CheckParameters(weights));
  RETURN_IF_ERROR(
      CheckCodes(weights.codes, weights.rows, weights.cols, kCodeBits));
  std::vector<uint8_t> low(weights.codes.size());
  for (size_t i = 0; i < low.size(); ++i) {
    low[i] = weights.codes[i] >> 1;
    weights.codes[i] &= 1;
  }
  std::vector<uint8_t> high_bits =
      PackRows(weights.codes, weights.rows, weights.cols, 1);
  std::vector<uint8_t> low_bits = PackRows(low, weights.rows, weights.cols, 1);
  weights.codes = {};
  return std::shared_ptr<const CompressedLinear>(
      std::make_shared<DualBinaryLinear>(
          std::move(weights), std::move(high_bits), std::move(low_bits)));
}

std::optional<DualBinaryWeights> UnpackDualBinary(
    const CompressedLinear& layer) {
  if (layer.layout() != kDualBinaryLayout) return std::nullopt;
  return static_cast<const DualBinaryLinear&>(layer).Unpack();
}

uint64_t DualBinaryBytes(int64_t rows, int64_t cols, int64_t group_size,
                         bool mirrored) {
  const int64_t groups = rows * (cols / group_size);
  int64_t bytes = 2 * rows * PackedRowBytes(cols, 1) + 4 * groups;
  if (mirrored) bytes += PackedRowBytes(groups, 1);
  return static_cast<uint64_t>(bytes);
}

absl::StatusOr<std::shared_ptr<const CompressedLinear>> LoadDualBinary(
    TensorFinder find, absl::string_view layer, const nlohmann::json& header,
    int64_t rows, int64_t cols) {
  DualBinaryWeights w;
  w.rows = rows;
  w.cols = cols;
  ASSIGN_OR_RETURN(w.group_size, HeaderGroupSize(header, cols));
  ASSIGN_OR_RETURN(const bool mirrored, HeaderBool(header, "mirrored"));
  ASSIGN_OR_RETURN(const bool indexed, HeaderBool(header, "group_index"));
  const Shape plane = {rows, PackedRowBytes(cols, 1)};
  ASSIGN_OR_RETURN(const absl::string_view high_bits,
                   PartBytes(find, layer, "high_bits", DType::kU8, plane));
  ASSIGN_OR_RETURN(const absl::string_view low_bits,
                   PartBytes(find, layer, "low_bits", DType::kU8, plane));
  const Shape per_group = {rows, w.groups()};
  ASSIGN_OR_RETURN(w.highs, F16Part(find, layer, "highs", per_group));
  ASSIGN_OR_RETURN(w.lows, F16Part(find, layer, "lows", per_group));
  if (mirrored) {
    const int64_t groups = rows * w.groups();
    ASSIGN_OR_RETURN(const absl::string_view bits,
                     PartBytes(find, layer, "mirrored", DType::kU8,
                               {PackedRowBytes(groups, 1)}));
    w.mirrored = UnpackStream(bits, groups, 1);
  }
  if (indexed) {
    ASSIGN_OR_RETURN(w.group_index, GroupIndexPart(find, layer, cols));
  }
  RETURN_IF_ERROR(CheckParameters(w));
  return std::shared_ptr<const CompressedLinear>(
      std::make_shared<DualBinaryLinear>(
          std::move(w),
          std::vector<uint8_t>(high_bits.begin(), high_bits.end()),
          std::vector<uint8_t>(low_bits.begin(), low_bits.end())));
}

// --- For those who train levels --------------------------------------------

DualLevels SignedLevels(const DualBinaryWeights& weights) {
  const Shape by_group = {weights.rows, weights.groups()};
  DualLevels levels = {Tensor::FromValues(by_group, weights.highs),
                       Tensor::FromValues(by_group, weights.lows)};
  for (size_t i = 0; i < weights.mirrored.size(); ++i) {
    if (weights.mirrored[i] == 0) continue;
    levels.highs.data()[i] = -levels.highs.data()[i];
    levels.lows.data()[i] = -levels.lows.data()[i];
  }
  return levels;
}

void SetSignedLevels(const DualLevels& levels, DualBinaryWeights* weights) {
  weights->highs = ToVector(levels.highs);
  weights->lows = ToVector(levels.lows);
  for (size_t i = 0; i < weights->mirrored.size(); ++i) {
    if (weights->mirrored[i] == 0) continue;
    weights->highs[i] = -weights->highs[i];
    weights->lows[i] = -weights->lows[i];
  }
}

void OrderLevels(const std::vector<uint8_t>& mirrored, DualLevels* levels) {
  // The least F16 number there is room below for a level of the other sign,
  // and the greatest and the least of all.
  constexpr float kLeastHigh = 0x1p-23f;
  constexpr float kGreatest = 65504.0f;
  constexpr float kLeast = 0x1p-24f;
  for (int64_t i = 0; i < levels->highs.size(); ++i) {
    float& high = levels->highs.data()[i];
    float& low = levels->lows.data()[i];
    if (!std::isfinite(high) || !std::isfinite(low)) continue;
    const float sign =
        !mirrored.empty() && mirrored[static_cast<size_t>(i)] != 0 ? -1.0f
                                                                   : 1.0f;
    const float h = std::clamp(sign * high, kLeastHigh, kGreatest);
    // Of positive numbers in F16 the next smaller one has the next smaller
    // bits.
    const float below =
        F16ToF32(static_cast<uint16_t>(F32ToF16(NearestF16(h)) - 1));
    high = sign * h;
    low = sign * std::clamp(sign * low, -below, -kLeast);
  }
}

Tensor SumOfLevels(const Tensor& high_bits, const Tensor& low_bits,
                   const DualLevels& levels, const ChannelGroups& groups,
                   ExecutionContext& ctx) {
  return ops::Add(
      ops::FromCodeUnits(high_bits, levels.highs, Tensor(), groups, ctx),
      ops::FromCodeUnits(low_bits, levels.lows, Tensor(), groups, ctx), ctx);
}

}  // namespace quantd
