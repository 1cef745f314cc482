#include "storage/artifact_store.h"

#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <thread>

#include "base/file.h"
#include "base/sha256.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_dir.h"

namespace quantd::test {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

class ArtifactStoreTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_OK_AND_ASSIGN(store_, OpenFileArtifactStore(root_));
  }

  absl::StatusOr<std::string> Put(absl::string_view bytes,
                                  absl::string_view expected = "") {
    ASSIGN_OR_RETURN(const std::unique_ptr<BlobWriter> writer,
                     store_->NewWriter());
    RETURN_IF_ERROR(writer->Append(bytes));
    return writer->Finish(expected);
  }

  size_t IncomingCount() const {
    size_t count = 0;
    for (const auto& entry :
         std::filesystem::directory_iterator(root_ + "/incoming")) {
      count += entry.exists();
    }
    return count;
  }

  std::string WriteSource(const std::string& name, const std::string& bytes) {
    const std::string path = directory_.File(name);
    std::ofstream(path, std::ios::binary) << bytes;
    return path;
  }

  TempDir directory_;
  const std::string root_ = directory_.File("artifacts");
  std::unique_ptr<ArtifactStore> store_;
};

TEST_F(ArtifactStoreTest, ABlobIsNamedByItsDigestAndReadOnly) {
  ASSERT_OK_AND_ASSIGN(const std::string digest, Put("hello"));
  EXPECT_EQ(digest, Sha256Hex("hello"));
  ASSERT_OK_AND_ASSIGN(const std::string path, store_->PathOf(digest));
  EXPECT_EQ(path, root_ + "/blobs/" + digest.substr(0, 2) + "/" + digest);
  EXPECT_EQ(*ReadFile(path), "hello");
  EXPECT_EQ(*store_->SizeOf(digest), 5u);
  EXPECT_THAT(store_->Verify(digest), IsOk());
  struct stat info;
  ASSERT_EQ(::stat(path.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0444u);
  EXPECT_EQ(IncomingCount(), 0u);
}

TEST_F(ArtifactStoreTest, PiecesMakeOneBlobAndTheEmptyBlobExists) {
  ASSERT_OK_AND_ASSIGN(const auto writer, store_->NewWriter());
  ASSERT_THAT(writer->Append("hel"), IsOk());
  ASSERT_THAT(writer->Append(""), IsOk());
  ASSERT_THAT(writer->Append("lo"), IsOk());
  EXPECT_EQ(*writer->Finish(Sha256Hex("hello")), Sha256Hex("hello"));
  EXPECT_EQ(*Put(""), Sha256Hex(""));
  EXPECT_EQ(*store_->SizeOf(Sha256Hex("")), 0u);
}

TEST_F(ArtifactStoreTest, AWrongDigestPublishesNothing) {
  EXPECT_THAT(Put("hello", Sha256Hex("other")),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr(Sha256Hex("hello")),
                             HasSubstr(Sha256Hex("other")))));
  EXPECT_THAT(*store_->List(), IsEmpty());
  EXPECT_EQ(IncomingCount(), 0u);
}

TEST_F(ArtifactStoreTest, AnAbandonedWriterLeavesNothing) {
  {
    ASSERT_OK_AND_ASSIGN(const auto writer, store_->NewWriter());
    ASSERT_THAT(writer->Append("half"), IsOk());
    EXPECT_EQ(IncomingCount(), 1u);
  }
  EXPECT_EQ(IncomingCount(), 0u);
}

TEST_F(ArtifactStoreTest, AFinishedWriterTakesNoMore) {
  ASSERT_OK_AND_ASSIGN(const auto writer, store_->NewWriter());
  ASSERT_THAT(writer->Finish(""), IsOk());
  EXPECT_THAT(writer->Append("x"),
              StatusIs(absl::StatusCode::kFailedPrecondition, ::testing::_));
  EXPECT_THAT(writer->Finish(""),
              StatusIs(absl::StatusCode::kFailedPrecondition, ::testing::_));
}

TEST_F(ArtifactStoreTest, IdenticalContentIsStoredOnce) {
  ASSERT_THAT(Put("same"), IsOk());
  ASSERT_THAT(Put("same"), IsOk());
  EXPECT_THAT(*store_->List(), UnorderedElementsAre(Sha256Hex("same")));
}

TEST_F(ArtifactStoreTest, WritersOfOneContentDoNotDisturbEachOther) {
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&] {
      for (int k = 0; k < 10; ++k) EXPECT_THAT(Put("same"), IsOk());
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_THAT(*store_->List(), UnorderedElementsAre(Sha256Hex("same")));
  EXPECT_THAT(store_->Verify(Sha256Hex("same")), IsOk());
  EXPECT_EQ(IncomingCount(), 0u);
}

TEST_F(ArtifactStoreTest, AdoptMovesAFileIn) {
  const std::string source = WriteSource("source", "weights");
  ASSERT_THAT(store_->Adopt(source, Sha256Hex("weights")), IsOk());
  EXPECT_FALSE(std::filesystem::exists(source));
  EXPECT_THAT(store_->Verify(Sha256Hex("weights")), IsOk());
}

TEST_F(ArtifactStoreTest, AdoptOfAKnownBlobRemovesTheSource) {
  ASSERT_THAT(Put("weights"), IsOk());
  const std::string source = WriteSource("source", "weights");
  ASSERT_THAT(store_->Adopt(source, Sha256Hex("weights")), IsOk());
  EXPECT_FALSE(std::filesystem::exists(source));
  EXPECT_THAT(*store_->List(), UnorderedElementsAre(Sha256Hex("weights")));
}

TEST_F(ArtifactStoreTest, AdoptWorksAcrossFileSystems) {
  char shared[] = "/dev/shm/quantd_test.XXXXXX";
  const int fd = ::mkstemp(shared);
  if (fd < 0) GTEST_SKIP() << "/dev/shm is not writable";
  ASSERT_EQ(::write(fd, "weights", 7), 7);
  ::close(fd);
  struct stat here;
  struct stat there;
  ASSERT_EQ(::stat(root_.c_str(), &here), 0);
  ASSERT_EQ(::stat(shared, &there), 0);
  if (here.st_dev == there.st_dev) {
    ::unlink(shared);
    GTEST_SKIP() << "/dev/shm is the file system of the test directory";
  }
  ASSERT_THAT(store_->Adopt(shared, Sha256Hex("weights")), IsOk());
  EXPECT_FALSE(std::filesystem::exists(shared));
  EXPECT_THAT(store_->Verify(Sha256Hex("weights")), IsOk());
  EXPECT_EQ(IncomingCount(), 0u);
}

TEST_F(ArtifactStoreTest, AdoptRefusesOtherBytesAndKeepsTheSource) {
  const std::string source = WriteSource("source", "weights");
  EXPECT_THAT(store_->Adopt(source, Sha256Hex("other")),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr(source)));
  EXPECT_TRUE(std::filesystem::exists(source));
  EXPECT_THAT(*store_->List(), IsEmpty());
}

TEST_F(ArtifactStoreTest, AdoptRefusesASymbolicLinkAndAnAbsentFile) {
  const std::string source = WriteSource("source", "weights");
  const std::string link = directory_.File("link");
  std::filesystem::create_symlink(source, link);
  EXPECT_THAT(store_->Adopt(link, Sha256Hex("weights")),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(link)));
  EXPECT_THAT(store_->Adopt(directory_.File("no"), Sha256Hex("weights")),
              StatusIs(absl::StatusCode::kNotFound, ::testing::_));
}

TEST_F(ArtifactStoreTest, VerifyFindsACorruptBlobAndWritingItAgainHeals) {
  ASSERT_OK_AND_ASSIGN(const std::string digest, Put("hello"));
  ASSERT_OK_AND_ASSIGN(const std::string path, store_->PathOf(digest));
  ASSERT_EQ(::chmod(path.c_str(), 0644), 0);
  std::ofstream(path, std::ios::binary) << "hellO";
  EXPECT_THAT(store_->Verify(digest),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr(digest)));
  ASSERT_THAT(Put("hello"), IsOk());
  EXPECT_THAT(store_->Verify(digest), IsOk());
}

TEST_F(ArtifactStoreTest, NoDigestLeavesTheStore) {
  for (const char* digest : {"", "../../etc/passwd", "ABCD", "abc/../x"}) {
    EXPECT_THAT(store_->PathOf(digest),
                StatusIs(absl::StatusCode::kInvalidArgument, ::testing::_));
    EXPECT_THAT(store_->Delete(digest),
                StatusIs(absl::StatusCode::kInvalidArgument, ::testing::_));
    EXPECT_THAT(store_->Adopt(directory_.File("x"), digest),
                StatusIs(absl::StatusCode::kInvalidArgument, ::testing::_));
  }
}

TEST_F(ArtifactStoreTest, AnUnknownDigestIsNotFound) {
  const std::string digest = Sha256Hex("nothing");
  EXPECT_THAT(store_->PathOf(digest),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr(digest)));
  EXPECT_THAT(store_->Verify(digest),
              StatusIs(absl::StatusCode::kNotFound, ::testing::_));
  EXPECT_THAT(store_->SizeOf(digest),
              StatusIs(absl::StatusCode::kNotFound, ::testing::_));
  EXPECT_THAT(store_->Delete(digest),
              StatusIs(absl::StatusCode::kNotFound, ::testing::_));
}

TEST_F(ArtifactStoreTest, ADeletedBlobIsGone) {
  ASSERT_OK_AND_ASSIGN(const std::string digest, Put("hello"));
  ASSERT_THAT(store_->Delete(digest), IsOk());
  EXPECT_THAT(store_->PathOf(digest),
              StatusIs(absl::StatusCode::kNotFound, ::testing::_));
}

TEST_F(ArtifactStoreTest, ReclaimKeepsWhatIsReferenced) {
  ASSERT_OK_AND_ASSIGN(const std::string kept, Put("kept"));
  ASSERT_THAT(Put("12345"), IsOk());
  ASSERT_THAT(Put("123"), IsOk());
  ASSERT_OK_AND_ASSIGN(const uint64_t reclaimed,
                       store_->Reclaim({kept, Sha256Hex("never stored")}));
  EXPECT_EQ(reclaimed, 8u);
  EXPECT_THAT(*store_->List(), UnorderedElementsAre(kept));
}

TEST_F(ArtifactStoreTest, OpeningEmptiesIncomingAndKeepsBlobs) {
  ASSERT_OK_AND_ASSIGN(const std::string digest, Put("hello"));
  std::ofstream(root_ + "/incoming/17") << "half an upload";
  ASSERT_OK_AND_ASSIGN(store_, OpenFileArtifactStore(root_));
  EXPECT_EQ(IncomingCount(), 0u);
  EXPECT_THAT(store_->Verify(digest), IsOk());
}

TEST_F(ArtifactStoreTest, AFileCannotBeTheRoot) {
  const std::string source = WriteSource("file", "x");
  EXPECT_THAT(OpenFileArtifactStore(source).status(), ::testing::Not(IsOk()));
}

}  // namespace
}  // namespace quantd::test
