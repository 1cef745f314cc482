#include "evaluators/perplexity_convention.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "evaluators/rolling_windows.h"

namespace quantd {
namespace {

WindowShape DisjointShape(const WindowParameters& parameters) {
  WindowShape shape;
  shape.tokens = parameters.window;
  shape.text_tokens = parameters.window;
  shape.max_windows = static_cast<int64_t>(parameters.max_windows);
  return shape;
}

// A document of T tokens takes T / N windows, rounded up, and where T < N one
// of T + 1: together no more tokens than twice the text's in full windows.
WindowShape RollingShape(const WindowParameters& parameters) {
  WindowShape shape = DisjointShape(parameters);
  shape.tokens = int64_t{parameters.window} + 1;
  shape.text_tokens = std::max(1, parameters.window / 2);
  return shape;
}

WindowShape StridedShape(const WindowParameters& parameters) {
  WindowShape shape = DisjointShape(parameters);
  shape.text_tokens = parameters.stride;
  return shape;
}

constexpr PerplexityConvention kConventions[] = {
    {"gptq", StrideParameter::kNone, DefaultWindow::kNone, GptqWindows,
     DisjointShape,
     "Rows joined by blank lines, disjoint windows of N tokens, every token "
     "but the first of a window scored",
     "Frantar et al., GPTQ, arXiv:2210.17323, reference evaluation"},
    {"llamacpp", StrideParameter::kNone, DefaultWindow::kNone, LlamaCppWindows,
     DisjointShape,
     "The bytes as they are, disjoint windows of N tokens, the second half of "
     "each window scored",
     "llama.cpp, perplexity program"},
    {"lmeval-rolling", StrideParameter::kNone, DefaultWindow::kContext,
     RollingWindows, RollingShape,
     "A WikiText file's documents, detokenized, every token scored once in "
     "windows of N tokens, with word perplexity, byte perplexity and bits per "
     "byte of the original text; without -N, N is the model's context",
     "lm-evaluation-harness, task wikitext"},
    {"hf-stride", StrideParameter::kRequired, DefaultWindow::kContext,
     StridedWindows, StridedShape,
     "Rows joined by blank lines, a window of N tokens every S tokens, the "
     "tokens scored that no window before it had; without -N, N is the model's "
     "context",
     "Hugging Face Transformers, guide Perplexity of fixed-length models"},
};

}  // namespace

std::string PerplexityConvention::pattern() const {
  return absl::StrCat(name,
                      stride == StrideParameter::kRequired ? "-S-N" : "-N");
}

absl::Span<const PerplexityConvention> PerplexityConventions() {
  return kConventions;
}

}  // namespace quantd
