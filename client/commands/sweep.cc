// quantctl sweep
#include <algorithm>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/sha256.h"
#include "base/status_macros.h"
#include "client/calibration_options.h"
#include "client/command.h"
#include "client/human_text.h"
#include "client/job_options.h"
#include "client/scoring_options.h"
#include "client/sweep_cost.h"
#include "client/sweep_jobs.h"
#include "client/sweep_json.h"
#include "client/sweep_plan.h"
#include "client/sweep_report.h"
#include "client/sweep_result.h"
#include "client/table.h"
#include "proto/field_rules.h"

namespace quantd {
namespace {

constexpr char kHelp[] =
    "Points are --method x --bits x --set, and every --point. A key that is\n"
    "given to --set several times makes a point of each value.\n"
    "\n"
    "  quantctl sweep demo --method rtn --method gptq --bits 2,3,4 \\\n"
    "      --set group_size=64 --set group_size=128 \\\n"
    "      --calibration calibration.txt --text eval.txt \\\n"
    "      --metric divergence/gptq-512 --output demo-sweep\n"
    "\n"
    "The same command again goes on where it stopped, and submits nothing\n"
    "twice. Options of every command and exit codes: quantctl --help\n";

class Sweep : public Command {
 public:
  void Define(CLI::App& app) override {
    app_ = &app;
    app.add_option("model", model_, "Model to compress")
        ->required()
        ->type_name("MODEL");
    app.add_option("--method", grid_.methods,
                   "Method of the grid; repeatable. See quantctl methods list")
        ->type_name("METHOD")
        ->allow_extra_args(false);
    app.add_option("--bits", grid_.bits,
                   "Values of the methods' option bits, as 2,3,4")
        ->type_name("N,...")
        ->delimiter(',')
        ->allow_extra_args(false);
    app.add_option("--set", grid_.set,
                   "Change of an option in all points of the grid; repeatable, "
                   "a point for each value of a key")
        ->type_name("KEY=VALUE")
        ->allow_extra_args(false);
    app.add_option("--point", grid_.points,
                   "A point beside the grid: a method and its changes, as "
                   "\"gptq bits=3 group_size=64\"; repeatable")
        ->type_name("POINT")
        ->allow_extra_args(false);
    app.add_option("--name", name_,
                   "Name of the sweep, and beginning of its artifacts' names; "
                   "default: made from the model and what is asked for")
        ->type_name("NAME");
    calibration_options_.Define(app);
    scoring_options_.Define(app);
    const auto& request = *v1::CompareEvaluationsRequest::descriptor();
    app.add_option("--margin", margin_, FieldHelp(request, "margin"))
        ->type_name("X");
    app.add_option("--perplexity-margin", perplexity_margin_,
                   FieldHelp(request, "perplexity_margin"))
        ->type_name("X");
    app.add_option("--alpha", alpha_, FieldHelp(request, "alpha"))
        ->type_name("X");
    app.add_flag("--two-sided", two_sided_, FieldHelp(request, "two_sided"));
    std::vector<std::string> costs;
    for (const SweepCostRow& cost : SweepCosts()) costs.push_back(cost.name);
    app.add_option("--cost", costs_,
                   absl::StrCat("Rank every loss by this cost; repeatable. ",
                                absl::StrJoin(costs, ", "),
                                ". Speeds and memory need a metric "
                                "efficiency/...; default: bits_per_weight, and "
                                "of KLs size_bytes, speeds beside the "
                                "original's, and loaded_bytes"))
        ->type_name("COST")
        ->allow_extra_args(false);
    app.add_option("--cost-margin", ranking_.cost_margin,
                   "Share by which a speed or a memory may be worse and still "
                   "count as equal")
        ->type_name("X")
        ->check(CLI::Range(0.0, 0.9))
        ->capture_default_str();
    app.add_option("--output", output_,
                   "Folder for sweep.json, sweep.md and plots of the fronts")
        ->type_name("DIR");
    auto* no_wait = app.add_flag(
        "--wait,!--no-wait", wait_,
        "Wait for all jobs and show the result, which is the default; "
        "--no-wait only submits them");
    auto* dry_run = app.add_flag("--dry-run", dry_run_,
                                 "Check and forecast every point; submit "
                                 "nothing (texts are still uploaded)");
    app.add_flag("--retry-failed", retry_failed_,
                 "Submit jobs of the sweep that failed or were cancelled anew");
    auto* cancel = app.add_flag(
        "--cancel", cancel_,
        "Cancel the jobs of this sweep (or of the one --name says)");
    cancel->excludes(no_wait)->excludes(dry_run);
    job_options_.DefineSpec(app);
    app.footer(kHelp);
  }

  absl::StatusOr<ExitCode> Run(Session& session) override {
    if (cancel_ && !name_.empty()) return Cancel(session, name_);
    SweepDefinition definition;
    RETURN_IF_ERROR(Describe(session, &definition));
    if (cancel_) return Cancel(session, definition.name);
    if (dry_run_) return Check(session, definition);
    Client& client = session.client();
    Interrupts::Handler on_interrupt(*session.environment().interrupts,
                                     [&client] { client.Cancel(); });
    const absl::StatusOr<ExitCode> code = Execute(session, definition);
    if (code.ok() || !on_interrupt.interrupted()) return code;
    SayHowToGoOn(session, definition);
    return ExitCode::kInterrupted;
  }

 private:
  absl::Status Describe(Session& session, SweepDefinition* definition) {
    definition->model = ResourceName("models", model_);
    ASSIGN_OR_RETURN(definition->points, ExpandSweep(grid_));
    RETURN_IF_ERROR(CheckPoints(session.client(), definition->points));
    job_options_.Apply(&definition->common);
    v1::QuantizeSpec calibrated;
    RETURN_IF_ERROR(calibration_options_.Apply(session, &calibrated));
    definition->calibration = calibrated.calibration();
    RETURN_IF_ERROR(scoring_options_.Apply(session, &definition->scoring));
    RETURN_IF_ERROR(ReadCosts(definition->scoring));
    definition->name = name_.empty() ? DefaultName(*definition) : name_;
    // It begins the artifacts' names, so it must be one.
    v1::QuantizeSpec named;
    named.set_model(definition->model);
    named.set_output_id(definition->name);
    return Annotate(Validate(named), "--name");
  }

  // InvalidArgument for a cost that there is not, or that nothing measures.
  absl::Status ReadCosts(const v1::EvaluateSpec& scoring) {
    const bool measures =
        std::any_of(scoring.metrics().begin(), scoring.metrics().end(),
                    [](const std::string& metric) {
                      return absl::StartsWith(metric, "efficiency/");
                    });
    for (const std::string& name : costs_) {
      ASSIGN_OR_RETURN(const SweepCostKind kind,
                       Annotate(ParseSweepCost(name), "--cost"));
      if (CostRowOf(kind).measured != nullptr && !measures) {
        return absl::InvalidArgumentError(
            absl::StrCat("--cost ", name,
                         " needs a measurement: add --metric "
                         "efficiency/pp512-tg128"));
      }
      if (std::find(ranking_.costs.begin(), ranking_.costs.end(), kind) ==
          ranking_.costs.end()) {
        ranking_.costs.push_back(kind);
      }
    }
    return absl::OkStatus();
  }

  // Before anything is submitted: a setting that a method does not have is a
  // mistake in the command, not a point that fails.
  static absl::Status CheckPoints(Client& client,
                                  const std::vector<SweepPoint>& points) {
    std::vector<v1::Recipe> recipes;
    for (const SweepPoint& point : points) {
      const v1::Recipe* recipe = nullptr;
      for (const v1::Recipe& known : recipes) {
        if (known.name() == point.method) recipe = &known;
      }
      if (recipe == nullptr) {
        ASSIGN_OR_RETURN(v1::Recipe fetched, client.GetRecipe(point.method));
        recipe = &recipes.emplace_back(std::move(fetched));
      }
      RETURN_IF_ERROR(CheckPoint(*recipe, point));
    }
    return absl::OkStatus();
  }

  // Equal for the same sweep, so that it finds its jobs again.
  static std::string DefaultName(const SweepDefinition& definition) {
    v1::JobSpec scored = definition.common;
    *scored.mutable_evaluate() = definition.scoring;
    v1::JobSpec quantized;
    quantized.mutable_quantize()->set_model(definition.model);
    *quantized.mutable_quantize()->mutable_calibration() =
        definition.calibration;
    std::string text = absl::StrCat(SpecDigest(scored), SpecDigest(quantized));
    for (const SweepPoint& point : definition.points) {
      absl::StrAppend(&text, "\n", point.Label());
    }
    return absl::StrCat(BareId(definition.model).substr(0, 40), "-sweep-",
                        Sha256Hex(text).substr(0, 8));
  }

  absl::StatusOr<ExitCode> Execute(Session& session,
                                   const SweepDefinition& definition) const {
    ASSIGN_OR_RETURN(
        std::vector<SweepEntry> entries,
        SubmitSweep(session, definition,
                    retry_failed_ ? FailedJobs::kRetry : FailedJobs::kKeep));
    session.Note(absl::StrCat("sweep ", definition.name, ": ",
                              definition.points.size(), " points of ",
                              definition.model));
    for (const SweepEntry& entry : entries) {
      if (!entry.status.ok()) {
        session.err() << session.ErrColor(Color::kRed, "quantctl:") << " "
                      << entry.label() << ": " << entry.status.message()
                      << "\n";
      }
    }
    if (!wait_) {
      PrintJobs(session, definition, entries);
      return CodeOf(entries);
    }
    RETURN_IF_ERROR(WaitForSweep(session, &entries));
    ASSIGN_OR_RETURN(
        SweepResult result,
        CollectSweep(session.client(), definition, entries, Terms(), ranking_));
    result.command = CommandText(definition.name);
    if (!output_.empty()) {
      ASSIGN_OR_RETURN(const std::vector<std::string> paths,
                       WriteSweep(result, output_));
      session.Note(absl::StrCat("written: ", absl::StrJoin(paths, ", ")));
    }
    Print(session, result);
    const bool any_failure =
        std::any_of(result.rows.begin(), result.rows.end(),
                    [](const SweepRow& row) { return !row.failure.empty(); });
    return any_failure ? ExitCode::kJobFailed : ExitCode::kOk;
  }

  v1::CompareEvaluationsRequest Terms() const {
    v1::CompareEvaluationsRequest terms;
    if (margin_.has_value()) terms.set_margin(*margin_);
    if (perplexity_margin_.has_value()) {
      terms.set_perplexity_margin(*perplexity_margin_);
    }
    if (alpha_.has_value()) terms.set_alpha(*alpha_);
    terms.set_two_sided(two_sided_);
    return terms;
  }

  // The command that makes this result again, from the options it was parsed
  // into; those that only say what to do with the result are left out.
  std::string CommandText(const std::string& name) const {
    std::string text = absl::StrCat("quantctl sweep ", ShellQuoted(model_));
    for (const CLI::Option* option : app_->get_options()) {
      if (option->count() == 0 || option->get_positional() ||
          option->get_lnames().empty()) {
        continue;
      }
      const std::string& word = option->get_lnames()[0];
      if (word == "output" || word == "name" || word == "wait" ||
          word == "no-wait" || word == "retry-failed") {
        continue;
      }
      if (option->get_items_expected_max() == 0) {
        absl::StrAppend(&text, " --", word);
        continue;
      }
      for (const std::string& value : option->results()) {
        absl::StrAppend(&text, " --", word, " ", ShellQuoted(value));
      }
    }
    return absl::StrCat(text, " --name ", ShellQuoted(name));
  }

  static ExitCode CodeOf(const std::vector<SweepEntry>& entries) {
    for (const SweepEntry& entry : entries) {
      if (!entry.failure().empty()) return ExitCode::kJobFailed;
    }
    return ExitCode::kOk;
  }

  static void PrintJobs(Session& session, const SweepDefinition& definition,
                        const std::vector<SweepEntry>& entries) {
    Table table({"POINT", "QUANTIZE", "EVALUATE", "STATE"});
    Json json = {{"name", definition.name}, {"model", definition.model}};
    Json& points = json["points"] = Json::array();
    const auto name_of = [](const std::optional<v1::Job>& job) {
      return job.has_value() ? job->name() : "";
    };
    for (const SweepEntry& entry : entries) {
      const std::string failure = entry.failure();
      const std::string state =
          !failure.empty() ? "FAILED"
                           : v1::JobState_Name(entry.evaluate->state());
      table.AddRow({entry.label(), name_of(entry.quantize),
                    name_of(entry.evaluate), state});
      Json point = {{"point", entry.label()},
                    {"quantize_job", name_of(entry.quantize)},
                    {"evaluate_job", name_of(entry.evaluate)},
                    {"state", state}};
      if (!failure.empty()) point["failure"] = failure;
      points.push_back(std::move(point));
    }
    if (session.json()) return session.PrintJson(json);
    session.out() << table.ToString();
    session.Note("hint: the same command without --no-wait shows the result");
  }

  static void Print(Session& session, const SweepResult& result) {
    if (session.json()) return session.PrintJson(SweepToJson(result));
    bool is_first = true;
    for (const TitledTable& table : SweepTables(result)) {
      if (!is_first) session.out() << "\n";
      is_first = false;
      session.out() << session.OutColor(Color::kBold, table.title) << "\n"
                    << table.table.ToString();
    }
  }

  // Every point as it would be submitted, with what it would need.
  static absl::StatusOr<ExitCode> Check(Session& session,
                                        const SweepDefinition& definition) {
    ASSIGN_OR_RETURN(const std::vector<SweepEntry> entries,
                     CheckSweep(session, definition));
    Table table({"POINT", "ARTIFACT", "FORECAST MEMORY", "FORECAST TIME",
                 "REFUSED BECAUSE"},
                {Align::kLeft, Align::kLeft, Align::kRight, Align::kRight});
    ExitCode code = ExitCode::kOk;
    for (const SweepEntry& entry : entries) {
      const std::optional<v1::Job>& job =
          entry.point.has_value() ? entry.quantize : entry.evaluate;
      const std::string artifact =
          entry.point.has_value()
              ? PointArtifactId(definition.name, *entry.point)
              : "";
      if (!entry.status.ok()) code = ExitCode::kInvalidArgument;
      if (session.json()) {
        Json json = {{"point", entry.label()}, {"artifact", artifact}};
        if (job.has_value()) json["job"] = MessageToJson(*job);
        if (!entry.status.ok()) {
          json["failure"] = std::string(entry.status.message());
        }
        session.PrintJson(json);
      }
      const bool is_known = job.has_value() && job->has_forecast();
      table.AddRow(
          {entry.label(), artifact,
           is_known ? HumanBytes(job->forecast().peak_memory_bytes()) : "-",
           is_known ? HumanSeconds(job->forecast().seconds()) : "-",
           std::string(entry.status.message())});
    }
    if (!session.json()) session.out() << table.ToString();
    session.Note("nothing was submitted");
    return code;
  }

  static absl::StatusOr<ExitCode> Cancel(Session& session,
                                         const std::string& name) {
    ASSIGN_OR_RETURN(const std::vector<v1::Job> jobs,
                     CancelSweep(session.client(), name));
    for (const v1::Job& job : jobs) {
      if (session.json()) {
        session.PrintJson(job);
      } else {
        session.out() << job.name() << "\n";
      }
    }
    session.Note(
        jobs.empty()
            ? absl::StrCat("all jobs of sweep ", name, " had already ended")
            : absl::StrCat("cancelled ", jobs.size(), " jobs of sweep ", name));
    return ExitCode::kOk;
  }

  void SayHowToGoOn(Session& session, const SweepDefinition& definition) const {
    session.Note(absl::StrCat(
        "quantctl: no longer waiting; what was submitted of sweep ",
        definition.name, " goes on\n",
        "  see the result:  the same command again\n",
        "  cancel it:       quantctl sweep ", ShellQuoted(model_), " --name ",
        ShellQuoted(definition.name), " --cancel"));
  }

  const CLI::App* app_ = nullptr;
  std::string model_, name_, output_;
  SweepGrid grid_;
  std::optional<double> margin_, perplexity_margin_, alpha_;
  std::vector<std::string> costs_;
  SweepRanking ranking_;
  bool two_sided_ = false;
  bool wait_ = true;
  bool dry_run_ = false;
  bool retry_failed_ = false;
  bool cancel_ = false;
  CalibrationOptions calibration_options_;
  ScoringOptions scoring_options_;
  JobOptions job_options_;
};

}  // namespace

CommandGroup SweepCommands() {
  return {"",
          "",
          {{"sweep", "Compress a model in many ways and rank them",
            MakeCommand<Sweep>}}};
}

}  // namespace quantd
