// The result of a sweep for people: tables, and a folder with a report, its
// data (sweep_json.h) and plots of its fronts (sweep_plots.h).
//
// Thread-safe: free functions of their arguments, but for WriteSweep().
#ifndef QUANTD_CLIENT_SWEEP_REPORT_H_
#define QUANTD_CLIENT_SWEEP_REPORT_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/sweep_result.h"
#include "client/table.h"

namespace quantd {

struct TitledTable {
  std::string title;
  Table table;
};

// Cost of every point; its distance from the model; its tasks; and what failed.
// Tables without a row are left out.
std::vector<TitledTable> SweepTables(const SweepResult& result);

// The command that made it, the tables, the plots, and how to read them.
std::string SweepToMarkdown(const SweepResult& result);

// Writes sweep.json, sweep.md and the plots into `directory`, which is created,
// and returns their paths.
absl::StatusOr<std::vector<std::string>> WriteSweep(
    const SweepResult& result, const std::string& directory);

// `word` as a shell reads it back.
std::string ShellQuoted(const std::string& word);

}  // namespace quantd

#endif  // QUANTD_CLIENT_SWEEP_REPORT_H_
