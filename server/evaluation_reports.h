// Reports over stored texts and evaluations that need no worker.
//
// Thread-safe: free functions over their arguments.
#ifndef QUANTD_SERVER_EVALUATION_REPORTS_H_
#define QUANTD_SERVER_EVALUATION_REPORTS_H_

#include "absl/status/status.h"
#include "quantd/v1/evaluation.pb.h"
#include "storage/artifact_store.h"
#include "storage/metadata_store.h"

namespace quantd {

// NotFound names the dataset; InvalidArgument an option; DataLoss a dataset
// whose bytes are not those registered.
absl::Status ReportContamination(const MetadataStore& store,
                                 const ArtifactStore& artifacts,
                                 const v1::CheckContaminationRequest& request,
                                 v1::ContaminationReport* report);

// NotFound names the evaluation of a point, InvalidArgument a point without the
// numbers it needs; FailedPrecondition when the points do not determine a law
// (evaluators/degradation_fit.h).
absl::Status ReportDegradation(const MetadataStore& store,
                               const v1::FitDegradationRequest& request,
                               v1::DegradationReport* report);

}  // namespace quantd

#endif  // QUANTD_SERVER_EVALUATION_REPORTS_H_
