// The records of a benchmark's data file: one JSON object each, whatever form
// the file has.
//
//   json           JSON objects one after another, usually one a line ("JSON
//                  lines"), or one JSON array of objects
//   csv            RFC 4180 with a header line; every value is a string
//   tsv            the same with tabs, and no quoting: quotes are text
//   hellaswag_text six lines a record, as klosax/hellaswag_text_data has them:
//                  context, index of the right ending, four endings; becomes
//                  {"context": .., "label": n, "endings": [4 strings]}
//
// A file that is compressed with bzip2 is decompressed first. A byte order
// mark is dropped.
#ifndef QUANTD_EVALUATORS_TASKS_TASK_RECORDS_H_
#define QUANTD_EVALUATORS_TASKS_TASK_RECORDS_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "nlohmann/json.hpp"

namespace quantd {

enum class RecordFormat { kJson, kCsv, kHellaswagText, kTsv };

// "json", "csv", "hellaswag_text", "tsv".
absl::string_view RecordFormatName(RecordFormat format);
std::optional<RecordFormat> FindRecordFormat(absl::string_view name);
// All names, separated by ", ", for messages.
std::string RecordFormatNames();

struct TaskRecord {
  size_t line = 0;        // where it begins in the (decompressed) file, from 1
  nlohmann::json fields;  // an object
};

// What a hostile or broken file may cost.
struct RecordLimits {
  uint64_t max_bytes = uint64_t{1} << 30;  // decompressed
  size_t max_record_bytes = size_t{4} << 20;
  size_t max_records = 2'000'000;
  int max_depth = 32;  // of a JSON record
};

// The records of `data`, in order. `formats` are those that it may have: with
// several, a file that begins with { or [ is JSON if that is among them, and
// any other has the first that is not JSON. `origin` opens every message, with
// the line. InvalidArgument: bad syntax, not UTF-8, a record that is no
// object, a header name twice, no records at all; ResourceExhausted: over a
// limit. REQUIRES: formats is not empty.
absl::StatusOr<std::vector<TaskRecord>> ParseTaskRecords(
    absl::string_view data, absl::Span<const RecordFormat> formats,
    absl::string_view origin, const RecordLimits& limits = {});

}  // namespace quantd

#endif  // QUANTD_EVALUATORS_TASKS_TASK_RECORDS_H_
