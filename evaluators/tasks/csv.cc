#include "evaluators/tasks/csv.h"

#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"

namespace quantd {

bool CsvReader::AtRowEnd() const {
  if (done()) return true;
  if (text_[at_] == '\n') return true;
  return text_[at_] == '\r' &&
         (at_ + 1 == text_.size() || text_[at_ + 1] == '\n');
}

absl::StatusOr<std::string> CsvReader::QuotedValue() {
  std::string value;
  ++at_;
  while (!done()) {
    const char c = text_[at_++];
    if (c != '"') {
      if (c == '\n') ++line_;
      value.push_back(c);
      continue;
    }
    if (!done() && text_[at_] == '"') {
      ++at_;
      value.push_back('"');
      continue;
    }
    if (!AtRowEnd() && text_[at_] != separator_) {
      return absl::InvalidArgumentError("text behind a closing quote");
    }
    return value;
  }
  return absl::InvalidArgumentError("a quote is not closed");
}

absl::StatusOr<std::string> CsvReader::PlainValue() {
  const size_t begin = at_;
  while (!AtRowEnd() && text_[at_] != separator_) {
    if (has_quotes_ && text_[at_] == '"') {
      return absl::InvalidArgumentError(
          "a quote inside a value that is not in quotes");
    }
    ++at_;
  }
  return std::string(text_.substr(begin, at_ - begin));
}

absl::StatusOr<std::vector<std::string>> CsvReader::Next() {
  const size_t begin = at_;
  std::vector<std::string> row;
  while (true) {
    const bool quoted = has_quotes_ && !done() && text_[at_] == '"';
    ASSIGN_OR_RETURN(std::string value, quoted ? QuotedValue() : PlainValue());
    row.push_back(std::move(value));
    if (at_ - begin > max_row_bytes_) {
      return absl::ResourceExhaustedError(
          absl::StrCat("a record of more than ", max_row_bytes_, " bytes"));
    }
    if (AtRowEnd()) break;
    ++at_;  // the separator
  }
  if (!done()) {
    at_ += text_[at_] == '\r' && at_ + 1 < text_.size() ? 2 : 1;
    ++line_;
  }
  return row;
}

}  // namespace quantd
