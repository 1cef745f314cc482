#include "jobs/job_state.h"

#include <set>
#include <utility>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace quantd {
namespace {

using ::testing::UnorderedElementsAre;

constexpr v1::JobState kStates[] = {v1::JOB_STATE_UNSPECIFIED,
                                    v1::QUEUED,
                                    v1::RUNNING,
                                    v1::SUCCEEDED,
                                    v1::FAILED,
                                    v1::CANCELLED};

TEST(JobStateTest, ExactlyTheDocumentedTransitionsAreAllowed) {
  const std::set<std::pair<v1::JobState, v1::JobState>> allowed = {
      {v1::JOB_STATE_UNSPECIFIED, v1::QUEUED},
      {v1::QUEUED, v1::RUNNING},
      {v1::QUEUED, v1::FAILED},
      {v1::QUEUED, v1::CANCELLED},
      {v1::RUNNING, v1::QUEUED},
      {v1::RUNNING, v1::SUCCEEDED},
      {v1::RUNNING, v1::FAILED},
      {v1::RUNNING, v1::CANCELLED},
  };
  for (v1::JobState from : kStates) {
    for (v1::JobState to : kStates) {
      EXPECT_EQ(CanTransition(from, to), allowed.contains({from, to}))
          << v1::JobState_Name(from) << " -> " << v1::JobState_Name(to);
    }
  }
}

TEST(JobStateTest, NoStateLeadsToItself) {
  for (v1::JobState state : kStates) {
    EXPECT_FALSE(CanTransition(state, state)) << v1::JobState_Name(state);
  }
}

TEST(JobStateTest, TerminalStatesAreTheThreeThatNothingLeaves) {
  std::set<v1::JobState> terminal;
  for (v1::JobState state : kStates) {
    if (IsTerminal(state)) terminal.insert(state);
  }
  EXPECT_THAT(terminal,
              UnorderedElementsAre(v1::SUCCEEDED, v1::FAILED, v1::CANCELLED));
}

TEST(JobStateTest, SucceededIsReachedOnlyFromRunning) {
  for (const JobTransition& row : JobTransitions()) {
    if (row.to != v1::SUCCEEDED) continue;
    EXPECT_EQ(row.from, v1::RUNNING);
  }
}

TEST(JobStateTest, EveryStateOfTheContractIsInTheTable) {
  std::set<v1::JobState> seen;
  for (const JobTransition& row : JobTransitions()) {
    seen.insert(row.from);
    seen.insert(row.to);
    EXPECT_STRNE(row.cause, "");
  }
  EXPECT_EQ(seen.size(),
            static_cast<size_t>(v1::JobState_descriptor()->value_count()));
}

}  // namespace
}  // namespace quantd
