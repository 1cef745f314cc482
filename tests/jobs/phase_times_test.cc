#include "jobs/phase_times.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "quantd/v1/job.pb.h"

namespace quantd {
namespace {

using ::testing::Pair;
using ::testing::UnorderedElementsAre;

TEST(PhaseTimesTest, EveryPhaseGetsItsTimeHoweverOftenItComes) {
  PhaseTimes times;
  times.Enter("load", absl::Seconds(10));
  times.Enter("quantize", absl::Seconds(11));
  times.Enter("quantize", absl::Seconds(12));
  times.Enter("write", absl::Seconds(15));
  times.Enter("load", absl::Seconds(16));
  times.Enter("quantize", absl::Seconds(16.5));
  times.End(absl::Seconds(20));
  times.End(absl::Seconds(30));
  v1::JobResult result;
  times.AddTo(result.mutable_metrics());
  EXPECT_THAT(result.metrics(),
              UnorderedElementsAre(Pair("phase_seconds.load", 1.5),
                                   Pair("phase_seconds.quantize", 7.5),
                                   Pair("phase_seconds.write", 1)));
}

TEST(PhaseTimesTest, AnUnknownPhaseMakesNoNameOfItsOwn) {
  PhaseTimes times;
  times.Enter("brewing", absl::Seconds(1));
  times.Enter("steeping", absl::Seconds(2));
  times.End(absl::Seconds(5));
  v1::JobResult result;
  times.AddTo(result.mutable_metrics());
  EXPECT_THAT(result.metrics(),
              UnorderedElementsAre(Pair("phase_seconds.other", 4)));
}

TEST(PhaseTimesTest, WithoutUpdatesThereIsNothing) {
  PhaseTimes times;
  times.End(absl::Seconds(5));
  v1::JobResult result;
  times.AddTo(result.mutable_metrics());
  EXPECT_TRUE(result.metrics().empty());
}

}  // namespace
}  // namespace quantd
