#include "base/utf8.h"

#include <cstdint>
#include <string>
#include <vector>

#include "gtest/gtest.h"

namespace quantd::test {
namespace {

TEST(Utf8Test, EveryCodePointSurvivesARoundTrip) {
  for (char32_t c = 0; c < 0x110000; ++c) {
    std::string text;
    AppendUtf8(c, &text);
    const bool surrogate = c >= 0xD800 && c <= 0xDFFF;
    ASSERT_EQ(IsValidUtf8(text), !surrogate) << static_cast<uint32_t>(c);
    size_t length = 0;
    ASSERT_TRUE(DecodeUtf8(text, 0, &length) == c) << static_cast<uint32_t>(c);
    ASSERT_EQ(length, text.size());
  }
}

TEST(Utf8Test, ReportsAndReplacesEachInvalidPart) {
  // Text, length of its valid prefix, with each invalid part replaced.
  struct Row {
    std::string text;
    size_t valid;
    std::string replaced;
  };
  const std::string r = "\xEF\xBF\xBD";
  const std::vector<Row> rows = {
      {"", 0, ""},
      {"0123456789abcdef\x80", 16, "0123456789abcdef" + r},
      {"a\xC3", 1, "a" + r},
      {"\xC0\x80", 0, r + r},                  // overlong
      {"\xE0\x9F\xBF", 0, r + r + r},          // overlong
      {"\xED\xA0\x80", 0, r + r + r},          // surrogate
      {"\xF4\x90\x80\x80", 0, r + r + r + r},  // above U+10FFFF
      {"x\xE2\x82y", 1, "x" + r + "y"},        // cut short: one part
      {"\xF0\x9F\x99", 0, r},                  // cut short at the end
      {"\xF5\xFF"
       "ok",
       0, r + r + "ok"},
  };
  for (const Row& row : rows) {
    EXPECT_EQ(ValidUtf8Prefix(row.text), row.valid) << row.text;
    EXPECT_EQ(ReplaceInvalidUtf8(row.text), row.replaced);
  }
}

TEST(Utf8Test, EscapesNothingButInvalidBytes) {
  EXPECT_EQ(EscapeInvalidUtf8("plain \\x \n \xC3\xA9"),
            "plain \\x \n \xC3\xA9");
  EXPECT_EQ(EscapeInvalidUtf8("a\xFF"
                              "b\xE2\x82"
                              "c\xC3"),
            "a\\xff"
            "b\\xe2\\x82"
            "c\\xc3");
  for (int first = 0; first < 256; ++first) {
    for (int second = 0; second < 256; ++second) {
      const std::string text = {static_cast<char>(first),
                                static_cast<char>(second)};
      const std::string escaped = EscapeInvalidUtf8(text);
      EXPECT_TRUE(IsValidUtf8(escaped)) << first << " " << second;
      EXPECT_EQ(escaped == text, IsValidUtf8(text)) << first << " " << second;
    }
  }
}

TEST(Utf8Test, CutsBetweenCharacters) {
  const std::string text = "a\xC3\xA9\xF0\x9F\x99\x82";
  const size_t kept[] = {0, 1, 1, 3, 3, 3, 3, 7, 7};
  for (size_t most = 0; most < std::size(kept); ++most) {
    EXPECT_EQ(CutUtf8(text, most), text.substr(0, kept[most])) << most;
  }
}

}  // namespace
}  // namespace quantd::test
