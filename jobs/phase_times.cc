#include "jobs/phase_times.h"

#include <algorithm>
#include <iterator>

#include "absl/strings/str_cat.h"

namespace quantd {

void PhaseTimes::Enter(absl::string_view phase, absl::Duration now) {
  if (std::find(std::begin(kPhases), std::end(kPhases), phase) ==
      std::end(kPhases)) {
    phase = "other";
  }
  if (phase == current_) return;
  End(now);
  current_ = std::string(phase);
  since_ = now;
}

void PhaseTimes::End(absl::Duration now) {
  if (!current_.empty()) spent_[current_] += now - since_;
  current_.clear();
}

void PhaseTimes::AddTo(
    google::protobuf::Map<std::string, double>* metrics) const {
  for (const auto& [phase, time] : spent_) {
    (*metrics)[absl::StrCat(kPhaseSecondsPrefix, phase)] =
        absl::ToDoubleSeconds(time);
  }
}

}  // namespace quantd
