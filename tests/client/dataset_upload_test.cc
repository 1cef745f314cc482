#include <fstream>
#include <string>

#include "base/sha256.h"
#include "client/client.h"
#include "tests/client/fake_quantd.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_dir.h"

namespace quantd::test {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

class UploadDatasetTest : public ::testing::Test {
 protected:
  UploadDatasetTest() : client_(Options()) {
    // Longer than two chunks, with an odd tail.
    for (int i = 0; content_.size() < 600001; ++i) {
      content_ += std::to_string(i) + "\n";
    }
    std::ofstream(path_) << content_;
  }

  ClientOptions Options() {
    ClientOptions options;
    options.server = fake_.address();
    options.first_pause = absl::Milliseconds(1);
    return options;
  }

  TempDir dir_;
  const std::string path_ = dir_.File("text.txt");
  std::string content_;
  FakeQuantd fake_;
  Client client_;
};

TEST_F(UploadDatasetTest, SendsAllBytesUnderTheDigestsFirstDigits) {
  ASSERT_OK_AND_ASSIGN(const v1::Dataset dataset,
                       client_.UploadDataset(path_, ""));
  const std::string digest = Sha256Hex(content_);
  EXPECT_EQ(dataset.name(), "datasets/" + digest.substr(0, 16));
  EXPECT_EQ(dataset.digest(), digest);
  EXPECT_EQ(dataset.source(), "text.txt");
  EXPECT_EQ(fake_.dataset_bytes(digest.substr(0, 16)), content_);
}

TEST_F(UploadDatasetTest, SameBytesAgainAreNotSent) {
  ASSERT_THAT(client_.UploadDataset(path_, "t"), IsOk());
  ASSERT_OK_AND_ASSIGN(const v1::Dataset dataset,
                       client_.UploadDataset(path_, "datasets/t"));
  EXPECT_EQ(dataset.name(), "datasets/t");
  EXPECT_EQ(fake_.calls("UploadDataset"), 1);
}

TEST_F(UploadDatasetTest, OtherBytesUnderTheSameNameAreRefused) {
  ASSERT_THAT(client_.UploadDataset(path_, "t"), IsOk());
  std::ofstream(path_) << "other";
  EXPECT_THAT(client_.UploadDataset(path_, "t"),
              StatusIs(absl::StatusCode::kAlreadyExists,
                       AllOf(HasSubstr("dataset t exists"),
                             HasSubstr(Sha256Hex("other")))));
  EXPECT_EQ(fake_.dataset_bytes("t"), content_);
}

TEST_F(UploadDatasetTest, EmptyFileIsADataset) {
  std::ofstream(path_) << "";
  ASSERT_OK_AND_ASSIGN(const v1::Dataset dataset,
                       client_.UploadDataset(path_, "empty"));
  EXPECT_EQ(dataset.digest(), Sha256Hex(""));
}

TEST_F(UploadDatasetTest, BrokenUploadIsSentAgain) {
  fake_.BreakNextUpload();
  ASSERT_THAT(client_.UploadDataset(path_, "t"), IsOk());
  EXPECT_EQ(fake_.dataset_bytes("t"), content_);
  EXPECT_GE(fake_.calls("UploadDataset"), 2);
}

TEST_F(UploadDatasetTest, MissingFileIsNotFoundBeforeAnyCall) {
  EXPECT_THAT(client_.UploadDataset(dir_.File("none"), ""),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("none")));
  EXPECT_EQ(fake_.calls("GetDataset"), 0);
}

}  // namespace
}  // namespace quantd::test
