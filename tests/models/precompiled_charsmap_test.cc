#include "models/tokenizers/precompiled_charsmap.h"

#include <string>
#include <utility>
#include <vector>

#include "tests/testing/status_matchers.h"

namespace quantd::test {
namespace {

std::string Uint32(uint32_t value) {
  std::string bytes;
  for (int i = 0; i < 4; ++i)
    bytes.push_back(static_cast<char>(value >> 8 * i));
  return bytes;
}

// A trie of the keys "a", "ab" and "\xC3\xA9", laid out by hand: the children
// of the root are around 256, those of "a" around 512, of "\xC3" around 768.
std::string Charsmap(const std::string& strings, uint32_t a, uint32_t ab,
                     uint32_t e_acute) {
  constexpr uint32_t kEndsKey = 1 << 8;
  constexpr uint32_t kIsValue = uint32_t{1} << 31;
  std::vector<uint32_t> units(1024, 0);
  const auto place = [&units](uint32_t node, uint32_t label, uint32_t children,
                              uint32_t flags) {
    units[node] = label | flags | (node ^ children) << 10;
  };
  place(0, 0, 256, 0);
  place(256 ^ 'a', 'a', 512, kEndsKey);
  units[512] = kIsValue | a;
  place(512 ^ 'b', 'b', 600, kEndsKey);
  units[600] = kIsValue | ab;
  place(256 ^ 0xC3, 0xC3, 768, 0);
  place(768 ^ 0xA9, 0xA9, 1000, kEndsKey);
  units[1000] = kIsValue | e_acute;
  std::string bytes = Uint32(static_cast<uint32_t>(units.size() * 4));
  for (const uint32_t unit : units) bytes += Uint32(unit);
  return bytes + strings;
}

std::string Found(const std::optional<PrecompiledCharsmap::Rule>& rule) {
  if (!rule) return "none";
  return std::to_string(rule->length) + ":" + std::string(rule->replacement);
}

TEST(PrecompiledCharsmapTest, FindsTheShortestAndTheLongestKey) {
  ASSERT_OK_AND_ASSIGN(const auto charsmap,
                       PrecompiledCharsmap::Parse(
                           Charsmap(std::string("X\0YZ\0e\0", 7), 0, 2, 5)));
  EXPECT_EQ(Found(charsmap.Shortest("abc")), "1:X");
  EXPECT_EQ(Found(charsmap.Longest("abc")), "2:YZ");
  EXPECT_EQ(Found(charsmap.Longest("ac")), "1:X");
  EXPECT_EQ(Found(charsmap.Longest("\xC3\xA9")), "2:e");
  EXPECT_EQ(Found(charsmap.Longest("\xC3\xA8")), "none");
  EXPECT_EQ(Found(charsmap.Longest("")), "none");
  EXPECT_EQ(Found(charsmap.Longest("b")), "none");
  EXPECT_TRUE(charsmap.MayBeginWith('a'));
  EXPECT_FALSE(charsmap.MayBeginWith('b'));
}

TEST(PrecompiledCharsmapTest, NoBytesAreNoRules) {
  ASSERT_OK_AND_ASSIGN(const auto charsmap, PrecompiledCharsmap::Parse(""));
  EXPECT_TRUE(charsmap.empty());
  EXPECT_EQ(Found(charsmap.Longest("a")), "none");
  EXPECT_FALSE(charsmap.MayBeginWith('a'));
}

TEST(PrecompiledCharsmapTest, BrokenLinksFindNothing) {
  // Values past the strings, and inside of a character.
  ASSERT_OK_AND_ASSIGN(const auto charsmap,
                       PrecompiledCharsmap::Parse(Charsmap(
                           std::string("\xC3\xA9\0", 3), 1000000, 1, 2)));
  EXPECT_EQ(Found(charsmap.Longest("ab")), "none");
  EXPECT_EQ(Found(charsmap.Longest("\xC3\xA9")), "2:");
  // A root whose children lie past the end.
  ASSERT_OK_AND_ASSIGN(const auto outside,
                       PrecompiledCharsmap::Parse(Uint32(4) + Uint32(~0u)));
  EXPECT_EQ(Found(outside.Longest("ab")), "none");
}

}  // namespace
}  // namespace quantd::test
