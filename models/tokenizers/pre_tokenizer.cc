#include "models/tokenizers/pre_tokenizer.h"

#include <optional>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "nlohmann/json.hpp"

namespace quantd {
namespace {

// Each step calls the next one.
constexpr size_t kMaxSteps = 64;

struct Row {
  absl::string_view type;
  NewPreTokenizerStep (*create)(const JsonReader& member);
  // Whether a step that spells bytes follows.
  bool spells_bytes = false;
};

constexpr Row kSteps[] = {
    {"BertPreTokenizer", NewBertPreTokenizerStep},
    {"ByteLevel", NewByteLevelCutStep, true},
    {"CharDelimiterSplit", NewDelimiterStep},
    {"Delimiter", NewDelimiterStep},
    {"Digits", NewDigitsStep},
    {"FixedLength", NewFixedLengthStep},
    {"Metaspace", NewMetaspaceStep},
    {"Punctuation", NewPunctuationStep},
    {"Split", NewSplitStep},
    {"Whitespace", NewWhitespaceStep},
    {"WhitespaceSplit", NewWhitespaceSplitStep},
};

}  // namespace

// Reads the JSON description into steps.
class PreTokenizer::Builder {
 public:
  absl::Status Add(const JsonReader& member) {
    ASSIGN_OR_RETURN(const std::string type, member.GetString("type"));
    if (type == "Sequence") return AddSequence(member);
    for (const Row& row : kSteps) {
      if (row.type != type) continue;
      if (result_.steps_.size() >= kMaxSteps) {
        return member.Fault("type",
                            absl::StrCat("more than ", kMaxSteps, " steps"));
      }
      // Spelling the spelling doubles the text each time.
      if (row.spells_bytes && std::exchange(spells_bytes_, true)) {
        return member.Unsupported("type",
                                  absl::StrCat("a second ", Quoted(type)));
      }
      ASSIGN_OR_RETURN(std::unique_ptr<const PreTokenizerStep> step,
                       row.create(member));
      if (step != nullptr) result_.steps_.push_back(std::move(step));
      if (row.spells_bytes) result_.steps_.push_back(NewByteSpellingStep());
      return absl::OkStatus();
    }
    return member.Unsupported("type", Quoted(type));
  }

  PreTokenizer Finish() && { return std::move(result_); }

 private:
  absl::Status AddSequence(const JsonReader& member) {
    ASSIGN_OR_RETURN(const nlohmann::json* members,
                     member.GetArray("pretokenizers"));
    for (size_t i = 0; i < members->size(); ++i) {
      ASSIGN_OR_RETURN(
          const JsonReader next,
          JsonReader::Of(
              (*members)[i], member.origin(),
              absl::StrCat(member.PathOf("pretokenizers"), "[", i, "]")));
      RETURN_IF_ERROR(Add(next));
    }
    return absl::OkStatus();
  }

  PreTokenizer result_;
  bool spells_bytes_ = false;
};

absl::StatusOr<PreTokenizer> PreTokenizer::Create(const JsonReader& file) {
  Builder builder;
  ASSIGN_OR_RETURN(const std::optional<JsonReader> member,
                   file.FindObject("pre_tokenizer"));
  if (member) RETURN_IF_ERROR(builder.Add(*member));
  return std::move(builder).Finish();
}

PreTokenizer PreTokenizer::FromPattern(std::unique_ptr<const Pattern> pattern,
                                       SplitBehavior behavior, bool invert) {
  PreTokenizer result;
  result.steps_.push_back(NewPatternStep(std::move(pattern), behavior, invert));
  return result;
}

bool PreTokenizer::ends_in_byte_spelling() const {
  return !steps_.empty() && steps_.back()->spells_bytes();
}

void PreTokenizer::DropByteSpelling() { steps_.pop_back(); }

absl::Status PreTokenizer::Split(
    const TextPart& part, Scratch& scratch,
    absl::FunctionRef<void(absl::string_view)> sink) const {
  return RunStep(0, part, scratch, sink);
}

absl::Status PreTokenizer::RunStep(
    size_t index, const TextPart& part, Scratch& scratch,
    absl::FunctionRef<void(absl::string_view)> sink) const {
  if (part.text.empty()) return absl::OkStatus();
  if (index == steps_.size()) {
    sink(part.text);
    return absl::OkStatus();
  }
  return steps_[index]->Run(part, scratch, [&](const TextPart& next) {
    return RunStep(index + 1, next, scratch, sink);
  });
}

}  // namespace quantd
