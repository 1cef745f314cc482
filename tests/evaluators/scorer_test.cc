#include "evaluators/scorer.h"

#include <cmath>
#include <memory>

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

  absl::StatusOr<std::vector<std::vector<double>>> Score(
      const std::vector<ScoreRequest>& requests, int batch, int threads) {
    const auto device = NewCpuDevice(threads);
    ExecutionContext ctx(device.get());
    ASSIGN_OR_RETURN(Scorer scorer, Scorer::Load(*model_, ctx));
    std::vector<std::vector<double>> results;
    RETURN_IF_ERROR(scorer.Score(
        requests, batch,
        [&](size_t index, absl::Span<const double> nll) {
          EXPECT_EQ(index, results.size());
          results.emplace_back(nll.begin(), nll.end());
          return absl::OkStatus();
        },
        [](size_t) {}, ctx));
    return results;
  }

  TempDir directory_;
  std::unique_ptr<Model> model_;
};

TEST_F(ScorerTest, UniformModelScoresTheLogOfItsVocabulary) {
  test::TinyModelOptions options;
  options.uniform = true;
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
  ASSERT_OK_AND_ASSIGN(Scorer scorer, Scorer::Load(*model_, ctx));
  size_t scored = 0;
  const auto requests = Windows(10, 16);
  EXPECT_THAT(scorer.Score(
                  requests, 1,
                  [&](size_t, absl::Span<const double>) {
                    if (++scored == 3) ctx.RequestCancel();
                    return absl::OkStatus();
                  },
                  [](size_t) {}, ctx),
              StatusIs(absl::StatusCode::kCancelled, _));
  EXPECT_EQ(scored, 3u);
}

}  // namespace
}  // namespace quantd
