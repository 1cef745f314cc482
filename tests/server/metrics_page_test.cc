#include "server/metrics_page.h"

#include <algorithm>
#include <sstream>

#include "prometheus/gauge.h"
#include "tests/server/http_fetch.h"
#include "tests/server/scripted_worker.h"
#include "tests/testing/status_matchers.h"

namespace quantd::test {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

// The value of the first sample whose line starts with `series`; -1 if none.
double ValueOf(const std::string& page, const std::string& series) {
  std::istringstream lines(page);
  for (std::string line; std::getline(lines, line);) {
    if (line.rfind(series, 0) == 0) {
      return std::stod(line.substr(line.rfind(' ')));
    }
  }
  return -1;
}

TEST(MetricsPageTest, GaugesAreReadWhenThePageIs) {
  MetricsPage page;
  prometheus::Gauge& gauge = prometheus::BuildGauge()
                                 .Name("quantd_test_level")
                                 .Help("A test.")
                                 .Register(page.registry())
                                 .Add({});
  int level = 0;
  page.AddRefresh([&] { gauge.Set(++level); });
  EXPECT_EQ(ValueOf(page.Text(), "quantd_test_level"), 1);
  EXPECT_EQ(ValueOf(page.Text(), "quantd_test_level"), 2);
}

class ServerMetricsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    InProcessServer::Setup setup;
    setup.configure = [](ServerOptions& options) {
      options.metrics_listen = "127.0.0.1:0";
    };
    ASSERT_OK_AND_ASSIGN(server_, InProcessServer::Start(setup));
    ASSERT_THAT(RegisterDemoModel(*server_, "demo"), IsGrpcOk());
  }
  std::string Page() {
    return Fetch(server_->server().metrics_port(), "/metrics");
  }

  void RunJob(size_t index) {
    grpc::ClientContext context;
    v1::Job job;
    ASSERT_THAT(server_->jobs().CreateJob(&context, RtnJob("demo"), &job),
                IsGrpcOk());
    ScriptedWorker worker(*server_, index);
    ASSERT_THAT(worker.Claim(), IsGrpcOk());
    ASSERT_THAT(worker.Succeed({{"config.json", "{}"}}), IsGrpcOk());
    server_->executor().EndWorker(worker.key().job(), worker.key().attempt(),
                                  "exit code 0");
  }

  std::unique_ptr<InProcessServer> server_;
};

TEST_F(ServerMetricsTest, AJobLeavesItsTraces) {
  RunJob(0);
  const std::string page = Page();
  EXPECT_THAT(page, HasSubstr("HTTP/1.1 200 OK"));
  EXPECT_THAT(page, HasSubstr("quantd_build_info{"));
  EXPECT_EQ(ValueOf(page,
                    "quantd_jobs_submitted_total{kind=\"quantize\","
                    "method_family=\"rtn\"}"),
            1);
  EXPECT_EQ(ValueOf(page,
                    "quantd_jobs_finished_total{kind=\"quantize\","
                    "reason=\"completed\",state=\"succeeded\"}"),
            1);
  EXPECT_EQ(ValueOf(page, "quantd_attempts_started_total{executor=\"fake\"}"),
            1);
  EXPECT_EQ(ValueOf(page, "quantd_attempts_lost_total{executor=\"fake\"}"), 0);
  EXPECT_EQ(ValueOf(page,
                    "quantd_job_run_seconds_count{executor=\"fake\","
                    "kind=\"quantize\",method_family=\"rtn\"}"),
            1);
  EXPECT_EQ(ValueOf(page, "quantd_job_queue_seconds_count"), 1);
  EXPECT_EQ(ValueOf(page,
                    "quantd_job_phase_seconds_sum{kind=\"quantize\","
                    "phase=\"load\"}"),
            0.25);
  EXPECT_EQ(ValueOf(page,
                    "quantd_job_phase_seconds_sum{kind=\"quantize\","
                    "phase=\"quantize\"}"),
            2);
  EXPECT_THAT(page, Not(HasSubstr("unheard_of")));
  EXPECT_EQ(ValueOf(page, "quantd_compressed_weights_total"), 1000);
  EXPECT_EQ(ValueOf(page, "quantd_resumed_blocks_total"), 3);
  EXPECT_EQ(ValueOf(page, "quantd_jobs{state=\"queued\"}"), 0);
  EXPECT_EQ(ValueOf(page, "quantd_jobs{state=\"running\"}"), 0);
  EXPECT_EQ(ValueOf(page, "quantd_artifact_count"), 1);
  EXPECT_EQ(ValueOf(page, "quantd_artifact_bytes"), 2);
  EXPECT_EQ(ValueOf(page, "quantd_store_read_only"), 0);
  EXPECT_GE(ValueOf(page, "quantd_store_last_sequence"), 3);
  EXPECT_GE(ValueOf(page, "quantd_store_write_seconds_count{op=\"commit\"}"),
            4);
  EXPECT_GT(ValueOf(page, "quantd_store_size_bytes"), 0);
  EXPECT_GT(ValueOf(page, "quantd_disk_free_bytes"), 0);
  EXPECT_GT(ValueOf(page, "process_resident_memory_bytes"), 1e6);
  EXPECT_GT(ValueOf(page, "process_open_fds"), 0);
  EXPECT_GT(ValueOf(page, "process_start_time_seconds"), 1e9);
}

// A job's gauges are there while it trains, and its labels do not stay.
TEST_F(ServerMetricsTest, TrainingIsSeenAsLongAsItRuns) {
  grpc::ClientContext context;
  v1::Job job;
  ASSERT_THAT(server_->jobs().CreateJob(&context, RtnJob("demo"), &job),
              IsGrpcOk());
  ScriptedWorker worker(*server_, 0);
  ASSERT_THAT(worker.Claim(), IsGrpcOk());
  EXPECT_THAT(Page(), Not(HasSubstr("quantd_training_loss{")));
  v1::Progress progress;
  progress.set_phase("tune");
  progress.set_fraction(0.5);
  progress.mutable_training()->set_step(7);
  progress.mutable_training()->set_steps(200);
  progress.mutable_training()->set_loss(0.125);
  progress.mutable_training()->set_learning_rate(0.005);
  ASSERT_THAT(worker.Heartbeat(progress), IsGrpcOk());
  const std::string page = Page();
  EXPECT_EQ(ValueOf(page, "quantd_training_step{job="), 7);
  EXPECT_EQ(ValueOf(page, "quantd_training_loss{job="), 0.125);
  EXPECT_EQ(ValueOf(page, "quantd_training_learning_rate{job="), 0.005);
  EXPECT_EQ(ValueOf(page, "quantd_training_eta_seconds{job="), 0)
      << "one report has no pace";
  progress.mutable_training()->set_loss(0.0625);
  progress.set_fraction(0.75);
  ASSERT_THAT(worker.Heartbeat(progress), IsGrpcOk());
  EXPECT_EQ(ValueOf(Page(), "quantd_training_loss{job="), 0.0625);
  // As much is left as was done since the first report.
  grpc::ClientContext get_context;
  v1::GetJobRequest get;
  get.set_name(job.name());
  ASSERT_THAT(server_->jobs().GetJob(&get_context, get, &job), IsGrpcOk());
  EXPECT_GT(job.progress().eta_seconds(), 0);
  EXPECT_NEAR(ValueOf(Page(), "quantd_training_eta_seconds{job="),
              job.progress().eta_seconds(),
              1e-3 * job.progress().eta_seconds());
  ASSERT_THAT(worker.Succeed({{"config.json", "{}"}}), IsGrpcOk());
  server_->executor().EndWorker(worker.key().job(), worker.key().attempt(),
                                "exit code 0");
  EXPECT_THAT(Page(), AllOf(Not(HasSubstr("quantd_training_loss{")),
                            Not(HasSubstr("quantd_training_eta_seconds{"))));
}

TEST_F(ServerMetricsTest, ThePageNamesItsFormat) {
  EXPECT_THAT(Page(), HasSubstr("Content-Type: text/plain; version=0.0.4"));
}

TEST_F(ServerMetricsTest, CallsAreCountedByMethodAndCode) {
  grpc::ClientContext context;
  v1::GetJobRequest request;
  request.set_name("jobs/nobody");
  v1::Job job;
  EXPECT_EQ(server_->jobs().GetJob(&context, request, &job).error_code(),
            grpc::StatusCode::NOT_FOUND);
  const std::string page = Page();
  EXPECT_EQ(ValueOf(page,
                    "quantd_grpc_server_started_total{"
                    "grpc_method=\"CreateModel\","
                    "grpc_service=\"quantd.v1.ModelService\"}"),
            1);
  EXPECT_EQ(ValueOf(page,
                    "quantd_grpc_server_handled_total{grpc_code=\"OK\","
                    "grpc_method=\"CreateModel\","
                    "grpc_service=\"quantd.v1.ModelService\"}"),
            1);
  EXPECT_EQ(ValueOf(page,
                    "quantd_grpc_server_handled_total{grpc_code=\"NOT_FOUND\","
                    "grpc_method=\"GetJob\","
                    "grpc_service=\"quantd.v1.JobService\"}"),
            1);
  EXPECT_EQ(ValueOf(page,
                    "quantd_grpc_server_handling_seconds_count{"
                    "grpc_method=\"GetJob\","
                    "grpc_service=\"quantd.v1.JobService\"}"),
            1);
}

TEST_F(ServerMetricsTest, MoreJobsMakeNoMoreSeriesAndNameNothing) {
  RunJob(0);
  const std::string first = Page();
  for (size_t i = 1; i < 6; ++i) RunJob(i);
  const std::string second = Page();
  EXPECT_EQ(std::count(first.begin(), first.end(), '\n'),
            std::count(second.begin(), second.end(), '\n'));
  EXPECT_THAT(second, AllOf(Not(HasSubstr("jobs/")), Not(HasSubstr("demo"))));
}

TEST_F(ServerMetricsTest, WatchersComeAndGo) {
  grpc::ClientContext create_context;
  v1::Job job;
  ASSERT_THAT(server_->jobs().CreateJob(&create_context, RtnJob("demo"), &job),
              IsGrpcOk());
  grpc::ClientContext context;
  v1::WatchJobRequest request;
  request.set_name(job.name());
  const auto reader = server_->jobs().WatchJob(&context, request);
  v1::WatchJobResponse response;
  ASSERT_TRUE(reader->Read(&response));
  EXPECT_EQ(ValueOf(Page(), "quantd_watchers"), 1);
  context.TryCancel();
  reader->Finish();
}

}  // namespace
}  // namespace quantd::test
