// One step of a pre-tokenizer: it cuts, and may change, the parts of a text.
// The factories read the step's own members of tokenizer.json.
#ifndef QUANTD_MODELS_TOKENIZERS_PRE_TOKENIZER_STEP_H_
#define QUANTD_MODELS_TOKENIZERS_PRE_TOKENIZER_STEP_H_

#include <memory>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "models/json_text.h"
#include "models/tokenizers/pattern.h"
#include "models/tokenizers/split_behavior.h"
#include "models/tokenizers/text_arena.h"

namespace quantd {

// A part of the text on its way through the steps.
struct TextPart {
  absl::string_view text;
  // Whether it begins with the first character of the whole text: before added
  // tokens were cut out of it, and unless normalizing removed that.
  bool at_start = false;
};

// Immutable and thread-safe.
class PreTokenizerStep {
 public:
  struct Scratch {
    MatchScratch match;
    TextArena texts;  // of parts that are not slices of the text
  };
  using Sink = absl::FunctionRef<absl::Status(const TextPart& part)>;

  virtual ~PreTokenizerStep() = default;

  // Calls `sink` with the parts of `part`, in order, until its first error.
  // They live as long as `part` and `scratch`. REQUIRES: valid UTF-8, not
  // empty.
  virtual absl::Status Run(const TextPart& part, Scratch& scratch,
                           Sink sink) const = 0;

  // Whether this step only writes each byte as its character of byte_level.h.
  virtual bool spells_bytes() const { return false; }
};

using NewPreTokenizerStep =
    absl::StatusOr<std::unique_ptr<const PreTokenizerStep>>;

// {"type": "Split", "pattern": ..., "behavior": "Isolated", "invert": false};
// an inverted pattern takes its gaps for matches.
NewPreTokenizerStep NewSplitStep(const JsonReader& member);
// The same from its parts.
std::unique_ptr<const PreTokenizerStep> NewPatternStep(
    std::unique_ptr<const Pattern> pattern, SplitBehavior behavior,
    bool invert);
// {"type": "Digits", "individual_digits": false}
NewPreTokenizerStep NewDigitsStep(const JsonReader& member);
// {"type": "Punctuation", "behavior": "Isolated"}
NewPreTokenizerStep NewPunctuationStep(const JsonReader& member);
// {"type": "CharDelimiterSplit", "delimiter": "x"}: removes it.
NewPreTokenizerStep NewDelimiterStep(const JsonReader& member);
// {"type": "Whitespace"}: runs of word characters and of other signs.
NewPreTokenizerStep NewWhitespaceStep(const JsonReader& member);
// {"type": "WhitespaceSplit"}
NewPreTokenizerStep NewWhitespaceSplitStep(const JsonReader& member);
// {"type": "BertPreTokenizer"}: words, and punctuation signs one by one.
NewPreTokenizerStep NewBertPreTokenizerStep(const JsonReader& member);
// {"type": "FixedLength", "length": 5}: in characters.
NewPreTokenizerStep NewFixedLengthStep(const JsonReader& member);
// {"type": "Metaspace", "replacement": "_", "prepend_scheme": "always",
//  "split": true}: spaces become the replacement, and one is put before the
// parts that have none ("first": only before the text); then a cut before
// each replacement. Older files say "add_prefix_space" instead of a scheme.
NewPreTokenizerStep NewMetaspaceStep(const JsonReader& member);

// {"type": "ByteLevel", "add_prefix_space": true, "use_regex": true} is two
// steps. The first, null if both are false: a space before parts that begin
// with none, and a cut by the pattern of GPT-2. The second spells bytes.
NewPreTokenizerStep NewByteLevelCutStep(const JsonReader& member);
std::unique_ptr<const PreTokenizerStep> NewByteSpellingStep();

}  // namespace quantd

#endif  // QUANTD_MODELS_TOKENIZERS_PRE_TOKENIZER_STEP_H_
