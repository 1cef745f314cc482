// What the perplexity conventions of the field mean, as a table: the text that
// is fed, the windows, the BOS policy, the scored positions. N = window.
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
//
// Sources: GPTQ and llama.cpp perplexity programs.
#ifndef QUANTD_EVALUATORS_PERPLEXITY_CONVENTION_H_
#define QUANTD_EVALUATORS_PERPLEXITY_CONVENTION_H_

#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace quantd {

enum class BosPlacement {
  kStart,        // before the first token of the text, if the tokenizer does
  kEveryWindow,  // over token 0 of every window, if the tokenizer does
};

struct PerplexityConvention {
  absl::string_view name;  // "gptq": users write ppl/<name>-<window>
  std::string (*prepare)(absl::string_view text);
  BosPlacement bos;
  // Index of the first target of a window of n tokens; all later are scored.
  int (*first_target)(int n);
  // Fewest windows the text must fill.
  int min_windows;
  absl::string_view help;
  absl::string_view citation;
};

absl::Span<const PerplexityConvention> PerplexityConventions();

// The string of the gptq convention (see above).
std::string JoinRows(absl::string_view text);

}  // namespace quantd

#endif  // QUANTD_EVALUATORS_PERPLEXITY_CONVENTION_H_
