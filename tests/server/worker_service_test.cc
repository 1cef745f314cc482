#include "server/worker_service.h"

#include "tests/server/scripted_worker.h"
#include "tests/testing/status_matchers.h"

namespace quantd::test {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::UnorderedElementsAre;

class WorkerServiceTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_OK_AND_ASSIGN(server_, InProcessServer::Start());
    ASSERT_THAT(RegisterDemoModel(*server_, "demo"), IsGrpcOk());
    grpc::ClientContext context;
    v1::CreateJobRequest request = RtnJob("demo");
    request.mutable_spec()->mutable_quantize()->set_output_id("demo-rtn");
    ASSERT_THAT(server_->jobs().CreateJob(&context, request, &job_),
                IsGrpcOk());
  }
  std::unique_ptr<InProcessServer> server_;
  v1::Job job_;
};

TEST_F(WorkerServiceTest, AWorkerClaimsRunsAndPublishes) {
  ScriptedWorker worker(*server_, 0);
  EXPECT_EQ(worker.key().job(), job_.name());
  ASSERT_THAT(worker.Claim(), IsGrpcOk());
  EXPECT_EQ(worker.assignment().input_directory(), DemoModelPath());
  EXPECT_EQ(worker.assignment().recipe().name(), "rtn");
  ASSERT_THAT(worker.Heartbeat(0.5), IsGrpcOk());
  ASSERT_THAT(worker.Succeed({{"config.json", "{}"}}), IsGrpcOk());
  grpc::ClientContext context;
  v1::GetArtifactRequest request;
  request.set_name("demo-rtn");
  v1::Artifact artifact;
  ASSERT_THAT(server_->artifacts().GetArtifact(&context, request, &artifact),
              IsGrpcOk());
  ASSERT_EQ(artifact.files_size(), 1);
  EXPECT_EQ(artifact.files(0).path(), "config.json");
  EXPECT_EQ(artifact.job(), job_.name());
}

TEST_F(WorkerServiceTest, AWrongSecretOrAttemptIsFencedOff) {
  ScriptedWorker worker(*server_, 0);
  ScriptedWorker impostor(*server_, 0);
  impostor.mutable_key().set_token("guess");
  EXPECT_THAT(impostor.Claim(), GrpcStatusIs(grpc::StatusCode::ABORTED,
                                             HasSubstr("STALE_ATTEMPT")));
  ScriptedWorker late(*server_, 0);
  late.mutable_key().set_attempt(7);
  const grpc::Status status = late.Heartbeat(0.1);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::ABORTED);
  EXPECT_EQ(DetailOf<google::rpc::ErrorInfo>(status).reason(), "STALE_ATTEMPT");
  EXPECT_THAT(worker.Claim(), IsGrpcOk());
}

TEST_F(WorkerServiceTest, AKeyWithoutItsPartsIsInvalid) {
  grpc::ClientContext context;
  v1::Assignment assignment;
  EXPECT_THAT(ViolatedFields(server_->workers().ClaimAttempt(
                  &context, v1::AttemptKey(), &assignment)),
              UnorderedElementsAre("job", "attempt", "token"));
}

TEST_F(WorkerServiceTest, TheLongPollIsNotServedYet) {
  grpc::ClientContext context;
  v1::Assignment assignment;
  EXPECT_EQ(server_->workers()
                .LeaseAttempt(&context, v1::LeaseAttemptRequest(), &assignment)
                .error_code(),
            grpc::StatusCode::UNIMPLEMENTED);
}

}  // namespace
}  // namespace quantd::test
