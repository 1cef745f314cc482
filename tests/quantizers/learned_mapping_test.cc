// Learned mappings begin where the solver ended, move weights between
// neighbouring entries and end in the layout they had.
#include "quantizers/learned_mapping.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "models/layouts/grouped_codebook.h"
#include "models/layouts/packed_int.h"
#include "models/layouts/row_codebook.h"
#include "quantizers/grids/codebook.h"
#include "quantizers/round_to_nearest.h"
#include "tensor/estimators.h"
#include "tensor/gradient_tape.h"
#include "tests/models/tunable_checks.h"
#include "tests/quantizers/random_matrices.h"
#include "tests/testing/status_matchers.h"

namespace quantd {
namespace {

using ::quantd::test::IsOk;
using ::quantd::test::RandomMatrix;
using ::quantd::test::SavedBytes;
using ::quantd::test::StatusIs;
using ::testing::ElementsAreArray;
using ::testing::HasSubstr;

constexpr int64_t kRows = 6;
constexpr int64_t kCols = 40;

// A layer with a table for every row, and one with a table for two of them.
class LearnedMappingTest : public testing::TestWithParam<uint32_t> {
 protected:
  std::shared_ptr<const CompressedLinear> Round(uint32_t bits) {
    v1::CodebookGrid options;
    options.set_bits(bits);
    options.set_row_groups(GetParam());
    LayerWork item;
    item.weight = w_;
    EXPECT_THAT(RoundToNearest(*NewCodebookGrid(options), {}, item, ctx_),
                IsOk());
    return item.compressed;
  }

  std::unique_ptr<TunableLinear> Make(const CompressedLinear& start) {
    return *NewLearnedMapping(start, w_, options_);
  }

  static bool grouped() { return GetParam() > 0; }

  static std::vector<uint8_t> CodesOf(const CompressedLinear& layer) {
    return grouped() ? UnpackGroupedCodebook(layer)->codes
                     : UnpackRowCodebook(layer)->codes;
  }

  // The table of a row.
  static std::vector<float> TableOf(const CompressedLinear& layer, int64_t r,
                                    int bits) {
    std::vector<float> all;
    int64_t table = r;
    if (grouped()) {
      const GroupedCodebookWeights w = *UnpackGroupedCodebook(layer);
      all = w.codebooks;
      table = w.row_groups[static_cast<size_t>(r)];
    } else {
      all = UnpackRowCodebook(layer)->codebook;
    }
    return {all.begin() + (table << bits), all.begin() + ((table + 1) << bits)};
  }

  // Gradients of sum(seed * weight).
  std::vector<Tensor> Gradients(const TunableLinear& tunable,
                                const std::vector<Tensor>& p,
                                const Tensor& seed) {
    GradientTape tape(ctx_);
    std::vector<Tensor> watched;
    for (const Tensor& t : p) watched.push_back(tape.Watch(t));
    const Tensor weight = tunable.Weight(watched, ctx_);
    EXPECT_THAT(tape.Backward({{weight, seed}}), IsOk());
    std::vector<Tensor> gradients;
    for (const Tensor& t : watched) gradients.push_back(tape.Gradient(t));
    return gradients;
  }

  const std::unique_ptr<Device> device_ = NewCpuDevice(2);
  ExecutionContext ctx_{device_.get()};
  LearnedOptions options_ = [] {
    LearnedOptions options;
    options.variable = v1::TuneStage::MAPPING;
    options.range_rate = 0.25;
    return options;
  }();
  const Tensor w_ = RandomMatrix(kRows, kCols, 3);
};

TEST_P(LearnedMappingTest, BeginsWithTheSolversLayer) {
  for (uint32_t bits = 1; bits <= 4; ++bits) {
    const auto layer = Round(bits);
    for (const bool learn_range : {false, true}) {
      options_.learn_range = learn_range;
      const auto tunable = Make(*layer);
      const std::vector<Tensor> p = tunable->Parameters();
      EXPECT_EQ(p.size(), learn_range ? (grouped() ? 3u : 2u) : 1u);
      EXPECT_EQ(tunable->LearningRateFactor(0), 1);
      EXPECT_EQ(tunable->LearningRateFactor(1), 0.25);
      ASSERT_OK_AND_ASSIGN(const auto frozen, tunable->Freeze(p, ctx_));
      EXPECT_EQ(SavedBytes(*frozen), SavedBytes(*layer)) << bits;
      EXPECT_THAT(tunable->Weight(p, ctx_).values(),
                  ElementsAreArray(layer->Decode(ctx_).values()));
    }
  }
}

// Also where the solver chose other entries than the nearest.
TEST_P(LearnedMappingTest, BeginsWithTheCodesOfAnySolver) {
  const auto nearest = Round(3);
  std::shared_ptr<const CompressedLinear> moved;
  if (grouped()) {
    GroupedCodebookWeights w = *UnpackGroupedCodebook(*nearest);
    for (size_t i = 0; i < w.codes.size(); i += 3) w.codes[i] ^= 5;
    ASSERT_OK_AND_ASSIGN(moved, NewGroupedCodebook(w));
  } else {
    RowCodebookWeights w = *UnpackRowCodebook(*nearest);
    for (size_t i = 0; i < w.codes.size(); i += 3) w.codes[i] ^= 5;
    ASSERT_OK_AND_ASSIGN(moved, NewRowCodebook(w));
  }
  const auto tunable = Make(*moved);
  ASSERT_OK_AND_ASSIGN(const auto frozen,
                       tunable->Freeze(tunable->Parameters(), ctx_));
  EXPECT_EQ(SavedBytes(*frozen), SavedBytes(*moved));
}

TEST_P(LearnedMappingTest, LogitsFallWithTheDistanceFromTheWeight) {
  const auto layer = Round(3);
  const Tensor logits = Make(*layer)->Parameters()[0];
  ASSERT_EQ(logits.shape(), (Shape{kRows * kCols, 8}));
  for (int64_t r = 0; r < kRows; ++r) {
    const std::vector<float> table = TableOf(*layer, r, 3);
    const float scale =
        grouped()
            ? UnpackGroupedCodebook(*layer)->scales[static_cast<size_t>(r)]
            : 1.0f;
    const float gap = (table[7] - table[0]) / 7;
    for (int64_t c = 0; c < kCols; ++c) {
      for (size_t k = 0; k < 8; ++k) {
        EXPECT_NEAR(logits.row(r * kCols + c)[k],
                    -std::abs(w_.row(r)[c] / scale - table[k]) / gap, 1e-4);
      }
    }
  }
}

TEST_P(LearnedMappingTest, TheWeightIsWhatIsFrozen) {
  const auto layer = Round(3);
  const auto tunable = Make(*layer);
  std::vector<Tensor> p = tunable->Parameters();
  for (size_t n = 0; n < p.size(); ++n) {
    const Tensor noise = RandomMatrix(1, p[n].size(), n + 5);
    for (int64_t i = 0; i < noise.size(); ++i) {
      p[n].data()[i] += (n == 0 ? 1.0f : 0.2f) * noise.data()[i];
    }
  }
  ASSERT_OK_AND_ASSIGN(const auto frozen, tunable->Freeze(p, ctx_));
  EXPECT_EQ(frozen->layout(), layer->layout());
  EXPECT_NE(CodesOf(*frozen), CodesOf(*layer));
  EXPECT_THAT(frozen->Decode(ctx_).values(),
              ElementsAreArray(tunable->Weight(p, ctx_).values()));
}

// In units of the parameters; the tables' rounding to binary16 aside.
TEST_P(LearnedMappingTest, EntriesAndScalesFollowTheChainRule) {
  const auto layer = Round(2);
  const auto tunable = Make(*layer);
  const std::vector<Tensor> p = tunable->Parameters();
  const Tensor seed = RandomMatrix(kRows, kCols, 7);
  const auto d = Gradients(*tunable, p, seed);
  const Tensor weight = tunable->Weight(p, ctx_);
  // The derivative of sum(seed * weight) by table entry (t, k) is the sum over
  // the weights that took it of seed * scale, times the table's mean gap.
  Tensor expected = Tensor::Zeros(p[1].shape());
  const std::vector<uint8_t> codes = CodesOf(*layer);
  for (int64_t r = 0; r < kRows; ++r) {
    const std::vector<float> table = TableOf(*layer, r, 2);
    const float gap = (table[3] - table[0]) / 3;
    int64_t t = r;
    float scale = 1;
    if (grouped()) {
      const GroupedCodebookWeights w = *UnpackGroupedCodebook(*layer);
      t = w.row_groups[static_cast<size_t>(r)];
      scale = w.scales[static_cast<size_t>(r)];
    }
    double by_scale = 0;
    for (int64_t c = 0; c < kCols; ++c) {
      expected.row(t)[codes[static_cast<size_t>(r * kCols + c)]] +=
          seed.row(r)[c] * scale * gap;
      by_scale += double{seed.row(r)[c]} * weight.row(r)[c];
    }
    if (grouped()) {
      EXPECT_NEAR(d[2].data()[r], by_scale, 1e-4);
    }
  }
  for (int64_t i = 0; i < expected.size(); ++i) {
    EXPECT_NEAR(d[1].data()[i], expected.data()[i], 1e-4);
  }
}

// One step of any length against the gradient, by the order of values.
TEST_P(LearnedMappingTest, AProximalStepLeadsToAnAdjacentEntryDownhill) {
  const auto layer = Round(3);
  options_.learn_range = false;
  const auto tunable = Make(*layer);
  const std::vector<Tensor> p = tunable->Parameters();
  const Tensor seed = RandomMatrix(kRows, kCols, 9);
  const auto d = Gradients(*tunable, p, seed);
  const std::vector<uint8_t> before = CodesOf(*layer);
  for (const float rate : {0.1f, 1.0f, 1000.0f}) {
    std::vector<Tensor> moved = {p[0].Clone()};
    for (int64_t i = 0; i < moved[0].size(); ++i) {
      moved[0].data()[i] -= rate * d[0].data()[i];
    }
    ASSERT_OK_AND_ASSIGN(const auto frozen, tunable->Freeze(moved, ctx_));
    const std::vector<uint8_t> after = CodesOf(*frozen);
    int changed = 0;
    for (size_t i = 0; i < after.size(); ++i) {
      if (after[i] == before[i]) continue;
      ++changed;
      // Tables of the solver are in order.
      EXPECT_EQ(after[i] - before[i], seed.data()[i] > 0 ? -1 : 1);
    }
    if (rate > 100) {
      EXPECT_GT(changed, kRows * kCols / 2);
    }
  }
}

TEST_P(LearnedMappingTest, TheRuleIsThatOfTheOptions) {
  const auto layer = Round(3);
  const Tensor seed = RandomMatrix(kRows, kCols, 11);
  int counts[2];
  for (const auto rule : {v1::TuneStage::PROXIMAL, v1::TuneStage::SOFTMAX}) {
    options_.mapping_rule = rule;
    const auto tunable = Make(*layer);
    const Tensor d = Gradients(*tunable, tunable->Parameters(), seed)[0];
    counts[rule == v1::TuneStage::SOFTMAX] = static_cast<int>(
        std::count_if(d.row(0), d.row(0) + 8, [](float v) { return v != 0; }));
  }
  EXPECT_LE(counts[0], 2);
  EXPECT_EQ(counts[1], 8);
}

TEST_P(LearnedMappingTest, WhatIsNotANumberIsNotStored) {
  const auto tunable = Make(*Round(2));
  for (size_t n = 0; n < tunable->Parameters().size(); ++n) {
    std::vector<Tensor> p = tunable->Parameters();
    p[n].data()[0] = std::nanf("");
    EXPECT_THAT(tunable->Freeze(p, ctx_),
                StatusIs(absl::StatusCode::kInvalidArgument, testing::_));
  }
}

TEST_P(LearnedMappingTest, OtherLayersAreRefused) {
  PackedIntWeights other;
  other.rows = 1;
  other.cols = 1;
  other.bits = 2;
  other.group_size = 1;
  other.symmetric = true;
  other.codes = {1};
  other.scales = {1};
  EXPECT_THAT(NewLearnedMapping(**NewPackedInt(other), w_, options_),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("MAPPING needs layout row-codebook.v1 or "
                                 "grouped-codebook.v1, not packed-int.v1")));
}

INSTANTIATE_TEST_SUITE_P(RowGroups, LearnedMappingTest,
                         testing::Values(0u, 3u));

}  // namespace
}  // namespace quantd
