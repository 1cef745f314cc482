// quantctl compare
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "client/command.h"
#include "client/evaluation_json.h"
#include "client/evaluation_text.h"
#include "client/human_text.h"
#include "client/table.h"

namespace quantd {
namespace {

bool ShareTag(const v1::Evaluation& a, const v1::Evaluation& b) {
  for (const auto& x : a.perplexities()) {
    for (const auto& y : b.perplexities()) {
      if (SameTag(x.tag(), y.tag())) return true;
    }
  }
  return false;
}

std::string Tags(const std::vector<v1::Evaluation>& evaluations) {
  std::string text;
  for (const v1::Evaluation& evaluation : evaluations) {
    for (const auto& report : evaluation.perplexities()) {
      absl::StrAppend(&text, "\n    ", TagText(report.tag()));
    }
  }
  return text;
}

// The newest candidate that some baseline has the tag of, and the newest such
// baseline. Both lists are newest first.
absl::StatusOr<std::pair<std::string, std::string>> Pair(
    const std::string& baseline_name,
    const std::vector<v1::Evaluation>& baselines,
    const std::string& candidate_name,
    const std::vector<v1::Evaluation>& candidates) {
  for (const v1::Evaluation& candidate : candidates) {
    for (const v1::Evaluation& baseline : baselines) {
      if (ShareTag(baseline, candidate)) {
        return std::make_pair(baseline.name(), candidate.name());
      }
    }
  }
  return absl::FailedPreconditionError(absl::StrCat(
      "no evaluations of ", baseline_name, " and ", candidate_name,
      " have the same tag, and only those are comparable\n  ", baseline_name,
      ":", Tags(baselines), "\n  ", candidate_name, ":", Tags(candidates)));
}

class Compare : public Command {
 public:
  void Define(CLI::App& app) override {
    app.add_option("baseline", baseline_,
                   "Model, artifact or evaluation to compare with")
        ->required()
        ->type_name("TARGET");
    app.add_option("candidate", candidate_,
                   "Model, artifact or evaluation that is compared")
        ->required()
        ->type_name("TARGET");
  }

  absl::StatusOr<ExitCode> Run(Session& session) override {
    Client& client = session.client();
    ASSIGN_OR_RETURN(const auto baselines, EvaluationsOf(client, baseline_));
    ASSIGN_OR_RETURN(const auto candidates, EvaluationsOf(client, candidate_));
    ASSIGN_OR_RETURN(const auto pair,
                     Pair(baseline_, baselines, candidate_, candidates));
    ASSIGN_OR_RETURN(const v1::Comparison comparison,
                     client.CompareEvaluations(pair.first, pair.second));
    Print(session, comparison);
    return ExitCode::kOk;
  }

 private:
  void Print(Session& session, const v1::Comparison& comparison) const {
    if (session.json()) {
      Json json = MessageToJson(comparison);
      json["tag"] = TagToJson(comparison.tag());
      return session.PrintJson(json);
    }
    Table table({"", "EVALUATION", "PERPLEXITY"},
                {Align::kLeft, Align::kLeft, Align::kRight});
    table.AddRow({baseline_, comparison.baseline(),
                  HumanNumber(comparison.baseline_perplexity())});
    table.AddRow({candidate_, comparison.candidate(),
                  HumanNumber(comparison.candidate_perplexity())});
    session.out() << table.ToString() << "\n"
                  << "ratio      "
                  << HumanNumber(comparison.ratio(), comparison.ratio_error())
                  << "\n"
                  << "ln(ratio)  "
                  << HumanNumber(comparison.log_ratio(),
                                 comparison.log_ratio_error())
                  << "\n"
                  << "tag        " << TagText(comparison.tag()) << "\n";
  }

  std::string baseline_, candidate_;
};

}  // namespace

CommandGroup CompareCommands() {
  return {"",
          "",
          {{"compare", "Compare two evaluations of one tag, window by window",
            MakeCommand<Compare>}}};
}

}  // namespace quantd
