#include "evaluators/rolling_windows.h"

#include <algorithm>
#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/sha256.h"
#include "base/status_macros.h"
#include "base/utf8.h"
#include "evaluators/pattern_space.h"
#include "evaluators/wikitext_detokenizer.h"
#include "evaluators/wikitext_documents.h"

namespace quantd {

void AddRollingWindows(absl::Span<const int32_t> document, int64_t first_token,
                       int32_t prefix, int window, TextWindows* windows) {
  const size_t n = static_cast<size_t>(window);
  TextCluster cluster;
  cluster.windows = 0;
  cluster.weight = document.size();
  for (size_t scored = 0; scored < document.size();) {
    const size_t count = std::min(n, document.size() - scored);
    const size_t end = scored + count;
    ScoreRequest request;
    request.target_count = static_cast<int>(count);
    if (scored == 0) {
      request.tokens.reserve(count + 1);
      request.tokens.push_back(prefix);
      request.tokens.insert(
          request.tokens.end(), document.begin(),
          document.begin() + static_cast<std::ptrdiff_t>(end));
      request.first_target = 1;
      windows->begins.push_back(first_token - 1);
    } else {
      // The first window was full, so that end > n.
      const absl::Span<const int32_t> part =
          document.subspan(end - n - 1, n + 1);
      request.tokens.assign(part.begin(), part.end());
      request.first_target = static_cast<int>(n + 1 - count);
      windows->begins.push_back(first_token +
                                static_cast<int64_t>(end - n - 1));
    }
    windows->requests.push_back(std::move(request));
    ++cluster.windows;
    scored = end;
  }
  windows->clusters.push_back(cluster);
}

absl::StatusOr<TextWindows> RollingWindows(absl::string_view text,
                                           const Tokenizer& tokenizer,
                                           const WindowParameters& parameters) {
  ASSIGN_OR_RETURN(const int32_t prefix, tokenizer.PrefixToken());
  if (const size_t valid = ValidUtf8Prefix(text); valid < text.size()) {
    return absl::InvalidArgumentError(
        absl::StrCat("the text is not UTF-8 at byte ", valid));
  }
  const std::vector<absl::string_view> documents = WikitextDocuments(text);
  if (documents.empty()) {
    return absl::InvalidArgumentError(
        "the text has no heading line such as \" = Title = \", where a "
        "document "
        "begins");
  }
  TextWindows windows;
  std::string fed;
  uint64_t words = 0, bytes = 0, tokens_of_all = 0, tokens_kept = 0;
  bool full = false;
  for (const absl::string_view document : documents) {
    const std::string detokenized = DetokenizeWikitext(document);
    if (!fed.empty()) fed += '\n';
    fed += detokenized;
    ASSIGN_OR_RETURN(const std::vector<int32_t> tokens,
                     tokenizer.Encode(detokenized));
    const int64_t first_token = static_cast<int64_t>(tokens_of_all);
    tokens_of_all += tokens.size();
    const uint64_t window = static_cast<uint64_t>(parameters.window);
    const uint64_t more = (tokens.size() + window - 1) / window;
    full = full || (parameters.max_windows > 0 &&
                    windows.requests.size() + more > parameters.max_windows);
    if (full) {
      if (windows.clusters.empty()) {
        return absl::InvalidArgumentError(absl::StrCat(
            "the first document has ", more,
            " windows, and a limited run scores whole documents: allow at "
            "least as many (max_windows is ",
            parameters.max_windows, ")"));
      }
      continue;
    }
    AddRollingWindows(tokens, first_token, prefix, parameters.window, &windows);
    TextCluster& cluster = windows.clusters.back();
    cluster.words = CountPieces(document);
    cluster.bytes = document.size();
    words += cluster.words;
    bytes += cluster.bytes;
    tokens_kept += tokens.size();
  }
  if (tokens_kept == 0) {
    return absl::InvalidArgumentError(
        "no document of the text has a token to score");
  }
  windows.tag.set_text_digest(Sha256Hex(fed));
  windows.tag.set_token_count(tokens_of_all);
  windows.tag.set_bos_policy("every-document");
  windows.tag.set_prefix_token(prefix);
  windows.tag.set_document_count(windows.clusters.size());
  windows.tag.set_word_count(words);
  windows.tag.set_byte_count(bytes);
  return windows;
}

}  // namespace quantd
