#include "jobs/job_scheduler.h"

#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace quantd {
namespace {

using ::testing::ElementsAre;
using ::testing::Optional;

RunnableQueue::Entry Entry(const std::string& id, int32_t priority = 0,
                           const std::string& owner = "") {
  return {id, priority, owner, absl::Seconds(1)};
}

// Starts jobs until the queue is empty; none of them ends.
std::vector<std::string> StartAll(RunnableQueue& queue, OwnerShares& shares,
                                  const std::string& owner_by_first_letter) {
  std::vector<std::string> order;
  while (const auto id = ChooseNext(queue, shares)) {
    order.push_back(*id);
    queue.Erase(*id);
    if (!owner_by_first_letter.empty()) shares.WorkerStarted(id->substr(0, 1));
  }
  return order;
}

TEST(JobSchedulerTest, AnEmptyQueueHasNoNext) {
  EXPECT_EQ(ChooseNext(RunnableQueue(), OwnerShares()), std::nullopt);
}

TEST(JobSchedulerTest, EqualJobsStartInTheOrderOfTheirIds) {
  RunnableQueue queue;
  OwnerShares shares;
  for (const char* id : {"3", "1", "2"}) queue.Insert(Entry(id));
  EXPECT_THAT(StartAll(queue, shares, ""), ElementsAre("1", "2", "3"));
}

TEST(JobSchedulerTest, PriorityComesBeforeAgeAndFairShare) {
  RunnableQueue queue;
  OwnerShares shares;
  shares.WorkerStarted("busy");
  queue.Insert(Entry("1", 0, "idle"));
  queue.Insert(Entry("2", -5, "idle"));
  queue.Insert(Entry("3", 7, "busy"));
  EXPECT_THAT(StartAll(queue, shares, ""), ElementsAre("3", "1", "2"));
}

TEST(JobSchedulerTest, OwnersOfEqualPriorityTakeTurns) {
  RunnableQueue queue;
  OwnerShares shares;
  for (const char* id : {"a1", "a2", "a3", "b4", "b5", "c6"}) {
    queue.Insert(Entry(id, 0, std::string(id, 1)));
  }
  EXPECT_THAT(StartAll(queue, shares, "by owner"),
              ElementsAre("a1", "b4", "c6", "a2", "b5", "a3"));
}

TEST(JobSchedulerTest, WithOneSlotOwnersStillTakeTurns) {
  // Every job ends before the next starts, so nobody ever has more running.
  RunnableQueue queue;
  OwnerShares shares;
  for (const char* id : {"a1", "a2", "a3", "b4", "b5"}) {
    queue.Insert(Entry(id, 0, std::string(id, 1)));
  }
  std::vector<std::string> order;
  while (const auto id = ChooseNext(queue, shares)) {
    order.push_back(*id);
    queue.Erase(*id);
    shares.WorkerStarted(id->substr(0, 1));
    shares.WorkerEnded(id->substr(0, 1));
  }
  EXPECT_THAT(order, ElementsAre("a1", "b4", "a2", "b5", "a3"));
}

TEST(JobSchedulerTest, TheOwnerWithFewerWorkersGoesFirst) {
  RunnableQueue queue;
  OwnerShares shares;
  shares.WorkerStarted("b");
  shares.WorkerStarted("a");
  shares.WorkerStarted("a");
  queue.Insert(Entry("1", 0, "a"));
  queue.Insert(Entry("2", 0, "b"));
  EXPECT_THAT(ChooseNext(queue, shares), Optional(std::string("2")));
}

TEST(JobSchedulerTest, InsertingTwiceKeepsOne) {
  RunnableQueue queue;
  queue.Insert(Entry("1"));
  queue.Insert(Entry("1"));
  EXPECT_EQ(queue.size(), 1u);
  queue.Erase("1");
  EXPECT_TRUE(queue.empty());
  queue.Erase("1");
  EXPECT_FALSE(queue.Contains("1"));
}

TEST(JobSchedulerTest, KnowsHowLongTheOldestWaits) {
  RunnableQueue queue;
  EXPECT_EQ(queue.OldestSince(), std::nullopt);
  queue.Insert({"1", 5, "a", absl::Seconds(30)});
  queue.Insert({"2", 0, "b", absl::Seconds(10)});
  EXPECT_THAT(queue.OldestSince(), Optional(absl::Seconds(10)));
}

TEST(JobSchedulerTest, IdleOwnersAreForgottenWhenThereAreMany) {
  OwnerShares shares;
  shares.WorkerStarted("stays");
  for (int i = 0; i < 20000; ++i) {
    const std::string owner = "owner" + std::to_string(i);
    shares.WorkerStarted(owner);
    shares.WorkerEnded(owner);
  }
  EXPECT_EQ(shares.running("stays"), 1);
  EXPECT_EQ(shares.last_start("owner0"), 0u);
  EXPECT_GT(shares.last_start("owner19999"), 0u);
}

}  // namespace
}  // namespace quantd
