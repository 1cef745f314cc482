#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "base/sha256.h"
#include "base/status_macros.h"
#include "storage/artifact_store.h"

namespace quantd {
namespace {

constexpr mode_t kBlobMode = 0444;

absl::Status CheckDigest(absl::string_view digest) {
  if (IsSha256Hex(digest)) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("\"", digest, "\" is not a SHA-256 in hexadecimal"));
}

// Where blobs lie and how a finished file becomes one.
class BlobDirectory {
 public:
  explicit BlobDirectory(const std::string& root)
      : blobs_(absl::StrCat(root, "/blobs")),
        incoming_(absl::StrCat(root, "/incoming")) {}

  const std::string& blobs() const { return blobs_; }
  const std::string& incoming() const { return incoming_; }

  std::string PathOf(absl::string_view digest) const {
    return absl::StrCat(ShardOf(digest), "/", digest);
  }

  std::string NewIncomingPath() const {
    return absl::StrCat(incoming_, "/", counter_.fetch_add(1));
  }

  // Renames `path`, whose bytes are known to have `digest` and to be on disk,
  // to its final name. A blob that exists already is replaced by the same
  // bytes, which heals it should it have rotted; who has it open keeps the
  // old file. EXDEV comes back as Unimplemented.
  absl::Status Publish(const std::string& path,
                       absl::string_view digest) const {
    if (::chmod(path.c_str(), kBlobMode) != 0) {
      return ErrnoToStatus(errno, "chmod", path);
    }
    const std::string shard = ShardOf(digest);
    if (::mkdir(shard.c_str(), 0755) == 0) {
      RETURN_IF_ERROR(SyncPath(blobs_));
    } else if (errno != EEXIST) {
      return ErrnoToStatus(errno, "mkdir", shard);
    }
    const std::string target = PathOf(digest);
    if (::rename(path.c_str(), target.c_str()) != 0) {
      if (errno == EXDEV) return absl::UnimplementedError(path);
      return ErrnoToStatus(errno, "rename", target);
    }
    return SyncPath(shard);
  }

  std::string ShardOf(absl::string_view digest) const {
    return absl::StrCat(blobs_, "/", digest.substr(0, 2));
  }

 private:
  const std::string blobs_;
  const std::string incoming_;
  mutable std::atomic<uint64_t> counter_{0};
};

class FileBlobWriter final : public BlobWriter {
 public:
  static absl::StatusOr<std::unique_ptr<FileBlobWriter>> Create(
      const BlobDirectory* directory) {
    std::string path = directory->NewIncomingPath();
    const int fd =
        ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (fd < 0) return ErrnoToStatus(errno, "create", path);
    return std::unique_ptr<FileBlobWriter>(
        new FileBlobWriter(directory, std::move(path), fd));
  }

  ~FileBlobWriter() override {
    Close();
    if (!published_) ::unlink(path_.c_str());
  }

  absl::Status Append(absl::string_view bytes) override {
    if (fd_ < 0) return absl::FailedPreconditionError("the blob is finished");
    while (!bytes.empty()) {
      const ssize_t n = ::write(fd_, bytes.data(), bytes.size());
      if (n < 0) {
        if (errno == EINTR) continue;
        return ErrnoToStatus(errno, "write", path_);
      }
      hash_.Update(bytes.substr(0, static_cast<size_t>(n)));
      bytes.remove_prefix(static_cast<size_t>(n));
    }
    return absl::OkStatus();
  }

  absl::StatusOr<std::string> Finish(
      absl::string_view expected_digest) override {
    if (fd_ < 0) return absl::FailedPreconditionError("the blob is finished");
    absl::Status synced;
    if (::fsync(fd_) != 0) synced = ErrnoToStatus(errno, "fsync", path_);
    Close();
    RETURN_IF_ERROR(synced);
    const std::string digest = hash_.FinishHex();
    if (!expected_digest.empty() && digest != expected_digest) {
      return absl::InvalidArgumentError(absl::StrCat("the bytes have SHA-256 ",
                                                     digest, ", announced was ",
                                                     expected_digest));
    }
    RETURN_IF_ERROR(directory_->Publish(path_, digest));
    published_ = true;
    return digest;
  }

 private:
  FileBlobWriter(const BlobDirectory* directory, std::string path, int fd)
      : directory_(directory), path_(std::move(path)), fd_(fd) {}

  void Close() {
    if (fd_ >= 0) ::close(fd_);
    fd_ = -1;
  }

  const BlobDirectory* const directory_;
  const std::string path_;
  int fd_;
  Sha256 hash_;
  bool published_ = false;
};

class FileArtifactStore final : public ArtifactStore {
 public:
  explicit FileArtifactStore(const std::string& root) : directory_(root) {}

  absl::Status Initialise();
  absl::StatusOr<std::unique_ptr<BlobWriter>> NewWriter() override;
  absl::Status Adopt(const std::string& path,
                     absl::string_view expected_digest) override;
  absl::StatusOr<std::string> PathOf(absl::string_view digest) const override;
  absl::Status Verify(absl::string_view digest) const override;
  absl::StatusOr<uint64_t> SizeOf(absl::string_view digest) const override;
  absl::StatusOr<std::vector<std::string>> List() const override;
  absl::Status Delete(absl::string_view digest) override;
  absl::StatusOr<uint64_t> Reclaim(
      const absl::flat_hash_set<std::string>& referenced) override;

 private:
  absl::Status CopyIn(const std::string& path,
                      absl::string_view expected_digest);
  absl::Status EmptyIncoming();
  absl::StatusOr<struct stat> Stat(absl::string_view digest) const;

  const BlobDirectory directory_;
};

absl::Status FileArtifactStore::Initialise() {
  RETURN_IF_ERROR(CreateDirectories(directory_.blobs()));
  RETURN_IF_ERROR(CreateDirectories(directory_.incoming()));
  RETURN_IF_ERROR(EmptyIncoming());
  // Finds a full or read-only disk now rather than at the end of a job.
  const std::string probe = absl::StrCat(directory_.incoming(), "/probe");
  RETURN_IF_ERROR(WriteFileDurably(probe, "quantd"));
  if (::unlink(probe.c_str()) != 0) {
    return ErrnoToStatus(errno, "unlink", probe);
  }
  return SyncPath(directory_.blobs());
}

absl::Status FileArtifactStore::EmptyIncoming() {
  std::error_code error;
  std::filesystem::directory_iterator entry(directory_.incoming(), error);
  const std::filesystem::directory_iterator end;
  while (!error && entry != end) {
    std::error_code removed;
    std::filesystem::remove_all(entry->path(), removed);
    if (removed) {
      return ErrnoToStatus(removed.value(), "remove", entry->path().string());
    }
    entry.increment(error);
  }
  if (error) {
    return ErrnoToStatus(error.value(), "list", directory_.incoming());
  }
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<BlobWriter>> FileArtifactStore::NewWriter() {
  return FileBlobWriter::Create(&directory_);
}

absl::Status FileArtifactStore::Adopt(const std::string& path,
                                      absl::string_view expected_digest) {
  RETURN_IF_ERROR(CheckDigest(expected_digest));
  struct stat info;
  // Not followed: a symbolic link must not become a blob.
  if (::lstat(path.c_str(), &info) != 0) {
    return ErrnoToStatus(errno, "stat", path);
  }
  if (!S_ISREG(info.st_mode)) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ": not a regular file"));
  }
  ASSIGN_OR_RETURN(const std::string digest, Sha256HexOfFile(path));
  if (digest != expected_digest) {
    return absl::DataLossError(absl::StrCat(path, ": has SHA-256 ", digest,
                                            ", expected ", expected_digest));
  }
  RETURN_IF_ERROR(SyncPath(path));
  const absl::Status published = directory_.Publish(path, digest);
  if (!absl::IsUnimplemented(published)) return published;
  return CopyIn(path, expected_digest);
}

absl::Status FileArtifactStore::CopyIn(const std::string& path,
                                       absl::string_view expected_digest) {
  ASSIGN_OR_RETURN(const std::unique_ptr<BlobWriter> writer, NewWriter());
  absl::Status appended;
  RETURN_IF_ERROR(ReadFileInChunks(path, [&](absl::string_view chunk) {
    if (appended.ok()) appended = writer->Append(chunk);
  }));
  RETURN_IF_ERROR(appended);
  RETURN_IF_ERROR(writer->Finish(expected_digest).status());
  if (::unlink(path.c_str()) != 0) return ErrnoToStatus(errno, "unlink", path);
  return absl::OkStatus();
}

absl::StatusOr<struct stat> FileArtifactStore::Stat(
    absl::string_view digest) const {
  RETURN_IF_ERROR(CheckDigest(digest));
  const std::string path = directory_.PathOf(digest);
  struct stat info;
  if (::stat(path.c_str(), &info) != 0) {
    if (errno == ENOENT) {
      return absl::NotFoundError(absl::StrCat("no blob ", digest));
    }
    return ErrnoToStatus(errno, "stat", path);
  }
  return info;
}

absl::StatusOr<std::string> FileArtifactStore::PathOf(
    absl::string_view digest) const {
  RETURN_IF_ERROR(Stat(digest).status());
  return directory_.PathOf(digest);
}

absl::Status FileArtifactStore::Verify(absl::string_view digest) const {
  ASSIGN_OR_RETURN(const std::string path, PathOf(digest));
  ASSIGN_OR_RETURN(const std::string actual, Sha256HexOfFile(path));
  if (actual != digest) {
    return absl::DataLossError(absl::StrCat("blob ", digest,
                                            " is corrupt: its bytes have "
                                            "SHA-256 ",
                                            actual));
  }
  return absl::OkStatus();
}

absl::StatusOr<uint64_t> FileArtifactStore::SizeOf(
    absl::string_view digest) const {
  ASSIGN_OR_RETURN(const struct stat info, Stat(digest));
  return static_cast<uint64_t>(info.st_size);
}

absl::StatusOr<std::vector<std::string>> FileArtifactStore::List() const {
  std::vector<std::string> digests;
  std::error_code error;
  std::filesystem::recursive_directory_iterator entry(directory_.blobs(),
                                                      error);
  const std::filesystem::recursive_directory_iterator end;
  while (!error && entry != end) {
    std::string name = entry->path().filename().string();
    if (IsSha256Hex(name)) digests.push_back(std::move(name));
    entry.increment(error);
  }
  if (error) return ErrnoToStatus(error.value(), "list", directory_.blobs());
  return digests;
}

absl::Status FileArtifactStore::Delete(absl::string_view digest) {
  ASSIGN_OR_RETURN(const std::string path, PathOf(digest));
  if (::unlink(path.c_str()) != 0) return ErrnoToStatus(errno, "unlink", path);
  return SyncPath(directory_.ShardOf(digest));
}

absl::StatusOr<uint64_t> FileArtifactStore::Reclaim(
    const absl::flat_hash_set<std::string>& referenced) {
  ASSIGN_OR_RETURN(const std::vector<std::string> digests, List());
  uint64_t reclaimed = 0;
  for (const std::string& digest : digests) {
    if (referenced.contains(digest)) continue;
    ASSIGN_OR_RETURN(const uint64_t size, SizeOf(digest));
    RETURN_IF_ERROR(Delete(digest));
    reclaimed += size;
  }
  return reclaimed;
}

}  // namespace

absl::StatusOr<std::unique_ptr<ArtifactStore>> OpenFileArtifactStore(
    const std::string& root) {
  std::error_code error;
  const std::filesystem::path absolute = std::filesystem::absolute(root, error);
  if (error) return ErrnoToStatus(error.value(), "resolve", root);
  auto store = std::make_unique<FileArtifactStore>(absolute.string());
  RETURN_IF_ERROR(store->Initialise());
  return store;
}

}  // namespace quantd
