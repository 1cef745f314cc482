// Divergence of a compressed model from its original, position by position over
// the windows of a perplexity convention: v1::DivergenceReport says what each
// number is, logit_divergence.h how one position gives it.
//
// llama.cpp's perplexity program (--kl-divergence) defines the same KL, delta
// p, agreement and perplexity ratio from a file of the original's logits
// rounded to 16 bits. Here both models run side by side (scorer.h): nothing is
// rounded, and a model's divergence from itself is exactly 0.
#ifndef QUANTD_EVALUATORS_DIVERGENCE_H_
#define QUANTD_EVALUATORS_DIVERGENCE_H_

#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "evaluators/evaluator.h"
#include "models/tokenizer.h"

namespace quantd {

// `parameters` is the metric behind "divergence/": "gptq-512".
absl::StatusOr<std::unique_ptr<Evaluator>> NewDivergenceEvaluator(
    absl::string_view parameters, const EvaluatorOptions& options);

// One row per convention.
std::vector<v1::MetricInfo> DivergenceMetrics();

// Writes the texts of the worst tokens, of which Report() gives the ids. An id
// that the tokenizer does not have (a vocabulary padded to a round number) has
// no text.
void DecodeWorstTokens(const Tokenizer& tokenizer,
                       v1::DivergenceReport* report);

// Bytes that a report keeps per scored token while it is made.
inline constexpr int64_t kDivergenceBytesPerToken = 2 * sizeof(double);

}  // namespace quantd

#endif  // QUANTD_EVALUATORS_DIVERGENCE_H_
