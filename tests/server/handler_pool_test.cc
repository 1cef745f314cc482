#include "server/handler_pool.h"

#include <atomic>

#include "absl/synchronization/barrier.h"
#include "absl/synchronization/notification.h"
#include "gtest/gtest.h"

namespace quantd::test {
namespace {

TEST(HandlerPoolTest, AllThreadsWorkAtOnce) {
  constexpr int kThreads = 8;
  absl::Notification everyone_is_here;
  std::atomic<int> here{0};
  HandlerPool pool(kThreads, 100);
  for (int i = 0; i < kThreads; ++i) {
    ASSERT_TRUE(pool.Schedule([&] {
      if (++here == kThreads) everyone_is_here.Notify();
      everyone_is_here.WaitForNotification();
    }));
  }
  everyone_is_here.WaitForNotification();
  EXPECT_EQ(here, kThreads);
}

TEST(HandlerPoolTest, AFullQueueRefusesCallsButNotContinuations) {
  absl::Notification started;
  absl::Notification release;
  std::atomic<int> ran{0};
  {
    HandlerPool pool(1, 2);
    ASSERT_TRUE(pool.Schedule([&] {
      started.Notify();
      release.WaitForNotification();
    }));
    started.WaitForNotification();
    EXPECT_TRUE(pool.Schedule([&] { ++ran; }));
    EXPECT_TRUE(pool.Schedule([&] { ++ran; }));
    EXPECT_FALSE(pool.Schedule([&] { ++ran; }));
    pool.ScheduleContinuation([&] { ++ran; });
    release.Notify();
  }
  EXPECT_EQ(ran, 3);
}

TEST(HandlerPoolTest, TheDestructorRunsWhatIsQueued) {
  std::atomic<int> ran{0};
  {
    HandlerPool pool(2, 1000);
    for (int i = 0; i < 500; ++i) ASSERT_TRUE(pool.Schedule([&] { ++ran; }));
  }
  EXPECT_EQ(ran, 500);
}

}  // namespace
}  // namespace quantd::test
