#include <filesystem>
#include <fstream>
#include <map>
#include <string>

#include "base/file.h"
#include "base/sha256.h"
#include "client/client.h"
#include "tests/client/fake_quantd.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_dir.h"

namespace quantd::test {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class DownloadArtifactTest : public ::testing::Test {
 protected:
  DownloadArtifactTest() : client_(Options()) {
    for (int i = 0; files_["model.safetensors"].size() < 5500; ++i) {
      files_["model.safetensors"] += std::to_string(i);
    }
    files_["sub/config.json"] = "{}";
    files_["empty"] = "";
    fake_.AddArtifact("a", "models/m", files_);
  }

  ClientOptions Options() {
    ClientOptions options;
    options.server = fake_.address();
    options.first_pause = absl::Milliseconds(1);
    options.give_up_after = absl::Milliseconds(50);
    return options;
  }

  // Exactly the artifact's files, nothing else.
  void ExpectComplete() {
    size_t count = 0;
    for (const auto& entry :
         std::filesystem::recursive_directory_iterator(target_)) {
      if (entry.is_regular_file()) ++count;
    }
    EXPECT_EQ(count, files_.size());
    for (const auto& [path, bytes] : files_) {
      const auto content = ReadFile(target_ + "/" + path);
      ASSERT_THAT(content, IsOk());
      EXPECT_EQ(*content, bytes) << path;
    }
  }

  TempDir dir_;
  const std::string target_ = dir_.File("out/deep");
  std::map<std::string, std::string> files_;
  FakeQuantd fake_;
  Client client_;
};

TEST_F(DownloadArtifactTest, WritesAllFilesAndReportsProgress) {
  uint64_t last = 0, total = 0;
  const auto on_progress = [&](uint64_t done, uint64_t all) {
    EXPECT_GE(done, last);
    last = done;
    total = all;
  };
  ASSERT_THAT(client_.DownloadArtifact("a", target_, on_progress), IsOk());
  ExpectComplete();
  EXPECT_EQ(last, total);
  EXPECT_EQ(total, files_["model.safetensors"].size() + 2);
}

TEST_F(DownloadArtifactTest, BrokenStreamsContinueWhereTheyStopped) {
  fake_.BreakDownloadsAfter(2000);
  ASSERT_THAT(client_.DownloadArtifact("artifacts/a", target_, nullptr),
              IsOk());
  ExpectComplete();
  EXPECT_THAT(fake_.download_offsets(), ElementsAre(0, 0, 2000, 4000, 0));
}

TEST_F(DownloadArtifactTest, LaterCallContinuesAnInterruptedOne) {
  const std::string& bytes = files_["model.safetensors"];
  ASSERT_THAT(CreateDirectories(target_), IsOk());
  std::ofstream(target_ + "/model.safetensors." +
                Sha256Hex(bytes).substr(0, 16) + ".partial")
      << bytes.substr(0, 1500);
  ASSERT_THAT(client_.DownloadArtifact("a", target_, nullptr), IsOk());
  ExpectComplete();
  EXPECT_THAT(fake_.download_offsets(), ElementsAre(0, 1500, 0));
}

TEST_F(DownloadArtifactTest, FilesAlreadyThereAreKeptAndWrongOnesReplaced) {
  ASSERT_THAT(client_.DownloadArtifact("a", target_, nullptr), IsOk());
  const int before = fake_.calls("ReadArtifactFile");
  ASSERT_THAT(client_.DownloadArtifact("a", target_, nullptr), IsOk());
  EXPECT_EQ(fake_.calls("ReadArtifactFile"), before);
  std::ofstream(target_ + "/sub/config.json") << "tampered";
  ASSERT_THAT(client_.DownloadArtifact("a", target_, nullptr), IsOk());
  ExpectComplete();
}

TEST_F(DownloadArtifactTest, WrongBytesAreDataLossAndNeverGetTheName) {
  fake_.CorruptDownloads();
  EXPECT_THAT(
      client_.DownloadArtifact("a", target_, nullptr),
      StatusIs(absl::StatusCode::kDataLoss, HasSubstr("model.safetensors")));
  EXPECT_FALSE(std::filesystem::exists(target_ + "/model.safetensors"));
  // Nothing wrong is left for a later call to build on.
  for (const auto& entry : std::filesystem::directory_iterator(target_)) {
    EXPECT_EQ(entry.path().filename(), "empty");
  }
}

TEST_F(DownloadArtifactTest, PathsOutOfTheDirectoryAreRefused) {
  for (const char* path :
       {"../evil", "/etc/evil", "a/../../evil", "a//b", "./a", ""}) {
    fake_.AddArtifact("bad", "models/m", {{path, "x"}});
    EXPECT_THAT(client_.DownloadArtifact("bad", target_, nullptr),
                StatusIs(absl::StatusCode::kDataLoss, HasSubstr("unsafe")))
        << path;
    EXPECT_FALSE(std::filesystem::exists(target_));
  }
}

TEST_F(DownloadArtifactTest, UnknownArtifactIsNotFound) {
  EXPECT_THAT(client_.DownloadArtifact("none", target_, nullptr),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("none")));
}

}  // namespace
}  // namespace quantd::test
