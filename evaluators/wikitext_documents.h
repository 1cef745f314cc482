// The documents of a WikiText file: articles, each of which begins at a heading
// line of the first level, " = Title = ". The WikiText task of
// lm-evaluation-harness scores them one by one and divides by their words and
// bytes.
//
// A heading is a line that matches "^ = [^=].*[^=] = $" as a whole: two
// characters or more between the signs, neither the first nor the last of them
// "=". Lines inside an article that happen to match (WikiText-2's test split
// has two formulas that do) begin documents, too: published numbers include
// that.
//
// Source: lm-evaluation-harness, task wikitext; the denominators of its
// WikiText-2 test split, 62 documents of 241335 words and 1290527 bytes, follow
// from these rules.
//
// Thread-safe: free functions over their arguments.
#ifndef QUANTD_EVALUATORS_WIKITEXT_DOCUMENTS_H_
#define QUANTD_EVALUATORS_WIKITEXT_DOCUMENTS_H_

#include <vector>

#include "absl/strings/string_view.h"

namespace quantd {

// Whether a line, without its newline, begins a document. REQUIRES: valid
// UTF-8.
bool IsWikitextHeading(absl::string_view line);

// Each document from its heading up to the newline before the next heading,
// which belongs to none; the last one to the end of `text`. What precedes the
// first heading is dropped. Parts of `text`, in order. REQUIRES: valid UTF-8.
std::vector<absl::string_view> WikitextDocuments(absl::string_view text);

}  // namespace quantd

#endif  // QUANTD_EVALUATORS_WIKITEXT_DOCUMENTS_H_
