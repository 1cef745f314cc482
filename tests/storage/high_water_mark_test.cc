#include "storage/high_water_mark.h"

#include <filesystem>

#include "base/file.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_dir.h"

namespace quantd::test {
namespace {

using ::testing::HasSubstr;

TEST(HighWaterMarkTest, ReadsBackAsWritten) {
  TempDir directory;
  const std::string path = directory.File("mark");
  ASSERT_THAT(WriteHighWaterMark(path, {"u-1", 42}), IsOk());
  ASSERT_OK_AND_ASSIGN(const std::optional<HighWaterMark> mark,
                       ReadHighWaterMark(path));
  ASSERT_TRUE(mark.has_value());
  EXPECT_EQ(mark->uuid, "u-1");
  EXPECT_EQ(mark->sequence, 42u);
}

TEST(HighWaterMarkTest, AnAbsentFileIsNoMark) {
  TempDir directory;
  ASSERT_OK_AND_ASSIGN(const std::optional<HighWaterMark> mark,
                       ReadHighWaterMark(directory.File("mark")));
  EXPECT_FALSE(mark.has_value());
}

TEST(HighWaterMarkTest, AnythingButTwoWordsAndANewlineIsDataLoss) {
  TempDir directory;
  const std::string path = directory.File("mark");
  for (const char* text : {"", "\n", "u-1\n", "u-1 x\n", "u-1 4 2\n", "u-1 42",
                           "u-1 -1\n", "u-1 99999999999999999999999\n"}) {
    ASSERT_THAT(WriteFileDurably(path, text), IsOk());
    EXPECT_THAT(ReadHighWaterMark(path),
                StatusIs(absl::StatusCode::kDataLoss, HasSubstr(path)))
        << text;
  }
}

TEST(HighWaterMarkTest, OnlyAStoreThatIsNotBehindPasses) {
  const std::optional<HighWaterMark> mark = HighWaterMark{"u", 5};
  EXPECT_THAT(CheckHighWaterMark(std::nullopt, {"u", 0}, "p"), IsOk());
  EXPECT_THAT(CheckHighWaterMark(mark, {"u", 5}, "p"), IsOk());
  EXPECT_THAT(CheckHighWaterMark(mark, {"u", 6}, "p"), IsOk());
  EXPECT_THAT(CheckHighWaterMark(mark, {"u", 4}, "p"),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr("write 5")));
  EXPECT_THAT(CheckHighWaterMark(mark, {"v", 9}, "p"),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr("store u")));
}

TEST(HighWaterMarkKeeperTest, TheLastSequenceIsOnDiskAfterTheEnd) {
  TempDir directory;
  const std::string path = directory.File("mark");
  {
    HighWaterMarkKeeper keeper(path, {"u", 1}, [](const absl::Status& status) {
      ADD_FAILURE() << status;
    });
    keeper.Advance(8);
    keeper.Advance(7);
  }
  ASSERT_OK_AND_ASSIGN(const std::optional<HighWaterMark> mark,
                       ReadHighWaterMark(path));
  ASSERT_TRUE(mark.has_value());
  EXPECT_EQ(mark->sequence, 8u);
}

TEST(HighWaterMarkKeeperTest, NothingIsWrittenWithoutACommit) {
  TempDir directory;
  const std::string path = directory.File("mark");
  {
    HighWaterMarkKeeper keeper(path, {"u", 1}, [](const absl::Status&) {});
  }
  EXPECT_FALSE(std::filesystem::exists(path));
}

TEST(HighWaterMarkKeeperTest, AFailedWriteIsReported) {
  TempDir directory;
  absl::Status reported;
  {
    HighWaterMarkKeeper keeper(
        directory.File("absent/mark"), {"u", 1},
        [&](const absl::Status& status) { reported = status; });
    keeper.Advance(2);
  }
  EXPECT_THAT(reported,
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("absent")));
}

}  // namespace
}  // namespace quantd::test
