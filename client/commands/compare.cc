// quantctl compare
#include <algorithm>
#include <cmath>
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
#include "client/job_options.h"
#include "client/table.h"
#include "client/task_text.h"

namespace quantd {
namespace {

bool ShareTag(const v1::Evaluation& a, const v1::Evaluation& b) {
  for (const auto& x : a.perplexities()) {
    for (const auto& y : b.perplexities()) {
      if (SameTag(x.tag(), y.tag())) return true;
    }
  }
  for (const auto& x : a.tasks()) {
    for (const auto& y : b.tasks()) {
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
    for (const auto& report : evaluation.tasks()) {
      absl::StrAppend(&text, "\n    task ", report.tag().task(), ", data ",
                      report.tag().dataset_digest().substr(0, 8), ", ",
                      report.tag().few_shot(), " examples");
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
    const auto& request = *v1::CompareEvaluationsRequest::descriptor();
    app.add_option("--margin", margin_, FieldHelp(request, "margin"))
        ->type_name("X");
    app.add_option("--perplexity-margin", perplexity_margin_,
                   FieldHelp(request, "perplexity_margin"))
        ->type_name("X");
    app.add_option("--alpha", alpha_, FieldHelp(request, "alpha"))
        ->type_name("X");
    app.add_flag("--two-sided", two_sided_, FieldHelp(request, "two_sided"));
    app.add_flag(
        "--fail-if-worse", fail_if_worse_,
        "Exit with code 1 when a verdict on a perplexity or on the first "
        "metric of a task is WORSE");
  }

  absl::StatusOr<ExitCode> Run(Session& session) override {
    Client& client = session.client();
    ASSIGN_OR_RETURN(const auto baselines, EvaluationsOf(client, baseline_));
    ASSIGN_OR_RETURN(const auto candidates, EvaluationsOf(client, candidate_));
    ASSIGN_OR_RETURN(const auto pair,
                     Pair(baseline_, baselines, candidate_, candidates));
    ASSIGN_OR_RETURN(const v1::Comparison comparison,
                     client.CompareEvaluations(RequestOf(pair)));
    Print(session, comparison);
    const bool worse =
        std::any_of(comparison.metrics().begin(), comparison.metrics().end(),
                    [](const v1::MetricComparison& row) {
                      return row.in_family() && row.verdict() == v1::WORSE;
                    });
    return fail_if_worse_ && worse ? ExitCode::kJobFailed : ExitCode::kOk;
  }

 private:
  v1::CompareEvaluationsRequest RequestOf(
      const std::pair<std::string, std::string>& names) const {
    v1::CompareEvaluationsRequest request;
    request.set_baseline(names.first);
    request.set_candidate(names.second);
    if (margin_.has_value()) request.set_margin(*margin_);
    if (perplexity_margin_.has_value()) {
      request.set_perplexity_margin(*perplexity_margin_);
    }
    if (alpha_.has_value()) request.set_alpha(*alpha_);
    request.set_two_sided(two_sided_);
    return request;
  }

  // A row a number, both beside each other.
  static void PrintWordsAndBytes(Session& session,
                                 const v1::Comparison& comparison) {
    Table table({"WORDS AND BYTES", "BASELINE", "CANDIDATE", "CHANGE"},
                {Align::kLeft, Align::kRight, Align::kRight, Align::kRight});
    const auto text = [](const v1::UncertainValue& value) {
      return HumanNumber(value.value(), value.error_clustered());
    };
    for (const auto& own : comparison.words_and_bytes()) {
      const auto add = [&](const char* name, const v1::UncertainValue& baseline,
                           const v1::UncertainValue& candidate,
                           std::string change) {
        table.AddRow({absl::StrCat(own.convention(), " ", name), text(baseline),
                      text(candidate), std::move(change)});
      };
      add("word perplexity", own.baseline_word_perplexity(),
          own.candidate_word_perplexity(),
          absl::StrCat("x ",
                       HumanNumber(own.word_ratio(), own.word_ratio_error())));
      add("byte perplexity", own.baseline_byte_perplexity(),
          own.candidate_byte_perplexity(),
          absl::StrCat("x ",
                       HumanNumber(own.byte_ratio(), own.byte_ratio_error())));
      const double bits = own.bits_per_byte_difference();
      add("bits per byte", own.baseline_bits_per_byte(),
          own.candidate_bits_per_byte(),
          absl::StrCat(bits < 0 ? "- " : "+ ",
                       HumanNumber(std::fabs(bits),
                                   own.bits_per_byte_difference_error())));
    }
    if (comparison.words_and_bytes_size() > 0) {
      session.out() << "\n" << table.ToString();
    }
  }

  void Print(Session& session, const v1::Comparison& comparison) const {
    if (session.json()) {
      Json json = MessageToJson(comparison);
      if (comparison.has_tag()) json["tag"] = TagToJson(comparison.tag());
      return session.PrintJson(json);
    }
    session.out() << "baseline   " << comparison.baseline() << "\n"
                  << "candidate  " << comparison.candidate() << "\n\n";
    PrintVerdicts(session, comparison);
    PrintWordsAndBytes(session, comparison);
    if (!comparison.has_tag()) return;
    session.out() << "\n";
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
  std::optional<double> margin_, perplexity_margin_, alpha_;
  bool two_sided_ = false;
  bool fail_if_worse_ = false;
};

}  // namespace

CommandGroup CompareCommands() {
  return {"",
          "",
          {{"compare", "Verdicts on two evaluations, paired item by item",
            MakeCommand<Compare>}}};
}

}  // namespace quantd
