#include "client/job_wait.h"

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"

namespace quantd {

absl::StatusOr<v1::Job> FollowJob(Session& session, const std::string& name,
                                  uint64_t after_sequence,
                                  JobProgress& progress) {
  bool interruption_shown = false;
  WatchJobOptions options;
  options.after_sequence = after_sequence;
  options.on_response = [&](const v1::WatchJobResponse& response) {
    interruption_shown = false;
    progress.Show(response);
  };
  options.on_interruption = [&](const absl::Status& status) {
    if (interruption_shown) return;  // once per break, not per attempt
    interruption_shown = true;
    progress.Remark(absl::StrCat("connection lost, trying again: ",
                                 std::string(status.message())));
  };
  absl::StatusOr<v1::Job> job = session.client().WatchJob(name, options);
  progress.Finish();
  return Annotate(std::move(job), "waiting for ", name);
}

absl::StatusOr<std::optional<v1::Job>> WaitForJob(Session& session,
                                                  const std::string& name,
                                                  uint64_t after_sequence,
                                                  JobProgress& progress) {
  Client& client = session.client();
  Interrupts::Handler on_interrupt(*session.environment().interrupts,
                                   [&client] { client.Cancel(); });
  absl::StatusOr<v1::Job> job =
      FollowJob(session, name, after_sequence, progress);
  if (job.ok()) return std::optional<v1::Job>(*std::move(job));
  if (!on_interrupt.interrupted()) return job.status();
  const std::string id = BareId(name);
  session.Note(absl::StrCat("quantctl: no longer waiting; ", name, " goes on\n",
                            "  watch it:   quantctl jobs watch ", id, "\n",
                            "  cancel it:  quantctl jobs cancel ", id));
  return std::optional<v1::Job>();
}

Json OutcomeToJson(const v1::Job& job) {
  Json json = {{"job", job.name()}, {"state", v1::JobState_Name(job.state())}};
  if (!job.state_reason().empty()) json["state_reason"] = job.state_reason();
  if (job.has_error()) {
    json["error"] = {{"code", job.error().code()},
                     {"message", job.error().message()}};
  }
  const v1::JobResult& result = job.result();
  if (!result.artifact().empty()) json["artifact"] = result.artifact();
  if (!result.evaluation().empty()) json["evaluation"] = result.evaluation();
  if (job.state() == v1::SUCCEEDED) {
    json["wall_seconds"] = result.wall_seconds();
    json["peak_memory_bytes"] = result.peak_memory_bytes();
  }
  json["attempts"] = job.attempt();
  Json& warnings = json["warnings"] = Json::array();
  for (const std::string& warning : job.warnings()) {
    warnings.push_back(warning);
  }
  return json;
}

void ReportUnsuccessful(Session& session, const v1::Job& job) {
  if (session.json()) session.PrintJson(OutcomeToJson(job));
  std::string text =
      absl::StrCat(session.ErrColor(Color::kRed, "quantctl:"), " ", job.name(),
                   job.state() == v1::CANCELLED ? " was cancelled" : " failed");
  if (!job.error().message().empty()) {
    absl::StrAppend(&text, ": ", job.error().message());
  } else if (!job.state_reason().empty()) {
    absl::StrAppend(&text, ": ", job.state_reason());
  }
  session.err() << text << "\n";
  if (job.state() == v1::FAILED) {
    session.Note(absl::StrCat("hint: quantctl jobs logs ", BareId(job.name()),
                              " shows what its worker wrote"));
  }
}

}  // namespace quantd
