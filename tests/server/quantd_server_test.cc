#include "server/quantd_server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <thread>

#include "absl/strings/str_cat.h"
#include "grpcpp/generic/generic_stub.h"
#include "tests/server/http_fetch.h"
#include "tests/server/scripted_worker.h"
#include "tests/testing/status_matchers.h"

namespace quantd::test {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

// Calls a method by its name with the request's bytes, because Debian ships no
// generated code for the health and reflection services.
grpc::Status CallByName(const std::shared_ptr<grpc::Channel>& channel,
                        const std::string& method, const std::string& request,
                        std::string* response) {
  grpc::GenericStub stub(channel);
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() +
                       std::chrono::seconds(20));
  grpc::CompletionQueue queue;
  const grpc::Slice slice(request);
  const grpc::ByteBuffer request_buffer(&slice, 1);
  grpc::ByteBuffer response_buffer;
  grpc::Status status;
  const auto call =
      stub.PrepareUnaryCall(&context, method, request_buffer, &queue);
  call->StartCall();
  call->Finish(&response_buffer, &status, nullptr);
  void* tag = nullptr;
  bool ok = false;
  queue.Next(&tag, &ok);
  if (status.ok()) {
    grpc::Slice whole;
    EXPECT_TRUE(response_buffer.DumpToSingleSlice(&whole).ok());
    response->assign(reinterpret_cast<const char*>(whole.begin()),
                     whole.size());
  }
  return status;
}

// grpc.health.v1.HealthCheckRequest{service}; the answer is its status number:
// 1 SERVING, 2 NOT_SERVING, or minus the code of a failed call.
int HealthOf(const std::shared_ptr<grpc::Channel>& channel,
             const std::string& service) {
  std::string request;
  if (!service.empty()) {
    request = absl::StrCat(std::string(1, '\x0a'),
                           std::string(1, static_cast<char>(service.size())),
                           service);
  }
  std::string response;
  const grpc::Status status =
      CallByName(channel, "/grpc.health.v1.Health/Check", request, &response);
  if (!status.ok()) return -static_cast<int>(status.error_code());
  return response.size() == 2 && response[0] == '\x08' ? response[1] : 0;
}

absl::StatusOr<std::unique_ptr<InProcessServer>> StartWith(
    std::function<void(ServerOptions&)> configure) {
  InProcessServer::Setup setup;
  setup.configure = std::move(configure);
  return InProcessServer::Start(setup);
}

TEST(QuantdServerTest, AReadyServerIsServingByEveryName) {
  ASSERT_OK_AND_ASSIGN(const auto server, InProcessServer::Start());
  EXPECT_GT(server->server().port(), 0);
  EXPECT_EQ(server->server().metrics_port(), 0);
  EXPECT_THAT(server->server().health(), IsOk());
  EXPECT_EQ(HealthOf(server->channel(), ""), 1);
  for (const char* service :
       {"ArtifactService", "DatasetService", "EvaluationService", "JobService",
        "ModelService", "RecipeService", "WorkerService"}) {
    EXPECT_EQ(HealthOf(server->channel(), absl::StrCat("quantd.v1.", service)),
              1)
        << service;
  }
  EXPECT_EQ(HealthOf(server->channel(), "quantd.v1.NoService"),
            -static_cast<int>(grpc::StatusCode::NOT_FOUND));
}

TEST(QuantdServerTest, ReflectionIsServed) {
  ASSERT_OK_AND_ASSIGN(const auto server, InProcessServer::Start());
  // ServerReflectionRequest{list_services: "*"}.
  std::string response;
  ASSERT_THAT(
      CallByName(
          server->channel(),
          "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
          "\x3a\x01*", &response),
      IsGrpcOk());
  EXPECT_THAT(response, AllOf(HasSubstr("quantd.v1.JobService"),
                              HasSubstr("grpc.health.v1.Health")));
}

TEST(QuantdServerTest, AnUnknownMethodIsUnimplemented) {
  ASSERT_OK_AND_ASSIGN(const auto server, InProcessServer::Start());
  std::string response;
  EXPECT_EQ(CallByName(server->channel(), "/quantd.v1.JobService/Nothing", "",
                       &response)
                .error_code(),
            grpc::StatusCode::UNIMPLEMENTED);
}

TEST(QuantdServerTest, AMessageOverTheLimitIsRefused) {
  ASSERT_OK_AND_ASSIGN(const auto server, InProcessServer::Start());
  grpc::ClientContext context;
  v1::GetModelRequest request;
  request.set_name(std::string(5 << 20, 'x'));
  v1::Model model;
  EXPECT_EQ(server->models().GetModel(&context, request, &model).error_code(),
            grpc::StatusCode::RESOURCE_EXHAUSTED);
}

TEST(QuantdServerTest, ATakenPortIsNamedAndNotShared) {
  ASSERT_OK_AND_ASSIGN(const auto first, InProcessServer::Start());
  const std::string address =
      absl::StrCat("127.0.0.1:", first->server().port());
  EXPECT_THAT(StartWith([&](ServerOptions& options) {
                options.listen = address;
              }).status(),
              StatusIs(absl::StatusCode::kUnavailable,
                       AllOf(HasSubstr(address), HasSubstr("in use"))));
}

TEST(QuantdServerTest, ATakenMetricsPortIsNamed) {
  ASSERT_OK_AND_ASSIGN(const auto first, InProcessServer::Start());
  const std::string address =
      absl::StrCat("127.0.0.1:", first->server().port());
  EXPECT_THAT(StartWith([&](ServerOptions& options) {
                options.metrics_listen = address;
              }).status(),
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr(address)));
}

TEST(QuantdServerTest, ADirectoryOfAnotherServerIsRefusedByName) {
  ASSERT_OK_AND_ASSIGN(const auto first, InProcessServer::Start());
  EXPECT_THAT(StartWith([&](ServerOptions& options) {
                options.data_directory = first->data_directory();
              }).status(),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       AllOf(HasSubstr(first->data_directory()),
                             HasSubstr("another quantd"))));
}

TEST(QuantdServerTest, AFileCannotBeTheDataDirectory) {
  TempDir directory;
  std::ofstream(directory.File("file")) << "x";
  const absl::Status status = StartWith([&](ServerOptions& options) {
                                options.data_directory = directory.File("file");
                              }).status();
  EXPECT_FALSE(status.ok());
  EXPECT_THAT(std::string(status.message()), HasSubstr(directory.File("file")));
}

TEST(QuantdServerTest, ADiskThatCannotBeWrittenIsNamed) {
  TempDir mount_point;
  if (::mount("quantd-test", mount_point.path().c_str(), "tmpfs", MS_RDONLY,
              "size=1m") != 0) {
    GTEST_SKIP() << "mounting a tmpfs is not permitted here";
  }
  EXPECT_THAT(StartWith([&](ServerOptions& options) {
                options.data_directory = mount_point.File("data");
              }).status(),
              StatusIs(absl::StatusCode::kPermissionDenied,
                       HasSubstr(mount_point.path())));
  ::umount2(mount_point.path().c_str(), MNT_DETACH);
}

TEST(QuantdServerTest, OtherMachinesAreNotServedUnlessItIsSaid) {
  const auto everywhere = [](ServerOptions& options) {
    options.listen = "0.0.0.0:0";
  };
  EXPECT_THAT(StartWith(everywhere).status(),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("--insecure-listen")));
  EXPECT_THAT(StartWith([&](ServerOptions& options) {
                everywhere(options);
                options.insecure_listen = true;
              }).status(),
              IsOk());
  EXPECT_THAT(StartWith([](ServerOptions& options) {
                options.metrics_listen = "0.0.0.0:0";
              }).status(),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("--insecure-listen")));
}

TEST(QuantdServerTest, AMalformedAddressIsNamed) {
  EXPECT_THAT(
      StartWith([](ServerOptions& options) {
        options.listen = "everywhere";
      }).status(),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("everywhere")));
}

TEST(QuantdServerTest, AFullDiskTurnsHealthAndKeepsReadsGoing) {
  TempDir mount_point;
  if (::mount("quantd-test", mount_point.path().c_str(), "tmpfs", 0,
              "size=8m") != 0) {
    GTEST_SKIP() << "mounting a tmpfs is not permitted here";
  }
  {
    ASSERT_OK_AND_ASSIGN(const auto server,
                         StartWith([&](ServerOptions& options) {
                           options.data_directory = mount_point.File("data");
                         }));
    ASSERT_THAT(RegisterDemoModel(*server, "before"), IsGrpcOk());
    {
      std::ofstream ballast(mount_point.File("ballast"), std::ios::binary);
      const std::string block(4096, 'b');
      while (ballast.write(block.data(),
                           static_cast<std::streamsize>(block.size()))) {
        ballast.flush();
      }
    }
    grpc::Status status;
    for (int i = 0; i < 200 && status.ok(); ++i) {
      status = RegisterDemoModel(*server, absl::StrCat("after-", i));
    }
    EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAVAILABLE);
    EXPECT_EQ(HealthOf(server->channel(), ""), 2);
    EXPECT_EQ(HealthOf(server->channel(), "quantd.v1.JobService"), 2);
    EXPECT_THAT(server->server().health(), Not(IsOk()));
    grpc::ClientContext context;
    v1::GetModelRequest request;
    request.set_name("before");
    v1::Model model;
    EXPECT_THAT(server->models().GetModel(&context, request, &model),
                IsGrpcOk());
    std::filesystem::remove(mount_point.File("ballast"));
    ASSERT_THAT(server->Restart(), IsOk());
    EXPECT_EQ(HealthOf(server->channel(), ""), 1);
    EXPECT_THAT(RegisterDemoModel(*server, "again"), IsGrpcOk());
  }
  ::umount2(mount_point.path().c_str(), MNT_DETACH);
}

TEST(QuantdServerTest, AnOldConnectionIsClosed) {
  ASSERT_OK_AND_ASSIGN(const auto server, StartWith([](ServerOptions& options) {
                         options.max_connection_age = absl::Milliseconds(100);
                         options.max_connection_age_grace =
                             absl::Milliseconds(100);
                       }));
  // The preface of HTTP/2 with an empty SETTINGS frame, and then silence.
  const std::string preface = std::string("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n") +
                              std::string("\0\0\0\4\0\0\0\0\0", 9);
  EXPECT_NE(Exchange(server->server().port(), preface), "");
}

TEST(QuantdServerTest, ACallThatWaitedTooLongIsNotBegun) {
  ASSERT_OK_AND_ASSIGN(const auto server, StartWith([](ServerOptions& options) {
                         // So that no wait is short enough.
                         options.max_call_wait = -absl::Seconds(1);
                       }));
  EXPECT_THAT(RegisterDemoModel(*server, "demo"),
              GrpcStatusIs(grpc::StatusCode::DEADLINE_EXCEEDED,
                           HasSubstr("not begun")));
}

TEST(QuantdServerTest, DrainingTellsHealthRefusesJobsAndRequeues) {
  ASSERT_OK_AND_ASSIGN(const auto server, StartWith([](ServerOptions& options) {
                         options.metrics_listen = "127.0.0.1:0";
                       }));
  const int pages = server->server().metrics_port();
  EXPECT_THAT(Fetch(pages, "/livez"), HasSubstr(" 200 OK\r\n"));
  EXPECT_THAT(Fetch(pages, "/readyz"), HasSubstr(" 200 OK\r\n"));
  ASSERT_THAT(RegisterDemoModel(*server, "demo"), IsGrpcOk());
  v1::Job job;
  {
    grpc::ClientContext context;
    ASSERT_THAT(server->jobs().CreateJob(&context, RtnJob("demo"), &job),
                IsGrpcOk());
  }
  ScriptedWorker worker(*server, 0);
  ASSERT_THAT(worker.Claim(), IsGrpcOk());
  std::thread shutdown([&] { server->server().Shutdown(absl::Seconds(30)); });
  // The manager tells the worker to stop; meanwhile the server still talks.
  ASSERT_EQ(server->executor().WaitForStop(0).job, job.name());
  EXPECT_EQ(HealthOf(server->channel(), ""), 2);
  EXPECT_THAT(Fetch(pages, "/livez"), HasSubstr(" 200 OK\r\n"));
  EXPECT_THAT(Fetch(pages, "/readyz"),
              AllOf(HasSubstr(" 503 "), HasSubstr("shutting down")));
  {
    grpc::ClientContext context;
    v1::Job refused;
    EXPECT_EQ(server->jobs()
                  .CreateJob(&context, RtnJob("demo"), &refused)
                  .error_code(),
              grpc::StatusCode::UNAVAILABLE);
  }
  server->executor().EndWorker(job.name(), 1, "killed by signal 15");
  shutdown.join();
  ASSERT_THAT(server->Restart(), IsOk());
  grpc::ClientContext context;
  v1::GetJobRequest request;
  request.set_name(job.name());
  v1::Job read;
  ASSERT_THAT(server->jobs().GetJob(&context, request, &read), IsGrpcOk());
  EXPECT_TRUE(read.state() == v1::QUEUED || read.state() == v1::RUNNING)
      << read.ShortDebugString();
  // Attempt 2 starts on the new server and the job can still succeed.
  ScriptedWorker second(*server, 0);
  EXPECT_EQ(second.key().attempt(), 2u);
  ASSERT_THAT(second.Claim(), IsGrpcOk());
  EXPECT_THAT(second.Succeed({{"config.json", "{}"}}), IsGrpcOk());
}

TEST(QuantdServerTest, ARestartedServerKeepsWhatWasAcknowledged) {
  ASSERT_OK_AND_ASSIGN(const auto server, InProcessServer::Start());
  ASSERT_THAT(RegisterDemoModel(*server, "demo"), IsGrpcOk());
  std::vector<std::string> names;
  for (int i = 0; i < 5; ++i) {
    grpc::ClientContext context;
    v1::Job job;
    ASSERT_THAT(server->jobs().CreateJob(&context, RtnJob("demo"), &job),
                IsGrpcOk());
    names.push_back(job.name());
  }
  ASSERT_THAT(server->Restart(), IsOk());
  for (const std::string& name : names) {
    grpc::ClientContext context;
    v1::GetJobRequest request;
    request.set_name(name);
    v1::Job job;
    EXPECT_THAT(server->jobs().GetJob(&context, request, &job), IsGrpcOk());
  }
}

}  // namespace
}  // namespace quantd::test
