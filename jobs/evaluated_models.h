// The models of an evaluate job: the target and, where something compares, its
// baseline.
//
// Thread-safe.
#ifndef QUANTD_JOBS_EVALUATED_MODELS_H_
#define QUANTD_JOBS_EVALUATED_MODELS_H_

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "models/checkpoint.h"
#include "models/model_description.h"
#include "models/model_footprint.h"
#include "models/tokenizer.h"
#include "quantd/v1/worker.pb.h"

namespace quantd {

// A model, from headers.
struct OpenedModel {
  std::shared_ptr<const Checkpoint> checkpoint;
  ModelDescription description;
  ModelFootprint footprint;
};

// Any error of Checkpoint::Open() and DescribeModel().
absl::StatusOr<OpenedModel> OpenModel(const std::string& directory);

// Bits per weight that the checkpoint says of itself; 0 for an original.
double BitsPerWeightOf(const Checkpoint& checkpoint);

// InvalidArgument unless a token is the same piece of text to the target, which
// has `tokenizer`, and to its baseline, and a text begins alike for both.
absl::Status CheckSameTokenizer(const v1::Assignment& assignment,
                                const Tokenizer& tokenizer);

}  // namespace quantd

#endif  // QUANTD_JOBS_EVALUATED_MODELS_H_
