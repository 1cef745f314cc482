#include "models/network/feed_forward.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "base/status_macros.h"
#include "models/network/tensor_loader.h"
#include "tensor/ops.h"

namespace quantd {
namespace {

// Which rows an expert works on, and how much its result counts.
struct Share {
  std::vector<int64_t> rows;
  std::vector<float> weights;
};

// The best `chosen` experts of every row by router score, their softmax
// probabilities rescaled to sum to one. Of equal scores the first wins.
std::vector<Share> Route(const Tensor& scores, int chosen) {
  const int64_t experts = scores.cols();
  std::vector<Share> shares(static_cast<size_t>(experts));
  std::vector<int> order(static_cast<size_t>(experts));
  for (int64_t r = 0; r < scores.rows(); ++r) {
    const float* row = scores.row(r);
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(),
                     [row](int a, int b) { return row[a] > row[b]; });
    // The denominator over all experts cancels.
    double sum = 0;
    for (int i = 0; i < chosen; ++i) {
      sum +=
          std::exp(double{row[order[static_cast<size_t>(i)]]} - row[order[0]]);
    }
    for (int i = 0; i < chosen; ++i) {
      const int expert = order[static_cast<size_t>(i)];
      Share& share = shares[static_cast<size_t>(expert)];
      share.rows.push_back(r);
      share.weights.push_back(static_cast<float>(
          std::exp(double{row[expert]} - row[order[0]]) / sum));
    }
  }
  return shares;
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
  const std::vector<Share> shares =
      Route(ops::LinearProduct(x, router_, pass.ctx),
            description_->experts_per_token);
  const size_t layers =
      linears_.size() / static_cast<size_t>(description_->experts);
  Tensor y = Tensor::Zeros(x.shape());
  for (size_t e = 0; e < shares.size(); ++e) {
    const Share& share = shares[e];
    if (share.rows.empty()) continue;
    const Tensor out = Dense(ops::GatherRows(x, share.rows),
                             linears_.subspan(e * layers, layers),
                             first_set_ + 2 * static_cast<int>(e), false, pass);
    if (pass.stopped()) return Tensor();
    for (size_t i = 0; i < share.rows.size(); ++i) {
      float* target = y.row(share.rows[i]);
      const float* source = out.row(static_cast<int64_t>(i));
      for (int64_t c = 0; c < y.cols(); ++c) {
        target[c] += share.weights[i] * source[c];
      }
    }
  }
  return y;
}

}  // namespace quantd
