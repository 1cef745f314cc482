#include "models/tokenizers/pre_tokenizer.h"

#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "base/status_macros.h"
#include "models/utf8.h"
#include "nlohmann/json.hpp"

namespace quantd {
namespace {

using Behavior = PreTokenizer::Behavior;

// What ByteLevel cuts by: contractions, words, numbers and other signs, each
// with the space before it, then white space.
constexpr absl::string_view kByteLevelPattern =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+)"
    R"(|\s+(?!\S)|\s+)";

// Each step calls the next one.
constexpr size_t kMaxSteps = 64;

struct BehaviorRow {
  absl::string_view name;
  Behavior behavior;
};

constexpr BehaviorRow kBehaviors[] = {
    {"Isolated", Behavior::kIsolated},
    {"Removed", Behavior::kRemoved},
    {"MergedWithPrevious", Behavior::kMergedWithPrevious},
    {"MergedWithNext", Behavior::kMergedWithNext},
    {"Contiguous", Behavior::kContiguous},
};

// Turns the alternation of matches and gaps into parts, holding back the one
// part that may still grow.
class Joiner {
 public:
  Joiner(Behavior behavior,
         absl::FunctionRef<absl::Status(size_t, size_t)> emit)
      : behavior_(behavior), emit_(emit) {}

  absl::Status Add(size_t begin, size_t end, bool is_match) {
    const bool previous = std::exchange(previous_, is_match);
    bool extend = false;
    switch (behavior_) {
      case Behavior::kIsolated:
        return emit_(begin, end);
      case Behavior::kRemoved:
        return is_match ? absl::OkStatus() : emit_(begin, end);
      case Behavior::kMergedWithPrevious:
        extend = is_match && !previous;
        break;
      case Behavior::kMergedWithNext:
        extend = !is_match && previous;
        break;
      case Behavior::kContiguous:
        extend = is_match == previous;
        break;
    }
    if (has_pending_ && extend) {
      pending_end_ = end;
      return absl::OkStatus();
    }
    RETURN_IF_ERROR(Flush());
    has_pending_ = true;
    pending_begin_ = begin;
    pending_end_ = end;
    return absl::OkStatus();
  }

  absl::Status Flush() {
    if (!std::exchange(has_pending_, false)) return absl::OkStatus();
    return emit_(pending_begin_, pending_end_);
  }

 private:
  const Behavior behavior_;
  const absl::FunctionRef<absl::Status(size_t, size_t)> emit_;
  bool previous_ = false;
  bool has_pending_ = false;
  size_t pending_begin_ = 0;
  size_t pending_end_ = 0;
};

// Calls `visit` with consecutive parts that cover the text. Like the
// reference, an empty match counts unless it touches the match before it.
absl::Status VisitMatches(
    const Pattern& pattern, absl::string_view text, MatchScratch& scratch,
    absl::FunctionRef<absl::Status(size_t, size_t, bool)> visit) {
  size_t done = 0;
  size_t from = 0;
  bool any = false;
  while (from <= text.size()) {
    ASSIGN_OR_RETURN(const std::optional<Pattern::Match> match,
                     pattern.Find(text, from, scratch));
    if (!match) break;
    if (match->begin == match->end && any && match->end == done) {
      if (from == text.size()) break;
      size_t length;
      DecodeUtf8(text, from, &length);
      from += length;
      continue;
    }
    if (match->begin > done) {
      RETURN_IF_ERROR(visit(done, match->begin, false));
    }
    RETURN_IF_ERROR(visit(match->begin, match->end, true));
    done = from = match->end;
    any = true;
  }
  if (done < text.size()) return visit(done, text.size(), false);
  return absl::OkStatus();
}

}  // namespace

// Reads the JSON description into steps.
class PreTokenizer::Builder {
 public:
  absl::Status Add(const JsonReader& member) {
    ASSIGN_OR_RETURN(const std::string type, member.GetString("type"));
    for (const Row& row : Rows()) {
      if (row.type != type) continue;
      // Later steps would see the alphabet's characters, not the text.
      if (result_.byte_level_) {
        return member.Unsupported(
            "type", absl::StrCat(Quoted(type), " behind \"ByteLevel\""));
      }
      if (result_.steps_.size() == kMaxSteps) {
        return member.Fault("type",
                            absl::StrCat("more than ", kMaxSteps, " steps"));
      }
      return (this->*row.add)(member);
    }
    return member.Unsupported("type", Quoted(type));
  }

  PreTokenizer Finish() && { return std::move(result_); }

 private:
  struct Row {
    absl::string_view type;
    absl::Status (Builder::*add)(const JsonReader& member);
  };

  static absl::Span<const Row> Rows() {
    static constexpr Row kRows[] = {
        {"ByteLevel", &Builder::AddByteLevel},
        {"Digits", &Builder::AddDigits},
        {"Sequence", &Builder::AddSequence},
        {"Split", &Builder::AddSplit},
    };
    return kRows;
  }

  absl::Status AddByteLevel(const JsonReader& member) {
    Step step;
    ASSIGN_OR_RETURN(step.add_prefix_space,
                     member.GetBoolOr("add_prefix_space", true));
    ASSIGN_OR_RETURN(const bool use_regex, member.GetBoolOr("use_regex", true));
    if (use_regex) {
      ASSIGN_OR_RETURN(step.pattern, Pattern::Compile(kByteLevelPattern));
    }
    result_.steps_.push_back(std::move(step));
    result_.byte_level_ = true;
    return absl::OkStatus();
  }

  absl::Status AddDigits(const JsonReader& member) {
    Step step;
    ASSIGN_OR_RETURN(const bool individual,
                     member.GetBoolOr("individual_digits", false));
    step.behavior = individual ? Behavior::kIsolated : Behavior::kContiguous;
    ASSIGN_OR_RETURN(step.pattern, Pattern::Compile(R"(\p{N})"));
    result_.steps_.push_back(std::move(step));
    return absl::OkStatus();
  }

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

  absl::Status AddSplit(const JsonReader& member) {
    Step step;
    ASSIGN_OR_RETURN(step.invert, member.GetBoolOr("invert", false));
    ASSIGN_OR_RETURN(const std::string behavior, member.GetString("behavior"));
    const BehaviorRow* found = nullptr;
    for (const BehaviorRow& row : kBehaviors) {
      if (row.name == behavior) found = &row;
    }
    if (found == nullptr) {
      return member.Fault("behavior",
                          absl::StrCat("unknown behavior ", Quoted(behavior)));
    }
    step.behavior = found->behavior;
    ASSIGN_OR_RETURN(const JsonReader pattern, member.GetObject("pattern"));
    if (pattern.Has("Regex") == pattern.Has("String")) {
      return member.Fault("pattern", "expected either \"Regex\" or \"String\"");
    }
    const absl::string_view kind = pattern.Has("Regex") ? "Regex" : "String";
    ASSIGN_OR_RETURN(const std::string text, pattern.GetString(kind));
    if (text.empty()) return pattern.Fault(kind, "empty");
    auto compiled = kind == "Regex" ? Pattern::Compile(text)
                                    : Pattern::CompileLiteral(text);
    if (!compiled.ok()) {
      return Annotate(compiled.status(), member.origin(), ": ",
                      pattern.PathOf(kind));
    }
    step.pattern = *std::move(compiled);
    result_.steps_.push_back(std::move(step));
    return absl::OkStatus();
  }

  PreTokenizer result_;
};

absl::StatusOr<PreTokenizer> PreTokenizer::Create(const JsonReader& file) {
  Builder builder;
  ASSIGN_OR_RETURN(const std::optional<JsonReader> member,
                   file.FindObject("pre_tokenizer"));
  if (member) RETURN_IF_ERROR(builder.Add(*member));
  return std::move(builder).Finish();
}

PreTokenizer PreTokenizer::FromPattern(std::unique_ptr<const Pattern> pattern,
                                       Behavior behavior, bool invert) {
  PreTokenizer result;
  Step step;
  step.pattern = std::move(pattern);
  step.behavior = behavior;
  step.invert = invert;
  result.steps_.push_back(std::move(step));
  return result;
}

absl::Status PreTokenizer::Split(
    absl::string_view text, Scratch& scratch,
    absl::FunctionRef<void(absl::string_view)> sink) const {
  return RunStep(0, text, scratch, sink);
}

absl::Status PreTokenizer::RunStep(
    size_t index, absl::string_view text, Scratch& scratch,
    absl::FunctionRef<void(absl::string_view)> sink) const {
  if (text.empty()) return absl::OkStatus();
  if (index == steps_.size()) {
    sink(text);
    return absl::OkStatus();
  }
  const Step& step = steps_[index];
  if (step.add_prefix_space && text[0] != ' ') {
    scratch.owned.push_back(absl::StrCat(" ", text));
    text = scratch.owned.back();
  }
  if (step.pattern == nullptr) return RunStep(index + 1, text, scratch, sink);
  // Named: the joiner keeps a reference to it.
  const auto emit = [&](size_t begin, size_t end) {
    return RunStep(index + 1, text.substr(begin, end - begin), scratch, sink);
  };
  Joiner joiner(step.behavior, emit);
  RETURN_IF_ERROR(VisitMatches(*step.pattern, text, scratch.match,
                               [&](size_t begin, size_t end, bool is_match) {
                                 return joiner.Add(begin, end,
                                                   is_match != step.invert);
                               }));
  return joiner.Flush();
}

}  // namespace quantd
