#include "evaluators/perplexity_convention.h"

#include "absl/strings/ascii.h"

namespace quantd {
namespace {

std::string AsIs(absl::string_view text) { return std::string(text); }

int AllButFirst(int) { return 1; }

int SecondHalf(int n) { return n / 2 + 1; }

constexpr PerplexityConvention kConventions[] = {
    {"gptq", JoinRows, BosPlacement::kStart, AllButFirst, 1,
     "Rows joined by blank lines, disjoint windows of N tokens, every token "
     "but the first of a window scored",
     "Frantar et al., GPTQ, arXiv:2210.17323, reference evaluation"},
    {"llamacpp", AsIs, BosPlacement::kEveryWindow, SecondHalf, 2,
     "The bytes as they are, disjoint windows of N tokens, the second half of "
     "each window scored",
     "llama.cpp, perplexity program"},
};

}  // namespace

absl::Span<const PerplexityConvention> PerplexityConventions() {
  return kConventions;
}

std::string JoinRows(absl::string_view text) {
  std::string joined;
  joined.reserve(text.size() + text.size() / 64);
  bool first = true;
  while (!text.empty()) {
    const size_t newline = text.find('\n');
    const size_t size =
        newline == absl::string_view::npos ? text.size() : newline + 1;
    const absl::string_view line = text.substr(0, size);
    text.remove_prefix(size);
    if (!first) joined += "\n\n";
    first = false;
    if (!absl::StripAsciiWhitespace(line).empty()) {
      joined.append(line.data(), line.size());
    }
  }
  return joined;
}

}  // namespace quantd
