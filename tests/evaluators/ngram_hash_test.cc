#include "evaluators/ngram_hash.h"

#include <set>
#include <string>
#include <vector>

#include "gtest/gtest.h"

namespace quantd {
namespace {

std::vector<uint64_t> Hashes(const std::vector<uint64_t>& units, size_t n) {
  std::vector<uint64_t> hashes;
  ForEachNgram(units, n, [&](uint64_t hash) { hashes.push_back(hash); });
  return hashes;
}

TEST(NgramHashTest, RollingIsTheHashOfEachNgramAlone) {
  std::vector<uint64_t> units;
  for (int i = 0; i < 50; ++i) units.push_back(HashOfToken(i * i % 7 - 3));
  for (size_t n : {1u, 2u, 13u, 50u}) {
    const std::vector<uint64_t> hashes = Hashes(units, n);
    ASSERT_EQ(hashes.size(), 51 - n);
    for (size_t i = 0; i < hashes.size(); ++i) {
      EXPECT_EQ(Hashes({units.begin() + i, units.begin() + i + n}, n),
                std::vector<uint64_t>{hashes[i]});
    }
  }
  EXPECT_TRUE(Hashes(units, 51).empty());
}

TEST(NgramHashTest, DifferentNgramsHaveDifferentHashes) {
  // All orders of two among 300 units: order matters, and so does each unit.
  std::vector<uint64_t> units;
  for (int i = 0; i < 300; ++i) units.push_back(HashOfWord(std::to_string(i)));
  std::set<uint64_t> hashes;
  for (uint64_t a : units) {
    for (uint64_t b : units) hashes.insert(Hashes({a, b}, 2)[0]);
  }
  EXPECT_EQ(hashes.size(), 90000u);
}

}  // namespace
}  // namespace quantd
