// Messages as JSON for scripts. Unlike proto3's own mapping, 64-bit integers
// are numbers and fields without presence are always there, so that a script
// can rely on the keys; names are those of the .proto files.
//
// Thread-safe: free functions over their arguments.
#ifndef QUANTD_CLIENT_MESSAGE_JSON_H_
#define QUANTD_CLIENT_MESSAGE_JSON_H_

#include <string>

#include "google/protobuf/message.h"
#include "nlohmann/json.hpp"

namespace quantd {

using Json = nlohmann::ordered_json;

// Times as RFC 3339 in UTC, enums by name, bytes in base64, numbers that are
// not finite as null, absent messages and absent optional fields left out.
Json MessageToJson(const google::protobuf::Message& message);

// One line, without the end of line. Bytes that are not UTF-8 are replaced.
std::string ToLine(const Json& json);

}  // namespace quantd

#endif  // QUANTD_CLIENT_MESSAGE_JSON_H_
