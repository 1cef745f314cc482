#include "client/table.h"

#include <algorithm>
#include <cassert>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"

namespace quantd {

Table::Table(std::vector<std::string> header, std::vector<Align> alignment)
    : header_(std::move(header)), alignment_(std::move(alignment)) {
  alignment_.resize(header_.size(), Align::kLeft);
}

void Table::AddRow(std::vector<std::string> cells) {
  assert(cells.size() == header_.size());
  cells.resize(header_.size());
  rows_.push_back(std::move(cells));
}

std::string Table::ToString() const {
  std::vector<int> widths;
  for (const std::string& title : header_) {
    widths.push_back(DisplayWidth(title));
  }
  for (const auto& row : rows_) {
    for (size_t i = 0; i < row.size(); ++i) {
      widths[i] = std::max(widths[i], DisplayWidth(row[i]));
    }
  }
  std::string text;
  const auto append = [&](const std::vector<std::string>& cells) {
    std::string line;
    for (size_t i = 0; i < cells.size(); ++i) {
      const std::string padding(
          static_cast<size_t>(widths[i] - DisplayWidth(cells[i])), ' ');
      if (i > 0) line += "  ";
      if (alignment_[i] == Align::kRight) {
        absl::StrAppend(&line, padding, cells[i]);
      } else {
        absl::StrAppend(&line, cells[i], padding);
      }
    }
    line.erase(line.find_last_not_of(' ') + 1);
    absl::StrAppend(&text, line, "\n");
  };
  append(header_);
  for (const auto& row : rows_) append(row);
  return text;
}

std::string Table::ToMarkdown() const {
  std::string text;
  const auto append = [&](const std::vector<std::string>& cells) {
    for (const std::string& cell : cells) {
      // What would end the cell or the row.
      absl::StrAppend(&text, "| ",
                      absl::StrReplaceAll(cell, {{"|", "\\|"}, {"\n", " "}}),
                      " ");
    }
    absl::StrAppend(&text, "|\n");
  };
  append(header_);
  for (const Align align : alignment_) {
    absl::StrAppend(&text, align == Align::kRight ? "| ---: " : "| --- ");
  }
  absl::StrAppend(&text, "|\n");
  for (const auto& row : rows_) append(row);
  return text;
}

int DisplayWidth(absl::string_view text) {
  int width = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\033') {  // ESC [ parameters, then a letter
      while (i < text.size() && text[i] != 'm') ++i;
      continue;
    }
    // Continuation bytes of UTF-8 belong to the code point before them.
    if ((static_cast<unsigned char>(text[i]) & 0xc0) != 0x80) ++width;
  }
  return width;
}

std::string Wrap(absl::string_view text, int columns, int indent) {
  std::string wrapped;
  int used = 0;
  for (absl::string_view word :
       absl::StrSplit(text, absl::ByAnyChar(" \n"), absl::SkipEmpty())) {
    const int width = DisplayWidth(word);
    if (used == 0) {
      absl::StrAppend(&wrapped, word);
      used = indent + width;
    } else if (used + 1 + width > columns) {
      absl::StrAppend(&wrapped, "\n",
                      std::string(static_cast<size_t>(indent), ' '), word);
      used = indent + width;
    } else {
      absl::StrAppend(&wrapped, " ", word);
      used += 1 + width;
    }
  }
  return wrapped;
}

}  // namespace quantd
