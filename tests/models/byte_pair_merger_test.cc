#include "models/tokenizers/byte_pair_merger.h"

#include <map>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "models/tokenizers/byte_level.h"

namespace quantd::test {
namespace {

using Symbols = std::vector<int32_t>;
using Merges = std::map<std::pair<int32_t, int32_t>, std::pair<int, int32_t>>;

// The definition, word for word.
Symbols Oracle(const Merges& merges, Symbols symbols) {
  while (true) {
    size_t best = symbols.size();
    for (size_t i = 0; i + 1 < symbols.size(); ++i) {
      const auto merge = merges.find({symbols[i], symbols[i + 1]});
      if (merge == merges.end()) continue;
      if (best == symbols.size() ||
          merge->second.first <
              merges.at({symbols[best], symbols[best + 1]}).first) {
        best = i;
      }
    }
    if (best == symbols.size()) return symbols;
    symbols[best] = merges.at({symbols[best], symbols[best + 1]}).second;
    symbols.erase(symbols.begin() + static_cast<ptrdiff_t>(best) + 1);
  }
}

TEST(BytePairMergerTest, BothAlgorithmsFollowTheDefinition) {
  std::mt19937 random(11);
  for (int round = 0; round < 3000; ++round) {
    // Few symbols and many merges, among them pairs with one result.
    BytePairMerger merger;
    Merges merges;
    const int32_t symbols = 2 + static_cast<int32_t>(random() % 4);
    int32_t next = symbols;
    for (int rank = 0; rank < 12; ++rank) {
      const auto left = static_cast<int32_t>(random() % next);
      const auto right = static_cast<int32_t>(random() % next);
      if (merges.count({left, right}) != 0) continue;
      const int32_t merged =
          random() % 4 == 0 && next > symbols ? next - 1 : next++;
      merges[{left, right}] = {rank, merged};
      merger.AddMerge(left, right, rank, merged);
    }
    Symbols word(random() % (BytePairMerger::kScanLimit + 1));
    for (int32_t& symbol : word) {
      symbol = static_cast<int32_t>(random() % symbols);
    }
    const Symbols expected = Oracle(merges, word);
    Symbols by_scan = word;
    by_scan.resize(merger.RunByScan(absl::MakeSpan(by_scan)));
    EXPECT_EQ(by_scan, expected);
    Symbols by_heap = word;
    by_heap.resize(merger.RunByHeap(absl::MakeSpan(by_heap)));
    EXPECT_EQ(by_heap, expected);
  }
}

TEST(ByteLevelTest, TheAlphabetIsTheDocumentedOne) {
  EXPECT_EQ(ByteLevelSymbol('a'), "a");
  EXPECT_EQ(ByteLevelSymbol(' '), "\xC4\xA0");   // U+0120
  EXPECT_EQ(ByteLevelSymbol('\n'), "\xC4\x8A");  // U+010A
  EXPECT_EQ(ByteLevelSymbol(0), "\xC4\x80");     // U+0100
  EXPECT_EQ(ByteLevelSymbol(0x7F), "\xC4\xA1");  // U+0121
  EXPECT_EQ(ByteLevelSymbol(0xAD), "\xC5\x83");  // U+0143, the last one
  EXPECT_EQ(ByteLevelSymbol(0xFF), "\xC3\xBF");
}

TEST(ByteLevelTest, EveryByteSurvivesARoundTrip) {
  std::string bytes;
  std::string token;
  for (int byte = 0; byte < 256; ++byte) {
    bytes.push_back(static_cast<char>(byte));
    token += ByteLevelSymbol(static_cast<uint8_t>(byte));
  }
  EXPECT_EQ(BytesOfByteLevelToken(token), bytes);
  EXPECT_EQ(BytesOfByteLevelToken("a b"), std::nullopt);
  EXPECT_EQ(BytesOfByteLevelToken("\xC5\x84"), std::nullopt);  // U+0144
  EXPECT_EQ(BytesOfByteLevelToken("\xF0\x9F\x99\x82"), std::nullopt);
}

}  // namespace
}  // namespace quantd::test
