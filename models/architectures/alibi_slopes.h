// The slopes of ALiBi as Press et al. 2021 (arXiv:2108.12409) and BLOOM define
// them.
#ifndef QUANTD_MODELS_ARCHITECTURES_ALIBI_SLOPES_H_
#define QUANTD_MODELS_ARCHITECTURES_ALIBI_SLOPES_H_

#include <vector>

namespace quantd {

// Powers of 2^(-8 / n) for n heads; where n is no power of two, those of the
// next lower power of two, then every other one of the next higher.
std::vector<float> AlibiSlopes(int heads);

}  // namespace quantd

#endif  // QUANTD_MODELS_ARCHITECTURES_ALIBI_SLOPES_H_
