// What a store makes of a directory that a crash, a bad disk or a careless
// hand left behind: nothing acknowledged is lost without a word.
#include <algorithm>
#include <filesystem>
#include <fstream>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "storage/metadata_store.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_dir.h"

namespace quantd::test {
namespace {

using ::testing::HasSubstr;

constexpr int kRecords = 40;

absl::StatusOr<std::unique_ptr<MetadataStore>> OpenStore(
    const std::string& directory) {
  MetadataStore::Options options;
  options.directory = directory;
  return MetadataStore::Open(std::move(options));
}

std::string RecordKey(int i) { return absl::StrCat("job-", 1000 + i); }

int CountRecords(const MetadataStore& store) {
  int count = 0;
  EXPECT_THAT(store.Scan(Table::kJobs, "", "",
                         [&](absl::string_view, absl::string_view) {
                           ++count;
                           return true;
                         }),
              IsOk());
  return count;
}

// The write-ahead log that holds the records: the largest.
std::string WalOf(const std::string& directory) {
  std::string largest;
  uint64_t size = 0;
  for (const auto& entry :
       std::filesystem::directory_iterator(directory + "/rocksdb")) {
    if (entry.path().extension() != ".log") continue;
    if (largest.empty() || entry.file_size() > size) {
      largest = entry.path();
      size = entry.file_size();
    }
  }
  return largest;
}

// A copy of a store's directory as it is at some moment: what a killed
// process leaves behind.
class CrashedStoreTest : public ::testing::Test {
 protected:
  void SetUp() override {
    const std::string live = directory_.File("live");
    ASSERT_OK_AND_ASSIGN(const std::unique_ptr<MetadataStore> store,
                         OpenStore(live));
    // The mark of the first moment; the ones written later would rightly
    // refuse the loss of an acknowledged record.
    ASSERT_OK_AND_ASSIGN(const std::string mark,
                         ReadFile(live + "/HIGH_WATER_MARK"));
    for (int i = 0; i < kRecords; ++i) {
      MetadataBatch batch;
      batch.PutBytes(Table::kJobs, RecordKey(i), std::string(200, 'x'));
      ASSERT_THAT(store->Commit(batch), IsOk());
    }
    std::filesystem::copy(live, crashed_,
                          std::filesystem::copy_options::recursive);
    ASSERT_THAT(WriteFileDurably(crashed_ + "/HIGH_WATER_MARK", mark), IsOk());
    wal_ = WalOf(crashed_);
    ASSERT_GT(std::filesystem::file_size(wal_), uint64_t{kRecords} * 200);
  }

  void FlipBit(uint64_t offset) {
    std::fstream file(wal_, std::ios::in | std::ios::out | std::ios::binary);
    file.seekg(static_cast<std::streamoff>(offset));
    const char byte = static_cast<char>(file.get());
    file.seekp(static_cast<std::streamoff>(offset));
    file.put(static_cast<char>(byte ^ 0x10));
  }

  TempDir directory_;
  const std::string crashed_ = directory_.File("crashed");
  std::string wal_;
};

TEST_F(CrashedStoreTest, AKilledStoreOpensWithEveryAcknowledgedRecord) {
  ASSERT_OK_AND_ASSIGN(const auto store, OpenStore(crashed_));
  EXPECT_EQ(CountRecords(*store), kRecords);
}

TEST_F(CrashedStoreTest, ATornLastRecordIsDroppedAndTheRestKept) {
  std::filesystem::resize_file(wal_, std::filesystem::file_size(wal_) - 7);
  ASSERT_OK_AND_ASSIGN(const auto store, OpenStore(crashed_));
  EXPECT_EQ(CountRecords(*store), kRecords - 1);
}

TEST_F(CrashedStoreTest, ADamagedRecordInTheMiddleIsRefusedNotDropped) {
  FlipBit(std::filesystem::file_size(wal_) / 2);
  EXPECT_THAT(OpenStore(crashed_),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr(crashed_)));
}

TEST_F(CrashedStoreTest, DamageAnywhereIsRefusedOrLosesNothingButTheTail) {
  const uint64_t size = std::filesystem::file_size(wal_);
  const std::string original = *ReadFile(wal_);
  for (uint64_t offset = size / 16; offset < size; offset += size / 8) {
    // A fresh copy each time: opening rewrites files.
    const std::string copy = directory_.File(absl::StrCat("copy", offset));
    std::filesystem::copy(crashed_, copy,
                          std::filesystem::copy_options::recursive);
    std::string damaged = original;
    damaged[offset] = static_cast<char>(damaged[offset] ^ 0x01);
    ASSERT_THAT(WriteFileDurably(WalOf(copy), damaged), IsOk());
    const absl::StatusOr<std::unique_ptr<MetadataStore>> store =
        OpenStore(copy);
    if (store.ok()) {
      EXPECT_GE(CountRecords(**store), kRecords - 1) << offset;
    } else {
      EXPECT_TRUE(absl::IsDataLoss(store.status())) << store.status();
    }
  }
}

TEST_F(CrashedStoreTest, AStoreThatWasCutOffTwiceStillOpens) {
  std::filesystem::resize_file(wal_, std::filesystem::file_size(wal_) - 7);
  const std::string second = directory_.File("second");
  {
    ASSERT_OK_AND_ASSIGN(const auto store, OpenStore(crashed_));
    MetadataBatch batch;
    batch.PutBytes(Table::kJobs, "after-the-crash", "x");
    ASSERT_THAT(store->Commit(batch), IsOk());
    std::filesystem::copy(crashed_, second,
                          std::filesystem::copy_options::recursive);
  }
  ASSERT_OK_AND_ASSIGN(const auto store, OpenStore(second));
  EXPECT_EQ(CountRecords(*store), kRecords);  // one torn off, one added
}

class ClosedStoreTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_OK_AND_ASSIGN(const auto store, OpenStore(directory_.path()));
    MetadataBatch batch;
    batch.PutBytes(Table::kModels, "m", "model");
    ASSERT_THAT(store->Commit(batch), IsOk());
  }
  TempDir directory_;
};

TEST_F(ClosedStoreTest, ADeletedLogFileIsNoticed) {
  std::filesystem::remove(WalOf(directory_.path()));
  EXPECT_THAT(OpenStore(directory_.path()),
              StatusIs(absl::StatusCode::kDataLoss,
                       HasSubstr(directory_.File("HIGH_WATER_MARK"))));
}

TEST_F(ClosedStoreTest, ADeletedLogFileIsAcceptedOnceTheMarkIsRemoved) {
  std::filesystem::remove(WalOf(directory_.path()));
  std::filesystem::remove(directory_.File("HIGH_WATER_MARK"));
  EXPECT_THAT(OpenStore(directory_.path()), IsOk());
}

TEST_F(ClosedStoreTest, ADeletedDatabaseIsNoticed) {
  std::filesystem::remove_all(directory_.File("rocksdb"));
  EXPECT_THAT(OpenStore(directory_.path()),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr("lost")));
}

TEST_F(ClosedStoreTest, ADatabaseOfAnotherStoreIsNoticed) {
  TempDir other;
  { ASSERT_OK_AND_ASSIGN(const auto store, OpenStore(other.path())); }
  std::filesystem::remove_all(directory_.File("rocksdb"));
  std::filesystem::copy(other.File("rocksdb"), directory_.File("rocksdb"),
                        std::filesystem::copy_options::recursive);
  EXPECT_THAT(OpenStore(directory_.path()),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr("replaced")));
}

TEST_F(ClosedStoreTest, AMissingTableFileIsDataLoss) {
  // The second open turns the log into table files.
  { ASSERT_OK_AND_ASSIGN(const auto store, OpenStore(directory_.path())); }
  int removed = 0;
  for (const auto& entry :
       std::filesystem::directory_iterator(directory_.File("rocksdb"))) {
    if (entry.path().extension() != ".sst") continue;
    removed += std::filesystem::remove(entry.path());
  }
  ASSERT_GT(removed, 0);
  EXPECT_THAT(OpenStore(directory_.path()),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr("No such file")));
}

TEST_F(ClosedStoreTest, AMangledMarkIsDataLoss) {
  ASSERT_THAT(WriteFileDurably(directory_.File("HIGH_WATER_MARK"), "what"),
              IsOk());
  EXPECT_THAT(OpenStore(directory_.path()),
              StatusIs(absl::StatusCode::kDataLoss,
                       HasSubstr("not a high-water mark")));
}

}  // namespace
}  // namespace quantd::test
