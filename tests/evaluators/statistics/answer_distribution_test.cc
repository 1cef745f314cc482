#include "evaluators/statistics/answer_distribution.h"

#include <cmath>
#include <vector>

#include "gmock/gmock.h"
#include "tests/testing/status_matchers.h"

namespace quantd {
namespace {

using ::quantd::test::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(AnswerDistributionTest, SharesAndChiSquareByHand) {
  // Chosen 4, 1, 1; right 2, 2, 2: (4 + 1 + 1) / 2 = 3, two degrees.
  ASSERT_OK_AND_ASSIGN(
      const AnswerDistribution answers,
      DescribeAnswers({0, 0, 0, 0, 1, 2}, {0, 0, 1, 1, 2, 2}, 4));
  EXPECT_THAT(answers.chosen_share, ElementsAre(4.0 / 6, 1.0 / 6, 1.0 / 6, 0));
  EXPECT_THAT(answers.gold_share, ElementsAre(2.0 / 6, 2.0 / 6, 2.0 / 6, 0));
  EXPECT_EQ(answers.most_chosen, 0);
  ASSERT_TRUE(answers.position_bias.has_value());
  EXPECT_NEAR(answers.position_bias->chi_square, 3, 1e-12);
  EXPECT_EQ(answers.position_bias->degrees, 2);
  EXPECT_NEAR(answers.position_bias->p, std::exp(-1.5), 1e-12);
  EXPECT_FALSE(answers.is_degenerate());
}

TEST(AnswerDistributionTest, ConstantAnswersAreDegenerateUnlessAllAreRight) {
  ASSERT_OK_AND_ASSIGN(const AnswerDistribution broken,
                       DescribeAnswers({1, 1, 1}, {0, 1, 1}, 2));
  EXPECT_TRUE(broken.is_degenerate());
  ASSERT_OK_AND_ASSIGN(const AnswerDistribution fixed,
                       DescribeAnswers({0, 0, 0}, {0, 0, 0}, 2));
  EXPECT_TRUE(fixed.constant_answer);
  EXPECT_FALSE(fixed.is_degenerate());
  EXPECT_FALSE(fixed.position_bias.has_value());
}

TEST(AnswerDistributionTest, NoTestWithoutAnExpectation) {
  ASSERT_OK_AND_ASSIGN(const AnswerDistribution answers,
                       DescribeAnswers({2, 0, 1}, {0, 1, 1}, 3));
  EXPECT_FALSE(answers.position_bias.has_value());
}

TEST(AnswerDistributionTest, BadAnswersAreNamed) {
  EXPECT_THAT(DescribeAnswers({0, 3}, {0, 0}, 3),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("item 1: chosen answer 3 of 3 choices")));
  EXPECT_THAT(DescribeAnswers({0, 0}, {-1, 0}, 3),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("item 0: right answer -1")));
  EXPECT_THAT(DescribeAnswers({0, 0}, {0}, 3),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("2 chosen answers, 1 right")));
  EXPECT_THAT(
      DescribeAnswers({0, 0}, {0, 0}, 0),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("0 choices")));
}

}  // namespace
}  // namespace quantd
