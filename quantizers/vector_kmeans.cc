#include "quantizers/vector_kmeans.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <random>
#include <utility>

#include "base/status_macros.h"

namespace quantd {
namespace {

// Vectors per piece: a function of the problem alone. At most kMaxPieces
// pieces, each of which sums centroids of its own.
constexpr int64_t kMinPieceVectors = 2048;
constexpr int64_t kMaxPieces = 64;

int64_t PieceVectors(int64_t count) {
  return std::max(kMinPieceVectors, (count + kMaxPieces - 1) / kMaxPieces);
}

// Calls body(piece, begin, end) for all vectors.
void ForPieces(int64_t count, ExecutionContext& ctx,
               absl::FunctionRef<void(int64_t, int64_t, int64_t)> body) {
  const int64_t size = PieceVectors(count);
  ctx.device().pool().ParallelFor((count + size - 1) / size, [&](int64_t p) {
    body(p, p * size, std::min((p + 1) * size, count));
  });
}

std::vector<float> Transposed(int64_t k, int64_t dimension,
                              const float* centroids) {
  std::vector<float> columns(static_cast<size_t>(k * dimension));
  for (int64_t j = 0; j < k; ++j) {
    for (int64_t t = 0; t < dimension; ++t) {
      columns[static_cast<size_t>(t * k + j)] = centroids[j * dimension + t];
    }
  }
  return columns;
}

// One start of Lloyd's iteration.
class LloydRun {
 public:
  LloydRun(const VectorKMeansProblem& problem,
           const VectorKMeansOptions& options, uint64_t seed,
           ExecutionContext& ctx)
      : problem_(problem),
        options_(options),
        engine_(seed),
        ctx_(ctx),
        pieces_((problem.count + PieceVectors(problem.count) - 1) /
                PieceVectors(problem.count)),
        distance_(static_cast<size_t>(problem.count)),
        piece_objective_(static_cast<size_t>(pieces_)) {}

  absl::StatusOr<VectorKMeans> Run() {
    VectorKMeans best;
    VectorKMeans current;
    current.assignment.resize(static_cast<size_t>(problem_.count));
    RETURN_IF_ERROR(Seed(&current.centroids));
    std::vector<double> history;
    for (int i = 0; i < std::max(1, options_.max_iterations); ++i) {
      RETURN_IF_ERROR(ctx_.CheckCancelled());
      Assign(&current);
      // Float32 sums may choose the second nearest of near equals, so the last
      // steps can rise by a rounding; then the iteration is over.
      const bool first = history.empty();
      if (!first && current.objective > best.objective) break;
      const bool converged = !first && best.objective - current.objective <=
                                           options_.tolerance * best.objective;
      history.push_back(current.objective);
      best = current;
      if (converged || current.objective == 0) break;
      Update(&current);
    }
    best.history = std::move(history);
    return best;
  }

 private:
  double Weight(int64_t i, int64_t t) const {
    return problem_.weights == nullptr
               ? 1.0
               : static_cast<double>(
                     problem_.weights[i * problem_.dimension + t]);
  }

  double Distance(int64_t i, const float* centroid) const {
    const float* x = problem_.vectors + i * problem_.dimension;
    double sum = 0;
    for (int64_t t = 0; t < problem_.dimension; ++t) {
      const double d =
          static_cast<double>(x[t]) - static_cast<double>(centroid[t]);
      sum += Weight(i, t) * d * d;
    }
    return sum;
  }

  // A vector drawn with probability proportional to distance_, which pieces
  // have summed into piece_objective_; -1 when all are zero.
  int64_t Draw() {
    double total = 0;
    for (double sum : piece_objective_) total += sum;
    if (!(total > 0)) return -1;
    // Not a std distribution: those differ between libraries.
    double left = static_cast<double>(engine_() >> 11) * 0x1p-53 * total;
    const int64_t size = PieceVectors(problem_.count);
    int64_t last = -1;
    for (int64_t p = 0; p < pieces_; ++p) {
      const double sum = piece_objective_[static_cast<size_t>(p)];
      if (left >= sum && p + 1 < pieces_) {
        left -= sum;
        continue;
      }
      const int64_t end = std::min((p + 1) * size, problem_.count);
      for (int64_t i = p * size; i < end; ++i) {
        const double d = distance_[static_cast<size_t>(i)];
        if (d > 0) last = i;
        if (left < d) return i;
        left -= d;
      }
    }
    // Rounding carried the draw past the end.
    return last;
  }

  absl::Status Seed(std::vector<float>* centroids) {
    const int64_t dimension = problem_.dimension;
    centroids->assign(static_cast<size_t>(options_.k * dimension), 0.0f);
    // The first: proportional to the weight of the vector.
    ForPieces(problem_.count, ctx_, [&](int64_t p, int64_t begin, int64_t end) {
      double sum = 0;
      for (int64_t i = begin; i < end; ++i) {
        double weight = 0;
        for (int64_t t = 0; t < dimension; ++t) weight += Weight(i, t);
        distance_[static_cast<size_t>(i)] = weight;
        sum += weight;
      }
      piece_objective_[static_cast<size_t>(p)] = sum;
    });
    for (int64_t j = 0; j < options_.k; ++j) {
      RETURN_IF_ERROR(ctx_.CheckCancelled());
      int64_t chosen = Draw();
      // Every vector is a centroid already: repeat one, it will stay empty.
      const bool exhausted = chosen < 0;
      if (exhausted) chosen = 0;
      float* centroid = centroids->data() + j * dimension;
      std::copy_n(problem_.vectors + chosen * dimension, dimension, centroid);
      if (exhausted) continue;
      ForPieces(problem_.count, ctx_,
                [&](int64_t p, int64_t begin, int64_t end) {
                  double sum = 0;
                  for (int64_t i = begin; i < end; ++i) {
                    double& d = distance_[static_cast<size_t>(i)];
                    const double now = Distance(i, centroid);
                    d = j == 0 ? now : std::min(d, now);
                    sum += d;
                  }
                  piece_objective_[static_cast<size_t>(p)] = sum;
                });
    }
    return absl::OkStatus();
  }

  // The nearest centroid of every vector, and the objective.
  void Assign(VectorKMeans* state) {
    AssignToNearest(problem_, options_.k, state->centroids.data(),
                    state->assignment.data(), ctx_);
    ForPieces(problem_.count, ctx_, [&](int64_t p, int64_t begin, int64_t end) {
      double sum = 0;
      for (int64_t i = begin; i < end; ++i) {
        const int64_t j = state->assignment[static_cast<size_t>(i)];
        const double d =
            Distance(i, state->centroids.data() + j * problem_.dimension);
        distance_[static_cast<size_t>(i)] = d;
        sum += d;
      }
      piece_objective_[static_cast<size_t>(p)] = sum;
    });
    state->objective = 0;
    for (double sum : piece_objective_) state->objective += sum;
  }

  // Centroids to the means of their vectors; those without vectors to the
  // vectors with the largest distances.
  void Update(VectorKMeans* state) {
    const int64_t dimension = problem_.dimension;
    const size_t size = static_cast<size_t>(options_.k * dimension);
    sums_.assign(static_cast<size_t>(pieces_) * size, 0.0);
    weights_.assign(static_cast<size_t>(pieces_) * size, 0.0);
    ForPieces(problem_.count, ctx_, [&](int64_t p, int64_t begin, int64_t end) {
      double* sums = sums_.data() + static_cast<size_t>(p) * size;
      double* weights = weights_.data() + static_cast<size_t>(p) * size;
      for (int64_t i = begin; i < end; ++i) {
        const int64_t at = state->assignment[static_cast<size_t>(i)] *
                           static_cast<int64_t>(dimension);
        for (int64_t t = 0; t < dimension; ++t) {
          const double weight = Weight(i, t);
          weights[at + t] += weight;
          sums[at + t] +=
              weight * static_cast<double>(problem_.vectors[i * dimension + t]);
        }
      }
    });
    for (int64_t p = 1; p < pieces_; ++p) {
      const size_t offset = static_cast<size_t>(p) * size;
      for (size_t c = 0; c < size; ++c) {
        sums_[c] += sums_[offset + c];
        weights_[c] += weights_[offset + c];
      }
    }
    std::vector<int64_t> empty;
    for (int64_t j = 0; j < options_.k; ++j) {
      bool any = false;
      for (int64_t t = 0; t < dimension; ++t) {
        const size_t c = static_cast<size_t>(j * dimension + t);
        if (!(weights_[c] > 0)) continue;
        any = true;
        state->centroids[c] = static_cast<float>(sums_[c] / weights_[c]);
      }
      if (!any) empty.push_back(j);
    }
    if (empty.empty()) return;
    std::vector<int64_t> farthest(static_cast<size_t>(problem_.count));
    for (size_t i = 0; i < farthest.size(); ++i) {
      farthest[i] = static_cast<int64_t>(i);
    }
    const size_t moved = std::min(empty.size(), farthest.size());
    std::partial_sort(farthest.begin(),
                      farthest.begin() + static_cast<ptrdiff_t>(moved),
                      farthest.end(), [&](int64_t a, int64_t b) {
                        const double da = distance_[static_cast<size_t>(a)];
                        const double db = distance_[static_cast<size_t>(b)];
                        return da != db ? da > db : a < b;
                      });
    for (size_t e = 0; e < moved; ++e) {
      if (!(distance_[static_cast<size_t>(farthest[e])] > 0)) break;
      std::copy_n(problem_.vectors + farthest[e] * dimension, dimension,
                  state->centroids.data() + empty[e] * dimension);
    }
  }

  const VectorKMeansProblem& problem_;
  const VectorKMeansOptions& options_;
  std::mt19937_64 engine_;
  ExecutionContext& ctx_;
  const int64_t pieces_;
  std::vector<double> distance_;  // of every vector to its centroid
  std::vector<double> piece_objective_;
  std::vector<double> sums_, weights_;  // [pieces, k, dimension]
};

}  // namespace

int64_t KMeansSumBytes(int64_t count, int64_t dimension, int64_t k) {
  const int64_t pieces =
      (count + PieceVectors(count) - 1) / PieceVectors(count);
  return pieces * k * dimension * 2 * static_cast<int64_t>(sizeof(double));
}

void AssignToNearest(const VectorKMeansProblem& problem, int64_t k,
                     const float* centroids, int32_t* nearest,
                     ExecutionContext& ctx) {
  const std::vector<float> columns =
      Transposed(k, problem.dimension, centroids);
  ForPieces(problem.count, ctx, [&](int64_t, int64_t begin, int64_t end) {
    NearestCentroidArgs args;
    args.count = end - begin;
    args.dimension = problem.dimension;
    args.centroid_count = k;
    args.vectors = problem.vectors + begin * problem.dimension;
    if (problem.weights != nullptr) {
      args.weights = problem.weights + begin * problem.dimension;
    }
    args.centroids = columns.data();
    args.nearest = nearest + begin;
    ctx.device().FindNearestCentroids(args);
  });
}

absl::StatusOr<VectorKMeans> FitVectorKMeans(const VectorKMeansProblem& problem,
                                             const VectorKMeansOptions& options,
                                             ExecutionContext& ctx) {
  VectorKMeansProblem posed = problem;
  if (problem.weights != nullptr) {
    const float* end = problem.weights + problem.count * problem.dimension;
    if (std::none_of(problem.weights, end, [](float w) { return w > 0; })) {
      posed.weights = nullptr;
    }
  }
  VectorKMeans best;
  for (int start = 0; start < std::max(1, options.restarts); ++start) {
    LloydRun run(posed, options, options.seed + static_cast<uint64_t>(start),
                 ctx);
    ASSIGN_OR_RETURN(VectorKMeans result, run.Run());
    if (start == 0 || result.objective < best.objective) {
      best = std::move(result);
    }
  }
  return best;
}

}  // namespace quantd
