#include "evaluators/prefix_pass.h"

#include <algorithm>
#include <numeric>
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

// Forgets the last `ended` trunks of `ends.size() + ended`.
void DropTrunks(int ended, const std::vector<int64_t>& ends,
                std::unique_ptr<BlockState>* trunks) {
  if (ended == 0) return;
  if (ends.empty()) {
    trunks->reset();
    return;
  }
  std::vector<int> kept(ends.size());
  std::iota(kept.begin(), kept.end(), 0);
  (*trunks)->Select(kept);
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

int PrefixPass::TrunkStack::Advance(const PrefixPlan& plan,
                                    const PrefixBatch& batch, bool ran) {
  if (batch.is_trunk) {
    ran_.push_back(ran);
    const size_t node = static_cast<size_t>(batch.levels[0].first);
    if (ran) ends_.push_back(plan.nodes[node].end);
  }
  int ended = 0;
  for (int i = 0; i < batch.finished_trunks; ++i) {
    if (ran_.back()) {
      ends_.pop_back();
      ++ended;
    }
    ran_.pop_back();
  }
  return ended;
}

absl::Status PrefixPass::Begin(absl::Span<const ScoreRequest> requests,
                               const PrefixPlan& plan,
                               const PrefixPortion& portion,
                               const ActivationOptions& activations,
                               absl::FunctionRef<void()> on_step,
                               ExecutionContext& ctx) {
  requests_ = requests;
  plan_ = &plan;
  portion_ = &portion;
  next_ = 0;
  stack_ = TrunkStack();
  trunks_.clear();
  trunks_.resize(blocks_.size());
  store_.reset();
  if (order_ == ScoringOrder::kBatchMajor) return absl::OkStatus();
  ASSIGN_OR_RETURN(store_, ActivationStore::Create(
                               portion.rows, model_->description().hidden_size,
                               activations));
  places_.assign(plan.batches.size(), 0);
  int64_t place = 0;
  for (size_t i = 0; i < plan.batches.size(); ++i) {
    if (!portion.runs[i]) continue;
    RETURN_IF_ERROR(ctx.CheckCancelled());
    places_[i] = place;
    place += plan.batches[i].rows;
    ASSIGN_OR_RETURN(const Tensor x, Embed(plan.batches[i], ctx));
    RETURN_IF_ERROR(store_->Write(places_[i], x));
  }
  for (int k = 0; k < model_->block_count(); ++k) {
    RETURN_IF_ERROR(ctx.CheckCancelled());
    ASSIGN_OR_RETURN(const std::unique_ptr<Block> block,
                     model_->LoadBlock(k, ctx));
    std::unique_ptr<BlockState> trunks;
    TrunkStack stack;
    for (size_t i = 0; i < plan.batches.size(); ++i) {
      const PrefixBatch& batch = plan.batches[i];
      if (portion.runs[i]) {
        ASSIGN_OR_RETURN(const Tensor x, store_->Read(places_[i], batch.rows));
        ASSIGN_OR_RETURN(const Tensor y, RunBlock(*block, batch, stack.ends(),
                                                  x, &trunks, ctx));
        RETURN_IF_ERROR(store_->Write(places_[i], y));
        on_step();
      }
      const int ended = stack.Advance(plan, batch, portion.runs[i]);
      DropTrunks(ended, stack.ends(), &trunks);
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<Tensor> PrefixPass::Hidden(size_t index, ExecutionContext& ctx) {
  const PrefixBatch& batch = plan_->batches[index];
  if (order_ == ScoringOrder::kLayerMajor) {
    return store_->Read(places_[index], batch.rows);
  }
  const auto pass_by = [&](size_t i) {
    const int ended =
        stack_.Advance(*plan_, plan_->batches[i], portion_->runs[i]);
    for (auto& trunks : trunks_) DropTrunks(ended, stack_.ends(), &trunks);
  };
  for (; next_ < index; ++next_) pass_by(next_);
  ASSIGN_OR_RETURN(Tensor hidden, Embed(batch, ctx));
  for (size_t k = 0; k < blocks_.size(); ++k) {
    ASSIGN_OR_RETURN(hidden, RunBlock(*blocks_[k], batch, stack_.ends(), hidden,
                                      &trunks_[k], ctx));
  }
  pass_by(next_++);
  return hidden;
}

absl::StatusOr<Tensor> PrefixPass::Embed(const PrefixBatch& batch,
                                         ExecutionContext& ctx) const {
  std::vector<int32_t> tokens;
  std::vector<int64_t> past, lengths;
  for (const PrefixLevel& level : batch.levels) {
    for (const PrefixNode& node : NodesOf(*plan_, level)) {
      const std::vector<int32_t>& from = requests_[node.request].tokens;
      tokens.insert(tokens.end(), from.begin() + node.begin,
                    from.begin() + node.end);
      past.push_back(node.begin);
      lengths.push_back(node.tokens());
    }
  }
  return model_->Embed(tokens, SequenceBatch::Continue(past, lengths), ctx);
}

absl::StatusOr<Tensor> PrefixPass::RunBlock(
    Block& block, const PrefixBatch& batch,
    const std::vector<int64_t>& trunk_ends, const Tensor& x,
    std::unique_ptr<BlockState>* trunks, ExecutionContext& ctx) const {
  const bool continues = batch.trunk >= 0;
  if (!continues && !batch.is_trunk && batch.levels.size() == 1) {
    // Nobody goes on from here: nothing need be kept.
    return block.Forward(x, SequencesOf(*plan_, batch.levels[0], {}), ctx);
  }
  std::unique_ptr<BlockState> own;
  BlockState* state = trunks->get();
  if (state == nullptr) {
    own = block.NewState();
    state = own.get();
  }
  // Trunks come first among the sequences and stay there.
  const int kept = static_cast<int>(trunk_ends.size());
  std::vector<int> sources(trunk_ends.size());
  std::iota(sources.begin(), sources.end(), 0);
  Tensor y = Tensor::Uninitialized(x.shape());
  int64_t row = 0;
  for (size_t l = 0; l < batch.levels.size(); ++l) {
    const PrefixLevel& level = batch.levels[l];
    if (l > 0 || continues) {
      sources.resize(trunk_ends.size());
      for (const PrefixNode& node : NodesOf(*plan_, level)) {
        sources.push_back(l > 0 ? kept + node.parent - batch.levels[l - 1].first
                                : kept - 1);
      }
      state->Select(sources);
    }
    const int64_t rows = RowsOf(*plan_, level);
    ASSIGN_OR_RETURN(
        const Tensor out,
        block.Forward(x.Rows(row, rows), SequencesOf(*plan_, level, trunk_ends),
                      ctx, nullptr, state));
    std::copy_n(out.data(), out.size(), y.row(row));
    row += rows;
  }
  sources.resize(trunk_ends.size());
  if (batch.is_trunk) sources.push_back(kept);
  if (sources.empty()) return y;
  state->Select(sources);
  if (own != nullptr) *trunks = std::move(own);
  return y;
}

}  // namespace quantd
