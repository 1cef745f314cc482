#include "server/blob_references.h"

#include "base/sha256.h"
#include "quantd/v1/artifact.pb.h"
#include "quantd/v1/dataset.pb.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_dir.h"

namespace quantd::test {
namespace {

using ::testing::HasSubstr;
using ::testing::UnorderedElementsAre;

class BlobReferencesTest : public ::testing::Test {
 protected:
  void SetUp() override {
    MetadataStore::Options options;
    options.directory = directory_.path();
    ASSERT_OK_AND_ASSIGN(store_, MetadataStore::Open(std::move(options)));
    ASSERT_OK_AND_ASSIGN(artifacts_,
                         OpenFileArtifactStore(blob_directory_.path()));
  }

  // Stores the bytes and returns their digest.
  std::string Blob(const std::string& bytes) {
    auto writer = artifacts_->NewWriter();
    EXPECT_THAT((*writer)->Append(bytes), IsOk());
    return (*writer)->Finish("").value_or("");
  }
  bool Exists(const std::string& digest) {
    return artifacts_->SizeOf(digest).ok();
  }

  TempDir directory_;
  TempDir blob_directory_;
  std::unique_ptr<MetadataStore> store_;
  std::unique_ptr<ArtifactStore> artifacts_;
};

TEST_F(BlobReferencesTest, FilesOfArtifactsAndDatasetsCount) {
  v1::Artifact artifact;
  artifact.add_files()->set_digest("one");
  artifact.add_files()->set_digest("two");
  v1::Dataset dataset;
  dataset.set_digest("three");
  MetadataBatch batch;
  batch.Put(Table::kArtifacts, "a", artifact);
  batch.Put(Table::kDatasets, "d", dataset);
  ASSERT_THAT(store_->Commit(batch), IsOk());
  ASSERT_OK_AND_ASSIGN(const auto digests, ReferencedBlobs(*store_));
  EXPECT_THAT(digests, UnorderedElementsAre("one", "two", "three"));
}

TEST_F(BlobReferencesTest, ABrokenRecordStopsTheCount) {
  MetadataBatch batch;
  batch.PutBytes(Table::kArtifacts, "broken", "\xff\xff\xff");
  ASSERT_THAT(store_->Commit(batch), IsOk());
  EXPECT_THAT(ReferencedBlobs(*store_),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr("broken")));
}

TEST_F(BlobReferencesTest, OnlyWhatNothingRefersToIsFreed) {
  const std::string shared = Blob("shared");
  const std::string text = Blob("some text");
  const std::string lonely = Blob("lonely");
  v1::Artifact artifact;
  artifact.add_files()->set_digest(shared);
  v1::Dataset dataset;
  dataset.set_digest(text);
  MetadataBatch batch;
  batch.Put(Table::kArtifacts, "a", artifact);
  batch.Put(Table::kDatasets, "d", dataset);
  ASSERT_THAT(store_->Commit(batch), IsOk());
  // Some of them may be gone already.
  const std::string gone = Sha256Hex("gone");
  ASSERT_OK_AND_ASSIGN(
      const uint64_t bytes,
      FreeBlobs(*store_, {gone, lonely, shared, text}, artifacts_.get()));
  EXPECT_EQ(bytes, 6u);
  EXPECT_TRUE(Exists(shared));
  EXPECT_TRUE(Exists(text));
  EXPECT_FALSE(Exists(lonely));
}

TEST_F(BlobReferencesTest, WhatIsBeingPublishedIsNotFreed) {
  const std::string digest = Blob("published");
  {
    const BlobHolds::Hold hold = artifacts_->holds().Acquire({digest});
    ASSERT_OK_AND_ASSIGN(const uint64_t bytes,
                         FreeBlobs(*store_, {digest}, artifacts_.get()));
    EXPECT_EQ(bytes, 0u);
    EXPECT_TRUE(Exists(digest));
  }
  ASSERT_OK_AND_ASSIGN(const uint64_t bytes,
                       FreeBlobs(*store_, {digest}, artifacts_.get()));
  EXPECT_EQ(bytes, 9u);
  EXPECT_FALSE(Exists(digest));
}

TEST_F(BlobReferencesTest, ABrokenRecordFreesNothing) {
  const std::string digest = Blob("lonely");
  MetadataBatch batch;
  batch.PutBytes(Table::kDatasets, "broken", "\xff\xff\xff");
  ASSERT_THAT(store_->Commit(batch), IsOk());
  EXPECT_THAT(FreeBlobs(*store_, {digest}, artifacts_.get()),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr("broken")));
  EXPECT_TRUE(Exists(digest));
}

}  // namespace
}  // namespace quantd::test
