#include "client/svg_text.h"

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace quantd::test {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

TEST(SvgTextTest, EscapingKeepsUnicodeAndReplacesWhatIsNone) {
  EXPECT_EQ(XmlEscape("\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80"),
            "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80");
  // Overlong, a surrogate, cut off, and a character that is none.
  EXPECT_THAT(XmlEscape("\xc0\x80"), Not(HasSubstr("\xc0")));
  EXPECT_THAT(XmlEscape("\xed\xa0\x80"), Not(HasSubstr("\xed")));
  EXPECT_EQ(XmlEscape("\xe2\x82"), "\xef\xbf\xbd\xef\xbf\xbd");
  EXPECT_THAT(XmlEscape("\xef\xbf\xbf"), Not(HasSubstr("\xef\xbf\xbf")));
}

TEST(SvgTextTest, WidthsGrowWithTheTextAndTheSize) {
  EXPECT_EQ(TextWidth("", 12), 0);
  EXPECT_LT(TextWidth("ill", 12), TextWidth("abc", 12));
  EXPECT_LT(TextWidth("abc", 12), TextWidth("WWW", 12));
  EXPECT_EQ(TextWidth("abc", 24), 2 * TextWidth("abc", 12));
  // A character, not its bytes; bytes that are none count one by one.
  EXPECT_EQ(TextWidth("\xe2\x82\xac", 10), 10);
  EXPECT_GT(TextWidth("\xff\xff", 10), 10);
}

TEST(SvgTextTest, WhatFitsStaysAndWhatDoesNotKeepsItsEnds) {
  EXPECT_EQ(FittedText("bits per weight", 12, 1000), "bits per weight");
  const std::string text = "a-model-with-a-very-long-name: KL by bits";
  const std::string fitted = FittedText(text, 10, 100);
  EXPECT_LE(TextWidth(fitted, 10), 100);
  EXPECT_GT(TextWidth(fitted, 10), 80);
  EXPECT_THAT(fitted, StartsWith("a-mod"));
  EXPECT_THAT(fitted, HasSubstr("\xe2\x80\xa6"));
  EXPECT_THAT(fitted, EndsWith("bits"));
  EXPECT_EQ(FittedText(text, 10, 1), "");
}

}  // namespace
}  // namespace quantd::test
