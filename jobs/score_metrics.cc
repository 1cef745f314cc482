#include "jobs/score_metrics.h"

#include <string>

#include "absl/strings/str_cat.h"

namespace quantd {

void AddScoreMetrics(const v1::Evaluation& evaluation, v1::JobResult* result) {
  auto& metrics = *result->mutable_metrics();
  for (const v1::PerplexityReport& report : evaluation.perplexities()) {
    const std::string& name = report.tag().convention();
    metrics[name] = report.perplexity();
    if (report.has_word_perplexity()) {
      metrics[name + "/word_perplexity"] = report.word_perplexity().value();
    }
    if (report.has_byte_perplexity()) {
      metrics[name + "/byte_perplexity"] = report.byte_perplexity().value();
    }
    if (report.has_bits_per_byte()) {
      metrics[name + "/bits_per_byte"] = report.bits_per_byte().value();
    }
  }
  for (const v1::DivergenceReport& report : evaluation.divergences()) {
    const std::string prefix = absl::StrCat(report.metric(), "/");
    metrics[prefix + "mean_kl"] = report.kl().mean().mean();
    metrics[prefix + "top1_agreement"] = report.top1_agreement().mean();
    metrics[prefix + "ln_perplexity_ratio"] = report.log_ratio().mean();
  }
  for (const v1::TaskReport& report : evaluation.tasks()) {
    for (const v1::TaskMetric& metric : report.metrics()) {
      metrics[absl::StrCat(report.tag().task(), "/", metric.name())] =
          metric.value();
    }
  }
  // Where nothing is scored there is no such speed.
  if (evaluation.tokens_per_second() > 0) {
    metrics["tokens_per_second"] = evaluation.tokens_per_second();
  }
}

}  // namespace quantd
