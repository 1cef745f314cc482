#include "server/blob_references.h"

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
  }
  TempDir directory_;
  std::unique_ptr<MetadataStore> store_;
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

}  // namespace
}  // namespace quantd::test
