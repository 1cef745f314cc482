// Ids of jobs: 26 lower-case characters of Crockford's base 32 (no i, l, o,
// u) that sort by creation time: 48 bits of milliseconds since 1970, then 80
// random bits. Within one generator every id is greater than the one before,
// also when the clock stands still or goes back.
#ifndef QUANTD_JOBS_JOB_ID_H_
#define QUANTD_JOBS_JOB_ID_H_

#include <array>
#include <cstdint>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace quantd {

// Thread-safe.
class JobIdGenerator {
 public:
  // Every id will be greater than `floor`, the greatest id in use; ignored
  // when it is no id. Keeps ids sorted across restarts.
  explicit JobIdGenerator(absl::string_view floor = "");

  std::string Next(absl::Time now) ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  absl::Mutex mutex_;
  // The last id: 6 bytes of time, 10 random bytes, most significant first.
  std::array<uint8_t, 16> last_ ABSL_GUARDED_BY(mutex_) = {};
};

// Whether `text` has the form of an id.
bool IsJobId(absl::string_view text);

// "jobs/{id}".
std::string JobName(absl::string_view id);

// The id in "jobs/{id}" or in a bare id. NotFound when `name` can be no job's
// name.
absl::StatusOr<std::string> JobIdOf(absl::string_view name);

// The 64 hexadecimal digits of 32 bytes from the system's random source: the
// secret of an attempt.
std::string NewAttemptToken();

// Whether two secrets are equal, in a time that depends on their lengths only.
bool SecretsEqual(absl::string_view a, absl::string_view b);

}  // namespace quantd

#endif  // QUANTD_JOBS_JOB_ID_H_
