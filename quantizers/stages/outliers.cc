#include "quantizers/stages/outliers.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "models/layouts/sparse_overlay.h"
#include "proto/field_rules.h"
#include "quantizers/outlier_selection.h"

namespace quantd {
namespace {

// --- Algorithm -------------------------------------------------------------

// The share that the forecast assumes where only the weights can tell. The
// paper finds 0.3 to 0.8 % beyond 2.5 to 3 standard deviations.
constexpr double kForecastOfSigma = 0.01;

// Another stream for every layer, the same in every run: FNV-1a.
uint64_t SeedOf(uint64_t seed, absl::string_view layer) {
  uint64_t hash = 0xcbf29ce484222325;
  for (char c : layer) {
    hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  }
  return hash ^ seed;
}

// Positions of either.
OutlierMask Union(const OutlierMask& a, const OutlierMask& b) {
  OutlierMask both;
  both.row_starts.push_back(0);
  for (size_t r = 0; r + 1 < a.row_starts.size(); ++r) {
    std::set_union(a.columns.begin() + a.row_starts[r],
                   a.columns.begin() + a.row_starts[r + 1],
                   b.columns.begin() + b.row_starts[r],
                   b.columns.begin() + b.row_starts[r + 1],
                   std::back_inserter(both.columns));
    both.row_starts.push_back(static_cast<int32_t>(both.columns.size()));
  }
  return both;
}

// --- Stage -----------------------------------------------------------------

class OutliersStage final : public Stage {
 public:
  explicit OutliersStage(const v1::OutliersStage& options)
      : options_(options) {}

  absl::string_view name() const override { return "outliers"; }

  absl::Status Validate(const LinearShape& layer) const override {
    const v1::OutliersStage::Criterion criterion = options_.criterion();
    if (options_.whole_columns() &&
        (criterion == v1::OutliersStage::SIGMA ||
         criterion == v1::OutliersStage::SENSITIVITY)) {
      return InvalidField(
          "outliers.whole_columns",
          absl::StrCat(v1::OutliersStage::Criterion_Name(criterion),
                       " chooses single weights (layer ", layer.name, ")"));
    }
    return absl::OkStatus();
  }

  StatisticsRequest Needs() const override { return {}; }

  StageCost Cost(const LinearShape& layer) const override {
    StageCost cost;
    cost.added_bytes =
        options_.whole_columns()
            ? WholeColumnBytes(layer.rows, layer.cols, Count(layer.cols))
            : SparseOverlayBytes(layer.rows, layer.cols,
                                 Count(layer.rows * layer.cols));
    // An index a weight while the largest are found; the mask.
    cost.working_bytes =
        static_cast<uint64_t>(layer.rows * layer.cols) * sizeof(int64_t) +
        cost.added_bytes;
    return cost;
  }

  absl::Status ProcessBlock(BlockWork& work, ExecutionContext& ctx) override {
    for (LayerWork& item : work.layers) {
      RETURN_IF_ERROR(ctx.CheckCancelled());
      if (options_.criterion() == v1::OutliersStage::SENSITIVITY &&
          item.sensitivity.size() == 0) {
        return InvalidField(
            "outliers.criterion",
            "SENSITIVITY needs the stage sensitivity before it");
      }
      OutlierMask chosen = Choose(item);
      if (item.outliers != nullptr) chosen = Union(*item.outliers, chosen);
      item.outliers = std::make_shared<const OutlierMask>(std::move(chosen));
    }
    return absl::OkStatus();
  }

 private:
  int64_t Count(int64_t total) const {
    return OutlierCount(options_.criterion() == v1::OutliersStage::SIGMA
                            ? kForecastOfSigma
                            : options_.fraction(),
                        total);
  }

  OutlierMask Choose(const LayerWork& item) const {
    const int64_t rows = item.weight.rows();
    const int64_t cols = item.weight.cols();
    const bool sensitive =
        options_.criterion() == v1::OutliersStage::SENSITIVITY;
    Tensor sizes = sensitive ? item.sensitivity : item.weight;
    if (item.outliers != nullptr) {
      // What is taken already is not taken again.
      sizes = sizes.Clone();
      for (int64_t r = 0; r < rows; ++r) {
        const size_t begin = static_cast<size_t>(
            item.outliers->row_starts[static_cast<size_t>(r)]);
        const size_t end = static_cast<size_t>(
            item.outliers->row_starts[static_cast<size_t>(r) + 1]);
        for (size_t i = begin; i < end; ++i) {
          sizes.row(r)[item.outliers->columns[i]] = 0;
        }
      }
    }
    const float* weights = sizes.data();
    const uint64_t seed = SeedOf(options_.seed(), item.name);
    const bool columns = options_.whole_columns();
    switch (options_.criterion()) {
      case v1::OutliersStage::SIGMA:
        return EntriesBeyond(rows, cols, item.weight.data(), options_.sigmas());
      case v1::OutliersStage::RANDOM:
        return columns ? RandomColumns(rows, cols, Count(cols), seed)
                       : RandomEntries(rows, cols, Count(rows * cols), seed);
      default:
        return columns
                   ? LargestColumns(rows, cols, weights, Count(cols))
                   : LargestEntries(rows, cols, weights, Count(rows * cols));
    }
  }

  const v1::OutliersStage options_;
};

}  // namespace

// --- Factory ---------------------------------------------------------------

std::unique_ptr<Stage> NewOutliersStage(const v1::OutliersStage& options) {
  return std::make_unique<OutliersStage>(options);
}

}  // namespace quantd
