#include "client/evaluation_json.h"

#include <algorithm>
#include <cstdint>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "client/task_text.h"
#include "google/protobuf/util/message_differencer.h"

namespace quantd {
namespace {

// "word_perplexity" and its two errors.
void AddUncertain(const char* name, const v1::UncertainValue& value,
                  Json* json) {
  (*json)[name] = value.value();
  (*json)[absl::StrCat(name, "_error_iid")] = value.error_iid();
  (*json)[absl::StrCat(name, "_error_clustered")] = value.error_clustered();
}

void AddPerplexity(const v1::PerplexityReport& report, Json* json) {
  (*json)["perplexity"] = report.perplexity();
  (*json)["perplexity_error_iid"] = report.error_iid();
  (*json)["perplexity_error_clustered"] = report.error_clustered();
  (*json)["windows"] = report.window_count();
  (*json)["scored_tokens"] = report.scored_tokens();
  (*json)["tokens"] = report.tag().token_count();
  if (report.has_word_perplexity()) {
    AddUncertain("word_perplexity", report.word_perplexity(), json);
  }
  if (report.has_byte_perplexity()) {
    AddUncertain("byte_perplexity", report.byte_perplexity(), json);
  }
  if (report.has_bits_per_byte()) {
    AddUncertain("bits_per_byte", report.bits_per_byte(), json);
  }
  (*json)["tag"] = TagToJson(report.tag());
}

Json EstimateToJson(const v1::Estimate& estimate) {
  return {{"mean", estimate.mean()},
          {"error_iid", estimate.error_iid()},
          {"error_clustered", estimate.error_clustered()}};
}

Json DistributionToJson(const v1::Distribution& distribution) {
  Json json = EstimateToJson(distribution.mean());
  json["minimum"] = distribution.minimum();
  json["median"] = distribution.median();
  json["maximum"] = distribution.maximum();
  Json& percentiles = json["percentiles"] = Json::object();
  for (const v1::Percentile& percentile : distribution.percentiles()) {
    percentiles[absl::StrCat(percentile.percent())] = percentile.value();
  }
  return json;
}

Json CalibrationToJson(const v1::CalibrationError& calibration) {
  return {{"expected_error", calibration.expected_error()},
          {"accuracy", calibration.accuracy()},
          {"confidence", calibration.confidence()}};
}

Json WorstTokenToJson(const v1::WorstToken& worst) {
  return {{"window", worst.window()},
          {"position", worst.position()},
          {"text_position", worst.text_position()},
          {"kl", worst.kl()},
          {"baseline_probability", worst.baseline_probability()},
          {"candidate_probability", worst.candidate_probability()},
          {"token", worst.token()},
          {"token_text", worst.token_text()},
          {"baseline_top", worst.baseline_top()},
          {"baseline_top_text", worst.baseline_top_text()},
          {"candidate_top", worst.candidate_top()},
          {"candidate_top_text", worst.candidate_top_text()},
          {"context", worst.context()}};
}

}  // namespace

Json TagToJson(const v1::PerplexityTag& tag) {
  Json json = {{"convention", tag.convention()},
               {"window_tokens", tag.window_tokens()},
               {"text_sha256", tag.text_digest()},
               {"token_count", tag.token_count()},
               {"bos_policy", tag.bos_policy()},
               {"tokenizer_sha256", tag.tokenizer_digest()}};
  if (tag.stride_tokens() > 0) json["stride_tokens"] = tag.stride_tokens();
  if (tag.has_prefix_token()) json["prefix_token"] = tag.prefix_token();
  if (tag.document_count() > 0) {
    json["documents"] = tag.document_count();
    json["words"] = tag.word_count();
    json["bytes"] = tag.byte_count();
  }
  return json;
}

Json DivergenceToJson(const v1::DivergenceReport& report) {
  const auto perplexity = [](const v1::PerplexityReport& of) {
    Json json = Json::object();
    AddPerplexity(of, &json);
    return json;
  };
  Json json = {
      {"metric", report.metric()},
      {"baseline", report.baseline()},
      {"baseline_digest", report.baseline_digest()},
      {"windows", report.window_count()},
      {"scored_tokens", report.scored_tokens()},
      {"tag", TagToJson(report.tag())},
      {"kl", DistributionToJson(report.kl())},
      {"reverse_kl", EstimateToJson(report.reverse_kl())},
      {"js", EstimateToJson(report.js())},
      {"top1_agreement", EstimateToJson(report.top1_agreement())},
      {"top5_agreement", EstimateToJson(report.top5_agreement())},
      {"delta_p", DistributionToJson(report.delta_p())},
      {"delta_p_rms", report.delta_p_rms()},
      {"delta_p_rms_error", report.delta_p_rms_error()},
      {"baseline_entropy", report.baseline_entropy()},
      {"candidate_entropy", report.candidate_entropy()},
      {"entropy_shift", EstimateToJson(report.entropy_shift())},
      {"baseline_calibration",
       CalibrationToJson(report.baseline_calibration())},
      {"candidate_calibration",
       CalibrationToJson(report.candidate_calibration())},
      {"top1_changes", report.top1_changes()},
      {"right_to_wrong", report.right_to_wrong()},
      {"wrong_to_right", report.wrong_to_right()},
      {"baseline_perplexity", perplexity(report.baseline_perplexity())},
      {"candidate_perplexity", perplexity(report.candidate_perplexity())},
      {"log_ratio", EstimateToJson(report.log_ratio())},
      {"ratio", report.ratio()},
      {"ratio_error", report.ratio_error()},
      {"nll_correlation", report.nll_correlation()}};
  Json& worst = json["worst_tokens"] = Json::array();
  for (const v1::WorstToken& token : report.worst_tokens()) {
    worst.push_back(WorstTokenToJson(token));
  }
  return json;
}

Json EvaluationToJson(const v1::Evaluation& evaluation) {
  Json json = Json::object();
  if (evaluation.perplexities_size() > 0) {
    AddPerplexity(evaluation.perplexities(0), &json);
  }
  json["target"] = evaluation.target();
  json["evaluation"] = evaluation.name();
  json["job"] = evaluation.job();
  json["bits_per_weight"] = evaluation.bits_per_weight();
  json["size_bytes"] = evaluation.target_size_bytes();
  json["wall_seconds"] = evaluation.wall_seconds();
  json["peak_memory_bytes"] = evaluation.peak_memory_bytes();
  if (evaluation.tokens_per_second() > 0) {
    json["tokens_per_second"] = evaluation.tokens_per_second();
  }
  if (evaluation.perplexities_size() > 1) {
    Json& metrics = json["metrics"] = Json::array();
    for (const auto& report : evaluation.perplexities()) {
      Json metric = {{"metric", report.tag().convention()}};
      AddPerplexity(report, &metric);
      metrics.push_back(std::move(metric));
    }
  }
  if (evaluation.divergences_size() > 0) {
    json["divergence"] = DivergenceToJson(evaluation.divergences(0));
  }
  if (evaluation.divergences_size() > 1) {
    for (const v1::DivergenceReport& report : evaluation.divergences()) {
      json["divergences"].push_back(DivergenceToJson(report));
    }
  }
  for (const v1::AttributionReport& report : evaluation.attributions()) {
    json["attributions"].push_back(MessageToJson(report));
  }
  for (const v1::EfficiencyReport& report : evaluation.efficiencies()) {
    json["efficiencies"].push_back(MessageToJson(report));
  }
  for (const v1::TaskReport& report : evaluation.tasks()) {
    json["tasks"][report.tag().task()] = TaskToJson(report);
  }
  for (const v1::GeneratedText& text : evaluation.generations()) {
    Json continuations = Json::array();
    for (const v1::Continuation& continuation : text.continuations()) {
      continuations.push_back(
          {{"text", continuation.text()},
           {"tokens", std::vector<int32_t>(continuation.tokens().begin(),
                                           continuation.tokens().end())},
           {"log_probability", continuation.log_probability()},
           {"score", continuation.score()},
           {"stopped", continuation.stopped()}});
    }
    json["generations"].push_back(
        {{"prompt", text.prompt()}, {"continuations", continuations}});
  }
  return json;
}

bool SameTag(const google::protobuf::Message& a,
             const google::protobuf::Message& b) {
  return google::protobuf::util::MessageDifferencer::Equals(a, b);
}

bool IsOfMetric(const v1::PerplexityTag& tag, absl::string_view metric) {
  absl::string_view rest = tag.convention();
  if (!absl::ConsumePrefix(&rest, metric)) return false;
  if (rest.empty()) return true;
  if (!absl::ConsumePrefix(&rest, "-")) return false;
  // Without "/first-20" of a limited run.
  for (absl::string_view number :
       absl::StrSplit(rest.substr(0, rest.find('/')), '-')) {
    if (number.empty() ||
        !std::all_of(number.begin(), number.end(), absl::ascii_isdigit)) {
      return false;
    }
  }
  return true;
}

std::string TagText(const v1::PerplexityTag& tag) {
  return absl::StrCat(tag.convention(), " on text ",
                      tag.text_digest().substr(0, 8), ", ", tag.token_count(),
                      " tokens, BOS ", tag.bos_policy(), ", tokenizer ",
                      tag.tokenizer_digest().substr(0, 8));
}

}  // namespace quantd
