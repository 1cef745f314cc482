#include "client/attribution_text.h"

#include <map>
#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/human_text.h"
#include "client/table.h"
#include "google/protobuf/text_format.h"

namespace quantd {
namespace {

std::string NatsText(const v1::Estimate& estimate) {
  return absl::StrFormat("%.4g +/- %.2g", estimate.mean(),
                         estimate.error_clustered());
}

std::string ShareText(bool is_known, double share, double error) {
  return is_known
             ? absl::StrFormat("%.1f +/- %.1f %%", 100 * share, 100 * error)
             : "-";
}

// As a recipe has them. The whole recipe is long, and in the JSON.
void PrintRules(Session& session, const v1::BitSuggestion& suggestion) {
  if (suggestion.layer_rules().empty()) return;
  session.out() << "Suggested bits as rules of a recipe, before its own "
                   "(--json: suggestion.recipe is the whole)\n";
  google::protobuf::TextFormat::Printer printer;
  printer.SetSingleLineMode(true);
  for (const v1::LayerRule& rule : suggestion.layer_rules()) {
    std::string text;
    printer.PrintToString(rule, &text);
    session.out() << "layer_rules { "
                  << absl::StripTrailingAsciiWhitespace(text) << " }\n";
  }
  session.out() << "\n";
}

}  // namespace

void PrintAttribution(Session& session, const v1::AttributionReport& report) {
  Table whole({absl::AsciiStrToUpper(report.metric()), "VALUE"});
  whole.AddRow({"baseline", report.baseline()});
  whole.AddRow(
      {"scored tokens", absl::StrCat(report.scored_tokens(), " in ",
                                     report.window_count(), " windows")});
  whole.AddRow({"KL of the target, nats", NatsText(report.kl())});
  whole.AddRow({"added NLL, nats", NatsText(report.delta_nll())});
  whole.AddRow({"KL of units alone, less the target's",
                NatsText(report.kl_additivity_residual())});
  whole.AddRow({"added NLL of units alone, less the target's",
                NatsText(report.nll_additivity_residual())});
  const v1::BitSuggestion& suggestion = report.suggestion();
  if (report.has_suggestion()) {
    const double target = suggestion.target_bits_per_weight();
    whole.AddRow(
        {"suggested bits (to be measured)",
         absl::StrCat(
             absl::StrFormat("%.3f per weight instead of %.3f",
                             suggestion.suggested_bits_per_weight(),
                             suggestion.bits_per_weight()),
             target > 0 ? absl::StrFormat(" (at most %g)", target) : "",
             absl::StrFormat(", sum of KLs alone %.4g instead of %.4g",
                             suggestion.predicted_kl(), suggestion.kl()))});
  }
  session.out() << whole.ToString() << "\n";
  std::map<std::string, int> changes;
  for (const v1::UnitBits& unit : suggestion.units()) {
    changes[unit.name()] = unit.change();
  }
  Table units({"UNIT", "BITS", "KL ALONE", "SHARE", "KL SAVED BY RESTORING",
               "SHARE", "NLL ADDED ALONE", "SUGGESTED"},
              {Align::kLeft, Align::kRight, Align::kRight, Align::kRight,
               Align::kRight, Align::kRight, Align::kRight, Align::kRight});
  for (const v1::UnitAttribution& unit : report.units()) {
    const auto change = changes.find(unit.name());
    units.AddRow({unit.name(), HumanBits(unit.bits_per_weight()),
                  NatsText(unit.alone_kl()),
                  ShareText(unit.has_alone_kl_share(), unit.alone_kl_share(),
                            unit.alone_kl_share_error()),
                  NatsText(unit.saved_kl()),
                  ShareText(unit.has_saved_kl_share(), unit.saved_kl_share(),
                            unit.saved_kl_share_error()),
                  NatsText(unit.alone_delta_nll()),
                  change == changes.end()
                      ? "-"
                      : absl::StrFormat(
                            "%+d bit%s", change->second,
                            change->second * change->second == 1 ? "" : "s")});
  }
  session.out() << units.ToString() << "\n";
  PrintRules(session, suggestion);
}

}  // namespace quantd
