#include "client/client.h"

#include <set>
#include <string>
#include <thread>

#include "client/uuid.h"
#include "proto/field_rules.h"
#include "tests/client/fake_quantd.h"
#include "tests/testing/status_matchers.h"

namespace quantd::test {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

ClientOptions OptionsFor(const FakeQuantd& fake) {
  ClientOptions options;
  options.server = fake.address();
  options.first_pause = absl::Milliseconds(1);
  return options;
}

v1::JobSpec RtnSpec() {
  v1::JobSpec spec;
  spec.mutable_quantize()->set_model("m");
  spec.mutable_quantize()->set_method("rtn");
  spec.mutable_quantize()->set_output_id("out");
  return spec;
}

v1::CreateModelRequest ModelRequest(const std::string& id) {
  v1::CreateModelRequest request;
  request.set_model_id(id);
  request.set_path("/models/" + id);
  return request;
}

TEST(ResourceNameTest, AddsTheCollectionOnce) {
  EXPECT_EQ(ResourceName("models", "m"), "models/m");
  EXPECT_EQ(ResourceName("models", "models/m"), "models/m");
  EXPECT_EQ(BareId("models/m"), "m");
  EXPECT_EQ(BareId("m"), "m");
}

TEST(RandomUuidTest, IsVersionFourAndUnique) {
  std::set<std::string> seen;
  for (int i = 0; i < 1000; ++i) {
    const std::string uuid = RandomUuid();
    ASSERT_EQ(uuid.size(), 36u);
    EXPECT_EQ(uuid[8], '-');
    EXPECT_EQ(uuid[14], '4');
    EXPECT_NE(std::string("89ab").find(uuid[19]), std::string::npos);
    EXPECT_TRUE(seen.insert(uuid).second);
  }
}

TEST(ClientTest, WhatIsNoTextIsRefusedBeforeItIsSent) {
  FakeQuantd fake;
  Client client(OptionsFor(fake));
  EXPECT_THAT(client.GetModel("\xFF"),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("name: \"models/\\xff\" is not valid")));
  EXPECT_EQ(fake.calls("GetModel"), 0);
}

TEST(ClientTest, ListsAllPages) {
  FakeQuantd fake;
  Client client(OptionsFor(fake));
  for (const char* id : {"a", "b", "c", "d", "e"}) {
    ASSERT_THAT(client.CreateModel(ModelRequest(id)), IsOk());
  }
  ASSERT_OK_AND_ASSIGN(const auto models, client.ListModels());
  ASSERT_EQ(models.size(), 5u);
  EXPECT_EQ(models[4].name(), "models/e");
  EXPECT_EQ(fake.calls("ListModels"), 3);  // pages of two
}

TEST(ClientTest, ListStopsAtItsLimit) {
  FakeQuantd fake;
  Client client(OptionsFor(fake));
  for (int i = 0; i < 5; ++i) {
    ASSERT_THAT(client.CreateJob(RtnSpec(), {}), IsOk());
  }
  ListJobsOptions options;
  options.limit = 3;
  ASSERT_OK_AND_ASSIGN(const auto jobs, client.ListJobs(options));
  ASSERT_EQ(jobs.size(), 3u);
  EXPECT_EQ(jobs[0].name(), "jobs/5");
}

TEST(ClientTest, RetriesWhileUnavailableAndThenSucceeds) {
  FakeQuantd fake;
  Client client(OptionsFor(fake));
  fake.FailNext(2, grpc::Status(grpc::StatusCode::UNAVAILABLE, "draining"));
  EXPECT_THAT(client.CreateModel(ModelRequest("a")), IsOk());
  EXPECT_EQ(fake.calls("CreateModel"), 3);
}

TEST(ClientTest, GivesUpAfterFourAttemptsAndNamesTheServer) {
  FakeQuantd fake;
  Client client(OptionsFor(fake));
  fake.FailNext(100, grpc::Status(grpc::StatusCode::UNAVAILABLE, "draining"));
  EXPECT_THAT(client.GetModel("a"), StatusIs(absl::StatusCode::kUnavailable,
                                             AllOf(HasSubstr(fake.address()),
                                                   HasSubstr("draining"))));
  EXPECT_EQ(fake.calls("GetModel"), 4);
}

TEST(ClientTest, DoesNotRetryDeletionsNorOtherErrors) {
  FakeQuantd fake;
  Client client(OptionsFor(fake));
  fake.FailNext(1, grpc::Status(grpc::StatusCode::UNAVAILABLE, "draining"));
  EXPECT_THAT(client.DeleteModel("a"),
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr("draining")));
  EXPECT_EQ(fake.calls("DeleteModel"), 1);
  fake.FailNext(1, grpc::Status(grpc::StatusCode::INTERNAL, "bug"));
  EXPECT_THAT(client.GetModel("a"),
              StatusIs(absl::StatusCode::kInternal, "bug"));
  EXPECT_EQ(fake.calls("GetModel"), 1);
}

TEST(ClientTest, UnreachableServerIsUnavailable) {
  ClientOptions options;
  options.server = "127.0.0.1:1";
  Client client(options);
  EXPECT_THAT(client.ListModels(), StatusIs(absl::StatusCode::kUnavailable,
                                            HasSubstr("127.0.0.1:1")));
}

TEST(ClientTest, DecodesFieldViolationsFromTheTrailer) {
  FakeQuantd fake;
  Client client(OptionsFor(fake));
  v1::CreateModelRequest request;
  request.set_model_id("not/valid");
  const auto model = client.CreateModel(request);
  EXPECT_THAT(model,
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("path")));
  const auto violations = ViolationsOf(model.status());
  ASSERT_EQ(violations.size(), 2u);
  EXPECT_EQ(violations[0].field, "model_id");
  EXPECT_EQ(violations[1].field, "path");
  EXPECT_EQ(violations[1].description, "must be set");
}

TEST(ClientTest, EveryCreationCarriesItsOwnRequestId) {
  FakeQuantd fake;
  Client client(OptionsFor(fake));
  ASSERT_OK_AND_ASSIGN(const v1::Job first, client.CreateJob(RtnSpec(), {}));
  ASSERT_OK_AND_ASSIGN(const v1::Job second, client.CreateJob(RtnSpec(), {}));
  EXPECT_NE(first.name(), second.name());
  const auto requests = fake.created_jobs();
  EXPECT_EQ(requests[0].request_id().size(), 36u);
  EXPECT_NE(requests[0].request_id(), requests[1].request_id());
}

TEST(ClientTest, RepeatedRequestIdReturnsTheFirstJob) {
  FakeQuantd fake;
  Client client(OptionsFor(fake));
  CreateJobOptions options;
  options.request_id = "once";
  ASSERT_OK_AND_ASSIGN(const v1::Job first,
                       client.CreateJob(RtnSpec(), options));
  ASSERT_OK_AND_ASSIGN(const v1::Job second,
                       client.CreateJob(RtnSpec(), options));
  EXPECT_EQ(first.name(), second.name());
}

TEST(ClientTest, RetriedCreationSendsTheSameRequestId) {
  FakeQuantd fake;
  Client client(OptionsFor(fake));
  fake.FailNext(2, grpc::Status(grpc::StatusCode::UNAVAILABLE, "draining"));
  ASSERT_THAT(client.CreateJob(RtnSpec(), {}), IsOk());
  EXPECT_EQ(fake.calls("CreateJob"), 3);
  ASSERT_OK_AND_ASSIGN(const auto jobs, client.ListJobs({}));
  EXPECT_EQ(jobs.size(), 1u);
}

TEST(ClientTest, CancelEndsCallsInProgressAndLaterOnes) {
  FakeQuantd fake;
  Client client(OptionsFor(fake));
  JobScript script;
  script.endless = true;
  fake.SetScript(script);
  ASSERT_OK_AND_ASSIGN(const v1::Job job, client.CreateJob(RtnSpec(), {}));
  fake.OnWatching([&client] { client.Cancel(); });
  EXPECT_THAT(client.WatchJob(job.name(), {}),
              StatusIs(absl::StatusCode::kCancelled, HasSubstr("")));
  EXPECT_THAT(client.ListModels(),
              StatusIs(absl::StatusCode::kCancelled, HasSubstr("")));
  EXPECT_FALSE(client.Pause(absl::Hours(1)));
}

TEST(ClientTest, MayBeUsedFromManyThreads) {
  FakeQuantd fake;
  Client client(OptionsFor(fake));
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&client, i] {
      for (int k = 0; k < 5; ++k) {
        EXPECT_THAT(client.CreateModel(ModelRequest(std::string(1, 'a' + i))),
                    IsOk());
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(client.ListModels()->size(), 8u);
}

TEST(ClientTest, EvaluationsComeNewestFirst) {
  FakeQuantd fake;
  Client client(OptionsFor(fake));
  for (int i = 0; i < 5; ++i) {
    v1::Evaluation evaluation;
    evaluation.set_name("evaluations/" + std::to_string(i));
    evaluation.set_target("models/m");
    evaluation.mutable_create_time()->set_seconds(1000 + (i * 7) % 5);
    fake.AddEvaluation(evaluation);
  }
  ASSERT_OK_AND_ASSIGN(const auto evaluations,
                       client.ListEvaluations("models/m"));
  ASSERT_EQ(evaluations.size(), 5u);
  for (size_t i = 1; i < evaluations.size(); ++i) {
    EXPECT_GT(evaluations[i - 1].create_time().seconds(),
              evaluations[i].create_time().seconds());
  }
}

}  // namespace
}  // namespace quantd::test
