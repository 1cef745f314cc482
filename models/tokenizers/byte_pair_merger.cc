#include "models/tokenizers/byte_pair_merger.h"

#include <algorithm>
#include <array>
#include <functional>
#include <limits>
#include <queue>

namespace quantd {
namespace {

constexpr uint32_t kNone = std::numeric_limits<uint32_t>::max();
constexpr int32_t kDead = -1;

}  // namespace

BytePairMerger::Merge BytePairMerger::Find(int32_t left, int32_t right) const {
  const auto place = merges_.find(Key(left, right));
  return place == merges_.end() ? Merge{kNoRank, kDead} : place->second;
}

size_t BytePairMerger::RunByScan(absl::Span<int32_t> symbols) const {
  size_t count = symbols.size();
  if (count < 2) return count;
  // pairs[i] is the merge of symbols i and i + 1.
  std::array<Merge, kScanLimit> pairs;
  for (size_t i = 0; i + 1 < count; ++i) {
    pairs[i] = Find(symbols[i], symbols[i + 1]);
  }
  while (count > 1) {
    size_t best = 0;
    for (size_t i = 1; i + 1 < count; ++i) {
      if (pairs[i].rank < pairs[best].rank) best = i;
    }
    if (pairs[best].rank == kNoRank) break;
    symbols[best] = pairs[best].merged;
    std::copy(symbols.begin() + best + 2, symbols.begin() + count,
              symbols.begin() + best + 1);
    std::copy(pairs.begin() + best + 1, pairs.begin() + count - 1,
              pairs.begin() + best);
    --count;
    if (best > 0) {
      pairs[best - 1] = Find(symbols[best - 1], symbols[best]);
    }
    if (best + 1 < count) {
      pairs[best] = Find(symbols[best], symbols[best + 1]);
    }
  }
  return count;
}

size_t BytePairMerger::RunByHeap(absl::Span<int32_t> symbols) const {
  const auto count = static_cast<uint32_t>(symbols.size());
  if (count < 2) return count;
  std::vector<uint32_t> previous(count);
  std::vector<uint32_t> next(count);
  // Rank above position: the smallest is the leftmost of the lowest rank. An
  // entry is stale when its pair has changed since; ranks tell, because each
  // belongs to one pair.
  std::priority_queue<uint64_t, std::vector<uint64_t>, std::greater<>> queue;
  const auto push = [&](uint32_t left, uint32_t right) {
    const int32_t rank = Find(symbols[left], symbols[right]).rank;
    if (rank != kNoRank) {
      queue.push(uint64_t{static_cast<uint32_t>(rank)} << 32 | left);
    }
  };
  for (uint32_t i = 0; i < count; ++i) {
    previous[i] = i == 0 ? kNone : i - 1;
    next[i] = i + 1 == count ? kNone : i + 1;
    if (i + 1 < count) push(i, i + 1);
  }
  while (!queue.empty()) {
    const auto rank = static_cast<int32_t>(queue.top() >> 32);
    const auto left = static_cast<uint32_t>(queue.top());
    queue.pop();
    if (symbols[left] == kDead || next[left] == kNone) continue;
    const uint32_t right = next[left];
    const Merge merge = Find(symbols[left], symbols[right]);
    if (merge.rank != rank) continue;
    symbols[left] = merge.merged;
    symbols[right] = kDead;
    next[left] = next[right];
    if (next[left] != kNone) {
      previous[next[left]] = left;
      push(left, next[left]);
    }
    if (previous[left] != kNone) push(previous[left], left);
  }
  const auto end = std::remove(symbols.begin(), symbols.end(), kDead);
  return static_cast<size_t>(end - symbols.begin());
}

}  // namespace quantd
