#include "kernels/thread_pool.h"

#include <atomic>
#include <vector>

#include "gtest/gtest.h"

namespace quantd {
namespace {

class ThreadPoolTest : public testing::TestWithParam<int> {};

TEST_P(ThreadPoolTest, CallsEveryIndexOnce) {
  ThreadPool pool(GetParam());
  for (int64_t count : {0, 1, 2, 7, 1000}) {
    std::vector<std::atomic<int>> calls(static_cast<size_t>(count));
    pool.ParallelFor(
        count, [&](int64_t i) { calls[static_cast<size_t>(i)].fetch_add(1); });
    for (const auto& c : calls) EXPECT_EQ(c.load(), 1);
  }
}

TEST_P(ThreadPoolTest, RunsManyShortLoopsBackToBack) {
  ThreadPool pool(GetParam());
  std::atomic<int64_t> sum{0};
  for (int round = 0; round < 2000; ++round) {
    pool.ParallelFor(3, [&](int64_t i) { sum.fetch_add(i); });
  }
  EXPECT_EQ(sum.load(), 2000 * 3);
}

INSTANTIATE_TEST_SUITE_P(Threads, ThreadPoolTest, testing::Values(1, 2, 4));

TEST(ThreadPoolTest, CountsTheCallingThread) {
  EXPECT_EQ(ThreadPool(3).threads(), 3);
  EXPECT_GE(ThreadPool(0).threads(), 1);
}

}  // namespace
}  // namespace quantd
