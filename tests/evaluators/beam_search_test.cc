#include "evaluators/beam_search.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <optional>
#include <random>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "tests/testing/status_matchers.h"

namespace quantd {
namespace {

using ::quantd::test::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

// Logits as a function of the tokens so far.
using Model = std::function<std::vector<float>(const std::vector<int32_t>&)>;

std::vector<Beam> Search(const Model& model, const BeamOptions& options) {
  EXPECT_TRUE(CheckBeamOptions(options).ok());
  BeamSearch search(options);
  std::vector<std::vector<int32_t>> sequences(1);
  while (true) {
    std::vector<float> values;
    for (const auto& tokens : sequences) {
      const std::vector<float> row = model(tokens);
      values.insert(values.end(), row.begin(), row.end());
    }
    const int64_t rows = static_cast<int64_t>(sequences.size());
    const int64_t cols = static_cast<int64_t>(values.size()) / rows;
    const BeamSearch::Step step =
        search.Advance(Tensor::FromValues({rows, cols}, values));
    if (step.tokens.empty()) return search.Finish();
    std::vector<std::vector<int32_t>> next;
    for (size_t i = 0; i < step.tokens.size(); ++i) {
      next.push_back(sequences[static_cast<size_t>(step.sources[i])]);
      next.back().push_back(step.tokens[i]);
    }
    sequences = std::move(next);
  }
}

// A fixed random language of `vocabulary` tokens with memory of two.
Model RandomLanguage(int vocabulary, uint64_t seed) {
  return [=](const std::vector<int32_t>& tokens) {
    uint64_t key = seed;
    for (size_t i = tokens.size() > 2 ? tokens.size() - 2 : 0;
         i < tokens.size(); ++i) {
      key = key * 1000003 + static_cast<uint64_t>(tokens[i]) + 1;
    }
    std::mt19937_64 engine(key);
    std::vector<float> logits;
    for (int v = 0; v < vocabulary; ++v) {
      logits.push_back(
          static_cast<float>(static_cast<double>(engine() >> 11) * 0x1p-52) *
          3);
    }
    return logits;
  };
}

TEST(BeamSearchTest, FullWidthFindsTheBestSequence) {
  const int vocabulary = 4;
  const Model model = RandomLanguage(vocabulary, 5);
  BeamOptions options;
  options.beams = 64;  // every prefix of three tokens
  options.max_new_tokens = 3;
  const std::vector<Beam> beams = Search(model, options);
  ASSERT_EQ(beams.size(), 64u);

  double best = -1e9;
  std::vector<int32_t> best_tokens;
  for (int code = 0; code < 64; ++code) {
    std::vector<int32_t> tokens;
    double sum = 0;
    for (int t = 0; t < 3; ++t) {
      const std::vector<float> logits = model(tokens);
      double total = 0;
      for (float v : logits) total += std::exp(double{v});
      tokens.push_back((code >> (2 * t)) & 3);
      sum += logits[static_cast<size_t>(tokens.back())] - std::log(total);
    }
    if (sum > best) {
      best = sum;
      best_tokens = tokens;
    }
  }
  EXPECT_EQ(beams[0].tokens, best_tokens);
  EXPECT_NEAR(beams[0].log_probability, best, 1e-9);
  // Together they are all sequences: their probabilities sum to one.
  double sum = 0;
  for (const Beam& beam : beams) sum += std::exp(beam.log_probability);
  EXPECT_NEAR(sum, 1, 1e-9);
}

TEST(BeamSearchTest, OneStepOfTwoGroupsPaysForTheEarlierChoice) {
  // p = (.5, .3, .2): without a price both groups pick token 0; with 0.6 the
  // second picks token 1, for ln .3 = -1.204 > ln .5 - .6 = -1.293.
  const Model model = [](const std::vector<int32_t>&) {
    return std::vector<float>{std::log(.5f), std::log(.3f), std::log(.2f)};
  };
  BeamOptions options;
  options.beams = options.groups = 2;
  options.max_new_tokens = 1;
  options.diversity = 0;
  std::vector<Beam> beams = Search(model, options);
  EXPECT_THAT(beams[0].tokens, ElementsAre(0));
  EXPECT_THAT(beams[1].tokens, ElementsAre(0));
  options.diversity = 0.6;
  beams = Search(model, options);
  EXPECT_THAT(beams[0].tokens, ElementsAre(0));
  EXPECT_THAT(beams[1].tokens, ElementsAre(1));
  EXPECT_NEAR(beams[1].log_probability, std::log(.3), 1e-6);
  options.diversity = 0.5;
  beams = Search(model, options);
  EXPECT_THAT(beams[1].tokens, ElementsAre(0));
  // The raw sum is kept beside the one with the price.
  EXPECT_NEAR(beams[1].log_probability - beams[1].score, 0.5, 1e-9);
}

TEST(BeamSearchTest, BestBeamIsThatOfAllGroups) {
  std::vector<Beam> beams(3);
  beams[0] = {{1, 2}, -4.0, -4.0, true, 9};
  beams[1] = {{1, 2, 3, 4, 5}, -6.0, -6.0, true, 9};
  beams[2] = {{7, 8}, -3.0, -4.0, true, 9};
  EXPECT_EQ(&BestBeam(beams, 0), &beams[0]) << "the first of equal scores";
  // -4 / 3 and -6 / 6.
  EXPECT_EQ(&BestBeam(beams, 1), &beams[1]);
  beams[2].score = -2.5;
  EXPECT_EQ(&BestBeam(beams, 0), &beams[2]);
}

TEST(BeamSearchTest, GroupsWithoutAPriceAreCopiesOfPlainBeamSearch) {
  const Model model = RandomLanguage(7, 9);
  BeamOptions plain;
  plain.beams = 3;
  plain.max_new_tokens = 6;
  const std::vector<Beam> expected = Search(model, plain);
  BeamOptions grouped = plain;
  grouped.beams = 6;
  grouped.groups = 2;
  grouped.diversity = 0;
  const std::vector<Beam> beams = Search(model, grouped);
  ASSERT_EQ(beams.size(), 6u);
  for (size_t i = 0; i < 6; ++i) {
    EXPECT_EQ(beams[i].tokens, expected[i % 3].tokens);
    EXPECT_DOUBLE_EQ(beams[i].log_probability, expected[i % 3].log_probability);
  }
}

TEST(BeamSearchTest, APriceMakesGroupsDiffer) {
  const Model model = RandomLanguage(7, 9);
  BeamOptions options;
  options.beams = options.groups = 4;
  options.max_new_tokens = 8;
  options.diversity = 2;
  const std::vector<Beam> beams = Search(model, options);
  std::map<std::vector<int32_t>, int> distinct;
  for (const Beam& beam : beams) ++distinct[beam.tokens];
  EXPECT_EQ(distinct.size(), 4u);
  // The first group is plain beam search with its share of the beams.
  BeamOptions greedy;
  greedy.max_new_tokens = 8;
  EXPECT_EQ(beams[0].tokens, Search(model, greedy)[0].tokens);
}

TEST(BeamSearchTest, StoppedBeamsKeepTheirScoreAndEndTheSearch) {
  // Token 0 ends a sequence and is always likely.
  const Model model = [](const std::vector<int32_t>&) {
    return std::vector<float>{std::log(.6f), std::log(.3f), std::log(.1f)};
  };
  BeamOptions options;
  options.beams = 2;
  options.max_new_tokens = 50;
  options.stop_tokens = {0};
  const std::vector<Beam> beams = Search(model, options);
  ASSERT_EQ(beams.size(), 2u);
  EXPECT_TRUE(beams[0].stopped);
  EXPECT_THAT(beams[0].tokens, ElementsAre());
  EXPECT_NEAR(beams[0].log_probability, std::log(.6), 1e-6);
  EXPECT_THAT(beams[1].tokens, ElementsAre(1));
  EXPECT_NEAR(beams[1].log_probability, std::log(.3 * .6), 1e-6);
}

// Complete with `end` behind each other.
std::function<bool(absl::Span<const int32_t>)> EndsIn(
    std::vector<int32_t> end) {
  return [end = std::move(end)](absl::Span<const int32_t> tokens) {
    return tokens.size() >= end.size() &&
           std::equal(end.rbegin(), end.rend(), tokens.rbegin());
  };
}

TEST(BeamSearchTest, CompleteBeamsKeepTheirTokensAndGrowNoFurther) {
  const Model model = [](const std::vector<int32_t>&) {
    return std::vector<float>{std::log(.6f), std::log(.3f), std::log(.1f)};
  };
  BeamOptions options;
  options.beams = 2;
  options.max_new_tokens = 50;
  options.is_complete = EndsIn({0, 0});
  const std::vector<Beam> beams = Search(model, options);
  ASSERT_EQ(beams.size(), 2u);
  for (const Beam& beam : beams) {
    EXPECT_TRUE(beam.stopped);
    EXPECT_EQ(beam.stop_token, std::nullopt);
    EXPECT_EQ(beam.scored_tokens(), beam.tokens.size());
  }
  EXPECT_THAT(beams[0].tokens, ElementsAre(0, 0));
  EXPECT_NEAR(beams[0].log_probability, std::log(.6 * .6), 1e-6);
  EXPECT_THAT(beams[1].tokens, ElementsAre(0, 1, 0, 0));
  EXPECT_NEAR(beams[1].log_probability, std::log(.6 * .3 * .6 * .6), 1e-6);
}

TEST(BeamSearchTest, ASequenceOfOneTokenEndsWhereTheStopTokenDoes) {
  const Model model = RandomLanguage(5, 3);
  for (const double length_penalty : {0.0, 1.0}) {
    BeamOptions by_token;
    by_token.beams = 4;
    by_token.groups = 2;
    by_token.max_new_tokens = 12;
    by_token.length_penalty = length_penalty;
    BeamOptions by_sequence = by_token;
    by_token.stop_tokens = {0};
    by_sequence.is_complete = EndsIn({0});
    const std::vector<Beam> expected = Search(model, by_token);
    const std::vector<Beam> beams = Search(model, by_sequence);
    ASSERT_EQ(beams.size(), expected.size());
    for (size_t b = 0; b < beams.size(); ++b) {
      std::vector<int32_t> tokens = expected[b].tokens;
      if (expected[b].stopped) tokens.push_back(0);
      EXPECT_EQ(beams[b].tokens, tokens);
      EXPECT_EQ(beams[b].stopped, expected[b].stopped);
      EXPECT_EQ(beams[b].score, expected[b].score);
      EXPECT_EQ(beams[b].log_probability, expected[b].log_probability);
      EXPECT_EQ(beams[b].scored_tokens(), expected[b].scored_tokens());
    }
  }
}

TEST(BeamSearchTest, LengthPenaltyFavoursLongerBeams) {
  const Model model = [](const std::vector<int32_t>& tokens) {
    // Stopping at once is likeliest; later tokens are nearly certain.
    return tokens.size() < 5 ? std::vector<float>{std::log(.2f), std::log(.8f)}
                             : std::vector<float>{0.0f, -50.0f};
  };
  BeamOptions options;
  options.beams = 2;
  options.max_new_tokens = 10;
  options.stop_tokens = {0};
  EXPECT_EQ(Search(model, options)[0].tokens.size(), 5u);
  options.length_penalty = -3;
  EXPECT_EQ(Search(model, options)[0].tokens.size(), 0u);
}

TEST(BeamSearchTest, RefusesWhatCannotBe) {
  BeamOptions options;
  options.beams = 4;
  options.groups = 3;
  EXPECT_THAT(
      CheckBeamOptions(options),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("beam_groups")));
  options.groups = 2;
  options.diversity = -1;
  EXPECT_THAT(CheckBeamOptions(options),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("beam_diversity")));
}

}  // namespace
}  // namespace quantd
