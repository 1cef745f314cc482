#include "models/activation_store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "base/status_macros.h"

namespace quantd {
namespace {

int64_t ResidentRows(int64_t rows, int64_t cols, uint64_t memory_bytes) {
  const uint64_t row_bytes = static_cast<uint64_t>(cols) * sizeof(float);
  return static_cast<int64_t>(
      std::min<uint64_t>(static_cast<uint64_t>(rows),
                         memory_bytes / std::max<uint64_t>(1, row_bytes)));
}

// A file without a name in `directory`.
absl::StatusOr<int> OpenUnnamedFile(const std::string& directory) {
  const int fd =
      ::open(directory.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
  if (fd >= 0) return fd;
  if (errno != EOPNOTSUPP && errno != EISDIR && errno != EINVAL) {
    return ErrnoToStatus(errno, "open", directory);
  }
  // File systems without such files: made and unlinked.
  std::string name = directory + "/activations.XXXXXX";
  const int named = ::mkostemp(name.data(), O_CLOEXEC);
  if (named < 0) return ErrnoToStatus(errno, "create", name);
  ::unlink(name.c_str());
  return named;
}

// Adds what a person needs to know of a full disk.
absl::Status SpillError(int error, const char* operation,
                        const std::string& directory, uint64_t bytes) {
  return Annotate(ErrnoToStatus(error, operation, directory), "spilling ",
                  bytes,
                  " bytes of activations to disk (free disk, or give the job "
                  "more memory)");
}

}  // namespace

uint64_t SpilledBytes(int64_t rows, int64_t cols, uint64_t memory_bytes) {
  return static_cast<uint64_t>(rows - ResidentRows(rows, cols, memory_bytes)) *
         static_cast<uint64_t>(cols) * sizeof(float);
}

absl::StatusOr<ActivationStore> ActivationStore::Create(
    int64_t rows, int64_t cols, const ActivationOptions& options) {
  ActivationStore store(
      rows,
      Tensor::Uninitialized(
          {ResidentRows(rows, cols, options.memory_bytes), cols}),
      SpilledBytes(rows, cols, options.memory_bytes));
  if (store.spilled_bytes_ == 0) return store;
  store.path_ = options.directory;
  ASSIGN_OR_RETURN(store.fd_, OpenUnnamedFile(options.directory));
  const off_t size = static_cast<off_t>(store.spilled_bytes_);
  if (::fallocate(store.fd_, 0, 0, size) != 0 && errno != EOPNOTSUPP) {
    return SpillError(errno, "fallocate", store.path_, store.spilled_bytes_);
  }
  return store;
}

ActivationStore::ActivationStore(int64_t rows, Tensor resident,
                                 uint64_t spilled_bytes)
    : rows_(rows),
      resident_(std::move(resident)),
      spilled_bytes_(spilled_bytes) {}

ActivationStore::~ActivationStore() {
  if (fd_ >= 0) ::close(fd_);
}

ActivationStore::ActivationStore(ActivationStore&& other) noexcept
    : rows_(other.rows_),
      resident_(std::move(other.resident_)),
      spilled_bytes_(other.spilled_bytes_),
      fd_(std::exchange(other.fd_, -1)),
      path_(std::move(other.path_)) {}

ActivationStore& ActivationStore::operator=(ActivationStore&& other) noexcept {
  rows_ = other.rows_;
  resident_ = std::move(other.resident_);
  spilled_bytes_ = other.spilled_bytes_;
  std::swap(fd_, other.fd_);
  path_ = std::move(other.path_);
  return *this;
}

int64_t ActivationStore::FileOffset(int64_t row) const {
  return (row - resident_.rows()) * cols() *
         static_cast<int64_t>(sizeof(float));
}

absl::StatusOr<Tensor> ActivationStore::Read(int64_t begin,
                                             int64_t count) const {
  const int64_t held = std::clamp<int64_t>(resident_.rows() - begin, 0, count);
  if (held == count) return resident_.Rows(begin, count);
  Tensor out = Tensor::Uninitialized({count, cols()});
  if (held > 0) {
    std::copy_n(resident_.row(begin), held * cols(), out.data());
  }
  char* target = reinterpret_cast<char*>(out.row(held));
  off_t offset = FileOffset(begin + held);
  size_t left = static_cast<size_t>((count - held) * cols()) * sizeof(float);
  while (left > 0) {
    const ssize_t n = ::pread(fd_, target, left, offset);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return ErrnoToStatus(errno, "read activations", path_);
    if (n == 0) {
      return absl::DataLossError(absl::StrCat(path_,
                                              ": the activations end at byte ",
                                              offset, " of ", spilled_bytes_));
    }
    target += n;
    offset += n;
    left -= static_cast<size_t>(n);
  }
  return out;
}

absl::Status ActivationStore::Write(int64_t begin, const Tensor& rows) {
  const int64_t count = rows.rows();
  const int64_t held = std::clamp<int64_t>(resident_.rows() - begin, 0, count);
  if (held > 0 && rows.data() != resident_.row(begin)) {
    std::copy_n(rows.data(), held * cols(), resident_.row(begin));
  }
  const char* source = reinterpret_cast<const char*>(rows.row(held));
  off_t offset = FileOffset(begin + held);
  size_t left = static_cast<size_t>((count - held) * cols()) * sizeof(float);
  while (left > 0) {
    const ssize_t n = ::pwrite(fd_, source, left, offset);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return SpillError(errno, "write", path_, spilled_bytes_);
    source += n;
    offset += n;
    left -= static_cast<size_t>(n);
  }
  return absl::OkStatus();
}

}  // namespace quantd
