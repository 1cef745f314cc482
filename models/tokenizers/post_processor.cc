#include "models/tokenizers/post_processor.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "models/tokenizers/added_tokens.h"
#include "nlohmann/json.hpp"

namespace quantd {
namespace {

using LeadingToken = std::optional<int32_t>;

// {"single": [{"SpecialToken": {"id": "<s>"}}, {"Sequence": {"id": "A"}}],
//  "special_tokens": {"<s>": {"ids": [1]}}}
absl::StatusOr<LeadingToken> FromTemplate(const JsonReader& processor) {
  ASSIGN_OR_RETURN(const nlohmann::json* pieces, processor.GetArray("single"));
  if (pieces->empty()) return LeadingToken();
  ASSIGN_OR_RETURN(
      const JsonReader first,
      JsonReader::Of((*pieces)[0], processor.origin(),
                     absl::StrCat(processor.PathOf("single"), "[0]")));
  ASSIGN_OR_RETURN(const std::optional<JsonReader> special,
                   first.FindObject("SpecialToken"));
  if (!special) {
    RETURN_IF_ERROR(first.GetObject("Sequence").status());
    return LeadingToken();
  }
  ASSIGN_OR_RETURN(const std::string name, special->GetString("id"));
  ASSIGN_OR_RETURN(const JsonReader tokens,
                   processor.GetObject("special_tokens"));
  ASSIGN_OR_RETURN(const JsonReader token, tokens.GetObject(name));
  ASSIGN_OR_RETURN(const nlohmann::json* ids, token.GetArray("ids"));
  if (ids->empty() || !(*ids)[0].is_number_unsigned() ||
      (*ids)[0].get<uint64_t>() > static_cast<uint64_t>(kMaxTokenId)) {
    return token.Fault("ids", "expected token ids");
  }
  return LeadingToken((*ids)[0].get<int32_t>());
}

absl::StatusOr<LeadingToken> FromProcessor(const JsonReader& processor) {
  ASSIGN_OR_RETURN(const std::string type, processor.GetString("type"));
  if (type == "ByteLevel") return LeadingToken();  // changes offsets only
  if (type == "TemplateProcessing") return FromTemplate(processor);
  if (type != "Sequence") return processor.Unsupported("type", Quoted(type));

  ASSIGN_OR_RETURN(const nlohmann::json* members,
                   processor.GetArray("processors"));
  LeadingToken leading;
  for (size_t i = 0; i < members->size(); ++i) {
    ASSIGN_OR_RETURN(const JsonReader member,
                     JsonReader::Of((*members)[i], processor.origin(),
                                    absl::StrCat(processor.PathOf("processors"),
                                                 "[", i, "]")));
    ASSIGN_OR_RETURN(const LeadingToken outer, FromProcessor(member));
    // Each processor wraps what the ones before it made.
    if (outer) leading = outer;
  }
  return leading;
}

}  // namespace

absl::StatusOr<std::optional<int32_t>> ReadLeadingToken(
    const JsonReader& file) {
  ASSIGN_OR_RETURN(const std::optional<JsonReader> processor,
                   file.FindObject("post_processor"));
  if (!processor) return LeadingToken();
  return FromProcessor(*processor);
}

}  // namespace quantd
