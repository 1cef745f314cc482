#include "models/layouts/lookup_table.h"

#include <cmath>
#include <cstring>
#include <utility>

#include "base/status_macros.h"
#include "models/layouts/grouped_codes.h"
#include "models/layouts/scalar_codes.h"
#include "models/layouts/stored_parts.h"
#include "models/layouts/value_tables.h"
#include "models/tunable_linear.h"
#include "nlohmann/json.hpp"

namespace quantd {
namespace {

// What the header says of a table that has no name.
constexpr char kStoredTable[] = "stored";

class LookupTableLinear final : public CompressedLinear {
 public:
  // `codes` is packed, [rows, PackedRowBytes(cols, bits)].
  LookupTableLinear(LookupTableWeights meta, std::vector<uint8_t> codes)
      : meta_(std::move(meta)), codes_(std::move(codes)) {}

  absl::string_view layout() const override { return kLookupTableLayout; }
  int64_t rows() const override { return meta_.rows; }
  int64_t cols() const override { return meta_.cols; }

  uint64_t stored_bits() const override {
    return 8 * (LookupTableBytes(meta_.rows, meta_.cols, meta_.bits,
                                 meta_.group_size,
                                 meta_.table.empty() ? TableStorage::kStored
                                                     : TableStorage::kNamed) +
                4 * meta_.group_index.size());
  }

  Tensor Decode(ExecutionContext& ctx) const override {
    const int64_t groups = meta_.groups();
    const float* values = meta_.values.data();
    return DecodePackedRows(
        codes_, meta_.rows, meta_.cols, meta_.bits,
        [&](int64_t r, const uint8_t* codes, float* out) {
          const float* scales = meta_.scales.data() + r * groups;
          for (int64_t c = 0; c < meta_.cols; ++c) {
            const int64_t g = meta_.group_index.empty()
                                  ? c / meta_.group_size
                                  : meta_.group_index[static_cast<size_t>(c)];
            out[c] = scales[g] * values[codes[c]];
          }
        },
        ctx);
  }

  LookupTableWeights Unpack() const {
    LookupTableWeights w = meta_;
    w.codes = UnpackRows(codes_, w.rows, w.cols, w.bits);
    return w;
  }

  // A table with a name stays as it is.
  std::unique_ptr<TunableLinear> Tunable() const override {
    LookupTableWeights w = Unpack();
    StoredParameters p;
    p.rows = w.rows;
    p.cols = w.cols;
    p.groups = ChannelGroupsOf(w.group_size, w.group_index);
    p.scales = Tensor::FromValues({w.rows, w.groups()}, w.scales);
    if (w.table.empty()) {
      p.table =
          Tensor::FromValues({static_cast<int64_t>(w.values.size())}, w.values);
      p.table_in_f16 = false;
      p.indices = std::make_shared<const ops::ValueIndices>(
          1, std::vector<uint32_t>(w.codes.begin(), w.codes.end()));
    } else {
      p.values = Tensor::Uninitialized({w.rows, w.cols});
      for (size_t i = 0; i < w.codes.size(); ++i) {
        p.values.data()[i] = w.values[w.codes[i]];
      }
    }
    return NewScalarTunable(
        std::move(p), std::move(w),
        [](LookupTableWeights result, const StoredParameters& trained) {
          result.scales = ToVector(trained.scales);
          if (result.table.empty()) result.values = ToVector(trained.table);
          return NewLookupTable(std::move(result));
        },
        [](const LookupTableWeights& weights, const StoredParameters& trained) {
          return [values = weights.table.empty() ? ToVector(trained.table)
                                                 : weights.values](
                     int64_t, int64_t) { return absl::MakeConstSpan(values); };
        });
  }

  nlohmann::json Save(absl::string_view layer,
                      std::vector<TensorToWrite>* tensors) const override {
    tensors->push_back(
        PackedRowsTensor(absl::StrCat(layer, ".codes"), meta_.rows, codes_));
    tensors->push_back(F16Tensor(absl::StrCat(layer, ".scales"),
                                 {meta_.rows, meta_.groups()}, meta_.scales));
    if (meta_.table.empty()) {
      tensors->push_back(
          {absl::StrCat(layer, ".values"),
           DType::kF32,
           {static_cast<int64_t>(meta_.values.size())},
           std::string(reinterpret_cast<const char*>(meta_.values.data()),
                       meta_.values.size() * sizeof(float))});
    }
    if (!meta_.group_index.empty()) {
      tensors->push_back(GroupIndexTensor(layer, meta_.group_index));
    }
    return {{"layout", std::string(kLookupTableLayout)},
            {"bits", meta_.bits},
            {"group_size", meta_.group_size},
            {"values", meta_.table.empty() ? kStoredTable : meta_.table},
            {"group_index", !meta_.group_index.empty()}};
  }

 private:
  const LookupTableWeights meta_;  // codes empty, values always there
  const std::vector<uint8_t> codes_;
};

// Fetches the values of a named table, and the checks that memory and disk
// share. Codes are not looked at.
absl::Status CompleteAndCheck(LookupTableWeights* w) {
  RETURN_IF_ERROR(CheckBits(w->bits));
  RETURN_IF_ERROR(CheckGroupSize(w->group_size, w->cols));
  if (!w->table.empty()) {
    w->values = StandardValues(w->table);
    if (w->values.empty()) {
      return absl::InvalidArgumentError(
          absl::StrCat("there is no table of values \"", w->table, "\""));
    }
  }
  if (w->values.size() != size_t{1} << w->bits) {
    return absl::InvalidArgumentError(
        absl::StrCat("expected ", 1 << w->bits, " values for ", w->bits,
                     " bits, got ", w->values.size()));
  }
  for (const float value : w->values) {
    if (!std::isfinite(value)) {
      return absl::InvalidArgumentError(
          absl::StrCat("value ", value, " of the table is not finite"));
    }
  }
  RETURN_IF_ERROR(
      CheckCount("scales", w->scales.size(), w->rows * w->groups()));
  RETURN_IF_ERROR(CheckF16(w->scales, "scale"));
  return CheckGroupIndex(w->group_index, w->cols, w->groups());
}

}  // namespace

absl::StatusOr<std::shared_ptr<const CompressedLinear>> NewLookupTable(
    LookupTableWeights weights) {
  RETURN_IF_ERROR(CompleteAndCheck(&weights));
  RETURN_IF_ERROR(
      CheckCodes(weights.codes, weights.rows, weights.cols, weights.bits));
  std::vector<uint8_t> packed =
      PackRows(weights.codes, weights.rows, weights.cols, weights.bits);
  weights.codes = {};
  return std::shared_ptr<const CompressedLinear>(
      std::make_shared<LookupTableLinear>(std::move(weights),
                                          std::move(packed)));
}

std::optional<LookupTableWeights> UnpackLookupTable(
    const CompressedLinear& layer) {
  if (layer.layout() != kLookupTableLayout) return std::nullopt;
  return static_cast<const LookupTableLinear&>(layer).Unpack();
}

uint64_t LookupTableBytes(int64_t rows, int64_t cols, int bits,
                          int64_t group_size, TableStorage table) {
  int64_t bytes =
      rows * PackedRowBytes(cols, bits) + 2 * rows * (cols / group_size);
  if (table == TableStorage::kStored) bytes += int64_t{4} << bits;
  return static_cast<uint64_t>(bytes);
}

absl::StatusOr<std::shared_ptr<const CompressedLinear>> LoadLookupTable(
    TensorFinder find, absl::string_view layer, const nlohmann::json& header,
    int64_t rows, int64_t cols) {
  LookupTableWeights w;
  w.rows = rows;
  w.cols = cols;
  ASSIGN_OR_RETURN(w.bits, HeaderBits(header));
  ASSIGN_OR_RETURN(w.group_size, HeaderGroupSize(header, cols));
  ASSIGN_OR_RETURN(w.table, HeaderString(header, "values"));
  ASSIGN_OR_RETURN(const bool indexed, HeaderBool(header, "group_index"));

  ASSIGN_OR_RETURN(const absl::string_view codes,
                   PartBytes(find, layer, "codes", DType::kU8,
                             {rows, PackedRowBytes(cols, w.bits)}));
  ASSIGN_OR_RETURN(w.scales,
                   F16Part(find, layer, "scales", {rows, w.groups()}));
  if (w.table == kStoredTable) {
    w.table.clear();
    ASSIGN_OR_RETURN(
        const absl::string_view values,
        PartBytes(find, layer, "values", DType::kF32, {int64_t{1} << w.bits}));
    w.values.resize(size_t{1} << w.bits);
    std::memcpy(w.values.data(), values.data(), values.size());
  } else if (w.table.empty()) {
    return absl::InvalidArgumentError("header: values names no table");
  }
  if (indexed) {
    ASSIGN_OR_RETURN(w.group_index, GroupIndexPart(find, layer, cols));
  }
  RETURN_IF_ERROR(CompleteAndCheck(&w));
  return std::shared_ptr<const CompressedLinear>(
      std::make_shared<LookupTableLinear>(
          std::move(w), std::vector<uint8_t>(codes.begin(), codes.end())));
}

}  // namespace quantd
