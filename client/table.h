// Aligned columns for people.
//
//   Table table({"NAME", "SIZE"}, {Align::kLeft, Align::kRight});
//   table.AddRow({"m", "2.0 MiB"});
//   out << table.ToString();
//
// Thread-compatible.
#ifndef QUANTD_CLIENT_TABLE_H_
#define QUANTD_CLIENT_TABLE_H_

#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace quantd {

enum class Align { kLeft, kRight };

class Table {
 public:
  // Columns without an alignment are left-aligned.
  explicit Table(std::vector<std::string> header,
                 std::vector<Align> alignment = {});

  // REQUIRES: as many cells as the header has. Cells may carry terminal
  // colours, which take no width.
  void AddRow(std::vector<std::string> cells);

  bool empty() const { return rows_.empty(); }

  // Header and rows, two blanks between columns, no blanks at line ends.
  std::string ToString() const;

  // The same as a table of Markdown (the pipes of GitHub's dialect).
  std::string ToMarkdown() const;

 private:
  const std::vector<std::string> header_;
  std::vector<Align> alignment_;
  std::vector<std::vector<std::string>> rows_;
};

// Columns `text` takes on a terminal: code points outside escape sequences.
int DisplayWidth(absl::string_view text);

// `text` broken at blanks into lines of at most `columns`, each after the
// first indented by `indent` blanks. Longer words keep their line.
std::string Wrap(absl::string_view text, int columns, int indent);

}  // namespace quantd

#endif  // QUANTD_CLIENT_TABLE_H_
