// How the names in a job become the things they stand for: at submission to
// canonical resource names, at the start of an attempt to directories and
// files.
//
// Thread-safe: free functions over their arguments.
#ifndef QUANTD_JOBS_INPUT_RESOLUTION_H_
#define QUANTD_JOBS_INPUT_RESOLUTION_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "quantd/v1/job.pb.h"
#include "quantd/v1/worker.pb.h"
#include "storage/artifact_store.h"
#include "storage/metadata_store.h"

namespace quantd {

class JobFiles;

// The id of the job that has not ended and will make the artifact
// `output_id`, or none.
using JobProducing =
    absl::FunctionRef<std::optional<std::string>(absl::string_view output_id)>;

// Replaces the names in `spec` by canonical ones ("models/x", "datasets/x",
// "artifacts/x", "jobs/{id}") and adds the jobs whose output is read to
// `after`, which ends up sorted and without repeats. A metric that compares an
// artifact without a named baseline gets the model it was made from;
// InvalidArgument when the target is a model. NotFound names the field and the
// resource that does not exist; InvalidArgument a name of the wrong kind.
absl::Status ResolveNames(const MetadataStore& store, JobProducing producing,
                          v1::JobSpec* spec);

// The resources a job with canonical names reads. The output of another job
// is listed under the artifact's name.
absl::StatusOr<std::vector<std::string>> ResourcesRead(
    const MetadataStore& store, const v1::JobSpec& spec);

// Fills the input_*, baseline_*, dataset_* and recipe fields. Every stored byte
// that the attempt will read is compared with its digest: DataLoss names the
// resource. NotFound when an input was deleted meanwhile.
absl::Status PrepareInputs(const MetadataStore& store,
                           const ArtifactStore& artifacts, JobFiles& files,
                           const v1::Job& job, v1::Assignment* assignment);

}  // namespace quantd

#endif  // QUANTD_JOBS_INPUT_RESOLUTION_H_
