#include "quantizers/golden_section.h"

#include <cmath>
#include <vector>

#include "gmock/gmock.h"
#include "tests/testing/status_matchers.h"

namespace quantd {
namespace {

using ::quantd::test::StatusIs;

TEST(GoldenSectionTest, FindsTheMinimumToItsTolerance) {
  for (const double where : {0.2, 0.31, 0.5, 0.777, 1.0}) {
    const GoldenSectionOptions options = {0.2, 1.0, 1e-3};
    int calls = 0;
    ASSERT_OK_AND_ASSIGN(
        const Minimum found,
        GoldenSection(options, [&](double x) -> absl::StatusOr<double> {
          ++calls;
          EXPECT_GT(x, 0.2);
          EXPECT_LT(x, 1.0);
          return std::abs(x - where) + 3;
        }));
    EXPECT_NEAR(found.x, where, 1e-3);
    EXPECT_EQ(found.value, std::abs(found.x - where) + 3);
    EXPECT_EQ(calls, GoldenSectionCalls(options));
  }
}

TEST(GoldenSectionTest, TakesOneCallPerStepOfTheRatio) {
  // 0.8 * 0.618^14 is the first below 1e-3.
  EXPECT_EQ(GoldenSectionCalls({0.2, 1.0, 1e-3}), 16);
  EXPECT_EQ(GoldenSectionCalls({0, 1, 2}), 2);
}

TEST(GoldenSectionTest, ErrorsEndTheSearch) {
  int calls = 0;
  EXPECT_THAT(GoldenSection({0, 1, 1e-3},
                            [&](double) -> absl::StatusOr<double> {
                              if (++calls == 4) {
                                return absl::CancelledError("stop");
                              }
                              return calls;
                            }),
              StatusIs(absl::StatusCode::kCancelled, "stop"));
  EXPECT_EQ(calls, 4);
}

}  // namespace
}  // namespace quantd
