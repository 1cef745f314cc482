#include "quantizers/grids/codebook.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "kernels/float_formats.h"
#include "models/layouts/grouped_codebook.h"
#include "models/layouts/row_codebook.h"
#include "proto/field_rules.h"
#include "quantizers/affine_grid.h"
#include "quantizers/grid_validation.h"
#include "quantizers/scalar_kmeans.h"
#include "quantizers/vector_kmeans.h"

namespace quantd {
namespace {

// --- Tables ----------------------------------------------------------------

// `table` [entries], ascending: the centroids as they are stored. Where values
// are few, it repeats the last: ties go to the first.
void FillTable(const std::vector<double>& centroids, int64_t entries,
               float* table) {
  for (size_t j = 0; j < static_cast<size_t>(entries); ++j) {
    table[j] = j < centroids.size() ? NearestF16(centroids[j])
               : j > 0              ? table[j - 1]
                                    : 0.0f;
  }
}

// `bounds` [entries - 1] between neighbours. Exact: the sum of two binary16
// values fits binary32 as a rule, and where it rounds, both neighbours are as
// good.
void FillBounds(const float* table, int64_t entries, float* bounds) {
  for (int64_t j = 0; j + 1 < entries; ++j) {
    bounds[j] = 0.5f * (table[j] + table[j + 1]);
  }
}

uint8_t NearestCode(const float* bounds, int64_t entries, float value) {
  return static_cast<uint8_t>(
      std::lower_bound(bounds, bounds + entries - 1, value) - bounds);
}

// --- A table per row -------------------------------------------------------

class CodebookLayerGrid final : public LayerGrid<float> {
 public:
  CodebookLayerGrid(int64_t rows, int64_t cols, int bits,
                    bool weight_by_second_moment)
      : weight_by_second_moment_(weight_by_second_moment),
        entries_(int64_t{1} << bits),
        bounds_(static_cast<size_t>(rows * (entries_ - 1))) {
    weights_.rows = rows;
    weights_.cols = cols;
    weights_.bits = bits;
    weights_.codes.resize(static_cast<size_t>(rows * cols));
    weights_.codebook.resize(static_cast<size_t>(rows * entries_));
  }

  absl::Status Prepare(const LayerView<float>& layer,
                       ExecutionContext&) override {
    if (weight_by_second_moment_) {
      moment_.assign(layer.moment_diagonal.begin(),
                     layer.moment_diagonal.end());
    }
    return absl::OkStatus();
  }

  int64_t group_size() const override { return weights_.cols; }

  void FitGroup(const GroupValues<float>& group) override {
    const std::vector<double> values(group.values.begin(), group.values.end());
    std::vector<double> counts(group.importance.begin(),
                               group.importance.end());
    if (!moment_.empty()) {
      if (counts.empty()) counts.assign(values.size(), 1.0);
      for (size_t i = 0; i < counts.size(); ++i) {
        counts[i] *= moment_[static_cast<size_t>(group.columns[i])];
      }
    }
    const std::vector<double> centroids =
        FitScalarKMeans(values, counts, static_cast<int>(entries_)).centroids;
    float* table = weights_.codebook.data() + group.row * entries_;
    FillTable(centroids, entries_, table);
    FillBounds(table, entries_, bounds_.data() + group.row * (entries_ - 1));
  }

  void Quantize(const Patch<float>& patch) override {
    for (int64_t r = patch.row_begin; r < patch.row_end; ++r) {
      const int64_t local = r - patch.row_begin;
      const float* values = patch.values + local * patch.value_stride;
      const float* table = weights_.codebook.data() + r * entries_;
      const float* bounds = bounds_.data() + r * (entries_ - 1);
      uint8_t* codes = weights_.codes.data() + r * weights_.cols + patch.column;
      for (int64_t c = 0; c < patch.columns; ++c) {
        codes[c] = NearestCode(bounds, entries_, values[c]);
      }
      if (patch.quantized == nullptr) continue;
      float* quantized = patch.quantized + local * patch.quantized_stride;
      for (int64_t c = 0; c < patch.columns; ++c) {
        quantized[c] = table[codes[c]];
      }
    }
  }

  absl::StatusOr<std::shared_ptr<const CompressedLinear>> Finish(
      std::vector<int32_t> /*group_index: one group per row*/) override {
    return NewRowCodebook(std::move(weights_));
  }

 private:
  const bool weight_by_second_moment_;
  const int64_t entries_;
  std::vector<double> moment_;  // per input channel; empty: not asked for
  std::vector<float> bounds_;   // [rows, entries - 1], between neighbours
  RowCodebookWeights weights_;
};

// --- A table per group of rows ---------------------------------------------

// What a row is described by when rows are grouped.
constexpr int64_t kQuantiles = 8;

struct CountedValue {
  float value;
  float count;
};

// Means of runs of neighbouring values, kMostFittedValues of them, where there
// are more. Values of no count are left out.
std::vector<CountedValue> Condense(std::vector<CountedValue> values) {
  if (std::none_of(values.begin(), values.end(),
                   [](const CountedValue& v) { return v.count > 0; })) {
    // As FitScalarKMeans() has it.
    for (CountedValue& v : values) v.count = 1;
  }
  std::erase_if(values, [](const CountedValue& v) { return !(v.count > 0); });
  const size_t most = static_cast<size_t>(kMostFittedValues);
  if (values.size() <= most) return values;
  // Stable, so that the counts of equal values are added in a fixed order.
  std::stable_sort(values.begin(), values.end(),
                   [](const CountedValue& a, const CountedValue& b) {
                     return a.value < b.value;
                   });
  const size_t run = (values.size() + most - 1) / most;
  std::vector<CountedValue> means;
  for (size_t begin = 0; begin < values.size(); begin += run) {
    const size_t end = std::min(begin + run, values.size());
    double count = 0, sum = 0;
    for (size_t i = begin; i < end; ++i) {
      count += values[i].count;
      sum += double{values[i].count} * values[i].value;
    }
    means.push_back(
        {static_cast<float>(sum / count), static_cast<float>(count)});
  }
  return means;
}

class GroupedCodebookLayerGrid final : public LayerGrid<float> {
 public:
  GroupedCodebookLayerGrid(int64_t rows, int64_t cols, int bits, int64_t groups,
                           bool weight_by_second_moment)
      : weight_by_second_moment_(weight_by_second_moment),
        entries_(int64_t{1} << bits),
        bounds_(static_cast<size_t>(groups * (entries_ - 1))) {
    weights_.rows = rows;
    weights_.cols = cols;
    weights_.bits = bits;
    weights_.groups = groups;
    weights_.codes.resize(static_cast<size_t>(rows * cols));
    weights_.codebooks.resize(static_cast<size_t>(groups * entries_));
    weights_.row_groups.resize(static_cast<size_t>(rows));
    weights_.scales.resize(static_cast<size_t>(rows));
  }

  absl::Status Prepare(const LayerView<float>& layer,
                       ExecutionContext& ctx) override {
    RETURN_IF_ERROR(GroupRows(layer, ctx));
    std::vector<std::vector<int64_t>> members(
        static_cast<size_t>(weights_.groups));
    for (int64_t r = 0; r < weights_.rows; ++r) {
      members[static_cast<size_t>(group(r))].push_back(r);
    }
    ctx.device().pool().ParallelFor(weights_.groups, [&](int64_t g) {
      FitTable(layer, g, members[static_cast<size_t>(g)]);
    });
    return ctx.CheckCancelled();
  }

  int64_t group_size() const override { return weights_.cols; }

  // Tables are those of whole groups, made by Prepare().
  void FitGroup(const GroupValues<float>& /*group*/) override {}

  void Quantize(const Patch<float>& patch) override {
    for (int64_t r = patch.row_begin; r < patch.row_end; ++r) {
      const int64_t local = r - patch.row_begin;
      const float* values = patch.values + local * patch.value_stride;
      const float* table = weights_.codebooks.data() + group(r) * entries_;
      const float* bounds = bounds_.data() + group(r) * (entries_ - 1);
      const float scale = weights_.scales[static_cast<size_t>(r)];
      uint8_t* codes = weights_.codes.data() + r * weights_.cols + patch.column;
      for (int64_t c = 0; c < patch.columns; ++c) {
        codes[c] = NearestCode(bounds, entries_, values[c] / scale);
      }
      if (patch.quantized == nullptr) continue;
      float* quantized = patch.quantized + local * patch.quantized_stride;
      for (int64_t c = 0; c < patch.columns; ++c) {
        quantized[c] = scale * table[codes[c]];
      }
    }
  }

  absl::StatusOr<std::shared_ptr<const CompressedLinear>> Finish(
      std::vector<int32_t> /*group_index: one group per row*/) override {
    return NewGroupedCodebook(std::move(weights_));
  }

 private:
  int64_t group(int64_t row) const {
    return weights_.row_groups[static_cast<size_t>(row)];
  }

  static float Importance(const LayerView<float>& layer, int64_t r, int64_t c) {
    return layer.importance == nullptr ? 1.0f
                                       : layer.importance[r * layer.cols + c];
  }

  // Fills scales and row_groups.
  absl::Status GroupRows(const LayerView<float>& layer, ExecutionContext& ctx) {
    const int64_t rows = weights_.rows;
    std::vector<float> quantiles(static_cast<size_t>(rows * kQuantiles), 0.0f);
    ctx.device().pool().ParallelFor(rows, [&](int64_t r) {
      std::vector<float> sizes;
      double squares = 0;
      for (int64_t c = 0; c < layer.cols; ++c) {
        if (Importance(layer, r, c) == 0) continue;
        const float w = layer.weights[r * layer.cols + c];
        sizes.push_back(std::abs(w));
        squares += double{w} * w;
      }
      float& scale = weights_.scales[static_cast<size_t>(r)];
      scale = 1.0f;
      // A row of zeros is like any other of them.
      if (squares == 0) return;
      const double count = static_cast<double>(sizes.size());
      scale = StorableScale(std::sqrt(squares / count));
      std::sort(sizes.begin(), sizes.end());
      for (int64_t q = 0; q < kQuantiles; ++q) {
        const size_t rank = static_cast<size_t>((static_cast<double>(q) + 0.5) /
                                                kQuantiles * count);
        quantiles[static_cast<size_t>(r * kQuantiles + q)] =
            sizes[rank] / scale;
      }
    });
    VectorKMeansProblem problem;
    problem.count = rows;
    problem.dimension = kQuantiles;
    problem.vectors = quantiles.data();
    VectorKMeansOptions options;
    options.k = weights_.groups;
    ASSIGN_OR_RETURN(VectorKMeans groups,
                     FitVectorKMeans(problem, options, ctx));
    weights_.row_groups = std::move(groups.assignment);
    return absl::OkStatus();
  }

  void FitTable(const LayerView<float>& layer, int64_t g,
                const std::vector<int64_t>& rows) {
    std::vector<CountedValue> all;
    all.reserve(rows.size() * static_cast<size_t>(layer.cols));
    for (const int64_t r : rows) {
      const float scale = weights_.scales[static_cast<size_t>(r)];
      for (int64_t c = 0; c < layer.cols; ++c) {
        double count = double{Importance(layer, r, c)} * scale * scale;
        if (weight_by_second_moment_ && !layer.moment_diagonal.empty()) {
          count *= layer.moment_diagonal[static_cast<size_t>(c)];
        }
        all.push_back({layer.weights[r * layer.cols + c] / scale,
                       static_cast<float>(count)});
      }
    }
    std::vector<double> values, counts;
    for (const CountedValue& item : Condense(std::move(all))) {
      values.push_back(item.value);
      counts.push_back(item.count);
    }
    float* table = weights_.codebooks.data() + g * entries_;
    FillTable(
        FitScalarKMeans(values, counts, static_cast<int>(entries_)).centroids,
        entries_, table);
    FillBounds(table, entries_, bounds_.data() + g * (entries_ - 1));
  }

  const bool weight_by_second_moment_;
  const int64_t entries_;
  std::vector<float> bounds_;  // [groups, entries - 1], between neighbours
  GroupedCodebookWeights weights_;
};

// --- Grid ------------------------------------------------------------------

class CodebookGrid final : public Grid {
 public:
  explicit CodebookGrid(const v1::CodebookGrid& options)
      : bits_(static_cast<int>(options.bits())),
        weight_by_second_moment_(options.weight_by_second_moment()),
        row_groups_(options.row_groups()) {}

  absl::string_view name() const override { return "codebook"; }

  absl::Status Validate(absl::string_view prefix,
                        const LinearShape& layer) const override {
    if (row_groups_ <= layer.rows) return absl::OkStatus();
    return InvalidField(
        absl::StrCat(prefix, ".codebook.row_groups"),
        absl::StrCat(row_groups_, " groups for the ", layer.rows,
                     " output channels of layer ", layer.name,
                     "; 0 = a table for every channel"));
  }

  GridCost Cost(const LinearShape& layer) const override {
    const uint64_t weights = static_cast<uint64_t>(layer.rows * layer.cols);
    const uint64_t entries = uint64_t{1} << bits_;
    if (row_groups_ > 0) return GroupedCost(layer);
    GridCost cost;
    cost.stored_bytes = RowCodebookBytes(layer.rows, layer.cols, bits_);
    // A byte a code, two tables a row, the packed layer; the dynamic program
    // of a row on every thread is small beside them.
    cost.working_bytes = cost.stored_bytes + weights +
                         8 * entries * static_cast<uint64_t>(layer.rows);
    // Every layer of the dynamic program looks at each weight log n times.
    cost.rounded_weights = static_cast<double>(weights) *
                           static_cast<double>(entries) *
                           std::log2(2.0 + static_cast<double>(layer.cols));
    return cost;
  }

  int64_t GroupSizeFor(int64_t cols) const override { return cols; }

  absl::StatusOr<std::unique_ptr<LayerGrid<float>>> NewLayerGrid(
      int64_t rows, int64_t cols, const GridPlan& plan) const override {
    RETURN_IF_ERROR(RefusePlan(name(), plan));
    if (row_groups_ > 0) {
      return std::make_unique<GroupedCodebookLayerGrid>(
          rows, cols, bits_, row_groups_, weight_by_second_moment_);
    }
    return std::make_unique<CodebookLayerGrid>(rows, cols, bits_,
                                               weight_by_second_moment_);
  }

 private:
  GridCost GroupedCost(const LinearShape& layer) const {
    const double weights = static_cast<double>(layer.rows * layer.cols);
    const double entries = static_cast<double>(uint64_t{1} << bits_);
    // Of all groups.
    const double fitted =
        std::min(weights, static_cast<double>(row_groups_) * kMostFittedValues);
    GridCost cost;
    cost.stored_bytes =
        GroupedCodebookBytes(layer.rows, layer.cols, bits_, row_groups_);
    // A byte a code; values and counts of all weights, twice while they are
    // sorted; what the dynamic program has of those that it is given; the
    // descriptions of rows.
    constexpr double kSorted = 2 * sizeof(CountedValue);
    constexpr double kFitted = 80;
    cost.working_bytes =
        cost.stored_bytes +
        static_cast<uint64_t>((1 + kSorted) * weights +
                              (kFitted + 4 * entries) * fitted) +
        static_cast<uint64_t>(layer.rows) * (4 * kQuantiles + 24);
    cost.rounded_weights = weights + fitted * entries * std::log2(2.0 + fitted);
    return cost;
  }

  const int bits_;
  const bool weight_by_second_moment_;
  const int64_t row_groups_;  // 0: every row has a table
};

}  // namespace

std::unique_ptr<Grid> NewCodebookGrid(const v1::CodebookGrid& options) {
  return std::make_unique<CodebookGrid>(options);
}

}  // namespace quantd
