#include "models/layouts/mixed_int.h"

#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "kernels/float_formats.h"
#include "models/layouts/grouped_codes.h"
#include "models/layouts/scalar_codes.h"
#include "models/layouts/stored_parts.h"
#include "models/layouts/varied_bit_stream.h"
#include "models/tunable_linear.h"
#include "nlohmann/json.hpp"

namespace quantd {
namespace {

constexpr int kWidthBits = 3;  // of bits - 1

// Sizes of the streams; a function of the widths.
struct StreamSizes {
  std::vector<int64_t> row_starts;  // [rows + 1], bytes into codes
  int64_t zero_bits = 0;
  int64_t binary_groups = 0;  // of 1 bit
};

// `w` needs rows, cols, group_size and bits.
StreamSizes SizesOf(const MixedIntWeights& w) {
  StreamSizes sizes;
  sizes.row_starts.reserve(static_cast<size_t>(w.rows) + 1);
  sizes.row_starts.push_back(0);
  for (int64_t r = 0; r < w.rows; ++r) {
    int64_t row_bits = 0;
    for (int64_t g = 0; g < w.groups(); ++g) {
      const int bits = w.bits_of(r, g);
      row_bits += bits * w.group_size;
      if (bits == 1) {
        ++sizes.binary_groups;
      } else {
        sizes.zero_bits += bits;
      }
    }
    sizes.row_starts.push_back(sizes.row_starts.back() +
                               BytesForBits(row_bits));
  }
  return sizes;
}

// What the codes of one bit stand for.
constexpr float kSigns[] = {-1.0f, 1.0f};

// The stored form: codes packed, the rest unpacked.
class MixedIntLinear final : public CompressedLinear {
 public:
  // `codes` is packed as `sizes` says.
  MixedIntLinear(MixedIntWeights meta, StreamSizes sizes, std::string codes)
      : meta_(std::move(meta)),
        sizes_(std::move(sizes)),
        codes_(std::move(codes)) {}

  absl::string_view layout() const override { return kMixedIntLayout; }
  int64_t rows() const override { return meta_.rows; }
  int64_t cols() const override { return meta_.cols; }

  uint64_t stored_bits() const override {
    return 8 * MixedIntBytes(meta_.rows, meta_.cols, meta_.group_size,
                             meta_.symmetric, meta_.bits);
  }

  Tensor Decode(ExecutionContext& ctx) const override {
    return DecodeRows(
        meta_.rows, meta_.cols,
        [this](int64_t row, float* out) { DecodeRow(row, out); }, ctx);
  }

  MixedIntWeights Unpack() const {
    MixedIntWeights w = meta_;
    w.codes.resize(static_cast<size_t>(w.rows * w.cols));
    for (int64_t r = 0; r < w.rows; ++r) {
      BitReader reader(codes_.data() +
                       sizes_.row_starts[static_cast<size_t>(r)]);
      for (int64_t c = 0; c < w.cols; ++c) {
        w.codes[static_cast<size_t>(r * w.cols + c)] =
            static_cast<uint8_t>(reader.Get(w.bits_of(r, c / w.group_size)));
      }
    }
    return w;
  }

  // A group of one bit is scale * ((2 code - 1) + mean / scale): its mean goes
  // with its scale.
  std::unique_ptr<TunableLinear> Tunable() const override {
    MixedIntWeights w = Unpack();
    StoredParameters p;
    p.rows = w.rows;
    p.cols = w.cols;
    p.groups = ChannelGroupsOf(w.group_size, {});
    p.scales = Tensor::FromValues({w.rows, w.groups()}, w.scales);
    p.zeros = Tensor::Uninitialized({w.rows, w.groups()});
    p.values = ToFloats(w.codes, {w.rows, w.cols});
    for (int64_t r = 0; r < w.rows; ++r) {
      for (int64_t g = 0; g < w.groups(); ++g) {
        p.zeros.row(r)[g] = ZeroOf(r, g);
        if (w.bits_of(r, g) != 1) continue;
        for (int64_t c = g * w.group_size; c < (g + 1) * w.group_size; ++c) {
          p.values.row(r)[c] = 2 * p.values.row(r)[c] - 1;
        }
      }
    }
    return NewScalarTunable(
        std::move(p), std::move(w),
        [](MixedIntWeights result, const StoredParameters& trained) {
          result.scales = ToVector(trained.scales);
          for (size_t i = 0; i < result.means.size(); ++i) {
            const int64_t at = static_cast<int64_t>(i);
            if (result.bits_of(at / result.groups(), at % result.groups()) !=
                1) {
              continue;
            }
            result.means[i] = NearestF16(-double{trained.zeros.data()[i]} *
                                         trained.scales.data()[i]);
          }
          return NewMixedInt(std::move(result));
        },
        [](const MixedIntWeights& weights,
           const StoredParameters& /*trained*/) {
          return [weights](int64_t row, int64_t col) {
            const int bits = weights.bits_of(row, col / weights.group_size);
            return bits == 1 ? absl::MakeConstSpan(kSigns)
                             : IntegerValues(bits);
          };
        });
  }

  nlohmann::json Save(absl::string_view layer,
                      std::vector<TensorToWrite>* tensors) const override {
    BitWriter widths;
    for (uint8_t bits : meta_.bits) {
      widths.Put(static_cast<uint32_t>(bits - 1), kWidthBits);
    }
    tensors->push_back(
        BytesTensor(layer, "widths", std::move(widths).Finish()));
    tensors->push_back(BytesTensor(layer, "codes", codes_));
    tensors->push_back(F16Tensor(absl::StrCat(layer, ".scales"),
                                 {meta_.rows, meta_.groups()}, meta_.scales));
    if (!meta_.symmetric) {
      BitWriter zeros;
      std::vector<float> means;
      for (int64_t r = 0; r < meta_.rows; ++r) {
        for (int64_t g = 0; g < meta_.groups(); ++g) {
          const size_t i = static_cast<size_t>(r * meta_.groups() + g);
          const int bits = meta_.bits_of(r, g);
          if (bits == 1) {
            means.push_back(meta_.means[i]);
          } else {
            zeros.Put(meta_.zeros[i], bits);
          }
        }
      }
      if (sizes_.zero_bits > 0) {
        tensors->push_back(
            BytesTensor(layer, "zeros", std::move(zeros).Finish()));
      }
      if (!means.empty()) {
        tensors->push_back(F16Tensor(absl::StrCat(layer, ".means"),
                                     {sizes_.binary_groups}, means));
      }
    }
    return {{"layout", std::string(kMixedIntLayout)},
            {"group_size", meta_.group_size},
            {"symmetric", meta_.symmetric},
            {"row_widths", meta_.row_widths()}};
  }

 private:
  // The zero point of a group in w = scale * (value - zero).
  float ZeroOf(int64_t row, int64_t group) const {
    const size_t i = static_cast<size_t>(row * meta_.groups() + group);
    const int bits = meta_.bits_of(row, group);
    if (bits > 1) {
      return meta_.symmetric ? static_cast<float>(1 << (bits - 1))
                             : meta_.zeros[i];
    }
    const bool centred = meta_.symmetric || meta_.scales[i] == 0;
    return centred ? 0.0f : -meta_.means[i] / meta_.scales[i];
  }

  void DecodeRow(int64_t row, float* out) const {
    BitReader reader(codes_.data() +
                     sizes_.row_starts[static_cast<size_t>(row)]);
    for (int64_t g = 0; g < meta_.groups(); ++g) {
      const size_t i = static_cast<size_t>(row * meta_.groups() + g);
      const float scale = meta_.scales[i];
      const int bits = meta_.bits_of(row, g);
      float* group = out + g * meta_.group_size;
      if (bits == 1) {
        const float mean = meta_.symmetric ? 0.0f : meta_.means[i];
        for (int64_t c = 0; c < meta_.group_size; ++c) {
          group[c] = reader.Get(1) != 0 ? mean + scale : mean - scale;
        }
      } else {
        const int zero =
            meta_.symmetric ? 1 << (bits - 1) : int{meta_.zeros[i]};
        for (int64_t c = 0; c < meta_.group_size; ++c) {
          const int code = static_cast<int>(reader.Get(bits));
          group[c] = scale * static_cast<float>(code - zero);
        }
      }
    }
  }

  const MixedIntWeights meta_;  // codes empty
  const StreamSizes sizes_;
  const std::string codes_;
};

// Group size and widths: what everything else is read by.
absl::Status CheckShape(const MixedIntWeights& w) {
  RETURN_IF_ERROR(CheckGroupSize(w.group_size, w.cols));
  const size_t groups = static_cast<size_t>(w.groups());
  const size_t all = static_cast<size_t>(w.rows) * groups;
  if (w.bits.size() != groups && w.bits.size() != all) {
    return absl::InvalidArgumentError(absl::StrCat(
        "expected ", groups, " or ", all, " widths, got ", w.bits.size()));
  }
  for (uint8_t bits : w.bits) RETURN_IF_ERROR(CheckBits(bits));
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::shared_ptr<const CompressedLinear>> NewMixedInt(
    MixedIntWeights weights) {
  MixedIntWeights& w = weights;
  RETURN_IF_ERROR(CheckShape(w));
  const int64_t groups = w.groups();
  StreamSizes sizes = SizesOf(w);
  RETURN_IF_ERROR(CheckCount("codes", w.codes.size(), w.rows * w.cols));
  RETURN_IF_ERROR(CheckCount("scales", w.scales.size(), w.rows * groups));
  RETURN_IF_ERROR(CheckF16(w.scales, "scale"));
  if (w.symmetric || sizes.binary_groups == 0) {
    w.means.clear();
  } else {
    RETURN_IF_ERROR(CheckCount("means", w.means.size(), w.rows * groups));
    RETURN_IF_ERROR(CheckF16(w.means, "mean"));
  }
  if (w.symmetric) {
    w.zeros.clear();
  } else {
    RETURN_IF_ERROR(CheckCount("zeros", w.zeros.size(), w.rows * groups));
  }
  BitWriter packed;
  for (int64_t r = 0; r < w.rows; ++r) {
    for (int64_t g = 0; g < groups; ++g) {
      const int bits = w.bits_of(r, g);
      const int max_code = (1 << bits) - 1;
      if (!w.symmetric && bits > 1) {
        const int zero = w.zeros[static_cast<size_t>(r * groups + g)];
        if (zero > max_code) {
          return absl::InvalidArgumentError(
              absl::StrCat("zero point ", zero, " exceeds ", max_code));
        }
      }
      const uint8_t* codes = w.codes.data() + r * w.cols + g * w.group_size;
      for (int64_t c = 0; c < w.group_size; ++c) {
        if (codes[c] > max_code) {
          return absl::InvalidArgumentError(
              absl::StrCat("code ", int{codes[c]}, " exceeds ", max_code));
        }
        packed.Put(codes[c], bits);
      }
    }
    packed.Align();
  }
  w.codes = {};
  return std::shared_ptr<const CompressedLinear>(
      std::make_shared<MixedIntLinear>(std::move(w), std::move(sizes),
                                       std::move(packed).Finish()));
}

std::optional<MixedIntWeights> UnpackMixedInt(const CompressedLinear& layer) {
  if (layer.layout() != kMixedIntLayout) return std::nullopt;
  return static_cast<const MixedIntLinear&>(layer).Unpack();
}

uint64_t MixedIntBytes(int64_t rows, int64_t cols, int64_t group_size,
                       bool symmetric, absl::Span<const uint8_t> bits) {
  MixedIntWeights w;
  w.rows = rows;
  w.cols = cols;
  w.group_size = group_size;
  w.bits.assign(bits.begin(), bits.end());
  const StreamSizes sizes = SizesOf(w);
  int64_t bytes = BytesForBits(kWidthBits * static_cast<int64_t>(bits.size())) +
                  sizes.row_starts.back() + 2 * rows * w.groups();
  if (!symmetric) {
    bytes += BytesForBits(sizes.zero_bits) + 2 * sizes.binary_groups;
  }
  return static_cast<uint64_t>(bytes);
}

absl::StatusOr<std::shared_ptr<const CompressedLinear>> LoadMixedInt(
    TensorFinder find, absl::string_view layer, const nlohmann::json& header,
    int64_t rows, int64_t cols) {
  MixedIntWeights w;
  w.rows = rows;
  w.cols = cols;
  ASSIGN_OR_RETURN(w.group_size, HeaderGroupSize(header, cols));
  ASSIGN_OR_RETURN(w.symmetric, HeaderBool(header, "symmetric"));
  ASSIGN_OR_RETURN(const bool row_widths, HeaderBool(header, "row_widths"));

  const int64_t groups = w.groups();
  const int64_t count = row_widths ? rows * groups : groups;
  ASSIGN_OR_RETURN(const absl::string_view widths,
                   PartBytes(find, layer, "widths", DType::kU8,
                             {BytesForBits(count * kWidthBits)}));
  BitReader width_reader(widths.data());
  w.bits.resize(static_cast<size_t>(count));
  for (uint8_t& bits : w.bits) {
    bits = static_cast<uint8_t>(width_reader.Get(kWidthBits) + 1);
  }
  StreamSizes sizes = SizesOf(w);
  ASSIGN_OR_RETURN(
      const absl::string_view codes,
      PartBytes(find, layer, "codes", DType::kU8, {sizes.row_starts.back()}));
  ASSIGN_OR_RETURN(w.scales, F16Part(find, layer, "scales", {rows, groups}));
  if (!w.symmetric && sizes.zero_bits > 0) {
    ASSIGN_OR_RETURN(const absl::string_view zeros,
                     PartBytes(find, layer, "zeros", DType::kU8,
                               {BytesForBits(sizes.zero_bits)}));
    BitReader reader(zeros.data());
    w.zeros.resize(w.scales.size());
    for (int64_t r = 0; r < rows; ++r) {
      for (int64_t g = 0; g < groups; ++g) {
        const int bits = w.bits_of(r, g);
        if (bits == 1) continue;
        w.zeros[static_cast<size_t>(r * groups + g)] =
            static_cast<uint8_t>(reader.Get(bits));
      }
    }
  }
  if (!w.symmetric && sizes.binary_groups > 0) {
    ASSIGN_OR_RETURN(const std::vector<float> means,
                     F16Part(find, layer, "means", {sizes.binary_groups}));
    w.means.resize(w.scales.size());
    size_t next = 0;
    for (int64_t r = 0; r < rows; ++r) {
      for (int64_t g = 0; g < groups; ++g) {
        if (w.bits_of(r, g) != 1) continue;
        w.means[static_cast<size_t>(r * groups + g)] = means[next++];
      }
    }
  }
  return std::shared_ptr<const CompressedLinear>(
      std::make_shared<MixedIntLinear>(std::move(w), std::move(sizes),
                                       std::string(codes)));
}

}  // namespace quantd
