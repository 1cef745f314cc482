#include "jobs/job_change.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace quantd {
namespace {

using ::testing::HasSubstr;
using ::testing::SizeIs;
using Cause = AttemptEnd::Cause;

constexpr char kName[] = "jobs/01hf7yat000000000000000000";

v1::Job RunningJob(uint32_t attempt, uint32_t uncounted = 0,
                   uint32_t max_attempts = 3) {
  v1::Job job;
  job.set_name(kName);
  job.set_state(v1::RUNNING);
  job.set_attempt(attempt);
  job.set_uncounted_attempts(uncounted);
  job.mutable_spec()->set_max_attempts(max_attempts);
  return job;
}

v1::Job After(const v1::Job& job, Cause cause, const absl::Status& error) {
  JobChange change(job, absl::FromUnixSeconds(100));
  EndAttempt({cause, error}, &change);
  return change.record();
}

TEST(JobChangeTest, StartingAnAttemptRaisesTheFencingNumber) {
  v1::Job job = RunningJob(4);
  job.set_state(v1::QUEUED);
  JobChange change(job, absl::FromUnixSeconds(100));
  change.MoveTo(v1::RUNNING, reason::kStarted);
  EXPECT_EQ(change.record().attempt(), 5u);
  EXPECT_EQ(change.record().start_time().seconds(), 100);
  EXPECT_EQ(change.from(), v1::QUEUED);
}

TEST(JobChangeTest, EndingSetsTheEndTime) {
  JobChange change(RunningJob(1), absl::FromUnixSeconds(100));
  change.MoveTo(v1::SUCCEEDED, reason::kCompleted);
  EXPECT_EQ(change.record().end_time().seconds(), 100);
  EXPECT_EQ(change.record().state_reason(), "COMPLETED");
}

TEST(JobChangeDeathTest, LeavingATerminalStateIsABug) {
  v1::Job job = RunningJob(1);
  job.set_state(v1::SUCCEEDED);
  JobChange change(job, absl::Now());
  EXPECT_DEATH(change.MoveTo(v1::QUEUED, "WHY"), "SUCCEEDED -> QUEUED");
}

TEST(JobChangeTest, MessagesAreCutAndMadeUtf8) {
  JobChange change(RunningJob(1), absl::Now());
  change.AddWarning(std::string(JobChange::kMaxMessageBytes - 1, 'x') +
                    "\xC3\xA9");
  change.AddWarning("a\xFF\xC0\xAF\xED\xA0\x80 \xE2\x82\xAC");
  ASSERT_THAT(change.record().warnings(), SizeIs(2));
  EXPECT_EQ(change.record().warnings(0),
            std::string(JobChange::kMaxMessageBytes - 1, 'x'));
  EXPECT_EQ(change.record().warnings(1),
            "a\\xff\\xc0\\xaf\\xed\\xa0\\x80 \xE2\x82\xAC");
}

TEST(JobChangeTest, KeepsABoundedNumberOfWarningsInTheJob) {
  JobChange change(RunningJob(1), absl::Now());
  for (int i = 0; i < JobChange::kMaxWarnings + 5; ++i) change.AddWarning("w");
  EXPECT_THAT(change.record().warnings(), SizeIs(JobChange::kMaxWarnings));
}

struct EndCase {
  Cause cause;
  absl::StatusCode code;
  v1::JobState state_with_attempts_left;
  const char* reason_with_attempts_left;
  bool counts;
};

TEST(JobChangeTest, WhatFollowsTheEndOfAnAttempt) {
  using Code = absl::StatusCode;
  const EndCase kCases[] = {
      {Cause::kWorkerLost, Code::kInternal, v1::QUEUED, "WORKER_LOST", true},
      {Cause::kOutOfMemory, Code::kResourceExhausted, v1::QUEUED,
       "OUT_OF_MEMORY", true},
      {Cause::kStartFailed, Code::kUnavailable, v1::QUEUED, "START_FAILED",
       false},
      {Cause::kServerRestarted, Code::kUnavailable, v1::QUEUED,
       "SERVER_RESTARTED", false},
      {Cause::kServerDrained, Code::kUnavailable, v1::QUEUED, "SERVER_DRAINED",
       false},
      {Cause::kError, Code::kUnavailable, v1::QUEUED, "ATTEMPT_FAILED", true},
      {Cause::kError, Code::kAborted, v1::QUEUED, "ATTEMPT_FAILED", true},
      {Cause::kError, Code::kInvalidArgument, v1::FAILED, "ERROR", true},
      {Cause::kError, Code::kNotFound, v1::FAILED, "ERROR", true},
      {Cause::kError, Code::kResourceExhausted, v1::FAILED, "ERROR", true},
      {Cause::kError, Code::kDataLoss, v1::FAILED, "ERROR", true},
      {Cause::kError, Code::kInternal, v1::FAILED, "ERROR", true},
      {Cause::kError, Code::kUnimplemented, v1::FAILED, "ERROR", true},
      {Cause::kError, Code::kFailedPrecondition, v1::FAILED, "ERROR", true},
  };
  for (const EndCase& row : kCases) {
    SCOPED_TRACE(absl::StrCat("cause ", static_cast<int>(row.cause), " code ",
                              static_cast<int>(row.code)));
    const absl::Status error(row.code, "because");
    const v1::Job first = After(RunningJob(1), row.cause, error);
    EXPECT_EQ(first.state(), row.state_with_attempts_left);
    EXPECT_EQ(first.state_reason(), row.reason_with_attempts_left);

    const v1::Job last = After(RunningJob(3), row.cause, error);
    if (row.state_with_attempts_left == v1::FAILED) {
      EXPECT_EQ(last.state_reason(), "ERROR");
    } else if (row.counts) {
      EXPECT_EQ(last.state(), v1::FAILED);
      EXPECT_EQ(last.state_reason(), "ATTEMPTS_EXHAUSTED");
      EXPECT_EQ(last.error().code(), static_cast<int>(row.code));
      EXPECT_THAT(last.error().message(), HasSubstr("because"));
    } else {
      EXPECT_EQ(last.state(), v1::QUEUED);
      EXPECT_EQ(last.uncounted_attempts(), 1u);
      EXPECT_EQ(CountedAttempts(last), 2u);
    }
  }
}

TEST(JobChangeTest, UncountedAttemptsGiveTheirsBack) {
  // Attempt 5, of which 3 do not count: the second of three.
  EXPECT_EQ(
      After(RunningJob(5, 3), Cause::kWorkerLost, absl::InternalError("x"))
          .state(),
      v1::QUEUED);
  EXPECT_EQ(
      After(RunningJob(6, 3), Cause::kWorkerLost, absl::InternalError("x"))
          .state(),
      v1::FAILED);
}

TEST(JobChangeTest, AJobThatKeepsTakingTheServerDownIsGivenUp) {
  v1::Job job = RunningJob(1);
  uint32_t restarts = 0;
  while (job.state() == v1::RUNNING && restarts < 100) {
    job = After(job, Cause::kServerRestarted, absl::UnavailableError("crash"));
    ++restarts;
    if (job.state() == v1::QUEUED) {
      job.set_state(v1::RUNNING);
      job.set_attempt(job.attempt() + 1);
    }
  }
  EXPECT_EQ(job.state(), v1::FAILED);
  EXPECT_EQ(restarts, kMaxForgivenRestarts + 3);
}

TEST(JobChangeTest, ACancelledJobEndsAsCancelledHoweverItsAttemptEnds) {
  v1::Job job = RunningJob(1);
  job.set_cancel_requested(true);
  for (Cause cause :
       {Cause::kWorkerLost, Cause::kOutOfMemory, Cause::kError,
        Cause::kStartFailed, Cause::kServerRestarted, Cause::kServerDrained}) {
    const v1::Job after = After(job, cause, absl::InternalError("x"));
    EXPECT_EQ(after.state(), v1::CANCELLED);
    EXPECT_EQ(after.state_reason(), "CANCELLED_BY_CLIENT");
  }
}

}  // namespace
}  // namespace quantd
