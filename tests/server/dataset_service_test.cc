#include "server/dataset_service.h"

#include <algorithm>
#include <filesystem>

#include "base/sha256.h"
#include "server/dataset_upload.h"
#include "tests/server/scripted_worker.h"
#include "tests/testing/status_matchers.h"

namespace quantd::test {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class DatasetServiceTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_OK_AND_ASSIGN(server_, InProcessServer::Start());
  }

  static v1::UploadDatasetRequest HeaderOf(const std::string& id,
                                           const std::string& text) {
    v1::UploadDatasetRequest message;
    message.mutable_header()->set_dataset_id(id);
    message.mutable_header()->set_digest(Sha256Hex(text));
    message.mutable_header()->set_size_bytes(text.size());
    message.mutable_header()->set_source("test.txt");
    return message;
  }
  static v1::UploadDatasetRequest DataOf(const std::string& bytes) {
    v1::UploadDatasetRequest message;
    message.set_data(bytes);
    return message;
  }

  grpc::Status Send(const std::vector<v1::UploadDatasetRequest>& messages,
                    v1::Dataset* dataset) {
    grpc::ClientContext context;
    const auto writer = server_->datasets().UploadDataset(&context, dataset);
    for (const v1::UploadDatasetRequest& message : messages) {
      if (!writer->Write(message)) break;  // the server has answered
    }
    writer->WritesDone();
    return writer->Finish();
  }

  grpc::Status Upload(const std::string& id, const std::string& text,
                      v1::Dataset* dataset) {
    std::vector<v1::UploadDatasetRequest> messages = {HeaderOf(id, text)};
    for (size_t i = 0; i < text.size(); i += 100000) {
      messages.push_back(DataOf(text.substr(i, 100000)));
    }
    return Send(messages, dataset);
  }

  size_t IncomingFiles() const {
    const std::filesystem::directory_iterator files(server_->data_directory() +
                                                    "/artifacts/incoming");
    return static_cast<size_t>(std::distance(begin(files), end(files)));
  }

  std::unique_ptr<InProcessServer> server_;
};

TEST_F(DatasetServiceTest, ATextArrivesWhole) {
  std::string text;
  while (text.size() < 3000000) text += "All work and no play. ";
  v1::Dataset dataset;
  ASSERT_THAT(Upload("wiki", text, &dataset), IsGrpcOk());
  EXPECT_EQ(dataset.name(), "datasets/wiki");
  EXPECT_EQ(dataset.digest(), Sha256Hex(text));
  EXPECT_EQ(dataset.size_bytes(), text.size());
  EXPECT_EQ(dataset.source(), "test.txt");
  EXPECT_EQ(
      *Sha256HexOfFile(server_->data_directory() + "/artifacts/blobs/" +
                       dataset.digest().substr(0, 2) + "/" + dataset.digest()),
      dataset.digest());
  EXPECT_EQ(IncomingFiles(), 0u);
}

TEST_F(DatasetServiceTest, WithoutAnIdTheDigestNamesIt) {
  v1::Dataset dataset;
  ASSERT_THAT(Upload("", "text", &dataset), IsGrpcOk());
  EXPECT_EQ(dataset.name(), "datasets/" + Sha256Hex("text").substr(0, 16));
}

TEST_F(DatasetServiceTest, AnEmptyTextIsATextToo) {
  v1::Dataset dataset;
  ASSERT_THAT(Upload("empty", "", &dataset), IsGrpcOk());
  EXPECT_EQ(dataset.size_bytes(), 0u);
}

TEST_F(DatasetServiceTest, TheSameTextAgainIsOkAnotherOneIsNot) {
  v1::Dataset first;
  ASSERT_THAT(Upload("wiki", "text", &first), IsGrpcOk());
  v1::Dataset second;
  ASSERT_THAT(Upload("wiki", "text", &second), IsGrpcOk());
  EXPECT_EQ(second.create_time().nanos(), first.create_time().nanos());
  EXPECT_THAT(Upload("wiki", "other", &second),
              GrpcStatusIs(grpc::StatusCode::ALREADY_EXISTS,
                           AllOf(HasSubstr("datasets/wiki"),
                                 HasSubstr(Sha256Hex("text")))));
}

TEST_F(DatasetServiceTest, AWrongDigestStoresNothing) {
  v1::UploadDatasetRequest header = HeaderOf("wiki", "text");
  header.mutable_header()->set_digest(Sha256Hex("other"));
  v1::Dataset dataset;
  const grpc::Status status = Send({header, DataOf("text")}, &dataset);
  EXPECT_THAT(status, GrpcStatusIs(grpc::StatusCode::INVALID_ARGUMENT,
                                   HasSubstr(Sha256Hex("text"))));
  EXPECT_THAT(ViolatedFields(status), ElementsAre("header.digest"));
  EXPECT_EQ(IncomingFiles(), 0u);
  grpc::ClientContext context;
  v1::GetDatasetRequest get;
  get.set_name("wiki");
  EXPECT_EQ(
      server_->datasets().GetDataset(&context, get, &dataset).error_code(),
      grpc::StatusCode::NOT_FOUND);
}

TEST_F(DatasetServiceTest, ASizeThatIsNotTheAnnouncedOneIsRefused) {
  v1::Dataset dataset;
  EXPECT_THAT(
      ViolatedFields(Send({HeaderOf("wiki", "text"), DataOf("te")}, &dataset)),
      ElementsAre("header.size_bytes"));
  EXPECT_THAT(
      ViolatedFields(
          Send({HeaderOf("wiki", "text"), DataOf("text and more")}, &dataset)),
      ElementsAre("header.size_bytes"));
}

TEST_F(DatasetServiceTest, MessagesOutOfOrderAreRefused) {
  v1::Dataset dataset;
  EXPECT_THAT(ViolatedFields(Send({DataOf("text")}, &dataset)),
              ElementsAre("header"));
  EXPECT_THAT(ViolatedFields(Send({}, &dataset)), ElementsAre("header"));
  EXPECT_THAT(
      ViolatedFields(
          Send({HeaderOf("wiki", "text"), HeaderOf("wiki", "text")}, &dataset)),
      ElementsAre("header"));
  EXPECT_THAT(ViolatedFields(Send({v1::UploadDatasetRequest()}, &dataset)),
              ElementsAre("payload"));
  EXPECT_THAT(ViolatedFields(Send({HeaderOf("wiki", "text"),
                                   DataOf(std::string((1 << 20) + 1, 'x'))},
                                  &dataset)),
              ElementsAre("data"));
}

TEST_F(DatasetServiceTest, ABrokenHeaderNamesItsField) {
  v1::Dataset dataset;
  v1::UploadDatasetRequest header = HeaderOf("../etc", "text");
  EXPECT_THAT(ViolatedFields(Send({header}, &dataset)),
              ElementsAre("header.dataset_id"));
  header = HeaderOf("wiki", "text");
  header.mutable_header()->set_digest("abc");
  EXPECT_THAT(ViolatedFields(Send({header}, &dataset)),
              ElementsAre("header.digest"));
  header = HeaderOf("wiki", "text");
  header.mutable_header()->set_size_bytes(uint64_t{1} << 60);
  EXPECT_THAT(ViolatedFields(Send({header}, &dataset)),
              ElementsAre("header.size_bytes"));
}

TEST_F(DatasetServiceTest, AnUploadThatIsBrokenOffLeavesNothing) {
  {
    grpc::ClientContext context;
    v1::Dataset dataset;
    const auto writer = server_->datasets().UploadDataset(&context, &dataset);
    ASSERT_TRUE(writer->Write(HeaderOf("wiki", "text")));
    context.TryCancel();
    EXPECT_EQ(writer->Finish().error_code(), grpc::StatusCode::CANCELLED);
  }
  // The restart waits for the stream's end on the server.
  ASSERT_THAT(server_->Restart(), IsOk());
  EXPECT_EQ(IncomingFiles(), 0u);
  grpc::ClientContext context;
  v1::ListDatasetsResponse page;
  ASSERT_THAT(server_->datasets().ListDatasets(
                  &context, v1::ListDatasetsRequest(), &page),
              IsGrpcOk());
  EXPECT_EQ(page.datasets_size(), 0);
}

TEST_F(DatasetServiceTest, DatasetsAreListedAndDeleted) {
  v1::Dataset dataset;
  ASSERT_THAT(Upload("a", "text", &dataset), IsGrpcOk());
  ASSERT_THAT(Upload("b", "text", &dataset), IsGrpcOk());
  {
    grpc::ClientContext context;
    v1::DeleteDatasetRequest request;
    request.set_name("datasets/a");
    google::protobuf::Empty empty;
    ASSERT_THAT(server_->datasets().DeleteDataset(&context, request, &empty),
                IsGrpcOk());
  }
  grpc::ClientContext context;
  v1::ListDatasetsResponse page;
  ASSERT_THAT(server_->datasets().ListDatasets(
                  &context, v1::ListDatasetsRequest(), &page),
              IsGrpcOk());
  ASSERT_EQ(page.datasets_size(), 1);
  EXPECT_EQ(page.datasets(0).name(), "datasets/b");
}

TEST_F(DatasetServiceTest, ADeletionFreesTheBytesAtOnce) {
  v1::Dataset kept;
  v1::Dataset dropped;
  ASSERT_THAT(Upload("kept", "kept", &kept), IsGrpcOk());
  ASSERT_THAT(Upload("dropped", "dropped", &dropped), IsGrpcOk());
  {
    grpc::ClientContext context;
    v1::DeleteDatasetRequest request;
    request.set_name("dropped");
    google::protobuf::Empty empty;
    ASSERT_THAT(server_->datasets().DeleteDataset(&context, request, &empty),
                IsGrpcOk());
  }
  const auto exists = [&](const std::string& digest) {
    return std::filesystem::exists(server_->data_directory() +
                                   "/artifacts/blobs/" + digest.substr(0, 2) +
                                   "/" + digest);
  };
  EXPECT_TRUE(exists(kept.digest()));
  EXPECT_FALSE(exists(dropped.digest()));
}

}  // namespace
}  // namespace quantd::test
