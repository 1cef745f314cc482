// The part of an evaluate job that continues prompts.
#ifndef QUANTD_JOBS_CONTINUATION_RUN_H_
#define QUANTD_JOBS_CONTINUATION_RUN_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "evaluators/generator.h"
#include "kernels/execution_context.h"
#include "models/model.h"
#include "models/tokenizer.h"
#include "quantd/v1/evaluation.pb.h"
#include "quantd/v1/job.pb.h"

namespace quantd {

// The options of a completed spec, without stop tokens.
GenerationOptions GenerationOptionsOf(const v1::Generation& spec);

// The tokens that end a text: the tokenizer's end of sequence and the
// eos_token_id of config.json.
std::vector<int32_t> StopTokens(const Model& model, const Tokenizer& tokenizer);

// The prompts of a dataset: one JSON object {"prompt": "..."} a line, other
// members ignored, empty lines skipped. InvalidArgument names the line.
absl::StatusOr<std::vector<std::string>> ParsePrompts(absl::string_view text);

// Continues every prompt of `text` up to a stop token and adds the results to
// `evaluation`. Returns the number of tokens generated.
absl::StatusOr<uint64_t> ContinuePrompts(const v1::Generation& spec,
                                         absl::string_view text,
                                         const Model& model,
                                         const Tokenizer& tokenizer,
                                         ExecutionContext& context,
                                         v1::Evaluation* evaluation);

}  // namespace quantd

#endif  // QUANTD_JOBS_CONTINUATION_RUN_H_
