// What every metric must do: one suite over the evaluator table.
#include <cmath>

#include "absl/strings/str_replace.h"
#include "evaluators/evaluator.h"
#include "gmock/gmock.h"
#include "tests/testing/small_tokenizer.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/tiny_model.h"

namespace quantd {
namespace {

using ::quantd::test::StatusIs;
using ::testing::HasSubstr;

class EvaluatorConformanceTest : public testing::TestWithParam<v1::MetricInfo> {
 protected:
  std::string metric(const std::string& window = "16") const {
    return absl::StrReplaceAll(GetParam().pattern(), {{"-N", "-" + window}});
  }

  // Folds `nll` in, the way the metric wants it; a baseline then gives every
  // token half the negative log-likelihood.
  static absl::Status Fold(Evaluator& evaluator, size_t index,
                           const std::vector<double>& nll) {
    std::vector<TokenScore> scores;
    for (double value : nll) scores.push_back({value});
    if (!evaluator.compares()) {
      EXPECT_FALSE(evaluator.FoldPair(index, {}).ok());
      return evaluator.Fold(index, scores);
    }
    EXPECT_FALSE(evaluator.Fold(index, scores).ok());
    std::vector<TargetDivergence> targets;
    for (double value : nll) {
      TargetDivergence target;
      target.candidate_nll = value;
      target.baseline_nll = value / 2;
      target.kl = value / 2;
      target.baseline_confidence = std::exp(-value / 2);
      target.candidate_confidence = std::exp(-value);
      target.candidate_top = static_cast<int32_t>(value);
      targets.push_back(target);
    }
    return evaluator.FoldPair(index, targets);
  }

  std::unique_ptr<Tokenizer> tokenizer_ =
      *ParseTokenizer(test::SmallTokenizer().dump(), "");
};

TEST_P(EvaluatorConformanceTest, IsDocumented) {
  EXPECT_FALSE(GetParam().help().empty());
  EXPECT_FALSE(GetParam().citation().empty());
}

TEST_P(EvaluatorConformanceTest, RequestsAreInRangeAndRepeatable) {
  const std::string text = test::TinyText(500);
  ASSERT_OK_AND_ASSIGN(const auto a, NewEvaluator(metric()));
  ASSERT_OK_AND_ASSIGN(const auto b, NewEvaluator(metric()));
  ASSERT_OK_AND_ASSIGN(const auto first, a->Requests(text, *tokenizer_));
  ASSERT_OK_AND_ASSIGN(const auto second, b->Requests(text, *tokenizer_));
  ASSERT_EQ(first.size(), second.size());
  ASSERT_FALSE(first.empty());
  for (size_t i = 0; i < first.size(); ++i) {
    EXPECT_EQ(first[i].tokens, second[i].tokens);
    EXPECT_GE(first[i].first_target, 1);
    EXPECT_LE(first[i].first_target + first[i].target_count,
              static_cast<int>(first[i].tokens.size()));
  }
}

TEST_P(EvaluatorConformanceTest, FoldOrderDoesNotMatter) {
  const std::string text = test::TinyText(500);
  std::vector<v1::Evaluation> reports(2);
  for (int pass = 0; pass < 2; ++pass) {
    ASSERT_OK_AND_ASSIGN(const auto e, NewEvaluator(metric()));
    ASSERT_OK_AND_ASSIGN(const auto requests, e->Requests(text, *tokenizer_));
    for (size_t i = 0; i < requests.size(); ++i) {
      const size_t index = pass == 0 ? i : requests.size() - 1 - i;
      std::vector<double> nll;
      for (int t = 0; t < requests[index].target_count; ++t) {
        nll.push_back(0.1 * static_cast<double>(index) + t);
      }
      ASSERT_TRUE(Fold(*e, index, nll).ok());
    }
    ASSERT_TRUE(e->Report(&reports[static_cast<size_t>(pass)]).ok());
  }
  EXPECT_EQ(reports[0].SerializeAsString(), reports[1].SerializeAsString());
}

TEST_P(EvaluatorConformanceTest, NaNFailsTheRun) {
  ASSERT_OK_AND_ASSIGN(const auto e, NewEvaluator(metric()));
  ASSERT_OK_AND_ASSIGN(const auto requests,
                       e->Requests(test::TinyText(500), *tokenizer_));
  for (size_t i = 0; i < requests.size(); ++i) {
    std::vector<double> nll(static_cast<size_t>(requests[i].target_count), 1);
    if (i == 1) nll[0] = std::nan("");
    ASSERT_TRUE(Fold(*e, i, nll).ok());
  }
  v1::Evaluation evaluation;
  EXPECT_FALSE(e->Report(&evaluation).ok());
}

TEST_P(EvaluatorConformanceTest, TooLittleTextAndBadWindowsAreRefused) {
  ASSERT_OK_AND_ASSIGN(const auto e, NewEvaluator(metric()));
  EXPECT_THAT(
      e->Requests("ab", *tokenizer_),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("2 tokens")));
  EXPECT_FALSE(e->Requests("\xff\xfe ab", *tokenizer_).ok());
  for (const char* window : {"0", "7", "99999999999", "x", "", "-5"}) {
    EXPECT_THAT(
        NewEvaluator(metric(window)),
        StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("window")))
        << window;
  }
}

INSTANTIATE_TEST_SUITE_P(Metrics, EvaluatorConformanceTest,
                         testing::ValuesIn(KnownMetrics()),
                         [](const auto& info) {
                           std::string name = info.param.pattern();
                           for (char& c : name) {
                             if (!isalnum(c)) c = '_';
                           }
                           return name;
                         });

TEST(EvaluatorTableTest, UnknownMetricsAreRefusedWithTheKnownOnes) {
  for (const char* metric :
       {"", "ppl", "ppl/", "ppl/gptq", "ppl/gptqx-512", "acc/x", "/"}) {
    EXPECT_THAT(
        NewEvaluator(metric),
        StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("ppl/gptq-N")))
        << metric;
  }
}

TEST(EvaluatorTableTest, WhatAnotherMetricReportsIsNotRunTwice) {
  const auto run = [](const std::vector<std::string>& asked) {
    return MetricsToRun(MetricNames(asked.begin(), asked.end()));
  };
  EXPECT_THAT(run({"ppl/gptq-8", "divergence/gptq-8", "ppl/gptq-16",
                   "divergence/gptq-8"}),
              testing::ElementsAre("divergence/gptq-8", "ppl/gptq-16"));
}

TEST(EvaluatorTableTest, MetricsSayWhetherTheyCompare) {
  const auto compares = [](const std::string& metric) {
    MetricNames names;
    *names.Add() = metric;
    return AnyCompares(names);
  };
  EXPECT_TRUE(compares("divergence/gptq-8"));
  EXPECT_FALSE(compares("ppl/gptq-8"));
  EXPECT_FALSE(compares("divergence/gptq-x"));
  EXPECT_FALSE(compares("what"));
}

}  // namespace
}  // namespace quantd
