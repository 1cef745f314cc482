#include "models/layouts/fp6_split.h"

#include <utility>

#include "base/status_macros.h"
#include "models/layouts/grouped_codes.h"
#include "models/layouts/stored_parts.h"
#include "models/layouts/value_tables.h"
#include "models/tunable_linear.h"
#include "nlohmann/json.hpp"

namespace quantd {
namespace {

constexpr int kBits = 6;
constexpr int kHighBits = 2;
constexpr int kLowBits = 4;

const std::vector<float>& E3M2Values() {
  static const auto& values =
      *new std::vector<float>(FloatFormatValues({3, 2}));
  return values;
}

class Fp6SplitLinear final : public CompressedLinear {
 public:
  Fp6SplitLinear(int64_t rows, int64_t cols, std::vector<uint8_t> high,
                 std::vector<uint8_t> low, std::vector<float> scales)
      : rows_(rows),
        cols_(cols),
        high_(std::move(high)),
        low_(std::move(low)),
        scales_(std::move(scales)) {}

  absl::string_view layout() const override { return kFp6SplitLayout; }
  int64_t rows() const override { return rows_; }
  int64_t cols() const override { return cols_; }
  uint64_t stored_bits() const override {
    return 8 * Fp6SplitBytes(rows_, cols_);
  }

  Tensor Decode(ExecutionContext& ctx) const override {
    const float* values = E3M2Values().data();
    const int64_t low_bytes = PackedRowBytes(cols_, kLowBits);
    return DecodePackedRows(
        high_, rows_, cols_, kHighBits,
        [&](int64_t r, const uint8_t* high, float* out) {
          std::vector<uint8_t> low(static_cast<size_t>(cols_));
          UnpackBits(low_.data() + r * low_bytes, cols_, kLowBits, low.data());
          const float scale = scales_[static_cast<size_t>(r)];
          for (size_t c = 0; c < low.size(); ++c) {
            out[c] = scale * values[(high[c] << kLowBits) | low[c]];
          }
        },
        ctx);
  }

  std::unique_ptr<TunableLinear> Tunable() const override {
    Fp6SplitWeights w;
    w.rows = rows_;
    w.cols = cols_;
    w.scales = scales_;
    w.codes = UnpackRows(high_, rows_, cols_, kHighBits);
    const std::vector<uint8_t> low = UnpackRows(low_, rows_, cols_, kLowBits);
    StoredParameters p;
    p.rows = rows_;
    p.cols = cols_;
    p.groups = ChannelGroupsOf(cols_, {});
    p.values = Tensor::Uninitialized({rows_, cols_});
    for (size_t i = 0; i < low.size(); ++i) {
      w.codes[i] = static_cast<uint8_t>(w.codes[i] << kLowBits | low[i]);
      p.values.data()[i] = E3M2Values()[w.codes[i]];
    }
    p.scales = Tensor::FromValues({rows_, 1}, w.scales);
    return NewTunable(std::move(p), [w](const StoredParameters& trained) {
      Fp6SplitWeights result = w;
      result.scales = ToVector(trained.scales);
      return NewFp6Split(std::move(result));
    });
  }

  nlohmann::json Save(absl::string_view layer,
                      std::vector<TensorToWrite>* tensors) const override {
    tensors->push_back(
        PackedRowsTensor(absl::StrCat(layer, ".high"), rows_, high_));
    tensors->push_back(
        PackedRowsTensor(absl::StrCat(layer, ".low"), rows_, low_));
    tensors->push_back(
        F16Tensor(absl::StrCat(layer, ".scales"), {rows_}, scales_));
    return {{"layout", std::string(kFp6SplitLayout)}};
  }

 private:
  const int64_t rows_;
  const int64_t cols_;
  const std::vector<uint8_t> high_;
  const std::vector<uint8_t> low_;
  const std::vector<float> scales_;
};

}  // namespace

absl::StatusOr<std::shared_ptr<const CompressedLinear>> NewFp6Split(
    Fp6SplitWeights weights) {
  const int64_t rows = weights.rows;
  const int64_t cols = weights.cols;
  RETURN_IF_ERROR(CheckCodes(weights.codes, rows, cols, kBits));
  RETURN_IF_ERROR(CheckCount("scales", weights.scales.size(), rows));
  RETURN_IF_ERROR(CheckF16(weights.scales, "scale"));
  std::vector<uint8_t> plane(weights.codes.size());
  for (size_t i = 0; i < plane.size(); ++i) {
    plane[i] = static_cast<uint8_t>(weights.codes[i] >> kLowBits);
  }
  std::vector<uint8_t> high = PackRows(plane, rows, cols, kHighBits);
  for (size_t i = 0; i < plane.size(); ++i) {
    plane[i] = weights.codes[i] & ((1 << kLowBits) - 1);
  }
  std::vector<uint8_t> low = PackRows(plane, rows, cols, kLowBits);
  return std::shared_ptr<const CompressedLinear>(
      std::make_shared<Fp6SplitLinear>(rows, cols, std::move(high),
                                       std::move(low),
                                       std::move(weights.scales)));
}

uint64_t Fp6SplitBytes(int64_t rows, int64_t cols) {
  return static_cast<uint64_t>(rows * (PackedRowBytes(cols, kHighBits) +
                                       PackedRowBytes(cols, kLowBits) + 2));
}

absl::StatusOr<std::shared_ptr<const CompressedLinear>> LoadFp6Split(
    TensorFinder find, absl::string_view layer, const nlohmann::json&,
    int64_t rows, int64_t cols) {
  ASSIGN_OR_RETURN(const absl::string_view high,
                   PartBytes(find, layer, "high", DType::kU8,
                             {rows, PackedRowBytes(cols, kHighBits)}));
  ASSIGN_OR_RETURN(const absl::string_view low,
                   PartBytes(find, layer, "low", DType::kU8,
                             {rows, PackedRowBytes(cols, kLowBits)}));
  ASSIGN_OR_RETURN(std::vector<float> scales,
                   F16Part(find, layer, "scales", {rows}));
  return std::shared_ptr<const CompressedLinear>(
      std::make_shared<Fp6SplitLinear>(
          rows, cols, std::vector<uint8_t>(high.begin(), high.end()),
          std::vector<uint8_t>(low.begin(), low.end()), std::move(scales)));
}

std::vector<uint8_t> PackFp6Quads(absl::Span<const uint8_t> codes) {
  std::vector<uint8_t> bytes;
  bytes.reserve(codes.size() / 4 * 3);
  for (size_t i = 0; i + 3 < codes.size(); i += 4) {
    bytes.push_back(static_cast<uint8_t>(codes[i] << 2 | codes[i + 1] >> 4));
    bytes.push_back(
        static_cast<uint8_t>((codes[i + 1] & 15) << 4 | codes[i + 2] >> 2));
    bytes.push_back(
        static_cast<uint8_t>((codes[i + 2] & 3) << 6 | codes[i + 3]));
  }
  return bytes;
}

}  // namespace quantd
