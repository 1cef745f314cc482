// Lower case of single characters (Unicode's full mapping, without the rules
// that look at the neighbours or the language).
#ifndef QUANTD_MODELS_TOKENIZERS_LOWERCASE_H_
#define QUANTD_MODELS_TOKENIZERS_LOWERCASE_H_

#include <string>

namespace quantd {

void AppendLowercase(char32_t c, std::string* text);

}  // namespace quantd

#endif  // QUANTD_MODELS_TOKENIZERS_LOWERCASE_H_
