// The version of this build, from the project() line of CMakeLists.txt.
#ifndef QUANTD_SERVER_VERSION_H_
#define QUANTD_SERVER_VERSION_H_

namespace quantd {

const char* QuantdVersion();

}  // namespace quantd

#endif  // QUANTD_SERVER_VERSION_H_
