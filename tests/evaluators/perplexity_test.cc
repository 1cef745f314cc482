#include "evaluators/perplexity.h"

#include <cmath>
#include <limits>

#include "base/sha256.h"
#include "evaluators/text_windows.h"
#include "gmock/gmock.h"
#include "tests/testing/small_tokenizer.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/tiny_model.h"

namespace quantd {
namespace {

using ::quantd::test::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::unique_ptr<Tokenizer> Bytes(bool adds_bos = false) {
  const std::string config =
      adds_bos ? R"({"add_bos_token": true, "bos_token": "~"})" : "";
  return *ParseTokenizer(test::SmallTokenizer().dump(), config);
}

constexpr char kText[] = "abcdefghijklmnopqrst";

std::vector<TextCluster> EqualWeights(absl::Span<const WindowSums> windows) {
  std::vector<TextCluster> clusters(windows.size());
  for (size_t w = 0; w < windows.size(); ++w) {
    clusters[w].weight = windows[w].count;
  }
  return clusters;
}

TEST(PerplexityTest, EstimateMatchesClosedForms) {
  // NLLs {1, 3} and {2, 4}: mean 2.5, mean square 7.5.
  const WindowSums windows[] = {{2, 4, 10}, {2, 6, 20}};
  ASSERT_OK_AND_ASSIGN(const PerplexityEstimate e,
                       EstimatePerplexity(EqualWeights(windows), windows));
  EXPECT_DOUBLE_EQ(e.mean_nll, 2.5);
  EXPECT_DOUBLE_EQ(e.perplexity, std::exp(2.5));
  EXPECT_NEAR(e.error_iid, std::exp(2.5) * std::sqrt((7.5 - 6.25) / 3), 1e-12);
  // Window deviations -1 and +1.
  EXPECT_NEAR(e.error_clustered,
              std::exp(2.5) * std::sqrt(2.0) / 4 * std::sqrt(2.0), 1e-12);
}

TEST(PerplexityTest, BrokenModelsGetNoScore) {
  const WindowSums windows[] = {
      {1, std::numeric_limits<double>::quiet_NaN(), 0}};
  EXPECT_THAT(EstimatePerplexity(EqualWeights(windows), windows),
              StatusIs(absl::StatusCode::kInternal, HasSubstr("NaN")));
  const WindowSums huge[] = {{1, 1e6, 1e12}};
  EXPECT_THAT(EstimatePerplexity(EqualWeights(huge), huge),
              StatusIs(absl::StatusCode::kInternal, HasSubstr("infinite")));
}

TEST(PerplexityTest, RowsAreJoinedAsPublished) {
  EXPECT_EQ(JoinRows(""), "");
  EXPECT_EQ(JoinRows("a\n"), "a\n");
  EXPECT_EQ(JoinRows("a"), "a");
  EXPECT_EQ(JoinRows(" \n = T = \n \n x \n"), "\n\n = T = \n\n\n\n\n x \n");
}

TEST(PerplexityTest, GptqScoresAllButTheFirstTokenOfEachWindow) {
  ASSERT_OK_AND_ASSIGN(const auto e, NewEvaluator("ppl/gptq-8"));
  ASSERT_OK_AND_ASSIGN(const auto requests, e->Requests(kText, {*Bytes(), 0}));
  ASSERT_EQ(requests.size(), 2u);  // 20 tokens, the tail is dropped
  EXPECT_EQ(requests[1].tokens[0], 'i');
  EXPECT_EQ(requests[0].first_target, 1);
  EXPECT_EQ(requests[0].target_count, 7);
}

TEST(PerplexityTest, LlamaCppScoresTheSecondHalf) {
  ASSERT_OK_AND_ASSIGN(const auto e, NewEvaluator("ppl/llamacpp-8"));
  ASSERT_OK_AND_ASSIGN(const auto requests, e->Requests(kText, {*Bytes(), 0}));
  ASSERT_EQ(requests.size(), 2u);
  EXPECT_EQ(requests[0].first_target, 5);
  EXPECT_EQ(requests[0].target_count, 3);
  ASSERT_OK_AND_ASSIGN(const auto wide, NewEvaluator("ppl/llamacpp-512"));
  ASSERT_OK_AND_ASSIGN(const auto many,
                       wide->Requests(test::TinyText(1024), {*Bytes(), 0}));
  EXPECT_EQ(many[0].target_count, 255);
  EXPECT_THAT(e->Requests("abcdefghijklmno", {*Bytes(), 0}),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("15 tokens, at least 16")));
}

TEST(PerplexityTest, BosGoesWhereTheConventionPutsIt) {
  const auto tokenizer = Bytes(/*adds_bos=*/true);
  ASSERT_TRUE(tokenizer->adds_bos());
  ASSERT_OK_AND_ASSIGN(const auto gptq, NewEvaluator("ppl/gptq-8"));
  ASSERT_OK_AND_ASSIGN(auto requests, gptq->Requests(kText, {*tokenizer, 0}));
  EXPECT_EQ(requests[0].tokens[0], '~');
  EXPECT_EQ(requests[0].tokens[1], 'a');
  EXPECT_EQ(requests[1].tokens[0], 'h');
  ASSERT_OK_AND_ASSIGN(const auto llamacpp, NewEvaluator("ppl/llamacpp-8"));
  ASSERT_OK_AND_ASSIGN(requests, llamacpp->Requests(kText, {*tokenizer, 0}));
  EXPECT_EQ(requests[0].tokens[0], '~');
  EXPECT_EQ(requests[1].tokens[0], '~');
  EXPECT_EQ(requests[1].tokens[1], 'i');
}

TEST(PerplexityTest, ReportCarriesItsTag) {
  ASSERT_OK_AND_ASSIGN(const auto e, NewEvaluator("ppl/gptq-8"));
  const std::string text = "abcdefgh\n\nijklmnop\n";
  ASSERT_OK_AND_ASSIGN(const auto requests, e->Requests(text, {*Bytes(), 0}));
  const std::vector<TokenScore> scores(7, TokenScore{2.0});
  for (size_t i = 0; i < requests.size(); ++i) {
    ASSERT_TRUE(e->Fold(i, scores).ok());
  }
  v1::Evaluation evaluation;
  ASSERT_TRUE(e->Report(&evaluation).ok());
  const v1::PerplexityReport& report = evaluation.perplexities(0);
  EXPECT_EQ(report.tag().convention(), "ppl/gptq-8");
  EXPECT_EQ(report.tag().text_digest(), Sha256Hex(JoinRows(text)));
  EXPECT_EQ(report.tag().token_count(), JoinRows(text).size());
  EXPECT_EQ(report.tag().bos_policy(), "none");
  EXPECT_EQ(report.window_nll_size(), static_cast<int>(requests.size()));
  EXPECT_NEAR(report.perplexity(), std::exp(2.0), 1e-12);
  EXPECT_NEAR(report.error_iid(), 0, 1e-6);
  EXPECT_EQ(report.scored_tokens(), 7 * requests.size());
}

TEST(PerplexityTest, LimitedRunsSayTheirLimitInTheTag) {
  EvaluatorOptions options;
  options.max_windows = 1;
  ASSERT_OK_AND_ASSIGN(const auto e, NewEvaluator("ppl/gptq-8", options));
  ASSERT_OK_AND_ASSIGN(const auto requests, e->Requests(kText, {*Bytes(), 0}));
  ASSERT_EQ(requests.size(), 1u);
  ASSERT_TRUE(e->Fold(0, std::vector<TokenScore>(7, TokenScore{1.0})).ok());
  v1::Evaluation evaluation;
  ASSERT_TRUE(e->Report(&evaluation).ok());
  EXPECT_EQ(evaluation.perplexities(0).tag().convention(),
            "ppl/gptq-8/first-1");
}

WindowSums SumsOf(const std::vector<double>& values) {
  WindowSums sums;
  for (double value : values) sums.Add(value);
  return sums;
}

// By the definition, token by token.
TEST(PerplexityTest, WeightedMeansMatchTheirDefinition) {
  const std::vector<std::vector<double>> values = {
      {1, 3, 2}, {5}, {2, 7}, {0.5, 0.25, 4, 1}};
  const uint64_t weights[] = {3, 0, 1, 3};
  std::vector<TextCluster> clusters;
  std::vector<WindowSums> sums;
  double total = 0, mean = 0, n = 0;
  for (size_t w = 0; w < values.size(); ++w) {
    TextCluster cluster;
    cluster.weight = weights[w];
    clusters.push_back(cluster);
    sums.push_back(SumsOf(values[w]));
    const double c =
        static_cast<double>(weights[w]) / static_cast<double>(values[w].size());
    for (double v : values[w]) {
      total += c;
      mean += c * v;
      ++n;
    }
  }
  mean /= total;
  double iid = 0, clustered = 0;
  for (size_t w = 0; w < values.size(); ++w) {
    const double c =
        static_cast<double>(weights[w]) / static_cast<double>(values[w].size());
    double sum = 0;
    for (double v : values[w]) {
      iid += c * c * (v - mean) * (v - mean);
      sum += c * (v - mean);
    }
    clustered += sum * sum;
  }
  const v1::Estimate e = EstimateWeightedMean(clusters, sums);
  EXPECT_NEAR(e.mean(), mean, 1e-12);
  EXPECT_NEAR(e.error_iid(), std::sqrt(iid * n / (n - 1)) / total, 1e-12);
  EXPECT_NEAR(e.error_clustered(),
              std::sqrt(clustered) / total * std::sqrt(4.0 / 3.0), 1e-12);
  // Weights that are the counts, or a multiple of them, are no weights.
  for (uint64_t factor : {1, 2}) {
    for (size_t w = 0; w < values.size(); ++w) {
      clusters[w].weight = factor * sums[w].count;
    }
    const v1::Estimate plain = EstimateMean(sums);
    const v1::Estimate same = EstimateWeightedMean(clusters, sums);
    EXPECT_NEAR(same.mean(), plain.mean(), 1e-12);
    EXPECT_NEAR(same.error_iid(), plain.error_iid(), 1e-12);
    EXPECT_NEAR(same.error_clustered(), plain.error_clustered(), 1e-12);
  }
}

TEST(PerplexityTest, ATokenWithoutWeightMustBeFinite) {
  std::vector<TextCluster> clusters(2);
  clusters[0].weight = 1;
  const WindowSums sums[] = {SumsOf({1, 2}), SumsOf({std::nan("")})};
  EXPECT_THAT(EstimatePerplexity(clusters, sums),
              StatusIs(absl::StatusCode::kInternal, HasSubstr("NaN")));
}

// Two documents, of two windows and of one, and one without a token.
TEST(PerplexityTest, WordsAndBytesMatchClosedForms) {
  std::vector<TextCluster> clusters(3);
  clusters[0] = {.windows = 2, .weight = 3, .words = 2, .bytes = 10};
  clusters[1] = {.windows = 0, .weight = 0, .words = 1, .bytes = 2};
  clusters[2] = {.windows = 1, .weight = 2, .words = 1, .bytes = 8};
  const WindowSums windows[] = {SumsOf({1, 2}), SumsOf({3}), SumsOf({1, 4})};
  ASSERT_OK_AND_ASSIGN(
      const v1::PerplexityReport r,
      MakePerplexityReport(v1::PerplexityTag(), clusters, windows));
  EXPECT_EQ(r.window_count(), 3u);
  EXPECT_EQ(r.scored_tokens(), 5u);
  EXPECT_EQ(r.tokens_per_window(), 0u);
  EXPECT_THAT(r.cluster_tokens(), ElementsAre(3, 0, 2));
  EXPECT_THAT(r.cluster_weights(), ElementsAre());
  EXPECT_THAT(r.cluster_words(), ElementsAre(2, 1, 1));
  EXPECT_THAT(r.cluster_bytes(), ElementsAre(10, 2, 8));
  EXPECT_THAT(r.window_nll(), ElementsAre(2, 0, 2.5));
  EXPECT_DOUBLE_EQ(r.perplexity(), std::exp(11 / 5.0));
  EXPECT_DOUBLE_EQ(r.word_perplexity().value(), std::exp(11 / 4.0));
  EXPECT_DOUBLE_EQ(r.byte_perplexity().value(), std::exp(11 / 20.0));
  EXPECT_DOUBLE_EQ(r.bits_per_byte().value(), 11 / 20.0 / std::log(2.0));
  // Mean square 31 / 5, mean 2.2; 5 tokens to 4 words, to 20 bytes.
  const double iid = std::sqrt((31 / 5.0 - 2.2 * 2.2) / 4);
  EXPECT_NEAR(r.word_perplexity().error_iid(), std::exp(2.75) * iid * 5 / 4,
              1e-12);
  EXPECT_NEAR(r.byte_perplexity().error_iid(), std::exp(0.55) * iid * 5 / 20,
              1e-12);
  EXPECT_NEAR(r.bits_per_byte().error_iid(), iid * 5 / 20 / std::log(2.0),
              1e-12);
  // Sums 6, 0, 5 against 2.75 nats per word and 0.55 per byte.
  const double by_word = std::hypot(6 - 5.5, -2.75, 5 - 2.75) / 4;
  const double by_byte = std::hypot(6 - 5.5, -1.1, 5 - 4.4) / 20;
  EXPECT_NEAR(r.word_perplexity().error_clustered(),
              std::exp(2.75) * by_word * std::sqrt(1.5), 1e-12);
  EXPECT_NEAR(r.byte_perplexity().error_clustered(),
              std::exp(0.55) * by_byte * std::sqrt(1.5), 1e-12);
  EXPECT_NEAR(r.bits_per_byte().error_clustered(),
              by_byte * std::sqrt(1.5) / std::log(2.0), 1e-12);
}

// ln(word perplexity) / ln(byte perplexity) is bytes per word, of WikiText-2
// 1290527 / 241335; so it is of the pair published for Llama-2-7B.
TEST(PerplexityTest, WordAndBytePerplexityAreTiedByTheText) {
  std::vector<TextCluster> clusters(1);
  clusters[0] = {
      .windows = 1, .weight = 341469, .words = 241335, .bytes = 1290527};
  const WindowSums sums = {341469, 524705, 2e6};
  ASSERT_OK_AND_ASSIGN(
      const v1::PerplexityReport r,
      MakePerplexityReport(v1::PerplexityTag(), clusters, {&sums, 1}));
  const double ratio = 5.3474506391530445;
  EXPECT_NEAR(std::log(r.word_perplexity().value()) /
                  std::log(r.byte_perplexity().value()),
              ratio, 1e-12);
  EXPECT_NEAR(std::log(8.792073612124492) / std::log(1.5015845643537054), ratio,
              1e-12);
}

TEST(PerplexityTest, WordsBeyondADoubleHaveNoPerplexity) {
  std::vector<TextCluster> clusters(1);
  clusters[0] = {.windows = 1, .weight = 2, .words = 1, .bytes = 4};
  const WindowSums windows[] = {SumsOf({400, 400})};
  ASSERT_OK_AND_ASSIGN(
      const v1::PerplexityReport r,
      MakePerplexityReport(v1::PerplexityTag(), clusters, windows));
  EXPECT_FALSE(r.has_word_perplexity());
  EXPECT_DOUBLE_EQ(r.byte_perplexity().value(), std::exp(200.0));
}

// 20 tokens, windows of 8 every 6: 0..7, 6..13, 12..19, with 8, 6 and 6 new
// tokens, of which 7, 6 and 6 are targets and 7, 5 and 5 count.
TEST(PerplexityTest, StridedPerplexityWeighsAsTheGuideDoes) {
  ASSERT_OK_AND_ASSIGN(const auto e, NewEvaluator("ppl/hf-stride-6-8"));
  ASSERT_OK_AND_ASSIGN(const auto requests,
                       e->Requests(kText, {*Bytes(true), 0}));
  ASSERT_EQ(requests.size(), 3u);
  double sum = 0;
  for (size_t w = 0; w < 3; ++w) {
    std::vector<TokenScore> scores;
    double window = 0;
    for (int t = 0; t < requests[w].target_count; ++t) {
      scores.push_back({1 + static_cast<double>(w) + 0.25 * t});
      window += scores.back().nll;
    }
    ASSERT_TRUE(e->Fold(w, scores).ok());
    sum += window / requests[w].target_count * (w == 0 ? 7 : 5);
  }
  v1::Evaluation evaluation;
  ASSERT_TRUE(e->Report(&evaluation).ok());
  const v1::PerplexityReport& r = evaluation.perplexities(0);
  EXPECT_NEAR(r.perplexity(), std::exp(sum / 17), 1e-12);
  EXPECT_EQ(r.scored_tokens(), 19u);
  EXPECT_THAT(r.cluster_tokens(), ElementsAre(7, 6, 6));
  EXPECT_THAT(r.cluster_weights(), ElementsAre(7, 5, 5));
  EXPECT_EQ(r.tag().convention(), "ppl/hf-stride-6-8");
  EXPECT_EQ(r.tag().stride_tokens(), 6u);
  EXPECT_EQ(r.tag().bos_policy(), "none");  // although the tokenizer adds BOS
  EXPECT_FALSE(r.has_word_perplexity());
}

}  // namespace
}  // namespace quantd
