// A batch of sequences that grows token by token: every block keeps what it
// needs of the tokens it has seen (keys and values, recurrent states), so that
// a step costs one token a sequence whatever came before.
//
//   DecodingSession session(model, blocks);
//   ASSIGN_OR_RETURN(Tensor logits, session.Advance(prompts, ctx));
//   ASSIGN_OR_RETURN(logits, session.Advance({{7}, {9}}, ctx));
//   session.Select({1, 1});  // both sequences go on from the second
//
// Confined to one thread.
#ifndef QUANTD_EVALUATORS_DECODING_SESSION_H_
#define QUANTD_EVALUATORS_DECODING_SESSION_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "kernels/execution_context.h"
#include "models/model.h"
#include "tensor/tensor.h"

namespace quantd {

class DecodingSession {
 public:
  // All blocks of `model`, in order; both outlive the session.
  DecodingSession(const Model& model,
                  absl::Span<const std::unique_ptr<Block>> blocks);

  // Appends tokens[i] to sequence i and returns the logits that follow its
  // last token: [sequences, vocabulary]. The first call begins the sequences;
  // later calls name as many. InvalidArgument for a sequence without a new
  // token; any error of Model::Embed().
  absl::StatusOr<Tensor> Advance(absl::Span<const std::vector<int32_t>> tokens,
                                 ExecutionContext& ctx);

  // Sequence i becomes what sequence sources[i] is: reorders, drops and
  // doubles. REQUIRES: Advance() was called; sources are sequences.
  void Select(absl::Span<const int> sources);

  size_t sequences() const { return lengths_.size(); }
  // Bytes that the blocks keep.
  size_t state_bytes() const;

 private:
  const Model& model_;
  const absl::Span<const std::unique_ptr<Block>> blocks_;
  std::vector<std::unique_ptr<BlockState>> states_;
  std::vector<int64_t> lengths_;
};

}  // namespace quantd

#endif  // QUANTD_EVALUATORS_DECODING_SESSION_H_
