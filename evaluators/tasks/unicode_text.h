// Text by Unicode characters, with the rules of Python's str, whose harnesses
// defined the benchmarks' prompts. Case is mapped character by character; the
// few characters whose other case is several characters (German sharp s) keep
// the single one that Unicode has for them.
//
// All functions take valid UTF-8.
#ifndef QUANTD_EVALUATORS_TASKS_UNICODE_TEXT_H_
#define QUANTD_EVALUATORS_TASKS_UNICODE_TEXT_H_

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"

namespace quantd {

// Number of code points.
size_t CharacterCount(absl::string_view text);

// Characters [first, last), which are cut to the text.
absl::string_view CharacterSlice(absl::string_view text, int64_t first,
                                 int64_t last);

std::string LowerCase(absl::string_view text);
std::string UpperCase(absl::string_view text);
// The first character in upper case, all others in lower case.
std::string Capitalize(absl::string_view text);

// str.title(): the first letter of every run of letters in upper case ("They'Re
// Here"), the others in lower case.
std::string TitleLetters(absl::string_view text);
// Jinja's filter title: the same for words between blanks, dashes and opening
// brackets ("They're Here").
std::string TitleWords(absl::string_view text);
// Its characters from the last to the first.
std::string Reversed(absl::string_view text);

// What str.isspace() holds for: blanks of every width, tabs, line ends.
bool IsBlank(char32_t character);

// Without blanks, or the characters of `set` if it is not empty, at its
// beginning or end.
absl::string_view StripLeft(absl::string_view text, absl::string_view set = "");
absl::string_view StripRight(absl::string_view text,
                             absl::string_view set = "");

}  // namespace quantd

#endif  // QUANTD_EVALUATORS_TASKS_UNICODE_TEXT_H_
