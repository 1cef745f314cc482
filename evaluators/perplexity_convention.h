// What the perplexity conventions of the field mean, as a table: the text that
// is fed, the windows, the BOS policy, the scored positions, the aggregate.
// N = window, S = stride, in tokens.
//
//   ppl/gptq-N      rows of the text joined by "\n\n" into one string (one row
//                   per line; a blank line is an empty row, another line keeps
//                   its newline); disjoint windows, tail dropped; BOS only
//                   where the tokenizer puts it, at the very start; the N - 1
//                   targets inside each window. exp(mean of window means).
//   ppl/llamacpp-N  the bytes as they are; disjoint windows, tail dropped, at
//                   least two of them; if the tokenizer adds BOS, token 0 of
//                   every window is overwritten by it; targets N/2 + 1 ..
//                   N - 1. exp(sum NLL / count).
//   ppl/lmeval-rolling[-N]
//                   a WikiText file's documents, detokenized; before each the
//                   prefix token (BOS, or EOS where there is none); every token
//                   of a document exactly once, in windows that predict N
//                   tokens (rolling_windows.h). Per token exp(sum NLL / count);
//                   word perplexity exp(sum NLL / words), byte perplexity
//                   exp(sum NLL / bytes), bits per byte sum NLL / (bytes ln 2),
//                   words and bytes of the documents before detokenization.
//   ppl/hf-stride-S[-N]
//                   the string of gptq; windows that begin at 0, S, 2 S ... and
//                   end N tokens later, the last one where the text ends; no
//                   BOS; the v_w tokens of window w that no window before had,
//                   without the window's first token (a last window of one
//                   token is dropped). exp(sum_w mean_w (v_w - 1)
//                   / sum_w (v_w - 1)): the mean of a window that overlaps the
//                   one before is over v_w targets and weighs one less. With
//                   S = 1 all windows but the first would weigh nothing, which
//                   is why S begins at 2.
//
// Where [-N] is left out, N is the model's context.
//
// Sources: GPTQ and llama.cpp perplexity programs; lm-evaluation-harness, task
// wikitext; Hugging Face Transformers, guide "Perplexity of fixed-length
// models".
#ifndef QUANTD_EVALUATORS_PERPLEXITY_CONVENTION_H_
#define QUANTD_EVALUATORS_PERPLEXITY_CONVENTION_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "evaluators/evaluator.h"
#include "evaluators/text_windows.h"
#include "models/tokenizer.h"

namespace quantd {

enum class DefaultWindow {
  kNone,     // the user writes the number
  kContext,  // the model's context, unless the user writes a number
};

enum class StrideParameter { kNone, kRequired };

struct PerplexityConvention {
  absl::string_view name;  // "gptq": users write ppl/<name>-<window>
  StrideParameter stride;
  DefaultWindow default_window;
  absl::StatusOr<TextWindows> (*cut)(absl::string_view text,
                                     const Tokenizer& tokenizer,
                                     const WindowParameters& parameters);
  // What `cut` will give at most, as WindowShape says.
  WindowShape (*shape)(const WindowParameters& parameters);
  absl::string_view help;
  absl::string_view citation;

  // "gptq-N", "hf-stride-S-N".
  std::string pattern() const;
};

absl::Span<const PerplexityConvention> PerplexityConventions();

}  // namespace quantd

#endif  // QUANTD_EVALUATORS_PERPLEXITY_CONVENTION_H_
