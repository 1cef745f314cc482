#include "evaluators/scorer.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_dir.h"
#include "tests/testing/tiny_model.h"

namespace quantd {
namespace {

using ::quantd::test::StatusIs;
using ::quantd::test::TempDir;
using ::testing::_;
using ::testing::HasSubstr;

class ScorerTest : public testing::Test {
 protected:
  void Open(const test::TinyModelOptions& options) {
    test::WriteTinyModel(directory_.path(), options);
    ASSERT_OK_AND_ASSIGN(auto checkpoint, Checkpoint::Open(directory_.path()));
    ASSERT_OK_AND_ASSIGN(model_, Model::Open(checkpoint));
  }

  static std::vector<ScoreRequest> Windows(int count, int length) {
    std::vector<ScoreRequest> requests(static_cast<size_t>(count));
    const std::string text =
        test::TinyText(static_cast<size_t>(count * length));
    for (int w = 0; w < count; ++w) {
      for (int t = 0; t < length; ++t) {
        requests[w].tokens.push_back(text[w * length + t]);
      }
      requests[w].first_target = 1;
      requests[w].target_count = length - 1;
    }
    return requests;
  }

  // That share no beginning with Windows().
  static std::vector<ScoreRequest> OtherWindows(int count, int length) {
    std::vector<ScoreRequest> requests = Windows(count, length);
    for (ScoreRequest& request : requests) {
      std::reverse(request.tokens.begin(), request.tokens.end());
    }
    return requests;
  }

  absl::StatusOr<std::vector<std::vector<double>>> Score(
      const std::vector<ScoreRequest>& requests, int batch, int threads) {
    ScorerOptions options;
    options.prefixes.batch_tokens = batch * 24;
    return Score(requests, options, threads);
  }

  absl::StatusOr<std::vector<std::vector<double>>> Score(
      const std::vector<ScoreRequest>& requests, const ScorerOptions& options,
      int threads) {
    const auto device = NewCpuDevice(threads);
    ExecutionContext ctx(device.get());
    ASSIGN_OR_RETURN(Scorer scorer, Scorer::Load(*model_, options, ctx));
    std::vector<std::vector<double>> results(requests.size());
    double part = 0;
    RETURN_IF_ERROR(scorer.Score(
        requests, {},
        [&](size_t index, absl::Span<const TokenScore> scores) {
          EXPECT_TRUE(results[index].empty()) << "each request once";
          for (const TokenScore& score : scores) {
            results[index].push_back(score.nll);
          }
          return absl::OkStatus();
        },
        [&](double now) {
          EXPECT_GT(now, part);
          part = now;
        },
        ctx));
    EXPECT_DOUBLE_EQ(part, 1);
    spilled_bytes_ = scorer.spilled_bytes();
    return results;
  }

  TempDir directory_;
  std::unique_ptr<Model> model_;
  uint64_t spilled_bytes_ = 0;  // of the last Score()
};

TEST_F(ScorerTest, UniformModelScoresTheLogOfItsVocabulary) {
  test::TinyModelOptions options;
  options.head_scale = 0;
  Open(options);
  ASSERT_OK_AND_ASSIGN(const auto nll, Score(Windows(3, 16), 2, 1));
  for (const auto& window : nll) {
    ASSERT_EQ(window.size(), 15u);
    for (double v : window) {
      EXPECT_NEAR(v, std::log(double{test::kTinyVocabulary}), 1e-6);
    }
  }
}

TEST_F(ScorerTest, BatchSizeAndThreadsDoNotChangeABit) {
  Open({});
  const auto requests = Windows(7, 24);
  ASSERT_OK_AND_ASSIGN(const auto expected, Score(requests, 1, 1));
  for (int batch : {2, 3, 100}) {
    for (int threads : {1, 4}) {
      ASSERT_OK_AND_ASSIGN(const auto got, Score(requests, batch, threads));
      EXPECT_EQ(got, expected) << batch << " " << threads;
    }
  }
}

// Windows of two lengths, in memory, partly and wholly on disk, with the head
// kept and converted: all the same.
TEST_F(ScorerTest, LayerMajorGivesWhatBatchMajorGives) {
  Open({});
  auto requests = Windows(5, 24);
  for (auto& request : OtherWindows(3, 16)) requests.push_back(request);
  std::map<int, std::vector<std::vector<double>>> expected;  // by batch
  for (int batch : {1, 2, 100}) {
    ASSERT_OK_AND_ASSIGN(expected[batch], Score(requests, batch, 1));
  }
  ModelOptions streamed_head;
  streamed_head.max_head_bytes = 0;
  ASSERT_OK_AND_ASSIGN(
      model_, Model::Open(*Checkpoint::Open(directory_.path()), streamed_head));
  const uint64_t row_bytes = 32 * sizeof(float);
  const uint64_t rows = 5 * 23 + 3 * 15;
  ScorerOptions options;
  options.order = ScoringOrder::kLayerMajor;
  options.activations.directory = directory_.path();
  for (const uint64_t rows_in_memory : {rows, uint64_t{29}, uint64_t{0}}) {
    options.activations.memory_bytes = rows_in_memory * row_bytes;
    for (int batch : {1, 2, 100}) {
      for (int threads : {1, 2}) {
        options.prefixes.batch_tokens = batch * 24;
        ASSERT_OK_AND_ASSIGN(const auto got, Score(requests, options, threads));
        EXPECT_EQ(got, expected[batch]) << rows_in_memory << " " << batch;
        EXPECT_EQ(spilled_bytes_, (rows - rows_in_memory) * row_bytes);
      }
    }
  }
}

// What an interruption loses is one portion, and a run that goes on ends where
// one would have that was not interrupted.
TEST_F(ScorerTest, LayerMajorResultsComePortionByPortion) {
  Open({});
  const auto requests = Windows(9, 24);
  ScorerOptions options;
  options.order = ScoringOrder::kLayerMajor;
  options.prefixes.batch_tokens = 24;
  options.portion_rows = 2 * 23;
  ASSERT_OK_AND_ASSIGN(const auto expected, Score(requests, options, 1));
  const auto device = NewCpuDevice(1);
  ExecutionContext ctx(device.get());
  ASSERT_OK_AND_ASSIGN(Scorer scorer, Scorer::Load(*model_, options, ctx));
  std::vector<std::vector<double>> results(requests.size());
  std::vector<bool> known(requests.size());
  const auto keep = [&](size_t index, absl::Span<const TokenScore> scores) {
    for (const TokenScore& score : scores) results[index].push_back(score.nll);
    known[index] = true;
    return absl::OkStatus();
  };
  int steps = 0;
  // Of a portion: 2 batches through 2 blocks and the head. Stopped within the
  // third.
  EXPECT_THAT(scorer.Score(
                  requests, {}, keep,
                  [&](double) {
                    if (++steps == 15) ctx.RequestCancel();
                  },
                  ctx),
              StatusIs(absl::StatusCode::kCancelled, _));
  EXPECT_EQ(std::count(known.begin(), known.end(), true), 4);
  ExecutionContext again(device.get());
  const std::vector<bool> kept = known;
  double last = 0;
  ASSERT_TRUE(
      scorer
          .Score(
              requests, kept, keep, [&](double part) { last = part; }, again)
          .ok());
  EXPECT_DOUBLE_EQ(last, 1);
  EXPECT_EQ(scorer.tokens_run(), 5 * 23);
  EXPECT_EQ(results, expected);
}

// A vocabulary of two tiles, the second one cut.
TEST_F(ScorerTest, AVocabularyInTilesIsScoredAsAWhole) {
  test::TinyModelOptions tiny;
  tiny.hidden = 64;
  tiny.vocabulary = 150000;
  tiny.blocks = 1;
  Open(tiny);
  ASSERT_LT(LogitTileTokens(model_->description()), tiny.vocabulary);
  const auto device = NewCpuDevice(2);
  ExecutionContext ctx(device.get());
  std::vector<ScoreRequest> requests = Windows(2, 8);
  requests[1].tokens = {1, 140000, 2, 149999, 131072, 131071, 0, 3};
  ASSERT_OK_AND_ASSIGN(Scorer scorer, Scorer::Load(*model_, {}, ctx));
  ASSERT_OK_AND_ASSIGN(Scorer pair,
                       Scorer::LoadPair(*model_, *model_, {}, ctx));
  std::vector<std::vector<TargetDivergence>> whole(requests.size());
  ASSERT_TRUE(pair.ScorePair(
                      requests, {},
                      [&](size_t index, absl::Span<const TargetDivergence> t) {
                        whole[index].assign(t.begin(), t.end());
                        return absl::OkStatus();
                      },
                      [](double) {}, ctx)
                  .ok());
  size_t late = 0;
  ASSERT_TRUE(scorer
                  .Score(
                      requests, {},
                      [&](size_t index, absl::Span<const TokenScore> scores) {
                        for (size_t t = 0; t < scores.size(); ++t) {
                          const TargetDivergence& expected = whole[index][t];
                          EXPECT_NEAR(scores[t].nll, expected.candidate_nll,
                                      2e-6);
                          EXPECT_NEAR(scores[t].entropy,
                                      expected.candidate_entropy, 2e-5);
                          EXPECT_EQ(scores[t].top, expected.candidate_top);
                          if (scores[t].top >= 131072) ++late;
                        }
                        return absl::OkStatus();
                      },
                      [](double) {}, ctx)
                  .ok());
  EXPECT_GT(late, 0u);
}

TEST_F(ScorerTest, ActivationsThatHaveNoPlaceAreAnError) {
  Open({});
  ScorerOptions options;
  options.order = ScoringOrder::kLayerMajor;
  options.activations.memory_bytes = 0;
  options.activations.directory = directory_.File("absent");
  EXPECT_THAT(Score(Windows(1, 16), options, 1),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("absent")));
}

TEST_F(ScorerTest, OnlyEarlierTokensMatter) {
  Open({});
  auto requests = Windows(1, 16);
  ASSERT_OK_AND_ASSIGN(const auto before, Score(requests, 1, 1));
  requests[0].tokens[15] = 'z';
  requests[0].target_count = 14;
  ASSERT_OK_AND_ASSIGN(const auto after, Score(requests, 1, 1));
  for (size_t t = 0; t < 14; ++t) EXPECT_EQ(after[0][t], before[0][t]);
}

TEST_F(ScorerTest, ScoringPartOfAWindowGivesTheSameValuesToRounding) {
  Open({});
  auto requests = Windows(2, 16);
  ASSERT_OK_AND_ASSIGN(const auto all, Score(requests, 2, 1));
  for (auto& request : requests) {
    request.first_target = 9;
    request.target_count = 4;
  }
  ASSERT_OK_AND_ASSIGN(const auto part, Score(requests, 2, 1));
  for (size_t w = 0; w < 2; ++w) {
    ASSERT_EQ(part[w].size(), 4u);
    for (size_t t = 0; t < 4; ++t) {
      EXPECT_NEAR(part[w][t], all[w][t + 8], 2e-6);
    }
  }
}

TEST_F(ScorerTest, BadRequestsAreRefused) {
  Open({});
  auto requests = Windows(1, 16);
  requests[0].tokens[3] = test::kTinyVocabulary;
  EXPECT_THAT(Score(requests, 1, 1),
              StatusIs(absl::StatusCode::kOutOfRange, HasSubstr("256")));
  requests = Windows(1, 16);
  requests[0].target_count = 16;
  EXPECT_THAT(Score(requests, 1, 1),
              StatusIs(absl::StatusCode::kInvalidArgument, _));
}

TEST_F(ScorerTest, CancellationStopsBetweenBatches) {
  Open({});
  const auto device = NewCpuDevice(1);
  ExecutionContext ctx(device.get());
  ScorerOptions options;
  options.prefixes.batch_tokens = 16;
  ASSERT_OK_AND_ASSIGN(Scorer scorer, Scorer::Load(*model_, options, ctx));
  size_t scored = 0;
  const auto requests = Windows(10, 16);
  EXPECT_THAT(scorer.Score(
                  requests, {},
                  [&](size_t, absl::Span<const TokenScore>) {
                    if (++scored == 3) ctx.RequestCancel();
                    return absl::OkStatus();
                  },
                  [](double) {}, ctx),
              StatusIs(absl::StatusCode::kCancelled, _));
  EXPECT_EQ(scored, 3u);
}

class PairScorerTest : public ScorerTest {
 protected:
  void OpenPair(const test::TinyModelOptions& options,
                const test::TinyModelOptions& baseline) {
    Open(options);
    test::WriteTinyModel(baseline_directory_.path(), baseline);
    ASSERT_OK_AND_ASSIGN(auto checkpoint,
                         Checkpoint::Open(baseline_directory_.path()));
    ASSERT_OK_AND_ASSIGN(baseline_, Model::Open(checkpoint));
  }

  static test::TinyModelOptions OtherModel() {
    test::TinyModelOptions options;
    options.seed = 2;
    options.blocks = 3;
    options.hidden = 48;
    return options;
  }

  // All numbers of all targets.
  using Result = std::vector<std::vector<double>>;

  absl::StatusOr<Result> Compare(const std::vector<ScoreRequest>& requests,
                                 const ScorerOptions& options, int threads) {
    const auto device = NewCpuDevice(threads);
    ExecutionContext ctx(device.get());
    ASSIGN_OR_RETURN(Scorer scorer,
                     Scorer::LoadPair(*model_, *baseline_, options, ctx));
    std::vector<Result> by_request(requests.size());
    double part = 0;
    RETURN_IF_ERROR(scorer.ScorePair(
        requests, {},
        [&](size_t index, absl::Span<const TargetDivergence> targets) {
          EXPECT_TRUE(by_request[index].empty()) << "each request once";
          for (const TargetDivergence& t : targets) {
            by_request[index].push_back(
                {t.baseline_nll, t.candidate_nll, t.kl, t.reverse_kl, t.js,
                 t.baseline_entropy, t.candidate_entropy,
                 double(t.baseline_top), double(t.candidate_top),
                 t.baseline_confidence, t.candidate_confidence, t.top_overlap});
          }
          return absl::OkStatus();
        },
        [&](double now) {
          EXPECT_GT(now, part);
          part = now;
        },
        ctx));
    EXPECT_DOUBLE_EQ(part, 1);
    spilled_bytes_ = scorer.spilled_bytes();
    Result results;
    for (const Result& request : by_request) {
      results.insert(results.end(), request.begin(), request.end());
    }
    return results;
  }

  TempDir baseline_directory_;
  std::unique_ptr<Model> baseline_;
};

TEST_F(PairScorerTest, AModelBesideItselfHasNoDivergence) {
  OpenPair({}, {});
  for (const auto order :
       {ScoringOrder::kBatchMajor, ScoringOrder::kLayerMajor}) {
    ScorerOptions options;
    options.order = order;
    ASSERT_OK_AND_ASSIGN(const Result result,
                         Compare(Windows(3, 24), options, 2));
    ASSERT_EQ(result.size(), 3u * 23);
    for (const std::vector<double>& t : result) {
      EXPECT_EQ(t[0], t[1]);
      EXPECT_EQ(t[2], 0);
      EXPECT_EQ(t[3], 0);
      EXPECT_EQ(t[4], 0);
      EXPECT_EQ(t[7], t[8]);
      EXPECT_EQ(t[11], 1);
    }
  }
}

TEST_F(PairScorerTest, EachSideIsWhatTheModelSaysAlone) {
  OpenPair({}, OtherModel());
  const auto requests = Windows(3, 24);
  ASSERT_OK_AND_ASSIGN(const Result pair, Compare(requests, {}, 1));
  ASSERT_OK_AND_ASSIGN(const auto candidate, Score(requests, 8, 1));
  std::swap(model_, baseline_);
  ASSERT_OK_AND_ASSIGN(const auto baseline, Score(requests, 8, 1));
  ASSERT_OK_AND_ASSIGN(const Result mirrored, Compare(requests, {}, 1));
  size_t i = 0;
  for (size_t w = 0; w < requests.size(); ++w) {
    for (size_t t = 0; t < candidate[w].size(); ++t, ++i) {
      EXPECT_NEAR(pair[i][1], candidate[w][t], 1e-5);
      EXPECT_NEAR(pair[i][0], baseline[w][t], 1e-5);
      EXPECT_GT(pair[i][2], 0);
      EXPECT_EQ(pair[i][2], mirrored[i][3]);
      EXPECT_EQ(pair[i][5], mirrored[i][6]);
    }
  }
  EXPECT_EQ(i, pair.size());
}

TEST_F(PairScorerTest, AgainstAUniformModelEntropyIsMissing) {
  test::TinyModelOptions uniform;
  uniform.head_scale = 0;
  OpenPair(uniform, {});
  ASSERT_OK_AND_ASSIGN(const Result result, Compare(Windows(2, 16), {}, 1));
  const double most = std::log(double{test::kTinyVocabulary});
  for (const std::vector<double>& t : result) {
    EXPECT_NEAR(t[6], most, 1e-9);
    EXPECT_NEAR(t[2], most - t[5], 1e-9);
  }
}

// Models of different depth and width, windows of two lengths, activations in
// memory, partly and wholly on disk: all the same. Batches differ by the
// rounding of float32 products.
TEST_F(PairScorerTest, ThreadsAndOrderDoNotChangeABit) {
  OpenPair({}, OtherModel());
  auto requests = Windows(5, 24);
  for (auto& request : OtherWindows(3, 16)) requests.push_back(request);
  ASSERT_OK_AND_ASSIGN(const Result one_batch, Compare(requests, {}, 1));
  const uint64_t rows = 5 * 23 + 3 * 15;
  const uint64_t row_bytes = (32 + 48) * sizeof(float);
  for (int batch : {1, 2, 100}) {
    ScorerOptions options;
    options.prefixes.batch_tokens = batch * 24;
    ASSERT_OK_AND_ASSIGN(const Result expected, Compare(requests, options, 1));
    ASSERT_EQ(expected.size(), one_batch.size());
    for (size_t i = 0; i < expected.size(); ++i) {
      for (size_t k = 0; k < expected[i].size(); ++k) {
        ASSERT_NEAR(expected[i][k], one_batch[i][k], 1e-5) << i << " " << k;
      }
    }
    for (const auto order :
         {ScoringOrder::kBatchMajor, ScoringOrder::kLayerMajor}) {
      for (const uint64_t rows_in_memory : {rows, uint64_t{29}, uint64_t{0}}) {
        for (int threads : {1, 4}) {
          options.order = order;
          options.activations.directory = directory_.path();
          options.activations.memory_bytes = rows_in_memory * row_bytes;
          ASSERT_OK_AND_ASSIGN(const Result got,
                               Compare(requests, options, threads));
          EXPECT_TRUE(got == expected)
              << batch << " " << rows_in_memory << " " << threads;
          EXPECT_EQ(spilled_bytes_, order == ScoringOrder::kLayerMajor
                                        ? (rows - rows_in_memory) * row_bytes
                                        : 0u);
        }
      }
    }
  }
}

// Where products do not depend on the batch
// (BatchSizeAndThreadsDoNotChangeABit) neither does what is made of them.
TEST_F(PairScorerTest, BatchesOfEqualWindowsDoNotChangeABit) {
  OpenPair({}, {.seed = 2});
  const auto requests = Windows(7, 24);
  ScorerOptions options;
  options.prefixes.batch_tokens = 24;
  ASSERT_OK_AND_ASSIGN(const Result expected, Compare(requests, options, 1));
  for (int batch : {2, 3, 100}) {
    options.prefixes.batch_tokens = batch * 24;
    ASSERT_OK_AND_ASSIGN(const Result got, Compare(requests, options, 4));
    EXPECT_TRUE(got == expected) << batch;
  }
}

TEST_F(PairScorerTest, DifferentVocabulariesAreRefused) {
  test::TinyModelOptions padded;
  padded.vocabulary = 260;
  OpenPair({}, padded);
  EXPECT_THAT(Compare(Windows(1, 16), {}, 1),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       testing::AllOf(HasSubstr("256"), HasSubstr("260"))));
}

TEST_F(PairScorerTest, CancellationStopsInsideEitherModel) {
  OpenPair({}, OtherModel());
  const auto device = NewCpuDevice(1);
  const auto requests = Windows(4, 16);
  for (const auto order :
       {ScoringOrder::kBatchMajor, ScoringOrder::kLayerMajor}) {
    ScorerOptions options;
    options.order = order;
    options.prefixes.batch_tokens = 16;
    for (int steps : {1, 3, 14}) {
      // Layer-major: 2 blocks and 3, of 4 batches each; then 4 heads.
      if (order == ScoringOrder::kBatchMajor && steps > 3) continue;
      ExecutionContext ctx(device.get());
      ASSERT_OK_AND_ASSIGN(Scorer scorer,
                           Scorer::LoadPair(*model_, *baseline_, options, ctx));
      int done = 0;
      EXPECT_THAT(scorer.ScorePair(
                      requests, {},
                      [](size_t, absl::Span<const TargetDivergence>) {
                        return absl::OkStatus();
                      },
                      [&](double) {
                        if (++done == steps) ctx.RequestCancel();
                      },
                      ctx),
                  StatusIs(absl::StatusCode::kCancelled, _));
      EXPECT_EQ(done, steps);
    }
  }
}

}  // namespace
}  // namespace quantd
