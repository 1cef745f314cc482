#include "base/file.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_dir.h"

namespace quantd::test {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

void Write(const std::string& path, const std::string& content) {
  std::ofstream(path, std::ios::binary) << content;
}

size_t EntriesIn(const std::string& directory) {
  size_t count = 0;
  for ([[maybe_unused]] const auto& entry :
       std::filesystem::directory_iterator(directory)) {
    ++count;
  }
  return count;
}

TEST(ErrnoToStatusTest, MapsToTheCodeThatTellsWhatToDo) {
  const struct {
    int error;
    absl::StatusCode code;
  } cases[] = {
      {ENOENT, absl::StatusCode::kNotFound},
      {ENOTDIR, absl::StatusCode::kNotFound},
      {EACCES, absl::StatusCode::kPermissionDenied},
      {EPERM, absl::StatusCode::kPermissionDenied},
      {EROFS, absl::StatusCode::kPermissionDenied},
      {ENOSPC, absl::StatusCode::kResourceExhausted},
      {EDQUOT, absl::StatusCode::kResourceExhausted},
      {EEXIST, absl::StatusCode::kAlreadyExists},
      {EIO, absl::StatusCode::kUnavailable},
      {EINVAL, absl::StatusCode::kInternal},
  };
  for (const auto& c : cases) {
    EXPECT_THAT(ErrnoToStatus(c.error, "open", "/x/y"),
                StatusIs(c.code, AllOf(HasSubstr("/x/y"), HasSubstr("open"))))
        << c.error;
  }
}

TEST(ReadFileTest, ReturnsAllBytes) {
  TempDir dir;
  const std::string content("a\0b\n", 4);
  Write(dir.File("f"), content);
  ASSERT_OK_AND_ASSIGN(const std::string read, ReadFile(dir.File("f")));
  EXPECT_EQ(read, content);
  Write(dir.File("empty"), "");
  EXPECT_EQ(*ReadFile(dir.File("empty")), "");
}

TEST(ReadFileTest, RefusesWhatItCannotRead) {
  TempDir dir;
  Write(dir.File("f"), "12345");
  EXPECT_THAT(ReadFile(dir.File("none")),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("none")));
  EXPECT_THAT(ReadFile(dir.path()), StatusIs(absl::StatusCode::kInvalidArgument,
                                             HasSubstr("not a regular file")));
  EXPECT_THAT(ReadFile(dir.File("f"), 4),
              StatusIs(absl::StatusCode::kResourceExhausted,
                       AllOf(HasSubstr("5 bytes"), HasSubstr("limit is 4"))));
  EXPECT_THAT(ReadFile(dir.File("f"), 5), IsOk());
}

TEST(ReadFileInChunksTest, PiecesAreBoundedAndComplete) {
  TempDir dir;
  std::string content;
  for (int i = 0; content.size() < (size_t{5} << 19); ++i) {
    content += std::to_string(i);
  }
  Write(dir.File("f"), content);
  std::string read;
  size_t largest = 0, pieces = 0;
  ASSERT_THAT(ReadFileInChunks(dir.File("f"),
                               [&](absl::string_view piece) {
                                 read.append(piece.data(), piece.size());
                                 largest = std::max(largest, piece.size());
                                 ++pieces;
                               }),
              IsOk());
  EXPECT_EQ(read, content);
  EXPECT_LE(largest, size_t{1} << 20);
  EXPECT_GE(pieces, 3u);
}

TEST(WriteFileDurablyTest, CreatesAndReplacesWithoutLeftovers) {
  TempDir dir;
  ASSERT_THAT(WriteFileDurably(dir.File("f"), "old"), IsOk());
  ASSERT_THAT(WriteFileDurably(dir.File("f"), "new"), IsOk());
  EXPECT_EQ(*ReadFile(dir.File("f")), "new");
  EXPECT_EQ(EntriesIn(dir.path()), 1u);
}

TEST(WriteFileDurablyTest, FailureKeepsTheOldContentAndNoTemporary) {
  TempDir dir;
  EXPECT_THAT(WriteFileDurably(dir.File("none/f"), "x"),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("none/f")));
  // A directory of that name cannot be replaced by a file.
  std::filesystem::create_directories(dir.File("taken/inside"));
  EXPECT_FALSE(WriteFileDurably(dir.File("taken"), "x").ok());
  EXPECT_TRUE(std::filesystem::is_directory(dir.File("taken/inside")));
  EXPECT_EQ(EntriesIn(dir.path()), 1u);
}

TEST(WriteStreamDurablyTest, PiecesFollowEachOtherAndAnErrorLeavesNothing) {
  TempDir dir;
  int made = 0;
  const auto next = [&]() -> absl::StatusOr<std::optional<absl::string_view>> {
    constexpr absl::string_view kPieces[] = {"ab", "", "cde"};
    if (made == 3) return std::nullopt;
    return kPieces[made++];
  };
  ASSERT_THAT(WriteStreamDurably(dir.File("f"), next), IsOk());
  EXPECT_EQ(*ReadFile(dir.File("f")), "abcde");
  int calls = 0;
  const auto failing =
      [&]() -> absl::StatusOr<std::optional<absl::string_view>> {
    if (++calls == 2) return absl::CancelledError("enough");
    return "xyz";
  };
  EXPECT_EQ(WriteStreamDurably(dir.File("f"), failing).code(),
            absl::StatusCode::kCancelled);
  EXPECT_EQ(calls, 2);
  EXPECT_EQ(*ReadFile(dir.File("f")), "abcde") << "the old content stays";
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(dir.path()), {}),
            1)
      << "no temporary file";
}

TEST(WriteFileDurablyTest, ConcurrentWritersLeaveOneWholeContent) {
  TempDir dir;
  std::vector<std::thread> writers;
  for (char c = 'a'; c < 'e'; ++c) {
    writers.emplace_back([&dir, c] {
      for (int i = 0; i < 5; ++i) {
        EXPECT_THAT(WriteFileDurably(dir.File("f"), std::string(10000, c)),
                    IsOk());
      }
    });
  }
  for (std::thread& writer : writers) writer.join();
  const std::string content = *ReadFile(dir.File("f"));
  EXPECT_EQ(content, std::string(10000, content[0]));
  EXPECT_EQ(EntriesIn(dir.path()), 1u);
}

TEST(SyncPathTest, TakesFilesAndDirectories) {
  TempDir dir;
  Write(dir.File("f"), "x");
  EXPECT_THAT(SyncPath(dir.File("f")), IsOk());
  EXPECT_THAT(SyncPath(dir.path()), IsOk());
  EXPECT_THAT(SyncPath(dir.File("none")),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("none")));
}

TEST(FreeDiskBytesTest, AnswersForExistingPathsOnly) {
  TempDir dir;
  ASSERT_OK_AND_ASSIGN(const uint64_t bytes, FreeDiskBytes(dir.path()));
  EXPECT_GT(bytes, 0u);
  EXPECT_THAT(FreeDiskBytes(dir.File("none")),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("none")));
}

TEST(CreateDirectoriesTest, MakesParentsAndAcceptsExisting) {
  TempDir dir;
  EXPECT_THAT(CreateDirectories(dir.File("a/b/c")), IsOk());
  EXPECT_THAT(CreateDirectories(dir.File("a/b/c")), IsOk());
  EXPECT_TRUE(std::filesystem::is_directory(dir.File("a/b/c")));
  Write(dir.File("file"), "x");
  EXPECT_FALSE(CreateDirectories(dir.File("file/below")).ok());
}

TEST(MappedFileTest, ShowsTheBytes) {
  TempDir dir;
  const std::string content(100000, 'm');
  Write(dir.File("f"), content);
  ASSERT_OK_AND_ASSIGN(const auto map, MappedFile::Open(dir.File("f")));
  EXPECT_EQ(map->bytes(), content);
  EXPECT_EQ(map->path(), dir.File("f"));
}

TEST(MappedFileTest, EmptyFileIsAnEmptyMap) {
  TempDir dir;
  Write(dir.File("f"), "");
  ASSERT_OK_AND_ASSIGN(const auto map, MappedFile::Open(dir.File("f")));
  EXPECT_TRUE(map->bytes().empty());
  map->Release(0, 0);
}

TEST(MappedFileTest, ReleasedBytesCanBeReadAgain) {
  TempDir dir;
  std::string content;
  for (int i = 0; i < 50000; ++i) content += std::to_string(i);
  Write(dir.File("f"), content);
  ASSERT_OK_AND_ASSIGN(const auto map, MappedFile::Open(dir.File("f")));
  // Aligned, unaligned, beyond the end: advisory in every case.
  map->Release(0, 8192);
  map->Release(1, 5000);
  map->Release(content.size() - 10, 1 << 20);
  EXPECT_EQ(map->bytes(), content);
}

TEST(MappedFileTest, RefusesDirectoriesAndMissingFiles) {
  TempDir dir;
  EXPECT_THAT(MappedFile::Open(dir.path()),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("not a regular file")));
  EXPECT_THAT(MappedFile::Open(dir.File("none")),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("none")));
}

}  // namespace
}  // namespace quantd::test
