#include "models/network/block_plan.h"

#include <utility>

#include "absl/strings/str_cat.h"

namespace quantd {
namespace {

void AppendNorm(const NormDescription& norm, const std::string& prefix,
                int64_t width, std::vector<TensorPlan>* tensors) {
  if (!norm.present()) return;
  if (norm.weight)
    tensors->push_back({prefix + norm.name + ".weight", {width}});
  if (norm.bias) tensors->push_back({prefix + norm.name + ".bias", {width}});
}

class BlockPlanner {
 public:
  BlockPlanner(const ModelDescription& model, int block) : model_(model) {
    plan_.name = absl::StrCat(model.block_prefix, ".", block);
    prefix_ = plan_.name + ".";
  }

  BlockPlan Plan() && {
    const BlockDescription& block = model_.block;
    AppendNorm(block.mixer_norm, prefix_, model_.hidden_size, &plan_.tensors);
    if (block.mixer == BlockDescription::Mixer::kStateSpace) {
      PlanStateSpace(block.state_space);
    } else {
      PlanAttention(block.attention);
    }
    AppendNorm(block.mixer_post_norm, prefix_, model_.hidden_size,
               &plan_.tensors);
    AppendNorm(block.feed_forward_norm, prefix_, model_.hidden_size,
               &plan_.tensors);
    if (block.has_feed_forward) PlanFeedForward(block);
    AppendNorm(block.feed_forward_post_norm, prefix_, model_.hidden_size,
               &plan_.tensors);
    return std::move(plan_);
  }

 private:
  void BeginSet() { plan_.sets.emplace_back(); }

  // A set of its own for the layer that ends a part.
  void AddWriter(const LinearDescription& linear, const std::string& prefix,
                 int64_t rows, int64_t cols) {
    BeginSet();
    Add(linear, prefix, rows, cols);
    if (linear.present()) plan_.linears.back().writes_residual = true;
  }

  // Into the set begun last.
  void Add(const LinearDescription& linear, const std::string& prefix,
           int64_t rows, int64_t cols) {
    AddTo(plan_.sets.size() - 1, linear, prefix, rows, cols);
  }

  void AddTo(size_t set, const LinearDescription& linear,
             const std::string& prefix, int64_t rows, int64_t cols) {
    if (!linear.present()) return;
    LinearPlan plan;
    plan.name = prefix + linear.name;
    plan.rows = rows;
    plan.cols = cols;
    plan.bias = linear.bias;
    plan.transposed = linear.transposed;
    plan_.sets[set].push_back(static_cast<int>(plan_.linears.size()));
    plan_.linears.push_back(std::move(plan));
  }

  void PlanQueryKeyNorm(const AttentionDescription& attention,
                        const NormDescription& norm, int heads) {
    using Kind = AttentionDescription::QueryKeyNorm;
    if (attention.query_key_norm == Kind::kPerHead) {
      AppendNorm(norm, prefix_, attention.head_dim, &plan_.tensors);
    } else if (attention.query_key_norm == Kind::kPerHeadOwn) {
      for (int h = 0; h < heads; ++h) {
        NormDescription own = norm;
        own.name = absl::StrCat(norm.name, ".norms.", h);
        AppendNorm(own, prefix_, attention.head_dim, &plan_.tensors);
      }
    }
  }

  void PlanAttention(const AttentionDescription& attention) {
    const int64_t hidden = model_.hidden_size;
    const int64_t queries = int64_t{attention.heads} * attention.head_dim;
    const int64_t keys = int64_t{attention.kv_heads} * attention.head_dim;
    BeginSet();
    Add(attention.query, prefix_, queries, hidden);
    Add(attention.key, prefix_, keys, hidden);
    Add(attention.value, prefix_, keys, hidden);
    Add(attention.fused, prefix_, queries + 2 * keys, hidden);
    PlanQueryKeyNorm(attention, attention.query_norm, attention.heads);
    PlanQueryKeyNorm(attention, attention.key_norm, attention.kv_heads);
    AddWriter(attention.output, prefix_, hidden, queries);
  }

  void PlanStateSpace(const StateSpaceDescription& state_space) {
    const int64_t hidden = model_.hidden_size;
    const int64_t channels = state_space.channels;
    BeginSet();
    Add(state_space.in, prefix_, 2 * channels, hidden);
    plan_.tensors.push_back({prefix_ + state_space.conv + ".weight",
                             {channels, 1, state_space.conv_width}});
    if (state_space.conv_bias) {
      plan_.tensors.push_back(
          {prefix_ + state_space.conv + ".bias", {channels}});
    }
    BeginSet();
    Add(state_space.selection, prefix_,
        state_space.step_rank + 2 * state_space.states, channels);
    BeginSet();
    Add(state_space.step, prefix_, channels, state_space.step_rank);
    plan_.tensors.push_back(
        {prefix_ + state_space.a_log, {channels, state_space.states}});
    plan_.tensors.push_back({prefix_ + state_space.skip, {channels}});
    AddWriter(state_space.out, prefix_, hidden, channels);
  }

  void PlanFeedForward(const BlockDescription& block) {
    const FeedForwardDescription& part = block.feed_forward;
    const int64_t hidden = model_.hidden_size;
    const int64_t inner = part.intermediate_size;
    if (part.experts > 0) {
      plan_.tensors.push_back(
          {prefix_ + part.router + ".weight", {part.experts, hidden}});
      for (int e = 0; e < part.experts; ++e) {
        const std::string expert =
            absl::StrCat(prefix_, part.experts_name, ".", e, ".");
        BeginSet();
        Add(part.gate, expert, inner, hidden);
        Add(part.up, expert, inner, hidden);
        AddWriter(part.down, expert, hidden, inner);
      }
      return;
    }
    // In a parallel block without a norm of its own the feed-forward part
    // reads what attention reads.
    const bool shares_input =
        block.order == BlockDescription::Order::kParallel &&
        !block.feed_forward_norm.present();
    if (!shares_input) BeginSet();
    const size_t first = shares_input ? 0 : plan_.sets.size() - 1;
    AddTo(first, part.gate, prefix_, inner, hidden);
    AddTo(first, part.up, prefix_, inner, hidden);
    AddTo(first, part.gate_up, prefix_, 2 * inner, hidden);
    AddWriter(part.down, prefix_, hidden, inner);
  }

  const ModelDescription& model_;
  BlockPlan plan_;
  std::string prefix_;
};

}  // namespace

BlockPlan PlanBlock(const ModelDescription& description, int block) {
  return BlockPlanner(description, block).Plan();
}

void AppendTensors(const LinearDescription& linear, const std::string& prefix,
                   int64_t rows, int64_t cols,
                   std::vector<TensorPlan>* tensors) {
  if (!linear.present()) return;
  Shape shape = {rows, cols};
  if (linear.transposed) std::swap(shape[0], shape[1]);
  tensors->push_back({prefix + linear.name + ".weight", std::move(shape)});
  if (linear.bias) tensors->push_back({prefix + linear.name + ".bias", {rows}});
}

std::vector<TensorPlan> PlanOuterTensors(const ModelDescription& d) {
  std::vector<TensorPlan> tensors;
  const int64_t hidden = d.hidden_size;
  const EmbeddingDescription& embedding = d.embedding;
  tensors.push_back(
      {embedding.tokens + ".weight", {d.vocabulary_size, embedding.width}});
  if (!embedding.positions.empty()) {
    tensors.push_back(
        {embedding.positions + ".weight", {embedding.position_rows, hidden}});
  }
  if (!embedding.token_types.empty()) {
    tensors.push_back({embedding.token_types + ".weight",
                       {embedding.token_type_rows, hidden}});
  }
  AppendNorm(embedding.norm, "", hidden, &tensors);
  AppendTensors(embedding.projection, "", hidden, embedding.width, &tensors);
  const HeadDescription& head = d.head;
  AppendNorm(head.norm, "", hidden, &tensors);
  AppendTensors(head.projection, "", embedding.width, hidden, &tensors);
  AppendTensors(head.transform, "", hidden, hidden, &tensors);
  AppendNorm(head.transform_norm, "", hidden, &tensors);
  if (!head.tied) {
    tensors.push_back(
        {head.output + ".weight", {d.vocabulary_size, embedding.width}});
  }
  if (!head.bias.empty()) tensors.push_back({head.bias, {d.vocabulary_size}});
  return tensors;
}

}  // namespace quantd
