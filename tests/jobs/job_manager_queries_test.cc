#include <algorithm>
#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "absl/synchronization/notification.h"
#include "tests/jobs/job_manager_fixture.h"

namespace quantd::test {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using Code = absl::StatusCode;

class JobQueriesTest : public JobManagerFixture {
 protected:
  JobQueriesTest() { slots_ = 0; }

  std::vector<std::string> Names(const v1::ListJobsRequest& request) {
    std::vector<std::string> names;
    const absl::StatusOr<v1::ListJobsResponse> response =
        manager().List(request);
    EXPECT_THAT(response, IsOk());
    if (response.ok()) {
      for (const v1::Job& job : response->jobs()) names.push_back(job.name());
    }
    return names;
  }

  std::string SubmitOf(const std::string& owner) {
    v1::CreateJobRequest request = QuantizeRequest();
    request.mutable_spec()->set_owner(owner);
    return Submit(request);
  }
};

TEST_F(JobQueriesTest, UnknownJobsAreNotFound) {
  for (const char* name : {"jobs/01hf7yat000000000000000000", "jobs/x", ""}) {
    EXPECT_THAT(manager().Get(name),
                StatusIs(Code::kNotFound, HasSubstr(name)));
    EXPECT_THAT(manager().Cancel(name),
                StatusIs(Code::kNotFound, HasSubstr(name)));
    EXPECT_THAT(manager().Delete(name),
                StatusIs(Code::kNotFound, HasSubstr(name)));
    EXPECT_THAT(manager().EventsAfter(name, 0, 10),
                StatusIs(Code::kNotFound, HasSubstr(name)));
  }
}

TEST_F(JobQueriesTest, ListsNewestFirst) {
  const std::string a = Submit(QuantizeRequest());
  const std::string b = Submit(QuantizeRequest());
  const std::string c = Submit(QuantizeRequest());
  EXPECT_THAT(Names({}), ElementsAre(c, b, a));
}

TEST_F(JobQueriesTest, FiltersByStateAndOwner) {
  const std::string a = SubmitOf("anna");
  const std::string b = SubmitOf("ben");
  const std::string c = SubmitOf("anna");
  ASSERT_THAT(manager().Cancel(a), IsOk());
  v1::ListJobsRequest request;
  request.set_owner("anna");
  EXPECT_THAT(Names(request), ElementsAre(c, a));
  request.add_states(v1::QUEUED);
  EXPECT_THAT(Names(request), ElementsAre(c));
  request.clear_owner();
  EXPECT_THAT(Names(request), ElementsAre(c, b));
  request.add_states(v1::CANCELLED);
  EXPECT_THAT(Names(request), ElementsAre(c, b, a));
}

TEST_F(JobQueriesTest, PagesCoverEveryJobOnceWhileJobsComeAndEnd) {
  for (bool live_only : {false, true}) {
    std::vector<std::string> submitted;
    for (int i = 0; i < 7; ++i) submitted.push_back(Submit(QuantizeRequest()));
    v1::ListJobsRequest request;
    request.set_page_size(3);
    if (live_only) request.add_states(v1::QUEUED);
    std::vector<std::string> seen;
    for (;;) {
      ASSERT_OK_AND_ASSIGN(v1::ListJobsResponse page, manager().List(request));
      EXPECT_LE(page.jobs_size(), 3);
      for (const v1::Job& job : page.jobs()) seen.push_back(job.name());
      if (page.next_page_token().empty()) break;
      request.set_page_token(page.next_page_token());
      Submit(QuantizeRequest());
    }
    for (const std::string& name : submitted) {
      EXPECT_EQ(std::count(seen.begin(), seen.end(), name), 1) << name;
    }
    EXPECT_TRUE(std::is_sorted(seen.rbegin(), seen.rend()));
  }
}

TEST_F(JobQueriesTest, RefusesTokensOfOtherListsAndNegativeSizes) {
  Submit(QuantizeRequest());
  Submit(QuantizeRequest());
  v1::ListJobsRequest request;
  request.set_page_size(1);
  ASSERT_OK_AND_ASSIGN(v1::ListJobsResponse page, manager().List(request));
  request.set_page_token(page.next_page_token());
  request.set_owner("anna");
  EXPECT_THAT(manager().List(request),
              StatusIs(Code::kInvalidArgument, HasSubstr("page_token")));
  request.set_page_token("rubbish!");
  EXPECT_THAT(manager().List(request),
              StatusIs(Code::kInvalidArgument, HasSubstr("page_token")));
  v1::ListJobsRequest negative;
  negative.set_page_size(-1);
  EXPECT_THAT(manager().List(negative),
              StatusIs(Code::kInvalidArgument, HasSubstr("page_size")));
}

TEST_F(JobQueriesTest, EventsTellTheWholeStoryInOrder) {
  const std::string name = Submit(QuantizeRequest());
  ASSERT_THAT(manager().Cancel(name), IsOk());
  ASSERT_OK_AND_ASSIGN(std::vector<v1::JobEvent> events,
                       manager().EventsAfter(name, 0, 10));
  ASSERT_EQ(events.size(), 2u);
  EXPECT_EQ(events[0].state().from(), v1::JOB_STATE_UNSPECIFIED);
  EXPECT_EQ(events[0].state().to(), v1::QUEUED);
  EXPECT_EQ(events[1].state().to(), v1::CANCELLED);
  EXPECT_LT(events[0].sequence(), events[1].sequence());
  EXPECT_EQ(manager().Get(name)->event_sequence(), events[1].sequence());

  ASSERT_OK_AND_ASSIGN(events, manager().EventsAfter(name, 0, 1));
  ASSERT_EQ(events.size(), 1u);
  ASSERT_OK_AND_ASSIGN(events,
                       manager().EventsAfter(name, events[0].sequence(), 10));
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(events[0].state().to(), v1::CANCELLED);
  ASSERT_OK_AND_ASSIGN(events,
                       manager().EventsAfter(name, events[0].sequence(), 10));
  EXPECT_THAT(events, IsEmpty());
}

TEST_F(JobQueriesTest, EventsOfOneJobAreNotMixedWithAnothers) {
  const std::string a = Submit(QuantizeRequest());
  const std::string b = Submit(QuantizeRequest());
  ASSERT_THAT(manager().Cancel(a), IsOk());
  ASSERT_OK_AND_ASSIGN(std::vector<v1::JobEvent> events,
                       manager().EventsAfter(b, 0, 10));
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(events[0].job(), b);
}

TEST_F(JobQueriesTest, SubscribersHearOfTheirJobUntilTheyLeave) {
  const std::string a = Submit(QuantizeRequest());
  const std::string b = Submit(QuantizeRequest());
  std::atomic<int> calls = 0;
  const auto id = manager().Subscribe(a, [&] { ++calls; });
  ASSERT_THAT(manager().Cancel(b), IsOk());
  EXPECT_EQ(calls, 0);
  ASSERT_THAT(manager().Cancel(a), IsOk());
  EXPECT_EQ(calls, 1);
  manager().Unsubscribe(id);
  manager().Unsubscribe(id);
  ASSERT_THAT(manager().Delete(a), IsOk());
  EXPECT_EQ(calls, 1);
}

TEST_F(JobQueriesTest, UnsubscribeWaitsForACallUnderWay) {
  const std::string name = Submit(QuantizeRequest());
  absl::Notification entered, leave;
  std::atomic<bool> left = false;
  const auto id = manager().Subscribe(name, [&] {
    entered.Notify();
    leave.WaitForNotification();
    left = true;
  });
  std::thread canceller([&] { EXPECT_THAT(manager().Cancel(name), IsOk()); });
  entered.WaitForNotification();
  std::thread leaver([&] {
    manager().Unsubscribe(id);
    EXPECT_TRUE(left);
  });
  leave.Notify();
  leaver.join();
  canceller.join();
}

TEST_F(JobQueriesTest, DeleteRemovesAnEndedJobAndItsEvents) {
  const std::string name = Submit(QuantizeRequest());
  EXPECT_THAT(manager().Delete(name),
              StatusIs(Code::kFailedPrecondition, HasSubstr("not ended")));
  ASSERT_THAT(manager().Cancel(name), IsOk());
  ASSERT_THAT(manager().Delete(name), IsOk());
  EXPECT_THAT(manager().Get(name), StatusIs(Code::kNotFound, HasSubstr(name)));
  EXPECT_THAT(Names({}), IsEmpty());
  int events = 0;
  for (Table table : {Table::kEvents, Table::kJobEvents}) {
    ASSERT_THAT(server_.store->Scan(table, "", "",
                                    [&](absl::string_view, absl::string_view) {
                                      ++events;
                                      return true;
                                    }),
                IsOk());
  }
  EXPECT_EQ(events, 0);
}

TEST_F(JobQueriesTest, ADeletedJobsRequestIdMakesNoSecondOne) {
  v1::CreateJobRequest request = QuantizeRequest();
  request.set_request_id("once");
  const std::string name = Submit(request);
  ASSERT_THAT(manager().Cancel(name), IsOk());
  ASSERT_THAT(manager().Delete(name), IsOk());
  EXPECT_THAT(manager().Submit(request),
              StatusIs(Code::kNotFound, HasSubstr("request_id")));
}

TEST_F(JobQueriesTest, CountsWaitingJobsAndTheirAge) {
  EXPECT_EQ(manager().counts().queued, 0);
  const std::string first = Submit(QuantizeRequest("out"));
  clock_.Advance(absl::Seconds(30));
  Submit(EvaluateRequest("out"));
  const JobManager::Counts counts = manager().counts();
  EXPECT_EQ(counts.queued, 2);
  EXPECT_EQ(counts.running, 0);
  EXPECT_EQ(counts.oldest_queued, absl::Seconds(30));
  // Then only the one that waits for it is left, and it goes too.
  ASSERT_THAT(manager().Cancel(first), IsOk());
  ASSERT_OK_AND_ASSIGN(v1::ListJobsResponse list, manager().List({}));
  WaitFor(list.jobs(0).name(), v1::FAILED);
  EXPECT_EQ(manager().counts().queued, 0);
}

}  // namespace
}  // namespace quantd::test
