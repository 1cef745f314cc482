#include "jobs/job_files.h"

#include <filesystem>
#include <fstream>
#include <memory>
#include <string>

#include "base/file.h"
#include "base/sha256.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_dir.h"

namespace quantd {
namespace {

namespace fs = std::filesystem;
using test::IsOk;
using test::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr char kId[] = "01hf7yat000000000000000000";

class JobFilesTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_THAT(files_.Prepare(), IsOk());
    ASSERT_OK_AND_ASSIGN(artifacts_,
                         OpenFileArtifactStore(dir_.File("artifacts")));
  }

  v1::Artifact ArtifactWith(const std::string& path,
                            const std::string& content) {
    v1::Artifact artifact;
    artifact.set_name("artifacts/a");
    artifact.set_digest(Sha256Hex("manifest of " + path));
    v1::ArtifactFile& file = *artifact.add_files();
    file.set_path(path);
    auto writer = artifacts_->NewWriter();
    EXPECT_THAT(writer, IsOk());
    EXPECT_THAT((*writer)->Append(content), IsOk());
    file.set_digest((*writer)->Finish("").value_or(""));
    return artifact;
  }

  test::TempDir dir_;
  JobFiles files_{dir_.path()};
  std::unique_ptr<ArtifactStore> artifacts_;
};

TEST(JobFilesPathTest, OnlyPlainPathsInsideADirectoryAreAccepted) {
  for (const char* path : {"a", "a/b.c", "..a", "a..b/...", ".hidden"}) {
    EXPECT_THAT(CheckRelativePath(path), IsOk()) << path;
  }
  for (const char* path : {"", "/", "/a", "a/", "a//b", ".", "..", "../a",
                           "a/../b", "a/./b", "a/.."}) {
    EXPECT_THAT(CheckRelativePath(path),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(path)))
        << path;
  }
  EXPECT_FALSE(CheckRelativePath(absl::string_view("a\0b", 3)).ok());
}

TEST_F(JobFilesTest, AnInputShowsTheArtifactsFiles) {
  const v1::Artifact artifact = ArtifactWith("sub/model.bin", "codes");
  ASSERT_OK_AND_ASSIGN(std::string directory,
                       files_.MaterialiseInput(artifact, *artifacts_));
  ASSERT_OK_AND_ASSIGN(std::string content,
                       ReadFile(directory + "/sub/model.bin"));
  EXPECT_EQ(content, "codes");
  // Again gives the same, without anything left over beside it.
  ASSERT_OK_AND_ASSIGN(std::string again,
                       files_.MaterialiseInput(artifact, *artifacts_));
  EXPECT_EQ(again, directory);
  EXPECT_EQ(std::distance(fs::directory_iterator(dir_.File("inputs")),
                          fs::directory_iterator()),
            1);
}

TEST_F(JobFilesTest, ABrokenInputDirectoryIsMadeAgain) {
  const v1::Artifact artifact = ArtifactWith("model.bin", "codes");
  ASSERT_OK_AND_ASSIGN(std::string directory,
                       files_.MaterialiseInput(artifact, *artifacts_));
  fs::remove(directory + "/model.bin");
  std::ofstream(directory + "/model.bin") << "forged";
  ASSERT_THAT(files_.MaterialiseInput(artifact, *artifacts_), IsOk());
  EXPECT_EQ(ReadFile(directory + "/model.bin").value_or(""), "codes");
}

TEST_F(JobFilesTest, ACorruptBlobIsDataLoss) {
  const v1::Artifact artifact = ArtifactWith("model.bin", "codes");
  ASSERT_OK_AND_ASSIGN(std::string blob,
                       artifacts_->PathOf(artifact.files(0).digest()));
  fs::permissions(blob, fs::perms::owner_write, fs::perm_options::add);
  std::ofstream(blob) << "rotten";
  EXPECT_THAT(files_.MaterialiseInput(artifact, *artifacts_),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr("model.bin")));
}

TEST_F(JobFilesTest, APathThatLeavesTheDirectoryIsRefused) {
  EXPECT_THAT(
      files_.MaterialiseInput(ArtifactWith("../../evil", "x"), *artifacts_),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("../../evil")));
}

TEST_F(JobFilesTest, LogsAreReadInPieces) {
  const std::string text(JobFiles::kMaxLogChunk + 10, 'x');
  std::ofstream(files_.LogPath(kId, 1)) << text;
  ASSERT_OK_AND_ASSIGN(std::string first, files_.ReadLog(kId, 1, 0));
  EXPECT_EQ(first.size(), JobFiles::kMaxLogChunk);
  ASSERT_OK_AND_ASSIGN(std::string rest, files_.ReadLog(kId, 1, first.size()));
  EXPECT_EQ(rest.size(), 10u);
  EXPECT_EQ(files_.ReadLog(kId, 1, text.size()).value_or("?"), "");
  EXPECT_THAT(files_.ReadLog(kId, 1, text.size() + 1),
              StatusIs(absl::StatusCode::kOutOfRange, HasSubstr("beyond")));
}

TEST_F(JobFilesTest, ALogThatIsNotThereYetIsEmpty) {
  EXPECT_EQ(files_.ReadLog(kId, 1, 0).value_or("?"), "");
}

TEST_F(JobFilesTest, WorkspacesAreListedAndRemoved) {
  ASSERT_THAT(files_.CreateWorkspace(kId), IsOk());
  std::ofstream(files_.Workspace(kId) + "/block") << "x";
  fs::create_directories(dir_.File("workspaces/lost+found"));
  EXPECT_THAT(files_.ListWorkspaces(), ElementsAre(kId));
  files_.RemoveWorkspace(kId);
  files_.RemoveWorkspace(kId);
  EXPECT_TRUE(files_.ListWorkspaces().empty());
}

}  // namespace
}  // namespace quantd
