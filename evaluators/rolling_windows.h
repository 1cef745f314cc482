// Documents scored token by token from the first to the last, each token
// exactly once: the windows of ppl/lmeval-rolling (perplexity_convention.h).
//
// Of a document of T tokens and a window of N, each window predicts up to N
// tokens. The first has the prefix token before them; every later one the token
// that precedes them, so that a window is N + 1 tokens long, of which the model
// reads N: the last is only a target. The last window is filled up to the left
// with tokens that the window before has scored:
//
//   N = 3        P 0 1 2
//                    2 3 4 5
//                      3 4 5 6      (4 and 5 are context here)
//
// Source: lm-evaluation-harness, loglikelihood_rolling with a context of one
// token. At its HEAD the harness lets the tokenizer add its special tokens as
// well, so that a tokenizer that adds BOS puts it twice and the second one is
// scored; older versions, which most published numbers are of, and this one do
// not.
//
// Thread-safe: free functions over their arguments.
#ifndef QUANTD_EVALUATORS_ROLLING_WINDOWS_H_
#define QUANTD_EVALUATORS_ROLLING_WINDOWS_H_

#include <cstdint>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "evaluators/text_windows.h"
#include "models/tokenizer.h"

namespace quantd {

// Adds the windows of one document, whose first token is `first_token` of the
// text, as one cluster; a document without tokens is a cluster without windows.
// Its words and bytes are the caller's. REQUIRES: window > 0.
void AddRollingWindows(absl::Span<const int32_t> document, int64_t first_token,
                       int32_t prefix, int window, TextWindows* windows);

// ppl/lmeval-rolling-N: WikiText's documents (wikitext_documents.h),
// detokenized (wikitext_detokenizer.h), with words and bytes as they were
// before. A limit of windows keeps whole documents: as many as fit it.
// InvalidArgument: not UTF-8, no heading line, no token in any document, a
// first document of more windows than the limit, a tokenizer with neither BOS
// nor EOS.
absl::StatusOr<TextWindows> RollingWindows(absl::string_view text,
                                           const Tokenizer& tokenizer,
                                           const WindowParameters& parameters);

}  // namespace quantd

#endif  // QUANTD_EVALUATORS_ROLLING_WINDOWS_H_
