#include "jobs/memory_probe.h"

#include <unistd.h>

#include <algorithm>
#include <vector>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "gtest/gtest.h"

namespace quantd {
namespace {

TEST(MemoryProbeTest, TheLimitIsAtMostTheMachine) {
  const uint64_t machine = static_cast<uint64_t>(::sysconf(_SC_PHYS_PAGES)) *
                           static_cast<uint64_t>(::sysconf(_SC_PAGESIZE));
  const uint64_t limit = MemoryLimitBytes();
  EXPECT_GT(limit, 0u);
  EXPECT_LE(limit, machine + (machine >> 4));
}

TEST(MemoryProbeTest, ThePeakOutlivesTheMemory) {
  MemoryProbe probe;
  constexpr size_t kBytes = size_t{64} << 20;
  const uint64_t before = ReadMemory().anonymous_bytes;
  {
    const std::vector<char> block(kBytes, 1);
    const absl::Time give_up = absl::Now() + absl::Seconds(20);
    while (probe.peak_anonymous_bytes() < before + kBytes * 9 / 10 &&
           absl::Now() < give_up) {
      absl::SleepFor(absl::Milliseconds(10));
    }
  }
  EXPECT_GE(probe.peak_anonymous_bytes(), before + kBytes * 9 / 10);
}

}  // namespace
}  // namespace quantd
