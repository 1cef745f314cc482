// The time of the wire.
#ifndef QUANTD_SERVER_PROTO_TIME_H_
#define QUANTD_SERVER_PROTO_TIME_H_

#include "absl/time/clock.h"
#include "google/protobuf/timestamp.pb.h"
#include "google/protobuf/util/time_util.h"

namespace quantd {

inline google::protobuf::Timestamp TimestampNow() {
  return google::protobuf::util::TimeUtil::NanosecondsToTimestamp(
      absl::GetCurrentTimeNanos());
}

}  // namespace quantd

#endif  // QUANTD_SERVER_PROTO_TIME_H_
