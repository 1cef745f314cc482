#include "quantizers/statistics_store.h"

#include <filesystem>
#include <fstream>
#include <string>

#include "gmock/gmock.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_dir.h"

namespace quantd {
namespace {

using ::quantd::test::IsOk;
using ::quantd::test::TempDir;

StatisticsKey KeyOfSet(int set) {
  StatisticsKey key;
  key.model_digest = "model";
  key.calibration_digest = "windows";
  key.arithmetic = "cpu";
  key.request.second_moment = true;
  key.request.mean_abs = true;
  key.request.sample_rows = 3;
  key.set = set;
  return key;
}

LayerStatistics SomeStatistics() {
  LayerStatistics statistics;
  statistics.tokens = 40;
  statistics.second_moment = SquareMatrix(5);
  for (int64_t i = 0; i < 5; ++i) {
    for (int64_t j = 0; j <= i; ++j) {
      const double value = 1.0 / static_cast<double>(3 * i + j + 1);
      statistics.second_moment.at(i, j) = value;
      statistics.second_moment.at(j, i) = value;
    }
  }
  statistics.mean_abs = {0.1f, 0.2f, 0.3f, 0.4f, 0.5f};
  statistics.sample = Tensor::Zeros({3, 5});
  statistics.sample.row(1)[2] = -0.7f;
  return statistics;
}

TEST(StatisticsStoreTest, ComeBackBitForBit) {
  TempDir directory;
  const StatisticsStore store(directory.path() + "/kept", 1 << 20);
  const LayerStatistics put = SomeStatistics();
  EXPECT_FALSE(store.Find(KeyOfSet(0), 5).has_value());
  ASSERT_THAT(store.Put(KeyOfSet(0), put), IsOk());
  const auto found = store.Find(KeyOfSet(0), 5);
  ASSERT_TRUE(found.has_value());
  EXPECT_EQ(found->tokens, 40);
  EXPECT_EQ(found->second_moment.values, put.second_moment.values);
  EXPECT_EQ(found->mean_abs, put.mean_abs);
  EXPECT_THAT(found->sample.values(),
              testing::ElementsAreArray(put.sample.values()));
}

TEST(StatisticsStoreTest, EverythingTheyDependOnIsInTheKey) {
  TempDir directory;
  const StatisticsStore store(directory.path(), 1 << 20);
  ASSERT_THAT(store.Put(KeyOfSet(0), SomeStatistics()), IsOk());
  StatisticsKey other = KeyOfSet(1);
  EXPECT_FALSE(store.Find(other, 5).has_value());
  other = KeyOfSet(0);
  other.block = 1;
  EXPECT_FALSE(store.Find(other, 5).has_value());
  other = KeyOfSet(0);
  other.model_digest = "another";
  EXPECT_FALSE(store.Find(other, 5).has_value());
  other = KeyOfSet(0);
  other.calibration_digest = "another";
  EXPECT_FALSE(store.Find(other, 5).has_value());
  other = KeyOfSet(0);
  other.request.sample_rows = 4;
  EXPECT_FALSE(store.Find(other, 5).has_value());
  // Another shape under the same key is no answer either.
  EXPECT_FALSE(store.Find(KeyOfSet(0), 6).has_value());
  EXPECT_TRUE(store.Find(KeyOfSet(0), 5).has_value());
}

TEST(StatisticsStoreTest, DamagedFilesAreNotBelieved) {
  TempDir directory;
  const StatisticsStore store(directory.path(), 1 << 20);
  ASSERT_THAT(store.Put(KeyOfSet(0), SomeStatistics()), IsOk());
  const std::string path =
      std::filesystem::directory_iterator(directory.path())->path();
  const auto size = std::filesystem::file_size(path);
  for (const auto at : {size_t{0}, size_t{20}, size_t{size - 5}}) {
    ASSERT_THAT(store.Put(KeyOfSet(0), SomeStatistics()), IsOk());
    std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(static_cast<std::streamoff>(at));
    file.put('\x7f');
    file.close();
    EXPECT_FALSE(store.Find(KeyOfSet(0), 5).has_value()) << at;
  }
  ASSERT_THAT(store.Put(KeyOfSet(0), SomeStatistics()), IsOk());
  std::filesystem::resize_file(path, size - 1);
  EXPECT_FALSE(store.Find(KeyOfSet(0), 5).has_value());
}

TEST(StatisticsStoreTest, TheLeastRecentlyUsedGo) {
  TempDir directory;
  const StatisticsStore probe(directory.path(), 1 << 20);
  ASSERT_THAT(probe.Put(KeyOfSet(0), SomeStatistics()), IsOk());
  const std::string first =
      std::filesystem::directory_iterator(directory.path())->path();
  const uint64_t size = std::filesystem::file_size(first);
  const StatisticsStore store(directory.path(), 2 * size + size / 2);
  ASSERT_THAT(store.Put(KeyOfSet(1), SomeStatistics()), IsOk());
  // Set 0 was used last, set 1 before it.
  for (const auto& file :
       std::filesystem::directory_iterator(directory.path())) {
    if (file.path() != first) {
      std::filesystem::last_write_time(
          file.path(),
          std::filesystem::last_write_time(first) - std::chrono::seconds(10));
    }
  }
  ASSERT_TRUE(store.Find(KeyOfSet(0), 5).has_value());
  ASSERT_THAT(store.Put(KeyOfSet(2), SomeStatistics()), IsOk());
  EXPECT_TRUE(store.Find(KeyOfSet(0), 5).has_value());
  EXPECT_FALSE(store.Find(KeyOfSet(1), 5).has_value());
  EXPECT_TRUE(store.Find(KeyOfSet(2), 5).has_value());
}

TEST(StatisticsStoreTest, WithoutRoomNothingIsKept) {
  TempDir directory;
  const StatisticsStore tight(directory.path(), 100);
  ASSERT_THAT(tight.Put(KeyOfSet(0), SomeStatistics()), IsOk());
  EXPECT_FALSE(tight.Find(KeyOfSet(0), 5).has_value());
  const StatisticsStore none("", 1 << 20);
  EXPECT_FALSE(none.enabled());
  ASSERT_THAT(none.Put(KeyOfSet(0), SomeStatistics()), IsOk());
}

}  // namespace
}  // namespace quantd
