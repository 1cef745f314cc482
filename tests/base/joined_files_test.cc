#include "base/joined_files.h"

#include <bzlib.h>

#include <string>
#include <vector>

#include "base/file.h"
#include "gmock/gmock.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_dir.h"

namespace quantd::test {
namespace {

using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::HasSubstr;

constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;

std::string Compressed(std::string text) {
  std::vector<char> bytes(text.size() + 1000);
  unsigned int size = static_cast<unsigned int>(bytes.size());
  EXPECT_EQ(
      BZ2_bzBuffToBuffCompress(bytes.data(), &size, text.data(),
                               static_cast<unsigned int>(text.size()), 1, 0, 0),
      BZ_OK);
  return std::string(bytes.data(), size);
}

class JoinedFilesTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_THAT(CreateDirectories(folder_.File("set")), IsOk());
    Write("b_x.jsonl", "{\"n\": 2}");
    Write("a_x.jsonl", "{\"n\": 1}");
    Write("a_y.json", "{\"n\": 3}");
  }

  void Write(const std::string& name, const std::string& content) {
    ASSERT_THAT(WriteFileDurably(folder_.File("set/" + name), content), IsOk());
  }

  absl::StatusOr<std::vector<std::string>> Find(const std::string& pattern) {
    return FindFiles(folder_.path(), pattern);
  }

  std::string Joined(const std::string& pattern) {
    const auto content = ReadJoined(*Find(pattern), FileHead::kNone);
    EXPECT_THAT(content, IsOk());
    return content.value_or("");
  }

  const TempDir folder_;
};

TEST_F(JoinedFilesTest, FilesOfAPatternAreReadAsOne) {
  EXPECT_THAT(*Find("set/*_x.jsonl"), ElementsAre(EndsWith("set/a_x.jsonl"),
                                                  EndsWith("set/b_x.jsonl")));
  EXPECT_EQ(Joined("set/*_x.jsonl"), "{\"n\": 1}\n{\"n\": 2}");
  EXPECT_EQ(Joined("set/a_y.json"), "{\"n\": 3}");
  EXPECT_EQ(Joined("set/a*.json"), "{\"n\": 3}");
  EXPECT_THAT(*Find("set/*a*_*x*"), ElementsAre(EndsWith("set/a_x.jsonl")));
}

TEST_F(JoinedFilesTest, WhatIsNotThereIsNamed) {
  for (const char* pattern : {"set/*.csv", "other/*", "other/x", "set", ""}) {
    EXPECT_THAT(Find(pattern), StatusIs(absl::StatusCode::kNotFound,
                                        HasSubstr(std::string("/") + pattern)));
  }
}

TEST_F(JoinedFilesTest, HiddenFilesAreNamedByTheirDot) {
  Write(".c_x.jsonl", "");
  EXPECT_EQ(Find("set/*_x.jsonl")->size(), 2u);
  EXPECT_THAT(*Find("set/.*_x.jsonl"), ElementsAre(EndsWith("set/.c_x.jsonl")));
}

TEST_F(JoinedFilesTest, WhatCannotBePutTogetherIsRefused) {
  Write("a.csv", "a\n1\n");
  Write("b.csv", "a\n2\n");
  EXPECT_THAT(ReadJoined(*Find("set/*.csv"), FileHead::kColumnNames),
              StatusIs(kInvalid, HasSubstr("several files")));
  EXPECT_EQ(*ReadJoined(*Find("set/a.csv"), FileHead::kColumnNames), "a\n1\n");
  EXPECT_EQ(*ReadJoined(*Find("set/*_x.jsonl"), FileHead::kColumnNames),
            "{\"n\": 1}\n{\"n\": 2}");
  Write("c_x.jsonl", " [{\"n\": 3}]");
  EXPECT_THAT(ReadJoined(*Find("set/*_x.jsonl"), FileHead::kNone),
              StatusIs(kInvalid, HasSubstr("c_x.jsonl")));
}

TEST_F(JoinedFilesTest, CompressedFilesAreJoinedDecompressed) {
  Write("b_x.jsonl", Compressed("{\"n\": 2}\n"));
  Write("c_x.jsonl", "{\"n\": 3}");
  EXPECT_EQ(Joined("set/*_x.jsonl"), "{\"n\": 1}\n{\"n\": 2}\n{\"n\": 3}");
  EXPECT_EQ(Joined("set/b*"), Compressed("{\"n\": 2}\n"));
}

}  // namespace
}  // namespace quantd::test
