#include "models/utf8.h"

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

}  // namespace
}  // namespace quantd::test
