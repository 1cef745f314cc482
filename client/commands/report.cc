// quantctl report: a model beside everything made from it, under one tag.
#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/status_macros.h"
#include "client/command.h"
#include "client/evaluation_json.h"
#include "client/human_text.h"
#include "client/table.h"

namespace quantd {
namespace {

struct Row {
  std::string name;    // "models/m" or "artifacts/a"
  std::string method;  // "original" for the model itself
  double bits_per_weight = 0;
  uint64_t size_bytes = 0;
  // Of the job that made it; absent for the model, or when the job is gone.
  std::optional<double> wall_seconds;
  // Absent when there is no evaluation under the tag.
  std::optional<v1::PerplexityReport> report;
  // From the model, over the same windows; absent when nobody measured it.
  std::optional<v1::DivergenceReport> divergence;
  std::string evaluation;
  std::optional<v1::Comparison> comparison;  // with the model
};

// The newest of `evaluations` (newest first) with the tag.
void FindReport(const std::vector<v1::Evaluation>& evaluations,
                const v1::PerplexityTag& tag, Row* row) {
  for (const v1::Evaluation& evaluation : evaluations) {
    for (const v1::PerplexityReport& report : evaluation.perplexities()) {
      if (SameTag(report.tag(), tag)) {
        row->report = report;
        row->evaluation = evaluation.name();
        return;
      }
    }
  }
}

// The newest divergence from `baseline` under the tag.
void FindDivergence(const std::vector<v1::Evaluation>& evaluations,
                    const v1::PerplexityTag& tag, const std::string& baseline,
                    Row* row) {
  for (const v1::Evaluation& evaluation : evaluations) {
    for (const v1::DivergenceReport& report : evaluation.divergences()) {
      if (report.baseline() == baseline && SameTag(report.tag(), tag)) {
        row->divergence = report;
        return;
      }
    }
  }
}

class Report : public Command {
 public:
  void Define(CLI::App& app) override {
    app.add_option("model", model_,
                   "Model to report on, with all artifacts made from it")
        ->required()
        ->type_name("MODEL");
    app.add_option("--metric", metric_,
                   "Use the model's latest evaluation of this metric, with any "
                   "window where it has no number (ppl/gptq); default: its "
                   "latest of any")
        ->type_name("METRIC");
  }

  absl::StatusOr<ExitCode> Run(Session& session) override {
    Client& client = session.client();
    ASSIGN_OR_RETURN(const v1::Model model, client.GetModel(model_));
    ASSIGN_OR_RETURN(const auto evaluations,
                     client.ListEvaluations(model.name()));
    ASSIGN_OR_RETURN(const v1::PerplexityTag tag, ChooseTag(evaluations));
    std::vector<Row> rows(1);
    rows[0].name = model.name();
    rows[0].method = "original";
    rows[0].size_bytes = model.size_bytes();
    if (model.parameters() > 0) {
      rows[0].bits_per_weight = 8.0 * static_cast<double>(model.size_bytes()) /
                                static_cast<double>(model.parameters());
    }
    FindReport(evaluations, tag, &rows[0]);
    ASSIGN_OR_RETURN(const auto artifacts, client.ListArtifacts());
    for (const v1::Artifact& artifact : artifacts) {
      if (artifact.source() != model.name()) continue;
      ASSIGN_OR_RETURN(Row row,
                       Describe(client, artifact, tag, rows[0].evaluation));
      rows.push_back(std::move(row));
    }
    // The model first, then from many bits to few.
    std::stable_sort(rows.begin() + 1, rows.end(),
                     [](const Row& a, const Row& b) {
                       return a.bits_per_weight > b.bits_per_weight;
                     });
    if (session.json()) {
      PrintJson(session, tag, rows);
    } else {
      Print(session, tag, rows);
    }
    return ExitCode::kOk;
  }

 private:
  absl::StatusOr<v1::PerplexityTag> ChooseTag(
      const std::vector<v1::Evaluation>& evaluations) const {
    for (const v1::Evaluation& evaluation : evaluations) {
      for (const v1::PerplexityReport& report : evaluation.perplexities()) {
        if (metric_.empty() || IsOfMetric(report.tag(), metric_)) {
          return report.tag();
        }
      }
    }
    return absl::NotFoundError(
        absl::StrCat("model ", BareId(model_), " has no evaluation",
                     metric_.empty() ? "" : absl::StrCat(" of ", metric_),
                     "; make one with quantctl evaluate ", BareId(model_)));
  }

  static absl::StatusOr<Row> Describe(Client& client,
                                      const v1::Artifact& artifact,
                                      const v1::PerplexityTag& tag,
                                      const std::string& baseline) {
    Row row;
    row.name = artifact.name();
    row.method = artifact.recipe();
    row.bits_per_weight = artifact.bits_per_weight();
    row.size_bytes = artifact.size_bytes();
    const absl::StatusOr<v1::Job> job = client.GetJob(artifact.job());
    if (job.ok()) {
      row.wall_seconds = job->result().wall_seconds();
    } else if (!absl::IsNotFound(job.status())) {
      return job.status();
    }
    ASSIGN_OR_RETURN(const auto evaluations,
                     client.ListEvaluations(artifact.name()));
    FindReport(evaluations, tag, &row);
    FindDivergence(evaluations, tag, artifact.source(), &row);
    if (row.report.has_value()) {
      v1::CompareEvaluationsRequest request;
      request.set_baseline(baseline);
      request.set_candidate(row.evaluation);
      ASSIGN_OR_RETURN(row.comparison, client.CompareEvaluations(request));
    }
    return row;
  }

  static void PrintJson(Session& session, const v1::PerplexityTag& tag,
                        const std::vector<Row>& rows) {
    Json json = {{"tag", TagToJson(tag)}};
    Json& list = json["rows"] = Json::array();
    for (const Row& row : rows) {
      Json entry = {{"name", row.name},
                    {"method", row.method},
                    {"bits_per_weight", row.bits_per_weight},
                    {"size_bytes", row.size_bytes}};
      if (row.wall_seconds.has_value()) {
        entry["wall_seconds"] = *row.wall_seconds;
      }
      if (row.report.has_value()) {
        entry["evaluation"] = row.evaluation;
        entry["perplexity"] = row.report->perplexity();
        entry["perplexity_error_iid"] = row.report->error_iid();
        entry["perplexity_error_clustered"] = row.report->error_clustered();
      }
      if (row.comparison.has_value()) {
        entry["ratio"] = row.comparison->ratio();
        entry["ratio_error"] = row.comparison->ratio_error();
      }
      if (row.divergence.has_value()) {
        const v1::Estimate& kl = row.divergence->kl().mean();
        entry["mean_kl"] = kl.mean();
        entry["mean_kl_error"] = kl.error_clustered();
        entry["top1_agreement"] = row.divergence->top1_agreement().mean();
      }
      list.push_back(std::move(entry));
    }
    session.PrintJson(json);
  }

  static void Print(Session& session, const v1::PerplexityTag& tag,
                    const std::vector<Row>& rows) {
    Table table({"NAME", "METHOD", "BITS/WEIGHT", "SIZE", "PERPLEXITY",
                 "RATIO TO ORIGINAL", "MEAN KL", "SAME TOP", "WALL TIME"},
                {Align::kLeft, Align::kLeft, Align::kRight, Align::kRight,
                 Align::kRight, Align::kRight, Align::kRight, Align::kRight,
                 Align::kRight});
    for (const Row& row : rows) {
      table.AddRow(
          {BareId(row.name), row.method, HumanBits(row.bits_per_weight),
           HumanBytes(row.size_bytes),
           row.report.has_value() ? HumanNumber(row.report->perplexity(),
                                                row.report->error_clustered())
                                  : "-",
           row.comparison.has_value()
               ? HumanNumber(row.comparison->ratio(),
                             row.comparison->ratio_error())
               : "-",
           row.divergence.has_value()
               ? absl::StrFormat("%.4g +/- %.2g",
                                 row.divergence->kl().mean().mean(),
                                 row.divergence->kl().mean().error_clustered())
               : "-",
           row.divergence.has_value()
               ? absl::StrFormat("%.2f %%",
                                 100 * row.divergence->top1_agreement().mean())
               : "-",
           row.wall_seconds.has_value() ? HumanSeconds(*row.wall_seconds)
                                        : "-"});
    }
    session.out() << table.ToString() << "tag: " << TagText(tag) << "\n";
  }

  std::string model_, metric_;
};

}  // namespace

CommandGroup ReportCommands() {
  return {
      "",
      "",
      {{"report", "A model and everything made from it, measured under one tag",
        MakeCommand<Report>}}};
}

}  // namespace quantd
