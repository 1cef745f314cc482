#include "storage/blob_holds.h"

#include <optional>
#include <thread>

#include "absl/synchronization/notification.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace quantd {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(BlobHoldsTest, WhatIsHeldIsNotRemoved) {
  BlobHolds holds;
  const BlobHolds::Hold hold = holds.Acquire({"a", "b"});
  EXPECT_THAT(holds.TryRemove({"a", "b", "c"}).digests(), ElementsAre("c"));
}

TEST(BlobHoldsTest, TheLastOfSeveralHoldsCounts) {
  BlobHolds holds;
  std::optional<BlobHolds::Hold> first = holds.Acquire({"a"});
  std::optional<BlobHolds::Hold> second = holds.Acquire({"a"});
  first.reset();
  EXPECT_THAT(holds.TryRemove({"a"}).digests(), IsEmpty());
  second.reset();
  EXPECT_THAT(holds.TryRemove({"a"}).digests(), ElementsAre("a"));
}

TEST(BlobHoldsTest, AHoldMovesWithItsDigests) {
  BlobHolds holds;
  BlobHolds::Hold kept;
  {
    BlobHolds::Hold hold = holds.Acquire({"a"});
    kept = std::move(hold);
  }
  EXPECT_THAT(holds.TryRemove({"a"}).digests(), IsEmpty());
  kept = BlobHolds::Hold();
  EXPECT_THAT(holds.TryRemove({"a"}).digests(), ElementsAre("a"));
}

TEST(BlobHoldsTest, OneRemoverAtATime) {
  BlobHolds holds;
  const BlobHolds::Removal removal = holds.TryRemove({"a", "a"});
  EXPECT_THAT(removal.digests(), ElementsAre("a"));
  EXPECT_THAT(holds.TryRemove({"a"}).digests(), IsEmpty());
}

TEST(BlobHoldsTest, AcquiringWaitsForTheRemoval) {
  BlobHolds holds;
  absl::Notification acquired;
  std::thread publisher;
  {
    const BlobHolds::Removal removal = holds.TryRemove({"a"});
    publisher = std::thread([&] {
      const BlobHolds::Hold hold = holds.Acquire({"a"});
      acquired.Notify();
    });
    EXPECT_FALSE(
        acquired.WaitForNotificationWithTimeout(absl::Milliseconds(20)));
  }
  acquired.WaitForNotification();
  publisher.join();
}

}  // namespace
}  // namespace quantd
