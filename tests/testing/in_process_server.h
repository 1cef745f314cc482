// A whole quantd server in the test's process: temporary data directory, any
// free port, a FakeExecutor instead of worker processes, stubs over loopback.
//
//   ASSERT_OK_AND_ASSIGN(auto server, InProcessServer::Start());
//   v1::Model model;
//   grpc::Status status = server->models().GetModel(...);
//
// Thread-compatible.
#ifndef QUANTD_TESTS_TESTING_IN_PROCESS_SERVER_H_
#define QUANTD_TESTS_TESTING_IN_PROCESS_SERVER_H_

#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "grpcpp/create_channel.h"
#include "grpcpp/security/credentials.h"
#include "quantd/v1/artifact.grpc.pb.h"
#include "quantd/v1/dataset.grpc.pb.h"
#include "quantd/v1/evaluation.grpc.pb.h"
#include "quantd/v1/job.grpc.pb.h"
#include "quantd/v1/model.grpc.pb.h"
#include "quantd/v1/recipe.grpc.pb.h"
#include "quantd/v1/worker.grpc.pb.h"
#include "server/json_log.h"
#include "server/quantd_server.h"
#include "server/server_options.h"
#include "storage/artifact_store.h"
#include "storage/metadata_store.h"
#include "tests/testing/fake_executor.h"
#include "tests/testing/temp_dir.h"

namespace quantd::test {

class InProcessServer {
 public:
  struct Setup {
    // Changes the options before the server starts.
    std::function<void(ServerOptions&)> configure;
    // Fills the stores before the server opens them.
    std::function<absl::Status(MetadataStore&, ArtifactStore&)> seed;
  };

  static absl::StatusOr<std::unique_ptr<InProcessServer>> Start(
      Setup setup = {}) {
    std::unique_ptr<InProcessServer> server(new InProcessServer);
    if (setup.configure) setup.configure(server->options_);
    if (setup.seed) RETURN_IF_ERROR(server->Seed(setup.seed));
    RETURN_IF_ERROR(server->Restart());
    return server;
  }

  // Stops the server that runs, if one does, and starts another on the same
  // data directory.
  absl::Status Restart() {
    server_.reset();
    ASSIGN_OR_RETURN(server_, QuantdServer::BuildAndStart(options_, &log_));
    Connect();
    return absl::OkStatus();
  }

  QuantdServer& server() { return *server_; }
  FakeExecutor& executor() { return *executor_; }
  const std::string& data_directory() const { return options_.data_directory; }
  const std::shared_ptr<grpc::Channel>& channel() const { return channel_; }

  v1::ArtifactService::Stub& artifacts() { return *artifacts_; }
  v1::DatasetService::Stub& datasets() { return *datasets_; }
  v1::EvaluationService::Stub& evaluations() { return *evaluations_; }
  v1::JobService::Stub& jobs() { return *jobs_; }
  v1::ModelService::Stub& models() { return *models_; }
  v1::RecipeService::Stub& recipes() { return *recipes_; }
  v1::WorkerService::Stub& workers() { return *workers_; }

 private:
  InProcessServer() {
    options_.data_directory = directory_.File("data");
    options_.listen = "127.0.0.1:0";
    options_.metrics_listen = "";
    options_.executor_factory = [this](const std::string&) {
      auto executor = std::make_unique<FakeExecutor>();
      executor_ = executor.get();
      return executor;
    };
  }

  absl::Status Seed(
      const std::function<absl::Status(MetadataStore&, ArtifactStore&)>& seed) {
    MetadataStore::Options options;
    options.directory = options_.data_directory + "/metadata";
    ASSIGN_OR_RETURN(const std::unique_ptr<MetadataStore> store,
                     MetadataStore::Open(std::move(options)));
    ASSIGN_OR_RETURN(
        const std::unique_ptr<ArtifactStore> artifacts,
        OpenFileArtifactStore(options_.data_directory + "/artifacts"));
    return seed(*store, *artifacts);
  }

  void Connect() {
    grpc::ChannelArguments arguments;
    // A fresh connection each time: a pooled one may still point at the
    // server before the restart.
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    channel_ = grpc::CreateCustomChannel(
        absl::StrCat("127.0.0.1:", server_->port()),
        grpc::InsecureChannelCredentials(), arguments);
    artifacts_ = v1::ArtifactService::NewStub(channel_);
    datasets_ = v1::DatasetService::NewStub(channel_);
    evaluations_ = v1::EvaluationService::NewStub(channel_);
    jobs_ = v1::JobService::NewStub(channel_);
    models_ = v1::ModelService::NewStub(channel_);
    recipes_ = v1::RecipeService::NewStub(channel_);
    workers_ = v1::WorkerService::NewStub(channel_);
  }

  TempDir directory_;
  JsonLog log_{LogLevel::kError};
  ServerOptions options_;
  FakeExecutor* executor_ = nullptr;  // of the server that runs
  std::unique_ptr<QuantdServer> server_;
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<v1::ArtifactService::Stub> artifacts_;
  std::unique_ptr<v1::DatasetService::Stub> datasets_;
  std::unique_ptr<v1::EvaluationService::Stub> evaluations_;
  std::unique_ptr<v1::JobService::Stub> jobs_;
  std::unique_ptr<v1::ModelService::Stub> models_;
  std::unique_ptr<v1::RecipeService::Stub> recipes_;
  std::unique_ptr<v1::WorkerService::Stub> workers_;
};

}  // namespace quantd::test

#endif  // QUANTD_TESTS_TESTING_IN_PROCESS_SERVER_H_
