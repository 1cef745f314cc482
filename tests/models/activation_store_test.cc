#include "models/activation_store.h"

#include <sys/mount.h>

#include <filesystem>
#include <numeric>
#include <utility>

#include "gmock/gmock.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_dir.h"

namespace quantd {
namespace {

using ::quantd::test::IsOk;
using ::quantd::test::StatusIs;
using ::quantd::test::TempDir;
using ::testing::AllOf;
using ::testing::ElementsAreArray;
using ::testing::HasSubstr;

constexpr int64_t kRows = 10;
constexpr int64_t kCols = 3;
constexpr uint64_t kRowBytes = kCols * sizeof(float);

Tensor Counting(int64_t rows, float first) {
  Tensor t = Tensor::Uninitialized({rows, kCols});
  std::iota(t.values().begin(), t.values().end(), first);
  return t;
}

TEST(ActivationStoreTest, RowsComeBackWhereverTheyLie) {
  TempDir dir;
  // Nothing, a part of a row more than four rows, all of it in memory.
  for (const auto& [memory_bytes, spilled_rows] :
       std::vector<std::pair<uint64_t, uint64_t>>{{0, 10},
                                                  {4 * kRowBytes + 5, 6},
                                                  {10 * kRowBytes, 0},
                                                  {UINT64_MAX, 0}}) {
    ActivationOptions options;
    options.memory_bytes = memory_bytes;
    options.directory = dir.path();
    ASSERT_OK_AND_ASSIGN(ActivationStore store,
                         ActivationStore::Create(kRows, kCols, options));
    EXPECT_EQ(store.rows(), kRows);
    EXPECT_EQ(store.cols(), kCols);
    EXPECT_EQ(store.spilled_bytes(), spilled_rows * kRowBytes);
    EXPECT_EQ(SpilledBytes(kRows, kCols, memory_bytes), store.spilled_bytes());
    // Batches on both sides of the border and across it.
    for (const int64_t begin : {0, 3, 6, 9}) {
      const int64_t count = std::min<int64_t>(3, kRows - begin);
      ASSERT_THAT(store.Write(begin, Counting(count, begin * kCols)), IsOk());
    }
    for (const auto& [begin, count] : std::vector<std::pair<int64_t, int64_t>>{
             {0, 10}, {0, 4}, {4, 6}, {3, 3}, {9, 1}}) {
      ASSERT_OK_AND_ASSIGN(const Tensor rows, store.Read(begin, count));
      EXPECT_THAT(rows.values(),
                  ElementsAreArray(Counting(count, begin * kCols).values()));
    }
    ActivationStore moved = std::move(store);
    ASSERT_THAT(moved.Write(2, Counting(5, 100)), IsOk());
    ASSERT_OK_AND_ASSIGN(const Tensor rows, moved.Read(2, 5));
    EXPECT_THAT(rows.values(), ElementsAreArray(Counting(5, 100).values()));
  }
}

TEST(ActivationStoreTest, TheFileHasNoName) {
  TempDir dir;
  ActivationOptions options;
  options.memory_bytes = 0;
  options.directory = dir.path();
  ASSERT_OK_AND_ASSIGN(const ActivationStore store,
                       ActivationStore::Create(kRows, kCols, options));
  EXPECT_TRUE(std::filesystem::is_empty(dir.path()));
}

TEST(ActivationStoreTest, FullDiskIsSaidBeforeTheWork) {
  TempDir dir;
  if (::mount("quantd-test", dir.path().c_str(), "tmpfs", 0, "size=1m") != 0) {
    GTEST_SKIP() << "mounting a tmpfs is not permitted here";
  }
  ActivationOptions options;
  options.memory_bytes = 0;
  options.directory = dir.path();
  EXPECT_THAT(ActivationStore::Create(1 << 20, 1, options).status(),
              StatusIs(absl::StatusCode::kResourceExhausted,
                       AllOf(HasSubstr("4194304 bytes"),
                             HasSubstr("more memory"), HasSubstr(dir.path()))));
  EXPECT_THAT(ActivationStore::Create(1 << 10, 1, options).status(), IsOk());
  ::umount2(dir.path().c_str(), MNT_DETACH);
}

}  // namespace
}  // namespace quantd
