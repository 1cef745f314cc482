#include "quantizers/code_step.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

namespace quantd {
namespace {

constexpr double kBeta = 0.95;         // arXiv:2405.14852, reference code
constexpr double kEpsilon = 1e-8;      // likewise, Adam's
constexpr int64_t kPieceUnits = 4096;  // fixed: not of the number of threads

double Norm(const Tensor& t) {
  double sum = 0;
  for (float v : t.values()) sum += double{v} * v;
  return std::sqrt(sum);
}

}  // namespace

void CodeStep::MoveTarget(double rate, const Tensor& gradient,
                          const Tensor& weight) {
  if (target_.size() == 0) {
    target_ = weight.Clone();
    squares_ = Tensor::Zeros(weight.shape());
  }
  ++steps_;
  float* const b = target_.data();
  float* const v = squares_.data();
  const float* const g = gradient.data();
  if (options_.decay > 0) {
    const float decay = static_cast<float>(options_.decay);
    for (int64_t i = 0; i < target_.size(); ++i) {
      b[i] += decay * (weight.data()[i] - b[i]);
    }
  }
  const double unbiased = 1 - std::pow(kBeta, static_cast<double>(steps_));
  const auto direction = [&](int64_t i) {
    return g[i] / (std::sqrt(v[i] / unbiased) + kEpsilon);
  };
  double squares = 0;
  for (int64_t i = 0; i < target_.size(); ++i) {
    v[i] = static_cast<float>(kBeta * v[i] + (1 - kBeta) * double{g[i]} * g[i]);
    const double u = direction(i);
    squares += u * u;
  }
  if (squares == 0) return;
  const double length =
      rate * std::sqrt(unbiased) * Norm(target_) / std::sqrt(squares);
  for (int64_t i = 0; i < target_.size(); ++i) {
    b[i] -= static_cast<float>(length * direction(i));
  }
}

CodeStep::Outcome CodeStep::Step(double rate, const Tensor& gradient,
                                 const Tensor& weight, CodeChoice& choice,
                                 ExecutionContext& ctx) {
  MoveTarget(rate, gradient, weight);
  const int64_t units = choice.units();
  std::vector<float> distance(static_cast<size_t>(units));
  const int64_t pieces = (units + kPieceUnits - 1) / kPieceUnits;
  ctx.device().pool().ParallelFor(pieces, [&](int64_t piece) {
    CodeChoice::PlaceList places;
    const int64_t end = std::min((piece + 1) * kPieceUnits, units);
    for (int64_t u = piece * kPieceUnits; u < end; ++u) {
      choice.Places(u, &places);
      float sum = 0;
      for (int64_t at : places) {
        const float d = target_.data()[at] - weight.data()[at];
        sum += d * d;
      }
      distance[static_cast<size_t>(u)] = sum;
    }
  });
  const int64_t wanted = std::clamp<int64_t>(
      static_cast<int64_t>(
          std::ceil(options_.share * static_cast<double>(units))),
      1, units);
  std::vector<int64_t> order(static_cast<size_t>(units));
  std::iota(order.begin(), order.end(), 0);
  const auto farther = [&](int64_t a, int64_t b) {
    const float da = distance[static_cast<size_t>(a)];
    const float db = distance[static_cast<size_t>(b)];
    return da != db ? da > db : a < b;
  };
  std::partial_sort(order.begin(), order.begin() + wanted, order.end(),
                    farther);
  order.resize(static_cast<size_t>(wanted));

  struct Found {
    CodeChoice::Candidate candidate;
    double change = 0;  // squared
  };
  std::vector<Found> found(order.size());
  constexpr int64_t kPieceSearches = 64;
  ctx.device().pool().ParallelFor(
      (wanted + kPieceSearches - 1) / kPieceSearches, [&](int64_t piece) {
        CodeChoice::PlaceList places;
        absl::InlinedVector<float, 8> target;
        const int64_t end = std::min((piece + 1) * kPieceSearches, wanted);
        for (int64_t i = piece * kPieceSearches; i < end; ++i) {
          Found& own = found[static_cast<size_t>(i)];
          const int64_t unit = order[static_cast<size_t>(i)];
          choice.Places(unit, &places);
          target.clear();
          for (int64_t at : places) target.push_back(target_.data()[at]);
          own.candidate = choice.Nearest(unit, target);
          for (size_t p = 0; p < places.size(); ++p) {
            const double d =
                double{own.candidate.weights[p]} - weight.data()[places[p]];
            own.change += d * d;
          }
        }
      });
  Outcome outcome;
  const double norm = Norm(weight);
  const double limit = options_.trust_ratio * norm;
  double change = 0;
  for (size_t i = 0; i < found.size(); ++i) {
    if (outcome.changed > 0 && std::sqrt(change + found[i].change) > limit) {
      break;
    }
    // The nearest code may be the one it has.
    if (!choice.Choose(order[i], found[i].candidate.codes)) continue;
    change += found[i].change;
    ++outcome.changed;
  }
  outcome.relative_change = norm > 0 ? std::sqrt(change) / norm : 0;
  return outcome;
}

}  // namespace quantd
