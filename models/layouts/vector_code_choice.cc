#include "models/layouts/vector_code_choice.h"

#include <algorithm>
#include <cstddef>
#include <limits>
#include <utility>

#include "absl/container/inlined_vector.h"
#include "absl/types/span.h"
#include "models/layouts/vector_blocks.h"

namespace quantd {
namespace {

using CodeList = absl::InlinedVector<uint32_t, 4>;

// The codes whose entries are nearest to what one block is to become.
class BlockSearch {
 public:
  // `target` has a value for every weight of the block, in their order.
  BlockSearch(const CodebookGroup& group, absl::Span<const float> target)
      : codebooks_(group.codebooks),
        dimension_(static_cast<size_t>(group.vector_rows * group.vector_cols)),
        target_(target) {}

  // The next weight of the block: its entry, and the scale of its row.
  void Add(int64_t entry, float scale) {
    entries_.push_back(static_cast<size_t>(entry));
    scales_.push_back(scale);
    rest_.push_back(0);
  }

  // CodeChoice::Nearest() for a block that has `codes`.
  CodeList Nearest(CodeList codes) {
    float distance = 0;
    if (codebooks_.size() == 1) {
      codes[0] = BestOf(0, codes, &distance);
      return codes;
    }
    if (codebooks_.size() == 2 && Combinations() <= CodeChoice::kExactPairs) {
      return NearestPair(std::move(codes));
    }
    return Descend(std::move(codes));
  }

  // What the weights become with `codes`.
  absl::InlinedVector<float, 8> WeightsOf(const CodeList& codes) const {
    absl::InlinedVector<float, 8> weights;
    for (size_t i = 0; i < entries_.size(); ++i) {
      float sum = 0;
      for (size_t s = 0; s < codebooks_.size(); ++s) {
        sum += Centroid(s, codes[s])[entries_[i]];
      }
      weights.push_back(scales_[i] * sum);
    }
    return weights;
  }

 private:
  const float* Centroid(size_t s, size_t code) const {
    return codebooks_[s].entries.data() + code * dimension_;
  }

  size_t CodeCount(size_t s) const {
    return size_t{1} << codebooks_[s].index_bits;
  }

  int64_t Combinations() const {
    int bits = 0;
    for (const IndexedCodebook& book : codebooks_) bits += book.index_bits;
    return int64_t{1} << bits;
  }

  CodeList NearestPair(CodeList best) {
    float least = std::numeric_limits<float>::infinity();
    CodeList codes = best;
    for (size_t second = 0; second < CodeCount(1); ++second) {
      codes[1] = static_cast<uint32_t>(second);
      float distance = 0;
      codes[0] = BestOf(0, codes, &distance);
      if (distance < least) {
        least = distance;
        best = codes;
      }
    }
    return best;
  }

  // Each step lowers the distance, or none does.
  CodeList Descend(CodeList codes) {
    for (bool changed = true; changed;) {
      changed = false;
      float before = Distance(codes);
      for (size_t s = 0; s < codebooks_.size(); ++s) {
        float distance = 0;
        const uint32_t found = BestOf(s, codes, &distance);
        if (!(distance < before)) continue;
        changed = changed || codes[s] != found;
        codes[s] = found;
        before = distance;
      }
    }
    return codes;
  }

  // The best code of codebook s for what the others leave to it, and its
  // distance.
  uint32_t BestOf(size_t s, const CodeList& codes, float* least) {
    const size_t weights = entries_.size();
    for (size_t i = 0; i < weights; ++i) {
      rest_[i] = target_[i];
      for (size_t o = 0; o < codebooks_.size(); ++o) {
        if (o != s) rest_[i] -= scales_[i] * Centroid(o, codes[o])[entries_[i]];
      }
    }
    const size_t* const entries = entries_.data();
    const float* const scales = scales_.data();
    const float* const rest = rest_.data();
    uint32_t found = 0;
    *least = std::numeric_limits<float>::infinity();
    const size_t count = CodeCount(s);
    for (size_t code = 0; code < count; ++code) {
      const float* const values = Centroid(s, code);
      float distance = 0;
      for (size_t i = 0; i < weights; ++i) {
        const float d = rest[i] - scales[i] * values[entries[i]];
        distance += d * d;
      }
      if (distance < *least) {
        *least = distance;
        found = static_cast<uint32_t>(code);
      }
    }
    return found;
  }

  // In the layer's own units.
  float Distance(const CodeList& codes) const {
    float distance = 0;
    for (size_t i = 0; i < entries_.size(); ++i) {
      float d = target_[i];
      for (size_t s = 0; s < codes.size(); ++s) {
        d -= scales_[i] * Centroid(s, codes[s])[entries_[i]];
      }
      distance += d * d;
    }
    return distance;
  }

  const absl::Span<const IndexedCodebook> codebooks_;
  const size_t dimension_;
  const absl::Span<const float> target_;
  // Of the weights, which are those entries of the block that lie inside the
  // layer.
  absl::InlinedVector<size_t, 8> entries_;
  absl::InlinedVector<float, 8> scales_;
  absl::InlinedVector<float, 8> rest_;
};

class VectorCodeChoice final : public CodeChoice {
 public:
  VectorCodeChoice(
      VectorCodebookWeights weights, std::vector<std::vector<int64_t>> columns,
      const StoredParameters& trained,
      std::function<absl::StatusOr<std::shared_ptr<const CompressedLinear>>(
          const VectorCodebookWeights&)>
          store)
      : w_(std::move(weights)),
        columns_(std::move(columns)),
        scales_(trained.scales),
        store_(std::move(store)) {
    const float* entry = trained.table.data();
    for (size_t g = 0; g < w_.groups.size(); ++g) {
      CodebookGroup& group = w_.groups[g];
      first_.push_back(units_);
      blocks_.emplace_back(w_.rows, static_cast<int64_t>(columns_[g].size()),
                           group.vector_rows, group.vector_cols);
      units_ += blocks_.back().count();
      for (IndexedCodebook& book : group.codebooks) {
        std::copy_n(entry, book.entries.size(), book.entries.begin());
        entry += book.entries.size();
      }
    }
  }

  int64_t units() const override { return units_; }

  void Places(int64_t unit, PlaceList* places) const override {
    const size_t g = GroupOf(unit);
    places->clear();
    blocks_[g].ForEachWeight(
        unit - first_[g], [&](int64_t row, int64_t column, int64_t /*entry*/) {
          places->push_back(row * w_.cols +
                            columns_[g][static_cast<size_t>(column)]);
        });
  }

  CodeList CodesOf(int64_t unit) const override {
    const size_t g = GroupOf(unit);
    CodeList codes;
    for (const IndexedCodebook& book : w_.groups[g].codebooks) {
      codes.push_back(book.codes[static_cast<size_t>(unit - first_[g])]);
    }
    return codes;
  }

  Candidate Nearest(int64_t unit,
                    absl::Span<const float> target) const override {
    const size_t g = GroupOf(unit);
    BlockSearch search(w_.groups[g], target);
    blocks_[g].ForEachWeight(
        unit - first_[g], [&](int64_t row, int64_t /*column*/, int64_t entry) {
          search.Add(entry, scales_.size() == 0 ? 1.0f : scales_.data()[row]);
        });
    Candidate best;
    best.codes = search.Nearest(CodesOf(unit));
    best.weights = search.WeightsOf(best.codes);
    return best;
  }

  bool Choose(int64_t unit, absl::Span<const uint32_t> codes) override {
    const size_t g = GroupOf(unit);
    const size_t block = static_cast<size_t>(unit - first_[g]);
    bool others = false;
    for (size_t s = 0; s < codes.size(); ++s) {
      uint16_t& code = w_.groups[g].codebooks[s].codes[block];
      others = others || code != codes[s];
      code = static_cast<uint16_t>(codes[s]);
    }
    return others;
  }

  absl::StatusOr<std::shared_ptr<const CompressedLinear>> Finish()
      const override {
    return store_(w_);
  }

 private:
  size_t GroupOf(int64_t unit) const {
    size_t g = first_.size() - 1;
    while (first_[g] > unit) --g;
    return g;
  }

  VectorCodebookWeights w_;  // with the trained entries
  const std::vector<std::vector<int64_t>> columns_;
  const Tensor scales_;  // of rows, as trained; empty: all one
  const std::function<absl::StatusOr<std::shared_ptr<const CompressedLinear>>(
      const VectorCodebookWeights&)>
      store_;
  std::vector<VectorBlocks> blocks_;  // of every group
  std::vector<int64_t> first_;        // unit of every group
  int64_t units_ = 0;
};

}  // namespace

std::unique_ptr<CodeChoice> NewVectorCodeChoice(
    VectorCodebookWeights weights, std::vector<std::vector<int64_t>> columns,
    const StoredParameters& trained,
    std::function<absl::StatusOr<std::shared_ptr<const CompressedLinear>>(
        const VectorCodebookWeights&)>
        store) {
  return std::make_unique<VectorCodeChoice>(
      std::move(weights), std::move(columns), trained, std::move(store));
}

}  // namespace quantd
