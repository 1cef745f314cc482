#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "base/status_macros.h"

namespace quantd {
namespace {

constexpr size_t kChunkBytes = size_t{1} << 20;

absl::StatusOr<int> OpenForReading(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return ErrnoToStatus(errno, "open", path);
  struct stat info;
  if (::fstat(fd, &info) != 0) {
    const int error = errno;
    ::close(fd);
    return ErrnoToStatus(error, "stat", path);
  }
  if (!S_ISREG(info.st_mode)) {
    ::close(fd);
    return absl::InvalidArgumentError(
        absl::StrCat(path, ": not a regular file"));
  }
  return fd;
}

absl::Status WriteAll(int fd, absl::string_view content,
                      const std::string& path) {
  while (!content.empty()) {
    const ssize_t n = ::write(fd, content.data(), content.size());
    if (n < 0) {
      if (errno == EINTR) continue;
      return ErrnoToStatus(errno, "write", path);
    }
    content.remove_prefix(static_cast<size_t>(n));
  }
  return absl::OkStatus();
}

std::string ParentOf(const std::string& path) {
  const std::string parent = std::filesystem::path(path).parent_path();
  return parent.empty() ? "." : parent;
}

}  // namespace

absl::Status ErrnoToStatus(int error, absl::string_view operation,
                           absl::string_view path) {
  const std::string message =
      absl::StrCat(path, ": ", operation, ": ", strerror(error));
  switch (error) {
    case ENOENT:
    case ENOTDIR:
      return absl::NotFoundError(message);
    case EACCES:
    case EPERM:
    case EROFS:
      return absl::PermissionDeniedError(message);
    case ENOSPC:
    case EDQUOT:
      return absl::ResourceExhaustedError(message);
    case EEXIST:
      return absl::AlreadyExistsError(message);
    case EIO:
      return absl::UnavailableError(message);
    default:
      return absl::InternalError(message);
  }
}

absl::StatusOr<std::string> ReadFile(const std::string& path,
                                     uint64_t max_bytes) {
  ASSIGN_OR_RETURN(const int fd, OpenForReading(path));
  absl::Cleanup close_fd = [fd] { ::close(fd); };
  struct stat info;
  if (::fstat(fd, &info) != 0) return ErrnoToStatus(errno, "stat", path);
  if (static_cast<uint64_t>(info.st_size) > max_bytes) {
    return absl::ResourceExhaustedError(absl::StrCat(
        path, ": ", info.st_size, " bytes, the limit is ", max_bytes));
  }
  std::string content(static_cast<size_t>(info.st_size), '\0');
  size_t done = 0;
  while (done < content.size()) {
    const ssize_t n = ::read(fd, content.data() + done, content.size() - done);
    if (n < 0) {
      if (errno == EINTR) continue;
      return ErrnoToStatus(errno, "read", path);
    }
    if (n == 0) break;
    done += static_cast<size_t>(n);
  }
  content.resize(done);
  return content;
}

absl::Status ReadFileInChunks(const std::string& path,
                              absl::FunctionRef<void(absl::string_view)> sink) {
  ASSIGN_OR_RETURN(const int fd, OpenForReading(path));
  absl::Cleanup close_fd = [fd] { ::close(fd); };
  std::string chunk(kChunkBytes, '\0');
  while (true) {
    const ssize_t n = ::read(fd, chunk.data(), chunk.size());
    if (n < 0) {
      if (errno == EINTR) continue;
      return ErrnoToStatus(errno, "read", path);
    }
    if (n == 0) return absl::OkStatus();
    sink(absl::string_view(chunk.data(), static_cast<size_t>(n)));
  }
}

absl::Status WriteFileDurably(const std::string& path,
                              absl::string_view content) {
  return WritePiecesDurably(path, {content});
}

absl::Status WritePiecesDurably(const std::string& path,
                                absl::Span<const absl::string_view> pieces) {
  size_t i = 0;
  return WriteStreamDurably(
      path, [&]() -> absl::StatusOr<std::optional<absl::string_view>> {
        if (i == pieces.size()) return std::nullopt;
        return pieces[i++];
      });
}

absl::Status WriteStreamDurably(
    const std::string& path,
    absl::FunctionRef<absl::StatusOr<std::optional<absl::string_view>>()>
        next) {
  // Unique per process and call, so concurrent writers of one path never
  // share a temporary file; the last rename wins whole.
  static std::atomic<uint64_t> counter{0};
  const std::string temporary =
      absl::StrCat(path, ".tmp.", ::getpid(), ".", counter.fetch_add(1));
  const int fd =
      ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
  if (fd < 0) return ErrnoToStatus(errno, "create", temporary);
  absl::Cleanup remove = [&] { ::unlink(temporary.c_str()); };
  absl::Status written;
  while (written.ok()) {
    const absl::StatusOr<std::optional<absl::string_view>> piece = next();
    written = piece.status();
    if (!piece.ok() || !piece->has_value()) break;
    written = WriteAll(fd, **piece, temporary);
  }
  if (written.ok() && ::fsync(fd) != 0) {
    written = ErrnoToStatus(errno, "fsync", temporary);
  }
  ::close(fd);
  RETURN_IF_ERROR(written);
  if (::rename(temporary.c_str(), path.c_str()) != 0) {
    return ErrnoToStatus(errno, "rename", path);
  }
  std::move(remove).Cancel();
  return SyncPath(ParentOf(path));
}

absl::Status SyncPath(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return ErrnoToStatus(errno, "open", path);
  const int result = ::fsync(fd);
  const int error = errno;
  ::close(fd);
  if (result != 0) return ErrnoToStatus(error, "fsync", path);
  return absl::OkStatus();
}

absl::StatusOr<uint64_t> FreeDiskBytes(const std::string& path) {
  struct statvfs info;
  if (::statvfs(path.c_str(), &info) != 0) {
    return ErrnoToStatus(errno, "statvfs", path);
  }
  return static_cast<uint64_t>(info.f_bavail) * info.f_frsize;
}

absl::Status CreateDirectories(const std::string& path) {
  std::error_code error;
  std::filesystem::create_directories(path, error);
  if (error) return ErrnoToStatus(error.value(), "create directory", path);
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<MappedFile>> MappedFile::Open(
    const std::string& path) {
  ASSIGN_OR_RETURN(const int fd, OpenForReading(path));
  absl::Cleanup close_fd = [fd] { ::close(fd); };
  struct stat info;
  if (::fstat(fd, &info) != 0) return ErrnoToStatus(errno, "stat", path);
  const size_t size = static_cast<size_t>(info.st_size);
  if (size == 0) {  // mmap refuses empty maps
    return std::unique_ptr<MappedFile>(new MappedFile(path, nullptr, 0));
  }
  void* data = ::mmap(nullptr, size, PROT_READ, MAP_SHARED, fd, 0);
  if (data == MAP_FAILED) return ErrnoToStatus(errno, "mmap", path);
  return std::unique_ptr<MappedFile>(
      new MappedFile(path, static_cast<const char*>(data), size));
}

MappedFile::MappedFile(std::string path, const char* data, size_t size)
    : path_(std::move(path)), data_(data), size_(size) {}

MappedFile::~MappedFile() {
  if (data_ != nullptr) ::munmap(const_cast<char*>(data_), size_);
}

void MappedFile::Release(size_t offset, size_t size) const {
  const size_t page = static_cast<size_t>(::sysconf(_SC_PAGESIZE));
  // Only whole pages inside the range: neighbours may still be in use.
  const size_t begin = (offset + page - 1) / page * page;
  const size_t end = std::min(offset + size, size_) / page * page;
  if (begin >= end) return;
  ::madvise(const_cast<char*>(data_) + begin, end - begin, MADV_DONTNEED);
}

}  // namespace quantd
