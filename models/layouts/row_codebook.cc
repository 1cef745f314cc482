#include "models/layouts/row_codebook.h"

#include <string>
#include <utility>

#include "base/status_macros.h"
#include "models/layouts/grouped_codes.h"
#include "models/layouts/scalar_codes.h"
#include "models/layouts/stored_parts.h"
#include "models/tunable_linear.h"
#include "nlohmann/json.hpp"

namespace quantd {
namespace {

class RowCodebookLinear final : public CompressedLinear {
 public:
  // `codes` is packed, [rows, PackedRowBytes(cols, bits)].
  RowCodebookLinear(RowCodebookWeights meta, std::vector<uint8_t> codes)
      : meta_(std::move(meta)), codes_(std::move(codes)) {}

  absl::string_view layout() const override { return kRowCodebookLayout; }
  int64_t rows() const override { return meta_.rows; }
  int64_t cols() const override { return meta_.cols; }

  uint64_t stored_bits() const override {
    return 8 * RowCodebookBytes(meta_.rows, meta_.cols, meta_.bits);
  }

  Tensor Decode(ExecutionContext& ctx) const override {
    return DecodePackedRows(
        codes_, meta_.rows, meta_.cols, meta_.bits,
        [&](int64_t r, const uint8_t* codes, float* out) {
          const float* table = meta_.codebook.data() + (r << meta_.bits);
          for (int64_t c = 0; c < meta_.cols; ++c) out[c] = table[codes[c]];
        },
        ctx);
  }

  RowCodebookWeights Unpack() const {
    RowCodebookWeights w = meta_;
    w.codes = UnpackRows(codes_, w.rows, w.cols, w.bits);
    return w;
  }

  std::unique_ptr<TunableLinear> Tunable() const override {
    RowCodebookWeights w = Unpack();
    std::vector<uint32_t> indices(w.codes.size());
    for (size_t i = 0; i < indices.size(); ++i) {
      const size_t row = i / static_cast<size_t>(w.cols);
      indices[i] = static_cast<uint32_t>((row << w.bits) + w.codes[i]);
    }
    StoredParameters p;
    p.rows = w.rows;
    p.cols = w.cols;
    p.table = Tensor::FromValues({w.rows, int64_t{1} << w.bits}, w.codebook);
    p.indices =
        std::make_shared<const ops::ValueIndices>(1, std::move(indices));
    return NewScalarTunable(
        std::move(p), std::move(w),
        [](RowCodebookWeights result, const StoredParameters& trained) {
          result.codebook = ToVector(trained.table);
          return NewRowCodebook(std::move(result));
        },
        [](const RowCodebookWeights& weights, const StoredParameters& trained) {
          return [table = trained.table, k = size_t{1} << weights.bits](
                     int64_t row, int64_t) {
            return table.values().subspan(static_cast<size_t>(row) * k, k);
          };
        });
  }

  nlohmann::json Save(absl::string_view layer,
                      std::vector<TensorToWrite>* tensors) const override {
    tensors->push_back(
        PackedRowsTensor(absl::StrCat(layer, ".codes"), meta_.rows, codes_));
    tensors->push_back(F16Tensor(absl::StrCat(layer, ".codebook"),
                                 {meta_.rows, int64_t{1} << meta_.bits},
                                 meta_.codebook));
    return {{"layout", std::string(kRowCodebookLayout)}, {"bits", meta_.bits}};
  }

 private:
  const RowCodebookWeights meta_;  // codes empty
  const std::vector<uint8_t> codes_;
};

}  // namespace

absl::StatusOr<std::shared_ptr<const CompressedLinear>> NewRowCodebook(
    RowCodebookWeights weights) {
  RETURN_IF_ERROR(CheckBits(weights.bits));
  RETURN_IF_ERROR(CheckCount("codebook values", weights.codebook.size(),
                             weights.rows << weights.bits));
  RETURN_IF_ERROR(CheckF16(weights.codebook, "codebook value"));
  RETURN_IF_ERROR(
      CheckCodes(weights.codes, weights.rows, weights.cols, weights.bits));
  std::vector<uint8_t> packed =
      PackRows(weights.codes, weights.rows, weights.cols, weights.bits);
  weights.codes = {};
  return std::shared_ptr<const CompressedLinear>(
      std::make_shared<RowCodebookLinear>(std::move(weights),
                                          std::move(packed)));
}

std::optional<RowCodebookWeights> UnpackRowCodebook(
    const CompressedLinear& layer) {
  if (layer.layout() != kRowCodebookLayout) return std::nullopt;
  return static_cast<const RowCodebookLinear&>(layer).Unpack();
}

uint64_t RowCodebookBytes(int64_t rows, int64_t cols, int bits) {
  return static_cast<uint64_t>(rows * PackedRowBytes(cols, bits) +
                               2 * (rows << bits));
}

absl::StatusOr<std::shared_ptr<const CompressedLinear>> LoadRowCodebook(
    TensorFinder find, absl::string_view layer, const nlohmann::json& header,
    int64_t rows, int64_t cols) {
  RowCodebookWeights w;
  w.rows = rows;
  w.cols = cols;
  ASSIGN_OR_RETURN(w.bits, HeaderBits(header));
  ASSIGN_OR_RETURN(const absl::string_view codes,
                   PartBytes(find, layer, "codes", DType::kU8,
                             {rows, PackedRowBytes(cols, w.bits)}));
  ASSIGN_OR_RETURN(w.codebook, F16Part(find, layer, "codebook",
                                       {rows, int64_t{1} << w.bits}));
  return std::shared_ptr<const CompressedLinear>(
      std::make_shared<RowCodebookLinear>(
          std::move(w), std::vector<uint8_t>(codes.begin(), codes.end())));
}

}  // namespace quantd
