#include "base/joined_files.h"

#include <algorithm>
#include <filesystem>
#include <system_error>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "base/bzip2.h"
#include "base/file.h"
#include "base/status_macros.h"

namespace quantd {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kMaxFileBytes = uint64_t{1} << 30;

// Whether `name` is `pattern` with every * replaced by something, or nothing.
bool Fits(absl::string_view name, absl::string_view pattern) {
  if (absl::StartsWith(name, ".") != absl::StartsWith(pattern, ".")) {
    return false;
  }
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

absl::StatusOr<std::vector<std::string>> FindFiles(const std::string& folder,
                                                   const std::string& pattern) {
  const fs::path path = fs::path(folder) / pattern;
  std::vector<std::string> files;
  if (!absl::StrContains(pattern, "*")) {
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

absl::StatusOr<std::string> ReadJoined(absl::Span<const std::string> files,
                                       FileHead head) {
  std::string content;
  for (const std::string& file : files) {
    ASSIGN_OR_RETURN(std::string bytes, ReadFile(file, kMaxFileBytes));
    if (files.size() > 1 && IsBzip2(bytes)) {
      ASSIGN_OR_RETURN(bytes,
                       Annotate(DecompressBzip2(bytes, kMaxFileBytes), file));
    }
    const absl::string_view begin = absl::StripLeadingAsciiWhitespace(bytes);
    const bool has_names =
        head == FileHead::kColumnNames && !absl::StartsWith(begin, "{");
    if (files.size() > 1 && (has_names || absl::StartsWith(begin, "["))) {
      return absl::InvalidArgumentError(absl::StrCat(
          file,
          ": several files can be read as one only if they are JSON lines or "
          "plain text, without names of columns and no arrays"));
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
