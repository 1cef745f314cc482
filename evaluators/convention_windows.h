// The windows of one perplexity convention over one text, for every metric that
// is defined over them: "gptq-512" behind the family's name says convention and
// window (perplexity_convention.h).
//
// Confined to one thread.
#ifndef QUANTD_EVALUATORS_CONVENTION_WINDOWS_H_
#define QUANTD_EVALUATORS_CONVENTION_WINDOWS_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "evaluators/evaluator.h"
#include "evaluators/perplexity_convention.h"
#include "models/tokenizer.h"
#include "quantd/v1/evaluation.pb.h"

namespace quantd {

class ConventionWindows {
 public:
  // InvalidArgument: an unknown convention, with the known ones, or a window
  // out of range. `family` ("ppl") is for messages.
  static absl::StatusOr<ConventionWindows> Parse(
      absl::string_view family, absl::string_view parameters,
      const EvaluatorOptions& options);

  WindowShape Shape() const {
    return {window_, static_cast<int64_t>(options_.max_windows)};
  }

  // See Evaluator::Requests(). Sets the tag.
  absl::StatusOr<std::vector<ScoreRequest>> Requests(
      absl::string_view text, const Tokenizer& tokenizer);

  // "gptq-512", or "gptq-512/first-3" for a limited run.
  std::string name() const;

  // Of the perplexity over these windows. REQUIRES: Requests() was OK.
  const v1::PerplexityTag& tag() const { return tag_; }

  int window_tokens() const { return window_; }
  int targets_per_window() const {
    return window_ - convention_->first_target(window_);
  }

 private:
  ConventionWindows(absl::string_view family,
                    const PerplexityConvention* convention, int window,
                    const EvaluatorOptions& options)
      : family_(family),
        convention_(convention),
        window_(window),
        options_(options) {}

  std::string family_;
  const PerplexityConvention* convention_;
  int window_;
  EvaluatorOptions options_;
  v1::PerplexityTag tag_;
};

// One row per convention, patterns "<family>/gptq-N"; each help is `prefix`
// and the convention's. An empty citation stands for the convention's own.
std::vector<v1::MetricInfo> ConventionMetrics(absl::string_view family,
                                              absl::string_view prefix,
                                              absl::string_view citation);

}  // namespace quantd

#endif  // QUANTD_EVALUATORS_CONVENTION_WINDOWS_H_
