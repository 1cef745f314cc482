#include "evaluators/tasks/task_records.h"

#include <algorithm>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "base/bzip2.h"
#include "base/status_macros.h"
#include "base/utf8.h"
#include "evaluators/tasks/csv.h"
#include "models/json_text.h"

namespace quantd {
namespace {

using nlohmann::json;

struct FormatRow {
  RecordFormat format;
  absl::string_view name;
};

constexpr FormatRow kFormats[] = {
    {RecordFormat::kJson, "json"},
    {RecordFormat::kCsv, "csv"},
    {RecordFormat::kHellaswagText, "hellaswag_text"},
    {RecordFormat::kTsv, "tsv"},
};

constexpr int kHellaswagEndings = 4;

// Collects records and holds them to the limits.
class RecordList {
 public:
  RecordList(absl::string_view origin, const RecordLimits& limits)
      : origin_(origin), limits_(limits) {}

  std::string At(size_t line) const {
    return absl::StrCat(origin_, ": line ", line);
  }

  absl::Status Fault(size_t line, absl::string_view fault) const {
    return absl::InvalidArgumentError(absl::StrCat(At(line), ": ", fault));
  }

  absl::Status CheckSize(size_t line, size_t bytes) const {
    if (bytes <= limits_.max_record_bytes) return absl::OkStatus();
    return absl::ResourceExhaustedError(
        absl::StrCat(At(line), ": a record of more than ",
                     limits_.max_record_bytes, " bytes"));
  }

  absl::Status Add(size_t line, json fields) {
    if (!fields.is_object()) {
      return Fault(line, absl::StrCat("expected a JSON object, got ",
                                      DescribeJson(fields)));
    }
    if (records_.size() == limits_.max_records) {
      return absl::ResourceExhaustedError(absl::StrCat(
          At(line), ": more than ", limits_.max_records, " records"));
    }
    records_.push_back({line, std::move(fields)});
    return absl::OkStatus();
  }

  const RecordLimits& limits() const { return limits_; }
  std::vector<TaskRecord> Take() && { return std::move(records_); }

 private:
  const absl::string_view origin_;
  const RecordLimits& limits_;
  std::vector<TaskRecord> records_;
};

// Walks over JSON values without parsing them: ParseJson() then gets each
// alone, so that a message names the line and one value bounds the memory.
class JsonSplitter {
 public:
  explicit JsonSplitter(absl::string_view text) : text_(text) {}

  void SkipBlanks() {
    while (at_ < text_.size() && absl::ascii_isspace(text_[at_])) Step();
  }
  bool done() const { return at_ == text_.size(); }
  char next() const { return text_[at_]; }
  size_t line() const { return line_; }
  void Step() {
    if (text_[at_] == '\n') ++line_;
    ++at_;
  }

  // From here to the end of the value: of an object or array its closing
  // bracket, of anything else the next comma, bracket or line end. A value
  // that is cut off ends with the text; the parser will say so.
  absl::string_view Value() {
    const size_t begin = at_;
    size_t open = 0;
    bool in_string = false;
    while (!done()) {
      const char c = next();
      if (in_string) {
        Step();
        if (c == '\\' && !done()) Step();
        if (c == '"') in_string = false;
        continue;
      }
      const bool closes = c == '}' || c == ']';
      if (open == 0 && at_ > begin && (closes || c == ',' || c == '\n')) break;
      Step();
      if (c == '"') in_string = true;
      if (c == '{' || c == '[') ++open;
      if (closes) {
        if (open <= 1) break;
        --open;
      }
    }
    return text_.substr(begin, at_ - begin);
  }

 private:
  const absl::string_view text_;
  size_t at_ = 0;
  size_t line_ = 1;
};

absl::Status AddJsonValue(JsonSplitter& splitter, RecordList& records) {
  const size_t line = splitter.line();
  const absl::string_view text = splitter.Value();
  RETURN_IF_ERROR(records.CheckSize(line, text.size()));
  JsonLimits limits;
  limits.max_bytes = records.limits().max_record_bytes;
  limits.max_depth = records.limits().max_depth;
  ASSIGN_OR_RETURN(json fields, ParseJson(text, records.At(line), limits));
  return records.Add(line, std::move(fields));
}

absl::Status ReadJson(absl::string_view text, RecordList& records) {
  JsonSplitter splitter(text);
  splitter.SkipBlanks();
  if (splitter.done() || splitter.next() != '[') {
    for (; !splitter.done(); splitter.SkipBlanks()) {
      RETURN_IF_ERROR(AddJsonValue(splitter, records));
    }
    return absl::OkStatus();
  }
  const size_t opened = splitter.line();
  splitter.Step();
  splitter.SkipBlanks();
  bool first = true;
  while (!splitter.done() && splitter.next() != ']') {
    if (!first) {
      if (splitter.next() != ',') {
        return records.Fault(splitter.line(),
                             "expected a comma between two records");
      }
      splitter.Step();
      splitter.SkipBlanks();
      if (splitter.done()) break;
    }
    first = false;
    RETURN_IF_ERROR(AddJsonValue(splitter, records));
    splitter.SkipBlanks();
  }
  if (splitter.done()) {
    return records.Fault(opened, "the array that begins here is not closed");
  }
  splitter.Step();
  splitter.SkipBlanks();
  if (!splitter.done()) {
    return records.Fault(splitter.line(), "text behind the array of records");
  }
  return absl::OkStatus();
}

absl::Status ReadTable(absl::string_view text, TableSyntax syntax,
                       RecordList& records) {
  CsvReader reader(text, records.limits().max_record_bytes, syntax);
  std::vector<std::string> header;
  while (!reader.done()) {
    const size_t line = reader.line();
    ASSIGN_OR_RETURN(std::vector<std::string> row,
                     Annotate(reader.Next(), records.At(line)));
    if (header.empty()) {
      header = std::move(row);
      for (size_t i = 0; i < header.size(); ++i) {
        const std::string& name = header[i];
        if (name.empty()) {
          return records.Fault(line,
                               absl::StrCat("column ", i + 1, " has no name"));
        }
        if (std::find(header.begin(), header.begin() + i, name) !=
            header.begin() + i) {
          return records.Fault(
              line, absl::StrCat("column ", Quoted(name), " appears twice"));
        }
      }
      continue;
    }
    if (row.size() == 1 && row[0].empty()) continue;  // an empty line
    if (row.size() != header.size()) {
      return records.Fault(
          line, absl::StrCat(row.size(), " values, but the header names ",
                             header.size(), " columns"));
    }
    json fields = json::object();
    for (size_t i = 0; i < row.size(); ++i) {
      fields[header[i]] = std::move(row[i]);
    }
    RETURN_IF_ERROR(records.Add(line, std::move(fields)));
  }
  return absl::OkStatus();
}

absl::Status ReadHellaswagText(absl::string_view text, RecordList& records) {
  size_t line = 0;
  const auto next_line = [&] {
    const size_t end = std::min(text.find('\n'), text.size());
    absl::string_view content = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    absl::ConsumeSuffix(&content, "\r");
    ++line;
    return content;
  };
  while (!text.empty()) {
    const absl::string_view context = next_line();
    const size_t begin = line;
    RETURN_IF_ERROR(records.CheckSize(begin, context.size()));
    const absl::string_view label_text = next_line();
    int label = 0;
    if (label_text.size() != 1 || !absl::SimpleAtoi(label_text, &label) ||
        label >= kHellaswagEndings) {
      return records.Fault(
          begin + 1, absl::StrCat("expected the index of the right ending, 0 "
                                  "to 3, got ",
                                  Quoted(label_text)));
    }
    json endings = json::array();
    for (int i = 0; i < kHellaswagEndings; ++i) {
      if (text.empty()) {
        return records.Fault(
            begin, "the record that begins here has fewer than six lines");
      }
      const absl::string_view ending = next_line();
      RETURN_IF_ERROR(records.CheckSize(line, ending.size()));
      endings.push_back(std::string(ending));
    }
    RETURN_IF_ERROR(records.Add(begin, {{"context", std::string(context)},
                                        {"label", label},
                                        {"endings", std::move(endings)}}));
  }
  return absl::OkStatus();
}

RecordFormat ChooseFormat(absl::string_view text,
                          absl::Span<const RecordFormat> formats) {
  if (formats.size() == 1) return formats[0];
  const absl::string_view trimmed = absl::StripLeadingAsciiWhitespace(text);
  const bool looks_like_json =
      absl::StartsWith(trimmed, "{") || absl::StartsWith(trimmed, "[");
  for (const RecordFormat format : formats) {
    if ((format == RecordFormat::kJson) == looks_like_json) return format;
  }
  return formats[0];
}

}  // namespace

absl::string_view RecordFormatName(RecordFormat format) {
  for (const FormatRow& row : kFormats) {
    if (row.format == format) return row.name;
  }
  return "";
}

std::optional<RecordFormat> FindRecordFormat(absl::string_view name) {
  for (const FormatRow& row : kFormats) {
    if (row.name == name) return row.format;
  }
  return std::nullopt;
}

std::string RecordFormatNames() {
  std::string names;
  for (const FormatRow& row : kFormats) {
    absl::StrAppend(&names, names.empty() ? "" : ", ", row.name);
  }
  return names;
}

absl::StatusOr<std::vector<TaskRecord>> ParseTaskRecords(
    absl::string_view data, absl::Span<const RecordFormat> formats,
    absl::string_view origin, const RecordLimits& limits) {
  std::string decompressed;
  if (IsBzip2(data)) {
    ASSIGN_OR_RETURN(decompressed,
                     Annotate(DecompressBzip2(data, limits.max_bytes), origin));
    data = decompressed;
  }
  if (data.size() > limits.max_bytes) {
    return absl::ResourceExhaustedError(
        absl::StrCat(origin, ": larger than ", limits.max_bytes, " bytes"));
  }
  absl::ConsumePrefix(&data, "\xEF\xBB\xBF");
  if (const size_t valid = ValidUtf8Prefix(data); valid < data.size()) {
    const absl::string_view before = data.substr(0, valid);
    return absl::InvalidArgumentError(absl::StrCat(
        origin, ": line ", 1 + std::count(before.begin(), before.end(), '\n'),
        ": not UTF-8"));
  }
  RecordList records(origin, limits);
  switch (ChooseFormat(data, formats)) {
    case RecordFormat::kJson:
      RETURN_IF_ERROR(ReadJson(data, records));
      break;
    case RecordFormat::kCsv:
      RETURN_IF_ERROR(ReadTable(data, TableSyntax::kCommas, records));
      break;
    case RecordFormat::kTsv:
      RETURN_IF_ERROR(ReadTable(data, TableSyntax::kTabs, records));
      break;
    case RecordFormat::kHellaswagText:
      RETURN_IF_ERROR(ReadHellaswagText(data, records));
      break;
  }
  std::vector<TaskRecord> result = std::move(records).Take();
  if (result.empty()) {
    return absl::InvalidArgumentError(absl::StrCat(origin, ": no records"));
  }
  return result;
}

}  // namespace quantd
