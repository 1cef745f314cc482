// Quantities as people read them.
//
// Thread-safe: free functions over their arguments.
#ifndef QUANTD_CLIENT_HUMAN_TEXT_H_
#define QUANTD_CLIENT_HUMAN_TEXT_H_

#include <cstdint>
#include <string>

#include "absl/time/time.h"
#include "google/protobuf/timestamp.pb.h"

namespace quantd {

// "512 B", "1.5 KiB", "2.0 MiB".
std::string HumanBytes(uint64_t bytes);

// "812", "7.2 M", "6.7 B".
std::string HumanCount(uint64_t count);

// "0.4 s", "42 s", "3 m 05 s", "2 h 07 m".
std::string HumanSeconds(double seconds);

// "2026-01-31 12:00:05" in the local time zone; "-" when absent (zero).
std::string HumanTime(const google::protobuf::Timestamp& time);

// "120.3396", and with an error "120.3396 +/- 1.0234".
std::string HumanNumber(double value);
std::string HumanNumber(double value, double error);

// "3.25", "-" for 0 (not a compressed checkpoint).
std::string HumanBits(double bits_per_weight);

}  // namespace quantd

#endif  // QUANTD_CLIENT_HUMAN_TEXT_H_
