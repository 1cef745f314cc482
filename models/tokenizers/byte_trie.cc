#include "models/tokenizers/byte_trie.h"

#include <algorithm>
#include <deque>

namespace quantd {
namespace {

// Free slots tried for the children of one node before they go to the end:
// more would fill gaps better and build slower.
constexpr int kMaxTries = 64;

}  // namespace

// Lays the children of one node after the other, in breadth, so that the nodes
// near the root, which every search passes, lie close together.
class ByteTrie::Builder {
 public:
  // REQUIRES: `keys` are sorted.
  Builder(const std::vector<Key>& keys, std::vector<Slot>* slots)
      : keys_(keys), slots_(*slots) {}

  void Run() {
    Grow(kBytes);
    Take(0);
    std::deque<Range> open = {{0, 0, keys_.size(), 0}};
    while (!open.empty()) {
      const Range range = open.front();
      open.pop_front();
      Expand(range, &open);
    }
  }

 private:
  // The keys [begin, end) share their first `depth` bytes, which lead to
  // `node`.
  struct Range {
    size_t node;
    size_t begin;
    size_t end;
    size_t depth;
  };
  struct Child {
    uint8_t byte;
    size_t first_key;
  };
  // The free slots are a list in both directions.
  struct Link {
    size_t previous = kNone;
    size_t next = kNone;
    bool is_free = true;
  };
  static constexpr size_t kNone = static_cast<size_t>(-1);

  void Expand(Range range, std::deque<Range>* open) {
    // Shorter keys sort first.
    while (range.begin < range.end &&
           keys_[range.begin].first.size() == range.depth) {
      if (range.depth > 0) {
        slots_[range.node].value = keys_[range.begin].second;
      }
      ++range.begin;
    }
    if (range.begin == range.end) return;
    std::vector<Child> children;
    for (size_t i = range.begin; i < range.end; ++i) {
      const auto byte = static_cast<uint8_t>(keys_[i].first[range.depth]);
      if (children.empty() || children.back().byte != byte) {
        children.push_back({byte, i});
      }
    }
    const size_t base = FindBase(children);
    Grow(base + kBytes);
    slots_[range.node].base = static_cast<int32_t>(base);
    for (size_t c = 0; c < children.size(); ++c) {
      const size_t slot = base + children[c].byte;
      Take(slot);
      slots_[slot].parent = static_cast<int32_t>(range.node);
      const size_t end =
          c + 1 < children.size() ? children[c + 1].first_key : range.end;
      open->push_back({slot, children[c].first_key, end, range.depth + 1});
    }
  }

  size_t FindBase(const std::vector<Child>& children) const {
    const size_t lowest = children.front().byte;
    size_t slot = head_;
    for (int tries = 0; tries < kMaxTries && slot != kNone; ++tries) {
      if (slot >= lowest && Fits(slot - lowest, children)) return slot - lowest;
      slot = links_[slot].next;
    }
    return links_.size();
  }

  bool Fits(size_t base, const std::vector<Child>& children) const {
    return std::all_of(children.begin(), children.end(),
                       [&](const Child& child) {
                         const size_t slot = base + child.byte;
                         return slot >= links_.size() || links_[slot].is_free;
                       });
  }

  void Grow(size_t size) {
    while (links_.size() < size) {
      const size_t slot = links_.size();
      links_.push_back({tail_, kNone, true});
      (tail_ == kNone ? head_ : links_[tail_].next) = slot;
      tail_ = slot;
    }
    if (slots_.size() < size) slots_.resize(size);
  }

  void Take(size_t slot) {
    Link& link = links_[slot];
    link.is_free = false;
    (link.previous == kNone ? head_ : links_[link.previous].next) = link.next;
    (link.next == kNone ? tail_ : links_[link.next].previous) = link.previous;
  }

  const std::vector<Key>& keys_;
  std::vector<Slot>& slots_;
  std::vector<Link> links_;
  size_t head_ = kNone;
  size_t tail_ = kNone;
};

ByteTrie::ByteTrie(std::vector<Key> keys) {
  std::stable_sort(keys.begin(), keys.end(), [](const Key& a, const Key& b) {
    return a.first < b.first;
  });
  Builder(keys, &slots_).Run();
}

}  // namespace quantd
