#include "client/sweep_jobs.h"

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "base/status_macros.h"
#include "client/job_progress.h"
#include "client/job_wait.h"

namespace quantd {
namespace {

constexpr absl::string_view kDivergence = "divergence/";
// What compares a model with the one that it was made from.
constexpr absl::string_view kComparing[] = {kDivergence, "attribution/"};

// The perplexity over the windows of such a metric; others as they are.
std::string PerplexityOf(const std::string& metric) {
  for (const absl::string_view prefix : kComparing) {
    absl::string_view convention = metric;
    if (absl::ConsumePrefix(&convention, prefix)) {
      return absl::StrCat("ppl/", convention);
    }
  }
  return metric;
}

void SetMetrics(const std::vector<std::string>& metrics,
                v1::EvaluateSpec* spec) {
  spec->clear_metrics();
  for (const std::string& metric : metrics) {
    if (std::find(spec->metrics().begin(), spec->metrics().end(), metric) ==
        spec->metrics().end()) {
      spec->add_metrics(metric);
    }
  }
}

// Errors of the connection, not of the request: those after it would fail too.
bool EndsEverything(const absl::Status& status) {
  return absl::IsUnavailable(status) || absl::IsCancelled(status) ||
         absl::IsDeadlineExceeded(status) || absl::IsUnauthenticated(status) ||
         absl::IsPermissionDenied(status);
}

std::string FailureText(const v1::Job& job) {
  std::string text = absl::StrCat(
      job.spec().has_quantize() ? "quantize" : "evaluate", " (", job.name(),
      ") ", job.state() == v1::CANCELLED ? "was cancelled" : "failed");
  if (!job.error().message().empty()) {
    absl::StrAppend(&text, ": ", job.error().message());
  } else if (!job.state_reason().empty()) {
    absl::StrAppend(&text, ": ", job.state_reason());
  }
  return text;
}

bool HasFailed(const std::optional<v1::Job>& job) {
  return job.has_value() && HasEnded(*job) && job->state() != v1::SUCCEEDED;
}

v1::JobSpec QuantizeSpecOf(const SweepDefinition& definition,
                           const SweepPoint& point) {
  v1::JobSpec spec = definition.common;
  v1::QuantizeSpec& quantize = *spec.mutable_quantize();
  quantize.set_model(definition.model);
  quantize.set_method(point.method);
  for (const std::string& assignment : point.set) quantize.add_set(assignment);
  if (definition.calibration.ByteSizeLong() > 0) {
    *quantize.mutable_calibration() = definition.calibration;
  }
  quantize.set_output_id(PointArtifactId(definition.name, point));
  return spec;
}

v1::JobSpec EvaluateSpecOf(const SweepDefinition& definition,
                           const v1::EvaluateSpec& scoring,
                           const std::string& target) {
  v1::JobSpec spec = definition.common;
  *spec.mutable_evaluate() = scoring;
  spec.mutable_evaluate()->set_target(target);
  return spec;
}

class Submission {
 public:
  Submission(Session& session, const SweepDefinition& definition,
             FailedJobs failed)
      : client_(session.client()), definition_(definition), failed_(failed) {}

  absl::StatusOr<std::vector<SweepEntry>> Run() {
    ASSIGN_OR_RETURN(std::vector<v1::Job> jobs, client_.ListJobs({}));
    for (v1::Job& job : jobs) {
      const auto label = job.spec().labels().find(kSweepLabel);
      if (label != job.spec().labels().end() &&
          label->second == definition_.name) {
        known_.push_back(std::move(job));
      }
    }
    std::vector<SweepEntry> entries(1);
    ASSIGN_OR_RETURN(
        entries[0].evaluate,
        Annotate(
            Submit(kOriginal,
                   EvaluateSpecOf(definition_, ScoringOfOriginal(definition_),
                                  definition_.model)),
            "the evaluation of ", definition_.model));
    for (const SweepPoint& point : definition_.points) {
      SweepEntry& entry = entries.emplace_back();
      entry.point = point;
      entry.status = SubmitPoint(&entry);
      if (EndsEverything(entry.status)) return entry.status;
    }
    return entries;
  }

 private:
  absl::Status SubmitPoint(SweepEntry* entry) {
    const std::string label = entry->point->Label();
    ASSIGN_OR_RETURN(entry->quantize,
                     Submit(label, QuantizeSpecOf(definition_, *entry->point)));
    ASSIGN_OR_RETURN(
        entry->evaluate,
        Submit(label, EvaluateSpecOf(definition_, ScoringOfPoints(definition_),
                                     entry->quantize->name())));
    return absl::OkStatus();
  }

  // The job of `spec` that is there already, or a new one.
  absl::StatusOr<v1::Job> Submit(const std::string& label, v1::JobSpec spec) {
    v1::JobSpec marked = spec;
    MarkAsPartOf(definition_.name, label, 0, &marked);
    const v1::Job* latest = nullptr;
    for (const v1::Job& job : known_) {
      if (IsSameTask(job.spec(), marked) &&
          (latest == nullptr ||
           RoundOf(job.spec()) > RoundOf(latest->spec()))) {
        latest = &job;
      }
    }
    int round = 0;
    if (latest != nullptr) {
      const bool is_retried =
          failed_ == FailedJobs::kRetry && HasFailed(*latest);
      if (!is_retried) {
        RETURN_IF_ERROR(CheckSame(*latest, marked));
        return *latest;
      }
      round = RoundOf(latest->spec()) + 1;
    }
    CreateJobOptions options;
    options.request_id = MarkAsPartOf(definition_.name, label, round, &spec);
    return client_.CreateJob(spec, options);
  }

  absl::Status CheckSame(const v1::Job& job, const v1::JobSpec& marked) const {
    const auto digest = job.spec().labels().find(kSpecLabel);
    if (digest != job.spec().labels().end() &&
        digest->second == marked.labels().at(kSpecLabel)) {
      return absl::OkStatus();
    }
    return absl::AlreadyExistsError(absl::StrCat(
        "sweep \"", definition_.name, "\" ran this point as ", job.name(),
        " with other options; give the same ones, or another --name"));
  }

  Client& client_;
  const SweepDefinition& definition_;
  const FailedJobs failed_;
  std::vector<v1::Job> known_;  // newest first
};

}  // namespace

v1::EvaluateSpec ScoringOfPoints(const SweepDefinition& definition) {
  const auto& asked = definition.scoring.metrics();
  std::vector<std::string> metrics;
  for (const std::string& metric : asked) {
    const bool comes_along =
        std::any_of(asked.begin(), asked.end(), [&](const std::string& other) {
          return absl::StartsWith(other, kDivergence) &&
                 PerplexityOf(other) == metric;
        });
    if (!comes_along) metrics.push_back(metric);
  }
  v1::EvaluateSpec scoring = definition.scoring;
  SetMetrics(metrics, &scoring);
  const bool measures =
      std::any_of(asked.begin(), asked.end(), [](const std::string& metric) {
        return absl::StartsWith(metric, "efficiency/");
      });
  // Metrics that compare have it as their default; speeds need to be told.
  if (measures) scoring.set_baseline(definition.model);
  return scoring;
}

v1::EvaluateSpec ScoringOfOriginal(const SweepDefinition& definition) {
  std::vector<std::string> metrics;
  for (const std::string& metric : definition.scoring.metrics()) {
    metrics.push_back(PerplexityOf(metric));
  }
  v1::EvaluateSpec scoring = definition.scoring;
  SetMetrics(metrics, &scoring);
  scoring.clear_attribution_granularity();
  scoring.clear_attribution_target_bits();
  return scoring;
}

std::string SweepEntry::label() const {
  return point.has_value() ? point->Label() : kOriginal;
}

std::string SweepEntry::failure() const {
  if (!status.ok()) return std::string(status.message());
  // The first cause: an evaluation fails with what it depends on.
  if (HasFailed(quantize)) return FailureText(*quantize);
  if (HasFailed(evaluate)) return FailureText(*evaluate);
  return "";
}

absl::StatusOr<std::vector<SweepEntry>> SubmitSweep(
    Session& session, const SweepDefinition& definition, FailedJobs failed) {
  return Submission(session, definition, failed).Run();
}

absl::StatusOr<std::vector<SweepEntry>> CheckSweep(
    Session& session, const SweepDefinition& definition) {
  CreateJobOptions check;
  check.validate_only = true;
  std::vector<SweepEntry> entries(1);
  ASSIGN_OR_RETURN(entries[0].evaluate,
                   session.client().CreateJob(
                       EvaluateSpecOf(definition, ScoringOfOriginal(definition),
                                      definition.model),
                       check));
  for (const SweepPoint& point : definition.points) {
    SweepEntry& entry = entries.emplace_back();
    entry.point = point;
    absl::StatusOr<v1::Job> job =
        session.client().CreateJob(QuantizeSpecOf(definition, point), check);
    entry.status = job.status();
    if (EndsEverything(entry.status)) return entry.status;
    if (job.ok()) entry.quantize = *std::move(job);
  }
  return entries;
}

absl::Status WaitForSweep(Session& session, std::vector<SweepEntry>* entries) {
  struct Pending {
    SweepEntry* entry;
    std::optional<v1::Job>* job;
  };
  std::vector<Pending> pending;
  for (SweepEntry& entry : *entries) {
    for (std::optional<v1::Job>* job : {&entry.quantize, &entry.evaluate}) {
      if (job->has_value()) pending.push_back({&entry, job});
    }
  }
  // In the order of submission, which is that of the queue. What ends out of
  // turn is found to have ended when its turn comes.
  for (size_t i = 0; i < pending.size(); ++i) {
    v1::Job& job = **pending[i].job;
    const std::string place = absl::StrCat(
        "[", i + 1, "/", pending.size(), "] ", pending[i].entry->label(), ": ",
        job.spec().has_quantize() ? "quantize" : "evaluate");
    if (!HasEnded(job)) {
      const auto progress = NewProgress(session);
      progress->Remark(absl::StrCat(place, " (", job.name(), ")"));
      ASSIGN_OR_RETURN(job, FollowJob(session, job.name(), 0, *progress));
    }
    if (job.state() != v1::SUCCEEDED) {
      NewProgress(session)->Remark(absl::StrCat(place, ": ", FailureText(job)));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<v1::Job>> CancelSweep(Client& client,
                                                 const std::string& name) {
  ASSIGN_OR_RETURN(const std::vector<v1::Job> jobs, client.ListJobs({}));
  std::vector<v1::Job> cancelled;
  bool any = false;
  // Newest first, so that an evaluation is cancelled before what it waits for
  // and is not reported as failed.
  for (const v1::Job& job : jobs) {
    const auto label = job.spec().labels().find(kSweepLabel);
    if (label == job.spec().labels().end() || label->second != name) continue;
    any = true;
    if (HasEnded(job)) continue;
    ASSIGN_OR_RETURN(v1::Job now, client.CancelJob(job.name()));
    cancelled.push_back(std::move(now));
  }
  if (!any) {
    return absl::NotFoundError(
        absl::StrCat("there are no jobs of a sweep \"", name, "\""));
  }
  return cancelled;
}

}  // namespace quantd
