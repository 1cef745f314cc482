// The clean-up of BERT's uncased and cased vocabularies.
#include <array>
#include <cstddef>
#include <memory>
#include <string>

#include "absl/strings/string_view.h"
#include "base/status_macros.h"
#include "base/utf8.h"
#include "models/tokenizers/character_class.h"
#include "models/tokenizers/lowercase.h"
#include "models/tokenizers/normalizer_step.h"
#include "models/tokenizers/unicode_form.h"

namespace quantd {
namespace {

struct BertOptions {
  bool clean_text = true;
  bool space_ideographs = true;
  bool strip_accents = true;
  bool lowercase = true;
};

class BertStep final : public NormalizerStep {
 public:
  explicit BertStep(const BertOptions& options) : options_(options) {
    for (size_t c = 0; c < ascii_.size(); ++c) {
      std::string clean;
      AppendClean(static_cast<char32_t>(c), &clean);
      if (options_.lowercase && !clean.empty()) {
        std::string lower;
        AppendLowercase(static_cast<char32_t>(clean[0]), &lower);
        clean = lower;
      }
      ascii_[c] = clean.empty() ? kDropped : clean[0];
    }
  }

  bool DropsStart(absl::string_view text) const override {
    const size_t end = FirstCharacter(text).size();
    std::string first;
    return end > 0 && Apply(text.substr(0, end), &first).ok() && first.empty();
  }

  // No part of this looks across a run of ASCII: marks combine only with
  // what stands right before them, and only to be reordered among themselves.
  absl::Status Apply(absl::string_view text,
                     std::string* result) const override {
    result->reserve(result->size() + text.size());
    size_t pos = 0;
    while (pos < text.size()) {
      const auto byte = static_cast<unsigned char>(text[pos]);
      if (byte < ascii_.size()) {
        if (ascii_[byte] != kDropped) result->push_back(ascii_[byte]);
        ++pos;
        continue;
      }
      size_t end = pos + 1;
      while (end < text.size() &&
             static_cast<unsigned char>(text[end]) >= ascii_.size()) {
        ++end;
      }
      RETURN_IF_ERROR(AppendRun(text.substr(pos, end - pos), result));
      pos = end;
    }
    return absl::OkStatus();
  }

 private:
  // Stands for a character that is removed. Cleaning removes zero bytes; with
  // clean_text off nothing is removed and a zero byte stays.
  static constexpr char kDropped = static_cast<char>(0xFF);

  void AppendClean(char32_t c, std::string* result) const {
    if (!options_.clean_text) return AppendUtf8(c, result);
    // Some white space is control characters, and removed: all but these.
    if (c == '\t' || c == '\n' || c == '\r') return result->push_back(' ');
    constexpr char32_t kReplacement = 0xFFFD;
    if (c == 0 || c == kReplacement || IsControlOrFormat(c)) return;
    AppendUtf8(IsWhiteSpace(c) ? U' ' : c, result);
  }

  // A run without ASCII.
  absl::Status AppendRun(absl::string_view run, std::string* result) const {
    std::string cleaned;
    size_t length = 0;
    for (size_t pos = 0; pos < run.size(); pos += length) {
      const char32_t c = DecodeUtf8(run, pos, &length);
      const bool spaced = options_.space_ideographs && IsBertIdeograph(c);
      if (spaced) cleaned.push_back(' ');
      AppendClean(c, &cleaned);
      if (spaced) cleaned.push_back(' ');
    }
    if (options_.strip_accents) {
      std::string decomposed;
      RETURN_IF_ERROR(AppendInForm(cleaned, UnicodeForm::kNfd, &decomposed));
      cleaned = std::move(decomposed);
    }
    for (size_t pos = 0; pos < cleaned.size(); pos += length) {
      const char32_t c = DecodeUtf8(cleaned, pos, &length);
      if (options_.strip_accents && IsNonspacingMark(c)) continue;
      if (options_.lowercase) {
        AppendLowercase(c, result);
      } else {
        AppendUtf8(c, result);
      }
    }
    return absl::OkStatus();
  }

  const BertOptions options_;
  std::array<char, 128> ascii_;
};

}  // namespace

NewNormalizerStep NewBertStep(const JsonReader& member) {
  BertOptions options;
  ASSIGN_OR_RETURN(options.clean_text, member.GetBoolOr("clean_text", true));
  ASSIGN_OR_RETURN(options.space_ideographs,
                   member.GetBoolOr("handle_chinese_chars", true));
  ASSIGN_OR_RETURN(options.lowercase, member.GetBoolOr("lowercase", true));
  ASSIGN_OR_RETURN(options.strip_accents,
                   member.GetBoolOr("strip_accents", options.lowercase));
  return std::make_unique<BertStep>(options);
}

}  // namespace quantd
