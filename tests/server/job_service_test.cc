#include "server/job_service.h"

#include <set>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "tests/server/scripted_worker.h"
#include "tests/testing/status_matchers.h"

namespace quantd::test {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

class JobServiceTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_OK_AND_ASSIGN(server_, InProcessServer::Start());
    ASSERT_THAT(RegisterDemoModel(*server_, "demo"), IsGrpcOk());
  }

  grpc::Status Create(const v1::CreateJobRequest& request, v1::Job* job) {
    grpc::ClientContext context;
    return server_->jobs().CreateJob(&context, request, job);
  }
  v1::Job CreateRtnJob() {
    v1::Job job;
    EXPECT_THAT(Create(RtnJob("demo"), &job), IsGrpcOk());
    return job;
  }
  grpc::Status Get(const std::string& name, v1::Job* job) {
    grpc::ClientContext context;
    v1::GetJobRequest request;
    request.set_name(name);
    return server_->jobs().GetJob(&context, request, job);
  }

  // Reads a whole watch; the responses come back.
  grpc::Status Watch(const std::string& name, uint64_t after,
                     std::vector<v1::WatchJobResponse>* responses) {
    grpc::ClientContext context;
    v1::WatchJobRequest request;
    request.set_name(name);
    request.set_after_sequence(after);
    const auto reader = server_->jobs().WatchJob(&context, request);
    v1::WatchJobResponse response;
    while (reader->Read(&response)) responses->push_back(response);
    return reader->Finish();
  }

  static std::vector<v1::JobState> StatesOf(
      const std::vector<v1::WatchJobResponse>& responses) {
    std::vector<v1::JobState> states;
    for (const v1::WatchJobResponse& response : responses) {
      if (response.event().has_state()) {
        states.push_back(response.event().state().to());
      }
    }
    return states;
  }

  std::unique_ptr<InProcessServer> server_;
};

TEST_F(JobServiceTest, ACreatedJobIsFoundListedAndRuns) {
  const v1::Job job = CreateRtnJob();
  EXPECT_THAT(job.name(), HasSubstr("jobs/"));
  EXPECT_EQ(job.spec().quantize().model(), "models/demo");
  v1::Job read;
  ASSERT_THAT(Get(job.name(), &read), IsGrpcOk());
  EXPECT_EQ(read.name(), job.name());
  grpc::ClientContext context;
  v1::ListJobsResponse page;
  ASSERT_THAT(server_->jobs().ListJobs(&context, v1::ListJobsRequest(), &page),
              IsGrpcOk());
  ASSERT_EQ(page.jobs_size(), 1);
  EXPECT_EQ(page.jobs(0).name(), job.name());
}

TEST_F(JobServiceTest, AllBrokenFieldsOfASpecAreNamedAtOnce) {
  v1::CreateJobRequest request;
  request.set_request_id(std::string(200, 'r'));
  v1::JobSpec& spec = *request.mutable_spec();
  spec.set_priority(5000);
  spec.set_max_attempts(0);
  spec.mutable_quantize()->set_output_id("not an id");
  v1::Job job;
  const grpc::Status status = Create(request, &job);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(
      ViolatedFields(status),
      UnorderedElementsAre("request_id", "spec.priority", "spec.max_attempts",
                           "spec.quantize.model", "spec.quantize.output_id"));
  EXPECT_THAT(ViolatedFields(Create(v1::CreateJobRequest(), &job)),
              ElementsAre("spec"));
}

TEST_F(JobServiceTest, ARequestIdMakesOneJob) {
  v1::CreateJobRequest request = RtnJob("demo");
  request.set_request_id("once");
  constexpr int kCallers = 16;
  absl::Mutex mutex;
  std::set<std::string> names;
  std::vector<std::thread> callers;
  for (int i = 0; i < kCallers; ++i) {
    callers.emplace_back([&] {
      v1::Job job;
      EXPECT_THAT(Create(request, &job), IsGrpcOk());
      absl::MutexLock lock(&mutex);
      names.insert(job.name());
    });
  }
  for (std::thread& caller : callers) caller.join();
  EXPECT_EQ(names.size(), 1u);

  request.mutable_spec()->set_priority(1);
  v1::Job job;
  const grpc::Status status = Create(request, &job);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(DetailOf<google::rpc::ErrorInfo>(status).reason(),
            "REQUEST_ID_REUSED");
}

TEST_F(JobServiceTest, AKindThatIsNotServedIsUnimplemented) {
  v1::CreateJobRequest request;
  request.mutable_spec()->mutable_train()->set_model("demo");
  v1::Job job;
  EXPECT_EQ(Create(request, &job).error_code(),
            grpc::StatusCode::UNIMPLEMENTED);
}

TEST_F(JobServiceTest, AWatchShowsTheJobThenEveryEventAndEnds) {
  const v1::Job job = CreateRtnJob();
  ScriptedWorker worker(*server_, 0);
  ASSERT_THAT(worker.Claim(), IsGrpcOk());
  std::vector<v1::WatchJobResponse> responses;
  grpc::Status status;
  std::thread watcher([&] { status = Watch(job.name(), 0, &responses); });
  ASSERT_THAT(worker.Heartbeat(0.5, "block 1 written"), IsGrpcOk());
  ASSERT_THAT(worker.Succeed({{"config.json", "{}"}}), IsGrpcOk());
  watcher.join();
  EXPECT_THAT(status, IsGrpcOk());
  ASSERT_FALSE(responses.empty());
  EXPECT_FALSE(responses.front().has_event());
  EXPECT_EQ(responses.front().job().name(), job.name());
  EXPECT_THAT(StatesOf(responses),
              ElementsAre(v1::QUEUED, v1::RUNNING, v1::SUCCEEDED));
  std::vector<std::string> notes;
  uint64_t last = 0;
  for (const v1::WatchJobResponse& response : responses) {
    if (!response.has_event()) continue;
    EXPECT_GT(response.event().sequence(), last);
    last = response.event().sequence();
    EXPECT_GE(response.job().event_sequence(), last);
    if (!response.event().note().empty()) {
      notes.push_back(response.event().note());
    }
  }
  EXPECT_THAT(notes, Contains("block 1 written"));
  EXPECT_EQ(responses.back().job().state(), v1::SUCCEEDED);
  EXPECT_EQ(last, responses.back().job().event_sequence());
}

TEST_F(JobServiceTest, AWatchResumesAfterAnyEventWithoutGapOrRepeat) {
  const v1::Job job = CreateRtnJob();
  ScriptedWorker worker(*server_, 0);
  ASSERT_THAT(worker.Claim(), IsGrpcOk());
  for (int i = 0; i < 5; ++i) {
    ASSERT_THAT(worker.Heartbeat(0.1 * i, absl::StrCat("note ", i)),
                IsGrpcOk());
  }
  ASSERT_THAT(worker.Fail(13, "boom"), IsGrpcOk());
  std::vector<v1::WatchJobResponse> all;
  ASSERT_THAT(Watch(job.name(), 0, &all), IsGrpcOk());
  std::vector<uint64_t> sequences;
  for (const v1::WatchJobResponse& response : all) {
    if (response.has_event()) sequences.push_back(response.event().sequence());
  }
  ASSERT_GE(sequences.size(), 8u);
  for (size_t i = 0; i < sequences.size(); ++i) {
    std::vector<v1::WatchJobResponse> rest;
    ASSERT_THAT(Watch(job.name(), sequences[i], &rest), IsGrpcOk());
    std::vector<uint64_t> resumed;
    for (const v1::WatchJobResponse& response : rest) {
      if (response.has_event()) resumed.push_back(response.event().sequence());
    }
    EXPECT_EQ(resumed, std::vector<uint64_t>(sequences.begin() + i + 1,
                                             sequences.end()));
    ASSERT_FALSE(rest.empty());  // at least the job itself
  }
}

TEST_F(JobServiceTest, MoreEventsThanOneBatchArriveInOrder) {
  const v1::Job job = CreateRtnJob();
  ScriptedWorker worker(*server_, 0);
  ASSERT_THAT(worker.Claim(), IsGrpcOk());
  constexpr int kNotes = 200;
  for (int i = 0; i < kNotes; ++i) {
    ASSERT_THAT(worker.Heartbeat(0, absl::StrCat("note ", i)), IsGrpcOk());
  }
  ASSERT_THAT(worker.Fail(13, "boom"), IsGrpcOk());
  std::vector<v1::WatchJobResponse> responses;
  ASSERT_THAT(Watch(job.name(), 0, &responses), IsGrpcOk());
  int next = 0;
  for (const v1::WatchJobResponse& response : responses) {
    if (response.event().note().empty()) continue;
    EXPECT_EQ(response.event().note(), absl::StrCat("note ", next));
    ++next;
  }
  EXPECT_EQ(next, kNotes);
}

TEST_F(JobServiceTest, ProgressIsCoalescedAndTheLatestArrives) {
  const v1::Job job = CreateRtnJob();
  ScriptedWorker worker(*server_, 0);
  ASSERT_THAT(worker.Claim(), IsGrpcOk());
  grpc::ClientContext context;
  v1::WatchJobRequest request;
  request.set_name(job.name());
  const auto reader = server_->jobs().WatchJob(&context, request);
  v1::WatchJobResponse response;
  ASSERT_TRUE(reader->Read(&response));
  const absl::Time start = absl::Now();
  constexpr int kUpdates = 300;
  for (int i = 1; i <= kUpdates; ++i) {
    ASSERT_THAT(worker.Heartbeat(static_cast<double>(i) / kUpdates),
                IsGrpcOk());
  }
  int updates = 0;
  do {
    ASSERT_TRUE(reader->Read(&response));
    if (!response.has_event()) ++updates;
  } while (response.job().progress().fraction() < 1);
  const double seconds = absl::ToDoubleSeconds(absl::Now() - start);
  EXPECT_LE(updates, 10 * seconds + 2);
  EXPECT_LT(updates, kUpdates);
  context.TryCancel();
  reader->Finish();
}

TEST_F(JobServiceTest, AWatchThatCannotBeginSaysWhy) {
  std::vector<v1::WatchJobResponse> responses;
  EXPECT_EQ(Watch("jobs/nobody", 0, &responses).error_code(),
            grpc::StatusCode::NOT_FOUND);
  EXPECT_THAT(ViolatedFields(Watch("", 0, &responses)), ElementsAre("name"));
  const v1::Job job = CreateRtnJob();
  const grpc::Status ahead = Watch(job.name(), 1000000, &responses);
  EXPECT_EQ(ahead.error_code(), grpc::StatusCode::FAILED_PRECONDITION);
  EXPECT_EQ(DetailOf<google::rpc::ErrorInfo>(ahead).reason(), "STORE_REWOUND");
  EXPECT_THAT(responses, IsEmpty());
}

TEST_F(JobServiceTest, AShutdownEndsWatchesWithUnavailable) {
  const v1::Job job = CreateRtnJob();
  grpc::ClientContext context;
  v1::WatchJobRequest request;
  request.set_name(job.name());
  const auto reader = server_->jobs().WatchJob(&context, request);
  v1::WatchJobResponse response;
  ASSERT_TRUE(reader->Read(&response));
  server_->server().Shutdown(absl::ZeroDuration());
  while (reader->Read(&response)) {
  }
  EXPECT_THAT(reader->Finish(), GrpcStatusIs(grpc::StatusCode::UNAVAILABLE,
                                             HasSubstr("after_sequence")));
}

TEST_F(JobServiceTest, AWatcherThatLeavesIsForgotten) {
  const v1::Job job = CreateRtnJob();
  for (int i = 0; i < 10; ++i) {
    grpc::ClientContext context;
    v1::WatchJobRequest request;
    request.set_name(job.name());
    const auto reader = server_->jobs().WatchJob(&context, request);
    v1::WatchJobResponse response;
    ASSERT_TRUE(reader->Read(&response));
    context.TryCancel();
    EXPECT_EQ(reader->Finish().error_code(), grpc::StatusCode::CANCELLED);
  }
  // Waits for the streams' ends on the server.
  EXPECT_THAT(server_->Restart(), IsOk());
}

TEST_F(JobServiceTest, ACancelledJobStaysCancelled) {
  const v1::Job first = CreateRtnJob();
  const v1::Job second = CreateRtnJob();  // one slot: waits
  grpc::ClientContext context;
  v1::CancelJobRequest request;
  request.set_name(second.name());
  v1::Job cancelled;
  ASSERT_THAT(server_->jobs().CancelJob(&context, request, &cancelled),
              IsGrpcOk());
  EXPECT_EQ(cancelled.state(), v1::CANCELLED);
  std::vector<v1::WatchJobResponse> responses;
  ASSERT_THAT(Watch(second.name(), 0, &responses), IsGrpcOk());
  EXPECT_THAT(StatesOf(responses), ElementsAre(v1::QUEUED, v1::CANCELLED));
  grpc::ClientContext delete_context;
  v1::DeleteJobRequest remove;
  remove.set_name(second.name());
  v1::Job deleted;
  EXPECT_THAT(server_->jobs().DeleteJob(&delete_context, remove, &deleted),
              IsGrpcOk());
  v1::Job gone;
  EXPECT_EQ(Get(second.name(), &gone).error_code(),
            grpc::StatusCode::NOT_FOUND);
  EXPECT_THAT(Get(first.name(), &gone), IsGrpcOk());
}

TEST_F(JobServiceTest, TheWorkersLogIsRead) {
  const v1::Job job = CreateRtnJob();
  const WorkerLaunch launch = server_->executor().WaitForLaunch(0);
  std::ofstream(launch.log_path) << "a line of the worker\n";
  grpc::ClientContext context;
  v1::ReadJobLogRequest request;
  request.set_name(job.name());
  v1::ReadJobLogResponse log;
  ASSERT_THAT(server_->jobs().ReadJobLog(&context, request, &log), IsGrpcOk());
  EXPECT_EQ(log.data(), "a line of the worker\n");
  EXPECT_EQ(log.attempt(), 1u);
}

TEST_F(JobServiceTest, ACallWhoseDeadlineHasPassedMakesNoJob) {
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() -
                       std::chrono::seconds(1));
  v1::Job job;
  EXPECT_EQ(
      server_->jobs().CreateJob(&context, RtnJob("demo"), &job).error_code(),
      grpc::StatusCode::DEADLINE_EXCEEDED);
  grpc::ClientContext list_context;
  v1::ListJobsResponse page;
  ASSERT_THAT(
      server_->jobs().ListJobs(&list_context, v1::ListJobsRequest(), &page),
      IsGrpcOk());
  EXPECT_EQ(page.jobs_size(), 0);
}

}  // namespace
}  // namespace quantd::test
