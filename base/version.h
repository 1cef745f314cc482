// The version of this build.
#ifndef QUANTD_BASE_VERSION_H_
#define QUANTD_BASE_VERSION_H_

#include "absl/strings/string_view.h"

namespace quantd {

// "0.1.0", from CMakeLists.txt.
absl::string_view Version();

}  // namespace quantd

#endif  // QUANTD_BASE_VERSION_H_
