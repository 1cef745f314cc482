#include "models/tokenizers/pre_tokenizer_step.h"

#include <algorithm>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "base/utf8.h"
#include "models/tokenizers/byte_level.h"
#include "models/tokenizers/character_class.h"

namespace quantd {
namespace {

// What ByteLevel cuts by: contractions, words, numbers and other signs, each
// with the space before it, then white space.
constexpr absl::string_view kByteLevelPattern =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+)"
    R"(|\s+(?!\S)|\s+)";

TextPart Slice(const TextPart& part, size_t begin, size_t end) {
  return {part.text.substr(begin, end - begin), part.at_start && begin == 0};
}

class PatternStep final : public PreTokenizerStep {
 public:
  PatternStep(std::unique_ptr<const Pattern> pattern, SplitBehavior behavior,
              bool invert)
      : pattern_(std::move(pattern)), behavior_(behavior), invert_(invert) {}

  absl::Status Run(const TextPart& part, Scratch& scratch,
                   Sink sink) const override {
    // Named: the joiner keeps a reference to it.
    const auto emit = [&](size_t begin, size_t end) {
      return sink(Slice(part, begin, end));
    };
    PartJoiner joiner(behavior_, emit);
    RETURN_IF_ERROR(pattern_->VisitMatches(
        part.text, scratch.match, [&](size_t begin, size_t end, bool is_match) {
          return joiner.Add(begin, end, is_match != invert_);
        }));
    return joiner.Flush();
  }

 private:
  const std::unique_ptr<const Pattern> pattern_;
  const SplitBehavior behavior_;
  const bool invert_;
};

// Each character of a class is a match.
class ClassStep final : public PreTokenizerStep {
 public:
  ClassStep(CharacterClass::Predicate predicate, SplitBehavior behavior)
      : matches_(predicate), behavior_(behavior) {}

  absl::Status Run(const TextPart& part, Scratch& /*scratch*/,
                   Sink sink) const override {
    const absl::string_view text = part.text;
    const auto emit = [&](size_t begin, size_t end) {
      return sink(Slice(part, begin, end));
    };
    PartJoiner joiner(behavior_, emit);
    size_t done = 0;
    size_t length = 0;
    for (size_t pos = 0; pos < text.size(); pos += length) {
      if (!matches_.ContainsAt(text, pos, &length)) continue;
      if (pos > done) RETURN_IF_ERROR(joiner.Add(done, pos, false));
      RETURN_IF_ERROR(joiner.Add(pos, pos + length, true));
      done = pos + length;
    }
    if (done < text.size()) {
      RETURN_IF_ERROR(joiner.Add(done, text.size(), false));
    }
    return joiner.Flush();
  }

 private:
  const CharacterClass matches_;
  const SplitBehavior behavior_;
};

// Words between white space, and each punctuation sign by itself.
class BertStep final : public PreTokenizerStep {
 public:
  BertStep() : spaces_(IsWhiteSpace), signs_(IsPunctuation) {}

  absl::Status Run(const TextPart& part, Scratch& /*scratch*/,
                   Sink sink) const override {
    const absl::string_view text = part.text;
    size_t word = 0;
    size_t length = 0;
    for (size_t pos = 0; pos < text.size(); pos += length) {
      const bool is_sign = signs_.ContainsAt(text, pos, &length);
      if (!is_sign && !spaces_.ContainsAt(text, pos, &length)) continue;
      if (pos > word) RETURN_IF_ERROR(sink(Slice(part, word, pos)));
      word = pos + length;
      if (is_sign) RETURN_IF_ERROR(sink(Slice(part, pos, word)));
    }
    if (word == text.size()) return absl::OkStatus();
    return sink(Slice(part, word, text.size()));
  }

 private:
  const CharacterClass spaces_;
  const CharacterClass signs_;
};

// Runs of word characters, and runs of what is neither that nor white space.
class WhitespaceStep final : public PreTokenizerStep {
 public:
  WhitespaceStep() : spaces_(IsWhiteSpace), words_(IsWordCharacter) {}

  absl::Status Run(const TextPart& part, Scratch& /*scratch*/,
                   Sink sink) const override {
    const absl::string_view text = part.text;
    size_t length = 0;
    size_t pos = 0;
    while (pos < text.size()) {
      if (spaces_.ContainsAt(text, pos, &length)) {
        pos += length;
        continue;
      }
      const bool is_word = words_.ContainsAt(text, pos, &length);
      const size_t begin = pos;
      while (pos < text.size() && !spaces_.ContainsAt(text, pos, &length) &&
             words_.ContainsAt(text, pos, &length) == is_word) {
        pos += length;
      }
      RETURN_IF_ERROR(sink(Slice(part, begin, pos)));
    }
    return absl::OkStatus();
  }

 private:
  const CharacterClass spaces_;
  const CharacterClass words_;
};

class FixedLengthStep final : public PreTokenizerStep {
 public:
  explicit FixedLengthStep(int64_t length) : length_(length) {}

  absl::Status Run(const TextPart& part, Scratch& /*scratch*/,
                   Sink sink) const override {
    size_t begin = 0;
    while (begin < part.text.size()) {
      size_t end = begin;
      for (int64_t i = 0; i < length_ && end < part.text.size(); ++i) {
        size_t length = 0;
        DecodeUtf8(part.text, end, &length);
        end += length;
      }
      RETURN_IF_ERROR(sink(Slice(part, begin, end)));
      begin = end;
    }
    return absl::OkStatus();
  }

 private:
  const int64_t length_;
};

// A space before parts that begin with none, then the cut, if there is one.
class PrefixSpaceStep final : public PreTokenizerStep {
 public:
  explicit PrefixSpaceStep(std::unique_ptr<const PreTokenizerStep> cut)
      : cut_(std::move(cut)) {}

  absl::Status Run(const TextPart& part, Scratch& scratch,
                   Sink sink) const override {
    TextPart spaced = part;
    if (part.text[0] != ' ') {
      ASSIGN_OR_RETURN(spaced.text,
                       scratch.texts.Copy(absl::StrCat(" ", part.text)));
    }
    return cut_ == nullptr ? sink(spaced) : cut_->Run(spaced, scratch, sink);
  }

 private:
  const std::unique_ptr<const PreTokenizerStep> cut_;
};

class ByteSpellingStep final : public PreTokenizerStep {
 public:
  absl::Status Run(const TextPart& part, Scratch& scratch,
                   Sink sink) const override {
    std::string spelled;
    AppendByteLevel(part.text, &spelled);
    ASSIGN_OR_RETURN(const absl::string_view text, scratch.texts.Copy(spelled));
    return sink({text, part.at_start});
  }

  bool spells_bytes() const override { return true; }
};

}  // namespace

std::unique_ptr<const PreTokenizerStep> NewPatternStep(
    std::unique_ptr<const Pattern> pattern, SplitBehavior behavior,
    bool invert) {
  return std::make_unique<PatternStep>(std::move(pattern), behavior, invert);
}

NewPreTokenizerStep NewSplitStep(const JsonReader& member) {
  ASSIGN_OR_RETURN(const bool invert, member.GetBoolOr("invert", false));
  ASSIGN_OR_RETURN(const SplitBehavior behavior, ReadSplitBehavior(member));
  ASSIGN_OR_RETURN(PatternText pattern, ReadPattern(member));
  if (pattern.regex == nullptr) {
    ASSIGN_OR_RETURN(pattern.regex, Pattern::CompileLiteral(pattern.literal));
  }
  return NewPatternStep(std::move(pattern.regex), behavior, invert);
}

NewPreTokenizerStep NewDigitsStep(const JsonReader& member) {
  ASSIGN_OR_RETURN(const bool individual,
                   member.GetBoolOr("individual_digits", false));
  return std::make_unique<ClassStep>(
      IsNumeric,
      individual ? SplitBehavior::kIsolated : SplitBehavior::kContiguous);
}

NewPreTokenizerStep NewPunctuationStep(const JsonReader& member) {
  SplitBehavior behavior = SplitBehavior::kIsolated;
  if (member.Has("behavior")) {
    ASSIGN_OR_RETURN(behavior, ReadSplitBehavior(member));
  }
  return std::make_unique<ClassStep>(IsPunctuation, behavior);
}

NewPreTokenizerStep NewDelimiterStep(const JsonReader& member) {
  ASSIGN_OR_RETURN(const std::string delimiter, member.GetString("delimiter"));
  size_t length = 0;
  if (!delimiter.empty()) DecodeUtf8(delimiter, 0, &length);
  if (length == 0 || length != delimiter.size()) {
    return member.Fault("delimiter", "expected one character");
  }
  ASSIGN_OR_RETURN(std::unique_ptr<const Pattern> pattern,
                   Pattern::CompileLiteral(delimiter));
  return NewPatternStep(std::move(pattern), SplitBehavior::kRemoved, false);
}

NewPreTokenizerStep NewWhitespaceStep(const JsonReader& /*member*/) {
  return std::make_unique<WhitespaceStep>();
}

NewPreTokenizerStep NewWhitespaceSplitStep(const JsonReader& /*member*/) {
  return std::make_unique<ClassStep>(IsWhiteSpace, SplitBehavior::kRemoved);
}

NewPreTokenizerStep NewBertPreTokenizerStep(const JsonReader& /*member*/) {
  return std::make_unique<BertStep>();
}

NewPreTokenizerStep NewFixedLengthStep(const JsonReader& member) {
  constexpr int64_t kDefault = 5;
  constexpr int64_t kMax = int64_t{1} << 30;
  ASSIGN_OR_RETURN(const int64_t length,
                   member.GetIntOr("length", kDefault, 1, kMax));
  return std::make_unique<FixedLengthStep>(length);
}

NewPreTokenizerStep NewByteLevelCutStep(const JsonReader& member) {
  ASSIGN_OR_RETURN(const bool add_prefix_space,
                   member.GetBoolOr("add_prefix_space", true));
  ASSIGN_OR_RETURN(const bool use_regex, member.GetBoolOr("use_regex", true));
  std::unique_ptr<const PreTokenizerStep> cut;
  if (use_regex) {
    ASSIGN_OR_RETURN(std::unique_ptr<const Pattern> pattern,
                     Pattern::Compile(kByteLevelPattern));
    cut = NewPatternStep(std::move(pattern), SplitBehavior::kIsolated, false);
  }
  if (!add_prefix_space) return cut;
  return std::make_unique<PrefixSpaceStep>(std::move(cut));
}

std::unique_ptr<const PreTokenizerStep> NewByteSpellingStep() {
  return std::make_unique<ByteSpellingStep>();
}

}  // namespace quantd
