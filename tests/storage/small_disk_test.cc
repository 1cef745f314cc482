// Both stores on a file system that fills up. Needs the right to mount a
// tmpfs; skipped without it.
#include <fcntl.h>
#include <sys/mount.h>
#include <unistd.h>

#include <filesystem>

#include "absl/strings/str_cat.h"
#include "base/sha256.h"
#include "storage/artifact_store.h"
#include "storage/metadata_store.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_dir.h"

namespace quantd::test {
namespace {

using ::testing::HasSubstr;

class SmallDiskTest : public ::testing::Test {
 protected:
  void SetUp() override {
    mounted_ = ::mount("quantd-test", mount_point_.path().c_str(), "tmpfs", 0,
                       "size=4m") == 0;
    if (!mounted_) GTEST_SKIP() << "mounting a tmpfs is not permitted here";
  }
  void TearDown() override {
    if (mounted_) ::umount2(mount_point_.path().c_str(), MNT_DETACH);
  }

  std::string ballast() const { return mount_point_.File("ballast"); }

  // Takes every byte that is left.
  void Fill() {
    const int fd = ::open(ballast().c_str(), O_WRONLY | O_CREAT, 0644);
    ASSERT_GE(fd, 0);
    const std::string block(4096, 'b');
    while (::write(fd, block.data(), block.size()) > 0) {
    }
    ::close(fd);
  }
  void Free() { std::filesystem::remove(ballast()); }

  TempDir mount_point_;
  bool mounted_ = false;
};

TEST_F(SmallDiskTest, AFullDiskMakesTheStoreReadOnlyAndLosesNothing) {
  const std::string directory = mount_point_.File("metadata");
  int degraded = 0;
  MetadataStore::Options options;
  options.directory = directory;
  options.on_degraded = [&](const absl::Status& status) {
    EXPECT_FALSE(status.ok());
    ++degraded;
  };
  int acknowledged = 0;
  {
    ASSERT_OK_AND_ASSIGN(const auto store, MetadataStore::Open(options));
    Fill();
    absl::Status committed;
    for (int i = 0; i < 1000 && committed.ok(); ++i) {
      MetadataBatch batch;
      batch.PutBytes(Table::kJobs, absl::StrCat(i), std::string(4096, 'x'));
      committed = store->Commit(batch);
      if (committed.ok()) ++acknowledged;
    }
    EXPECT_THAT(committed, StatusIs(absl::StatusCode::kUnavailable,
                                    HasSubstr("outcome is unknown")));
    EXPECT_EQ(degraded, 1);
    EXPECT_THAT(store->health(),
                StatusIs(absl::StatusCode::kResourceExhausted, ::testing::_));
    MetadataBatch batch;
    batch.PutBytes(Table::kJobs, "more", "x");
    EXPECT_THAT(store->Commit(batch), StatusIs(absl::StatusCode::kUnavailable,
                                               HasSubstr("read-only")));
    for (int i = 0; i < acknowledged; ++i) {
      EXPECT_THAT(store->GetBytes(Table::kJobs, absl::StrCat(i)), IsOk());
    }
    EXPECT_EQ(degraded, 1);
  }
  Free();
  ASSERT_OK_AND_ASSIGN(const auto store, MetadataStore::Open(options));
  for (int i = 0; i < acknowledged; ++i) {
    EXPECT_THAT(store->GetBytes(Table::kJobs, absl::StrCat(i)), IsOk());
  }
  MetadataBatch batch;
  batch.PutBytes(Table::kJobs, "again", "x");
  EXPECT_THAT(store->Commit(batch), IsOk());
}

TEST_F(SmallDiskTest, AStoreOnAFullDiskIsRefusedAndNamesTheDirectory) {
  const std::string directory = mount_point_.File("metadata");
  ASSERT_TRUE(std::filesystem::create_directory(directory));
  Fill();
  MetadataStore::Options options;
  options.directory = directory;
  EXPECT_THAT(
      MetadataStore::Open(options),
      StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr(directory)));
}

TEST_F(SmallDiskTest, ABlobThatDoesNotFitLeavesNothingBehind) {
  ASSERT_OK_AND_ASSIGN(const auto store,
                       OpenFileArtifactStore(mount_point_.File("artifacts")));
  {
    ASSERT_OK_AND_ASSIGN(const auto writer, store->NewWriter());
    const std::string chunk(size_t{1} << 20, 'c');
    absl::Status appended;
    for (int i = 0; i < 8 && appended.ok(); ++i) {
      appended = writer->Append(chunk);
    }
    EXPECT_THAT(appended, StatusIs(absl::StatusCode::kResourceExhausted,
                                   HasSubstr("incoming")));
  }
  EXPECT_TRUE(
      std::filesystem::is_empty(mount_point_.File("artifacts/incoming")));
  ASSERT_OK_AND_ASSIGN(const auto writer, store->NewWriter());
  ASSERT_THAT(writer->Append("small"), IsOk());
  EXPECT_THAT(writer->Finish(Sha256Hex("small")), IsOk());
}

TEST_F(SmallDiskTest, AnArtifactStoreOnAFullDiskIsRefused) {
  ASSERT_OK_AND_ASSIGN(auto store,
                       OpenFileArtifactStore(mount_point_.File("artifacts")));
  store.reset();
  Fill();
  EXPECT_THAT(OpenFileArtifactStore(mount_point_.File("artifacts")),
              StatusIs(absl::StatusCode::kResourceExhausted,
                       HasSubstr(mount_point_.path())));
}

TEST_F(SmallDiskTest, AReadOnlyFileSystemIsRefusedByBothStores) {
  const std::string artifacts = mount_point_.File("artifacts");
  const std::string metadata = mount_point_.File("metadata");
  MetadataStore::Options options;
  options.directory = metadata;
  { ASSERT_OK_AND_ASSIGN(const auto store, OpenFileArtifactStore(artifacts)); }
  { ASSERT_OK_AND_ASSIGN(const auto store, MetadataStore::Open(options)); }
  ASSERT_EQ(::mount("quantd-test", mount_point_.path().c_str(), "tmpfs",
                    MS_REMOUNT | MS_RDONLY, ""),
            0);
  EXPECT_THAT(
      OpenFileArtifactStore(artifacts),
      StatusIs(absl::StatusCode::kPermissionDenied, HasSubstr(artifacts)));
  EXPECT_THAT(
      MetadataStore::Open(options),
      StatusIs(absl::StatusCode::kPermissionDenied, HasSubstr(metadata)));
}

}  // namespace
}  // namespace quantd::test
