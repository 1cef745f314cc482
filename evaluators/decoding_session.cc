#include "evaluators/decoding_session.h"

#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "tensor/ops.h"

namespace quantd {

DecodingSession::DecodingSession(
    const Model& model, absl::Span<const std::unique_ptr<Block>> blocks)
    : model_(model), blocks_(blocks) {
  for (const std::unique_ptr<Block>& block : blocks_) {
    states_.push_back(block->NewState());
  }
}

absl::StatusOr<Tensor> DecodingSession::Advance(
    absl::Span<const std::vector<int32_t>> tokens, ExecutionContext& ctx) {
  if (lengths_.empty()) lengths_.assign(tokens.size(), 0);
  if (tokens.empty() || tokens.size() != lengths_.size()) {
    return absl::InvalidArgumentError(
        absl::StrCat("a session of ", lengths_.size(), " sequences got ",
                     tokens.size(), " continuations"));
  }
  std::vector<int32_t> flat;
  std::vector<int64_t> counts;
  std::vector<int64_t> last_rows;
  for (size_t i = 0; i < tokens.size(); ++i) {
    if (tokens[i].empty()) {
      return absl::InvalidArgumentError(
          absl::StrCat("sequence ", i, " has no token to go on with"));
    }
    flat.insert(flat.end(), tokens[i].begin(), tokens[i].end());
    counts.push_back(static_cast<int64_t>(tokens[i].size()));
    last_rows.push_back(static_cast<int64_t>(flat.size()) - 1);
  }
  const auto batch = SequenceBatch::Continue(lengths_, counts);
  ASSIGN_OR_RETURN(Tensor hidden, model_.Embed(flat, batch, ctx));
  for (size_t k = 0; k < blocks_.size(); ++k) {
    ASSIGN_OR_RETURN(hidden, blocks_[k]->Forward(hidden, batch, ctx, nullptr,
                                                 states_[k].get()));
  }
  for (size_t i = 0; i < counts.size(); ++i) lengths_[i] += counts[i];
  return model_.Logits(ops::GatherRows(hidden, last_rows), ctx);
}

void DecodingSession::Select(absl::Span<const int> sources) {
  std::vector<int64_t> lengths;
  for (int source : sources) {
    lengths.push_back(lengths_[static_cast<size_t>(source)]);
  }
  lengths_ = std::move(lengths);
  for (const std::unique_ptr<BlockState>& state : states_) {
    state->Select(sources);
  }
}

size_t DecodingSession::state_bytes() const {
  size_t total = 0;
  for (const std::unique_ptr<BlockState>& state : states_) {
    total += state->bytes();
  }
  return total;
}

}  // namespace quantd
