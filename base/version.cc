#include "base/version.h"

namespace quantd {

absl::string_view Version() { return QUANTD_VERSION; }

}  // namespace quantd
