// What every metric must do: one suite over the evaluator table.
#include <cmath>

#include "absl/strings/str_replace.h"
#include "base/utf8.h"
#include "evaluators/evaluator.h"
#include "gmock/gmock.h"
#include "tests/testing/small_tokenizer.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/tiny_model.h"

namespace quantd {
namespace {

using ::quantd::test::StatusIs;
using ::testing::AnyOf;
using ::testing::HasSubstr;

class EvaluatorConformanceTest : public testing::TestWithParam<v1::MetricInfo> {
 protected:
  std::string metric(const std::string& window = "16") const {
    return absl::StrReplaceAll(GetParam().pattern(),
                               {{"-S", "-4"}, {"-N", "-" + window}});
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

  absl::StatusOr<std::vector<ScoreRequest>> Requests(Evaluator& evaluator,
                                                     const std::string& text) {
    return evaluator.Requests(text, {*tokenizer_, 0});
  }

  std::unique_ptr<Tokenizer> tokenizer_ =
      *ParseTokenizer(test::SmallTokenizer().dump(), R"({"eos_token": "~"})");
  // Three documents, the second of which is its heading.
  const std::string text_ = " = First = \n" + test::TinyText(300) +
                            "\n = Second = \n = Third = \n" +
                            test::TinyText(200, 8);
};

TEST_P(EvaluatorConformanceTest, IsDocumented) {
  EXPECT_FALSE(GetParam().help().empty());
  EXPECT_FALSE(GetParam().citation().empty());
}

TEST_P(EvaluatorConformanceTest, RequestsAreInRangeAndRepeatable) {
  ASSERT_OK_AND_ASSIGN(const auto a, NewEvaluator(metric()));
  ASSERT_OK_AND_ASSIGN(const auto b, NewEvaluator(metric()));
  ASSERT_OK_AND_ASSIGN(const auto first, Requests(*a, text_));
  ASSERT_OK_AND_ASSIGN(const auto second, Requests(*b, text_));
  ASSERT_EQ(first.size(), second.size());
  ASSERT_FALSE(first.empty());
  for (size_t i = 0; i < first.size(); ++i) {
    EXPECT_EQ(first[i].tokens, second[i].tokens);
    EXPECT_GE(first[i].first_target, 1);
    EXPECT_LE(first[i].first_target + first[i].target_count,
              static_cast<int>(first[i].tokens.size()));
  }
}

// A model that finds every token equally likely has its vocabulary for a
// perplexity, under every convention and without error.
TEST_P(EvaluatorConformanceTest, UniformModelsHavePerplexityV) {
  ASSERT_OK_AND_ASSIGN(const auto e, NewEvaluator(metric()));
  ASSERT_OK_AND_ASSIGN(const auto requests, Requests(*e, text_));
  const double nll = std::log(double{test::kTinyVocabulary});
  for (size_t i = 0; i < requests.size(); ++i) {
    ASSERT_TRUE(Fold(*e, i,
                     std::vector<double>(
                         static_cast<size_t>(requests[i].target_count), nll))
                    .ok());
  }
  v1::Evaluation evaluation;
  ASSERT_TRUE(e->Report(&evaluation).ok());
  ASSERT_EQ(evaluation.perplexities_size(), 1);
  const v1::PerplexityReport& report = evaluation.perplexities(0);
  EXPECT_NEAR(report.perplexity(), test::kTinyVocabulary, 1e-10);
  EXPECT_NEAR(report.error_iid(), 0, 1e-5);
  EXPECT_NEAR(report.error_clustered(), 0, 1e-10);
  EXPECT_EQ(report.window_count(), requests.size());
  if (!report.has_word_perplexity()) return;
  const v1::PerplexityTag& tag = report.tag();
  EXPECT_EQ(report.scored_tokens(), tag.token_count());
  const double sum = nll * static_cast<double>(report.scored_tokens());
  const double words = static_cast<double>(tag.word_count());
  const double bytes = static_cast<double>(tag.byte_count());
  EXPECT_NEAR(std::log(report.word_perplexity().value()), sum / words, 1e-10);
  EXPECT_NEAR(std::log(report.byte_perplexity().value()), sum / bytes, 1e-10);
  EXPECT_NEAR(report.bits_per_byte().value(), sum / bytes / std::log(2.0),
              1e-10);
  EXPECT_NEAR(std::log(report.word_perplexity().value()) /
                  std::log(report.byte_perplexity().value()),
              bytes / words, 1e-10);
}

TEST_P(EvaluatorConformanceTest, FoldOrderDoesNotMatter) {
  std::vector<v1::Evaluation> reports(2);
  for (int pass = 0; pass < 2; ++pass) {
    ASSERT_OK_AND_ASSIGN(const auto e, NewEvaluator(metric()));
    ASSERT_OK_AND_ASSIGN(const auto requests, Requests(*e, text_));
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
  ASSERT_OK_AND_ASSIGN(const auto requests, Requests(*e, text_));
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
  for (const char* text : {"", "a", "\n"}) {
    EXPECT_THAT(Requests(*e, text),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         AnyOf(HasSubstr("tokens"), HasSubstr("heading"))))
        << text;
  }
  EXPECT_THAT(Requests(*e, text_ + "\xff\xfe ab"),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("UTF-8")));
  for (const char* window : {"0", "7", "99999999999", "x", "", "-5"}) {
    EXPECT_THAT(
        NewEvaluator(metric(window)),
        StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("window")))
        << window;
  }
}

INSTANTIATE_TEST_SUITE_P(Metrics, EvaluatorConformanceTest,
                         testing::ValuesIn(ScoredMetrics()),
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

TEST(EvaluatorTableTest, RefusalsOfLongNamesCutNoCharacter) {
  for (const char* family : {"nothing/", "efficiency/"}) {
    for (size_t shift = 0; shift < 3; ++shift) {
      std::string metric = family + std::string(shift, 'x');
      for (int i = 0; i < 100; ++i) metric += "\u20ac";
      const absl::Status status = KindOfMetric(metric).status();
      EXPECT_TRUE(IsValidUtf8(status.message())) << status.message();
      EXPECT_LT(status.message().size(), 600u);
    }
  }
}

TEST(EvaluatorTableTest, MeasurementsAreOfTheirKindAndNeedNoText) {
  ASSERT_OK_AND_ASSIGN(const MetricKind efficiency,
                       KindOfMetric("efficiency/pp512-tg128"));
  EXPECT_EQ(efficiency, MetricKind::kEfficiency);
  ASSERT_OK_AND_ASSIGN(const MetricKind attribution,
                       KindOfMetric("attribution/gptq-512"));
  EXPECT_EQ(attribution, MetricKind::kAttribution);
  ASSERT_OK_AND_ASSIGN(const MetricKind scored, KindOfMetric("ppl/gptq-512"));
  EXPECT_EQ(scored, MetricKind::kScored);
  EXPECT_FALSE(KindOfMetric("efficiency/pp512").ok());
  EXPECT_FALSE(NewEvaluator("efficiency/pp512-tg128").ok());
  const auto names = [](const std::vector<std::string>& asked) {
    return MetricNames(asked.begin(), asked.end());
  };
  const MetricNames alone = names({"efficiency/pp8-tg4"});
  EXPECT_FALSE(AnyNeedsText(alone));
  EXPECT_FALSE(AnyCompares(alone));
  EXPECT_TRUE(AnyTakesBaseline(alone));
  EXPECT_FALSE(AnyTakesBaseline(names({"ppl/gptq-8"})));
  const MetricNames exchange = names({"attribution/gptq-8"});
  EXPECT_TRUE(AnyNeedsText(exchange));
  EXPECT_TRUE(AnyCompares(exchange));
  EXPECT_THAT(MetricsToRun(exchange), testing::IsEmpty());
  const MetricNames both = names(
      {"efficiency/pp8-tg4", "ppl/gptq-8", "efficiency/pp8-tg4", "nothing"});
  EXPECT_TRUE(AnyNeedsText(both));
  EXPECT_THAT(MetricsToRun(both, MetricKind::kEfficiency),
              testing::ElementsAre("efficiency/pp8-tg4"));
}

TEST(EvaluatorTableTest, EveryMetricIsDocumented) {
  EXPECT_GT(KnownMetrics().size(), ScoredMetrics().size());
  for (const v1::MetricInfo& metric : KnownMetrics()) {
    EXPECT_FALSE(metric.help().empty()) << metric.pattern();
    EXPECT_FALSE(metric.citation().empty()) << metric.pattern();
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
