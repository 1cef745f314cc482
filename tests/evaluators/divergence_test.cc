#include "evaluators/divergence.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "evaluators/token_statistics.h"
#include "gmock/gmock.h"
#include "tests/testing/small_tokenizer.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/tiny_model.h"

namespace quantd {
namespace {

using ::quantd::test::StatusIs;
using ::testing::HasSubstr;

constexpr int64_t kContext = 64;
constexpr char kText[] = "abcdefghijklmnopqrst";  // two windows of 8

std::unique_ptr<Tokenizer> Bytes() {
  return *ParseTokenizer(test::SmallTokenizer().dump(), "");
}

class DivergenceTest : public testing::Test {
 protected:
  void Prepare(const std::string& text, const std::string& metric) {
    ASSERT_OK_AND_ASSIGN(evaluator_, NewEvaluator(metric));
    ASSERT_OK_AND_ASSIGN(requests_,
                         evaluator_->Requests(text, {*tokenizer_, kContext}));
  }

  int32_t TargetOf(size_t window, size_t t) const {
    const ScoreRequest& request = requests_[window];
    return request.tokens[static_cast<size_t>(request.first_target) + t];
  }

  // What both models say of every token: `make(window, t)`.
  template <typename Make>
  absl::StatusOr<v1::DivergenceReport> Report(Make make) {
    for (size_t w = 0; w < requests_.size(); ++w) {
      std::vector<TargetDivergence> targets;
      for (int t = 0; t < requests_[w].target_count; ++t) {
        targets.push_back(make(w, static_cast<size_t>(t)));
      }
      if (absl::Status s = evaluator_->FoldPair(w, targets); !s.ok()) return s;
    }
    evaluation_.Clear();
    if (absl::Status s = evaluator_->Report(&evaluation_); !s.ok()) return s;
    return evaluation_.divergences(0);
  }

  std::unique_ptr<Tokenizer> tokenizer_ = Bytes();
  std::unique_ptr<Evaluator> evaluator_;
  std::vector<ScoreRequest> requests_;
  v1::Evaluation evaluation_;
};

double Mean(const std::vector<double>& x) {
  double sum = 0;
  for (double v : x) sum += v;
  return sum / static_cast<double>(x.size());
}

// llama.cpp: (E[xy] - E[x] E[y]) / (n - 1), the (co)variance of means.
double Covariance(const std::vector<double>& x, const std::vector<double>& y) {
  double sum = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    sum += (x[i] - Mean(x)) * (y[i] - Mean(y));
  }
  const double n = static_cast<double>(x.size());
  return sum / n / (n - 1);
}

double Error(const std::vector<double>& x) {
  return std::sqrt(Covariance(x, x));
}

// Random logits, scored through the metric and by the published
// definitions (evaluation.md 1.3) from probabilities.
TEST_F(DivergenceTest, ReportMatchesLlamaCppsDefinitionsOnSyntheticLogits) {
  Prepare(test::TinyText(512), "divergence/llamacpp-32");
  ASSERT_EQ(requests_.size(), 16u);
  std::mt19937_64 engine(11);
  std::normal_distribution<float> normal(0, 1);
  std::vector<double> kl, reverse, dp, dp2, same, a, b;
  DivergenceScratch scratch;
  const auto report = Report([&](size_t w, size_t t) {
    const int size = test::kTinyVocabulary;
    std::vector<float> base, quantized;
    for (int i = 0; i < size; ++i) {
      base.push_back(3 * normal(engine));
      quantized.push_back(base.back() + 0.3f * normal(engine));
    }
    const int32_t target = TargetOf(w, t);
    double p_sum = 0, q_sum = 0;
    for (int i = 0; i < size; ++i) {
      p_sum += std::exp(double{base[static_cast<size_t>(i)]});
      q_sum += std::exp(double{quantized[static_cast<size_t>(i)]});
    }
    double kld = 0, inverse = 0;
    for (int i = 0; i < size; ++i) {
      const double p = std::exp(double{base[static_cast<size_t>(i)]}) / p_sum;
      const double q =
          std::exp(double{quantized[static_cast<size_t>(i)]}) / q_sum;
      kld += p * (std::log(p) - std::log(q));
      inverse += q * (std::log(q) - std::log(p));
    }
    const size_t at = static_cast<size_t>(target);
    const double p = std::exp(double{base[at]}) / p_sum;
    const double q = std::exp(double{quantized[at]}) / q_sum;
    kl.push_back(kld);
    reverse.push_back(inverse);
    dp.push_back(q - p);
    dp2.push_back((q - p) * (q - p));
    a.push_back(-std::log(q));
    b.push_back(-std::log(p));
    same.push_back(
        std::max_element(base.begin(), base.end()) - base.begin() ==
                std::max_element(quantized.begin(), quantized.end()) -
                    quantized.begin()
            ? 1
            : 0);
    return CompareLogits(base, quantized, target, &scratch);
  });
  ASSERT_TRUE(report.ok()) << report.status();
  const v1::DivergenceReport& r = *report;
  const double n = static_cast<double>(kl.size());
  EXPECT_EQ(r.metric(), "divergence/llamacpp-32");
  EXPECT_EQ(r.scored_tokens(), kl.size());
  EXPECT_EQ(kl.size(), 16u * 15);
  EXPECT_NEAR(r.kl().mean().mean(), Mean(kl), 1e-12);
  EXPECT_NEAR(r.kl().mean().error_iid(), Error(kl), 1e-12);
  EXPECT_NEAR(r.reverse_kl().mean(), Mean(reverse), 1e-12);
  EXPECT_NEAR(r.delta_p().mean().mean(), Mean(dp), 1e-12);
  EXPECT_NEAR(r.delta_p().mean().error_iid(), Error(dp), 1e-12);
  const double rms = std::sqrt(Mean(dp2));
  EXPECT_NEAR(r.delta_p_rms(), rms, 1e-12);
  EXPECT_NEAR(r.delta_p_rms_error(), 0.5 / rms * Error(dp2), 1e-12);
  const double x = Mean(same);
  ASSERT_GT(x, 0.5);
  ASSERT_LT(x, 1);
  EXPECT_NEAR(r.top1_agreement().mean(), x, 1e-15);
  EXPECT_NEAR(r.top1_agreement().error_iid(), std::sqrt(x * (1 - x) / (n - 1)),
              1e-12);
  EXPECT_EQ(r.top1_changes(), static_cast<uint64_t>(std::lround(n * (1 - x))));
  EXPECT_NEAR(r.baseline_perplexity().perplexity(), std::exp(Mean(b)), 1e-9);
  EXPECT_NEAR(r.candidate_perplexity().perplexity(), std::exp(Mean(a)), 1e-9);
  EXPECT_NEAR(r.log_ratio().mean(), Mean(a) - Mean(b), 1e-12);
  EXPECT_NEAR(
      r.log_ratio().error_iid(),
      std::sqrt(Covariance(a, a) + Covariance(b, b) - 2 * Covariance(a, b)),
      1e-10);
  EXPECT_NEAR(r.ratio(), std::exp(Mean(a) - Mean(b)), 1e-12);
  EXPECT_NEAR(r.ratio_error(), r.ratio() * r.log_ratio().error_clustered(),
              1e-15);
  EXPECT_NEAR(r.nll_correlation(),
              Covariance(a, b) / std::sqrt(Covariance(a, a) * Covariance(b, b)),
              1e-12);
  std::sort(kl.begin(), kl.end());
  std::sort(dp.begin(), dp.end());
  EXPECT_NEAR(r.kl().maximum(), kl.back(), 1e-12);
  EXPECT_NEAR(r.kl().minimum(), kl.front(), 1e-12);
  EXPECT_NEAR(r.delta_p().median(), (dp[119] + dp[120]) / 2, 1e-12);
  for (const v1::Percentile& p : r.kl().percentiles()) {
    const double place = p.percent() / 100 * (n - 1);
    const size_t below = static_cast<size_t>(place);
    const double part = place - std::floor(place);
    EXPECT_NEAR(p.value(), (1 - part) * kl[below] + part * kl[below + 1], 1e-12)
        << p.percent();
  }
  // The candidate's perplexity stands where every perplexity does.
  ASSERT_EQ(evaluation_.perplexities_size(), 1);
  EXPECT_EQ(evaluation_.perplexities(0).tag().convention(), "ppl/llamacpp-32");
  EXPECT_EQ(evaluation_.perplexities(0).perplexity(),
            r.candidate_perplexity().perplexity());
}

TEST_F(DivergenceTest, AModelAgreesWithItselfExactly) {
  Prepare(test::TinyText(64), "divergence/gptq-16");
  std::mt19937_64 engine(2);
  std::normal_distribution<float> normal(0, 3);
  DivergenceScratch scratch;
  ASSERT_OK_AND_ASSIGN(
      const v1::DivergenceReport r, Report([&](size_t w, size_t t) {
        std::vector<float> row(test::kTinyVocabulary);
        for (float& v : row) v = normal(engine);
        return CompareLogits(row, row, TargetOf(w, t), &scratch);
      }));
  for (const v1::Distribution* d : {&r.kl(), &r.delta_p()}) {
    EXPECT_EQ(d->mean().mean(), 0);
    EXPECT_EQ(d->mean().error_clustered(), 0);
    EXPECT_EQ(d->maximum(), 0);
    EXPECT_EQ(d->minimum(), 0);
  }
  EXPECT_EQ(r.reverse_kl().mean(), 0);
  EXPECT_EQ(r.js().mean(), 0);
  EXPECT_EQ(r.top1_agreement().mean(), 1);
  EXPECT_EQ(r.top1_agreement().error_iid(), 0);
  EXPECT_EQ(r.top5_agreement().mean(), 1);
  EXPECT_EQ(r.delta_p_rms(), 0);
  EXPECT_EQ(r.delta_p_rms_error(), 0);
  EXPECT_EQ(r.top1_changes(), 0u);
  EXPECT_EQ(r.log_ratio().mean(), 0);
  EXPECT_EQ(r.ratio(), 1);
  EXPECT_EQ(r.entropy_shift().mean(), 0);
  EXPECT_NEAR(r.nll_correlation(), 1, 1e-12);
  EXPECT_EQ(r.baseline_calibration().expected_error(),
            r.candidate_calibration().expected_error());
  EXPECT_TRUE(r.worst_tokens().empty());
}

TEST_F(DivergenceTest, CalibrationErrorIsTheGapOfItsBins) {
  Prepare(kText, "divergence/gptq-8");
  // Baseline: confidence 0.9 and always wrong, which is one bin. Candidate:
  // half at 0.3, never right, half at 0.8, all right.
  ASSERT_OK_AND_ASSIGN(const v1::DivergenceReport r,
                       Report([&](size_t w, size_t t) {
                         TargetDivergence d;
                         d.baseline_top = -5;
                         d.baseline_confidence = 0.9;
                         d.candidate_top = w == 0 ? -5 : TargetOf(w, t);
                         d.candidate_confidence = w == 0 ? 0.3 : 0.8;
                         return d;
                       }));
  EXPECT_NEAR(r.baseline_calibration().expected_error(), 0.9, 1e-12);
  EXPECT_EQ(r.baseline_calibration().accuracy(), 0);
  EXPECT_NEAR(r.candidate_calibration().expected_error(), (0.3 + 0.2) / 2,
              1e-12);
  EXPECT_EQ(r.candidate_calibration().accuracy(), 0.5);
  EXPECT_NEAR(r.candidate_calibration().confidence(), 0.55, 1e-12);
  EXPECT_EQ(r.top1_changes(), 7u);
  EXPECT_EQ(r.wrong_to_right(), 7u);
  EXPECT_EQ(r.right_to_wrong(), 0u);
}

// One bin's errors cancel, two bins' do not, and 1/15 belongs to the first bin.
TEST_F(DivergenceTest, ConfidencesAtABoundaryBelongToTheBinBelow) {
  Prepare(kText, "divergence/gptq-8");
  const double edge = 1.0 / 15;
  ASSERT_OK_AND_ASSIGN(const v1::DivergenceReport r,
                       Report([&](size_t w, size_t t) {
                         TargetDivergence d;
                         const bool right = w == 0;
                         d.baseline_top = right ? TargetOf(w, t) : -5;
                         d.candidate_top = d.baseline_top;
                         d.baseline_confidence = edge;
                         d.candidate_confidence = right ? edge : edge + 1e-9;
                         return d;
                       }));
  EXPECT_NEAR(r.baseline_calibration().expected_error(), 0.5 - edge, 1e-12);
  EXPECT_NEAR(r.candidate_calibration().expected_error(),
              0.5 * (1 - edge) + 0.5 * edge, 1e-8);
}

TEST_F(DivergenceTest, WorstTokensComeWithTheirPlaceAndText) {
  Prepare(kText, "divergence/gptq-8");
  ASSERT_OK_AND_ASSIGN(v1::DivergenceReport r, Report([&](size_t w, size_t t) {
                         TargetDivergence d;
                         // 13 of 14 differ; the largest is window 1's last.
                         d.kl = static_cast<double>(7 * w + t);
                         d.baseline_nll = std::log(4.0);
                         d.candidate_nll = std::log(2.0);
                         d.baseline_top = 'x';
                         d.candidate_top = 'y';
                         return d;
                       }));
  ASSERT_EQ(r.worst_tokens_size(), 10);
  DecodeWorstTokens(*tokenizer_, &r);
  const v1::WorstToken& worst = r.worst_tokens(0);
  EXPECT_EQ(worst.kl(), 13);
  EXPECT_EQ(worst.window(), 1u);
  EXPECT_EQ(worst.position(), 7u);
  EXPECT_EQ(worst.text_position(), 15u);
  EXPECT_EQ(worst.token_text(), "p");
  EXPECT_EQ(worst.context(), "ijklmno");
  EXPECT_EQ(worst.baseline_top_text(), "x");
  EXPECT_EQ(worst.candidate_top_text(), "y");
  EXPECT_NEAR(worst.baseline_probability(), 0.25, 1e-15);
  EXPECT_NEAR(worst.candidate_probability(), 0.5, 1e-15);
  for (int i = 1; i < r.worst_tokens_size(); ++i) {
    EXPECT_EQ(r.worst_tokens(i).kl(), 13 - i);
  }
}

TEST_F(DivergenceTest, IdsBeyondTheTokenizerHaveNoText) {
  v1::DivergenceReport report;
  report.add_worst_tokens()->set_candidate_top(1 << 20);
  DecodeWorstTokens(*tokenizer_, &report);
  EXPECT_EQ(report.worst_tokens(0).candidate_top_text(), "");
}

TEST_F(DivergenceTest, ErrorsAreClusteredByWindow) {
  Prepare(kText, "divergence/gptq-8");
  ASSERT_OK_AND_ASSIGN(const v1::DivergenceReport r,
                       Report([&](size_t w, size_t) {
                         TargetDivergence d;
                         d.kl = static_cast<double>(w);
                         return d;
                       }));
  // Deviations of the two windows: -3.5 and 3.5, of 14 tokens.
  EXPECT_EQ(r.kl().mean().mean(), 0.5);
  EXPECT_NEAR(r.kl().mean().error_iid(), std::sqrt(0.25 / 13), 1e-15);
  EXPECT_NEAR(r.kl().mean().error_clustered(),
              std::sqrt(2 * 3.5 * 3.5) / 14 * std::sqrt(2.0), 1e-15);
}

TEST_F(DivergenceTest, BrokenModelsGetNoReport) {
  const double bad = std::nan("");
  const std::vector<double TargetDivergence::*> members = {
      &TargetDivergence::kl,
      &TargetDivergence::reverse_kl,
      &TargetDivergence::js,
      &TargetDivergence::baseline_nll,
      &TargetDivergence::candidate_nll,
      &TargetDivergence::baseline_entropy};
  for (double TargetDivergence::*member : members) {
    for (const double value : {bad, static_cast<double>(INFINITY)}) {
      Prepare(kText, "divergence/gptq-8");
      EXPECT_THAT(Report([&](size_t w, size_t t) {
                    TargetDivergence d;
                    if (w == 1 && t == 3) d.*member = value;
                    return d;
                  }).status(),
                  StatusIs(absl::StatusCode::kInternal,
                           HasSubstr("divergence/gptq-8")));
    }
  }
}

TEST_F(DivergenceTest, LimitedRunsSayTheirLimit) {
  EvaluatorOptions options;
  options.max_windows = 1;
  ASSERT_OK_AND_ASSIGN(evaluator_, NewEvaluator("divergence/gptq-8", options));
  ASSERT_OK_AND_ASSIGN(requests_,
                       evaluator_->Requests(kText, {*tokenizer_, kContext}));
  ASSERT_OK_AND_ASSIGN(const v1::DivergenceReport r, Report([](size_t, size_t) {
                         return TargetDivergence();
                       }));
  EXPECT_EQ(r.metric(), "divergence/gptq-8/first-1");
  EXPECT_EQ(r.tag().convention(), "ppl/gptq-8/first-1");
  EXPECT_EQ(r.window_count(), 1u);
}

// Documents of 11 and 8 tokens in windows of 8: three windows, two clusters.
TEST_F(DivergenceTest, DocumentsAreItsClustersWhereAConventionHasThem) {
  tokenizer_ =
      *ParseTokenizer(test::SmallTokenizer().dump(), R"({"eos_token": "~"})");
  Prepare(" = ab = \nabc\n = cd = ", "divergence/lmeval-rolling-8");
  ASSERT_EQ(requests_.size(), 3u);
  ASSERT_EQ(requests_[1].target_count, 3);
  ASSERT_OK_AND_ASSIGN(const v1::DivergenceReport r,
                       Report([&](size_t w, size_t t) {
                         TargetDivergence d;
                         d.kl = w == 2 ? 2 : 1;
                         if (w == 1 && t == 0) d.kl = 9;
                         d.candidate_nll = w == 2 ? 3 : 1;
                         d.baseline_nll = 1;
                         return d;
                       }));
  EXPECT_EQ(r.window_count(), 3u);
  EXPECT_EQ(r.scored_tokens(), 19u);
  const double mean = (8 + 11 + 16) / 19.0;
  EXPECT_NEAR(r.kl().mean().mean(), mean, 1e-12);
  EXPECT_EQ(r.kl().maximum(), 9);
  // Two clusters: their deviations are opposite.
  EXPECT_NEAR(r.kl().mean().error_clustered(),
              std::abs(19 - 11 * mean) * std::sqrt(2.0) / 19 * std::sqrt(2.0),
              1e-12);
  EXPECT_EQ(r.candidate_perplexity().window_nll_size(), 2);
  EXPECT_NEAR(r.log_ratio().mean(), 16 / 19.0, 1e-12);
  EXPECT_NEAR(r.ratio(),
              r.candidate_perplexity().perplexity() /
                  r.baseline_perplexity().perplexity(),
              1e-12);
  EXPECT_GT(r.candidate_perplexity().word_perplexity().value(), 1);
  // The first target of window 1 stands behind the 8 of window 0.
  EXPECT_EQ(r.worst_tokens(0).window(), 1u);
  EXPECT_EQ(r.worst_tokens(0).position(), 6u);
  EXPECT_EQ(r.worst_tokens(0).text_position(), 8u);
  // Window 0 begins with the prefix token, the text with what follows.
  EXPECT_EQ(r.worst_tokens(9).window(), 0u);
  EXPECT_EQ(r.worst_tokens(9).position(), 1u);
  EXPECT_EQ(r.worst_tokens(9).text_position(), 0u);
}

// The ratio is that of both perplexities, which weigh windows, while a KL is
// over tokens.
TEST_F(DivergenceTest, TheRatioIsWeightedAsThePerplexitiesAre) {
  Prepare(kText, "divergence/hf-stride-6-8");
  ASSERT_EQ(requests_.size(), 3u);
  ASSERT_OK_AND_ASSIGN(const v1::DivergenceReport r,
                       Report([&](size_t w, size_t t) {
                         TargetDivergence d;
                         d.baseline_nll = 1 + 0.1 * static_cast<double>(t);
                         d.candidate_nll = 2 + static_cast<double>(w);
                         d.kl = static_cast<double>(w);
                         return d;
                       }));
  EXPECT_EQ(r.scored_tokens(), 19u);
  EXPECT_NEAR(r.kl().mean().mean(), (6 * 1 + 6 * 2) / 19.0, 1e-12);
  EXPECT_NEAR(r.ratio(),
              r.candidate_perplexity().perplexity() /
                  r.baseline_perplexity().perplexity(),
              1e-12);
  // 7, 5 and 5 count, of 7, 6 and 6 targets.
  EXPECT_NEAR(r.candidate_perplexity().mean_nll(),
              (7 * 2 + 5 * 3 + 5 * 4) / 17.0, 1e-12);
}

}  // namespace
}  // namespace quantd
