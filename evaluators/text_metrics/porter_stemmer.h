// Porter's suffix stripping (Program 14(3), 1980, 130-137), by the rules of the
// paper. Its author's later programs have two rules more ("bli" to "ble",
// "logi" to "log"), and so stem a few words otherwise.
#ifndef QUANTD_EVALUATORS_TEXT_METRICS_PORTER_STEMMER_H_
#define QUANTD_EVALUATORS_TEXT_METRICS_PORTER_STEMMER_H_

#include <string>

namespace quantd {

// Of a word in lower-case ASCII; other bytes count as consonants. Words of one
// or two letters stay as they are. Thread-safe.
std::string PorterStem(std::string word);

}  // namespace quantd

#endif  // QUANTD_EVALUATORS_TEXT_METRICS_PORTER_STEMMER_H_
