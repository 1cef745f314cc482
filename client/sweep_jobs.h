// The jobs of a sweep: submitting them once, waiting for all, cancelling.
//
// A sweep is known to the server only by the labels of its jobs
// (sweep_plan.h). Submitting looks for those first and creates what is missing
// under request ids derived from the sweep's name and the point, so that a
// sweep which was interrupted anywhere goes on where it stopped, and two that
// run at once share their jobs.
//
// Confined to the command's thread.
#ifndef QUANTD_CLIENT_SWEEP_JOBS_H_
#define QUANTD_CLIENT_SWEEP_JOBS_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/session.h"
#include "client/sweep_plan.h"
#include "quantd/v1/job.pb.h"

namespace quantd {

struct SweepDefinition {
  std::string name;
  std::string model;  // "models/m"
  // What all jobs have: priority, threads and so on; no kind.
  v1::JobSpec common;
  // Of every quantize job.
  v1::Calibration calibration;
  // Of every evaluation; without target.
  v1::EvaluateSpec scoring;
  std::vector<SweepPoint> points;
};

// What the points are scored by: the definition's, less perplexities that a
// divergence brings along. Speeds are measured in turns with the model's.
v1::EvaluateSpec ScoringOfPoints(const SweepDefinition& definition);
// What the model itself is scored by: perplexities in place of what compares a
// model with its original, so that both have what is compared.
v1::EvaluateSpec ScoringOfOriginal(const SweepDefinition& definition);

// One point, or the model itself (without `point`), on its way.
struct SweepEntry {
  std::optional<SweepPoint> point;
  // As the server last told.
  std::optional<v1::Job> quantize, evaluate;
  // Why a job could not be submitted.
  absl::Status status;

  std::string label() const;
  // Empty while nothing went wrong.
  std::string failure() const;
};

enum class FailedJobs {
  kKeep,
  // Jobs of this sweep that failed or were cancelled are submitted anew.
  kRetry,
};

// The model first, then the points in order. A point that is refused has its
// status; an error only where going on makes no sense: the server is not there,
// or refuses the model itself.
absl::StatusOr<std::vector<SweepEntry>> SubmitSweep(
    Session& session, const SweepDefinition& definition, FailedJobs failed);

// Checks every quantize job and the model's evaluation without submitting
// anything; `quantize` and `evaluate` have no name, but a forecast.
absl::StatusOr<std::vector<SweepEntry>> CheckSweep(
    Session& session, const SweepDefinition& definition);

// Shows how the jobs get on until all have ended. Cancelled when the client
// was.
absl::Status WaitForSweep(Session& session, std::vector<SweepEntry>* entries);

// Cancels the jobs of the sweep that have not ended and returns them as they
// are then. NotFound when the server has no job of that sweep.
absl::StatusOr<std::vector<v1::Job>> CancelSweep(Client& client,
                                                 const std::string& name);

}  // namespace quantd

#endif  // QUANTD_CLIENT_SWEEP_JOBS_H_
