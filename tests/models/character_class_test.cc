#include "models/tokenizers/character_class.h"

#include <string>

#include "gtest/gtest.h"

namespace quantd::test {
namespace {

TEST(CharacterClassTest, ClassesAreThoseOfUnicode) {
  for (const char32_t c : {U' ', U'\n', U'\u0085', U'\u00A0', U'\u3000'}) {
    EXPECT_TRUE(IsWhiteSpace(c)) << uint32_t{c};
  }
  EXPECT_FALSE(IsWhiteSpace(U'\u200B'));
  for (const char32_t c : {U'a', U'_', U'7', U'\u00E9', U'\u0301', U'\u24B6',
                           U'\u200D', U'\u4E2D'}) {
    EXPECT_TRUE(IsWordCharacter(c)) << uint32_t{c};
  }
  EXPECT_FALSE(IsWordCharacter(U'-'));
  EXPECT_FALSE(IsWordCharacter(U'\u00B2'));
  for (const char32_t c :
       {U'!', U'$', U'^', U'_', U'`', U'\u2026', U'\uFF0C'}) {
    EXPECT_TRUE(IsPunctuation(c)) << uint32_t{c};
  }
  EXPECT_FALSE(IsPunctuation(U'\u20AC'));
  for (const char32_t c : {U'0', U'\u0663', U'\u2167', U'\u00B2'}) {
    EXPECT_TRUE(IsNumeric(c)) << uint32_t{c};
  }
  EXPECT_TRUE(IsControlOrFormat(U'\u200B'));
  EXPECT_TRUE(IsControlOrFormat(U'\uE000'));
  EXPECT_FALSE(IsControlOrFormat(U'\u0378'));  // not assigned
  EXPECT_TRUE(IsNonspacingMark(U'\u0301'));
  EXPECT_FALSE(IsNonspacingMark(U'\u0903'));
  EXPECT_TRUE(IsMark(U'\u0903'));
  EXPECT_TRUE(IsBertIdeograph(U'\u4E2D'));
  EXPECT_FALSE(IsBertIdeograph(U'\u3042'));
}

TEST(CharacterClassTest, LooksAtTheCharacterAtAPlace) {
  const CharacterClass spaces(IsWhiteSpace);
  const std::string text = "a \xC2\xA0";
  size_t length = 0;
  EXPECT_FALSE(spaces.ContainsAt(text, 0, &length));
  EXPECT_TRUE(spaces.ContainsAt(text, 1, &length));
  EXPECT_EQ(length, 1u);
  EXPECT_TRUE(spaces.ContainsAt(text, 2, &length));
  EXPECT_EQ(length, 2u);
  EXPECT_EQ(PreviousCharacter(text, 4), 2u);
  EXPECT_EQ(FirstCharacter("\xC2\xA0x"), "\xC2\xA0");
  EXPECT_EQ(FirstCharacter(""), "");
}

}  // namespace
}  // namespace quantd::test
