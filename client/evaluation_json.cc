#include "client/evaluation_json.h"

#include <cstdint>
#include <vector>

#include "absl/strings/str_cat.h"
#include "google/protobuf/util/message_differencer.h"

namespace quantd {
namespace {

void AddPerplexity(const v1::PerplexityReport& report, Json* json) {
  (*json)["perplexity"] = report.perplexity();
  (*json)["perplexity_error_iid"] = report.error_iid();
  (*json)["perplexity_error_clustered"] = report.error_clustered();
  (*json)["windows"] = report.window_count();
  (*json)["scored_tokens"] = report.scored_tokens();
  (*json)["tokens"] = report.tag().token_count();
  (*json)["tag"] = TagToJson(report.tag());
}

}  // namespace

Json TagToJson(const v1::PerplexityTag& tag) {
  return {{"convention", tag.convention()},
          {"window_tokens", tag.window_tokens()},
          {"text_sha256", tag.text_digest()},
          {"token_count", tag.token_count()},
          {"bos_policy", tag.bos_policy()},
          {"tokenizer_sha256", tag.tokenizer_digest()}};
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
  json["tokens_per_second"] = evaluation.tokens_per_second();
  if (evaluation.perplexities_size() > 1) {
    Json& metrics = json["metrics"] = Json::array();
    for (const auto& report : evaluation.perplexities()) {
      Json metric = {{"metric", report.tag().convention()}};
      AddPerplexity(report, &metric);
      metrics.push_back(std::move(metric));
    }
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

bool SameTag(const v1::PerplexityTag& a, const v1::PerplexityTag& b) {
  return google::protobuf::util::MessageDifferencer::Equals(a, b);
}

std::string TagText(const v1::PerplexityTag& tag) {
  return absl::StrCat(tag.convention(), " on text ",
                      tag.text_digest().substr(0, 8), ", ", tag.token_count(),
                      " tokens, BOS ", tag.bos_policy(), ", tokenizer ",
                      tag.tokenizer_digest().substr(0, 8));
}

}  // namespace quantd
