#include "evaluators/statistics/class_scores.h"

#include <cmath>
#include <vector>

#include "gtest/gtest.h"

namespace quantd {
namespace {

constexpr double kNear = 1e-12;

std::vector<ClassifiedItem> Items(const std::vector<uint32_t>& right,
                                  const std::vector<uint32_t>& given) {
  std::vector<ClassifiedItem> items;
  for (size_t i = 0; i < right.size(); ++i) {
    items.push_back({right[i], {given[i]}});
  }
  return items;
}

double Score(ClassScore score, size_t classes,
             const std::vector<ClassifiedItem>& items) {
  ClassCounts counts(classes);
  for (const ClassifiedItem& item : items) counts.Add(item);
  return counts.Score(score);
}

// The examples in scikit-learn's documentation of f1_score (F1 of the classes
// 0.8, 0 and 0, their mean 0.26...) and matthews_corrcoef (-0.33...).
TEST(ClassScoresTest, ExamplesOfScikitLearn) {
  const auto three = Items({0, 1, 2, 0, 1, 2}, {0, 2, 1, 0, 0, 1});
  EXPECT_NEAR(Score(ClassScore::kMacroF1, 3, three), 0.8 / 3, kNear);
  EXPECT_NEAR(Score(ClassScore::kF1OfSecond, 3, three), 0, kNear);
  const auto two = Items({1, 1, 1, 0}, {1, 0, 1, 1});
  EXPECT_NEAR(Score(ClassScore::kMatthews, 2, two), -1.0 / 3, kNear);
  EXPECT_NEAR(Score(ClassScore::kF1OfSecond, 2, two), 2.0 / 3, kNear);
}

// 4 true positives, 1 false positive, 2 false negatives, 3 true negatives:
// F1 = 8 / 11, of the other class 6 / 9;
// Matthews (4 * 3 - 1 * 2) / sqrt(5 * 6 * 4 * 5).
TEST(ClassScoresTest, TwoClassesByHand) {
  const auto items =
      Items({1, 1, 1, 1, 0, 1, 1, 0, 0, 0}, {1, 1, 1, 1, 1, 0, 0, 0, 0, 0});
  EXPECT_NEAR(Score(ClassScore::kF1OfSecond, 2, items), 8.0 / 11, kNear);
  EXPECT_NEAR(Score(ClassScore::kMacroF1, 2, items), (8.0 / 11 + 2.0 / 3) / 2,
              kNear);
  EXPECT_NEAR(Score(ClassScore::kMatthews, 2, items), 10 / std::sqrt(600.0),
              kNear);
}

// As cb_multi_fi of lm-evaluation-harness: the mean over the three classes,
// of which one that nothing is or was called counts 0.
TEST(ClassScoresTest, ClassesThatNoItemHasCountAsZero) {
  const auto items = Items({0, 0, 1, 1}, {0, 0, 1, 0});
  EXPECT_NEAR(Score(ClassScore::kMacroF1, 3, items), (0.8 + 2.0 / 3 + 0) / 3,
              kNear);
  EXPECT_EQ(Score(ClassScore::kF1OfSecond, 2, Items({0, 0}, {0, 0})), 0);
}

TEST(ClassScoresTest, MatthewsOfOneClassIsZero) {
  EXPECT_EQ(Score(ClassScore::kMatthews, 2, Items({0, 1, 1}, {1, 1, 1})), 0);
  EXPECT_EQ(Score(ClassScore::kMatthews, 2, Items({1, 1, 1}, {0, 1, 1})), 0);
  EXPECT_EQ(Score(ClassScore::kMatthews, 2, {}), 0);
  EXPECT_NEAR(Score(ClassScore::kMatthews, 3, Items({0, 1, 2}, {0, 1, 2})), 1,
              kNear);
}

// Of three classes: the correlation of indicator vectors (Gorodkin 2004).
TEST(ClassScoresTest, MatthewsIsACorrelation) {
  const std::vector<uint32_t> right = {0, 0, 1, 1, 2, 2, 2, 0, 1};
  const std::vector<uint32_t> given = {0, 1, 1, 1, 2, 0, 2, 2, 1};
  const auto covariance = [](const std::vector<uint32_t>& a,
                             const std::vector<uint32_t>& b) {
    double sum = 0;
    const double n = static_cast<double>(a.size());
    for (uint32_t k = 0; k < 3; ++k) {
      double of_a = 0, of_b = 0, both = 0;
      for (size_t i = 0; i < a.size(); ++i) {
        of_a += a[i] == k ? 1 / n : 0;
        of_b += b[i] == k ? 1 / n : 0;
        both += a[i] == k && b[i] == k ? 1 / n : 0;
      }
      sum += both - of_a * of_b;
    }
    return sum;
  };
  EXPECT_NEAR(Score(ClassScore::kMatthews, 3, Items(right, given)),
              covariance(right, given) / std::sqrt(covariance(right, right) *
                                                   covariance(given, given)),
              kNear);
}

TEST(ClassScoresTest, TiedClassesShareTheItem) {
  // One item, half of it given 0 and half 1, twice: as two items of each.
  const std::vector<ClassifiedItem> tied = {{1, {0, 1}}, {1, {0, 1}}, {0, {0}}};
  std::vector<ClassifiedItem> apart = {{1, {0}}, {1, {1}}, {1, {0}}, {1, {1}}};
  apart.push_back({0, {0}});
  apart.push_back({0, {0}});
  for (const ClassScore score :
       {ClassScore::kF1OfSecond, ClassScore::kMacroF1, ClassScore::kMatthews}) {
    EXPECT_NEAR(Score(score, 2, tied), Score(score, 2, apart), kNear);
  }
}

TEST(ClassScoresTest, SlopesAreThoseOfWeightsAndSumToZero) {
  std::vector<ClassifiedItem> items =
      Items({0, 0, 1, 1, 2, 2, 2, 0, 1}, {0, 1, 1, 1, 2, 0, 2, 2, 1});
  items.push_back({2, {1, 2}});
  // Enough copies that one item more is a small step.
  constexpr int kCopies = 20'000;
  for (const ClassScore score :
       {ClassScore::kF1OfSecond, ClassScore::kMacroF1, ClassScore::kMatthews}) {
    ClassCounts counts(3);
    for (int copy = 0; copy < kCopies; ++copy) {
      for (const ClassifiedItem& item : items) counts.Add(item);
    }
    double sum = 0;
    for (const ClassifiedItem& item : items) {
      ClassCounts more = counts;
      more.Add(item);
      const double step = more.Score(score) - counts.Score(score);
      const double slope = counts.Slope(score, item);
      EXPECT_NEAR(step * kCopies, slope * kCopies, 1e-4);
      sum += slope * kCopies;
    }
    EXPECT_NEAR(sum, 0, 1e-9);
  }
}

}  // namespace
}  // namespace quantd
