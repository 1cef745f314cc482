// Scores of classification where the answer is a class and not just right or
// wrong: F1 and the Matthews correlation, of a whole set of items.
//
// With R_k the weight of items whose right class is k, P_k of those that were
// given class k, T_k of both, s of all and T the sum of T_k:
//   F1 of k    2 T_k / (R_k + P_k), 0 where nothing is k and nothing was called
//   k macro F1   the mean of F1 over all classes Matthews   (T s - sum R_k P_k)
//   / sqrt((s^2 - sum P_k^2)(s^2 - sum R_k^2)),
//              0 where the root is: one class only
// These are f1_score and matthews_corrcoef of scikit-learn 1.x (the latter
// Gorodkin, Comput. Biol. Chem. 28, 2004, for more than two classes), which
// lm-evaluation-harness calls; macro F1 is what its CommitmentBank averages,
// over all classes, also those that no item has.
//
// Plain data: thread-compatible.
#ifndef QUANTD_EVALUATORS_STATISTICS_CLASS_SCORES_H_
#define QUANTD_EVALUATORS_STATISTICS_CLASS_SCORES_H_

#include <cstddef>
#include <cstdint>
#include <vector>

namespace quantd {

struct ClassifiedItem {
  uint32_t right = 0;
  // The classes given: one or more, each for an equal share of the item. What
  // scikit-learn makes of the item once for each, sample_weight the share.
  std::vector<uint32_t> given;
};

enum class ClassScore {
  kF1OfSecond,  // of class 1, the positive one of two
  kMacroF1,
  kMatthews,
};

// The weights above, of items added one by one.
class ClassCounts {
 public:
  // REQUIRES: classes of all items are below `classes`, which is 2 or more.
  explicit ClassCounts(size_t classes);

  void Add(const ClassifiedItem& item);

  // 0 where no item was added.
  double Score(ClassScore score) const;

  // How fast Score() changes with the weight of an item. Over the items of
  // these counts the sum is 0, so that score + items * slope has the score as
  // its mean and, to first order, the scatter of the score as its own (the
  // delta method): what a paired comparison of two models needs.
  // REQUIRES: the item was added.
  double Slope(ClassScore score, const ClassifiedItem& item) const;

 private:
  double F1Of(size_t k) const;
  // Of one cell of the table: `right` is right, `given` was given.
  double F1Slope(size_t k, uint32_t right, uint32_t given) const;
  double MatthewsSlope(uint32_t right, uint32_t given) const;
  double CellSlope(ClassScore score, uint32_t right, uint32_t given) const;
  // s^2 less the sum of their squares: of P_k or of R_k.
  double SpreadOf(const std::vector<double>& weights) const;
  double Covariance() const;

  std::vector<double> right_, given_, both_;
  double all_ = 0;
};

}  // namespace quantd

#endif  // QUANTD_EVALUATORS_STATISTICS_CLASS_SCORES_H_
