#include "evaluators/tasks/task_data.h"

#include <algorithm>
#include <filesystem>
#include <system_error>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "base/file.h"
#include "base/status_macros.h"
#include "evaluators/tasks/bzip2.h"

namespace quantd {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kMaxFileBytes = uint64_t{1} << 30;

// Whether `name` is `pattern` with every * replaced by something, or nothing.
bool Fits(absl::string_view name, absl::string_view pattern) {
  // What is left to try after the last *: greedy matching with one place to
  // return to decides it, in time linear in name times pattern.
  size_t n = 0, p = 0, star = absl::string_view::npos, resume = 0;
  while (n < name.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      resume = n;
    } else if (p < pattern.size() && pattern[p] == name[n]) {
      ++p;
      ++n;
    } else if (star != absl::string_view::npos) {
      p = star + 1;
      n = ++resume;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

}  // namespace

absl::StatusOr<std::vector<std::string>> FindTaskFiles(
    const TaskDataFile& data, const std::string& folder) {
  if (data.file.empty()) {
    return absl::FailedPreconditionError(
        "the task does not say where its data lies; name the file");
  }
  const fs::path path = fs::path(folder) / data.file;
  std::vector<std::string> files;
  if (!absl::StrContains(data.file, "*")) {
    std::error_code error;
    if (!fs::is_regular_file(path, error)) {
      return absl::NotFoundError(absl::StrCat("no file ", path.string()));
    }
    files.push_back(path.string());
    return files;
  }
  std::error_code error;
  for (fs::directory_iterator entry(path.parent_path(), error), end;
       !error && entry != end; entry.increment(error)) {
    std::error_code ignored;  // not a file, then
    if (entry->is_regular_file(ignored) &&
        Fits(entry->path().filename().string(), path.filename().string())) {
      files.push_back(entry->path().string());
    }
  }
  if (error || files.empty()) {
    return absl::NotFoundError(absl::StrCat("no file ", path.string()));
  }
  std::sort(files.begin(), files.end());
  return files;
}

absl::StatusOr<std::string> ReadTaskFiles(const TaskDataFile& data,
                                          const std::string& folder) {
  ASSIGN_OR_RETURN(const std::vector<std::string> files,
                   FindTaskFiles(data, folder));
  std::string content;
  for (const std::string& file : files) {
    ASSIGN_OR_RETURN(std::string bytes, ReadFile(file, kMaxFileBytes));
    if (files.size() > 1 && IsBzip2(bytes)) {
      ASSIGN_OR_RETURN(bytes,
                       Annotate(DecompressBzip2(bytes, kMaxFileBytes), file));
    }
    const bool has_header =
        std::count(data.formats.begin(), data.formats.end(),
                   RecordFormat::kCsv) > 0 &&
        !absl::StartsWith(absl::StripLeadingAsciiWhitespace(bytes), "{");
    const bool is_array =
        absl::StartsWith(absl::StripLeadingAsciiWhitespace(bytes), "[");
    if (files.size() > 1 && (has_header || is_array)) {
      return absl::InvalidArgumentError(absl::StrCat(
          file,
          ": several files can be read as one only if they are JSON "
          "lines or HellaSwag's text"));
    }
    if (content.size() + bytes.size() > kMaxFileBytes) {
      return absl::ResourceExhaustedError(
          absl::StrCat(file, ": the files are larger than ", kMaxFileBytes,
                       " bytes together"));
    }
    if (!content.empty() && content.back() != '\n') content.push_back('\n');
    content += bytes;
  }
  return content;
}

}  // namespace quantd
