// WikiText as running text. The raw corpus keeps traces of the tokenizer that
// it was once split with: blanks around punctuation, " @-@ " for a hyphen. The
// WikiText task of lm-evaluation-harness takes them out before a model reads
// the text; numbers are comparable with its own only if the same rules are
// applied in the same order:
//
//   1  "s '" -> "s'"
//   2  " @-@ " -> "-", " @,@ " -> ",", " @.@ " -> "."
//   3  " : " -> ": ", and so with ; . ! ? , in this order
//   4  white space is trimmed inside each ( ), [ ], { }, " ", ' ' in this
//   order;
//      a pair reaches from an opening sign to the next closing one
//   5  "= = = =" -> "====", "= = =" -> "===", "= =" -> "=="
//   6  a degree sign (U+00B0) loses the blanks around it
//   7  a newline loses one blank before it, then one behind it
//   8  " N " -> " 1 "
//   9  " 's" -> "'s"
//
// Every rule goes once over the text, from left to right, and takes matches
// that do not overlap. Between 1 and 2 the harness has a rule for digits after
// an apostrophe whose pattern only matches between slashes ("/' 5/"); it
// matches nothing in WikiText and is left out here.
//
// Source: lm-evaluation-harness, task wikitext, its preprocessing.
//
// Thread-safe: free functions over their arguments.
#ifndef QUANTD_EVALUATORS_WIKITEXT_DETOKENIZER_H_
#define QUANTD_EVALUATORS_WIKITEXT_DETOKENIZER_H_

#include <string>

#include "absl/strings/string_view.h"

namespace quantd {

// REQUIRES: valid UTF-8. The result is valid, too.
std::string DetokenizeWikitext(absl::string_view text);

}  // namespace quantd

#endif  // QUANTD_EVALUATORS_WIKITEXT_DETOKENIZER_H_
