#include "evaluators/divergence.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string>
#include <tuple>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "evaluators/convention_windows.h"
#include "evaluators/perplexity.h"
#include "evaluators/token_statistics.h"

namespace quantd {
namespace {

// Guo et al. 2017, section 4.
constexpr int kCalibrationBins = 15;
constexpr size_t kWorstTokens = 10;
// As WorstToken.context_tokens says.
constexpr int kContextTokens = 24;

struct CalibrationBin {
  uint64_t count = 0;
  uint64_t right = 0;
  double confidence = 0;  // sum
};

using CalibrationBins = std::array<CalibrationBin, kCalibrationBins>;

void AddTo(CalibrationBins* bins, double confidence, bool right) {
  // Bin m of M holds confidences in (m / M, (m + 1) / M]. NaN goes into the
  // first; it fails the report by its likelihood.
  const double place = std::ceil(confidence * kCalibrationBins) - 1;
  const int bin =
      place > 0 ? std::min(static_cast<int>(place), kCalibrationBins - 1) : 0;
  CalibrationBin& out = (*bins)[static_cast<size_t>(bin)];
  ++out.count;
  out.right += right ? 1 : 0;
  out.confidence += confidence;
}

struct WindowDivergence {
  WindowSums kl, reverse_kl, js, top1, top5;
  WindowSums delta_p, squared_delta_p;
  WindowSums baseline_entropy, candidate_entropy, entropy_shift;
  WindowSums baseline_nll, candidate_nll, log_ratio;
  double nll_product = 0;  // sum of baseline times candidate
  CalibrationBins baseline_bins, candidate_bins;
  uint64_t top1_changes = 0;
  uint64_t right_to_wrong = 0;
  uint64_t wrong_to_right = 0;
};

v1::CalibrationError CalibrationOf(absl::Span<const WindowDivergence> windows,
                                   CalibrationBins WindowDivergence::*member) {
  CalibrationBins total;
  CalibrationBin all;
  for (const WindowDivergence& window : windows) {
    const CalibrationBins& bins = window.*member;
    for (size_t b = 0; b < bins.size(); ++b) {
      for (CalibrationBin* sum : {&total[b], &all}) {
        sum->count += bins[b].count;
        sum->right += bins[b].right;
        sum->confidence += bins[b].confidence;
      }
    }
  }
  const double n = static_cast<double>(all.count);
  double error = 0;
  for (const CalibrationBin& bin : total) {
    // |B| / n * |right / |B| - confidence / |B||.
    error += std::abs(static_cast<double>(bin.right) - bin.confidence) / n;
  }
  v1::CalibrationError calibration;
  calibration.set_expected_error(error);
  calibration.set_accuracy(static_cast<double>(all.right) / n);
  calibration.set_confidence(all.confidence / n);
  return calibration;
}

// Larger KL first; the place in the text decides between equal ones.
bool Worse(const v1::WorstToken& a, const v1::WorstToken& b) {
  if (a.kl() != b.kl()) return a.kl() > b.kl();
  return std::tuple(a.window(), a.position()) <
         std::tuple(b.window(), b.position());
}

class DivergenceEvaluator final : public Evaluator {
 public:
  explicit DivergenceEvaluator(ConventionWindows convention)
      : convention_(std::move(convention)) {}

  absl::StatusOr<WindowShape> Shape(int64_t context_tokens) const override {
    return convention_.Shape(context_tokens);
  }

  bool compares() const override { return true; }

  absl::StatusOr<std::vector<ScoreRequest>> Requests(
      absl::string_view text, const ModelContext& model) override {
    ASSIGN_OR_RETURN(requests_, convention_.Requests(text, model));
    windows_.assign(requests_.size(), WindowDivergence());
    size_t tokens = 0;
    places_.clear();
    for (const ScoreRequest& request : requests_) {
      places_.push_back(tokens);
      tokens += static_cast<size_t>(request.target_count);
    }
    kl_.assign(tokens, 0);
    delta_p_.assign(tokens, 0);
    return requests_;
  }

  absl::Status FoldPair(size_t index,
                        absl::Span<const TargetDivergence> targets) override {
    const ScoreRequest& request = requests_[index];
    for (size_t t = 0; t < targets.size(); ++t) {
      FoldTarget(index, request, static_cast<int>(t), targets[t]);
    }
    return absl::OkStatus();
  }

  absl::Status Report(v1::Evaluation* evaluation) const override {
    ASSIGN_OR_RETURN(v1::DivergenceReport report,
                     Annotate(MakeReport(), name()));
    *evaluation->add_perplexities() = report.candidate_perplexity();
    *evaluation->add_divergences() = std::move(report);
    return absl::OkStatus();
  }

 private:
  std::string name() const {
    return absl::StrCat("divergence/", convention_.name());
  }

  void FoldTarget(size_t index, const ScoreRequest& request, int t,
                  const TargetDivergence& target) {
    const size_t position = static_cast<size_t>(request.first_target + t);
    const int32_t token = request.tokens[position];
    const double p = std::exp(-target.baseline_nll);
    const double q = std::exp(-target.candidate_nll);
    const double delta_p = q - p;
    const bool same = target.baseline_top == target.candidate_top;
    const bool baseline_right = target.baseline_top == token;
    const bool candidate_right = target.candidate_top == token;
    WindowDivergence& window = windows_[index];
    window.kl.Add(target.kl);
    window.reverse_kl.Add(target.reverse_kl);
    window.js.Add(target.js);
    window.top1.Add(same ? 1 : 0);
    window.top5.Add(target.top_overlap);
    window.delta_p.Add(delta_p);
    window.squared_delta_p.Add(delta_p * delta_p);
    window.baseline_entropy.Add(target.baseline_entropy);
    window.candidate_entropy.Add(target.candidate_entropy);
    window.entropy_shift.Add(target.candidate_entropy -
                             target.baseline_entropy);
    window.baseline_nll.Add(target.baseline_nll);
    window.candidate_nll.Add(target.candidate_nll);
    window.log_ratio.Add(target.candidate_nll - target.baseline_nll);
    window.nll_product += target.baseline_nll * target.candidate_nll;
    AddTo(&window.baseline_bins, target.baseline_confidence, baseline_right);
    AddTo(&window.candidate_bins, target.candidate_confidence, candidate_right);
    window.top1_changes += same ? 0 : 1;
    window.right_to_wrong += baseline_right && !candidate_right ? 1 : 0;
    window.wrong_to_right += !baseline_right && candidate_right ? 1 : 0;
    const size_t place = places_[index] + static_cast<size_t>(t);
    kl_[place] = target.kl;
    delta_p_[place] = delta_p;

    v1::WorstToken worst;
    worst.set_window(index);
    worst.set_position(static_cast<uint32_t>(position));
    worst.set_kl(target.kl);
    // Not of a KL that is 0 or NaN.
    if (!(target.kl > 0) ||
        (worst_.size() == kWorstTokens && !Worse(worst, worst_.back()))) {
      return;
    }
    worst.set_text_position(convention_.TextPosition(index, position));
    worst.set_baseline_probability(p);
    worst.set_candidate_probability(q);
    worst.set_token(token);
    worst.set_baseline_top(target.baseline_top);
    worst.set_candidate_top(target.candidate_top);
    worst_.insert(std::upper_bound(worst_.begin(), worst_.end(), worst, Worse),
                  std::move(worst));
    if (worst_.size() > kWorstTokens) worst_.pop_back();
  }

  std::vector<WindowSums> SumsOf(WindowSums WindowDivergence::*member) const {
    std::vector<WindowSums> sums;
    for (const WindowDivergence& window : windows_) {
      sums.push_back(window.*member);
    }
    return sums;
  }

  std::vector<WindowSums> ClusterSumsOf(
      WindowSums WindowDivergence::*member) const {
    return ClusterSums(convention_.clusters(), SumsOf(member));
  }

  v1::Estimate MeanOf(WindowSums WindowDivergence::*member) const {
    return EstimateMean(ClusterSumsOf(member));
  }

  absl::StatusOr<v1::PerplexityReport> PerplexityOf(
      WindowSums WindowDivergence::*member) const {
    return MakePerplexityReport(convention_.tag(), convention_.clusters(),
                                SumsOf(member));
  }

  absl::StatusOr<v1::DivergenceReport> MakeReport() const {
    using W = WindowDivergence;
    v1::DivergenceReport report;
    report.set_metric(name());
    *report.mutable_tag() = convention_.tag();
    report.set_window_count(windows_.size());
    report.set_scored_tokens(kl_.size());
    ASSIGN_OR_RETURN(*report.mutable_baseline_perplexity(),
                     Annotate(PerplexityOf(&W::baseline_nll), "baseline"));
    ASSIGN_OR_RETURN(*report.mutable_candidate_perplexity(),
                     Annotate(PerplexityOf(&W::candidate_nll), "target"));
    const v1::Estimate kl = MeanOf(&W::kl);
    *report.mutable_reverse_kl() = MeanOf(&W::reverse_kl);
    *report.mutable_js() = MeanOf(&W::js);
    *report.mutable_entropy_shift() = MeanOf(&W::entropy_shift);
    for (const double mean :
         {kl.mean(), report.reverse_kl().mean(), report.js().mean(),
          report.entropy_shift().mean()}) {
      if (!std::isfinite(mean)) {
        return absl::InternalError(
            "a divergence is NaN or infinite: one of the models gives a token "
            "no probability at all");
      }
    }
    *report.mutable_kl() = DistributionOf(kl, kl_);
    *report.mutable_delta_p() = DistributionOf(MeanOf(&W::delta_p), delta_p_);
    const v1::Estimate squared = MeanOf(&W::squared_delta_p);
    const double rms = std::sqrt(squared.mean());
    report.set_delta_p_rms(rms);
    report.set_delta_p_rms_error(rms > 0 ? squared.error_iid() / (2 * rms) : 0);
    *report.mutable_top1_agreement() = MeanOf(&W::top1);
    *report.mutable_top5_agreement() = MeanOf(&W::top5);
    report.set_baseline_entropy(MeanOf(&W::baseline_entropy).mean());
    report.set_candidate_entropy(MeanOf(&W::candidate_entropy).mean());
    *report.mutable_baseline_calibration() =
        CalibrationOf(windows_, &W::baseline_bins);
    *report.mutable_candidate_calibration() =
        CalibrationOf(windows_, &W::candidate_bins);
    uint64_t changes = 0, right_to_wrong = 0, wrong_to_right = 0;
    for (const WindowDivergence& window : windows_) {
      changes += window.top1_changes;
      right_to_wrong += window.right_to_wrong;
      wrong_to_right += window.wrong_to_right;
    }
    report.set_top1_changes(changes);
    report.set_right_to_wrong(right_to_wrong);
    report.set_wrong_to_right(wrong_to_right);
    // Weighted, as both perplexities are.
    const v1::Estimate log_ratio = EstimateWeightedMean(
        convention_.clusters(), ClusterSumsOf(&W::log_ratio));
    *report.mutable_log_ratio() = log_ratio;
    report.set_ratio(std::exp(log_ratio.mean()));
    report.set_ratio_error(report.ratio() * log_ratio.error_clustered());
    report.set_nll_correlation(NllCorrelation());
    for (v1::WorstToken worst : worst_) {
      const std::vector<int32_t>& tokens =
          requests_[static_cast<size_t>(worst.window())].tokens;
      const int end = static_cast<int>(worst.position());
      for (int i = std::max(0, end - kContextTokens); i < end; ++i) {
        worst.add_context_tokens(tokens[static_cast<size_t>(i)]);
      }
      *report.add_worst_tokens() = std::move(worst);
    }
    return report;
  }

  double NllCorrelation() const {
    double n = 0, a = 0, b = 0, aa = 0, bb = 0, ab = 0;
    for (const WindowDivergence& window : windows_) {
      n += static_cast<double>(window.baseline_nll.count);
      a += window.baseline_nll.sum;
      b += window.candidate_nll.sum;
      aa += window.baseline_nll.sum_of_squares;
      bb += window.candidate_nll.sum_of_squares;
      ab += window.nll_product;
    }
    const double variance =
        (aa / n - a / n * (a / n)) * (bb / n - b / n * (b / n));
    if (!(variance > 0)) return 0;
    return (ab / n - a / n * (b / n)) / std::sqrt(variance);
  }

  ConventionWindows convention_;
  std::vector<ScoreRequest> requests_;
  std::vector<size_t> places_;  // of every request's first target in kl_
  std::vector<WindowDivergence> windows_;
  // Of all scored tokens, in the order of the text.
  std::vector<double> kl_, delta_p_;
  std::vector<v1::WorstToken> worst_;  // worst first
};

std::string TextOf(const Tokenizer& tokenizer,
                   absl::Span<const int32_t> tokens) {
  return tokenizer.Decode(tokens).value_or("");
}

}  // namespace

absl::StatusOr<std::unique_ptr<Evaluator>> NewDivergenceEvaluator(
    absl::string_view parameters, const EvaluatorOptions& options) {
  ASSIGN_OR_RETURN(ConventionWindows convention,
                   ConventionWindows::Parse("divergence", parameters, options));
  return std::unique_ptr<Evaluator>(
      std::make_unique<DivergenceEvaluator>(std::move(convention)));
}

std::vector<v1::MetricInfo> DivergenceMetrics() {
  return ConventionMetrics(
      "divergence",
      "Divergence from a baseline run side by side: KL both ways, "
      "Jensen-Shannon, agreement of the likeliest tokens, shift of "
      "probabilities, both perplexities. ",
      "llama.cpp, perplexity program, --kl-divergence; Kullback and Leibler "
      "1951; Lin 1991");
}

void DecodeWorstTokens(const Tokenizer& tokenizer,
                       v1::DivergenceReport* report) {
  for (v1::WorstToken& worst : *report->mutable_worst_tokens()) {
    worst.set_token_text(TextOf(tokenizer, {worst.token()}));
    worst.set_baseline_top_text(TextOf(tokenizer, {worst.baseline_top()}));
    worst.set_candidate_top_text(TextOf(tokenizer, {worst.candidate_top()}));
    worst.set_context(TextOf(tokenizer, worst.context_tokens()));
  }
}

}  // namespace quantd
