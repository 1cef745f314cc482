// Perplexity of a trained model against independent implementations: windows,
// documents and tokens against ones written from the definitions in Python,
// NLLs against a forward pass in float64. The first windows only: the whole
// text takes minutes and is measured by the release checks.
#include <cmath>
#include <filesystem>
#include <memory>

#include "base/file.h"
#include "base/sha256.h"
#include "base/status_macros.h"
#include "evaluators/evaluator.h"
#include "evaluators/scorer.h"
#include "evaluators/text_windows.h"
#include "gmock/gmock.h"
#include "kernels/execution_context.h"
#include "models/checkpoint.h"
#include "models/model.h"
#include "models/tokenizer.h"
#include "tests/testing/project_paths.h"
#include "tests/testing/status_matchers.h"

namespace quantd {
namespace {

class ReferencePerplexityTest : public testing::Test {
 protected:
  void SetUp() override {
    text_path_ = SharedPath("data/wikitext2_raw/wiki.test.raw");
    model_path_ = SharedPath("models/tiny-llama-7m");
    if (!std::filesystem::exists(text_path_)) {
      GTEST_SKIP() << "no WikiText-2 at " << text_path_;
    }
  }

  // Of the trained model, over the first windows.
  absl::StatusOr<v1::PerplexityReport> Evaluate(absl::string_view metric,
                                                uint64_t max_windows) {
    ASSIGN_OR_RETURN(const std::string text, ReadFile(text_path_));
    ASSIGN_OR_RETURN(const auto tokenizer, LoadTokenizer(model_path_));
    ASSIGN_OR_RETURN(const auto checkpoint, Checkpoint::Open(model_path_));
    ASSIGN_OR_RETURN(const auto model, Model::Open(checkpoint));
    EvaluatorOptions options;
    options.max_windows = max_windows;
    ASSIGN_OR_RETURN(const auto evaluator, NewEvaluator(metric, options));
    ASSIGN_OR_RETURN(
        const auto requests,
        evaluator->Requests(text,
                            {*tokenizer, model->description().context_tokens}));
    const auto device = NewCpuDevice(2);
    ExecutionContext context(device.get());
    ASSIGN_OR_RETURN(Scorer scorer, Scorer::Load(*model, {}, context));
    RETURN_IF_ERROR(scorer.Score(
        requests, {},
        [&](size_t index, absl::Span<const TokenScore> scores) {
          return evaluator->Fold(index, scores);
        },
        [](double) {}, context));
    v1::Evaluation evaluation;
    RETURN_IF_ERROR(evaluator->Report(&evaluation));
    return evaluation.perplexities(0);
  }

  std::string text_path_;
  std::string model_path_;
};

TEST_F(ReferencePerplexityTest, JoinedTextHasThePublishedDigest) {
  ASSERT_OK_AND_ASSIGN(const std::string text, ReadFile(text_path_));
  EXPECT_EQ(Sha256Hex(JoinRows(text)),
            "696cca6b65a171b0a358a4be6732cdfdf2dd6164a32e20fd70e3c13fc4dfae83");
}

TEST_F(ReferencePerplexityTest, WindowCountsMatchTheReference) {
  ASSERT_OK_AND_ASSIGN(const std::string text, ReadFile(text_path_));
  ASSERT_OK_AND_ASSIGN(const auto tokenizer, LoadTokenizer(model_path_));
  ASSERT_OK_AND_ASSIGN(const auto gptq, NewEvaluator("ppl/gptq-512"));
  ASSERT_OK_AND_ASSIGN(const auto joined,
                       gptq->Requests(text, {*tokenizer, 512}));
  EXPECT_EQ(joined.size(), 776u);
  ASSERT_OK_AND_ASSIGN(const auto llamacpp, NewEvaluator("ppl/llamacpp-512"));
  ASSERT_OK_AND_ASSIGN(const auto raw,
                       llamacpp->Requests(text, {*tokenizer, 512}));
  EXPECT_EQ(raw.size(), 759u);
}

TEST_F(ReferencePerplexityTest, RollingAndStridedCountsMatchTheReference) {
  ASSERT_OK_AND_ASSIGN(const std::string text, ReadFile(text_path_));
  ASSERT_OK_AND_ASSIGN(const auto tokenizer, LoadTokenizer(model_path_));
  struct Case {
    const char* metric;
    size_t windows;
    int64_t targets;
  };
  for (const Case& c : {Case{"ppl/lmeval-rolling", 792, 389874},
                        Case{"ppl/lmeval-rolling-128", 3077, 389874},
                        Case{"ppl/hf-stride-512", 777, 396595},
                        Case{"ppl/hf-stride-256", 1552, 397371},
                        Case{"ppl/hf-stride-128-512", 3102, 397371}}) {
    ASSERT_OK_AND_ASSIGN(const auto evaluator, NewEvaluator(c.metric));
    ASSERT_OK_AND_ASSIGN(const auto requests,
                         evaluator->Requests(text, {*tokenizer, 512}));
    EXPECT_EQ(requests.size(), c.windows) << c.metric;
    int64_t targets = 0;
    for (const ScoreRequest& request : requests) {
      targets += request.target_count;
    }
    EXPECT_EQ(targets, c.targets) << c.metric;
  }
}

// The first of the 62 documents: 1826 tokens in four windows, the last of which
// is filled up to the left.
TEST_F(ReferencePerplexityTest, RollingMatchesTheReference) {
  ASSERT_OK_AND_ASSIGN(const v1::PerplexityReport report,
                       Evaluate("ppl/lmeval-rolling", 4));
  EXPECT_EQ(report.tag().convention(), "ppl/lmeval-rolling-512/first-4");
  EXPECT_EQ(report.tag().document_count(), 1u);
  EXPECT_EQ(report.tag().token_count(), 389874u);
  EXPECT_EQ(report.tag().prefix_token(), 0);
  EXPECT_EQ(report.scored_tokens(), 1826u);
  const double sum = 8979.98523198822;
  EXPECT_NEAR(report.mean_nll(), sum / 1826, 1e-5);
  EXPECT_NEAR(std::log(report.word_perplexity().value()), sum / 1093, 1e-4);
  EXPECT_NEAR(std::log(report.byte_perplexity().value()), sum / 5667, 1e-5);
  EXPECT_NEAR(report.bits_per_byte().value(), sum / 5667 / std::log(2.0), 1e-5);
}

// The mean of window means is the mean of all targets where windows are equal.
TEST_F(ReferencePerplexityTest, GptqMatchesTheReference) {
  ASSERT_OK_AND_ASSIGN(const v1::PerplexityReport report,
                       Evaluate("ppl/gptq-512", 3));
  EXPECT_EQ(report.scored_tokens(), 3u * 511);
  const double mean =
      (2360.744166928008 + 2383.444201730269 + 2498.291067451621) / (3 * 511);
  EXPECT_NEAR(report.mean_nll(), mean, 1e-5);
  EXPECT_NEAR(std::log(report.perplexity()), mean, 1e-5);
}

// Targets 257 .. 511 of every chunk; the vocabulary wants no BOS.
TEST_F(ReferencePerplexityTest, LlamaCppMatchesTheReference) {
  ASSERT_OK_AND_ASSIGN(const v1::PerplexityReport report,
                       Evaluate("ppl/llamacpp-512", 3));
  EXPECT_EQ(report.scored_tokens(), 3u * 255);
  const double mean =
      (1247.351560550051 + 1250.300213357098 + 1266.825855008131) / (3 * 255);
  EXPECT_NEAR(report.mean_nll(), mean, 1e-5);
  EXPECT_NEAR(std::log(report.perplexity()), mean, 1e-5);
}

TEST_F(ReferencePerplexityTest, StridedMatchesTheReference) {
  ASSERT_OK_AND_ASSIGN(const v1::PerplexityReport report,
                       Evaluate("ppl/hf-stride-256", 4));
  EXPECT_EQ(report.tag().convention(), "ppl/hf-stride-256-512/first-4");
  EXPECT_EQ(report.tag().token_count(), 397372u);
  EXPECT_EQ(report.scored_tokens(), 511u + 3 * 256);
  const double weighted =
      2360.74416692801 +
      (1277.53201369685 + 1257.75135470215 + 1359.09058436382) / 256 * 255;
  EXPECT_NEAR(report.mean_nll(), weighted / (511 + 3 * 255), 1e-5);
}

}  // namespace
}  // namespace quantd
