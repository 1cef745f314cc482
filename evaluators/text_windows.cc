#include "evaluators/text_windows.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "base/sha256.h"
#include "base/status_macros.h"

namespace quantd {
namespace {

absl::Status TooFewTokens(size_t tokens, uint64_t needed) {
  return absl::InvalidArgumentError(absl::StrCat(
      "the text has ", tokens, " tokens, at least ", needed, " are needed"));
}

uint64_t Limited(uint64_t windows, const WindowParameters& parameters) {
  return parameters.max_windows == 0
             ? windows
             : std::min(windows, parameters.max_windows);
}

v1::PerplexityTag TagOf(absl::string_view fed, size_t tokens,
                        absl::string_view bos_policy) {
  v1::PerplexityTag tag;
  tag.set_text_digest(Sha256Hex(fed));
  tag.set_token_count(tokens);
  tag.set_bos_policy(std::string(bos_policy));
  return tag;
}

ScoreRequest RequestOf(const std::vector<int32_t>& tokens, size_t begin,
                       size_t end, size_t first_target) {
  ScoreRequest request;
  request.tokens.assign(tokens.begin() + static_cast<std::ptrdiff_t>(begin),
                        tokens.begin() + static_cast<std::ptrdiff_t>(end));
  request.first_target = static_cast<int>(first_target);
  request.target_count = static_cast<int>(end - begin - first_target);
  return request;
}

// Full windows side by side, all targets from `first_target` on; the tail is
// dropped.
void AddDisjoint(const std::vector<int32_t>& tokens,
                 const WindowParameters& parameters, size_t first_target,
                 TextWindows* windows) {
  const size_t n = static_cast<size_t>(parameters.window);
  const size_t count = Limited(tokens.size() / n, parameters);
  for (size_t w = 0; w < count; ++w) {
    windows->Add(RequestOf(tokens, w * n, (w + 1) * n, first_target),
                 static_cast<int64_t>(w * n), n - first_target);
  }
}

}  // namespace

void TextWindows::Add(ScoreRequest request, int64_t begin, uint64_t weight) {
  requests.push_back(std::move(request));
  begins.push_back(begin);
  TextCluster cluster;
  cluster.weight = weight;
  clusters.push_back(cluster);
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

absl::StatusOr<TextWindows> GptqWindows(absl::string_view text,
                                        const Tokenizer& tokenizer,
                                        const WindowParameters& parameters) {
  const std::string joined = JoinRows(text);
  ASSIGN_OR_RETURN(const std::vector<int32_t> tokens,
                   tokenizer.EncodeWithBos(joined));
  const size_t n = static_cast<size_t>(parameters.window);
  if (tokens.size() < n) return TooFewTokens(tokens.size(), n);
  TextWindows windows;
  windows.tag =
      TagOf(joined, tokens.size(), tokenizer.adds_bos() ? "start" : "none");
  AddDisjoint(tokens, parameters, 1, &windows);
  return windows;
}

absl::StatusOr<TextWindows> LlamaCppWindows(
    absl::string_view text, const Tokenizer& tokenizer,
    const WindowParameters& parameters) {
  ASSIGN_OR_RETURN(const std::vector<int32_t> tokens,
                   tokenizer.EncodeWithBos(text));
  const size_t n = static_cast<size_t>(parameters.window);
  if (tokens.size() < 2 * n) return TooFewTokens(tokens.size(), 2 * n);
  const std::optional<int32_t> bos = tokenizer.leading_id();
  TextWindows windows;
  windows.tag =
      TagOf(text, tokens.size(), bos.has_value() ? "every-window" : "none");
  AddDisjoint(tokens, parameters, n / 2 + 1, &windows);
  if (bos.has_value()) {
    for (ScoreRequest& request : windows.requests) request.tokens[0] = *bos;
  }
  return windows;
}

absl::StatusOr<TextWindows> StridedWindows(absl::string_view text,
                                           const Tokenizer& tokenizer,
                                           const WindowParameters& parameters) {
  const std::string joined = JoinRows(text);
  ASSIGN_OR_RETURN(const std::vector<int32_t> tokens, tokenizer.Encode(joined));
  if (tokens.size() < 2) return TooFewTokens(tokens.size(), 2);
  const size_t n = static_cast<size_t>(parameters.window);
  const size_t stride = static_cast<size_t>(parameters.stride);
  const uint64_t count = Limited(
      tokens.size() <= n ? 1 : (tokens.size() - n + stride - 1) / stride + 1,
      parameters);
  if (count > kMaxWindowedTokens / n) {
    return absl::InvalidArgumentError(absl::StrCat(
        "a stride of ", stride, " makes ", count, " windows of ", n,
        " tokens of this text, more than ", kMaxWindowedTokens,
        " tokens together: take a longer stride or fewer windows"));
  }
  TextWindows windows;
  windows.tag = TagOf(joined, tokens.size(), "none");
  size_t scored = 0;  // end of the window before
  for (uint64_t w = 0; w < count; ++w) {
    const size_t begin = w * stride;
    const size_t end = std::min(begin + n, tokens.size());
    // Nothing predicts the first token of a window, new or not.
    const size_t first_target = std::max<size_t>(1, scored - begin);
    // A window of one token, at the end and without overlap, has no target.
    if (begin + first_target < end) {
      windows.Add(RequestOf(tokens, begin, end, first_target),
                  static_cast<int64_t>(begin), end - scored - 1);
    }
    scored = end;
  }
  return windows;
}

}  // namespace quantd
