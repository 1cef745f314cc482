#include "client/job_options.h"

#include <filesystem>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/byte_size.h"
#include "base/status_macros.h"
#include "client/forecast_text.h"
#include "client/job_wait.h"
#include "client/table.h"
#include "proto/field_rules.h"

namespace quantd {

std::string FieldHelp(const google::protobuf::Descriptor& type,
                      absl::string_view field) {
  for (const FieldDescription& description : DescribeFields(type)) {
    if (description.path != field) continue;
    std::string facts = description.range;
    if (!description.unit.empty()) {
      absl::StrAppend(&facts, facts.empty() ? "" : " ", description.unit);
    }
    if (!description.default_value.empty()) {
      absl::StrAppend(&facts, facts.empty() ? "" : "; ", "default ",
                      description.default_value);
    }
    return facts.empty() ? description.help
                         : absl::StrCat(description.help, " [", facts, "]");
  }
  return "";
}

void JobOptions::Define(CLI::App& app) {
  app.add_flag("--wait", wait_,
               "Wait until the job has ended; Ctrl-C stops the waiting, not "
               "the job");
  app.add_flag("--dry-run", dry_run_,
               "Check everything and forecast memory, disk and time; submit "
               "nothing (texts are still uploaded)");
  DefineSpec(app);
  app.add_option("--request-id", request_id_,
                 "Makes a repeated submission return the first job; without "
                 "it every call submits a new one")
      ->type_name("ID");
}

void JobOptions::DefineSpec(CLI::App& app) {
  const auto& spec = *v1::JobSpec::descriptor();
  app.add_option("--priority", priority_, FieldHelp(spec, "priority"))
      ->type_name("N");
  app.add_option("--owner", owner_, FieldHelp(spec, "owner"))
      ->type_name("NAME");
  app.add_option("--after", after_, FieldHelp(spec, "after"))
      ->type_name("JOB")
      ->allow_extra_args(false);
  app.add_option("--threads", threads_, FieldHelp(spec, "threads"))
      ->type_name("N");
  app.add_option("--memory", memory_,
                 absl::StrCat(FieldHelp(spec, "memory_bytes"),
                              ", for example 1500M or 8G"))
      ->type_name("SIZE")
      ->check([](const std::string& text) {
        const absl::Status status = ParseByteSize(text).status();
        return status.ok() ? "" : std::string(status.message());
      });
  app.add_option("--max-attempts", max_attempts_,
                 FieldHelp(spec, "max_attempts"))
      ->type_name("N");
  app.add_option("--compute-type", compute_type_,
                 FieldHelp(spec, "compute_type"))
      ->type_name("F32|F32_STRICT|BF16");
}

void JobOptions::Apply(v1::JobSpec* spec) const {
  if (priority_.has_value()) spec->set_priority(*priority_);
  if (threads_.has_value()) spec->set_threads(*threads_);
  if (!compute_type_.empty()) spec->set_compute_type(compute_type_);
  if (max_attempts_.has_value()) spec->set_max_attempts(*max_attempts_);
  // Checked when it was parsed.
  if (!memory_.empty()) spec->set_memory_bytes(*ParseByteSize(memory_));
  spec->set_owner(owner_);
  for (const std::string& job : after_) {
    spec->add_after(ResourceName("jobs", job));
  }
}

absl::StatusOr<std::optional<v1::Job>> JobOptions::Submit(
    Session& session, const v1::JobSpec& spec, ExitCode* code) const {
  CreateJobOptions options;
  options.request_id = request_id_;
  options.validate_only = dry_run_;
  ASSIGN_OR_RETURN(const v1::Job job,
                   session.client().CreateJob(spec, options));
  *code = ExitCode::kOk;
  if (dry_run_) {
    // The spec as the server would store it, every default written out.
    if (session.json()) {
      session.PrintJson(job);
    } else {
      session.Note("valid; nothing was submitted");
      session.out() << job.spec().DebugString();
      Table table({"FIELD", "VALUE"});
      const auto rows = ForecastRows(job);
      for (const auto& [field, value] : rows) table.AddRow({field, value});
      if (!rows.empty()) session.out() << "\n" << table.ToString();
    }
    return std::optional<v1::Job>();
  }
  if (!wait_) {
    if (session.json()) {
      session.PrintJson(job);
    } else {
      session.out() << job.name() << "\n";
      session.Note(
          absl::StrCat("hint: quantctl jobs watch ", BareId(job.name())));
    }
    return std::optional<v1::Job>();
  }
  const auto progress = NewProgress(session);
  if (!session.json()) session.Note(absl::StrCat(job.name(), ": submitted"));
  ASSIGN_OR_RETURN(std::optional<v1::Job> ended,
                   WaitForJob(session, job.name(), 0, *progress));
  if (!ended.has_value()) {
    *code = ExitCode::kInterrupted;
    return std::optional<v1::Job>();
  }
  *code = ExitCodeOf(*ended);
  if (*code == ExitCode::kOk) return ended;
  ReportUnsuccessful(session, *ended);
  return std::optional<v1::Job>();
}

absl::StatusOr<std::string> ResolveText(Session& session,
                                        const std::string& text) {
  std::error_code error;
  if (std::filesystem::exists(text, error)) {
    ASSIGN_OR_RETURN(const v1::Dataset dataset,
                     session.client().UploadDataset(text, ""));
    return dataset.name();
  }
  // No dataset has a slash or such an ending in its name by accident.
  const bool named = absl::StartsWith(text, "datasets/");
  if (!named &&
      (absl::StrContains(text, '/') || absl::EndsWith(text, ".txt"))) {
    return absl::NotFoundError(absl::StrCat(text, ": no such file"));
  }
  return ResourceName("datasets", text);
}

}  // namespace quantd
