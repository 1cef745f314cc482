#include "evaluators/statistics/class_scores.h"

#include <cmath>
#include <numeric>

namespace quantd {

ClassCounts::ClassCounts(size_t classes)
    : right_(classes), given_(classes), both_(classes) {}

void ClassCounts::Add(const ClassifiedItem& item) {
  const double share = 1.0 / static_cast<double>(item.given.size());
  right_[item.right] += 1;
  all_ += 1;
  for (const uint32_t given : item.given) {
    given_[given] += share;
    if (given == item.right) both_[given] += share;
  }
}

double ClassCounts::F1Of(size_t k) const {
  const double size = right_[k] + given_[k];
  return size > 0 ? 2 * both_[k] / size : 0;
}

double ClassCounts::SpreadOf(const std::vector<double>& weights) const {
  return all_ * all_ - std::inner_product(weights.begin(), weights.end(),
                                          weights.begin(), 0.0);
}

double ClassCounts::Covariance() const {
  const double hits = std::accumulate(both_.begin(), both_.end(), 0.0);
  return hits * all_ -
         std::inner_product(right_.begin(), right_.end(), given_.begin(), 0.0);
}

double ClassCounts::Score(ClassScore score) const {
  switch (score) {
    case ClassScore::kF1OfSecond:
      return F1Of(1);
    case ClassScore::kMacroF1: {
      double sum = 0;
      for (size_t k = 0; k < right_.size(); ++k) sum += F1Of(k);
      return sum / static_cast<double>(right_.size());
    }
    case ClassScore::kMatthews:
      break;
  }
  const double spread = SpreadOf(given_) * SpreadOf(right_);
  return spread > 0 ? Covariance() / std::sqrt(spread) : 0;
}

double ClassCounts::F1Slope(size_t k, uint32_t right, uint32_t given) const {
  const double size = right_[k] + given_[k];
  if (size == 0) return 0;
  const double is_right = right == k ? 1 : 0;
  const double is_given = given == k ? 1 : 0;
  return (2 * is_right * is_given - F1Of(k) * (is_right + is_given)) / size;
}

double ClassCounts::MatthewsSlope(uint32_t right, uint32_t given) const {
  const double given_spread = SpreadOf(given_);
  const double right_spread = SpreadOf(right_);
  const double spread = given_spread * right_spread;
  if (!(spread > 0)) return 0;
  const double hits = std::accumulate(both_.begin(), both_.end(), 0.0);
  const double covariance_slope =
      (right == given ? all_ : 0) + hits - right_[given] - given_[right];
  const double spread_slope = 2 * (all_ - given_[given]) / given_spread +
                              2 * (all_ - right_[right]) / right_spread;
  return covariance_slope / std::sqrt(spread) -
         Score(ClassScore::kMatthews) * spread_slope / 2;
}

double ClassCounts::CellSlope(ClassScore score, uint32_t right,
                              uint32_t given) const {
  switch (score) {
    case ClassScore::kF1OfSecond:
      return F1Slope(1, right, given);
    case ClassScore::kMacroF1: {
      // Other classes do not see the cell.
      double sum = F1Slope(right, right, given);
      if (given != right) sum += F1Slope(given, right, given);
      return sum / static_cast<double>(right_.size());
    }
    case ClassScore::kMatthews:
      break;
  }
  return MatthewsSlope(right, given);
}

double ClassCounts::Slope(ClassScore score, const ClassifiedItem& item) const {
  double sum = 0;
  for (const uint32_t given : item.given) {
    sum += CellSlope(score, item.right, given);
  }
  return sum / static_cast<double>(item.given.size());
}

}  // namespace quantd
