#include "evaluators/text_metrics/porter_stemmer.h"

#include <cstddef>

#include "absl/strings/match.h"
#include "absl/strings/string_view.h"

namespace quantd {
namespace {

// Whether each letter of a word is a vowel. A y is one after a consonant, so
// that the answer for a letter depends on the one before: computed in order,
// once, as a word of y's would take quadratic time from the back.
std::string Vowels(absl::string_view word) {
  std::string vowels(word.size(), '\0');
  for (size_t i = 0; i < word.size(); ++i) {
    switch (word[i]) {
      case 'a':
      case 'e':
      case 'i':
      case 'o':
      case 'u':
        vowels[i] = 1;
        break;
      case 'y':
        vowels[i] = i > 0 && !vowels[i - 1];
        break;
      default:
        break;
    }
  }
  return vowels;
}

// m of [C](VC)^m[V].
int Measure(absl::string_view stem) {
  const std::string vowels = Vowels(stem);
  int measure = 0;
  for (size_t i = 1; i < vowels.size(); ++i) {
    measure += vowels[i - 1] && !vowels[i];
  }
  return measure;
}

bool HasVowel(absl::string_view stem) {
  return Vowels(stem).find('\1') != std::string::npos;
}

bool EndsInDoubleConsonant(absl::string_view stem) {
  const size_t n = stem.size();
  return n >= 2 && stem[n - 1] == stem[n - 2] && !Vowels(stem)[n - 1];
}

// Consonant, vowel, consonant other than w, x, y.
bool EndsInShortSyllable(absl::string_view stem) {
  const size_t n = stem.size();
  if (n < 3) return false;
  const std::string vowels = Vowels(stem);
  const char last = stem[n - 1];
  return !vowels[n - 3] && vowels[n - 2] && !vowels[n - 1] && last != 'w' &&
         last != 'x' && last != 'y';
}

struct Rule {
  absl::string_view suffix;
  absl::string_view replacement;
};

// The rule with the longest suffix that the word ends in; only that one is
// tried.
template <size_t kCount>
const Rule* FindRule(const Rule (&rules)[kCount], absl::string_view word) {
  const Rule* longest = nullptr;
  for (const Rule& rule : rules) {
    if (absl::EndsWith(word, rule.suffix) &&
        (longest == nullptr || rule.suffix.size() > longest->suffix.size())) {
      longest = &rule;
    }
  }
  return longest;
}

absl::string_view StemOf(absl::string_view word, absl::string_view suffix) {
  return word.substr(0, word.size() - suffix.size());
}

void Replace(const Rule& rule, std::string* word) {
  word->resize(word->size() - rule.suffix.size());
  word->append(rule.replacement.data(), rule.replacement.size());
}

constexpr Rule kPlurals[] = {
    {"sses", "ss"}, {"ies", "i"}, {"ss", "ss"}, {"s", ""}};

constexpr Rule kDoubleSuffixes[] = {
    {"ational", "ate"}, {"tional", "tion"}, {"enci", "ence"},
    {"anci", "ance"},   {"izer", "ize"},    {"abli", "able"},
    {"alli", "al"},     {"entli", "ent"},   {"eli", "e"},
    {"ousli", "ous"},   {"ization", "ize"}, {"ation", "ate"},
    {"ator", "ate"},    {"alism", "al"},    {"iveness", "ive"},
    {"fulness", "ful"}, {"ousness", "ous"}, {"aliti", "al"},
    {"iviti", "ive"},   {"biliti", "ble"}};

constexpr Rule kThirdStep[] = {{"icate", "ic"}, {"ative", ""},  {"alize", "al"},
                               {"iciti", "ic"}, {"ical", "ic"}, {"ful", ""},
                               {"ness", ""}};

constexpr Rule kFourthStep[] = {
    {"al", ""},   {"ance", ""}, {"ence", ""}, {"er", ""},    {"ic", ""},
    {"able", ""}, {"ible", ""}, {"ant", ""},  {"ement", ""}, {"ment", ""},
    {"ent", ""},  {"ion", ""},  {"ou", ""},   {"ism", ""},   {"ate", ""},
    {"iti", ""},  {"ous", ""},  {"ive", ""},  {"ize", ""}};

// Past tense and gerund, step 1b.
void StripEdAndIng(std::string* word) {
  if (absl::EndsWith(*word, "eed")) {
    if (Measure(StemOf(*word, "eed")) > 0) word->pop_back();
    return;
  }
  absl::string_view suffix;
  if (absl::EndsWith(*word, "ed")) {
    suffix = "ed";
  } else if (absl::EndsWith(*word, "ing")) {
    suffix = "ing";
  }
  if (suffix.empty() || !HasVowel(StemOf(*word, suffix))) return;
  word->resize(word->size() - suffix.size());
  if (absl::EndsWith(*word, "at") || absl::EndsWith(*word, "bl") ||
      absl::EndsWith(*word, "iz")) {
    word->push_back('e');
  } else if (EndsInDoubleConsonant(*word)) {
    const char last = word->back();
    if (last != 'l' && last != 's' && last != 'z') word->pop_back();
  } else if (Measure(*word) == 1 && EndsInShortSyllable(*word)) {
    word->push_back('e');
  }
}

void StripLastSuffix(std::string* word) {
  const Rule* rule = FindRule(kFourthStep, *word);
  if (rule == nullptr) return;
  const absl::string_view stem = StemOf(*word, rule->suffix);
  if (Measure(stem) <= 1) return;
  if (rule->suffix == "ion" && !absl::EndsWith(stem, "s") &&
      !absl::EndsWith(stem, "t")) {
    return;
  }
  Replace(*rule, word);
}

void TidyUp(std::string* word) {
  if (absl::EndsWith(*word, "e")) {
    const absl::string_view stem = StemOf(*word, "e");
    const int measure = Measure(stem);
    if (measure > 1 || (measure == 1 && !EndsInShortSyllable(stem))) {
      word->pop_back();
    }
  }
  if (absl::EndsWith(*word, "ll") && Measure(*word) > 1) word->pop_back();
}

}  // namespace

std::string PorterStem(std::string word) {
  if (word.size() <= 2) return word;
  if (const Rule* rule = FindRule(kPlurals, word)) Replace(*rule, &word);
  StripEdAndIng(&word);
  if (absl::EndsWith(word, "y") && HasVowel(StemOf(word, "y"))) {
    word.back() = 'i';
  }
  if (const Rule* rule = FindRule(kDoubleSuffixes, word);
      rule != nullptr && Measure(StemOf(word, rule->suffix)) > 0) {
    Replace(*rule, &word);
  }
  if (const Rule* rule = FindRule(kThirdStep, word);
      rule != nullptr && Measure(StemOf(word, rule->suffix)) > 0) {
    Replace(*rule, &word);
  }
  StripLastSuffix(&word);
  TidyUp(&word);
  return word;
}

}  // namespace quantd
