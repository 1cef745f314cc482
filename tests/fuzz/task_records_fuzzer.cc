// The first byte chooses the formats, the rest is a data file.
#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/strings/string_view.h"
#include "evaluators/tasks/task_records.h"
#include "tests/fuzz/fuzz_checks.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using quantd::RecordFormat;
  using quantd::test::CheckRefusal;
  using quantd::test::FuzzCheck;
  if (size == 0) return 0;
  std::vector<RecordFormat> formats;
  for (const RecordFormat format :
       {RecordFormat::kJson, RecordFormat::kCsv, RecordFormat::kHellaswagText,
        RecordFormat::kTsv}) {
    if ((data[0] >> static_cast<int>(format)) & 1) formats.push_back(format);
  }
  if (formats.empty()) formats.push_back(RecordFormat::kJson);
  quantd::RecordLimits limits;
  limits.max_bytes = uint64_t{1} << 22;
  limits.max_record_bytes = size_t{1} << 16;
  limits.max_records = 1000;
  const auto records = quantd::ParseTaskRecords(
      absl::string_view(reinterpret_cast<const char*>(data) + 1, size - 1),
      formats, "data", limits);
  if (!records.ok()) {
    CheckRefusal(records.status());
    return 0;
  }
  FuzzCheck(!records->empty() && records->size() <= limits.max_records,
            "there are records, and no more than allowed");
  size_t line = 1;
  for (const quantd::TaskRecord& record : *records) {
    FuzzCheck(record.fields.is_object(), "a record is an object");
    FuzzCheck(record.line >= line, "lines ascend");
    line = record.line;
    // Prints without an exception: what is inside is valid UTF-8.
    record.fields.dump();
  }
  return 0;
}
