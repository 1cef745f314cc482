#include "evaluators/prefix_pass.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "tensor/sequence_batch.h"

namespace quantd {
namespace {

absl::Span<const PrefixNode> NodesOf(const PrefixPlan& plan,
                                     const PrefixLevel& level) {
  return absl::MakeConstSpan(plan.nodes)
      .subspan(static_cast<size_t>(level.first),
               static_cast<size_t>(level.count));
}

int64_t RowsOf(const PrefixPlan& plan, const PrefixLevel& level) {
  int64_t rows = 0;
  for (const PrefixNode& node : NodesOf(plan, level)) rows += node.tokens();
  return rows;
}

// A level behind sequences that stay as they are: trunks, of which the level's
// nodes are not all children, get no token.
SequenceBatch SequencesOf(const PrefixPlan& plan, const PrefixLevel& level,
                          const std::vector<int64_t>& trunk_ends) {
  std::vector<int64_t> past = trunk_ends;
  std::vector<int64_t> tokens(trunk_ends.size(), 0);
  for (const PrefixNode& node : NodesOf(plan, level)) {
    past.push_back(node.begin);
    tokens.push_back(node.tokens());
  }
  return SequenceBatch::Continue(past, tokens);
}

}  // namespace

absl::StatusOr<PrefixPass> PrefixPass::Load(const Model& model,
                                            ScoringOrder order,
                                            ExecutionContext& ctx) {
  if (!model.description().predicts_next_token) {
    return absl::InvalidArgumentError(absl::StrCat(
        model.checkpoint().directory(), ": ", model.description().architecture,
        " predicts masked tokens, not the next one, and has no likelihood of a "
        "text"));
  }
  PrefixPass pass(&model, order);
  if (order == ScoringOrder::kLayerMajor) return pass;
  for (int k = 0; k < model.block_count(); ++k) {
    RETURN_IF_ERROR(ctx.CheckCancelled());
    ASSIGN_OR_RETURN(std::unique_ptr<Block> block, model.LoadBlock(k, ctx));
    pass.blocks_.push_back(std::move(block));
  }
  return pass;
}

absl::Status PrefixPass::Begin(absl::Span<const ScoreRequest> requests,
                               const PrefixPlan& plan,
                               const ActivationOptions& activations,
                               absl::FunctionRef<void()> on_step,
                               ExecutionContext& ctx) {
  store_.reset();
  trunk_ends_.clear();
  trunks_.clear();
  trunks_.resize(blocks_.size());
  if (order_ == ScoringOrder::kBatchMajor || plan.batches.empty()) {
    return absl::OkStatus();
  }
  ASSIGN_OR_RETURN(
      store_, ActivationStore::Create(
                  plan.rows, model_->description().hidden_size, activations));
  for (const PrefixBatch& batch : plan.batches) {
    RETURN_IF_ERROR(ctx.CheckCancelled());
    ASSIGN_OR_RETURN(const Tensor x, Embed(requests, plan, batch, ctx));
    RETURN_IF_ERROR(store_->Write(batch.first_row, x));
  }
  for (int k = 0; k < model_->block_count(); ++k) {
    RETURN_IF_ERROR(ctx.CheckCancelled());
    ASSIGN_OR_RETURN(const std::unique_ptr<Block> block,
                     model_->LoadBlock(k, ctx));
    std::unique_ptr<BlockState> trunks;
    for (const PrefixBatch& batch : plan.batches) {
      ASSIGN_OR_RETURN(const Tensor x,
                       store_->Read(batch.first_row, batch.rows));
      ASSIGN_OR_RETURN(const Tensor y, RunBlock(*block, plan, batch,
                                                trunk_ends_, x, &trunks, ctx));
      RETURN_IF_ERROR(store_->Write(batch.first_row, y));
      Pass(plan, batch);
      on_step();
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<Tensor> PrefixPass::Hidden(
    absl::Span<const ScoreRequest> requests, const PrefixPlan& plan,
    const PrefixBatch& batch, ExecutionContext& ctx) {
  if (order_ == ScoringOrder::kLayerMajor) {
    return store_->Read(batch.first_row, batch.rows);
  }
  ASSIGN_OR_RETURN(Tensor hidden, Embed(requests, plan, batch, ctx));
  for (size_t k = 0; k < blocks_.size(); ++k) {
    ASSIGN_OR_RETURN(hidden, RunBlock(*blocks_[k], plan, batch, trunk_ends_,
                                      hidden, &trunks_[k], ctx));
  }
  Pass(plan, batch);
  return hidden;
}

absl::StatusOr<Tensor> PrefixPass::Embed(
    absl::Span<const ScoreRequest> requests, const PrefixPlan& plan,
    const PrefixBatch& batch, ExecutionContext& ctx) const {
  std::vector<int32_t> tokens;
  std::vector<int64_t> past, lengths;
  for (const PrefixLevel& level : batch.levels) {
    for (const PrefixNode& node : NodesOf(plan, level)) {
      const std::vector<int32_t>& from = requests[node.request].tokens;
      tokens.insert(tokens.end(), from.begin() + node.begin,
                    from.begin() + node.end);
      past.push_back(node.begin);
      lengths.push_back(node.tokens());
    }
  }
  return model_->Embed(tokens, SequenceBatch::Continue(past, lengths), ctx);
}

absl::StatusOr<Tensor> PrefixPass::RunBlock(
    Block& block, const PrefixPlan& plan, const PrefixBatch& batch,
    const std::vector<int64_t>& trunk_ends, const Tensor& x,
    std::unique_ptr<BlockState>* trunks, ExecutionContext& ctx) {
  const bool continues = batch.trunk >= 0;
  if (!continues && !batch.is_trunk && batch.levels.size() == 1) {
    // Nobody goes on from here: nothing need be kept.
    return block.Forward(x, SequencesOf(plan, batch.levels[0], {}), ctx);
  }
  // Trunks come first among the sequences and stay there.
  std::unique_ptr<BlockState> own;
  BlockState* state = trunks->get();
  if (state == nullptr) {
    own = block.NewState();
    state = own.get();
  }
  const int kept = static_cast<int>(trunk_ends.size());
  std::vector<int> sources(trunk_ends.size());
  for (int i = 0; i < kept; ++i) sources[static_cast<size_t>(i)] = i;
  Tensor y = Tensor::Uninitialized(x.shape());
  int64_t row = 0;
  for (size_t l = 0; l < batch.levels.size(); ++l) {
    const PrefixLevel& level = batch.levels[l];
    if (l > 0 || continues) {
      sources.resize(trunk_ends.size());
      for (const PrefixNode& node : NodesOf(plan, level)) {
        sources.push_back(l > 0 ? kept + node.parent - batch.levels[l - 1].first
                                : kept - 1);
      }
      state->Select(sources);
    }
    const int64_t rows = RowsOf(plan, level);
    ASSIGN_OR_RETURN(
        const Tensor out,
        block.Forward(x.Rows(row, rows), SequencesOf(plan, level, trunk_ends),
                      ctx, nullptr, state));
    std::copy_n(out.data(), out.size(), y.row(row));
    row += rows;
  }
  // What trunks hold once this batch is done: a new one stays, finished ones
  // go.
  sources.resize(trunk_ends.size());
  if (batch.is_trunk) sources.push_back(kept);
  sources.resize(sources.size() - static_cast<size_t>(batch.finished_trunks));
  if (sources.empty()) {
    trunks->reset();
    return y;
  }
  state->Select(sources);
  if (own != nullptr) *trunks = std::move(own);
  return y;
}

void PrefixPass::Pass(const PrefixPlan& plan, const PrefixBatch& batch) {
  if (batch.is_trunk) {
    const PrefixLevel& level = batch.levels[0];
    trunk_ends_.push_back(plan.nodes[static_cast<size_t>(level.first)].end);
  }
  trunk_ends_.resize(trunk_ends_.size() -
                     static_cast<size_t>(batch.finished_trunks));
}

}  // namespace quantd
