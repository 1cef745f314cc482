#include "models/layouts/partially_binary.h"

#include <algorithm>
#include <cstring>
#include <numeric>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "models/layouts/grouped_codes.h"
#include "models/layouts/stored_parts.h"
#include "models/layouts/varied_bit_stream.h"
#include "models/tunable_linear.h"
#include "nlohmann/json.hpp"
#include "tensor/ops.h"

namespace quantd {
namespace {

constexpr absl::string_view kBitmap = "bitmap";
constexpr absl::string_view kColumns = "columns";
constexpr int kLeastBits = 2;  // of a salient code

int64_t BitmapBytes(int64_t rows, int64_t cols) {
  return BytesForBits(rows * cols);
}

int64_t ColumnListBytes(int64_t rows, int64_t cols, int64_t salient) {
  return 4 * (rows + 1) +
         static_cast<int64_t>(DTypeSize(ColumnType(cols))) * salient;
}

// [rows + 1], bits into codes. `salient` [rows, cols] of 0 and 1.
std::vector<int64_t> RowStarts(int64_t rows, int64_t cols, int bits,
                               const std::vector<uint8_t>& salient) {
  std::vector<int64_t> starts = {0};
  starts.reserve(static_cast<size_t>(rows) + 1);
  for (int64_t r = 0; r < rows; ++r) {
    const uint8_t* row = salient.data() + r * cols;
    const int64_t count = std::accumulate(row, row + cols, int64_t{0});
    starts.push_back(starts.back() + cols + (bits - 1) * count);
  }
  return starts;
}

// Parameters: alphas [rows, G], means [rows, G] where centered, scales of the
// salient weights [rows, 1].
class PartiallyBinaryTunable final : public TunableLinear {
 public:
  explicit PartiallyBinaryTunable(PartiallyBinaryWeights start)
      : start_(std::move(start)),
        groups_(ChannelGroupsOf(start_.group_size, start_.group_index)),
        signs_(Tensor::Zeros({start_.rows, start_.cols})),
        others_(Tensor::Zeros({start_.rows, start_.cols})),
        units_(Tensor::Zeros({start_.rows, start_.cols})) {
    for (int64_t i = 0; i < signs_.size(); ++i) {
      const int code = start_.codes[static_cast<size_t>(i)];
      if (start_.salient[static_cast<size_t>(i)] != 0) {
        const size_t row = static_cast<size_t>(i / start_.cols);
        units_.data()[i] = static_cast<float>(code - start_.zeros[row]);
      } else {
        signs_.data()[i] = static_cast<float>(2 * code - 1);
        others_.data()[i] = 1;
      }
    }
  }

  std::vector<Tensor> Parameters() const override {
    const Shape by_group = {start_.rows, start_.groups()};
    std::vector<Tensor> p = {Tensor::FromValues(by_group, start_.alphas)};
    if (centered()) p.push_back(Tensor::FromValues(by_group, start_.means));
    p.push_back(Tensor::FromValues({start_.rows, 1}, start_.scales));
    return p;
  }

  Tensor Weight(absl::Span<const Tensor> parameters,
                ExecutionContext& ctx) const override {
    const std::vector<Tensor> p = Stored(parameters, ctx);
    Tensor sum = ops::FromCodeUnits(signs_, p[0], Tensor(), groups_, ctx);
    if (centered()) {
      sum = ops::Add(
          sum, ops::FromCodeUnits(others_, p[1], Tensor(), groups_, ctx), ctx);
    }
    const ChannelGroups row = {start_.cols, nullptr};
    return ops::Add(
        sum, ops::FromCodeUnits(units_, p.back(), Tensor(), row, ctx), ctx);
  }

  absl::StatusOr<std::shared_ptr<const CompressedLinear>> Freeze(
      absl::Span<const Tensor> parameters,
      ExecutionContext& ctx) const override {
    const std::vector<Tensor> p = Stored(parameters, ctx);
    PartiallyBinaryWeights result = start_;
    result.alphas = ToVector(p[0]);
    if (centered()) result.means = ToVector(p[1]);
    result.scales = ToVector(p.back());
    return NewPartiallyBinary(std::move(result));
  }

 private:
  bool centered() const { return !start_.means.empty(); }

  static std::vector<Tensor> Stored(absl::Span<const Tensor> parameters,
                                    ExecutionContext& ctx) {
    std::vector<Tensor> stored;
    for (const Tensor& p : parameters) {
      stored.push_back(ops::RoundToF16StraightThrough(p, ctx));
    }
    return stored;
  }

  const PartiallyBinaryWeights start_;
  const ChannelGroups groups_;
  // [rows, cols], constants.
  Tensor signs_;   // +-1, 0 where salient
  Tensor others_;  // 1, 0 where salient
  Tensor units_;   // code - zero where salient, 0 elsewhere
};

// The stored form: codes and mask packed, the rest unpacked.
class PartiallyBinaryLinear final : public CompressedLinear {
 public:
  // `codes` is packed, row r from bit row_starts[r] on.
  PartiallyBinaryLinear(PartiallyBinaryWeights meta,
                        std::vector<int64_t> row_starts, std::string codes)
      : salient_(std::accumulate(meta.salient.begin(), meta.salient.end(),
                                 int64_t{0})),
        meta_(std::move(meta)),
        row_starts_(std::move(row_starts)),
        codes_(std::move(codes)),
        bitmap_(PackStream(meta_.salient, 1)) {
    meta_.salient = {};
  }

  absl::string_view layout() const override { return kPartiallyBinaryLayout; }
  int64_t rows() const override { return meta_.rows; }
  int64_t cols() const override { return meta_.cols; }

  uint64_t stored_bits() const override {
    return 8 * (PartiallyBinaryBytes(meta_.rows, meta_.cols, meta_.bits,
                                     meta_.group_size, centered(), salient_) +
                4 * meta_.group_index.size());
  }

  Tensor Decode(ExecutionContext& ctx) const override {
    return DecodeRows(
        meta_.rows, meta_.cols,
        [this](int64_t row, float* out) { DecodeRow(row, out); }, ctx);
  }

  PartiallyBinaryWeights Unpack() const {
    PartiallyBinaryWeights w = meta_;
    w.salient = UnpackStream(bitmap_, w.rows * w.cols, 1);
    BitReader reader(codes_.data());
    for (uint8_t salient : w.salient) {
      w.codes.push_back(
          static_cast<uint8_t>(reader.Get(salient != 0 ? w.bits : 1)));
    }
    return w;
  }

  std::unique_ptr<TunableLinear> Tunable() const override {
    return std::make_unique<PartiallyBinaryTunable>(Unpack());
  }

  nlohmann::json Save(absl::string_view layer,
                      std::vector<TensorToWrite>* tensors) const override {
    tensors->push_back(BytesTensor(layer, "codes", codes_));
    const Shape per_group = {meta_.rows, meta_.groups()};
    tensors->push_back(
        F16Tensor(absl::StrCat(layer, ".alphas"), per_group, meta_.alphas));
    if (centered()) {
      tensors->push_back(
          F16Tensor(absl::StrCat(layer, ".means"), per_group, meta_.means));
    }
    tensors->push_back(
        F16Tensor(absl::StrCat(layer, ".scales"), {meta_.rows}, meta_.scales));
    tensors->push_back(
        BytesTensor(layer, "zeros", PackStream(meta_.zeros, meta_.bits)));
    if (!meta_.group_index.empty()) {
      tensors->push_back(GroupIndexTensor(layer, meta_.group_index));
    }
    const bool bitmap = BitmapBytes(meta_.rows, meta_.cols) <=
                        ColumnListBytes(meta_.rows, meta_.cols, salient_);
    if (bitmap) {
      tensors->push_back(BytesTensor(layer, "bitmap", bitmap_));
    } else {
      SaveColumns(layer, tensors);
    }
    return {{"layout", std::string(kPartiallyBinaryLayout)},
            {"bits", meta_.bits},
            {"group_size", meta_.group_size},
            {"centered", centered()},
            {"group_index", !meta_.group_index.empty()},
            {"positions", std::string(bitmap ? kBitmap : kColumns)}};
  }

 private:
  bool centered() const { return !meta_.means.empty(); }

  bool Salient(int64_t row, int64_t col) const {
    const int64_t bit = row * meta_.cols + col;
    const char byte = bitmap_[static_cast<size_t>(bit / 8)];
    return ((static_cast<uint8_t>(byte) >> (bit % 8)) & 1) != 0;
  }

  void SaveColumns(absl::string_view layer,
                   std::vector<TensorToWrite>* tensors) const {
    std::vector<int32_t> starts = {0};
    std::string columns;
    const size_t width = DTypeSize(ColumnType(meta_.cols));
    int32_t count = 0;
    for (int64_t r = 0; r < meta_.rows; ++r) {
      for (int64_t c = 0; c < meta_.cols; ++c) {
        if (!Salient(r, c)) continue;
        const uint32_t column = static_cast<uint32_t>(c);
        columns.append(reinterpret_cast<const char*>(&column), width);
        ++count;
      }
      starts.push_back(count);
    }
    tensors->push_back(
        {absl::StrCat(layer, ".row_starts"),
         DType::kI32,
         {meta_.rows + 1},
         std::string(reinterpret_cast<const char*>(starts.data()),
                     starts.size() * sizeof(int32_t))});
    tensors->push_back({absl::StrCat(layer, ".columns"),
                        ColumnType(meta_.cols),
                        {salient_},
                        std::move(columns)});
  }

  void DecodeRow(int64_t row, float* out) const {
    BitReader reader(codes_.data(), row_starts_[static_cast<size_t>(row)]);
    const float scale = meta_.scales[static_cast<size_t>(row)];
    const int zero = meta_.zeros[static_cast<size_t>(row)];
    for (int64_t c = 0; c < meta_.cols; ++c) {
      if (Salient(row, c)) {
        const int code = static_cast<int>(reader.Get(meta_.bits));
        out[c] = scale * static_cast<float>(code - zero);
        continue;
      }
      const int64_t group = meta_.group_index.empty()
                                ? c / meta_.group_size
                                : meta_.group_index[static_cast<size_t>(c)];
      const size_t i = static_cast<size_t>(row * meta_.groups() + group);
      const float mean = centered() ? meta_.means[i] : 0.0f;
      out[c] =
          reader.Get(1) != 0 ? mean + meta_.alphas[i] : mean - meta_.alphas[i];
    }
  }

  const int64_t salient_;
  PartiallyBinaryWeights meta_;  // codes and mask empty
  const std::vector<int64_t> row_starts_;
  const std::string codes_;
  const std::string bitmap_;
};

// The checks that memory and disk share; codes and mask are not looked at.
absl::Status CheckParameters(const PartiallyBinaryWeights& w) {
  RETURN_IF_ERROR(CheckBits(w.bits, kLeastBits));
  RETURN_IF_ERROR(CheckGroupSize(w.group_size, w.cols));
  const size_t rows = static_cast<size_t>(w.rows);
  const size_t groups = rows * static_cast<size_t>(w.groups());
  if (w.alphas.size() != groups ||
      (!w.means.empty() && w.means.size() != groups)) {
    return absl::InvalidArgumentError(
        absl::StrCat("expected ", groups, " alphas and means, got ",
                     w.alphas.size(), " and ", w.means.size()));
  }
  if (w.scales.size() != rows || w.zeros.size() != rows) {
    return absl::InvalidArgumentError(
        absl::StrCat("expected ", rows, " scales and zeros, got ",
                     w.scales.size(), " and ", w.zeros.size()));
  }
  RETURN_IF_ERROR(CheckGroupIndex(w.group_index, w.cols, w.groups()));
  RETURN_IF_ERROR(CheckF16(w.alphas, "alpha"));
  RETURN_IF_ERROR(CheckF16(w.means, "mean"));
  RETURN_IF_ERROR(CheckF16(w.scales, "scale"));
  const int max_code = (1 << w.bits) - 1;
  for (uint8_t zero : w.zeros) {
    if (zero > max_code) {
      return absl::InvalidArgumentError(
          absl::StrCat("zero point ", int{zero}, " exceeds ", max_code));
    }
  }
  return absl::OkStatus();
}

// Fills `mask` [rows, cols], which is zero, from row_starts and columns.
absl::Status ReadColumns(TensorFinder find, absl::string_view layer,
                         int64_t rows, int64_t cols,
                         std::vector<uint8_t>* mask) {
  ASSIGN_OR_RETURN(
      const absl::string_view start_bytes,
      PartBytes(find, layer, "row_starts", DType::kI32, {rows + 1}));
  std::vector<int32_t> starts(static_cast<size_t>(rows) + 1);
  std::memcpy(starts.data(), start_bytes.data(), start_bytes.size());
  for (size_t r = 0; r < starts.size(); ++r) {
    if (starts[r] < (r == 0 ? 0 : starts[r - 1]) ||
        (r == 0 && starts[r] != 0)) {
      return absl::InvalidArgumentError(absl::StrCat(
          "row_starts ", starts[r], " of row ", r, " is out of order"));
    }
  }
  ASSIGN_OR_RETURN(const absl::string_view columns,
                   PartBytes(find, layer, "columns", ColumnType(cols),
                             {int64_t{starts.back()}}));
  const size_t width = DTypeSize(ColumnType(cols));
  for (int64_t r = 0; r < rows; ++r) {
    int64_t previous = -1;
    const size_t row = static_cast<size_t>(r);
    for (int32_t i = starts[row]; i < starts[row + 1]; ++i) {
      uint32_t column = 0;
      std::memcpy(&column, columns.data() + static_cast<size_t>(i) * width,
                  width);
      if (column >= static_cast<uint64_t>(cols) ||
          int64_t{column} <= previous) {
        return absl::InvalidArgumentError(
            absl::StrCat("columns: ", column, " in row ", r,
                         " is out of range or out of order"));
      }
      previous = column;
      (*mask)[static_cast<size_t>(r * cols + previous)] = 1;
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::shared_ptr<const CompressedLinear>> NewPartiallyBinary(
    PartiallyBinaryWeights weights) {
  PartiallyBinaryWeights& w = weights;
  RETURN_IF_ERROR(CheckParameters(w));
  const size_t size = static_cast<size_t>(w.rows * w.cols);
  if (w.codes.size() != size || w.salient.size() != size) {
    return absl::InvalidArgumentError(
        absl::StrCat("expected ", size, " codes and mask entries, got ",
                     w.codes.size(), " and ", w.salient.size()));
  }
  const int max_code = (1 << w.bits) - 1;
  for (size_t i = 0; i < size; ++i) {
    if (w.salient[i] > 1) {
      return absl::InvalidArgumentError(
          absl::StrCat("mask entry ", int{w.salient[i]}, " is not 0 or 1"));
    }
    const int most = w.salient[i] != 0 ? max_code : 1;
    if (w.codes[i] > most) {
      return absl::InvalidArgumentError(
          absl::StrCat("code ", int{w.codes[i]}, " exceeds ", most));
    }
  }
  BitWriter packed;
  for (size_t i = 0; i < size; ++i) {
    packed.Put(w.codes[i], w.salient[i] != 0 ? w.bits : 1);
  }
  w.codes = {};
  std::vector<int64_t> starts = RowStarts(w.rows, w.cols, w.bits, w.salient);
  return std::shared_ptr<const CompressedLinear>(
      std::make_shared<PartiallyBinaryLinear>(std::move(w), std::move(starts),
                                              std::move(packed).Finish()));
}

std::optional<PartiallyBinaryWeights> UnpackPartiallyBinary(
    const CompressedLinear& layer) {
  if (layer.layout() != kPartiallyBinaryLayout) return std::nullopt;
  return static_cast<const PartiallyBinaryLinear&>(layer).Unpack();
}

uint64_t PartiallyBinaryBytes(int64_t rows, int64_t cols, int bits,
                              int64_t group_size, bool centered,
                              int64_t salient) {
  const int64_t groups = rows * (cols / group_size);
  return static_cast<uint64_t>(
      BytesForBits(rows * cols + (bits - 1) * salient) +
      (centered ? 4 : 2) * groups + 2 * rows + BytesForBits(rows * bits) +
      std::min(BitmapBytes(rows, cols), ColumnListBytes(rows, cols, salient)));
}

absl::StatusOr<std::shared_ptr<const CompressedLinear>> LoadPartiallyBinary(
    TensorFinder find, absl::string_view layer, const nlohmann::json& header,
    int64_t rows, int64_t cols) {
  PartiallyBinaryWeights w;
  w.rows = rows;
  w.cols = cols;
  ASSIGN_OR_RETURN(w.bits, HeaderBits(header, kLeastBits));
  ASSIGN_OR_RETURN(w.group_size, HeaderGroupSize(header, cols));
  ASSIGN_OR_RETURN(const bool centered, HeaderBool(header, "centered"));
  ASSIGN_OR_RETURN(const bool indexed, HeaderBool(header, "group_index"));
  ASSIGN_OR_RETURN(const std::string positions,
                   HeaderString(header, "positions"));
  w.salient.assign(static_cast<size_t>(rows * cols), 0);
  if (positions == kBitmap) {
    ASSIGN_OR_RETURN(const absl::string_view bitmap,
                     PartBytes(find, layer, "bitmap", DType::kU8,
                               {BitmapBytes(rows, cols)}));
    w.salient = UnpackStream(bitmap, rows * cols, 1);
  } else if (positions == kColumns) {
    RETURN_IF_ERROR(ReadColumns(find, layer, rows, cols, &w.salient));
  } else {
    return absl::InvalidArgumentError(
        absl::StrCat("header: positions \"", positions, "\" is neither \"",
                     kBitmap, "\" nor \"", kColumns, "\""));
  }
  std::vector<int64_t> starts = RowStarts(rows, cols, w.bits, w.salient);
  ASSIGN_OR_RETURN(const absl::string_view codes,
                   PartBytes(find, layer, "codes", DType::kU8,
                             {BytesForBits(starts.back())}));
  const Shape per_group = {rows, w.groups()};
  ASSIGN_OR_RETURN(w.alphas, F16Part(find, layer, "alphas", per_group));
  if (centered) {
    ASSIGN_OR_RETURN(w.means, F16Part(find, layer, "means", per_group));
  }
  ASSIGN_OR_RETURN(w.scales, F16Part(find, layer, "scales", {rows}));
  ASSIGN_OR_RETURN(const absl::string_view zeros,
                   PartBytes(find, layer, "zeros", DType::kU8,
                             {BytesForBits(rows * w.bits)}));
  w.zeros = UnpackStream(zeros, rows, w.bits);
  if (indexed) {
    ASSIGN_OR_RETURN(w.group_index, GroupIndexPart(find, layer, cols));
  }
  RETURN_IF_ERROR(CheckParameters(w));
  return std::shared_ptr<const CompressedLinear>(
      std::make_shared<PartiallyBinaryLinear>(std::move(w), std::move(starts),
                                              std::string(codes)));
}

}  // namespace quantd
