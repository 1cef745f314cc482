#include "tests/methods/method_record.h"

#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/file.h"
#include "base/sha256.h"
#include "base/status_macros.h"

namespace quantd::test {
namespace {

using Json = nlohmann::json;

constexpr char kRows[] = "rows";
constexpr char kOriginal[] = "original";
constexpr char kKey[] = "key";

double Number(const Json& json, const char* key, double absent) {
  const auto it = json.find(key);
  return it != json.end() && it->is_number() ? it->get<double>() : absent;
}

Json ToJson(const MethodResult& r) {
  return {{"calibrated", r.calibrated},
          {"stages", r.stages},
          {"grids", r.grids},
          {"stored_bits", r.stored_bits},
          {"perplexity", r.perplexity},
          {"perplexity_error", r.perplexity_error},
          {"kl", r.kl},
          {"kl_error", r.kl_error},
          {"log_ratio", r.log_ratio},
          {"top1_agreement", r.top1_agreement},
          {"output_error", r.output_error},
          {"weight_error", r.weight_error},
          {"unimproved_blocks", r.unimproved_blocks},
          {"seconds", r.seconds},
          {"peak_bytes", r.peak_bytes}};
}

MethodResult FromJson(const Json& json) {
  MethodResult r;
  r.calibrated = json.value("calibrated", false);
  r.stages = json.value("stages", std::vector<std::string>());
  r.grids = json.value("grids", std::vector<std::string>());
  r.stored_bits = Number(json, "stored_bits", 0);
  r.perplexity = Number(json, "perplexity", 0);
  r.perplexity_error = Number(json, "perplexity_error", 0);
  r.kl = Number(json, "kl", 0);
  r.kl_error = Number(json, "kl_error", 0);
  r.log_ratio = Number(json, "log_ratio", 0);
  r.top1_agreement = Number(json, "top1_agreement", 0);
  r.output_error = Number(json, "output_error", -1);
  r.weight_error = Number(json, "weight_error", -1);
  r.unimproved_blocks = Number(json, "unimproved_blocks", -1);
  r.seconds = Number(json, "seconds", 0);
  r.peak_bytes = Number(json, "peak_bytes", 0);
  return r;
}

}  // namespace

absl::StatusOr<MethodRecord> MethodRecord::Open(const std::string& path,
                                                const std::string& setup) {
  MethodRecord record(path, setup);
  const absl::StatusOr<std::string> text = ReadFile(path);
  if (absl::IsNotFound(text.status())) return record;
  RETURN_IF_ERROR(text.status());
  record.json_ = Json::parse(*text, nullptr, false);
  if (!record.json_.is_object() ||
      !record.json_.value(kRows, Json::object()).is_object()) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, " is not a record of methods"));
  }
  return record;
}

std::string MethodRecord::KeyOf(const MethodRow& row) const {
  return Sha256Hex(absl::StrCat(setup_, "\n", row.method, "\n",
                                absl::StrJoin(row.settings, " ")));
}

std::optional<MethodResult> MethodRecord::Find(const MethodRow& row) const {
  const auto rows = json_.find(kRows);
  if (rows == json_.end()) return std::nullopt;
  const auto kept = rows->find(row.id);
  if (kept == rows->end() || !kept->is_object() ||
      kept->value(kKey, "") != KeyOf(row)) {
    return std::nullopt;
  }
  return FromJson(*kept);
}

absl::Status MethodRecord::Put(const MethodRow& row,
                               const MethodResult& result) {
  Json kept = ToJson(result);
  kept[kKey] = KeyOf(row);
  json_[kRows][row.id] = std::move(kept);
  return Write();
}

absl::Status MethodRecord::PutOriginal(const MethodContext& context) {
  json_[kOriginal] = {{"perplexity", context.original_perplexity},
                      {"error", context.original_error},
                      {"windows", context.windows},
                      {"scored_tokens", context.scored_tokens},
                      {"metric", context.metric}};
  return Write();
}

absl::Status MethodRecord::FillOriginal(MethodContext* context) const {
  const auto it = json_.find(kOriginal);
  if (it == json_.end()) return absl::NotFoundError("nothing was scored");
  context->original_perplexity = Number(*it, "perplexity", 0);
  context->original_error = Number(*it, "error", 0);
  context->windows = static_cast<uint64_t>(Number(*it, "windows", 0));
  context->scored_tokens =
      static_cast<uint64_t>(Number(*it, "scored_tokens", 0));
  context->metric = it->value("metric", "");
  return absl::OkStatus();
}

absl::Status MethodRecord::Write() const {
  return WriteFileDurably(path_, json_.dump(1) + "\n");
}

}  // namespace quantd::test
