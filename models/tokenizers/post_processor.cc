#include "models/tokenizers/post_processor.h"

#include <cstddef>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "models/tokenizers/vocabulary.h"
#include "nlohmann/json.hpp"

namespace quantd {
namespace {

using nlohmann::json;

// More special tokens around one text are a broken file.
constexpr size_t kMaxSpecialTokens = 4096;

bool IsTokenId(const json& value) {
  return value.is_number_unsigned() &&
         value.get<uint64_t>() <= static_cast<uint64_t>(kMaxTokenId);
}

// The ids of a SpecialToken, as the member "special_tokens" lists them.
absl::Status AppendSpecial(const JsonReader& processor,
                           const JsonReader& special,
                           std::vector<int32_t>* ids) {
  ASSIGN_OR_RETURN(const std::string name, special.GetString("id"));
  ASSIGN_OR_RETURN(const JsonReader tokens,
                   processor.GetObject("special_tokens"));
  ASSIGN_OR_RETURN(const JsonReader token, tokens.GetObject(name));
  ASSIGN_OR_RETURN(const json* listed, token.GetArray("ids"));
  for (const json& id : *listed) {
    if (!IsTokenId(id)) return token.Fault("ids", "expected token ids");
    ids->push_back(id.get<int32_t>());
  }
  if (listed->empty()) return token.Fault("ids", "expected token ids");
  return absl::OkStatus();
}

absl::StatusOr<SpecialTokens> FromTemplate(const JsonReader& processor) {
  ASSIGN_OR_RETURN(const json* pieces, processor.GetArray("single"));
  SpecialTokens result;
  int texts = 0;
  for (size_t i = 0; i < pieces->size(); ++i) {
    ASSIGN_OR_RETURN(
        const JsonReader piece,
        JsonReader::Of((*pieces)[i], processor.origin(),
                       absl::StrCat(processor.PathOf("single"), "[", i, "]")));
    ASSIGN_OR_RETURN(const std::optional<JsonReader> special,
                     piece.FindObject("SpecialToken"));
    if (special) {
      RETURN_IF_ERROR(AppendSpecial(
          processor, *special, texts == 0 ? &result.before : &result.after));
      continue;
    }
    ASSIGN_OR_RETURN(const JsonReader sequence, piece.GetObject("Sequence"));
    ASSIGN_OR_RETURN(const std::string name, sequence.GetString("id"));
    if (name != "A") return sequence.Fault("id", "a single text is \"A\"");
    ++texts;
  }
  if (texts != 1) {
    return processor.Unsupported(
        "single",
        absl::StrCat("a template that holds the text ", texts, " times"));
  }
  return result;
}

// {"cls": ["[CLS]", 101], "sep": ["[SEP]", 102]}
absl::StatusOr<SpecialTokens> FromPair(const JsonReader& processor) {
  const auto read = [&](absl::string_view key) -> absl::StatusOr<int32_t> {
    ASSIGN_OR_RETURN(const json* pair, processor.GetArray(key));
    if (pair->size() != 2 || !IsTokenId((*pair)[1])) {
      return processor.Fault(key, absl::StrCat("expected a token and its id"));
    }
    return (*pair)[1].get<int32_t>();
  };
  SpecialTokens result;
  ASSIGN_OR_RETURN(const int32_t first, read("cls"));
  ASSIGN_OR_RETURN(const int32_t last, read("sep"));
  result.before.push_back(first);
  result.after.push_back(last);
  return result;
}

absl::StatusOr<SpecialTokens> AddNothing(const JsonReader& /*processor*/) {
  return SpecialTokens();
}

absl::StatusOr<SpecialTokens> FromSequence(const JsonReader& processor);

struct Row {
  absl::string_view type;
  absl::StatusOr<SpecialTokens> (*read)(const JsonReader& processor);
};

constexpr Row kProcessors[] = {
    {"BertProcessing", FromPair},
    {"ByteLevel", AddNothing},  // changes offsets only
    {"RobertaProcessing", FromPair},
    {"Sequence", FromSequence},
    {"TemplateProcessing", FromTemplate},
};

absl::StatusOr<SpecialTokens> FromProcessor(const JsonReader& processor) {
  ASSIGN_OR_RETURN(const std::string type, processor.GetString("type"));
  for (const Row& row : kProcessors) {
    if (row.type == type) return row.read(processor);
  }
  return processor.Unsupported("type", Quoted(type));
}

absl::StatusOr<SpecialTokens> FromSequence(const JsonReader& processor) {
  ASSIGN_OR_RETURN(const json* members, processor.GetArray("processors"));
  SpecialTokens result;
  for (size_t i = 0; i < members->size(); ++i) {
    ASSIGN_OR_RETURN(const JsonReader member,
                     JsonReader::Of((*members)[i], processor.origin(),
                                    absl::StrCat(processor.PathOf("processors"),
                                                 "[", i, "]")));
    // Each processor wraps what the ones before it made.
    ASSIGN_OR_RETURN(SpecialTokens outer, FromProcessor(member));
    result.before.insert(result.before.begin(), outer.before.begin(),
                         outer.before.end());
    result.after.insert(result.after.end(), outer.after.begin(),
                        outer.after.end());
    if (result.before.size() + result.after.size() > kMaxSpecialTokens) {
      return processor.Fault("processors", "too many special tokens");
    }
  }
  return result;
}

}  // namespace

absl::StatusOr<SpecialTokens> ReadPostProcessor(const JsonReader& file) {
  ASSIGN_OR_RETURN(const std::optional<JsonReader> processor,
                   file.FindObject("post_processor"));
  if (!processor) return SpecialTokens();
  return FromProcessor(*processor);
}

}  // namespace quantd
