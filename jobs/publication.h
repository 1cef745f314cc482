// Taking a finished artifact over from a workspace into the store.
#ifndef QUANTD_JOBS_PUBLICATION_H_
#define QUANTD_JOBS_PUBLICATION_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "quantd/v1/artifact.pb.h"
#include "quantd/v1/evaluation.pb.h"
#include "quantd/v1/job.pb.h"
#include "quantd/v1/worker.pb.h"
#include "storage/artifact_store.h"

namespace quantd {

// Adopts the files that the worker named and returns the artifact's record.
// What the server knows itself (name, digest, sizes, job, source, recipe,
// time) is filled in here, whatever the worker says. May be repeated: files
// that the store took over in an earlier call are fine.
//
// DataLoss: a file's bytes or size are not what the worker announced.
// Internal: the report names no files, or files outside the workspace.
// Store errors pass through.
absl::StatusOr<v1::Artifact> AdoptArtifact(const v1::Job& job,
                                           const v1::AttemptSuccess& success,
                                           const std::string& workspace,
                                           absl::Time now,
                                           ArtifactStore* artifacts);

// SHA-256 of the lines "<sha256>  <size>  <path>\n" of all files. REQUIRES:
// sorted by path.
std::string ManifestDigest(const v1::Artifact& artifact);

}  // namespace quantd

#endif  // QUANTD_JOBS_PUBLICATION_H_
