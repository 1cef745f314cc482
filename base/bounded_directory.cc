#include "base/bounded_directory.h"

#include <algorithm>
#include <filesystem>
#include <system_error>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/strings/match.h"

namespace quantd {

namespace fs = std::filesystem;

void DropOldestFiles(const std::string& directory, absl::string_view suffix,
                     uint64_t max_bytes) {
  struct Kept {
    fs::file_time_type used;
    uint64_t bytes;
    fs::path path;
  };
  std::vector<Kept> files;
  uint64_t total = 0;
  std::error_code error;
  for (fs::directory_iterator it(directory, error), end; !error && it != end;
       it.increment(error)) {
    if (!absl::EndsWith(it->path().filename().string(), suffix)) continue;
    std::error_code gone;
    Kept file = {it->last_write_time(gone), 0, it->path()};
    if (!gone) file.bytes = it->file_size(gone);
    if (gone) continue;
    total += file.bytes;
    files.push_back(std::move(file));
  }
  std::sort(files.begin(), files.end(), [](const Kept& a, const Kept& b) {
    return std::tie(a.used, a.path) < std::tie(b.used, b.path);
  });
  for (const Kept& file : files) {
    if (total <= max_bytes) break;
    std::error_code ignored;
    fs::remove(file.path, ignored);
    total -= file.bytes;
  }
}

void TouchFile(const std::string& path) {
  std::error_code ignored;
  fs::last_write_time(path, fs::file_time_type::clock::now(), ignored);
}

}  // namespace quantd
