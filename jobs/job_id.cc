#include "jobs/job_id.h"

#include <sys/random.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace quantd {
namespace {

constexpr absl::string_view kAlphabet = "0123456789abcdefghjkmnpqrstvwxyz";
constexpr size_t kIdLength = 26;
constexpr size_t kBytes = 16;
constexpr size_t kTimeBytes = 6;

using IdBytes = std::array<uint8_t, kBytes>;

// The kernel's generator cannot fail for such sizes once it is seeded; a
// server without randomness must not hand out guessable secrets.
void FillRandom(uint8_t* bytes, size_t size) {
  while (size > 0) {
    const ssize_t got = ::getrandom(bytes, size, 0);
    if (got < 0) {
      if (errno == EINTR) continue;
      std::abort();
    }
    bytes += got;
    size -= static_cast<size_t>(got);
  }
}

// 128 bits are 26 digits of 5 bits with two leading zero bits.
std::string Encode(const IdBytes& bytes) {
  std::string text(kIdLength, '0');
  uint32_t buffer = 0;
  int bits = 2;
  size_t position = 0;
  for (uint8_t byte : bytes) {
    buffer = (buffer << 8) | byte;
    bits += 8;
    while (bits >= 5) {
      bits -= 5;
      text[position++] = kAlphabet[(buffer >> bits) & 31];
    }
  }
  return text;
}

IdBytes Decode(absl::string_view text) {
  IdBytes bytes = {};
  uint32_t buffer = 0;
  int bits = -2;
  size_t position = 0;
  for (char c : text) {
    buffer = (buffer << 5) | static_cast<uint32_t>(kAlphabet.find(c));
    bits += 5;
    if (bits >= 8) {
      bits -= 8;
      bytes[position++] = static_cast<uint8_t>(buffer >> bits);
    }
  }
  return bytes;
}

}  // namespace

JobIdGenerator::JobIdGenerator(absl::string_view floor) {
  if (IsJobId(floor)) last_ = Decode(floor);
}

std::string JobIdGenerator::Next(absl::Time now) {
  IdBytes next;
  uint64_t millis =
      static_cast<uint64_t>(std::max<int64_t>(0, absl::ToUnixMillis(now)));
  for (size_t i = kTimeBytes; i-- > 0; millis >>= 8) {
    next[i] = static_cast<uint8_t>(millis);
  }
  FillRandom(next.data() + kTimeBytes, kBytes - kTimeBytes);
  absl::MutexLock lock(&mutex_);
  if (!(last_ < next) ||
      std::equal(next.begin(), next.begin() + kTimeBytes, last_.begin())) {
    // Same millisecond, or a clock that went back: count up from the last id.
    next = last_;
    for (size_t i = kBytes; i-- > 0;) {
      if (++next[i] != 0) break;
    }
  }
  last_ = next;
  return Encode(next);
}

bool IsJobId(absl::string_view text) {
  return text.size() == kIdLength && text[0] <= '7' &&
         std::all_of(text.begin(), text.end(), [](char c) {
           return kAlphabet.find(c) != absl::string_view::npos;
         });
}

std::string JobName(absl::string_view id) { return absl::StrCat("jobs/", id); }

absl::StatusOr<std::string> JobIdOf(absl::string_view name) {
  absl::string_view id = absl::StripPrefix(name, "jobs/");
  if (!IsJobId(id)) {
    return absl::NotFoundError(absl::StrCat("no job named \"", name, "\""));
  }
  return std::string(id);
}

std::string NewAttemptToken() {
  std::string bytes(32, '\0');
  FillRandom(reinterpret_cast<uint8_t*>(bytes.data()), bytes.size());
  return absl::BytesToHexString(bytes);
}

bool SecretsEqual(absl::string_view a, absl::string_view b) {
  if (a.size() != b.size()) return false;
  // volatile keeps the compiler from leaving the loop early.
  volatile uint8_t difference = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    difference = difference | static_cast<uint8_t>(a[i] ^ b[i]);
  }
  return difference == 0;
}

}  // namespace quantd
