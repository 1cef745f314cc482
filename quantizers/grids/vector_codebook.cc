#include "quantizers/grids/vector_codebook.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <string>
#include <utility>

#include "absl/container/inlined_vector.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "kernels/float_formats.h"
#include "proto/field_rules.h"
#include "quantizers/grid_validation.h"
#include "quantizers/low_rank_kmeans.h"

namespace quantd {
namespace {

// A residual codebook of up to so many entries is searched together with the
// first: all pairs. Beyond, the first is chosen alone, as in the paper.
constexpr int64_t kMaxJointEntries = 16;

int64_t CeilDiv(int64_t a, int64_t b) { return (a + b - 1) / b; }

// How many input channels are outliers and how the others are divided.
struct ColumnCounts {
  std::vector<int64_t> groups;
  int64_t outliers = 0;
};

ColumnCounts CountColumns(int64_t cols, const VectorCodebookOptions& options) {
  ColumnCounts counts;
  // At least one channel is left to the first codebook.
  counts.outliers = std::min(
      cols - 1, static_cast<int64_t>(std::ceil(static_cast<double>(cols) *
                                               options.outlier_percent / 100)));
  const int64_t rest = cols - counts.outliers;
  const int64_t groups = std::min(options.column_groups, rest);
  for (int64_t g = 0; g < groups; ++g) {
    counts.groups.push_back(rest * (g + 1) / groups - rest * g / groups);
  }
  return counts;
}

std::vector<CodebookGroupShape> StoredShape(
    int64_t cols, const VectorCodebookOptions& options) {
  std::vector<CodebookGroupShape> shapes;
  const auto add = [&](int64_t columns,
                       const VectorCodebookOptions::Coding& coding) {
    CodebookGroupShape shape;
    shape.columns = columns;
    shape.vector_rows = coding.vector_length;
    shape.index_bits.push_back(coding.index_bits);
    if (coding.residual_index_bits > 0) {
      shape.index_bits.push_back(coding.residual_index_bits);
    }
    shape.centroid_bits.assign(shape.index_bits.size(), options.centroid_bits);
    shapes.push_back(std::move(shape));
  };
  const ColumnCounts counts = CountColumns(cols, options);
  for (int64_t columns : counts.groups) add(columns, options.coding);
  if (counts.outliers > 0) add(counts.outliers, options.outlier_coding);
  return shapes;
}

}  // namespace

// --- One layer: fitting ----------------------------------------------------

VectorCodebookLayerGrid::VectorCodebookLayerGrid(
    int64_t rows, int64_t cols, const VectorCodebookOptions& options)
    : rows_(rows), cols_(cols), options_(options) {
  for (const CodebookGroupShape& shape : StoredShape(cols, options)) {
    Group group;
    group.vector_length = shape.vector_rows;
    for (int bits : shape.index_bits) {
      Codebook codebook;
      codebook.index_bits = bits;
      codebook.codes.resize(static_cast<size_t>(
          CeilDiv(rows, shape.vector_rows) * shape.columns));
      group.codebooks.push_back(std::move(codebook));
    }
    row_alignment_ = std::lcm(row_alignment_, group.vector_length);
    groups_.push_back(std::move(group));
  }
}

double VectorCodebookLayerGrid::ColumnWeight(
    int64_t column, const LayerView<float>& layer) const {
  using Weighting = VectorCodebookOptions::Weighting;
  const size_t c = static_cast<size_t>(column);
  if (options_.weighting == Weighting::kConditional &&
      !layer.factor_diagonal.empty()) {
    const double u = static_cast<double>(layer.factor_diagonal[c]);
    return 1 / (u * u);
  }
  if (options_.weighting != Weighting::kNone &&
      !layer.moment_diagonal.empty()) {
    return layer.moment_diagonal[c];
  }
  return 1.0;
}

void VectorCodebookLayerGrid::AssignColumns(const LayerView<float>& layer) {
  std::vector<double> size(static_cast<size_t>(cols_), 0.0);
  if (!layer.moment_diagonal.empty()) {
    size.assign(layer.moment_diagonal.begin(), layer.moment_diagonal.end());
  } else {
    for (int64_t r = 0; r < rows_; ++r) {
      for (int64_t c = 0; c < cols_; ++c) {
        const double w = static_cast<double>(layer.weights[r * cols_ + c]);
        size[static_cast<size_t>(c)] += w * w;
      }
    }
  }
  std::vector<int64_t> order(static_cast<size_t>(cols_));
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) {
    return size[static_cast<size_t>(a)] > size[static_cast<size_t>(b)];
  });
  const ColumnCounts counts = CountColumns(cols_, options_);
  // The largest are the outliers, the last group.
  auto next = order.begin() + counts.outliers;
  if (counts.outliers > 0) groups_.back().columns.assign(order.begin(), next);
  for (size_t g = 0; g < counts.groups.size(); ++g) {
    groups_[g].columns.assign(next, next + counts.groups[g]);
    next += counts.groups[g];
  }
  group_of_.resize(static_cast<size_t>(cols_));
  position_of_.resize(static_cast<size_t>(cols_));
  for (size_t g = 0; g < groups_.size(); ++g) {
    std::vector<int64_t>& columns = groups_[g].columns;
    std::sort(columns.begin(), columns.end());
    for (size_t i = 0; i < columns.size(); ++i) {
      group_of_[static_cast<size_t>(columns[i])] = static_cast<uint8_t>(g);
      position_of_[static_cast<size_t>(columns[i])] = static_cast<int32_t>(i);
    }
  }
}

void VectorCodebookLayerGrid::ScaleRows(const LayerView<float>& layer) {
  row_scales_.assign(static_cast<size_t>(rows_), 1.0f);
  if (!options_.row_scales) return;
  for (int64_t r = 0; r < rows_; ++r) {
    double squares = 0, weights = 0;
    for (int64_t c = 0; c < cols_; ++c) {
      const double w = static_cast<double>(layer.weights[r * cols_ + c]);
      const double h = ColumnWeight(c, layer);
      squares += h * w * w;
      weights += h;
    }
    const float scale =
        NearestF16(weights > 0 ? std::sqrt(squares / weights) : 0.0);
    if (scale > 0) row_scales_[static_cast<size_t>(r)] = scale;
  }
}

std::vector<float> VectorCodebookLayerGrid::Vectors(
    const Group& group, const LayerView<float>& layer) const {
  const int64_t v = group.vector_length;
  const int64_t columns = static_cast<int64_t>(group.columns.size());
  std::vector<float> vectors(
      static_cast<size_t>(CeilDiv(rows_, v) * columns * v), 0.0f);
  ForVectorBlocks(rows_, v, [&](int64_t d, int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      const float scale = row_scales_[static_cast<size_t>(r)];
      for (int64_t i = 0; i < columns; ++i) {
        vectors[static_cast<size_t>((d * columns + i) * v + r - begin)] =
            layer.weights[r * cols_ + group.columns[static_cast<size_t>(i)]] /
            scale;
      }
    }
  });
  return vectors;
}

std::vector<float> VectorCodebookLayerGrid::VectorWeights(
    const Group& group, const LayerView<float>& layer) const {
  const int64_t v = group.vector_length;
  const int64_t columns = static_cast<int64_t>(group.columns.size());
  // Zero for what lies beyond the last row.
  std::vector<float> weights(
      static_cast<size_t>(CeilDiv(rows_, v) * columns * v), 0.0f);
  for (int64_t i = 0; i < columns; ++i) {
    const int64_t c = group.columns[static_cast<size_t>(i)];
    const double h = ColumnWeight(c, layer);
    ForVectorBlocks(rows_, v, [&](int64_t d, int64_t begin, int64_t end) {
      for (int64_t r = begin; r < end; ++r) {
        const double scale =
            static_cast<double>(row_scales_[static_cast<size_t>(r)]);
        const double importance =
            layer.importance == nullptr
                ? 1.0
                : static_cast<double>(layer.importance[r * cols_ + c]);
        weights[static_cast<size_t>((d * columns + i) * v + r - begin)] =
            static_cast<float>(h * importance * scale * scale);
      }
    });
  }
  return weights;
}

void VectorCodebookLayerGrid::Store(Codebook* codebook,
                                    int64_t vector_length) const {
  if (options_.centroid_bits == 8) {
    codebook->scale = RoundToScaledInt8(absl::MakeSpan(codebook->entries));
  } else {
    for (float& entry : codebook->entries) entry = NearestF16(entry);
  }
  const int64_t k = codebook->k();
  codebook->transposed.resize(codebook->entries.size());
  for (int64_t j = 0; j < k; ++j) {
    for (int64_t t = 0; t < vector_length; ++t) {
      codebook->transposed[static_cast<size_t>(t * k + j)] =
          codebook->entries[static_cast<size_t>(j * vector_length + t)];
    }
  }
}

absl::Status VectorCodebookLayerGrid::FitCodebook(
    const std::vector<float>& vectors, const std::vector<float>& weights,
    int64_t vector_length, Codebook* codebook, std::vector<int32_t>* assignment,
    ExecutionContext& ctx) {
  VectorKMeansProblem problem;
  problem.dimension = vector_length;
  problem.count = static_cast<int64_t>(vectors.size()) / vector_length;
  problem.vectors = vectors.data();
  problem.weights = weights.data();
  VectorKMeansOptions options = options_.kmeans;
  options.k = codebook->k();
  VectorKMeans fitted;
  const int64_t rank = std::min(options_.rank, problem.count);
  if (rank > 0 && rank < vector_length) {
    ASSIGN_OR_RETURN(LowRankKMeans low,
                     FitLowRankKMeans(problem, rank, options, ctx));
    fitted = std::move(low.fitted);
  } else {
    ASSIGN_OR_RETURN(fitted, FitVectorKMeans(problem, options, ctx));
  }
  codebook->entries = std::move(fitted.centroids);
  *assignment = std::move(fitted.assignment);
  Store(codebook, vector_length);
  return absl::OkStatus();
}

absl::Status VectorCodebookLayerGrid::Prepare(const LayerView<float>& layer,
                                              ExecutionContext& ctx) {
  device_ = &ctx.device();
  AssignColumns(layer);
  ScaleRows(layer);
  if (layer.importance != nullptr) {
    importance_.assign(layer.importance, layer.importance + rows_ * cols_);
  }
  for (Group& group : groups_) {
    if (!given_.empty()) {
      group.codebooks[0].entries = given_;
      Store(&group.codebooks[0], group.vector_length);
      continue;
    }
    std::vector<float> vectors = Vectors(group, layer);
    const std::vector<float> weights = VectorWeights(group, layer);
    for (Codebook& codebook : group.codebooks) {
      std::vector<int32_t> assignment;
      RETURN_IF_ERROR(FitCodebook(vectors, weights, group.vector_length,
                                  &codebook, &assignment, ctx));
      // What the next codebook is for.
      for (size_t i = 0; i < vectors.size(); ++i) {
        const size_t v = static_cast<size_t>(group.vector_length);
        vectors[i] -=
            codebook
                .entries[static_cast<size_t>(assignment[i / v]) * v + i % v];
      }
    }
    if (group.codebooks.size() > 1) group.residual.resize(vectors.size());
  }
  return absl::OkStatus();
}

// --- One layer: quantizing -------------------------------------------------

void VectorCodebookLayerGrid::Quantize(const Patch<float>& patch) {
  for (int64_t c = 0; c < patch.columns; ++c) {
    const size_t column = static_cast<size_t>(patch.column + c);
    QuantizeColumn(patch, c, groups_[group_of_[column]], position_of_[column]);
  }
}

void VectorCodebookLayerGrid::QuantizeColumn(const Patch<float>& patch,
                                             int64_t local_column, Group& group,
                                             int64_t position) {
  const int64_t v = group.vector_length;
  const int64_t columns = static_cast<int64_t>(group.columns.size());
  const int64_t first = patch.row_begin / v;
  const int64_t count = CeilDiv(patch.row_end, v) - first;
  const size_t size = static_cast<size_t>(count * v);
  using Floats = absl::InlinedVector<float, 128>;
  using Codes = absl::InlinedVector<int32_t, 64>;
  Floats values(size, 0.0f), weights(size, 0.0f);
  // Inside a column all weights share H_jj; only scales, importance and the
  // edge of the layer tell them apart.
  const bool weighted =
      options_.row_scales || !importance_.empty() || patch.row_end % v != 0;
  for (int64_t r = patch.row_begin; r < patch.row_end; ++r) {
    const size_t i = static_cast<size_t>(r - patch.row_begin);
    const float scale = row_scales_[static_cast<size_t>(r)];
    values[i] = patch.values[static_cast<int64_t>(i) * patch.value_stride +
                             local_column] /
                scale;
    weights[i] = scale * scale;
    if (!importance_.empty()) {
      weights[i] *= importance_[static_cast<size_t>(r * cols_ + patch.column +
                                                    local_column)];
    }
  }
  const auto search = [&](const Codebook& codebook, const Floats& from,
                          Codes* nearest) {
    NearestCentroidArgs args;
    args.count = count;
    args.dimension = v;
    args.centroid_count = codebook.k();
    args.vectors = from.data();
    args.weights = weighted ? weights.data() : nullptr;
    args.centroids = codebook.transposed.data();
    args.nearest = nearest->data();
    device_->FindNearestCentroids(args);
  };
  Codes main(static_cast<size_t>(count)), rest(main.size(), 0);
  Codebook& codebook = group.codebooks[0];
  Codebook* residual =
      group.codebooks.size() > 1 ? &group.codebooks[1] : nullptr;
  if (residual == nullptr || residual->k() > kMaxJointEntries) {
    search(codebook, values, &main);
    if (residual != nullptr) {
      Floats left = values;
      for (size_t i = 0; i < size; ++i) {
        left[i] -= codebook.entries[static_cast<size_t>(
            main[i / static_cast<size_t>(v)] * v +
            static_cast<int64_t>(i) % v)];
      }
      search(*residual, left, &rest);
    }
  } else {
    Floats best(main.size(), std::numeric_limits<float>::infinity());
    Floats shifted(size);
    Codes found(main.size());
    for (int64_t j = 0; j < residual->k(); ++j) {
      const float* add = residual->entries.data() + j * v;
      for (size_t i = 0; i < size; ++i) {
        shifted[i] = values[i] - add[static_cast<int64_t>(i) % v];
      }
      search(codebook, shifted, &found);
      for (size_t n = 0; n < found.size(); ++n) {
        float distance = 0;
        for (int64_t t = 0; t < v; ++t) {
          const size_t i = n * static_cast<size_t>(v) + static_cast<size_t>(t);
          const float d =
              shifted[i] -
              codebook.entries[static_cast<size_t>(found[n] * v + t)];
          distance += (weighted ? weights[i] : 1.0f) * (d * d);
        }
        if (distance < best[n]) {
          best[n] = distance;
          main[n] = found[n];
          rest[n] = static_cast<int32_t>(j);
        }
      }
    }
  }
  for (int64_t n = 0; n < count; ++n) {
    const size_t at = static_cast<size_t>((first + n) * columns + position);
    const int64_t code = main[static_cast<size_t>(n)];
    codebook.codes[at] = static_cast<uint16_t>(code);
    const float* entry = codebook.entries.data() + code * v;
    const float* extra = nullptr;
    if (residual != nullptr) {
      const int64_t second = rest[static_cast<size_t>(n)];
      residual->codes[at] = static_cast<uint16_t>(second);
      extra = residual->entries.data() + second * v;
    }
    const int64_t row = (first + n) * v;
    for (int64_t t = 0; t < std::min(v, patch.row_end - row); ++t) {
      const int64_t i = n * v + t;
      if (!group.residual.empty()) {
        group.residual[at * static_cast<size_t>(v) + static_cast<size_t>(t)] =
            values[static_cast<size_t>(i)] - entry[t];
      }
      if (patch.quantized == nullptr) continue;
      const float sum = extra == nullptr ? entry[t] : entry[t] + extra[t];
      patch.quantized[i * patch.quantized_stride + local_column] =
          row_scales_[static_cast<size_t>(row + t)] * sum;
    }
  }
}

// --- One layer: storing ----------------------------------------------------

absl::StatusOr<std::shared_ptr<const CompressedLinear>>
VectorCodebookLayerGrid::Finish(std::vector<int32_t> /*one group per row*/) {
  VectorCodebookWeights weights;
  weights.rows = rows_;
  weights.cols = cols_;
  for (Group& group : groups_) {
    CodebookGroup stored;
    stored.vector_rows = group.vector_length;
    for (Codebook& codebook : group.codebooks) {
      IndexedCodebook book;
      book.index_bits = codebook.index_bits;
      book.centroid_bits = options_.centroid_bits;
      book.scale = codebook.scale;
      book.entries = std::move(codebook.entries);
      book.codes = std::move(codebook.codes);
      stored.codebooks.push_back(std::move(book));
    }
    weights.groups.push_back(std::move(stored));
  }
  if (groups_.size() > 1) weights.column_groups = std::move(group_of_);
  if (options_.row_scales) weights.row_scales = std::move(row_scales_);
  return NewVectorCodebook(std::move(weights));
}

// --- Grid ------------------------------------------------------------------

namespace {

VectorCodebookOptions OptionsFrom(const v1::VectorCodebookGrid& grid) {
  using Weighting = VectorCodebookOptions::Weighting;
  VectorCodebookOptions options;
  options.coding.vector_length = grid.vector_length();
  options.coding.index_bits = static_cast<int>(grid.index_bits());
  options.coding.residual_index_bits =
      static_cast<int>(grid.residual_index_bits());
  options.column_groups = grid.column_groups();
  options.outlier_percent = grid.outlier_percent();
  options.outlier_coding.vector_length = grid.outlier_vector_length();
  options.outlier_coding.index_bits =
      static_cast<int>(grid.outlier_index_bits());
  options.centroid_bits = static_cast<int>(grid.centroid_bits());
  options.row_scales = grid.row_scales();
  options.weighting = grid.weighting() == "conditional"
                          ? Weighting::kConditional
                      : grid.weighting() == "none" ? Weighting::kNone
                                                   : Weighting::kSecondMoment;
  options.refits = static_cast<int>(grid.refits());
  options.rank = grid.rank();
  options.kmeans.max_iterations = static_cast<int>(grid.iterations());
  options.kmeans.tolerance = grid.tolerance();
  options.kmeans.restarts = static_cast<int>(grid.restarts());
  options.kmeans.seed = grid.seed();
  return options;
}

class VectorCodebookGrid final : public Grid {
 public:
  explicit VectorCodebookGrid(const v1::VectorCodebookGrid& options)
      : options_(OptionsFrom(options)) {}

  absl::string_view name() const override { return "vector_codebook"; }

  absl::Status Validate(absl::string_view prefix,
                        const LinearShape& /*layer*/) const override {
    if (options_.rank > 0 && options_.refits > 0) {
      return InvalidField(absl::StrCat(prefix, ".vector_codebook.rank"),
                          "refits fit all entries and leave no codebook its "
                          "rank: one of both");
    }
    return absl::OkStatus();
  }

  GridCost Cost(const LinearShape& layer) const override {
    const std::vector<CodebookGroupShape> shapes =
        StoredShape(layer.cols, options_);
    const double weights =
        static_cast<double>(layer.rows) * static_cast<double>(layer.cols);
    GridCost cost;
    cost.stored_bytes = VectorCodebookBytes(layer.rows, layer.cols, shapes,
                                            options_.row_scales);
    // k-means of a group: vectors and weights, per vector a distance and an
    // assignment, and the sums of its pieces; later residuals in place of the
    // vectors, and the codes. Refits: the decoded weight, its product with H,
    // and H in float32.
    const double length = static_cast<double>(options_.coding.vector_length);
    double bytes = static_cast<double>(cost.stored_bytes) +
                   weights * (12.0 + 20.0 / length) +
                   static_cast<double>(KMeansSumBytes(
                       static_cast<int64_t>(weights / length),
                       options_.coding.vector_length,
                       int64_t{1} << options_.coding.index_bits));
    const double cols = static_cast<double>(layer.cols);
    // The weighted vectors, their decomposition and projections.
    if (options_.rank > 0) bytes += 40 * weights;
    if (options_.refits > 0) bytes += 8 * weights + 4 * cols * cols;
    cost.working_bytes = static_cast<uint64_t>(bytes);
    const int residual = options_.coding.residual_index_bits > 0 ? 1 : 0;
    cost.passes = 1 + residual + std::max(0, options_.refits - 1);
    cost.product_flops =
        2 * weights * cols * options_.refits * (kVectorCodebookRefitSteps + 2);
    // A distance to a centroid is far cheaper than rounding to a grid, all
    // the more as vectors are searched in registers.
    double centroids = 0;
    for (int bits : shapes[0].index_bits) {
      centroids += static_cast<double>(int64_t{1} << bits);
    }
    constexpr double kDistancesPerRounding = 16;
    cost.rounded_weights = weights * centroids / kDistancesPerRounding *
                           (cost.passes + options_.kmeans.restarts *
                                              options_.kmeans.max_iterations);
    return cost;
  }

  int64_t GroupSizeFor(int64_t cols) const override { return cols; }

  absl::StatusOr<std::unique_ptr<LayerGrid<float>>> NewLayerGrid(
      int64_t rows, int64_t cols, const GridPlan& plan) const override {
    RETURN_IF_ERROR(RefusePlan(name(), plan));
    return std::make_unique<VectorCodebookLayerGrid>(rows, cols, options_);
  }

 private:
  const VectorCodebookOptions options_;
};

}  // namespace

std::unique_ptr<Grid> NewVectorCodebookGrid(
    const v1::VectorCodebookGrid& options) {
  return std::make_unique<VectorCodebookGrid>(options);
}

}  // namespace quantd
