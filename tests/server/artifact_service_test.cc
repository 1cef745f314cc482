#include "server/artifact_service.h"

#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include "server/artifact_download.h"
#include "tests/server/scripted_worker.h"
#include "tests/testing/status_matchers.h"

namespace quantd::test {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class ArtifactServiceTest : public ::testing::Test {
 protected:
  void SetUp() override {
    while (weights_.size() < 3 * ArtifactDownload::kChunkBytes + 17) {
      weights_ += std::to_string(weights_.size());
    }
    InProcessServer::Setup setup;
    setup.seed = [&](MetadataStore& store, ArtifactStore& artifacts) {
      return Seed(store, artifacts);
    };
    ASSERT_OK_AND_ASSIGN(server_, InProcessServer::Start(setup));
  }

  absl::Status Seed(MetadataStore& store, ArtifactStore& artifacts) {
    v1::Artifact artifact;
    artifact.set_name("artifacts/small");
    for (const auto& [path, bytes] : std::map<std::string, std::string>{
             {"config.json", "{}"}, {"model.safetensors", weights_}}) {
      ASSIGN_OR_RETURN(const auto writer, artifacts.NewWriter());
      RETURN_IF_ERROR(writer->Append(bytes));
      v1::ArtifactFile& file = *artifact.add_files();
      file.set_path(path);
      file.set_size_bytes(bytes.size());
      ASSIGN_OR_RETURN(*file.mutable_digest(), writer->Finish(""));
    }
    MetadataBatch batch;
    batch.Put(Table::kArtifacts, "small", artifact);
    return store.Commit(batch);
  }

  grpc::Status Read(const std::string& name, const std::string& path,
                    uint64_t offset, std::string* bytes) {
    grpc::ClientContext context;
    v1::ReadArtifactFileRequest request;
    request.set_name(name);
    request.set_path(path);
    request.set_offset(offset);
    const auto reader =
        server_->artifacts().ReadArtifactFile(&context, request);
    v1::ReadArtifactFileResponse chunk;
    bytes->clear();
    while (reader->Read(&chunk)) {
      EXPECT_EQ(chunk.offset(), offset + bytes->size());
      EXPECT_LE(chunk.data().size(), ArtifactDownload::kChunkBytes);
      *bytes += chunk.data();
    }
    return reader->Finish();
  }

  std::string BlobPath() const {
    const std::string digest = Sha256Hex(weights_);
    return server_->data_directory() + "/artifacts/blobs/" +
           digest.substr(0, 2) + "/" + digest;
  }

  std::string weights_;
  std::unique_ptr<InProcessServer> server_;
};

TEST_F(ArtifactServiceTest, AFileIsReadWholeAndFromAnyOffset) {
  std::string bytes;
  for (const uint64_t offset :
       {uint64_t{0}, uint64_t{1}, uint64_t{ArtifactDownload::kChunkBytes},
        uint64_t{weights_.size() - 1}, uint64_t{weights_.size()}}) {
    ASSERT_THAT(Read("artifacts/small", "model.safetensors", offset, &bytes),
                IsGrpcOk());
    EXPECT_EQ(bytes, weights_.substr(offset)) << offset;
  }
  ASSERT_THAT(Read("small", "config.json", 0, &bytes), IsGrpcOk());
  EXPECT_EQ(bytes, "{}");
}

TEST_F(ArtifactServiceTest, WhatCannotBeReadIsNamed) {
  std::string bytes;
  EXPECT_THAT(Read("small", "model.safetensors", weights_.size() + 1, &bytes),
              GrpcStatusIs(grpc::StatusCode::OUT_OF_RANGE,
                           HasSubstr(std::to_string(weights_.size()))));
  EXPECT_THAT(Read("small", "../../metadata/LOCK", 0, &bytes),
              GrpcStatusIs(grpc::StatusCode::NOT_FOUND,
                           AllOf(HasSubstr("artifacts/small"),
                                 HasSubstr("../../metadata/LOCK"))));
  EXPECT_THAT(
      Read("other", "config.json", 0, &bytes),
      GrpcStatusIs(grpc::StatusCode::NOT_FOUND, HasSubstr("artifacts/other")));
  EXPECT_THAT(ViolatedFields(Read("small", "", 0, &bytes)),
              ElementsAre("path"));
}

TEST_F(ArtifactServiceTest, CorruptBytesAreNeverSent) {
  ASSERT_EQ(::chmod(BlobPath().c_str(), 0644), 0);
  std::fstream blob(BlobPath(), std::ios::in | std::ios::out);
  blob.seekp(static_cast<std::streamoff>(weights_.size() - 1));
  blob.put('!');
  blob.close();
  std::string bytes;
  EXPECT_THAT(Read("small", "model.safetensors", 0, &bytes),
              GrpcStatusIs(grpc::StatusCode::DATA_LOSS,
                           HasSubstr("model.safetensors")));
  EXPECT_EQ(bytes, "");
}

TEST_F(ArtifactServiceTest, ADownloadThatIsBrokenOffDoesNotHoldTheServer) {
  grpc::ClientContext context;
  v1::ReadArtifactFileRequest request;
  request.set_name("small");
  request.set_path("model.safetensors");
  const auto reader = server_->artifacts().ReadArtifactFile(&context, request);
  v1::ReadArtifactFileResponse chunk;
  ASSERT_TRUE(reader->Read(&chunk));
  context.TryCancel();
  EXPECT_FALSE(reader->Finish().ok());
  EXPECT_THAT(server_->Restart(), IsOk());
}

TEST_F(ArtifactServiceTest, ArtifactsAreShownListedAndDeleted) {
  {
    grpc::ClientContext context;
    v1::GetArtifactRequest request;
    request.set_name("artifacts/small");
    v1::Artifact artifact;
    ASSERT_THAT(server_->artifacts().GetArtifact(&context, request, &artifact),
                IsGrpcOk());
    EXPECT_EQ(artifact.files_size(), 2);
  }
  const auto list = [&] {
    grpc::ClientContext context;
    v1::ListArtifactsResponse page;
    EXPECT_THAT(server_->artifacts().ListArtifacts(
                    &context, v1::ListArtifactsRequest(), &page),
                IsGrpcOk());
    return page.artifacts_size();
  };
  EXPECT_EQ(list(), 1);
  grpc::ClientContext context;
  v1::DeleteArtifactRequest request;
  request.set_name("small");
  google::protobuf::Empty empty;
  EXPECT_THAT(server_->artifacts().DeleteArtifact(&context, request, &empty),
              IsGrpcOk());
  EXPECT_EQ(list(), 0);
  EXPECT_FALSE(std::filesystem::exists(BlobPath())) << "its bytes are free";
}

TEST_F(ArtifactServiceTest, BytesOfAnotherArtifactSurviveADeletion) {
  ASSERT_THAT(RegisterDemoModel(*server_, "demo"), IsGrpcOk());
  v1::CreateJobRequest create = RtnJob("demo");
  create.mutable_spec()->mutable_quantize()->set_output_id("twin");
  {
    grpc::ClientContext context;
    v1::Job job;
    ASSERT_THAT(server_->jobs().CreateJob(&context, create, &job), IsGrpcOk());
  }
  ScriptedWorker worker(*server_, 0);
  ASSERT_THAT(worker.Claim(), IsGrpcOk());
  ASSERT_THAT(worker.Succeed({{"weights.bin", weights_}}), IsGrpcOk());
  const auto remove = [&](const std::string& name) {
    grpc::ClientContext context;
    v1::DeleteArtifactRequest request;
    request.set_name(name);
    google::protobuf::Empty empty;
    return server_->artifacts().DeleteArtifact(&context, request, &empty);
  };
  ASSERT_THAT(remove("small"), IsGrpcOk());
  std::string bytes;
  EXPECT_THAT(Read("twin", "weights.bin", 0, &bytes), IsGrpcOk());
  EXPECT_EQ(bytes, weights_);
  ASSERT_THAT(remove("twin"), IsGrpcOk());
  EXPECT_FALSE(std::filesystem::exists(BlobPath()));
}

}  // namespace
}  // namespace quantd::test
