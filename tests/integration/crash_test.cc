// Workers and servers killed in the middle of a job: the job finishes on a
// later attempt, nothing is lost, and there is one result.
#include <signal.h>

#include <memory>
#include <set>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_replace.h"
#include "client/client.h"
#include "gmock/gmock.h"
#include "tests/integration/process.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_dir.h"

namespace quantd {
namespace {

using ::quantd::test::DemoModel;
using ::quantd::test::IsOk;
using ::quantd::test::ServerProcess;
using ::quantd::test::TempDir;

class CrashTest : public testing::Test {
 protected:
  void StartServer() {
    ASSERT_OK_AND_ASSIGN(
        server_,
        ServerProcess::Start(data_.File("data"), {"--lease-seconds", "3"}));
    client_ = std::make_unique<Client>(ClientOptions{server_->address()});
  }

  void SetUp() override {
    StartServer();
    v1::CreateModelRequest model;
    model.set_model_id("demo");
    model.set_path(DemoModel());
    ASSERT_THAT(client_->CreateModel(model), IsOk());
    ASSERT_OK_AND_ASSIGN(
        const v1::Dataset text,
        client_->UploadDataset(DemoModel() + "/calibration.txt", ""));
    dataset_ = text.name();
  }

  v1::JobSpec GptqSpec(const std::string& output) {
    return SpecOf("gptq", output);
  }

  v1::JobSpec SpecOf(const std::string& method, const std::string& output) {
    v1::JobSpec spec;
    auto& quantize = *spec.mutable_quantize();
    quantize.set_model("demo");
    quantize.set_method(method);
    quantize.mutable_calibration()->set_dataset(dataset_);
    quantize.mutable_calibration()->set_windows(96);
    quantize.set_output_id(output);
    spec.set_threads(1);
    return spec;
  }

  // Follows the job until its worker says that a block is on disk.
  void WaitForFirstBlock(const std::string& job) {
    bool written = false;
    Client watcher(ClientOptions{server_->address()});
    WatchJobOptions options;
    options.on_response = [&](const v1::WatchJobResponse& response) {
      if (absl::StrContains(response.event().note(), "written")) {
        written = true;
        watcher.Cancel();
      }
    };
    watcher.WatchJob(job, options).status().IgnoreError();
    ASSERT_TRUE(written) << server_->Log();
  }

  TempDir data_;
  std::unique_ptr<ServerProcess> server_;
  std::unique_ptr<Client> client_;
  std::string dataset_;
};

// Methods that carry different things from block to block: nothing, statistics
// of the original network, and a network that was rotated before the first.
class KilledWorkerTest : public CrashTest,
                         public testing::WithParamInterface<std::string> {};

TEST_P(KilledWorkerTest, CostsAnAttemptAndNotTheJob) {
  ASSERT_OK_AND_ASSIGN(const v1::Job whole,
                       client_->CreateJob(SpecOf(GetParam(), "whole"), {}));
  ASSERT_OK_AND_ASSIGN(const v1::Job undisturbed,
                       client_->WatchJob(whole.name(), {}));
  ASSERT_EQ(undisturbed.state(), v1::SUCCEEDED)
      << undisturbed.ShortDebugString();

  ASSERT_OK_AND_ASSIGN(v1::Job job,
                       client_->CreateJob(SpecOf(GetParam(), "killed"), {}));
  WaitForFirstBlock(job.name());
  const auto workers = server_->Workers();
  ASSERT_EQ(workers.size(), 1u);
  ASSERT_EQ(::kill(workers[0], SIGKILL), 0);
  ASSERT_OK_AND_ASSIGN(job, client_->WatchJob(job.name(), {}));
  EXPECT_EQ(job.state(), v1::SUCCEEDED) << job.ShortDebugString();
  EXPECT_EQ(job.attempt(), 2u);
  EXPECT_GE(job.result().resumed_blocks(), 1u);

  // What the second attempt made of the first one's blocks is byte for byte
  // what an undisturbed run makes.
  ASSERT_OK_AND_ASSIGN(const v1::Artifact a, client_->GetArtifact("whole"));
  ASSERT_OK_AND_ASSIGN(const v1::Artifact b, client_->GetArtifact("killed"));
  EXPECT_EQ(a.digest(), b.digest());
}

INSTANTIATE_TEST_SUITE_P(Methods, KilledWorkerTest,
                         testing::Values("gptq", "vptq-residual",
                                         "rotate-gptq"),
                         [](const auto& info) {
                           return absl::StrReplaceAll(info.param, {{"-", "_"}});
                         });

TEST_F(CrashTest, KilledServerLosesNothingAndPublishesOnce) {
  ASSERT_OK_AND_ASSIGN(v1::Job job,
                       client_->CreateJob(GptqSpec("survivor"), {}));
  ASSERT_OK_AND_ASSIGN(const v1::Job queued,
                       client_->CreateJob(GptqSpec("waiting"), {}));
  WaitForFirstBlock(job.name());
  EXPECT_EQ(server_->Stop(SIGKILL), -SIGKILL);

  StartServer();
  for (const std::string& name : {job.name(), queued.name()}) {
    ASSERT_OK_AND_ASSIGN(const v1::Job ended, client_->WatchJob(name, {}));
    EXPECT_EQ(ended.state(), v1::SUCCEEDED) << ended.ShortDebugString();
  }
  ASSERT_OK_AND_ASSIGN(const auto jobs, client_->ListJobs({}));
  EXPECT_EQ(jobs.size(), 2u);
  ASSERT_OK_AND_ASSIGN(const auto artifacts, client_->ListArtifacts());
  EXPECT_EQ(artifacts.size(), 2u);
  // Equal specs: equal bytes, interrupted or not.
  EXPECT_EQ(artifacts[0].digest(), artifacts[1].digest());
}

TEST_F(CrashTest, TheSameRequestAfterACrashIsTheSameJob) {
  CreateJobOptions options;
  options.request_id = "one-request";
  ASSERT_OK_AND_ASSIGN(const v1::Job before,
                       client_->CreateJob(GptqSpec("once"), options));
  EXPECT_EQ(server_->Stop(SIGKILL), -SIGKILL);
  StartServer();
  ASSERT_OK_AND_ASSIGN(const v1::Job after,
                       client_->CreateJob(GptqSpec("once"), options));
  EXPECT_EQ(after.name(), before.name());
  ASSERT_OK_AND_ASSIGN(const v1::Job ended,
                       client_->WatchJob(before.name(), {}));
  EXPECT_EQ(ended.state(), v1::SUCCEEDED) << ended.ShortDebugString();
}

TEST_F(CrashTest, CancelledJobStopsItsWorkerAndStaysCancelled) {
  ASSERT_OK_AND_ASSIGN(v1::Job job,
                       client_->CreateJob(GptqSpec("unwanted"), {}));
  WaitForFirstBlock(job.name());
  ASSERT_THAT(client_->CancelJob(job.name()), IsOk());
  ASSERT_OK_AND_ASSIGN(job, client_->WatchJob(job.name(), {}));
  EXPECT_EQ(job.state(), v1::CANCELLED);
  EXPECT_FALSE(client_->GetArtifact("unwanted").ok());
}

}  // namespace
}  // namespace quantd
