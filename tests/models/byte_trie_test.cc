#include "models/tokenizers/byte_trie.h"

#include <map>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace quantd::test {
namespace {

using ::testing::ElementsAre;
using ::testing::Pair;

std::vector<std::pair<size_t, int32_t>> Matches(const ByteTrie& trie,
                                                const std::string& text,
                                                size_t pos = 0) {
  std::vector<std::pair<size_t, int32_t>> matches;
  trie.VisitMatches(text, pos, [&](size_t length, int32_t value) {
    matches.emplace_back(length, value);
  });
  return matches;
}

TEST(ByteTrieTest, FindsEveryKeyThatBeginsAtAPlace) {
  const ByteTrie trie({{"abc", 3}, {"a", 1}, {"ab", 2}, {"b", 4}});
  EXPECT_THAT(Matches(trie, "abcd"),
              ElementsAre(Pair(1, 1), Pair(2, 2), Pair(3, 3)));
  EXPECT_THAT(Matches(trie, "xab", 1), ElementsAre(Pair(1, 1), Pair(2, 2)));
  EXPECT_THAT(Matches(trie, "x"), ElementsAre());
  EXPECT_THAT(Matches(trie, ""), ElementsAre());
  EXPECT_EQ(trie.Longest("abd", 0).length, 2u);
  EXPECT_EQ(trie.Longest("c", 0).length, 0u);
  EXPECT_TRUE(trie.MayBeginWith('a'));
  EXPECT_FALSE(trie.MayBeginWith('c'));
}

TEST(ByteTrieTest, MayBeEmpty) {
  EXPECT_THAT(Matches(ByteTrie(), std::string("\0\xFF", 2)), ElementsAre());
  EXPECT_THAT(Matches(ByteTrie({{"", 5}}), "a"), ElementsAre());
  EXPECT_FALSE(ByteTrie().MayBeginWith(0));
}

TEST(ByteTrieTest, TheLastOfEqualKeysCounts) {
  EXPECT_THAT(Matches(ByteTrie({{"a", 1}, {"a", 2}}), "a"),
              ElementsAre(Pair(1, 2)));
}

TEST(ByteTrieTest, TakesAnyBytes) {
  const std::string zero(1, '\0');
  const std::string high = "\xFF\xFE";
  const ByteTrie trie({{zero, 0}, {high, 1}});
  EXPECT_THAT(Matches(trie, zero), ElementsAre(Pair(1, 0)));
  EXPECT_THAT(Matches(trie, high), ElementsAre(Pair(2, 1)));
}

TEST(ByteTrieTest, AgreesWithAMapOnRandomKeys) {
  std::mt19937 random(3);
  std::map<std::string, int32_t> expected;
  for (int32_t i = 0; i < 5000; ++i) {
    std::string key;
    const size_t length = 1 + random() % 6;
    // Few letters near the root, all bytes further down.
    for (size_t k = 0; k < length; ++k) {
      key.push_back(
          static_cast<char>(k < 3 ? 'a' + random() % 4 : random() % 256));
    }
    expected[key] = i;
  }
  std::vector<ByteTrie::Key> keys(expected.begin(), expected.end());
  std::shuffle(keys.begin(), keys.end(), random);
  const ByteTrie trie(std::move(keys));
  for (const auto& [key, value] : expected) {
    const std::string text = key + "tail";
    const auto matches = Matches(trie, text);
    for (const auto& [length, found] : matches) {
      ASSERT_EQ(expected.at(text.substr(0, length)), found);
    }
    size_t count = 0;
    for (size_t length = 1; length <= text.size(); ++length) {
      count += expected.count(text.substr(0, length));
    }
    EXPECT_EQ(matches.size(), count) << value;
  }
}

}  // namespace
}  // namespace quantd::test
