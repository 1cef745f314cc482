// Tables as text; rows end with LF or CR LF.
//   comma-separated values as RFC 4180 has them: a value in double quotes may
//     hold commas, line ends and doubled quotes
//   tab-separated values as IANA has them (text/tab-separated-values): a value
//     ends with a tab or the row, and quotes are part of it
//
// Points into the text it was made from; confined to one thread.
#ifndef QUANTD_EVALUATORS_TASKS_CSV_H_
#define QUANTD_EVALUATORS_TASKS_CSV_H_

#include <cstddef>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace quantd {

enum class TableSyntax { kCommas, kTabs };

class CsvReader {
 public:
  CsvReader(absl::string_view text, size_t max_row_bytes,
            TableSyntax syntax = TableSyntax::kCommas)
      : text_(text),
        max_row_bytes_(max_row_bytes),
        has_quotes_(syntax == TableSyntax::kCommas),
        separator_(has_quotes_ ? ',' : '\t') {}

  bool done() const { return at_ == text_.size(); }
  // Where the next row begins, from 1.
  size_t line() const { return line_; }

  // The values of the next row, at least one. InvalidArgument: a quote that is
  // not closed, text behind a closing quote, a quote inside a value that does
  // not begin with one; ResourceExhausted: a row over `max_row_bytes`.
  // REQUIRES: !done().
  absl::StatusOr<std::vector<std::string>> Next();

 private:
  absl::StatusOr<std::string> QuotedValue();
  absl::StatusOr<std::string> PlainValue();
  bool AtRowEnd() const;

  const absl::string_view text_;
  const size_t max_row_bytes_;
  const bool has_quotes_;
  const char separator_;
  size_t at_ = 0;
  size_t line_ = 1;
};

}  // namespace quantd

#endif  // QUANTD_EVALUATORS_TASKS_CSV_H_
