// The windows of one perplexity convention over one text, for every metric that
// is defined over them: "gptq-512" behind the family's name says convention and
// window (perplexity_convention.h).
//
// Confined to one thread.
#ifndef QUANTD_EVALUATORS_CONVENTION_WINDOWS_H_
#define QUANTD_EVALUATORS_CONVENTION_WINDOWS_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "evaluators/evaluator.h"
#include "evaluators/perplexity_convention.h"
#include "evaluators/text_windows.h"
#include "quantd/v1/evaluation.pb.h"

namespace quantd {

class ConventionWindows {
 public:
  // InvalidArgument: an unknown convention, with the known ones, or a window
  // or stride out of range. `family` ("ppl") is for messages.
  static absl::StatusOr<ConventionWindows> Parse(
      absl::string_view family, absl::string_view parameters,
      const EvaluatorOptions& options);

  // See Evaluator::Shape().
  absl::StatusOr<WindowShape> Shape(int64_t context_tokens) const;

  // See Evaluator::Requests(). Sets what follows.
  absl::StatusOr<std::vector<ScoreRequest>> Requests(absl::string_view text,
                                                     const ModelContext& model);

  // "gptq-512", or "gptq-512/first-3" for a limited run. A window that is left
  // to the model's context has its number from Requests() on.
  std::string name() const;

  // Of the perplexity over these windows. REQUIRES: Requests() was OK.
  const v1::PerplexityTag& tag() const { return windows_.tag; }

  // Which windows belong together. REQUIRES: Requests() was OK.
  absl::Span<const TextCluster> clusters() const { return windows_.clusters; }

  // Place of a request's token among the tokens of the whole text. REQUIRES:
  // Requests() was OK; not a prefix token.
  uint64_t TextPosition(size_t request, size_t position) const {
    return static_cast<uint64_t>(windows_.begins[request] +
                                 static_cast<int64_t>(position));
  }

 private:
  ConventionWindows(absl::string_view family,
                    const PerplexityConvention* convention)
      : family_(family), convention_(convention) {}

  // The parameters with a window; InvalidArgument as Shape() says.
  absl::StatusOr<WindowParameters> Resolve(int64_t context_tokens) const;

  std::string unlimited_name() const;

  std::string family_;
  const PerplexityConvention* convention_;
  WindowParameters parameters_;  // window 0: the model's context
  TextWindows windows_;          // requests are given away
};

// One row per convention, patterns "<family>/gptq-N"; each help is `prefix`
// and the convention's. An empty citation stands for the convention's own.
std::vector<v1::MetricInfo> ConventionMetrics(absl::string_view family,
                                              absl::string_view prefix,
                                              absl::string_view citation);

}  // namespace quantd

#endif  // QUANTD_EVALUATORS_CONVENTION_WINDOWS_H_
