#include "evaluators/text_metrics/repetition.h"

#include <vector>

#include "gmock/gmock.h"
#include "tests/testing/status_matchers.h"

namespace quantd {
namespace {

using ::quantd::test::StatusIs;
using ::testing::HasSubstr;

TEST(RepetitionTest, DistinctCountsOverAllTexts) {
  // Pairs 12 23 | 12 24: three of four are distinct.
  ASSERT_OK_AND_ASSIGN(const NgramDiversity pairs,
                       CountDistinct({{1, 2, 3}, {1, 2, 4}, {5}}, 2));
  EXPECT_EQ(pairs.ngrams, 4u);
  EXPECT_EQ(pairs.distinct, 3u);
  EXPECT_DOUBLE_EQ(pairs.distinct_share(), 0.75);
  ASSERT_OK_AND_ASSIGN(const NgramDiversity none, CountDistinct({}, 1));
  EXPECT_EQ(none.distinct_share(), 0);
  EXPECT_EQ(none.repeated_share(), 0);
}

TEST(RepetitionTest, LoopsRepeat) {
  const std::vector<int32_t> loop(100, 7);
  ASSERT_OK_AND_ASSIGN(const NgramDiversity looped, CountRepeated(loop, 4));
  EXPECT_DOUBLE_EQ(looped.repeated_share(), 96.0 / 97);
  ASSERT_OK_AND_ASSIGN(const double rate,
                       RepetitionRate({loop, {1, 2, 3, 4, 5}, {1}}, 4));
  EXPECT_DOUBLE_EQ(rate, 96.0 / 97 / 3);
}

TEST(RepetitionTest, EarlyEndsAreEndsBeforeTheLeastLength) {
  ASSERT_OK_AND_ASSIGN(const double rate,
                       EarlyEndRate({{.tokens = 0, .ended = true},
                                     {.tokens = 4, .ended = true},
                                     {.tokens = 5, .ended = true},
                                     {.tokens = 2, .ended = false}},
                                    5));
  EXPECT_EQ(rate, 0.5);
}

TEST(RepetitionTest, BadArgumentsAreNamed) {
  EXPECT_THAT(
      CountDistinct({{1}}, 0),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("n-grams of 0")));
  EXPECT_THAT(
      RepetitionRate({}, 4),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("no texts")));
  EXPECT_THAT(EarlyEndRate({}, 4), StatusIs(absl::StatusCode::kInvalidArgument,
                                            HasSubstr("no texts")));
}

}  // namespace
}  // namespace quantd
