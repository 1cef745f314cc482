#include "jobs/job_files.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <system_error>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/file.h"
#include "base/sha256.h"
#include "base/status_macros.h"
#include "jobs/job_id.h"

namespace quantd {
namespace {

namespace fs = std::filesystem;

std::string Absolute(const std::string& path) {
  std::error_code error;
  const fs::path absolute = fs::absolute(path, error);
  return error ? path : absolute.lexically_normal().string();
}

void RemoveTree(const std::string& path) {
  std::error_code ignored;  // Leftovers are removed at the next start.
  fs::remove_all(path, ignored);
}

// Whether `directory` shows exactly the files of `links` (path -> blob).
bool ShowsLinks(const std::string& directory,
                const std::vector<std::pair<std::string, std::string>>& links) {
  std::error_code error;
  for (const auto& [path, blob] : links) {
    const fs::path target = fs::read_symlink(directory + "/" + path, error);
    if (error || target != fs::path(blob)) return false;
  }
  return fs::is_directory(directory, error);
}

absl::Status MakeLink(const std::string& blob, const std::string& link) {
  RETURN_IF_ERROR(CreateDirectories(fs::path(link).parent_path().string()));
  if (::symlink(blob.c_str(), link.c_str()) != 0) {
    return ErrnoToStatus(errno, "symlink", link);
  }
  return absl::OkStatus();
}

}  // namespace

JobFiles::JobFiles(const std::string& data_directory)
    : data_directory_(Absolute(data_directory)),
      workspaces_(data_directory_ + "/workspaces"),
      logs_(data_directory_ + "/logs"),
      inputs_(data_directory_ + "/inputs") {}

absl::Status JobFiles::Prepare() {
  RemoveTree(inputs_);
  RETURN_IF_ERROR(CreateDirectories(workspaces_));
  RETURN_IF_ERROR(CreateDirectories(logs_));
  return CreateDirectories(inputs_);
}

std::string JobFiles::Workspace(absl::string_view job_id) const {
  return absl::StrCat(workspaces_, "/", job_id);
}

std::string JobFiles::LogPath(absl::string_view job_id,
                              uint32_t attempt) const {
  return absl::StrCat(logs_, "/", job_id, ".", attempt, ".log");
}

std::string JobFiles::StatisticsDirectory() const {
  return data_directory_ + "/statistics";
}

std::string JobFiles::ScoreDirectory() const {
  return data_directory_ + "/scores";
}

absl::Status JobFiles::CreateWorkspace(absl::string_view job_id) const {
  return CreateDirectories(Workspace(job_id));
}

void JobFiles::RemoveWorkspace(absl::string_view job_id) const {
  RemoveTree(Workspace(job_id));
}

std::vector<std::string> JobFiles::ListWorkspaces() const {
  std::vector<std::string> ids;
  std::error_code error;
  for (fs::directory_iterator it(workspaces_, error), end; !error && it != end;
       it.increment(error)) {
    std::string name = it->path().filename().string();
    if (IsJobId(name)) ids.push_back(std::move(name));
  }
  return ids;
}

void JobFiles::RemoveLogs(absl::string_view job_id, uint32_t attempts) const {
  for (uint32_t attempt = 1; attempt <= attempts; ++attempt) {
    ::unlink(LogPath(job_id, attempt).c_str());
  }
}

absl::StatusOr<std::string> JobFiles::ReadLog(absl::string_view job_id,
                                              uint32_t attempt,
                                              uint64_t offset) const {
  const std::string path = LogPath(job_id, attempt);
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0 && errno != ENOENT) return ErrnoToStatus(errno, "open", path);
  const absl::Cleanup close = [fd] {
    if (fd >= 0) ::close(fd);
  };
  const off_t end = fd < 0 ? 0 : ::lseek(fd, 0, SEEK_END);
  if (end < 0) return ErrnoToStatus(errno, "lseek", path);
  if (offset > static_cast<uint64_t>(end)) {
    return absl::OutOfRangeError(absl::StrCat(
        "offset ", offset, " lies beyond the end of the log (", end, ")"));
  }
  std::string data(
      std::min<uint64_t>(kMaxLogChunk, static_cast<uint64_t>(end) - offset),
      '\0');
  if (data.empty()) return data;
  const ssize_t got =
      ::pread(fd, data.data(), data.size(), static_cast<off_t>(offset));
  if (got < 0) return ErrnoToStatus(errno, "read", path);
  data.resize(static_cast<size_t>(got));
  return data;
}

absl::StatusOr<std::string> JobFiles::MaterialiseInput(
    const v1::Artifact& artifact, const ArtifactStore& artifacts) {
  if (!IsSha256Hex(artifact.digest())) {
    return absl::DataLossError("the artifact's record has no digest");
  }
  std::vector<std::pair<std::string, std::string>> links;
  for (const v1::ArtifactFile& file : artifact.files()) {
    RETURN_IF_ERROR(CheckRelativePath(file.path()));
    RETURN_IF_ERROR(Annotate(artifacts.Verify(file.digest()), file.path()));
    ASSIGN_OR_RETURN(std::string blob, artifacts.PathOf(file.digest()));
    links.emplace_back(file.path(), std::move(blob));
  }
  const std::string directory = absl::StrCat(inputs_, "/", artifact.digest());
  absl::MutexLock lock(&inputs_mutex_);
  if (ShowsLinks(directory, links)) return directory;
  // Something else in its place can only be a leftover; readers that still
  // have its files open keep them.
  RemoveTree(directory);
  const std::string incoming = absl::StrCat(directory, ".incoming");
  RemoveTree(incoming);
  RETURN_IF_ERROR(CreateDirectories(incoming));
  for (const auto& [path, blob] : links) {
    RETURN_IF_ERROR(MakeLink(blob, incoming + "/" + path));
  }
  if (::rename(incoming.c_str(), directory.c_str()) != 0) {
    return ErrnoToStatus(errno, "rename", incoming);
  }
  return directory;
}

absl::Status CheckRelativePath(absl::string_view path) {
  for (absl::string_view part : absl::StrSplit(path, '/')) {
    if (part.empty() || part == "." || part == ".." ||
        part.find('\0') != absl::string_view::npos) {
      return absl::InvalidArgumentError(
          absl::StrCat("\"", path, "\" is no plain path inside a directory"));
    }
  }
  return absl::OkStatus();
}

}  // namespace quantd
