#include "evaluators/perplexity.h"

#include <cmath>
#include <limits>

#include "base/sha256.h"
#include "evaluators/perplexity_convention.h"
#include "gmock/gmock.h"
#include "tests/testing/small_tokenizer.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/tiny_model.h"

namespace quantd {
namespace {

using ::quantd::test::StatusIs;
using ::testing::HasSubstr;

std::unique_ptr<Tokenizer> Bytes(bool adds_bos = false) {
  const std::string config =
      adds_bos ? R"({"add_bos_token": true, "bos_token": "~"})" : "";
  return *ParseTokenizer(test::SmallTokenizer().dump(), config);
}

TEST(PerplexityTest, EstimateMatchesClosedForms) {
  // NLLs {1, 3} and {2, 4}: mean 2.5, mean square 7.5.
  const WindowSums windows[] = {{2, 4, 10}, {2, 6, 20}};
  ASSERT_OK_AND_ASSIGN(const PerplexityEstimate e, EstimatePerplexity(windows));
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
  EXPECT_THAT(EstimatePerplexity(windows),
              StatusIs(absl::StatusCode::kInternal, HasSubstr("NaN")));
  const WindowSums huge[] = {{1, 1e6, 1e12}};
  EXPECT_THAT(EstimatePerplexity(huge),
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
  ASSERT_OK_AND_ASSIGN(const auto requests,
                       e->Requests("abcdefghijklmnopqrst", *Bytes()));
  ASSERT_EQ(requests.size(), 2u);  // 20 tokens, the tail is dropped
  EXPECT_EQ(requests[1].tokens[0], 'i');
  EXPECT_EQ(requests[0].first_target, 1);
  EXPECT_EQ(requests[0].target_count, 7);
}

TEST(PerplexityTest, LlamaCppScoresTheSecondHalf) {
  ASSERT_OK_AND_ASSIGN(const auto e, NewEvaluator("ppl/llamacpp-8"));
  ASSERT_OK_AND_ASSIGN(const auto requests,
                       e->Requests("abcdefghijklmnopqrst", *Bytes()));
  ASSERT_EQ(requests.size(), 2u);
  EXPECT_EQ(requests[0].first_target, 5);
  EXPECT_EQ(requests[0].target_count, 3);
  ASSERT_OK_AND_ASSIGN(const auto wide, NewEvaluator("ppl/llamacpp-512"));
  ASSERT_OK_AND_ASSIGN(const auto many,
                       wide->Requests(test::TinyText(1024), *Bytes()));
  EXPECT_EQ(many[0].target_count, 255);
  EXPECT_THAT(e->Requests("abcdefghijklmno", *Bytes()),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("15 tokens, at least 16")));
}

TEST(PerplexityTest, BosGoesWhereTheConventionPutsIt) {
  const auto tokenizer = Bytes(/*adds_bos=*/true);
  ASSERT_TRUE(tokenizer->adds_bos());
  ASSERT_OK_AND_ASSIGN(const auto gptq, NewEvaluator("ppl/gptq-8"));
  ASSERT_OK_AND_ASSIGN(auto requests,
                       gptq->Requests("abcdefghijklmnopqrst", *tokenizer));
  EXPECT_EQ(requests[0].tokens[0], '~');
  EXPECT_EQ(requests[0].tokens[1], 'a');
  EXPECT_EQ(requests[1].tokens[0], 'h');
  ASSERT_OK_AND_ASSIGN(const auto llamacpp, NewEvaluator("ppl/llamacpp-8"));
  ASSERT_OK_AND_ASSIGN(requests,
                       llamacpp->Requests("abcdefghijklmnopqrst", *tokenizer));
  EXPECT_EQ(requests[0].tokens[0], '~');
  EXPECT_EQ(requests[1].tokens[0], '~');
  EXPECT_EQ(requests[1].tokens[1], 'i');
}

TEST(PerplexityTest, ReportCarriesItsTag) {
  ASSERT_OK_AND_ASSIGN(const auto e, NewEvaluator("ppl/gptq-8"));
  const std::string text = "abcdefgh\n\nijklmnop\n";
  ASSERT_OK_AND_ASSIGN(const auto requests, e->Requests(text, *Bytes()));
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
  ASSERT_OK_AND_ASSIGN(const auto requests,
                       e->Requests("abcdefghijklmnopqrst", *Bytes()));
  ASSERT_EQ(requests.size(), 1u);
  ASSERT_TRUE(e->Fold(0, std::vector<TokenScore>(7, TokenScore{1.0})).ok());
  v1::Evaluation evaluation;
  ASSERT_TRUE(e->Report(&evaluation).ok());
  EXPECT_EQ(evaluation.perplexities(0).tag().convention(),
            "ppl/gptq-8/first-1");
}

}  // namespace
}  // namespace quantd
