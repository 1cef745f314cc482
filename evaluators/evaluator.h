// Evaluators turn scored requests into reports. An evaluator names the token
// windows it wants scored (Requests), folds the per-token results into its
// accumulators as they come (Fold) and writes the report (Report); the scoring
// core (scorer.h) runs the network once for all of them. A metric that compares
// the scored model, the target, with a baseline is given what both say of every
// token (FoldPair).
//
// Metrics are named by users as text, "ppl/gptq-512"; builtin_evaluators.cc
// is the table of families. Some families are no folds over scored requests
// but measurements of their own (MetricKind).
//
// One instance serves one run; confined to the thread that runs it.
#ifndef QUANTD_EVALUATORS_EVALUATOR_H_
#define QUANTD_EVALUATORS_EVALUATOR_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "evaluators/logit_divergence.h"
#include "evaluators/prefix_plan.h"
#include "evaluators/token_score.h"
#include "google/protobuf/repeated_field.h"
#include "models/tokenizer.h"
#include "quantd/v1/evaluation.pb.h"

namespace quantd {

// The windows that a metric will ask for, as far as its name and the model
// tell: at most one for every `text_tokens` tokens of the text (one at least),
// none longer than `tokens`. An upper bound where windows are not of one
// length.
struct WindowShape {
  int64_t tokens = 0;
  int64_t text_tokens = 0;
  int64_t max_windows = 0;  // 0: as many as the text fills
};

// What requests depend on beside the text.
struct ModelContext {
  const Tokenizer& tokenizer;
  // Longest sequence that the model was made for; 0 = unknown.
  int64_t context_tokens = 0;
};

class Evaluator {
 public:
  virtual ~Evaluator() = default;

  // InvalidArgument where the metric leaves its window to the model's context
  // and that is unknown (0) or out of range.
  virtual absl::StatusOr<WindowShape> Shape(int64_t context_tokens) const = 0;

  // Whether the metric needs a baseline beside the target: FoldPair() is called
  // instead of Fold().
  virtual bool compares() const { return false; }

  // Tokenizes `text` by the rules of the metric and returns the windows to
  // score, in order. InvalidArgument when the text is too short, too large
  // for the convention, or not UTF-8, and as Shape() says.
  virtual absl::StatusOr<std::vector<ScoreRequest>> Requests(
      absl::string_view text, const ModelContext& model) = 0;

  // What the model says of request `index`'s targets. Called once per request,
  // in any order. Internal if it compares().
  virtual absl::Status Fold(size_t index, absl::Span<const TokenScore> scores);

  // The same with both models at request `index`'s targets; the target is the
  // candidate. Internal unless it compares().
  virtual absl::Status FoldPair(size_t index,
                                absl::Span<const TargetDivergence> targets);

  // REQUIRES: every request was folded. Internal when a value is NaN or
  // infinite: a broken model never gets a score.
  virtual absl::Status Report(v1::Evaluation* evaluation) const = 0;
};

struct EvaluatorOptions {
  // Score only the first windows; 0 = all. A limited run carries its limit in
  // the tag, so that it is never compared with a whole one.
  uint64_t max_windows = 0;
};

// What computes a metric.
enum class MetricKind {
  kScored,       // an Evaluator
  kEfficiency,   // efficiency.h: needs no text
  kAttribution,  // attribution.h: compares over the windows of a text
};

// The kind of a metric. InvalidArgument: unknown metric (with the known
// patterns) or parameters out of range.
absl::StatusOr<MetricKind> KindOfMetric(absl::string_view metric);

// The evaluator of a metric of kind kScored. InvalidArgument as KindOfMetric(),
// and for another kind.
absl::StatusOr<std::unique_ptr<Evaluator>> NewEvaluator(
    absl::string_view metric, const EvaluatorOptions& options = {});

// EvaluateSpec.metrics.
using MetricNames = google::protobuf::RepeatedPtrField<std::string>;

// Those of `metrics` that are of one kind, without repeats and without those
// that another of them reports as well: ppl/X beside divergence/X.
std::vector<std::string> MetricsToRun(const MetricNames& metrics,
                                      MetricKind kind = MetricKind::kScored);

// Whether one of `metrics` cannot do without a text, without a baseline, or has
// a use for a baseline. Unknown ones do not.
bool AnyNeedsText(const MetricNames& metrics);
bool AnyCompares(const MetricNames& metrics);
bool AnyTakesBaseline(const MetricNames& metrics);

// All metric families, for listings; those of kind kScored.
std::vector<v1::MetricInfo> KnownMetrics();
std::vector<v1::MetricInfo> ScoredMetrics();

}  // namespace quantd

#endif  // QUANTD_EVALUATORS_EVALUATOR_H_
