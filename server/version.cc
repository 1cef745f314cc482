#include "server/version.h"

namespace quantd {

const char* QuantdVersion() { return QUANTD_VERSION; }

}  // namespace quantd
