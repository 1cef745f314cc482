#include "server/model_service.h"

#include <filesystem>

#include "tests/server/scripted_worker.h"
#include "tests/testing/status_matchers.h"

namespace quantd::test {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::UnorderedElementsAre;

class ModelServiceTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_OK_AND_ASSIGN(server_, InProcessServer::Start());
  }

  grpc::Status Create(const v1::CreateModelRequest& request, v1::Model* model) {
    grpc::ClientContext context;
    return server_->models().CreateModel(&context, request, model);
  }
  grpc::Status Get(const std::string& name, v1::Model* model) {
    grpc::ClientContext context;
    v1::GetModelRequest request;
    request.set_name(name);
    return server_->models().GetModel(&context, request, model);
  }
  grpc::Status Delete(const std::string& name) {
    grpc::ClientContext context;
    v1::DeleteModelRequest request;
    request.set_name(name);
    google::protobuf::Empty response;
    return server_->models().DeleteModel(&context, request, &response);
  }
  grpc::Status List(int page_size, const std::string& token,
                    v1::ListModelsResponse* page) {
    grpc::ClientContext context;
    v1::ListModelsRequest request;
    request.set_page_size(page_size);
    request.set_page_token(token);
    return server_->models().ListModels(&context, request, page);
  }

  std::unique_ptr<InProcessServer> server_;
};

v1::CreateModelRequest DemoRequest() {
  v1::CreateModelRequest request;
  request.set_model_id("demo");
  request.set_path(DemoModelPath());
  (*request.mutable_labels())["team"] = "a";
  return request;
}

TEST_F(ModelServiceTest, ARegisteredModelIsFoundByNameAndById) {
  v1::Model created;
  ASSERT_THAT(Create(DemoRequest(), &created), IsGrpcOk());
  EXPECT_EQ(created.name(), "models/demo");
  EXPECT_EQ(created.architecture(), "llama");
  EXPECT_EQ(created.labels().at("team"), "a");
  EXPECT_GT(created.create_time().seconds(), 0);
  for (const char* name : {"models/demo", "demo"}) {
    v1::Model read;
    ASSERT_THAT(Get(name, &read), IsGrpcOk());
    EXPECT_EQ(read.digest(), created.digest());
  }
}

TEST_F(ModelServiceTest, TheSamePathAgainRefreshesTheRecord) {
  v1::Model first;
  ASSERT_THAT(Create(DemoRequest(), &first), IsGrpcOk());
  v1::CreateModelRequest again = DemoRequest();
  again.set_path(DemoModelPath() + "/");
  (*again.mutable_labels())["team"] = "b";
  v1::Model second;
  ASSERT_THAT(Create(again, &second), IsGrpcOk());
  EXPECT_EQ(second.labels().at("team"), "b");
  EXPECT_EQ(second.create_time().nanos(), first.create_time().nanos());
}

TEST_F(ModelServiceTest, AnotherPathUnderATakenIdAlreadyExists) {
  v1::Model model;
  ASSERT_THAT(Create(DemoRequest(), &model), IsGrpcOk());
  TempDir directory;
  std::filesystem::copy(DemoModelPath(), directory.File("copy"));
  v1::CreateModelRequest other = DemoRequest();
  other.set_path(directory.File("copy"));
  EXPECT_THAT(Create(other, &model),
              GrpcStatusIs(grpc::StatusCode::ALREADY_EXISTS,
                           HasSubstr(DemoModelPath())));
}

TEST_F(ModelServiceTest, AllBrokenFieldsAreNamedAtOnce) {
  v1::CreateModelRequest request;
  request.set_model_id("no spaces, please");
  request.set_request_id(std::string(200, 'r'));
  v1::Model model;
  const grpc::Status status = Create(request, &model);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(ViolatedFields(status),
              UnorderedElementsAre("model_id", "path", "request_id"));
  const auto info = DetailOf<google::rpc::ErrorInfo>(status);
  EXPECT_EQ(info.domain(), "quantd");
  EXPECT_EQ(info.reason(), "INVALID_ARGUMENT");
}

TEST_F(ModelServiceTest, AMissingDirectoryIsAFaultOfThePath) {
  v1::CreateModelRequest request = DemoRequest();
  request.set_path("/no/such/model");
  v1::Model model;
  const grpc::Status status = Create(request, &model);
  EXPECT_THAT(status, GrpcStatusIs(grpc::StatusCode::INVALID_ARGUMENT,
                                   HasSubstr("/no/such/model")));
  EXPECT_THAT(ViolatedFields(status), ElementsAre("path"));
}

TEST_F(ModelServiceTest, UnknownAndMisspeltNamesAreToldApart) {
  v1::Model model;
  EXPECT_THAT(
      Get("models/nobody", &model),
      GrpcStatusIs(grpc::StatusCode::NOT_FOUND, HasSubstr("models/nobody")));
  EXPECT_THAT(
      Get("datasets/demo", &model),
      GrpcStatusIs(grpc::StatusCode::INVALID_ARGUMENT, HasSubstr("name")));
  EXPECT_THAT(Get("", &model), GrpcStatusIs(grpc::StatusCode::INVALID_ARGUMENT,
                                            HasSubstr("name")));
  EXPECT_THAT(Delete("nobody"), GrpcStatusIs(grpc::StatusCode::NOT_FOUND,
                                             HasSubstr("models/nobody")));
}

TEST_F(ModelServiceTest, AModelThatAJobReadsIsNotDeleted) {
  ASSERT_THAT(RegisterDemoModel(*server_, "demo"), IsGrpcOk());
  grpc::ClientContext create_context;
  v1::Job job;
  ASSERT_THAT(server_->jobs().CreateJob(&create_context, RtnJob("demo"), &job),
              IsGrpcOk());
  EXPECT_THAT(
      Delete("demo"),
      GrpcStatusIs(grpc::StatusCode::FAILED_PRECONDITION,
                   AllOf(HasSubstr("models/demo"), HasSubstr(job.name()))));
  ScriptedWorker worker(*server_, 0);
  ASSERT_THAT(worker.Claim(), IsGrpcOk());
  ASSERT_THAT(worker.Fail(3, "enough"), IsGrpcOk());
  EXPECT_THAT(Delete("demo"), IsGrpcOk());
  v1::Model model;
  EXPECT_EQ(Get("demo", &model).error_code(), grpc::StatusCode::NOT_FOUND);
}

TEST_F(ModelServiceTest, PagesShowEveryModelOnceAlsoWhileOthersComeAndGo) {
  for (const char* id : {"a", "b", "c", "d", "e"}) {
    ASSERT_THAT(RegisterDemoModel(*server_, id), IsGrpcOk());
  }
  std::vector<std::string> seen;
  std::string token;
  do {
    v1::ListModelsResponse page;
    ASSERT_THAT(List(2, token, &page), IsGrpcOk());
    EXPECT_LE(page.models_size(), 2);
    for (const v1::Model& model : page.models()) seen.push_back(model.name());
    token = page.next_page_token();
    if (seen.size() == 2) {
      // The key the token points at goes, another appears before it.
      ASSERT_THAT(Delete("b"), IsGrpcOk());
      ASSERT_THAT(RegisterDemoModel(*server_, "aa"), IsGrpcOk());
    }
  } while (!token.empty());
  EXPECT_THAT(seen, ElementsAre("models/a", "models/b", "models/c", "models/d",
                                "models/e"));
}

TEST_F(ModelServiceTest, TamperedTokensAndNegativeSizesAreRefused) {
  for (const char* id : {"a", "b"}) {
    ASSERT_THAT(RegisterDemoModel(*server_, id), IsGrpcOk());
  }
  v1::ListModelsResponse page;
  ASSERT_THAT(List(1, "", &page), IsGrpcOk());
  std::string token = page.next_page_token();
  ASSERT_FALSE(token.empty());
  token[3] = token[3] == 'x' ? 'y' : 'x';
  const grpc::Status tampered = List(1, token, &page);
  EXPECT_EQ(tampered.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(ViolatedFields(tampered), ElementsAre("page_token"));
  EXPECT_THAT(ViolatedFields(List(-1, "", &page)), ElementsAre("page_size"));
  EXPECT_THAT(List(5000, "", &page), IsGrpcOk());
}

TEST_F(ModelServiceTest, ModelsSurviveARestart) {
  ASSERT_THAT(RegisterDemoModel(*server_, "demo"), IsGrpcOk());
  ASSERT_THAT(server_->Restart(), IsOk());
  v1::Model model;
  EXPECT_THAT(Get("demo", &model), IsGrpcOk());
}

TEST_F(ModelServiceTest, WhatIsNotServedYetIsUnimplemented) {
  grpc::ClientContext context;
  v1::Model model;
  const auto writer = server_->models().UploadModel(&context, &model);
  writer->WritesDone();
  EXPECT_EQ(writer->Finish().error_code(), grpc::StatusCode::UNIMPLEMENTED);
}

TEST(ModelRootTest, ModelsOutsideTheRootAreRefused) {
  TempDir root;
  InProcessServer::Setup setup;
  setup.configure = [&](ServerOptions& options) {
    options.model_roots = {root.path()};
  };
  ASSERT_OK_AND_ASSIGN(const auto server, InProcessServer::Start(setup));
  EXPECT_THAT(RegisterDemoModel(*server, "demo"),
              GrpcStatusIs(grpc::StatusCode::PERMISSION_DENIED,
                           HasSubstr(root.path())));
}

}  // namespace
}  // namespace quantd::test
