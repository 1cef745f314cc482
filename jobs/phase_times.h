// How long a run spent in each of its phases, told by its progress updates: a
// phase lasts from the first update that names it to the next that names
// another, and what comes before the first update belongs to none.
//
//   PhaseTimes times;
//   times.Enter("load", now);        // with every update
//   times.Enter("evaluate", now);
//   times.End(now);
//   times.AddTo(result.mutable_metrics());   // "phase_seconds.load", ...
//
// Thread-compatible.
#ifndef QUANTD_JOBS_PHASE_TIMES_H_
#define QUANTD_JOBS_PHASE_TIMES_H_

#include <map>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "google/protobuf/map.h"

namespace quantd {

// The phases that runs report (Progress.phase).
inline constexpr absl::string_view kPhases[] = {
    "load", "resume", "survey", "calibrate", "quantize", "write", "evaluate"};

// Keys of JobResult.metrics: this and the phase. Persisted.
inline constexpr absl::string_view kPhaseSecondsPrefix = "phase_seconds.";

class PhaseTimes {
 public:
  // `now` never goes back. A phase that is not in kPhases counts as "other".
  void Enter(absl::string_view phase, absl::Duration now);
  void End(absl::Duration now);

  void AddTo(google::protobuf::Map<std::string, double>* metrics) const;

 private:
  std::string current_;  // empty: none
  absl::Duration since_;
  std::map<std::string, absl::Duration> spent_;
};

}  // namespace quantd

#endif  // QUANTD_JOBS_PHASE_TIMES_H_
