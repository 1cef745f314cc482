// Whether a message can be sent.
#ifndef QUANTD_PROTO_MESSAGE_TEXT_H_
#define QUANTD_PROTO_MESSAGE_TEXT_H_

#include "absl/status/status.h"
#include "google/protobuf/message.h"

namespace quantd {

// Strings of messages are UTF-8: one that is not is written all the same, but
// its reader refuses the whole message and cannot say why. InvalidArgument as
// of InvalidField() names the first such string.
//
// Thread-safe: a free function of its argument.
absl::Status CheckStrings(const google::protobuf::Message& message);

}  // namespace quantd

#endif  // QUANTD_PROTO_MESSAGE_TEXT_H_
