#include "evaluators/wikitext_documents.h"

#include <cstddef>

#include "absl/strings/match.h"
#include "absl/strings/strip.h"
#include "models/tokenizers/character_class.h"

namespace quantd {

bool IsWikitextHeading(absl::string_view line) {
  if (!absl::ConsumePrefix(&line, " = ") ||
      !absl::ConsumeSuffix(&line, " = ")) {
    return false;
  }
  // A single character cannot be both the first and the last.
  return !line.empty() && FirstCharacter(line).size() < line.size() &&
         line.front() != '=' && line.back() != '=';
}

std::vector<absl::string_view> WikitextDocuments(absl::string_view text) {
  std::vector<absl::string_view> documents;
  size_t start = absl::string_view::npos;  // of the document that is open
  for (size_t line = 0; line < text.size();) {
    size_t end = text.find('\n', line);
    if (end == absl::string_view::npos) end = text.size();
    if (IsWikitextHeading(text.substr(line, end - line))) {
      if (start != absl::string_view::npos) {
        documents.push_back(text.substr(start, line - 1 - start));
      }
      start = line;
    }
    line = end + 1;
  }
  if (start != absl::string_view::npos) documents.push_back(text.substr(start));
  return documents;
}

}  // namespace quantd
