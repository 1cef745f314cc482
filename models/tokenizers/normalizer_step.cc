#include "models/tokenizers/normalizer_step.h"

#include <utf8proc.h>

#include <algorithm>
#include <cstdint>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "base/utf8.h"
#include "models/tokenizers/byte_level.h"
#include "models/tokenizers/character_class.h"
#include "models/tokenizers/lowercase.h"
#include "models/tokenizers/replacement.h"
#include "models/tokenizers/unicode_form.h"

namespace quantd {
namespace {

class UnicodeFormStep final : public NormalizerStep {
 public:
  explicit UnicodeFormStep(UnicodeForm form) : form_(form) {}

  absl::Status Apply(absl::string_view text,
                     std::string* result) const override {
    return AppendInForm(text, form_, result);
  }

  bool DropsStart(absl::string_view /*text*/) const override { return false; }

 private:
  const UnicodeForm form_;
};

// A step that looks at one character at a time and appends what it becomes.
class CharacterStep final : public NormalizerStep {
 public:
  using Change = void (*)(char32_t c, std::string* result);

  explicit CharacterStep(Change change) : change_(change) {}

  absl::Status Apply(absl::string_view text,
                     std::string* result) const override {
    result->reserve(result->size() + text.size());
    size_t length = 0;
    for (size_t pos = 0; pos < text.size(); pos += length) {
      change_(DecodeUtf8(text, pos, &length), result);
    }
    return absl::OkStatus();
  }

  bool DropsStart(absl::string_view text) const override {
    std::string first;
    size_t length = 0;
    if (!text.empty()) change_(DecodeUtf8(text, 0, &length), &first);
    return !text.empty() && first.empty();
  }

 private:
  const Change change_;
};

void KeepUnlessMark(char32_t c, std::string* result) {
  if (!IsMark(c)) AppendUtf8(c, result);
}

struct CodePoints {
  char32_t first;
  char32_t last;
};

// Source: the rules behind SentencePiece's nmt_* tables.
constexpr CodePoints kNmtDropped[] = {
    {0x01, 0x08}, {0x0B, 0x0B}, {0x0E, 0x1F},
    {0x7F, 0x7F}, {0x8F, 0x8F}, {0x9F, 0x9F},
};
constexpr CodePoints kNmtSpaces[] = {
    {0x09, 0x0A},     {0x0C, 0x0D},     {0x1680, 0x1680}, {0x200B, 0x200F},
    {0x2028, 0x2029}, {0x2581, 0x2581}, {0xFEFF, 0xFEFF}, {0xFFFD, 0xFFFD},
};

template <size_t kCount>
bool Holds(const CodePoints (&ranges)[kCount], char32_t c) {
  return std::any_of(ranges, ranges + kCount, [c](const CodePoints& range) {
    return c >= range.first && c <= range.last;
  });
}

void CleanAsNmt(char32_t c, std::string* result) {
  if (Holds(kNmtDropped, c)) return;
  AppendUtf8(Holds(kNmtSpaces, c) ? U' ' : c, result);
}

class StripStep final : public NormalizerStep {
 public:
  StripStep(bool left, bool right) : left_(left), right_(right) {}

  absl::Status Apply(absl::string_view text,
                     std::string* result) const override {
    size_t begin = 0;
    size_t end = text.size();
    size_t length = 0;
    while (left_ && begin < end &&
           IsWhiteSpace(DecodeUtf8(text, begin, &length))) {
      begin += length;
    }
    while (right_ && end > begin) {
      const size_t last = PreviousCharacter(text, end);
      if (!IsWhiteSpace(DecodeUtf8(text, last, &length))) break;
      end = last;
    }
    absl::StrAppend(result, text.substr(begin, end - begin));
    return absl::OkStatus();
  }

  bool DropsStart(absl::string_view text) const override {
    size_t length = 0;
    return left_ && !text.empty() && IsWhiteSpace(DecodeUtf8(text, 0, &length));
  }

 private:
  const bool left_;
  const bool right_;
};

class ReplaceStep final : public NormalizerStep {
 public:
  explicit ReplaceStep(Replacement replacement)
      : replacement_(std::move(replacement)) {}

  absl::Status Apply(absl::string_view text,
                     std::string* result) const override {
    return replacement_.Append(text, result);
  }

  bool DropsStart(absl::string_view text) const override {
    return replacement_.DropsStart(text);
  }

 private:
  const Replacement replacement_;
};

class PrependStep final : public NormalizerStep {
 public:
  explicit PrependStep(std::string prefix) : prefix_(std::move(prefix)) {}

  absl::Status Apply(absl::string_view text,
                     std::string* result) const override {
    if (!text.empty()) absl::StrAppend(result, prefix_, text);
    return absl::OkStatus();
  }

  bool DropsStart(absl::string_view /*text*/) const override { return false; }

 private:
  const std::string prefix_;
};

class ByteLevelStep final : public NormalizerStep {
 public:
  absl::Status Apply(absl::string_view text,
                     std::string* result) const override {
    AppendByteLevel(text, result);
    return absl::OkStatus();
  }

  bool DropsStart(absl::string_view /*text*/) const override { return false; }
};

struct FormRow {
  absl::string_view type;
  UnicodeForm form;
};

constexpr FormRow kForms[] = {
    {"NFC", UnicodeForm::kNfc},
    {"NFD", UnicodeForm::kNfd},
    {"NFKC", UnicodeForm::kNfkc},
    {"NFKD", UnicodeForm::kNfkd},
};

}  // namespace

NewNormalizerStep NewUnicodeFormStep(const JsonReader& member) {
  ASSIGN_OR_RETURN(const std::string type, member.GetString("type"));
  for (const FormRow& row : kForms) {
    if (row.type == type) return std::make_unique<UnicodeFormStep>(row.form);
  }
  return member.Unsupported("type", Quoted(type));
}

NewNormalizerStep NewLowercaseStep(const JsonReader& /*member*/) {
  return std::make_unique<CharacterStep>(AppendLowercase);
}

NewNormalizerStep NewStripStep(const JsonReader& member) {
  ASSIGN_OR_RETURN(const bool left, member.GetBoolOr("strip_left", true));
  ASSIGN_OR_RETURN(const bool right, member.GetBoolOr("strip_right", true));
  return std::make_unique<StripStep>(left, right);
}

NewNormalizerStep NewStripAccentsStep(const JsonReader& /*member*/) {
  return std::make_unique<CharacterStep>(KeepUnlessMark);
}

NewNormalizerStep NewReplaceStep(const JsonReader& member) {
  ASSIGN_OR_RETURN(Replacement replacement, Replacement::Create(member));
  return std::make_unique<ReplaceStep>(std::move(replacement));
}

NewNormalizerStep NewPrependStep(const JsonReader& member) {
  ASSIGN_OR_RETURN(std::string prefix, member.GetString("prepend"));
  return std::make_unique<PrependStep>(std::move(prefix));
}

NewNormalizerStep NewNmtStep(const JsonReader& /*member*/) {
  return std::make_unique<CharacterStep>(CleanAsNmt);
}

NewNormalizerStep NewByteLevelStep(const JsonReader& /*member*/) {
  return std::make_unique<ByteLevelStep>();
}

}  // namespace quantd
