// quantctl contamination, quantctl degradation
#include <algorithm>
#include <cmath>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "base/file.h"
#include "base/status_macros.h"
#include "client/command.h"
#include "client/job_options.h"
#include "client/message_json.h"
#include "client/table.h"

namespace quantd {
namespace {

class Contamination : public Command {
 public:
  void Define(CLI::App& app) override {
    const auto& request = *v1::CheckContaminationRequest::descriptor();
    app.add_option("--calibration", calibration_,
                   "Text that methods were calibrated on")
        ->required()
        ->type_name("FILE|DATASET");
    app.add_option("--text", text_, "Text that is scored")
        ->required()
        ->type_name("FILE|DATASET");
    app.add_option("--ngram", ngram_, FieldHelp(request, "ngram"))
        ->type_name("N");
    app.add_option("--window-words", window_words_,
                   FieldHelp(request, "window_words"))
        ->type_name("N");
    app.add_option("--tolerated-share", tolerated_share_,
                   FieldHelp(request, "tolerated_share"))
        ->type_name("X");
  }

  absl::StatusOr<ExitCode> Run(Session& session) override {
    v1::CheckContaminationRequest request;
    ASSIGN_OR_RETURN(
        *request.mutable_calibration(),
        Annotate(ResolveText(session, calibration_), "--calibration"));
    ASSIGN_OR_RETURN(*request.mutable_text(),
                     Annotate(ResolveText(session, text_), "--text"));
    if (ngram_.has_value()) request.set_ngram(*ngram_);
    if (window_words_.has_value()) request.set_window_words(*window_words_);
    if (tolerated_share_.has_value()) {
      request.set_tolerated_share(*tolerated_share_);
    }
    ASSIGN_OR_RETURN(const v1::ContaminationReport report,
                     session.client().CheckContamination(request));
    if (session.json()) {
      session.PrintJson(report);
      return ExitCode::kOk;
    }
    Table table({"FIELD", "VALUE"});
    table.AddRow(
        {"contaminated windows", absl::StrCat(report.contaminated_windows(),
                                              " of ", report.window_count())});
    table.AddRow(
        {"known n-grams",
         absl::StrFormat("%.4f %% of those of %d words",
                         100 * report.shared_share(), report.ngram())});
    table.AddRow({"windows too short", absl::StrCat(report.short_windows())});
    session.out() << table.ToString();
    if (report.worst().empty()) return ExitCode::kOk;
    Table worst({"WINDOW", "BYTE", "SHARE", "BEGINS"},
                {Align::kRight, Align::kRight, Align::kRight});
    for (const v1::ContaminatedWindow& window : report.worst()) {
      std::string beginning = window.beginning();
      for (char& c : beginning) {
        if (absl::ascii_isspace(c)) c = ' ';
      }
      worst.AddRow(
          {absl::StrCat(window.window()), absl::StrCat(window.byte_offset()),
           absl::StrFormat("%.1f %%", 100 * window.share()), beginning});
    }
    session.out() << "\n" << worst.ToString();
    return ExitCode::kOk;
  }

 private:
  std::string calibration_, text_;
  std::optional<uint32_t> ngram_, window_words_;
  std::optional<double> tolerated_share_;
};

// A column of the points file, and where it goes.
struct PointColumn {
  const char* name;
  void (*set)(double value, v1::DegradationPoint* point);
};

constexpr PointColumn kPointColumns[] = {
    {"parameters",
     [](double v, v1::DegradationPoint* p) { p->set_parameters(v); }},
    {"training_tokens",
     [](double v, v1::DegradationPoint* p) { p->set_training_tokens(v); }},
    {"bits", [](double v, v1::DegradationPoint* p) { p->set_bits(v); }},
    {"loss", [](double v, v1::DegradationPoint* p) { p->set_loss(v); }},
    {"degradation",
     [](double v, v1::DegradationPoint* p) { p->set_degradation(v); }},
};

absl::StatusOr<v1::DegradationPoint> ParsePoint(
    const std::vector<std::string>& columns, absl::string_view line) {
  const std::vector<absl::string_view> cells = absl::StrSplit(line, ',');
  if (cells.size() != columns.size()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "expected ", columns.size(), " values, got ", cells.size()));
  }
  v1::DegradationPoint point;
  for (size_t c = 0; c < cells.size(); ++c) {
    const absl::string_view cell = absl::StripAsciiWhitespace(cells[c]);
    if (columns[c] == "evaluation") {
      point.set_evaluation(std::string(cell));
      continue;
    }
    for (const PointColumn& column : kPointColumns) {
      if (columns[c] != column.name) continue;
      double value = 0;
      if (!cell.empty() && !absl::SimpleAtod(cell, &value)) {
        return absl::InvalidArgumentError(
            absl::StrCat(columns[c], ": \"", cell, "\" is not a number"));
      }
      column.set(value, &point);
    }
  }
  return point;
}

absl::StatusOr<v1::FitDegradationRequest> ParsePoints(absl::string_view text) {
  v1::FitDegradationRequest request;
  std::vector<std::string> columns;
  int number = 0;
  for (const absl::string_view raw : absl::StrSplit(text, '\n')) {
    ++number;
    const absl::string_view line = absl::StripAsciiWhitespace(raw);
    if (line.empty()) continue;
    if (columns.empty()) {
      std::vector<std::string> known = {"evaluation"};
      for (const PointColumn& column : kPointColumns) {
        known.push_back(column.name);
      }
      for (const absl::string_view cell : absl::StrSplit(line, ',')) {
        columns.emplace_back(absl::StripAsciiWhitespace(cell));
        if (std::find(known.begin(), known.end(), columns.back()) ==
            known.end()) {
          return absl::InvalidArgumentError(
              absl::StrCat("line ", number, ": no column \"", columns.back(),
                           "\"; known: ", absl::StrJoin(known, ", ")));
        }
      }
      continue;
    }
    ASSIGN_OR_RETURN(*request.add_points(),
                     Annotate(ParsePoint(columns, line), "line ", number));
  }
  return request;
}

class Degradation : public Command {
 public:
  void Define(CLI::App& app) override {
    app.add_option("points", file_,
                   "CSV file with a header of columns evaluation (one with a "
                   "divergence), parameters, training_tokens, bits, loss, "
                   "degradation; of an evaluation the last three may be left "
                   "out")
        ->required()
        ->type_name("FILE");
    app.add_option(
           "--highest-loss", highest_loss_,
           FieldHelp(*v1::FitDegradationRequest::descriptor(), "highest_loss"))
        ->type_name("X");
  }

  absl::StatusOr<ExitCode> Run(Session& session) override {
    ASSIGN_OR_RETURN(const std::string text, ReadFile(file_));
    ASSIGN_OR_RETURN(v1::FitDegradationRequest request,
                     Annotate(ParsePoints(text), file_));
    request.set_highest_loss(highest_loss_);
    ASSIGN_OR_RETURN(const v1::DegradationReport report,
                     session.client().FitDegradation(request));
    if (session.json()) {
      session.PrintJson(report);
      return ExitCode::kOk;
    }
    Table table({"TERM", "VALUE", "ERROR"},
                {Align::kLeft, Align::kRight, Align::kRight});
    const auto row = [&](const char* name, double value, double error) {
      table.AddRow({name, absl::StrFormat("%.4g", value),
                    absl::StrFormat("%.2g", error)});
    };
    row("ln k", std::log(report.k()), report.ln_k_error());
    row("beta, of training tokens", report.beta(), report.beta_error());
    row("alpha, of parameters", report.alpha(), report.alpha_error());
    row("gamma, of bits", report.gamma(), report.gamma_error());
    session.out()
        << table.ToString() << "\n"
        << "degradation = k tokens^beta / (parameters^alpha bits^gamma)\n"
        << absl::StrFormat(
               "R^2 %.4f over %d points (%d left out, %d outliers); ln "
               "residual "
               "%.3f; ln error at a size left out %.3f\n",
               report.r_squared(), report.point_count(), report.left_out(),
               report.outliers(), report.residual_deviation(),
               report.leave_one_size_out_error());
    return ExitCode::kOk;
  }

 private:
  std::string file_;
  double highest_loss_ = 0;
};

}  // namespace

CommandGroup ContaminationCommands() {
  return {
      "",
      "",
      {{"contamination", "How much of a scored text is in a calibration text",
        MakeCommand<Contamination>},
       {"degradation",
        "Fit the law by which compression hurts over many evaluations",
        MakeCommand<Degradation>}}};
}

}  // namespace quantd
