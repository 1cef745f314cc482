// Random identifiers (RFC 4122 version 4) for request ids.
#ifndef QUANTD_CLIENT_UUID_H_
#define QUANTD_CLIENT_UUID_H_

#include <string>

namespace quantd {

// 36 characters, "xxxxxxxx-xxxx-4xxx-yxxx-xxxxxxxxxxxx", from the system's
// entropy. Thread-safe.
std::string RandomUuid();

}  // namespace quantd

#endif  // QUANTD_CLIENT_UUID_H_
