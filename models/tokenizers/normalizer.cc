#include "models/tokenizers/normalizer.h"

#include <cstddef>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "nlohmann/json.hpp"

namespace quantd {
namespace {

constexpr size_t kMaxSteps = 64;
// A step can multiply the length; steps in a row could exceed any memory.
constexpr size_t kMaxNormalizedBytes = size_t{1} << 30;

struct Row {
  absl::string_view type;
  NewNormalizerStep (*create)(const JsonReader& member);
};

constexpr Row kSteps[] = {
    {"BertNormalizer", NewBertStep},       {"ByteLevel", NewByteLevelStep},
    {"Lowercase", NewLowercaseStep},       {"NFC", NewUnicodeFormStep},
    {"NFD", NewUnicodeFormStep},           {"NFKC", NewUnicodeFormStep},
    {"NFKD", NewUnicodeFormStep},          {"Nmt", NewNmtStep},
    {"Precompiled", NewPrecompiledStep},   {"Prepend", NewPrependStep},
    {"Replace", NewReplaceStep},           {"Strip", NewStripStep},
    {"StripAccents", NewStripAccentsStep},
};

using Steps = std::vector<std::unique_ptr<const NormalizerStep>>;

absl::Status AddSteps(const JsonReader& member, Steps* steps) {
  ASSIGN_OR_RETURN(const std::string type, member.GetString("type"));
  if (type == "Sequence") {
    ASSIGN_OR_RETURN(const nlohmann::json* members,
                     member.GetArray("normalizers"));
    for (size_t i = 0; i < members->size(); ++i) {
      ASSIGN_OR_RETURN(const JsonReader next,
                       JsonReader::Of((*members)[i], member.origin(),
                                      absl::StrCat(member.PathOf("normalizers"),
                                                   "[", i, "]")));
      RETURN_IF_ERROR(AddSteps(next, steps));
    }
    return absl::OkStatus();
  }
  for (const Row& row : kSteps) {
    if (row.type != type) continue;
    if (steps->size() == kMaxSteps) {
      return member.Fault("type",
                          absl::StrCat("more than ", kMaxSteps, " steps"));
    }
    ASSIGN_OR_RETURN(std::unique_ptr<const NormalizerStep> step,
                     row.create(member));
    steps->push_back(std::move(step));
    return absl::OkStatus();
  }
  return member.Unsupported("type", Quoted(type));
}

}  // namespace

absl::StatusOr<Normalizer> Normalizer::Create(const JsonReader& file) {
  Normalizer normalizer;
  ASSIGN_OR_RETURN(const std::optional<JsonReader> member,
                   file.FindObject("normalizer"));
  if (member) RETURN_IF_ERROR(AddSteps(*member, &normalizer.steps_));
  return normalizer;
}

absl::StatusOr<std::string> Normalizer::Apply(absl::string_view text,
                                              bool* drops_start) const {
  bool dropped = false;
  std::string result;
  std::string before;
  absl::string_view input = text;
  for (const auto& step : steps_) {
    dropped = dropped || step->DropsStart(input);
    result.clear();
    RETURN_IF_ERROR(step->Apply(input, &result));
    if (result.size() > kMaxNormalizedBytes) {
      return absl::ResourceExhaustedError(
          absl::StrCat("normalized text of ", result.size(),
                       " bytes, the limit is ", kMaxNormalizedBytes));
    }
    before.swap(result);
    input = before;
  }
  if (drops_start != nullptr) *drops_start = dropped;
  return steps_.empty() ? std::string(text) : before;
}

}  // namespace quantd
