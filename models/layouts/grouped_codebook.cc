#include "models/layouts/grouped_codebook.h"

#include <algorithm>
#include <string>
#include <utility>

#include "base/status_macros.h"
#include "models/layouts/grouped_codes.h"
#include "models/layouts/scalar_codes.h"
#include "models/layouts/stored_parts.h"
#include "models/layouts/varied_bit_stream.h"
#include "models/tunable_linear.h"
#include "nlohmann/json.hpp"

namespace quantd {
namespace {

// What two bytes can tell apart.
constexpr int64_t kMostGroups = 1 << 16;

// A bit stream takes eight bits at a time, the lower ones first.
std::string PackGroups(const std::vector<int32_t>& row_groups, int bits) {
  BitWriter writer;
  for (const int32_t group : row_groups) {
    const uint32_t value = static_cast<uint32_t>(group);
    writer.Put(value & 0xFF, std::min(bits, 8));
    if (bits > 8) writer.Put(value >> 8, bits - 8);
  }
  return std::move(writer).Finish();
}

std::vector<int32_t> UnpackGroups(absl::string_view stream, int64_t rows,
                                  int bits) {
  std::vector<int32_t> row_groups;
  BitReader reader(stream.data());
  for (int64_t r = 0; r < rows; ++r) {
    uint32_t value = reader.Get(std::min(bits, 8));
    if (bits > 8) value |= reader.Get(bits - 8) << 8;
    row_groups.push_back(static_cast<int32_t>(value));
  }
  return row_groups;
}

class GroupedCodebookLinear final : public CompressedLinear {
 public:
  // `codes` is packed, [rows, PackedRowBytes(cols, bits)].
  GroupedCodebookLinear(GroupedCodebookWeights meta, std::vector<uint8_t> codes)
      : meta_(std::move(meta)), codes_(std::move(codes)) {}

  absl::string_view layout() const override { return kGroupedCodebookLayout; }
  int64_t rows() const override { return meta_.rows; }
  int64_t cols() const override { return meta_.cols; }

  uint64_t stored_bits() const override {
    return 8 * GroupedCodebookBytes(meta_.rows, meta_.cols, meta_.bits,
                                    meta_.groups);
  }

  Tensor Decode(ExecutionContext& ctx) const override {
    return DecodePackedRows(
        codes_, meta_.rows, meta_.cols, meta_.bits,
        [&](int64_t r, const uint8_t* codes, float* out) {
          const size_t row = static_cast<size_t>(r);
          const float* table = meta_.codebooks.data() +
                               (int64_t{meta_.row_groups[row]} << meta_.bits);
          const float scale = meta_.scales[row];
          for (int64_t c = 0; c < meta_.cols; ++c) {
            out[c] = scale * table[codes[c]];
          }
        },
        ctx);
  }

  GroupedCodebookWeights Unpack() const {
    GroupedCodebookWeights w = meta_;
    w.codes = UnpackRows(codes_, w.rows, w.cols, w.bits);
    return w;
  }

  std::unique_ptr<TunableLinear> Tunable() const override {
    GroupedCodebookWeights w = Unpack();
    std::vector<uint32_t> indices(w.codes.size());
    for (size_t i = 0; i < indices.size(); ++i) {
      const size_t row = i / static_cast<size_t>(w.cols);
      indices[i] =
          (static_cast<uint32_t>(w.row_groups[row]) << w.bits) + w.codes[i];
    }
    StoredParameters p;
    p.rows = w.rows;
    p.cols = w.cols;
    p.groups.group_size = w.cols;
    p.table = Tensor::FromValues({w.groups, int64_t{1} << w.bits}, w.codebooks);
    p.indices =
        std::make_shared<const ops::ValueIndices>(1, std::move(indices));
    p.scales = Tensor::FromValues({w.rows, 1}, w.scales);
    return NewScalarTunable(
        std::move(p), std::move(w),
        [](GroupedCodebookWeights result, const StoredParameters& trained) {
          result.codebooks = ToVector(trained.table);
          result.scales = ToVector(trained.scales);
          return NewGroupedCodebook(std::move(result));
        },
        [](const GroupedCodebookWeights& weights,
           const StoredParameters& trained) {
          return [tables = trained.table, k = size_t{1} << weights.bits,
                  row_groups = weights.row_groups](int64_t row, int64_t) {
            const int32_t group = row_groups[static_cast<size_t>(row)];
            return tables.values().subspan(static_cast<size_t>(group) * k, k);
          };
        });
  }

  nlohmann::json Save(absl::string_view layer,
                      std::vector<TensorToWrite>* tensors) const override {
    tensors->push_back(
        PackedRowsTensor(absl::StrCat(layer, ".codes"), meta_.rows, codes_));
    tensors->push_back(F16Tensor(absl::StrCat(layer, ".codebooks"),
                                 {meta_.groups, int64_t{1} << meta_.bits},
                                 meta_.codebooks));
    if (meta_.groups > 1) {
      tensors->push_back(
          BytesTensor(layer, "row_groups",
                      PackGroups(meta_.row_groups, GroupBits(meta_.groups))));
    }
    tensors->push_back(
        F16Tensor(absl::StrCat(layer, ".scales"), {meta_.rows}, meta_.scales));
    return {{"layout", std::string(kGroupedCodebookLayout)},
            {"bits", meta_.bits},
            {"groups", meta_.groups}};
  }

 private:
  const GroupedCodebookWeights meta_;  // codes empty
  const std::vector<uint8_t> codes_;
};

absl::Status CheckGroups(int64_t groups) {
  return CheckRange("groups", groups, 1, kMostGroups);
}

absl::Status CheckRowGroups(const std::vector<int32_t>& row_groups,
                            int64_t groups) {
  for (const int32_t group : row_groups) {
    if (group < 0 || group >= groups) {
      return absl::InvalidArgumentError(
          absl::StrCat("a row has group ", group, ", of ", groups, " groups"));
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::shared_ptr<const CompressedLinear>> NewGroupedCodebook(
    GroupedCodebookWeights weights) {
  RETURN_IF_ERROR(CheckBits(weights.bits));
  RETURN_IF_ERROR(CheckGroups(weights.groups));
  RETURN_IF_ERROR(CheckCount("codebook values", weights.codebooks.size(),
                             weights.groups << weights.bits));
  RETURN_IF_ERROR(
      CheckCount("row groups", weights.row_groups.size(), weights.rows));
  RETURN_IF_ERROR(CheckCount("scales", weights.scales.size(), weights.rows));
  RETURN_IF_ERROR(CheckF16(weights.codebooks, "codebook value"));
  RETURN_IF_ERROR(CheckF16(weights.scales, "scale"));
  RETURN_IF_ERROR(CheckRowGroups(weights.row_groups, weights.groups));
  RETURN_IF_ERROR(
      CheckCodes(weights.codes, weights.rows, weights.cols, weights.bits));
  std::vector<uint8_t> packed =
      PackRows(weights.codes, weights.rows, weights.cols, weights.bits);
  weights.codes = {};
  return std::shared_ptr<const CompressedLinear>(
      std::make_shared<GroupedCodebookLinear>(std::move(weights),
                                              std::move(packed)));
}

std::optional<GroupedCodebookWeights> UnpackGroupedCodebook(
    const CompressedLinear& layer) {
  if (layer.layout() != kGroupedCodebookLayout) return std::nullopt;
  return static_cast<const GroupedCodebookLinear&>(layer).Unpack();
}

uint64_t GroupedCodebookBytes(int64_t rows, int64_t cols, int bits,
                              int64_t groups) {
  return static_cast<uint64_t>(
      rows * PackedRowBytes(cols, bits) + 2 * (groups << bits) +
      PackedRowBytes(rows, GroupBits(groups)) + 2 * rows);
}

absl::StatusOr<std::shared_ptr<const CompressedLinear>> LoadGroupedCodebook(
    TensorFinder find, absl::string_view layer, const nlohmann::json& header,
    int64_t rows, int64_t cols) {
  GroupedCodebookWeights w;
  w.rows = rows;
  w.cols = cols;
  ASSIGN_OR_RETURN(w.bits, HeaderBits(header));
  ASSIGN_OR_RETURN(w.groups, HeaderInt(header, "groups"));
  RETURN_IF_ERROR(Annotate(CheckGroups(w.groups), "header"));
  ASSIGN_OR_RETURN(const absl::string_view codes,
                   PartBytes(find, layer, "codes", DType::kU8,
                             {rows, PackedRowBytes(cols, w.bits)}));
  ASSIGN_OR_RETURN(w.codebooks, F16Part(find, layer, "codebooks",
                                        {w.groups, int64_t{1} << w.bits}));
  ASSIGN_OR_RETURN(w.scales, F16Part(find, layer, "scales", {rows}));
  w.row_groups.assign(static_cast<size_t>(rows), 0);
  if (w.groups > 1) {
    const int bits = GroupBits(w.groups);
    ASSIGN_OR_RETURN(const absl::string_view stream,
                     PartBytes(find, layer, "row_groups", DType::kU8,
                               {PackedRowBytes(rows, bits)}));
    w.row_groups = UnpackGroups(stream, rows, bits);
    RETURN_IF_ERROR(CheckRowGroups(w.row_groups, w.groups));
  }
  return std::shared_ptr<const CompressedLinear>(
      std::make_shared<GroupedCodebookLinear>(
          std::move(w), std::vector<uint8_t>(codes.begin(), codes.end())));
}

}  // namespace quantd
