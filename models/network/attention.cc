#include "models/network/attention.h"

#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "tensor/estimators.h"
#include "tensor/ops.h"

namespace quantd {
namespace {

// The sets that attention's layers form come first in a block's plan.
constexpr int kInputSet = 0;
constexpr int kOutputSet = 1;

}  // namespace

void KeyValueCache::Select(absl::Span<const int> sources) {
  std::vector<std::shared_ptr<Rows>> selected;
  for (int source : sources) {
    selected.push_back(sequences_[static_cast<size_t>(source)]);
  }
  sequences_ = std::move(selected);
}

size_t KeyValueCache::bytes() const {
  size_t total = 0;
  for (const auto& rows : sequences_) {
    total += (rows->keys.capacity() + rows->values.capacity()) * sizeof(float);
  }
  return total;
}

absl::StatusOr<std::vector<ops::KeyValueView>> KeyValueCache::Append(
    const Tensor& keys, const Tensor& values, const SequenceBatch& batch) {
  const size_t count = batch.sequences().size();
  if (sequences_.size() > count) {
    return absl::FailedPreconditionError(absl::StrCat(
        "a cache of ", sequences_.size(), " sequences got a batch of ", count));
  }
  while (sequences_.size() < count) {
    sequences_.push_back(std::make_shared<Rows>());
  }
  std::vector<ops::KeyValueView> views;
  for (size_t i = 0; i < count; ++i) {
    const SequenceBatch::Sequence& sequence = batch.sequences()[i];
    if (sequences_[i]->count != sequence.past) {
      return absl::FailedPreconditionError(
          absl::StrCat("sequence ", i, " continues after ", sequence.past,
                       " tokens, its cache holds ", sequences_[i]->count));
    }
    // Rows that another sequence still reads are copied before they grow.
    if (sequence.tokens > 0 && sequences_[i].use_count() > 1) {
      sequences_[i] = std::make_shared<Rows>(*sequences_[i]);
    }
    Rows& rows = *sequences_[i];
    const float* key = keys.row(sequence.begin);
    const float* value = values.row(sequence.begin);
    const int64_t added = sequence.tokens * keys.cols();
    rows.keys.insert(rows.keys.end(), key, key + added);
    rows.values.insert(rows.values.end(), value, value + added);
    rows.count += sequence.tokens;
    views.push_back({rows.keys.data(), rows.values.data()});
  }
  return views;
}

Attention::Attention(const AttentionDescription& description, int block,
                     absl::Span<const Linear> linears,
                     const PositionTables& tables)
    : description_(description), tables_(tables), linears_(linears) {
  options_.head_dim = description.head_dim;
  options_.scale =
      description.scale > 0
          ? description.scale
          : 1.0f / std::sqrt(static_cast<float>(description.head_dim));
  if (description.scale_by_inverse_block) {
    options_.scale /= static_cast<float>(block + 1);
  }
  options_.causal = description.causal;
  options_.softcap = description.softcap;
  if (description.windowed_blocks.empty() ||
      description.windowed_blocks[static_cast<size_t>(block)]) {
    options_.window = description.window;
  }
}

absl::StatusOr<std::unique_ptr<Attention>> Attention::Load(
    const Checkpoint& checkpoint, const AttentionDescription& description,
    int block, const BlockPlan& plan, absl::Span<const Linear> linears,
    const PositionTables& tables) {
  auto attention = std::unique_ptr<Attention>(
      new Attention(description, block, linears, tables));
  RETURN_IF_ERROR(attention->LoadNorms(checkpoint, plan.name + "."));
  return attention;
}

absl::Status Attention::LoadNorms(const Checkpoint& checkpoint,
                                  const std::string& prefix) {
  using Kind = AttentionDescription::QueryKeyNorm;
  auto load = [&](NormDescription norm, int heads,
                  std::vector<Norm>* norms) -> absl::Status {
    const std::string name = norm.name;
    const bool own = description_.query_key_norm == Kind::kPerHeadOwn;
    for (int h = 0; h < (own ? heads : 1); ++h) {
      if (own) norm.name = absl::StrCat(name, ".norms.", h);
      ASSIGN_OR_RETURN(Norm loaded, Norm::Load(checkpoint, norm, prefix,
                                               description_.head_dim));
      norms->push_back(std::move(loaded));
    }
    return absl::OkStatus();
  };
  if (description_.query_key_norm == Kind::kNone) return absl::OkStatus();
  RETURN_IF_ERROR(
      load(description_.query_norm, description_.heads, &query_norms_));
  return load(description_.key_norm, description_.kv_heads, &key_norms_);
}

void Attention::AppendParameters(std::vector<NamedParameter>* parameters) {
  for (std::vector<Norm>* norms : {&query_norms_, &key_norms_}) {
    for (Norm& norm : *norms) norm.AppendParameters(parameters);
  }
}

Attention::Projected Attention::Split(const Tensor& fused) const {
  const int64_t d = description_.head_dim;
  const int64_t queries = description_.heads * d;
  const int64_t keys = description_.kv_heads * d;
  if (description_.fused_layout ==
      AttentionDescription::FusedLayout::kConcatenated) {
    return {ops::Columns(fused, 0, queries), ops::Columns(fused, queries, keys),
            ops::Columns(fused, queries + keys, keys)};
  }
  // Of every group its queries, its key, its value.
  std::vector<ops::ColumnRange> query_ranges, key_ranges, value_ranges;
  const int64_t per_group = queries / description_.kv_heads;
  for (int64_t group = 0; group < description_.kv_heads; ++group) {
    const int64_t begin = group * (per_group + 2 * d);
    query_ranges.push_back({begin, per_group});
    key_ranges.push_back({begin + per_group, d});
    value_ranges.push_back({begin + per_group + d, d});
  }
  return {ops::GatherColumns(fused, query_ranges),
          ops::GatherColumns(fused, key_ranges),
          ops::GatherColumns(fused, value_ranges)};
}

Attention::Projected Attention::Project(const Tensor& x,
                                        ExecutionContext& ctx) const {
  Projected out;
  if (description_.fused.present()) {
    out = Split(linears_[0].Forward(x, ctx));
  } else {
    out = {linears_[0].Forward(x, ctx), linears_[1].Forward(x, ctx),
           linears_[2].Forward(x, ctx)};
  }
  if (description_.clip_qkv > 0) {
    const float limit = description_.clip_qkv;
    out.queries = ops::Clip(out.queries, -limit, limit, ctx);
    out.keys = ops::Clip(out.keys, -limit, limit, ctx);
    out.values = ops::Clip(out.values, -limit, limit, ctx);
  }
  return out;
}

Tensor Attention::NormHeads(const Tensor& x, const std::vector<Norm>& norms,
                            ExecutionContext& ctx) const {
  if (norms.empty()) return x;
  const int64_t d = description_.head_dim;
  if (norms.size() == 1) {
    return norms[0]
        .Apply(x.Reshaped({x.size() / d, d}), ctx)
        .Reshaped(x.shape());
  }
  std::vector<Tensor> heads;
  for (size_t h = 0; h < norms.size(); ++h) {
    const int64_t begin = static_cast<int64_t>(h) * d;
    heads.push_back(norms[h].Apply(ops::Columns(x, begin, d), ctx));
  }
  return ops::ConcatenateColumns(heads);
}

absl::StatusOr<Tensor> Attention::Forward(const Tensor& x, BlockPass& pass) {
  ExecutionContext& ctx = pass.ctx;
  if (!pass.GoesOn(kInputSet, x)) return Tensor();
  Projected p = Project(x, ctx);
  p.queries = NormHeads(p.queries, query_norms_, ctx);
  p.keys = NormHeads(p.keys, key_norms_, ctx);
  if (description_.rope.rotary_dim > 0) {
    const RotaryTable table = tables_.Rotary(pass.batch.longest());
    const ops::RotaryLayout layout = {description_.head_dim,
                                      description_.rope.rotary_dim,
                                      description_.rope.interleaved};
    p.queries =
        ops::Rotary(p.queries, layout, pass.batch, table.cos, table.sin, ctx);
    p.keys = ops::Rotary(p.keys, layout, pass.batch, table.cos, table.sin, ctx);
  }
  ops::AttentionOptions options = options_;
  if (!description_.alibi.slopes.empty()) {
    options.key_bias = tables_.KeyBias(pass.batch.longest());
  }
  Tensor mixed;
  if (pass.state != nullptr) {
    auto& cache = static_cast<KeyValueCache&>(*pass.state);
    ASSIGN_OR_RETURN(const std::vector<ops::KeyValueView> views,
                     cache.Append(p.keys, p.values, pass.batch));
    mixed = ops::CachedAttention(p.queries, views, description_.kv_heads,
                                 options, pass.batch, ctx);
  } else {
    Tensor received;
    mixed = ops::Attention(p.queries, p.keys, p.values, options, pass.batch,
                           ctx, pass.wants_attention() ? &received : nullptr);
    if (pass.wants_attention()) pass.ShowAttention(received);
  }
  if (!pass.GoesOn(kOutputSet, mixed)) return Tensor();
  const Linear& output = linears_[description_.fused.present() ? 1 : 3];
  return output.Forward(mixed, ctx);
}

std::unique_ptr<BlockState> Attention::NewState() const {
  return std::make_unique<KeyValueCache>();
}

}  // namespace quantd
