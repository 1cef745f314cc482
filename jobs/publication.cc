#include "jobs/publication.h"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <system_error>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "base/sha256.h"
#include "base/status_macros.h"
#include "jobs/job_change.h"
#include "jobs/job_files.h"

namespace quantd {
namespace {

namespace fs = std::filesystem;

// The directory of the report, resolved; it must lie in the workspace.
absl::StatusOr<std::string> ResolveDirectory(const std::string& workspace,
                                             const std::string& reported) {
  std::error_code error;
  const fs::path root = fs::canonical(workspace, error);
  if (error) return ErrnoToStatus(error.value(), "resolve", workspace);
  // An absolute path replaces the workspace here; both forms are accepted.
  const fs::path directory = fs::canonical(root / reported, error);
  if (error) return ErrnoToStatus(error.value(), "resolve", reported);
  if (directory != root &&
      !absl::StartsWith(directory.string(), root.string() + "/")) {
    return absl::InternalError(absl::StrCat(
        "the worker's artifact lies outside its workspace: ", reported));
  }
  return directory.string();
}

absl::Status CheckManifest(const v1::Artifact& artifact) {
  if (artifact.files().empty()) {
    return absl::InternalError("the worker reported an artifact without files");
  }
  const std::string* previous = nullptr;
  for (const v1::ArtifactFile& file : artifact.files()) {
    if (!CheckRelativePath(file.path()).ok() || !IsSha256Hex(file.digest())) {
      return absl::InternalError(absl::StrCat("the worker reported a file \"",
                                              file.path(), "\" with digest \"",
                                              file.digest(), "\""));
    }
    if (previous != nullptr && *previous == file.path()) {
      return absl::InternalError(absl::StrCat("the worker reported the file \"",
                                              file.path(), "\" twice"));
    }
    previous = &file.path();
  }
  return absl::OkStatus();
}

// Whether the file still has to be taken over; an earlier call may have done
// so. DataLoss when it is not the announced file.
absl::StatusOr<bool> NeedsAdoption(const std::string& path,
                                   const v1::ArtifactFile& file,
                                   const ArtifactStore& artifacts) {
  struct stat info;
  if (::lstat(path.c_str(), &info) != 0) {
    if (errno == ENOENT) {
      absl::StatusOr<uint64_t> stored = artifacts.SizeOf(file.digest());
      if (stored.ok() && *stored == file.size_bytes()) return false;
    }
    return ErrnoToStatus(errno, "stat", path);
  }
  if (!S_ISREG(info.st_mode)) {
    return absl::InternalError(
        absl::StrCat(file.path(), " is not a regular file"));
  }
  if (static_cast<uint64_t>(info.st_size) != file.size_bytes()) {
    return absl::DataLossError(absl::StrCat(file.path(), " has ", info.st_size,
                                            " bytes, announced ",
                                            file.size_bytes()));
  }
  return true;
}

}  // namespace

absl::StatusOr<v1::Artifact> AdoptArtifact(const v1::Job& job,
                                           const v1::AttemptSuccess& success,
                                           const std::string& workspace,
                                           absl::Time now,
                                           ArtifactStore* artifacts) {
  v1::Artifact artifact = success.artifact();
  std::sort(artifact.mutable_files()->begin(), artifact.mutable_files()->end(),
            [](const v1::ArtifactFile& a, const v1::ArtifactFile& b) {
              return a.path() < b.path();
            });
  RETURN_IF_ERROR(CheckManifest(artifact));
  ASSIGN_OR_RETURN(std::string directory,
                   ResolveDirectory(workspace, success.artifact_directory()));

  // All sizes before the first digest: a truncated file is found early.
  std::vector<const v1::ArtifactFile*> pending;
  uint64_t size_bytes = 0;
  for (const v1::ArtifactFile& file : artifact.files()) {
    ASSIGN_OR_RETURN(bool needed, NeedsAdoption(directory + "/" + file.path(),
                                                file, *artifacts));
    if (needed) pending.push_back(&file);
    size_bytes += file.size_bytes();
  }
  for (const v1::ArtifactFile* file : pending) {
    RETURN_IF_ERROR(Annotate(
        artifacts->Adopt(directory + "/" + file->path(), file->digest()),
        file->path()));
  }

  if (artifact.kind() == v1::Artifact::KIND_UNSPECIFIED) {
    artifact.set_kind(v1::Artifact::COMPRESSED_CHECKPOINT);
  }
  const v1::QuantizeSpec& spec = job.spec().quantize();
  artifact.set_name(absl::StrCat("artifacts/", spec.output_id()));
  artifact.set_digest(ManifestDigest(artifact));
  artifact.set_size_bytes(size_bytes);
  *artifact.mutable_create_time() = ToTimestamp(now);
  artifact.set_job(job.name());
  artifact.set_source(spec.model());
  artifact.set_recipe(spec.recipe().name());
  for (const auto& [key, value] : job.spec().labels()) {
    (*artifact.mutable_labels())[key] = value;
  }
  return artifact;
}

std::string ManifestDigest(const v1::Artifact& artifact) {
  Sha256 hash;
  for (const v1::ArtifactFile& file : artifact.files()) {
    hash.Update(absl::StrCat(file.digest(), "  ", file.size_bytes(), "  ",
                             file.path(), "\n"));
  }
  return hash.FinishHex();
}

}  // namespace quantd
