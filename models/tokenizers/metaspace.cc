#include "models/tokenizers/metaspace.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "base/utf8.h"
#include "models/tokenizers/pre_tokenizer_step.h"

namespace quantd {
namespace {

struct SchemeRow {
  absl::string_view name;
  Metaspace::Prepend prepend;
};

constexpr SchemeRow kSchemes[] = {
    {"always", Metaspace::Prepend::kAlways},
    {"first", Metaspace::Prepend::kFirst},
    {"never", Metaspace::Prepend::kNever},
};

class MetaspaceStep final : public PreTokenizerStep {
 public:
  explicit MetaspaceStep(Metaspace options) : options_(std::move(options)) {}

  absl::Status Run(const TextPart& part, Scratch& scratch,
                   Sink sink) const override {
    const absl::string_view mark = options_.replacement;
    std::string replaced;
    replaced.reserve(part.text.size() + part.text.size() / 2);
    const bool marked =
        part.text[0] == ' ' || absl::StartsWith(part.text, mark);
    const bool prepend =
        options_.prepend == Metaspace::Prepend::kAlways ||
        (options_.prepend == Metaspace::Prepend::kFirst && part.at_start);
    if (prepend && !marked) absl::StrAppend(&replaced, mark);
    for (const char c : part.text) {
      if (c == ' ') {
        absl::StrAppend(&replaced, mark);
      } else {
        replaced.push_back(c);
      }
    }
    ASSIGN_OR_RETURN(const absl::string_view text,
                     scratch.texts.Copy(replaced));
    if (!options_.split) return sink({text, part.at_start});
    size_t begin = 0;
    while (begin < text.size()) {
      // A part that begins with a mark ends before the next one.
      const size_t from = absl::StartsWith(text.substr(begin), mark)
                              ? begin + mark.size()
                              : begin;
      const size_t end = std::min(text.find(mark, from), text.size());
      RETURN_IF_ERROR(
          sink({text.substr(begin, end - begin), part.at_start && begin == 0}));
      begin = end;
    }
    return absl::OkStatus();
  }

 private:
  const Metaspace options_;
};

}  // namespace

absl::StatusOr<Metaspace> ReadMetaspace(const JsonReader& member) {
  Metaspace result;
  ASSIGN_OR_RETURN(result.replacement,
                   member.GetStringOr("replacement", result.replacement));
  size_t length = 0;
  if (!result.replacement.empty()) {
    DecodeUtf8(result.replacement, 0, &length);
  }
  if (length == 0 || length != result.replacement.size()) {
    return member.Fault("replacement", "expected one character");
  }
  ASSIGN_OR_RETURN(const std::string scheme,
                   member.GetStringOr("prepend_scheme", ""));
  if (!scheme.empty()) {
    const SchemeRow* found = nullptr;
    for (const SchemeRow& row : kSchemes) {
      if (row.name == scheme) found = &row;
    }
    if (found == nullptr) {
      return member.Fault("prepend_scheme",
                          absl::StrCat("unknown scheme ", Quoted(scheme)));
    }
    result.prepend = found->prepend;
  }
  ASSIGN_OR_RETURN(const bool add_prefix_space,
                   member.GetBoolOr("add_prefix_space", true));
  if (!add_prefix_space) {
    if (!scheme.empty() && result.prepend != Metaspace::Prepend::kNever) {
      return member.Fault(
          "add_prefix_space",
          absl::StrCat("false, but prepend_scheme is ", Quoted(scheme)));
    }
    result.prepend = Metaspace::Prepend::kNever;
  }
  ASSIGN_OR_RETURN(result.split, member.GetBoolOr("split", true));
  return result;
}

NewPreTokenizerStep NewMetaspaceStep(const JsonReader& member) {
  ASSIGN_OR_RETURN(Metaspace options, ReadMetaspace(member));
  return std::make_unique<MetaspaceStep>(std::move(options));
}

}  // namespace quantd
