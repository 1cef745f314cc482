#include "jobs/worker.h"

#include <grpcpp/grpcpp.h>

#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/match.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "base/file.h"
#include "base/sha256.h"
#include "gmock/gmock.h"
#include "google/protobuf/util/message_differencer.h"
#include "gtest/gtest.h"
#include "proto/field_rules.h"
#include "quantd/v1/worker.grpc.pb.h"
#include "tests/testing/project_paths.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_dir.h"
#include "tests/testing/tiny_model.h"

namespace quantd {
namespace {

using ::testing::HasSubstr;
using ::testing::SizeIs;

// The server's side of an attempt: hands out one assignment and notes what it
// is told.
class FakeWorkerService : public v1::WorkerService::Service {
 public:
  grpc::Status ClaimAttempt(grpc::ServerContext* context,
                            const v1::AttemptKey* key,
                            v1::Assignment* assignment) override {
    absl::MutexLock lock(&mutex_);
    claims.push_back(*key);
    *assignment = to_assign;
    return claim_status;
  }
  grpc::Status Heartbeat(grpc::ServerContext* context,
                         const v1::HeartbeatRequest* request,
                         v1::HeartbeatResponse* response) override {
    absl::MutexLock lock(&mutex_);
    heartbeats.push_back(*request);
    response->set_cancel(cancel);
    return heartbeat_status;
  }
  grpc::Status ReportAttempt(grpc::ServerContext* context,
                             const v1::ReportAttemptRequest* request,
                             google::protobuf::Empty* response) override {
    absl::MutexLock lock(&mutex_);
    reports.push_back(*request);
    if (report_statuses.empty()) return grpc::Status::OK;
    grpc::Status status = report_statuses.front();
    report_statuses.pop_front();
    return status;
  }

  // Set before the worker starts, read after it has ended.
  v1::Assignment to_assign;
  grpc::Status claim_status;
  bool cancel = false;
  grpc::Status heartbeat_status;
  std::deque<grpc::Status> report_statuses;
  std::vector<v1::AttemptKey> claims;
  std::vector<v1::HeartbeatRequest> heartbeats;
  std::vector<v1::ReportAttemptRequest> reports;

 private:
  absl::Mutex mutex_;
};

class WorkerTest : public ::testing::Test {
 protected:
  void SetUp() override {
    grpc::ServerBuilder builder;
    int port = 0;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(),
                             &port);
    builder.RegisterService(&service_);
    server_ = builder.BuildAndStart();
    ASSERT_NE(server_, nullptr);
    options_.server_address = "127.0.0.1:" + std::to_string(port);
    options_.job = "jobs/01hf7yat000000000000000000";
    options_.attempt = 7;
    options_.token = "secret";
    // A job that is slow to stop, under a sanitizer, must not end the test.
    options_.stop_time = absl::Minutes(2);

    // An evaluation of the bundled model.
    v1::Assignment& assignment = service_.to_assign;
    assignment.mutable_job()->set_name(options_.job);
    v1::JobSpec& spec = *assignment.mutable_job()->mutable_spec();
    spec.set_threads(1);
    spec.mutable_evaluate()->set_target("models/demo");
    spec.mutable_evaluate()->add_metrics("ppl/gptq-64");
    spec.mutable_evaluate()->set_batch_windows(1);
    assignment.set_lease_seconds(0.3);
    assignment.set_workspace(dir_.path());
    const std::string model = ProjectPath("deploy/demo/demo-llama-1m");
    assignment.set_input_directory(model);
    assignment.set_input_name("models/demo");
    assignment.set_dataset_path(model + "/eval.txt");
    ASSERT_OK_AND_ASSIGN(*assignment.mutable_dataset_digest(),
                         Sha256HexOfFile(assignment.dataset_path()));
  }

  void ExpectKey(const v1::AttemptKey& key) {
    EXPECT_EQ(key.job(), options_.job);
    EXPECT_EQ(key.attempt(), 7u);
    EXPECT_EQ(key.token(), "secret");
  }

  void OnlyWindows(uint32_t count) {
    service_.to_assign.mutable_job()
        ->mutable_spec()
        ->mutable_evaluate()
        ->set_max_windows(count);
  }

  test::TempDir dir_;
  FakeWorkerService service_;
  std::unique_ptr<grpc::Server> server_;
  WorkerOptions options_;
};

TEST_F(WorkerTest, RunsTheJobAndReportsItsResult) {
  OnlyWindows(4);
  EXPECT_EQ(RunWorkerMain(options_), kWorkerReported);
  ASSERT_THAT(service_.claims, SizeIs(1));
  ExpectKey(service_.claims[0]);
  ASSERT_FALSE(service_.heartbeats.empty());
  ExpectKey(service_.heartbeats.back().key());
  EXPECT_GT(service_.heartbeats.back().memory_bytes(), 0u);
  EXPECT_TRUE(service_.heartbeats.back().has_progress());
  ASSERT_THAT(service_.reports, SizeIs(1));
  ExpectKey(service_.reports[0].key());
  ASSERT_TRUE(service_.reports[0].has_success())
      << service_.reports[0].ShortDebugString();
  const v1::AttemptSuccess& success = service_.reports[0].success();
  EXPECT_GT(success.evaluation().perplexities(0).perplexity(), 1);
  EXPECT_GT(success.result().peak_memory_bytes(), 0u);
  EXPECT_GT(success.result().metrics().at("peak_anonymous_memory_bytes"), 0);
  EXPECT_GE(success.result().peak_memory_bytes(),
            success.result().metrics().at("peak_anonymous_memory_bytes"));
  EXPECT_GT(success.result().metrics().at("phase_seconds.load"), 0);
  EXPECT_GT(success.result().metrics().at("phase_seconds.evaluate"), 0);
}

TEST_F(WorkerTest, ComparesAModelWithItsBaseline) {
  OnlyWindows(4);
  v1::EvaluateSpec& spec =
      *service_.to_assign.mutable_job()->mutable_spec()->mutable_evaluate();
  spec.set_metrics(0, "divergence/gptq-64");
  spec.add_metrics("ppl/gptq-64");
  service_.to_assign.set_baseline_directory(
      service_.to_assign.input_directory());
  service_.to_assign.set_baseline_name("models/itself");
  service_.to_assign.set_baseline_digest("digest");
  EXPECT_EQ(RunWorkerMain(options_), kWorkerReported);
  ASSERT_THAT(service_.reports, SizeIs(1));
  ASSERT_TRUE(service_.reports[0].has_success())
      << service_.reports[0].ShortDebugString();
  const v1::AttemptSuccess& success = service_.reports[0].success();
  ASSERT_EQ(success.evaluation().divergences_size(), 1);
  const v1::DivergenceReport& report = success.evaluation().divergences(0);
  EXPECT_EQ(report.baseline(), "models/itself");
  EXPECT_EQ(report.baseline_digest(), "digest");
  EXPECT_EQ(report.kl().maximum(), 0);
  EXPECT_EQ(report.top1_agreement().mean(), 1);
  EXPECT_EQ(success.evaluation().perplexities_size(), 1) << "of one pass";
  const auto& metrics = success.result().metrics();
  EXPECT_EQ(metrics.at("divergence/gptq-64/first-4/mean_kl"), 0);
  EXPECT_EQ(metrics.at("divergence/gptq-64/first-4/top1_agreement"), 1);
  EXPECT_GT(metrics.at("ppl/gptq-64/first-4"), 1);
}

TEST_F(WorkerTest, MeasuresSpeedWithoutATextBesideABaseline) {
  v1::EvaluateSpec& spec =
      *service_.to_assign.mutable_job()->mutable_spec()->mutable_evaluate();
  spec.set_metrics(0, "efficiency/pp16-tg4");
  service_.to_assign.clear_dataset_path();
  service_.to_assign.clear_dataset_digest();
  service_.to_assign.set_baseline_directory(
      service_.to_assign.input_directory());
  service_.to_assign.set_baseline_name("models/itself");
  service_.to_assign.set_baseline_digest("digest");
  EXPECT_EQ(RunWorkerMain(options_), kWorkerReported);
  ASSERT_THAT(service_.reports, SizeIs(1));
  ASSERT_TRUE(service_.reports[0].has_success())
      << service_.reports[0].ShortDebugString();
  const v1::AttemptSuccess& success = service_.reports[0].success();
  ASSERT_EQ(success.evaluation().efficiencies_size(), 1);
  const v1::EfficiencyReport& report = success.evaluation().efficiencies(0);
  EXPECT_EQ(report.baseline_name(), "models/itself");
  EXPECT_EQ(report.baseline_digest(), "digest");
  EXPECT_EQ(report.threads(), 1u);
  EXPECT_GT(report.baseline().generation().mean(), 0);
  EXPECT_EQ(success.evaluation().perplexities_size(), 0);
  const auto& metrics = success.result().metrics();
  const std::string prefix = "efficiency/pp16-tg4/";
  EXPECT_GT(metrics.at(prefix + "prompt_tokens_per_second"), 0);
  EXPECT_GT(metrics.at(prefix + "generated_tokens_per_second"), 0);
  EXPECT_GT(metrics.at(prefix + "generation_speed_ratio"), 0);
  EXPECT_EQ(metrics.count("tokens_per_second"), 0u);
}

TEST_F(WorkerTest, AttributesNothingBetweenEqualModels) {
  OnlyWindows(2);
  v1::EvaluateSpec& spec =
      *service_.to_assign.mutable_job()->mutable_spec()->mutable_evaluate();
  spec.set_metrics(0, "attribution/gptq-64");
  spec.set_attribution_granularity(v1::ATTRIBUTE_LAYERS);
  service_.to_assign.set_baseline_directory(
      service_.to_assign.input_directory());
  service_.to_assign.set_baseline_name("models/itself");
  service_.to_assign.set_baseline_digest("digest");
  EXPECT_EQ(RunWorkerMain(options_), kWorkerReported);
  ASSERT_THAT(service_.reports, SizeIs(1));
  ASSERT_TRUE(service_.reports[0].has_success())
      << service_.reports[0].ShortDebugString();
  const v1::AttemptSuccess& success = service_.reports[0].success();
  ASSERT_EQ(success.evaluation().attributions_size(), 1);
  const v1::AttributionReport& report = success.evaluation().attributions(0);
  EXPECT_EQ(report.metric(), "attribution/gptq-64/first-2");
  EXPECT_EQ(report.baseline(), "models/itself");
  EXPECT_EQ(report.baseline_digest(), "digest");
  EXPECT_GT(report.units_size(), 7);
  for (const v1::UnitAttribution& unit : report.units()) {
    EXPECT_EQ(unit.alone_kl().mean(), 0) << unit.name();
  }
  EXPECT_EQ(
      success.result().metrics().at("attribution/gptq-64/first-2/mean_kl"), 0);
}

// Of every kind of score: the job fails and says where, and there is no
// evaluation.
TEST_F(WorkerTest, AModelThatOverflowsIsAFailureNeverAScore) {
  test::TempDir sound, broken;
  test::WriteTinyModel(sound.path());
  test::TinyModelOptions options;
  options.overflows = true;
  test::WriteTinyModel(broken.path(), options);
  const std::string text = test::TinyText(400);
  const std::string prompts = "{\"prompt\": \"ab\"}\n";
  const std::string records =
      "{\"q\": \"ab\", \"choices\": [\"c\", \"d\"], \"answer\": 0}\n";
  const std::string choices = R"(task: letters
output_type: multiple_choice
doc_to_text: "{{ q }}"
doc_to_choice: "{{ choices }}"
doc_to_target: answer
unconditional_context: "e"
metric_list:
  - metric: acc
  - metric: acc_pmi
)";
  const std::string writing = R"(task: writing
output_type: generate_until
doc_to_text: "{{ q }}"
doc_to_target: "{{ choices[0] }}"
generation_kwargs:
  until: ["."]
  max_gen_toks: 3
metric_list:
  - metric: exact_match
)";
  const auto metric = [](const std::string& name) {
    v1::EvaluateSpec spec;
    spec.add_metrics(name);
    return spec;
  };
  const auto task = [](const std::string& definition) {
    v1::EvaluateSpec spec;
    spec.add_tasks()->set_definition(definition);
    return spec;
  };
  v1::EvaluateSpec generation, beams;
  generation.mutable_generation()->set_max_new_tokens(3);
  *beams.mutable_generation() = generation.generation();
  beams.mutable_generation()->set_beams(2);
  struct Case {
    v1::EvaluateSpec spec;
    std::string data;
    std::string named;
  };
  const std::vector<Case> cases = {
      {metric("ppl/gptq-16"), text, "ppl/gptq-16"},
      {metric("ppl/llamacpp-32"), text, "ppl/llamacpp-32"},
      {metric("divergence/gptq-16"), text, "divergence/gptq-16: target"},
      {metric("attribution/gptq-16"), text,
       "attribution/gptq-16: model.layers.0"},
      {task(choices), records, "task letters, item 0 (line 1)"},
      {task(writing), records, "task writing: prompt 1"},
      {generation, prompts, "prompt 1"},
      {beams, prompts, "prompt 1"},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.named);
    service_.reports.clear();
    v1::Assignment& assignment = service_.to_assign;
    v1::EvaluateSpec& spec =
        *assignment.mutable_job()->mutable_spec()->mutable_evaluate();
    spec = c.spec;
    spec.set_target("models/broken");
    // As a server completes it.
    FillDefaults(&spec);
    assignment.set_input_directory(broken.path());
    assignment.set_input_name("models/broken");
    const std::string path = dir_.File("data");
    ASSERT_TRUE(WriteFileDurably(path, c.data).ok());
    assignment.clear_tasks();
    if (spec.tasks_size() > 0) {
      assignment.clear_dataset_path();
      assignment.clear_dataset_digest();
      assignment.add_tasks()->set_dataset_path(path);
      assignment.mutable_tasks(0)->set_dataset_digest(Sha256Hex(c.data));
    } else {
      assignment.set_dataset_path(path);
      assignment.set_dataset_digest(Sha256Hex(c.data));
    }
    const bool compares =
        spec.metrics_size() > 0 && !absl::StartsWith(spec.metrics(0), "ppl/");
    assignment.set_baseline_directory(compares ? sound.path() : "");
    assignment.set_baseline_name(compares ? "models/sound" : "");
    EXPECT_EQ(RunWorkerMain(options_), kWorkerReported);
    ASSERT_THAT(service_.reports, SizeIs(1));
    ASSERT_TRUE(service_.reports[0].has_error())
        << service_.reports[0].ShortDebugString();
    EXPECT_EQ(service_.reports[0].error().code(),
              static_cast<int>(absl::StatusCode::kInternal));
    EXPECT_THAT(service_.reports[0].error().message(),
                testing::AllOf(HasSubstr(c.named), HasSubstr("NaN")));
  }
}

TEST_F(WorkerTest, RefusesABaselineWithAnotherTokenizer) {
  OnlyWindows(4);
  const std::string model = service_.to_assign.input_directory();
  test::TempDir other;
  for (const char* file : {"config.json", "model.safetensors",
                           "tokenizer_config.json", "tokenizer.json"}) {
    ASSERT_OK_AND_ASSIGN(std::string bytes, ReadFile(model + "/" + file));
    if (file == std::string("tokenizer.json")) bytes += "\n";
    ASSERT_TRUE(WriteFileDurably(other.File(file), bytes).ok());
  }
  service_.to_assign.mutable_job()
      ->mutable_spec()
      ->mutable_evaluate()
      ->set_metrics(0, "divergence/gptq-64");
  service_.to_assign.set_baseline_directory(other.path());
  service_.to_assign.set_baseline_name("models/other");
  EXPECT_EQ(RunWorkerMain(options_), kWorkerReported);
  ASSERT_THAT(service_.reports, SizeIs(1));
  EXPECT_EQ(service_.reports[0].error().code(),
            static_cast<int>(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(
      service_.reports[0].error().message(),
      testing::AllOf(HasSubstr("models/demo"), HasSubstr("models/other"),
                     HasSubstr("different tokenizers")));
}

TEST_F(WorkerTest, ReportsTheErrorOfTheJob) {
  service_.to_assign.set_input_directory("/no/such/model");
  EXPECT_EQ(RunWorkerMain(options_), kWorkerReported);
  ASSERT_THAT(service_.reports, SizeIs(1));
  ASSERT_TRUE(service_.reports[0].has_error());
  EXPECT_EQ(service_.reports[0].error().code(),
            static_cast<int>(absl::StatusCode::kNotFound));
  EXPECT_THAT(service_.reports[0].error().message(),
              HasSubstr("/no/such/model"));
}

TEST_F(WorkerTest, ReportsAKindOfJobItCannotRun) {
  service_.to_assign.mutable_job()->mutable_spec()->mutable_search();
  EXPECT_EQ(RunWorkerMain(options_), kWorkerReported);
  ASSERT_THAT(service_.reports, SizeIs(1));
  EXPECT_EQ(service_.reports[0].error().code(),
            static_cast<int>(absl::StatusCode::kUnimplemented));
}

TEST_F(WorkerTest, ACancelledJobStopsEarlyAndSaysSo) {
  service_.cancel = true;
  EXPECT_EQ(RunWorkerMain(options_), kWorkerReported);
  ASSERT_THAT(service_.reports, SizeIs(1));
  EXPECT_EQ(service_.reports[0].error().code(),
            static_cast<int>(absl::StatusCode::kCancelled));
}

TEST_F(WorkerTest, AFencedWorkerStopsWithoutAReport) {
  service_.heartbeat_status =
      grpc::Status(grpc::StatusCode::ABORTED, "STALE_ATTEMPT");
  EXPECT_EQ(RunWorkerMain(options_), kWorkerStale);
  EXPECT_THAT(service_.reports, SizeIs(0));
}

TEST_F(WorkerTest, AServerThatIsSilentForALeaseStopsTheWorker) {
  service_.heartbeat_status =
      grpc::Status(grpc::StatusCode::UNAVAILABLE, "draining");
  EXPECT_EQ(RunWorkerMain(options_), kWorkerStale);
  EXPECT_GE(service_.heartbeats.size(), 3u);
  EXPECT_THAT(service_.reports, SizeIs(0));
}

TEST_F(WorkerTest, AClaimThatIsRefusedEndsTheWorker) {
  service_.claim_status =
      grpc::Status(grpc::StatusCode::ABORTED, "STALE_ATTEMPT");
  EXPECT_EQ(RunWorkerMain(options_), kWorkerStale);
  service_.claim_status = grpc::Status(grpc::StatusCode::DATA_LOSS, "rotten");
  EXPECT_EQ(RunWorkerMain(options_), kWorkerFailed);
  EXPECT_THAT(service_.claims, SizeIs(2));
  EXPECT_THAT(service_.heartbeats, SizeIs(0));
}

TEST_F(WorkerTest, AReportIsRepeatedUntilItIsAnswered) {
  OnlyWindows(1);
  service_.report_statuses = {
      grpc::Status(grpc::StatusCode::UNAVAILABLE, "later"),
      grpc::Status(grpc::StatusCode::UNAVAILABLE, "later")};
  EXPECT_EQ(RunWorkerMain(options_), kWorkerReported);
  ASSERT_THAT(service_.reports, SizeIs(3));
  EXPECT_TRUE(google::protobuf::util::MessageDifferencer::Equals(
      service_.reports[0], service_.reports[2]));
}

TEST_F(WorkerTest, AReportThatIsRefusedEndsTheWorker) {
  OnlyWindows(1);
  service_.report_statuses = {
      grpc::Status(grpc::StatusCode::ABORTED, "STALE_ATTEMPT")};
  EXPECT_EQ(RunWorkerMain(options_), kWorkerStale);
  service_.report_statuses = {
      grpc::Status(grpc::StatusCode::DATA_LOSS, "digest")};
  EXPECT_EQ(RunWorkerMain(options_), kWorkerFailed);
}

}  // namespace
}  // namespace quantd
