#include "tests/methods/method_rows.h"

#include <set>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

namespace quantd::test {
namespace {

std::vector<std::string> Fields(absl::string_view line) {
  std::vector<std::string> fields;
  for (absl::string_view field : absl::StrSplit(line, '|')) {
    fields.emplace_back(absl::StripAsciiWhitespace(field));
  }
  return fields;
}

}  // namespace

absl::StatusOr<MethodComparison> ParseMethodComparison(absl::string_view text) {
  MethodComparison comparison;
  std::set<std::string> ids;
  int number = 0;
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    ++number;
    line = absl::StripAsciiWhitespace(line);
    if (line.empty() || line[0] == '#') continue;
    const auto wrong = [&](absl::string_view why) {
      return absl::InvalidArgumentError(
          absl::StrCat("methods.txt line ", number, ": ", why));
    };
    if (absl::ConsumePrefix(&line, "row ")) {
      const std::vector<std::string> fields = Fields(line);
      MethodRow row;
      if (fields.size() != 4 || !absl::SimpleAtod(fields[1], &row.bits)) {
        return wrong("expected row ID | BITS | METHOD | SETTINGS");
      }
      row.id = fields[0];
      row.method = fields[2];
      row.settings = absl::StrSplit(fields[3], ' ', absl::SkipEmpty());
      if (!ids.insert(row.id).second) return wrong("the id is taken");
      comparison.rows.push_back(std::move(row));
    } else if (absl::ConsumePrefix(&line, "gate ")) {
      const std::vector<std::string> fields = Fields(line);
      MethodGate gate;
      if (fields.size() != 5 || !absl::SimpleAtod(fields[3], &gate.factor)) {
        return wrong("expected gate NAME | QUANTITY | LEFT | FACTOR | RIGHT");
      }
      gate.name = fields[0];
      gate.quantity = fields[1];
      gate.left = fields[2];
      gate.right = fields[4];
      comparison.gates.push_back(std::move(gate));
    } else {
      return wrong("neither a row nor a gate");
    }
  }
  return comparison;
}

}  // namespace quantd::test
