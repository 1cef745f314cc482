#include "tests/harness/harness_page.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_replace.h"

namespace quantd::test {
namespace {

using Json = nlohmann::json;

double Number(const Json& json, const char* key) {
  const auto it = json.find(key);
  return it != json.end() && it->is_number() ? it->get<double>() : 0;
}

std::string Text(const Json& json, const char* key) {
  const auto it = json.find(key);
  return it != json.end() && it->is_string() ? it->get<std::string>() : "";
}

// Null where there is none.
Json Member(const Json& json, const char* key) {
  const auto it = json.find(key);
  return it != json.end() ? *it : Json();
}

// A row of each model's value beside a name.
std::string Header(const std::string& first,
                   const std::vector<HarnessModel>& models) {
  std::string header = absl::StrCat("| ", first, " |");
  std::string rule = "|---|";
  for (const HarnessModel& model : models) {
    absl::StrAppend(&header, " ", model.name, " |");
    rule += "---:|";
  }
  return absl::StrCat(header, "\n", rule, "\n");
}

std::string Perplexities(const std::vector<HarnessModel>& models) {
  std::string page = Header("convention", models);
  for (const Json& metric : Member(models[0].evaluation, "metrics")) {
    const std::string name = Text(metric, "metric");
    std::string rows[3];
    const char* const more[] = {"word_perplexity", "byte_perplexity",
                                "bits_per_byte"};
    std::string row = absl::StrCat("| ", name, " |");
    for (const HarnessModel& model : models) {
      for (const Json& own : Member(model.evaluation, "metrics")) {
        if (Text(own, "metric") != name) continue;
        absl::StrAppendFormat(&row, " %.3f ± %.3f |", Number(own, "perplexity"),
                              Number(own, "perplexity_error_clustered"));
        for (int i = 0; i < 3; ++i) {
          if (!own.contains(more[i])) continue;
          if (rows[i].empty()) {
            rows[i] =
                absl::StrCat("| ", name, ", ",
                             absl::StrReplaceAll(more[i], {{"_", " "}}), " |");
          }
          absl::StrAppendFormat(&rows[i], " %.4f |", Number(own, more[i]));
        }
      }
    }
    absl::StrAppend(&page, row, "\n");
    for (const std::string& extra : rows) {
      if (!extra.empty()) absl::StrAppend(&page, extra, "\n");
    }
  }
  return page;
}

std::string Divergences(const std::vector<HarnessModel>& models) {
  std::string page =
      "| model | bits | KL | reverse KL | JS | same top token | same top five "
      "| "
      "RMS of Δp | ln(ppl / original) |\n"
      "|---|---:|---:|---:|---:|---:|---:|---:|---:|\n";
  for (const HarnessModel& model : models) {
    const Json divergence = Member(model.evaluation, "divergence");
    if (!divergence.is_object()) continue;
    const auto mean = [&](const char* key) {
      return Number(Member(divergence, key), "mean");
    };
    absl::StrAppendFormat(
        &page,
        "| %s | %.3f | %.6f ± %.6f | %.6f | %.6f | %.3f %% | %.3f %% | "
        "%.3f %% | %+.5f ± %.5f |\n",
        model.name, Number(model.evaluation, "bits_per_weight"), mean("kl"),
        Number(Member(divergence, "kl"), "error_clustered"), mean("reverse_kl"),
        mean("js"), 100 * mean("top1_agreement"), 100 * mean("top5_agreement"),
        100 * Number(divergence, "delta_p_rms"), mean("log_ratio"),
        Number(Member(divergence, "log_ratio"), "error_clustered"));
  }
  return page;
}

std::string PValue(double p) {
  return p > 0 && p < 1e-4 ? absl::StrFormat("%.1e", p)
                           : absl::StrFormat("%.4f", p);
}

std::string Verdicts(const HarnessModel& model) {
  std::string page = absl::StrCat(
      "\n### ", model.name, " against the original\n\n",
      "| score | items | original | compressed | loss | interval | test | p | "
      "adjusted p | flips | smallest loss seen | margin | verdict |\n"
      "|---|---:|---:|---:|---:|---:|---|---:|---:|---:|---:|---:|---|\n");
  for (const Json& row : Member(model.comparison, "metrics")) {
    if (!row.value("in_family", false)) continue;
    const double needed = Number(row, "items_needed");
    absl::StrAppendFormat(
        &page,
        "| %s %s | %.0f | %.4f | %.4f | %+.4f ± %.4f | %+.4f .. %+.4f | %s | "
        "%s | %s | %.2f %% | %.4f | %.4f | %s%s |\n",
        Text(row, "task"), Text(row, "metric"), Number(row, "item_count"),
        Number(row, "baseline"), Number(row, "candidate"), Number(row, "loss"),
        Number(row, "loss_error"), Number(row, "low"), Number(row, "high"),
        Text(row, "test"), PValue(Number(row, "p_value")),
        PValue(Number(row, "adjusted_p_value")), 100 * Number(row, "flip_rate"),
        Number(row, "minimum_detectable_effect"), Number(row, "margin"),
        Text(row, "verdict"),
        needed > 0 ? absl::StrFormat(", %.0f more needed", needed) : "");
  }
  return page;
}

std::string Phenomena(const std::vector<HarnessModel>& models) {
  const char* const kKey = "linguistics_term";
  const auto subsets = [&](const HarnessModel& model) {
    return Member(
        Member(Member(Member(model.evaluation, "tasks"), "blimp"), "subsets"),
        kKey);
  };
  const Json first = subsets(models[0]);
  if (!first.is_object()) return "BLiMP was not scored.\n";
  std::string page = Header("phenomenon (items)", models);
  for (const auto& [term, values] : first.items()) {
    absl::StrAppendFormat(&page, "| %s (%.0f) |",
                          absl::StrReplaceAll(term, {{"_", " "}}),
                          Number(values, "item_count"));
    for (const HarnessModel& model : models) {
      absl::StrAppendFormat(
          &page, " %.2f %% |",
          100 * Number(Member(subsets(model), term.c_str()), "acc"));
    }
    page += "\n";
  }
  page += "| **all, mean over the sets** |";
  for (const HarnessModel& model : models) {
    const Json acc = Member(
        Member(Member(Member(model.evaluation, "tasks"), "blimp"), "metrics"),
        "acc");
    absl::StrAppendFormat(&page, " **%.2f ± %.2f %%** |",
                          100 * Number(acc, "value"),
                          100 * Number(acc, "error_clustered"));
  }
  return page + "\n";
}

std::string Tasks(const std::vector<HarnessModel>& models) {
  std::string page = Header("task, score (items)", models);
  const Json tasks = Member(models[0].evaluation, "tasks");
  for (const auto& [name, task] : tasks.items()) {
    const Json metrics = Member(task, "metrics");
    for (const auto& [metric, value] : metrics.items()) {
      absl::StrAppendFormat(&page, "| %s, %s (%.0f) |", name, metric,
                            Number(task, "item_count"));
      for (const HarnessModel& model : models) {
        const Json own = Member(
            Member(Member(Member(model.evaluation, "tasks"), name.c_str()),
                   "metrics"),
            metric.c_str());
        absl::StrAppendFormat(&page, " %.4g ± %.2g |", Number(own, "value"),
                              Number(own, "error_clustered"));
      }
      page += "\n";
    }
  }
  return page;
}

std::string Sharing(const HarnessModel& model) {
  std::string page =
      "| task | requests | tokens without sharing | tokens run | factor | tied "
      "| cut |\n|---|---:|---:|---:|---:|---:|---:|\n";
  const Json tasks = Member(model.evaluation, "tasks");
  for (const auto& [name, task] : tasks.items()) {
    const double run = Number(task, "tokens_run");
    if (run <= 0) continue;
    absl::StrAppendFormat(
        &page, "| %s | %.0f | %.0f | %.0f | %.2f | %.0f | %.0f |\n", name,
        Number(task, "requests"), Number(task, "tokens_unshared"), run,
        Number(task, "tokens_unshared") / run, Number(task, "tied_items"),
        Number(task, "cut_items"));
  }
  return page;
}

}  // namespace

std::string HarnessPage(const HarnessContext& context,
                        const std::vector<HarnessModel>& models) {
  std::string page = absl::StrFormat(
      "# Evaluation, measured\n"
      "\n"
      "Written by `make bench-evaluation`; nothing here was typed in. Every "
      "number is\n"
      "from one `quantctl evaluate` per model and one `quantctl compare`.\n"
      "\n"
      "* quantd %s on %s\n"
      "* model: %s; text: %s, whole unless a metric says \"first\"\n",
      context.version, context.machine, context.model, context.text);
  for (const HarnessModel& model : models) {
    absl::StrAppend(&page, "* ", model.name, ": ", model.about);
    const double bits = Number(model.evaluation, "bits_per_weight");
    // Of an original that is not known: its checkpoint says no such thing.
    if (bits > 0) absl::StrAppendFormat(&page, ", %.3f bits per weight", bits);
    page += "\n";
  }
  absl::StrAppend(
      &page,
      "\nErrors are standard errors, clustered where the data have "
      "clusters (windows,\ndocuments, sets).\n\n## Perplexity\n\n",
      Perplexities(models), "\n## Divergence from the original\n\n",
      Text(Member(models.back().evaluation, "divergence"), "metric"),
      ", with llama.cpp's definitions.\n\n", Divergences(models),
      "\n## Verdicts\n\nLosses are points of a score or nats of "
      "log perplexity. p values are adjusted\n(Holm) over all rows "
      "of a table.\n");
  for (const HarnessModel& model : models) {
    if (model.comparison.is_object()) page += Verdicts(model);
  }
  absl::StrAppend(&page, "\n## BLiMP by phenomenon\n\n", Phenomena(models),
                  "\n## All scores\n\n", Tasks(models),
                  "\n## What sharing saves\n\nTokens that ran for the "
                  "original. The requests without a question behind `acc_pmi`\n"
                  "are among them.\n\n",
                  Sharing(models[0]));
  return page;
}

}  // namespace quantd::test
