#include "quantizers/calibration.h"

#include <numeric>
#include <set>

#include "gmock/gmock.h"
#include "tests/testing/status_matchers.h"

namespace quantd {
namespace {

using ::quantd::test::StatusIs;
using ::testing::HasSubstr;

std::vector<int32_t> Counting(int n) {
  std::vector<int32_t> tokens(static_cast<size_t>(n));
  std::iota(tokens.begin(), tokens.end(), 0);
  return tokens;
}

TEST(CalibrationTest, WindowsAreRunsOfTheText) {
  ASSERT_OK_AND_ASSIGN(const CalibrationWindows w,
                       DrawWindows(Counting(1000), 50, 16, 0));
  EXPECT_EQ(w.count(), 50);
  for (int64_t i = 0; i < w.count(); ++i) {
    for (int64_t t = 1; t < 16; ++t) {
      const size_t at = static_cast<size_t>(i * 16 + t);
      ASSERT_EQ(w.tokens[at], w.tokens[at - 1] + 1);
    }
  }
}

TEST(CalibrationTest, StartsCoverTheWholeRange) {
  ASSERT_OK_AND_ASSIGN(const CalibrationWindows w,
                       DrawWindows(Counting(12), 500, 8, 3));
  std::set<int32_t> starts;
  for (int64_t i = 0; i < w.count(); ++i) {
    starts.insert(w.tokens[static_cast<size_t>(i * 8)]);
  }
  EXPECT_EQ(starts, (std::set<int32_t>{0, 1, 2, 3, 4}));
}

TEST(CalibrationTest, DependsOnTheSeedAlone) {
  const auto tokens = Counting(5000);
  ASSERT_OK_AND_ASSIGN(const auto a, DrawWindows(tokens, 20, 32, 1));
  ASSERT_OK_AND_ASSIGN(const auto b, DrawWindows(tokens, 20, 32, 1));
  ASSERT_OK_AND_ASSIGN(const auto c, DrawWindows(tokens, 20, 32, 2));
  EXPECT_EQ(a.tokens, b.tokens);
  EXPECT_NE(a.tokens, c.tokens);
  // The first outputs of mt19937_64 with seed 0 are 2947667278772165694,
  // 18301848765998365067 and 729919693006235833; here modulo 5000. Were they
  // to change, every stored recipe would lose its meaning.
  ASSERT_OK_AND_ASSIGN(const auto pinned, DrawWindows(tokens, 3, 1, 0));
  EXPECT_THAT(pinned.tokens, testing::ElementsAre(694, 67, 833));
}

TEST(CalibrationTest, TextOfExactlyOneWindowIsEnoughAndLessIsRefused) {
  ASSERT_OK_AND_ASSIGN(const auto w, DrawWindows(Counting(8), 2, 8, 0));
  EXPECT_EQ(w.tokens.size(), 16u);
  EXPECT_THAT(DrawWindows(Counting(7), 2, 8, 0),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("7 tokens, fewer than one window of 8")));
}

}  // namespace
}  // namespace quantd
