#include "evaluators/contamination.h"

#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "tests/testing/status_matchers.h"

namespace quantd {
namespace {

using ::quantd::test::StatusIs;
using ::testing::HasSubstr;

std::string Numbered(int first, int count) {
  std::string text;
  for (int i = first; i < first + count; ++i)
    absl::StrAppend(&text, "w", i, " ");
  return text;
}

TEST(ContaminationTest, SharedNgramsByHand) {
  ASSERT_OK_AND_ASSIGN(CalibrationNgrams ngrams, CalibrationNgrams::Create({}));
  ASSERT_THAT(ngrams.AddText(Numbered(0, 100)), test::IsOk());
  EXPECT_EQ(ngrams.size(), 88u);
  // Of words 80..109, the 13 that begin at 80..87 end before 100.
  const WindowOverlap tail = ngrams.OverlapOfText(Numbered(80, 30));
  EXPECT_EQ(tail.ngrams, 18u);
  EXPECT_EQ(tail.shared, 8u);
  EXPECT_TRUE(ngrams.IsContaminated(tail));
  const WindowOverlap beyond = ngrams.OverlapOfText(Numbered(88, 30));
  EXPECT_EQ(beyond.shared, 0u);
  EXPECT_FALSE(ngrams.IsContaminated(beyond));
  const WindowOverlap tiny = ngrams.OverlapOfText(Numbered(0, 12));
  EXPECT_EQ(tiny.ngrams, 0u);
  const ContaminationReport report = ngrams.Report({tail, beyond, tiny});
  EXPECT_EQ(report.windows, 3u);
  EXPECT_EQ(report.contaminated, 1u);
  EXPECT_EQ(report.too_short, 1u);
  EXPECT_DOUBLE_EQ(report.shared_share, 8.0 / 36);
}

TEST(ContaminationTest, CasePunctuationAndSpacingDoNotHide) {
  ASSERT_OK_AND_ASSIGN(CalibrationNgrams ngrams,
                       CalibrationNgrams::Create({.n = 4}));
  ASSERT_THAT(ngrams.AddText("Don't stop — the ÉTÉ, now."), test::IsOk());
  const WindowOverlap window =
      ngrams.OverlapOfText("dont\n\nSTOP the \"été\" now");
  EXPECT_EQ(window.ngrams, 2u);
  EXPECT_EQ(window.shared, 2u);
}

TEST(ContaminationTest, NgramsDoNotCrossTexts) {
  ASSERT_OK_AND_ASSIGN(CalibrationNgrams ngrams,
                       CalibrationNgrams::Create({.n = 2}));
  ASSERT_THAT(ngrams.AddTokens({1, 2}), test::IsOk());
  ASSERT_THAT(ngrams.AddTokens({3, 4}), test::IsOk());
  EXPECT_EQ(ngrams.OverlapOfTokens({2, 3}).shared, 0u);
  EXPECT_EQ(ngrams.OverlapOfTokens({9, 3, 4, 1, 2}).shared, 2u);
}

TEST(ContaminationTest, ToleratedShareIsTolerated) {
  ASSERT_OK_AND_ASSIGN(
      CalibrationNgrams ngrams,
      CalibrationNgrams::Create({.n = 1, .tolerated_share = 0.5}));
  ASSERT_THAT(ngrams.AddTokens({1}), test::IsOk());
  EXPECT_FALSE(ngrams.IsContaminated(ngrams.OverlapOfTokens({1, 2})));
  EXPECT_TRUE(ngrams.IsContaminated(ngrams.OverlapOfTokens({1, 1, 2})));
}

TEST(ContaminationTest, MemoryIsBounded) {
  ASSERT_OK_AND_ASSIGN(CalibrationNgrams ngrams,
                       CalibrationNgrams::Create({.n = 1, .most_ngrams = 3}));
  ASSERT_THAT(ngrams.AddTokens({1, 2, 3, 3, 2, 1}), test::IsOk());
  EXPECT_THAT(ngrams.AddTokens({4}),
              StatusIs(absl::StatusCode::kResourceExhausted,
                       HasSubstr("more than 3 distinct 1-grams")));
}

TEST(ContaminationTest, BadOptionsAreNamed) {
  EXPECT_THAT(CalibrationNgrams::Create({.n = 0}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("n: 0")));
  EXPECT_THAT(CalibrationNgrams::Create({.tolerated_share = 1}),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("tolerated_share: 1")));
}

TEST(ContaminationTest, AnyBytesOverlapWithThemselves) {
  std::mt19937 engine(6);
  for (int round = 0; round < 500; ++round) {
    std::string text(engine() % 200, ' ');
    for (char& c : text) {
      c = static_cast<char>(engine() % 3 ? engine() : ' ');
    }
    ASSERT_OK_AND_ASSIGN(CalibrationNgrams ngrams,
                         CalibrationNgrams::Create({.n = 3}));
    ASSERT_THAT(ngrams.AddText(text), test::IsOk());
    const WindowOverlap window = ngrams.OverlapOfText(text);
    EXPECT_EQ(window.shared, window.ngrams);
  }
}

}  // namespace
}  // namespace quantd
