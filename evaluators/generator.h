// Text continuations from a network: greedy, sampled, or by (diverse) beam
// search.
//
// Confined to one thread; the device's threads work inside.
#ifndef QUANTD_EVALUATORS_GENERATOR_H_
#define QUANTD_EVALUATORS_GENERATOR_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "evaluators/beam_search.h"
#include "evaluators/sampling.h"
#include "kernels/execution_context.h"
#include "models/model.h"

namespace quantd {

struct GenerationOptions {
  int max_new_tokens = 64;
  std::vector<int32_t> stop_tokens;
  // Used with one beam.
  SamplingOptions sampling;
  uint64_t seed = 0;
  // More than one: beam search, which does not sample.
  int beams = 1;
  int beam_groups = 1;
  double beam_diversity = 0.5;
  double length_penalty = 0.0;
  // Prompts that advance together; changes speed and memory only.
  int batch_prompts = 8;
  // Whether a continuation is complete with the tokens it has so far, its last
  // one new; asked after every token, of every beam that is kept. Such a
  // continuation counts as stopped and grows no further. Empty: never.
  std::function<bool(absl::Span<const int32_t> tokens)> is_complete;
};

// InvalidArgument names the option: negative temperature, top_p outside (0, 1],
// sampling together with beams, and so on.
absl::Status CheckGenerationOptions(const GenerationOptions& options);

// Continuations of one prompt, best first; one unless beams are searched.
using Continuations = std::vector<Beam>;

class Generator {
 public:
  // Loads every block. `model` must outlive the generator. InvalidArgument
  // when the model does not predict next tokens.
  static absl::StatusOr<Generator> Load(const Model& model,
                                        ExecutionContext& ctx);

  // One result a prompt, in order. Every prompt draws from a stream of its
  // own, so a result does not depend on the other prompts. InvalidArgument
  // names an empty prompt or an option, OutOfRange a token; Cancelled soon
  // after the context is. `on_progress(done)` counts finished prompts.
  absl::StatusOr<std::vector<Continuations>> Generate(
      absl::Span<const std::vector<int32_t>> prompts,
      const GenerationOptions& options,
      absl::FunctionRef<void(size_t done)> on_progress, ExecutionContext& ctx);

 private:
  explicit Generator(const Model* model) : model_(model) {}

  // Prompts [first, first + prompts.size()) of the run, together.
  absl::StatusOr<std::vector<Continuations>> Sample(
      absl::Span<const std::vector<int32_t>> prompts, size_t first,
      const GenerationOptions& options, ExecutionContext& ctx);
  absl::StatusOr<Continuations> Search(const std::vector<int32_t>& prompt,
                                       size_t index,
                                       const GenerationOptions& options,
                                       ExecutionContext& ctx);

  const Model* model_;
  std::vector<std::unique_ptr<Block>> blocks_;
};

}  // namespace quantd

#endif  // QUANTD_EVALUATORS_GENERATOR_H_
