#include "jobs/job_state.h"

#include <algorithm>

namespace quantd {
namespace {

constexpr JobTransition kTransitions[] = {
    {v1::JOB_STATE_UNSPECIFIED, v1::QUEUED, "submission"},
    {v1::QUEUED, v1::RUNNING, "a free slot"},
    {v1::QUEUED, v1::FAILED, "a dependency that failed"},
    {v1::QUEUED, v1::CANCELLED, "a client"},
    {v1::RUNNING, v1::QUEUED, "a lost attempt with attempts left"},
    {v1::RUNNING, v1::SUCCEEDED, "a published result"},
    {v1::RUNNING, v1::FAILED, "an error, or the last attempt lost"},
    {v1::RUNNING, v1::CANCELLED, "a client"},
};

}  // namespace

absl::Span<const JobTransition> JobTransitions() { return kTransitions; }

bool CanTransition(v1::JobState from, v1::JobState to) {
  return std::any_of(std::begin(kTransitions), std::end(kTransitions),
                     [&](const JobTransition& row) {
                       return row.from == from && row.to == to;
                     });
}

bool IsTerminal(v1::JobState state) {
  return std::none_of(
      std::begin(kTransitions), std::end(kTransitions),
      [&](const JobTransition& row) { return row.from == state; });
}

}  // namespace quantd
