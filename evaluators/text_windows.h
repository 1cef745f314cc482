// A text cut into windows of tokens, as the perplexity conventions that take
// the text as one piece do it (perplexity_convention.h says which is which;
// rolling_windows.h cuts documents).
//
// Thread-safe: plain data and free functions over their arguments.
#ifndef QUANTD_EVALUATORS_TEXT_WINDOWS_H_
#define QUANTD_EVALUATORS_TEXT_WINDOWS_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "evaluators/evaluator.h"
#include "models/tokenizer.h"
#include "quantd/v1/evaluation.pb.h"

namespace quantd {

struct WindowParameters {
  int window = 0;            // tokens
  int stride = 0;            // tokens; strided windows only
  uint64_t max_windows = 0;  // only the first; 0 = all
};

// Windows whose targets belong together: what a report's means and clustered
// errors are over.
struct TextCluster {
  size_t windows = 1;  // consecutive
  // Of the mean over the cluster's targets in the mean over the text.
  uint64_t weight = 0;
  // Of the original text, where the convention counts them.
  uint64_t words = 0;
  uint64_t bytes = 0;
};

struct TextWindows {
  std::vector<ScoreRequest> requests;
  // Where token 0 of every request stands among the tokens of the whole text;
  // one before it where a prefix token stands at the start.
  std::vector<int64_t> begins;
  std::vector<TextCluster> clusters;  // in order, of all requests
  // Without convention, window, stride and tokenizer.
  v1::PerplexityTag tag;

  // A window that is a cluster of its own.
  void Add(ScoreRequest request, int64_t begin, uint64_t weight);
};

// Windows whose tokens together would be more are refused (1 GiB of ids).
inline constexpr uint64_t kMaxWindowedTokens = uint64_t{1} << 28;

// Rows of `text` joined by "\n\n" into one string: one row per line; a blank
// line is an empty row, another line keeps its newline.
std::string JoinRows(absl::string_view text);

// ppl/gptq-N. InvalidArgument: less than a window, or not UTF-8.
absl::StatusOr<TextWindows> GptqWindows(absl::string_view text,
                                        const Tokenizer& tokenizer,
                                        const WindowParameters& parameters);

// ppl/llamacpp-N. InvalidArgument: less than two windows, or not UTF-8.
absl::StatusOr<TextWindows> LlamaCppWindows(absl::string_view text,
                                            const Tokenizer& tokenizer,
                                            const WindowParameters& parameters);

// ppl/hf-stride-S-N. InvalidArgument: less than two tokens, more than
// kMaxWindowedTokens in all windows, or not UTF-8. REQUIRES: stride in
// 1..window.
absl::StatusOr<TextWindows> StridedWindows(absl::string_view text,
                                           const Tokenizer& tokenizer,
                                           const WindowParameters& parameters);

}  // namespace quantd

#endif  // QUANTD_EVALUATORS_TEXT_WINDOWS_H_
