#include "models/architectures/alibi_slopes.h"

#include <bit>
#include <cmath>

namespace quantd {

std::vector<float> AlibiSlopes(int heads) {
  const int lower =
      static_cast<int>(std::bit_floor(static_cast<unsigned>(heads)));
  std::vector<float> slopes;
  for (int i = 1; i <= lower; ++i) {
    slopes.push_back(static_cast<float>(std::pow(2.0, -8.0 * i / lower)));
  }
  for (int i = 1; static_cast<int>(slopes.size()) < heads; i += 2) {
    slopes.push_back(static_cast<float>(std::pow(2.0, -8.0 * i / (2 * lower))));
  }
  return slopes;
}

}  // namespace quantd
