// quantctl jobs list|show|watch|cancel|logs
#include <cmath>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/status_macros.h"
#include "client/command.h"
#include "client/forecast_text.h"
#include "client/human_text.h"
#include "client/job_progress.h"
#include "client/job_wait.h"
#include "client/table.h"

namespace quantd {
namespace {

// "quantize" and "llama (gptq)": what a job does and to what.
std::string KindText(const v1::JobSpec& spec) {
  switch (spec.kind_case()) {
    case v1::JobSpec::kQuantize:
      return "quantize";
    case v1::JobSpec::kEvaluate:
      return "evaluate";
    case v1::JobSpec::kExport:
      return "export";
    case v1::JobSpec::kSearch:
      return "search";
    case v1::JobSpec::kTrain:
      return "train";
    case v1::JobSpec::KIND_NOT_SET:
      break;
  }
  return "-";
}

std::string SubjectText(const v1::JobSpec& spec) {
  if (spec.has_quantize()) {
    const v1::QuantizeSpec& quantize = spec.quantize();
    return absl::StrCat(
        BareId(quantize.model()), " -> ",
        quantize.output_id().empty() ? "?" : quantize.output_id(), " (",
        quantize.has_recipe() ? quantize.recipe().name() : quantize.method(),
        ")");
  }
  if (spec.has_evaluate()) return BareId(spec.evaluate().target());
  return "-";
}

std::string ProgressText(const v1::Job& job) {
  if (job.state() != v1::RUNNING) return job.state_reason();
  return absl::StrCat(static_cast<int>(job.progress().fraction() * 100), " % ",
                      job.progress().phase());
}

// Counts and sizes whole, measurements with decimals.
std::string MetricText(double value) {
  const bool whole = std::floor(value) == value && std::fabs(value) < 1e15;
  return whole ? absl::StrFormat("%.0f", value) : HumanNumber(value);
}

class ListJobs : public Command {
 public:
  void Define(CLI::App& app) override {
    std::map<std::string, v1::JobState> names;
    const auto* states = v1::JobState_descriptor();
    for (int i = 1; i < states->value_count(); ++i) {
      names[states->value(i)->name()] =
          static_cast<v1::JobState>(states->value(i)->number());
    }
    app.add_option("--state", options_.states,
                   "Only jobs in this state; repeatable")
        ->type_name("STATE")
        ->allow_extra_args(false)
        ->transform(CLI::CheckedTransformer(names, CLI::ignore_case));
    app.add_option("--owner", options_.owner, "Only jobs of this owner")
        ->type_name("NAME");
    app.add_option("--limit", options_.limit,
                   "At most so many, newest first; 0 = all")
        ->type_name("N")
        ->check(CLI::NonNegativeNumber)
        ->capture_default_str();
  }

  absl::StatusOr<ExitCode> Run(Session& session) override {
    ASSIGN_OR_RETURN(const std::vector<v1::Job> jobs,
                     session.client().ListJobs(options_));
    Table table({"JOB", "KIND", "SUBJECT", "STATE", "PROGRESS", "CREATED"});
    for (const v1::Job& job : jobs) {
      if (session.json()) session.PrintJson(job);
      table.AddRow({BareId(job.name()), KindText(job.spec()),
                    SubjectText(job.spec()), session.StateText(job.state()),
                    ProgressText(job), HumanTime(job.create_time())});
    }
    if (!session.json()) session.out() << table.ToString();
    return ExitCode::kOk;
  }

 private:
  ListJobsOptions options_ = {.states = {}, .owner = "", .limit = 50};
};

class JobCommand : public Command {
 protected:
  void DefineJob(CLI::App& app, const char* help) {
    app.add_option("job", job_, help)->required()->type_name("JOB");
  }

  std::string job_;
};

class ShowJob : public JobCommand {
 public:
  void Define(CLI::App& app) override { DefineJob(app, "Job to show"); }

  absl::StatusOr<ExitCode> Run(Session& session) override {
    ASSIGN_OR_RETURN(const v1::Job job, session.client().GetJob(job_));
    if (session.json()) {
      session.PrintJson(job);
      return ExitCode::kOk;
    }
    Table table({"FIELD", "VALUE"});
    table.AddRow({"job", job.name()});
    table.AddRow({"kind", KindText(job.spec())});
    table.AddRow({"subject", SubjectText(job.spec())});
    table.AddRow({"state", session.StateText(job.state())});
    if (!job.state_reason().empty()) {
      table.AddRow({"reason", job.state_reason()});
    }
    if (job.has_error()) table.AddRow({"error", job.error().message()});
    table.AddRow({"attempt", absl::StrCat(job.attempt(), " of ",
                                          job.spec().max_attempts())});
    if (job.state() == v1::RUNNING) {
      table.AddRow({"progress", ProgressText(job)});
    }
    table.AddRow({"created", HumanTime(job.create_time())});
    table.AddRow({"started", HumanTime(job.start_time())});
    table.AddRow({"ended", HumanTime(job.end_time())});
    for (const std::string& warning : job.warnings()) {
      table.AddRow({"warning", warning});
    }
    for (const auto& [field, value] : ForecastRows(job)) {
      table.AddRow({field, value});
    }
    const v1::JobResult& result = job.result();
    if (!result.artifact().empty()) {
      table.AddRow({"artifact", result.artifact()});
    }
    if (!result.evaluation().empty()) {
      table.AddRow({"evaluation", result.evaluation()});
    }
    if (job.has_result()) {
      table.AddRow({"wall time", HumanSeconds(result.wall_seconds())});
      table.AddRow({"peak memory", HumanBytes(result.peak_memory_bytes())});
      const std::map<std::string, double> metrics(result.metrics().begin(),
                                                  result.metrics().end());
      for (const auto& [name, value] : metrics) {
        table.AddRow({name, MetricText(value)});
      }
    }
    session.out() << table.ToString();
    return ExitCode::kOk;
  }
};

class WatchJob : public JobCommand {
 public:
  void Define(CLI::App& app) override {
    DefineJob(app, "Job to follow until it has ended");
    app.add_option("--after-sequence", after_sequence_,
                   "Skip events up to this sequence number")
        ->type_name("N");
  }

  absl::StatusOr<ExitCode> Run(Session& session) override {
    std::unique_ptr<JobProgress> progress;
    if (session.json()) {
      progress = NewProgressJson(session.out());
    } else if (session.environment().out_is_terminal &&
               session.environment().err_is_terminal) {
      progress = NewProgress(session);
    } else {
      progress = NewProgressLines(session.out());
    }
    ASSIGN_OR_RETURN(const std::optional<v1::Job> job,
                     WaitForJob(session, ResourceName("jobs", job_),
                                after_sequence_, *progress));
    if (!job.has_value()) return ExitCode::kInterrupted;
    const ExitCode code = ExitCodeOf(*job);
    if (code != ExitCode::kOk && !session.json()) {
      ReportUnsuccessful(session, *job);
    }
    return code;
  }

 private:
  uint64_t after_sequence_ = 0;
};

class CancelJob : public JobCommand {
 public:
  void Define(CLI::App& app) override { DefineJob(app, "Job to cancel"); }

  absl::StatusOr<ExitCode> Run(Session& session) override {
    ASSIGN_OR_RETURN(const v1::Job job, session.client().CancelJob(job_));
    if (session.json()) {
      session.PrintJson(job);
    } else if (HasEnded(job) && job.state() != v1::CANCELLED) {
      session.Note(absl::StrCat(
          job.name(), " had already ended: ", v1::JobState_Name(job.state())));
    } else {
      session.Note(absl::StrCat(
          job.name(), ": ", HasEnded(job) ? "cancelled" : "being cancelled"));
    }
    return ExitCode::kOk;
  }
};

class JobLogs : public JobCommand {
 public:
  void Define(CLI::App& app) override {
    DefineJob(app, "Job whose worker's output to show");
    app.add_option("--attempt", attempt_, "Attempt; 0 = the latest")
        ->type_name("N");
    app.add_flag("-f,--follow", follow_, "Go on until the attempt is over");
  }

  absl::StatusOr<ExitCode> Run(Session& session) override {
    // New output is asked for at this interval: the call does not block.
    constexpr absl::Duration kPollInterval = absl::Milliseconds(300);
    Client& client = session.client();
    Interrupts::Handler on_interrupt(*session.environment().interrupts,
                                     [&client] { client.Cancel(); });
    uint64_t offset = 0;
    while (true) {
      const absl::StatusOr<v1::ReadJobLogResponse> piece =
          client.ReadJobLog(job_, attempt_, offset);
      if (on_interrupt.interrupted()) return ExitCode::kInterrupted;
      RETURN_IF_ERROR(piece.status());
      // Stays with the attempt it began with when a later one starts.
      attempt_ = piece->attempt();
      session.out() << piece->data() << std::flush;
      offset = piece->next_offset();
      if (piece->complete()) return ExitCode::kOk;
      if (!piece->data().empty()) continue;
      if (!follow_) return ExitCode::kOk;
      if (!client.Pause(kPollInterval)) return ExitCode::kInterrupted;
    }
  }

 private:
  uint32_t attempt_ = 0;
  bool follow_ = false;
};

}  // namespace

CommandGroup JobCommands() {
  return {
      "jobs",
      "Submitted work",
      {
          {"list", "List jobs, newest first", MakeCommand<ListJobs>},
          {"show", "Show one job", MakeCommand<ShowJob>},
          {"watch", "Follow a job until it has ended", MakeCommand<WatchJob>},
          {"cancel", "Cancel a job", MakeCommand<CancelJob>},
          {"logs", "Show the output of a job's worker", MakeCommand<JobLogs>},
      }};
}

}  // namespace quantd
