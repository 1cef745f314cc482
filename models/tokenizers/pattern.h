// A regular expression of a tokenizer file, run by PCRE2.
//
// Such files are written for Oniguruma (Ruby syntax, Unicode classes). Where
// the two differ, the pattern is translated first: \s is exactly Unicode's
// White_Space, \w its word characters, \h a hexadecimal digit, \p{Han} the
// script (not the script extensions), ^ and $ match at every line, (?m) lets
// the dot match newlines. What cannot be translated is refused rather than
// matched differently.
//
// Immutable and thread-safe; each call brings its own MatchScratch.
#ifndef QUANTD_MODELS_TOKENIZERS_PATTERN_H_
#define QUANTD_MODELS_TOKENIZERS_PATTERN_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "models/json_text.h"

namespace quantd {

// Memory that matching works in; one per thread or call, for any patterns.
class MatchScratch {
 public:
  MatchScratch();
  ~MatchScratch();
  MatchScratch(const MatchScratch&) = delete;
  MatchScratch& operator=(const MatchScratch&) = delete;

 private:
  friend class Pattern;
  struct State;
  std::unique_ptr<State> state_;
};

class Pattern {
 public:
  struct Match {
    size_t begin = 0;
    size_t end = 0;  // == begin for an empty match
  };

  // InvalidArgument carries PCRE2's message and the offset; Unimplemented
  // names a construct that has another meaning in PCRE2.
  static absl::StatusOr<std::unique_ptr<const Pattern>> Compile(
      absl::string_view regex);
  // The same for a pattern in PCRE2's own syntax.
  static absl::StatusOr<std::unique_ptr<const Pattern>> CompilePcre2(
      absl::string_view regex);
  // Matches exactly `text`. REQUIRES: valid UTF-8, not empty.
  static absl::StatusOr<std::unique_ptr<const Pattern>> CompileLiteral(
      absl::string_view text);
  ~Pattern();

  // Calls `visit` with the begin, the end and whether it is a match of
  // consecutive parts that cover the text; stops at its first error. Like the
  // reference, an empty match counts unless it touches the match before it.
  absl::Status VisitMatches(
      absl::string_view text, MatchScratch& scratch,
      absl::FunctionRef<absl::Status(size_t, size_t, bool)> visit) const;

  // The first match that begins at or after `from`. `text` must be valid
  // UTF-8 and `from` a character boundary. ResourceExhausted when the match
  // limit is exceeded (a pattern that backtracks without end).
  absl::StatusOr<std::optional<Match>> Find(absl::string_view text, size_t from,
                                            MatchScratch& scratch) const;

 private:
  struct Code;
  explicit Pattern(std::unique_ptr<Code> code);
  static absl::StatusOr<std::unique_ptr<const Pattern>> CompileWith(
      absl::string_view regex, uint32_t options);

  const std::unique_ptr<Code> code_;
};

// What a member "pattern" of tokenizer.json says.
struct PatternText {
  std::string literal;                   // {"String": literal}
  std::unique_ptr<const Pattern> regex;  // {"Regex": ...}, or null
};

// Reads the member "pattern" of `member`. InvalidArgument: neither or both of
// the two kinds, an empty one, a regular expression that does not compile.
absl::StatusOr<PatternText> ReadPattern(const JsonReader& member);

// The translation alone, for tests.
absl::StatusOr<std::string> TranslateOniguruma(absl::string_view regex);

}  // namespace quantd

#endif  // QUANTD_MODELS_TOKENIZERS_PATTERN_H_
