#include "quantizers/coordinate_descent.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <numeric>
#include <utility>

#include "base/status_macros.h"
#include "quantizers/outlier_selection.h"

namespace quantd {
namespace {

// Rows per piece at least and columns per block: fixed, so that the partition
// does not depend on the threads. Inside a block the correction is applied
// column by column, to the columns behind it in one product.
constexpr int64_t kMinPieceRows = 32;
constexpr int64_t kBlock = 64;

// c[m, n] = a[m, k] b[k, n] + beta c, all row-major.
struct Product {
  int64_t m = 0, n = 0, k = 0;
  int64_t lda = 0, ldb = 0, ldc = 0;
};

void Multiply(const Product& p, const float* a, const float* b, float beta,
              float* c, ExecutionContext& ctx) {
  GemmArgs args;
  args.m = p.m;
  args.n = p.n;
  args.k = p.k;
  args.a = a;
  args.lda = p.lda;
  args.b = b;
  args.ldb = p.ldb;
  args.beta = beta;
  args.c = c;
  args.ldc = p.ldc;
  ctx.device().Gemm(args);
}

// float64 is for checks against exact results; a plain loop is enough.
void Multiply(const Product& p, const double* a, const double* b, double beta,
              double* c, ExecutionContext&) {
  for (int64_t i = 0; i < p.m; ++i) {
    double* row = c + i * p.ldc;
    if (beta == 0) std::fill_n(row, p.n, 0.0);
    for (int64_t l = 0; l < p.k; ++l) {
      const double factor = a[i * p.lda + l];
      for (int64_t j = 0; j < p.n; ++j) row[j] += factor * b[l * p.ldb + j];
    }
  }
}

// Power iteration. Within a few percent from below, which is enough: steps up
// to 2 / (2 lambda_max) do not raise f, and alpha = 1 is half of that.
double LargestEigenvalue(const SquareMatrix& h) {
  constexpr int kIterations = 64;
  const size_t n = static_cast<size_t>(h.n);
  // The row of the largest diagonal element is never orthogonal to the leading
  // eigenvectors.
  int64_t largest = 0;
  for (int64_t i = 1; i < h.n; ++i) {
    if (h.at(i, i) > h.at(largest, largest)) largest = i;
  }
  const double* start = h.values.data() + largest * h.n;
  std::vector<double> v(start, start + n);
  std::vector<double> product(n);
  double value = 0;
  for (int i = 0; i < kIterations; ++i) {
    double norm = 0;
    for (double x : v) norm += x * x;
    norm = std::sqrt(norm);
    if (norm == 0) return 0;
    for (size_t r = 0; r < n; ++r) {
      const double* row = h.values.data() + r * n;
      product[r] = std::inner_product(row, row + n, v.begin(), 0.0) / norm;
    }
    value = std::inner_product(product.begin(), product.end(), v.begin(), 0.0) /
            norm;
    v.swap(product);
  }
  return value;
}

// The state of one layer. Columns are in sweep order throughout.
template <typename Real>
class Descent {
 public:
  Descent(int64_t rows, int64_t cols, const DescentMoment<Real>& moment,
          LayerGrid<Real>& grid, ExecutionContext& ctx)
      : rows_(rows),
        cols_(cols),
        moment_(moment),
        grid_(grid),
        group_size_(grid.group_size()),
        piece_rows_((kMinPieceRows + grid.row_alignment() - 1) /
                    grid.row_alignment() * grid.row_alignment()),
        ctx_(ctx),
        target_(Count()),
        current_(Count()),
        difference_(Count()),
        pull_(Count()) {}

  size_t Count() const { return static_cast<size_t>(rows_ * cols_); }

  // `values` in channel order.
  std::vector<Real> InSweepOrder(const Real* values) const {
    std::vector<Real> out(Count());
    for (int64_t r = 0; r < rows_; ++r) {
      for (int64_t j = 0; j < cols_; ++j) {
        out[Index(r, j)] = values[r * cols_ + Channel(j)];
      }
    }
    return out;
  }

  // D = target - current and G = D N. Returns f of every row.
  std::vector<double> Measure() {
    for (size_t i = 0; i < difference_.size(); ++i) {
      difference_[i] = target_[i] - current_[i];
    }
    Multiply({rows_, cols_, cols_, cols_, cols_, cols_}, difference_.data(),
             moment_.normalized.data(), Real{0}, pull_.data(), ctx_);
    std::vector<double> objectives(static_cast<size_t>(rows_), 0.0);
    ctx_.device().pool().ParallelFor(Pieces(), [&](int64_t piece) {
      for (int64_t r = piece * piece_rows_; r < PieceEnd(piece); ++r) {
        double sum = 0;
        for (int64_t j = 0; j < cols_; ++j) {
          const double d = static_cast<double>(difference_[Index(r, j)]);
          sum += d * GradientAt(r, j);
        }
        objectives[static_cast<size_t>(r)] = sum;
      }
    });
    return objectives;
  }

  // (D H)_rj, after Measure().
  double GradientAt(int64_t r, int64_t j) const {
    const size_t i = Index(r, j);
    return moment_.diagonal[static_cast<size_t>(j)] *
           (static_cast<double>(difference_[i]) +
            static_cast<double>(pull_[i]));
  }

  // One pass over all columns, after Measure(). Returns whether a value
  // changed.
  absl::StatusOr<bool> Pass(bool relaxed) {
    std::vector<Real> changes;
    std::vector<char> changed(static_cast<size_t>(Pieces()), 0);
    for (int64_t begin = 0; begin < cols_; begin += kBlock) {
      RETURN_IF_ERROR(ctx_.CheckCancelled());
      const int64_t end = std::min(begin + kBlock, cols_);
      const int64_t width = end - begin;
      changes.assign(static_cast<size_t>(rows_ * width), Real{0});
      ctx_.device().pool().ParallelFor(Pieces(), [&](int64_t piece) {
        const int64_t row_begin = piece * piece_rows_;
        const int64_t row_end = PieceEnd(piece);
        std::vector<Real> best(static_cast<size_t>(piece_rows_));
        std::vector<Real> values(best.size());
        for (int64_t j = begin; j < end; ++j) {
          const bool dead = moment_.diagonal[static_cast<size_t>(j)] == 0;
          for (int64_t r = row_begin; r < row_end; ++r) {
            const size_t i = Index(r, j);
            best[static_cast<size_t>(r - row_begin)] =
                dead ? current_[i] : target_[i] + pull_[i];
          }
          if (relaxed) {
            values = best;
          } else {
            Quantize(j, row_begin, row_end, best.data(), values.data());
          }
          const Real* row = moment_.normalized.data() + j * cols_;
          for (int64_t r = row_begin; r < row_end; ++r) {
            const size_t i = Index(r, j);
            const Real value = values[static_cast<size_t>(r - row_begin)];
            const Real change = current_[i] - value;
            if (change == 0) continue;
            changed[static_cast<size_t>(piece)] = 1;
            current_[i] = value;
            changes[static_cast<size_t>(r * width + j - begin)] = change;
            Real* pull = pull_.data() + r * cols_;
            for (int64_t c = j + 1; c < end; ++c) pull[c] += change * row[c];
          }
        }
      });
      if (end < cols_) {
        Multiply({rows_, cols_ - end, width, width, cols_, cols_},
                 changes.data(),
                 moment_.normalized.data() + begin * cols_ + end, Real{1},
                 pull_.data() + end, ctx_);
      }
    }
    return std::any_of(changed.begin(), changed.end(),
                       [](char c) { return c != 0; });
  }

  // Leaves the codes of `values`, which are values of the grid, in it.
  void Keep(const std::vector<Real>& values) {
    ctx_.device().pool().ParallelFor(Pieces(), [&](int64_t piece) {
      const int64_t row_begin = piece * piece_rows_;
      const int64_t row_end = PieceEnd(piece);
      std::vector<Real> column(static_cast<size_t>(piece_rows_));
      std::vector<Real> quantized(column.size());
      for (int64_t j = 0; j < cols_; ++j) {
        for (int64_t r = row_begin; r < row_end; ++r) {
          column[static_cast<size_t>(r - row_begin)] = values[Index(r, j)];
        }
        Quantize(j, row_begin, row_end, column.data(), quantized.data());
      }
    });
  }

  // Sums over the rows that share codes.
  std::vector<double> SumBundles(const std::vector<double>& rows) const {
    const int64_t size = grid_.row_alignment();
    std::vector<double> sums(static_cast<size_t>((rows_ + size - 1) / size));
    for (int64_t r = 0; r < rows_; ++r) {
      sums[static_cast<size_t>(r / size)] += rows[static_cast<size_t>(r)];
    }
    return sums;
  }

  // Where the weights of such rows lie.
  std::pair<ptrdiff_t, ptrdiff_t> BundleRange(int64_t bundle) const {
    const int64_t size = grid_.row_alignment();
    return {bundle * size * cols_,
            std::min((bundle + 1) * size, rows_) * cols_};
  }

  int64_t Channel(int64_t j) const {
    return moment_.order[static_cast<size_t>(j)];
  }
  size_t Index(int64_t r, int64_t j) const {
    return static_cast<size_t>(r * cols_ + j);
  }

  std::vector<Real>& target() { return target_; }
  std::vector<Real>& current() { return current_; }

 private:
  int64_t Pieces() const { return (rows_ + piece_rows_ - 1) / piece_rows_; }
  int64_t PieceEnd(int64_t piece) const {
    return std::min((piece + 1) * piece_rows_, rows_);
  }

  void Quantize(int64_t j, int64_t row_begin, int64_t row_end,
                const Real* values, Real* quantized) {
    Patch<Real> patch;
    patch.row_begin = row_begin;
    patch.row_end = row_end;
    patch.column = Channel(j);
    patch.group = patch.column / group_size_;
    patch.values = values;
    patch.value_stride = 1;
    patch.quantized = quantized;
    patch.quantized_stride = 1;
    grid_.Quantize(patch);
  }

  const int64_t rows_;
  const int64_t cols_;
  const DescentMoment<Real>& moment_;
  LayerGrid<Real>& grid_;
  const int64_t group_size_;
  const int64_t piece_rows_;
  ExecutionContext& ctx_;
  std::vector<Real> target_;      // W, or W - S
  std::vector<Real> current_;     // What
  std::vector<Real> difference_;  // D
  std::vector<Real> pull_;        // G = D N, corrected as columns change
};

double Sum(const std::vector<double>& values) {
  return std::accumulate(values.begin(), values.end(), 0.0);
}

template <typename Real>
absl::Status DescendWithoutOutliers(Descent<Real>& descent, bool feasible,
                                    const CoordinateDescentOptions& options,
                                    DescentResult<Real>* result) {
  std::vector<Real> best;
  std::vector<double> best_objectives;
  // Rows do not depend on each other beyond those that share codes: each such
  // bundle keeps its own best.
  const auto consider = [&](const std::vector<double>& row_objectives) {
    const std::vector<Real>& current = descent.current();
    const std::vector<double> objectives = descent.SumBundles(row_objectives);
    if (best.empty()) {
      best = current;
      best_objectives = objectives;
      return;
    }
    for (size_t b = 0; b < objectives.size(); ++b) {
      if (!(objectives[b] < best_objectives[b])) continue;
      best_objectives[b] = objectives[b];
      const auto [begin, end] = descent.BundleRange(static_cast<int64_t>(b));
      std::copy(current.begin() + begin, current.begin() + end,
                best.begin() + begin);
    }
  };
  std::vector<double> objectives = descent.Measure();
  if (feasible) consider(objectives);
  for (int pass = 0; pass < options.passes; ++pass) {
    const bool relaxed = options.Relaxed(pass);
    ASSIGN_OR_RETURN(const bool changed, descent.Pass(relaxed));
    objectives = descent.Measure();
    result->objectives.push_back(Sum(objectives));
    if (!relaxed) consider(objectives);
    // Nothing will change any more, unless a relaxed pass is still to come.
    if (!changed && !relaxed && feasible) {
      bool another = false;
      for (int later = pass + 1; later < options.passes; ++later) {
        another = another || options.Relaxed(later);
      }
      if (!another) break;
    }
    feasible = !relaxed;
  }
  descent.Keep(best);
  result->objective = Sum(best_objectives);
  return absl::OkStatus();
}

template <typename Real>
OutlierMask TopOutliers(int64_t rows, int64_t cols, const Real* values,
                        const CoordinateDescentOptions& options) {
  return options.outlier_search == OutlierSearch::kColumns
             ? LargestColumns(rows, cols, values,
                              OutlierCount(options.outlier_fraction, cols))
             : LargestEntries(
                   rows, cols, values,
                   OutlierCount(options.outlier_fraction, rows * cols));
}

// S and What that fit together.
template <typename Real>
struct OutlierState {
  OutlierMask support;       // columns in sweep order
  std::vector<Real> sparse;  // S, dense
  std::vector<Real> current;
};

template <typename Real>
absl::Status DescendWithOutliers(int64_t rows, int64_t cols, const Real* start,
                                 const DescentMoment<Real>& moment,
                                 const CoordinateDescentOptions& options,
                                 Descent<Real>& descent,
                                 DescentResult<Real>* result) {
  const std::vector<Real> weight = descent.target();
  OutlierState<Real> state;
  // S <- Top(values); the target becomes W - S.
  const auto threshold = [&](const std::vector<Real>& values) {
    state.support = TopOutliers(rows, cols, values.data(), options);
    state.sparse.assign(values.size(), Real{0});
    for (int64_t r = 0; r < rows; ++r) {
      for (int32_t i = state.support.row_starts[static_cast<size_t>(r)];
           i < state.support.row_starts[static_cast<size_t>(r + 1)]; ++i) {
        const size_t index =
            descent.Index(r, state.support.columns[static_cast<size_t>(i)]);
        state.sparse[index] = values[index];
      }
    }
    for (size_t i = 0; i < weight.size(); ++i) {
      descent.target()[i] = weight[i] - state.sparse[i];
    }
  };
  threshold(weight);
  if (start == nullptr) descent.current() = descent.target();

  OutlierState<Real> best;
  double best_objective = std::numeric_limits<double>::infinity();
  const auto consider = [&](double objective) {
    result->objectives.push_back(objective);
    if (!(objective < best_objective)) return;
    best_objective = objective;
    state.current = descent.current();
    best = state;
  };
  const double step =
      moment.largest_eigenvalue > 0
          ? options.outlier_step / (2 * moment.largest_eigenvalue)
          : 0;
  descent.Measure();
  for (int pass = 0; pass < options.passes; ++pass) {
    RETURN_IF_ERROR(descent.Pass(/*relaxed=*/false).status());
    consider(Sum(descent.Measure()));
    std::vector<Real> moved = state.sparse;
    for (int64_t r = 0; r < rows; ++r) {
      for (int64_t j = 0; j < cols; ++j) {
        moved[descent.Index(r, j)] +=
            static_cast<Real>(step * descent.GradientAt(r, j));
      }
    }
    threshold(moved);
    result->support_sizes.push_back(state.support.count());
    consider(Sum(descent.Measure()));
  }
  descent.Keep(best.current);
  result->objective = best_objective;

  // Back to channel order, in which a row's columns ascend.
  result->outliers.row_starts = best.support.row_starts;
  for (int64_t r = 0; r < rows; ++r) {
    std::vector<std::pair<int32_t, Real>> entries;
    for (int32_t i = best.support.row_starts[static_cast<size_t>(r)];
         i < best.support.row_starts[static_cast<size_t>(r + 1)]; ++i) {
      const int64_t j = best.support.columns[static_cast<size_t>(i)];
      const size_t index = descent.Index(r, j);
      entries.emplace_back(static_cast<int32_t>(descent.Channel(j)),
                           best.current[index] + best.sparse[index]);
    }
    std::sort(entries.begin(), entries.end());
    for (const auto& [channel, value] : entries) {
      result->outliers.columns.push_back(channel);
      result->outlier_values.push_back(value);
    }
  }
  return absl::OkStatus();
}

}  // namespace

template <typename Real>
DescentMoment<Real> NewDescentMoment(const SquareMatrix& h,
                                     absl::Span<const int64_t> order) {
  DescentMoment<Real> moment;
  moment.order.assign(order.begin(), order.end());
  if (order.empty()) {
    moment.order.resize(static_cast<size_t>(h.n));
    std::iota(moment.order.begin(), moment.order.end(), 0);
  }
  for (int64_t channel : moment.order) {
    moment.diagonal.push_back(h.at(channel, channel));
  }
  moment.normalized.resize(static_cast<size_t>(h.n * h.n));
  for (int64_t k = 0; k < h.n; ++k) {
    const int64_t row = moment.order[static_cast<size_t>(k)];
    for (int64_t j = 0; j < h.n; ++j) {
      const double diagonal = moment.diagonal[static_cast<size_t>(j)];
      // An input that was never active has no say in anything.
      if (j == k || diagonal == 0) continue;
      moment.normalized[static_cast<size_t>(k * h.n + j)] = static_cast<Real>(
          h.at(row, moment.order[static_cast<size_t>(j)]) / diagonal);
    }
  }
  moment.largest_eigenvalue = LargestEigenvalue(h);
  return moment;
}

template <typename Real>
absl::StatusOr<DescentResult<Real>> DescendOnGrid(
    int64_t rows, int64_t cols, const Real* weight, const Real* start,
    const DescentMoment<Real>& moment, const CoordinateDescentOptions& options,
    LayerGrid<Real>& grid, ExecutionContext& ctx) {
  Descent<Real> descent(rows, cols, moment, grid, ctx);
  descent.target() = descent.InSweepOrder(weight);
  descent.current() =
      start != nullptr ? descent.InSweepOrder(start) : descent.target();
  DescentResult<Real> result;
  if (options.outlier_search == OutlierSearch::kNone) {
    RETURN_IF_ERROR(
        DescendWithoutOutliers(descent, start != nullptr, options, &result));
  } else {
    RETURN_IF_ERROR(DescendWithOutliers(rows, cols, start, moment, options,
                                        descent, &result));
  }
  return result;
}

template <typename Real>
OutlierMask FirstOutliers(int64_t rows, int64_t cols, const Real* weight,
                          const CoordinateDescentOptions& options) {
  return TopOutliers(rows, cols, weight, options);
}

template DescentMoment<float> NewDescentMoment<float>(
    const SquareMatrix&, absl::Span<const int64_t>);
template DescentMoment<double> NewDescentMoment<double>(
    const SquareMatrix&, absl::Span<const int64_t>);
template absl::StatusOr<DescentResult<float>> DescendOnGrid<float>(
    int64_t, int64_t, const float*, const float*, const DescentMoment<float>&,
    const CoordinateDescentOptions&, LayerGrid<float>&, ExecutionContext&);
template absl::StatusOr<DescentResult<double>> DescendOnGrid<double>(
    int64_t, int64_t, const double*, const double*,
    const DescentMoment<double>&, const CoordinateDescentOptions&,
    LayerGrid<double>&, ExecutionContext&);
template OutlierMask FirstOutliers<float>(int64_t, int64_t, const float*,
                                          const CoordinateDescentOptions&);
template OutlierMask FirstOutliers<double>(int64_t, int64_t, const double*,
                                           const CoordinateDescentOptions&);

}  // namespace quantd
