#include "models/network/feed_forward.h"

#include <utility>
#include <vector>

#include "base/status_macros.h"
#include "models/network/tensor_loader.h"
#include "tensor/ops.h"

namespace quantd {
namespace {

// The rows of every expert: those that gave it a share.
std::vector<std::vector<int64_t>> RowsOfExperts(const Tensor& shares) {
  std::vector<std::vector<int64_t>> rows(static_cast<size_t>(shares.cols()));
  for (int64_t r = 0; r < shares.rows(); ++r) {
    for (int64_t e = 0; e < shares.cols(); ++e) {
      if (shares.row(r)[e] != 0) rows[static_cast<size_t>(e)].push_back(r);
    }
  }
  return rows;
}

}  // namespace

absl::StatusOr<FeedForward> FeedForward::Load(
    const Checkpoint& checkpoint, const FeedForwardDescription& description,
    const BlockPlan& plan, absl::Span<const Linear> linears, int first_set,
    bool input_shown) {
  FeedForward part(description, linears, first_set, input_shown);
  if (description.experts > 0) {
    ASSIGN_OR_RETURN(
        part.router_,
        LoadTensor(checkpoint, plan.name + "." + description.router + ".weight",
                   {description.experts, linears[0].cols()}));
  }
  return part;
}

Tensor FeedForward::Forward(const Tensor& x, BlockPass& pass) const {
  if (description_->experts > 0) return MixExperts(x, pass);
  return Dense(x, linears_, first_set_, input_shown_, pass);
}

Tensor FeedForward::Dense(const Tensor& x, absl::Span<const Linear> linears,
                          int set, bool shown, BlockPass& pass) const {
  const FeedForwardDescription& d = *description_;
  if (!shown && !pass.GoesOn(set, x)) return Tensor();
  // Sets of a part are numbered one after the other, but for an input that is
  // shared with attention.
  const int down_set = shown ? first_set_ : set + 1;
  Tensor inner;
  if (d.gate_up.present()) {
    const Tensor both = linears[0].Forward(x, pass.ctx);
    inner = ops::ActivateMul(
        d.activation, ops::Columns(both, 0, d.intermediate_size),
        ops::Columns(both, d.intermediate_size, d.intermediate_size), pass.ctx);
  } else if (d.gate.present()) {
    inner = ops::ActivateMul(d.activation, linears[0].Forward(x, pass.ctx),
                             linears[1].Forward(x, pass.ctx), pass.ctx);
  } else {
    inner =
        ops::Activate(d.activation, linears[0].Forward(x, pass.ctx), pass.ctx);
  }
  if (!pass.GoesOn(down_set, inner)) return Tensor();
  return linears[d.gate.present() ? 2 : 1].Forward(inner, pass.ctx);
}

Tensor FeedForward::MixExperts(const Tensor& x, BlockPass& pass) const {
  const Tensor shares =
      ops::TopSoftmax(ops::LinearProduct(x, router_, pass.ctx),
                      description_->experts_per_token);
  const std::vector<std::vector<int64_t>> rows = RowsOfExperts(shares);
  const size_t layers =
      linears_.size() / static_cast<size_t>(description_->experts);
  std::vector<ops::RowsOfColumn> parts;
  for (size_t e = 0; e < rows.size(); ++e) {
    if (rows[e].empty()) continue;
    const Tensor out =
        Dense(ops::GatherRows(x, rows[e]), linears_.subspan(e * layers, layers),
              first_set_ + 2 * static_cast<int>(e), false, pass);
    if (pass.stopped()) return Tensor();
    parts.push_back({static_cast<int64_t>(e), rows[e], out});
  }
  return ops::MixRows(shares, parts);
}

}  // namespace quantd
