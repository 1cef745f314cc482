#include "server/keyed_lock.h"

#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"

namespace quantd::test {
namespace {

TEST(KeyedLockTest, OneKeyIsHeldByOneAtATime) {
  KeyedLock lock;
  int counter = 0;  // guarded by the key
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 1000; ++i) {
        const KeyedLock::Hold hold = lock.Acquire("key");
        ++counter;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(counter, 4000);
}

TEST(KeyedLockTest, DifferentKeysDoNotWaitForEachOther) {
  KeyedLock lock;
  const KeyedLock::Hold first = lock.Acquire("a");
  const KeyedLock::Hold second = lock.Acquire("b");
  std::thread third([&] { const KeyedLock::Hold hold = lock.Acquire("c"); });
  third.join();
}

}  // namespace
}  // namespace quantd::test
