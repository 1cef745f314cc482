#include "tests/methods/method_table.h"

#include <algorithm>
#include <functional>
#include <map>
#include <tuple>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"

namespace quantd::test {
namespace {

std::string Link(absl::string_view text, absl::string_view path) {
  return absl::StrCat("[", text, "](../", path, ")");
}

std::string Parts(const MethodResult& result) {
  std::vector<std::string> links;
  for (const std::string& stage : result.stages) {
    links.push_back(
        Link(stage, absl::StrCat("quantizers/stages/", stage, ".cc")));
  }
  for (const std::string& grid : result.grids) {
    links.push_back(Link(grid, absl::StrCat("quantizers/grids/", grid, ".cc")));
  }
  return absl::StrJoin(links, " ");
}

std::string Line(const MethodRow& row, const MethodResult& result) {
  return absl::StrFormat(
      "| %s | %s | %s | %.3f | %.2f ± %.2f | %.4f ± %.4f | %+.4f | %.2f %% | "
      "%.0f s | %.0f MB |\n",
      Link(row.method,
           absl::StrCat("quantizers/recipes/", row.method, ".textproto")),
      row.settings.empty() ? "defaults" : absl::StrJoin(row.settings, " "),
      Parts(result), result.stored_bits, result.perplexity,
      result.perplexity_error, result.kl, result.kl_error, result.log_ratio,
      100 * result.top1_agreement, result.seconds, result.peak_bytes / 1e6);
}

}  // namespace

std::string MethodPage(const MethodContext& context,
                       const MethodComparison& comparison,
                       const MethodResults& results,
                       const std::vector<GateVerdict>& gates) {
  std::string page = absl::StrFormat(
      "# Methods, measured\n"
      "\n"
      "Written by `make bench-methods`; nothing here was typed in. Every row "
      "is a job\n"
      "of a quantd server: the method compresses the model, then one pass runs "
      "the\n"
      "original and the result side by side over the same windows.\n"
      "\n"
      "* model: %s; original perplexity %.2f ± %.2f\n"
      "* evaluation: %s, %d windows, %d scored tokens\n"
      "* calibration: %s, the same for every method\n"
      "* quantd %s on %s\n"
      "\n"
      "Bits are all stored bits (codes, scales, zeros, codebooks, outliers, "
      "factors)\n"
      "over the compressed weights. Errors are standard errors clustered by "
      "window.\n"
      "KL is that of the original's predictions against the compressed ones', "
      "in nats\n"
      "per token: on a model of this size it tells methods apart where "
      "perplexities\n"
      "are within each other's noise. ln ratio is ln(perplexity / original). "
      "Time and\n"
      "peak anonymous memory are those of the compression job.\n",
      context.model, context.original_perplexity, context.original_error,
      context.metric, context.windows, context.scored_tokens,
      context.calibration, context.version, context.machine);
  std::map<double, std::vector<const MethodRow*>, std::greater<>> classes;
  for (const MethodRow& row : comparison.rows) {
    if (results.count(row.id) > 0) classes[row.bits].push_back(&row);
  }
  for (auto& [bits, rows] : classes) {
    std::sort(rows.begin(), rows.end(),
              [&](const MethodRow* a, const MethodRow* b) {
                return std::make_tuple(results.at(a->id).stored_bits, a->id) <
                       std::make_tuple(results.at(b->id).stored_bits, b->id);
              });
    absl::StrAppend(
        &page, "\n## About ", bits,
        " bits\n\n| method | settings | stages and grids | bits | perplexity | "
        "KL | ln ratio | same top token | time | memory |\n"
        "|---|---|---|---:|---:|---:|---:|---:|---:|---:|\n");
    for (const MethodRow* row : rows) {
      page += Line(*row, results.at(row->id));
    }
  }
  absl::StrAppend(
      &page,
      "\n## Claims\n\n"
      "Every calibrated row is held against `rtn` at equal stored bits: the "
      "lower convex\nhull of its rows over bits and ln KL.\n\n"
      "| claim | holds | numbers |\n|---|---|---|\n");
  for (const GateVerdict& gate : gates) {
    absl::StrAppend(&page, "| ", gate.name, " | ",
                    !gate.measured ? "?"
                    : gate.holds   ? "yes"
                                   : "**NO**",
                    " | ", gate.numbers, " |\n");
  }
  return page;
}

}  // namespace quantd::test
