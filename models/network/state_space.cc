#include "models/network/state_space.h"

#include <cmath>
#include <utility>

#include "base/status_macros.h"
#include "models/network/tensor_loader.h"
#include "tensor/ops.h"

namespace quantd {
namespace {

enum LinearIndex { kIn, kSelection, kStep, kOut };

}  // namespace

void StateSpaceState::Select(absl::Span<const int> sources) {
  std::vector<Tensor> histories;
  std::vector<Tensor> states;
  for (int source : sources) {
    histories.push_back(histories_[static_cast<size_t>(source)].Clone());
    states.push_back(states_[static_cast<size_t>(source)].Clone());
  }
  histories_ = std::move(histories);
  states_ = std::move(states);
}

size_t StateSpaceState::bytes() const {
  size_t total = 0;
  for (const Tensor& t : histories_) total += static_cast<size_t>(t.size());
  for (const Tensor& t : states_) total += static_cast<size_t>(t.size());
  return total * sizeof(float);
}

void StateSpaceState::Grow(size_t count, int64_t channels, int64_t conv_width,
                           int64_t states) {
  while (states_.size() < count) {
    histories_.push_back(Tensor::Zeros({conv_width - 1, channels}));
    states_.push_back(Tensor::Zeros({channels, states}));
  }
}

absl::StatusOr<std::unique_ptr<StateSpace>> StateSpace::Load(
    const Checkpoint& checkpoint, const StateSpaceDescription& description,
    const BlockPlan& plan, absl::Span<const Linear> linears) {
  auto mixer =
      std::unique_ptr<StateSpace>(new StateSpace(description, linears));
  const std::string prefix = plan.name + ".";
  const int64_t channels = description.channels;
  const int64_t width = description.conv_width;
  ASSIGN_OR_RETURN(const Tensor conv,
                   LoadTensor(checkpoint, prefix + description.conv + ".weight",
                              {channels, 1, width}));
  mixer->conv_weight_ = conv.Reshaped({channels, width});
  if (description.conv_bias) {
    ASSIGN_OR_RETURN(mixer->conv_bias_,
                     LoadTensor(checkpoint, prefix + description.conv + ".bias",
                                {channels}));
  }
  ASSIGN_OR_RETURN(mixer->a_, LoadTensor(checkpoint, prefix + description.a_log,
                                         {channels, description.states}));
  for (float& a : mixer->a_.values()) a = -std::exp(a);
  ASSIGN_OR_RETURN(
      mixer->skip_,
      LoadTensor(checkpoint, prefix + description.skip, {channels}));
  return mixer;
}

absl::StatusOr<Tensor> StateSpace::Forward(const Tensor& x, BlockPass& pass) {
  const StateSpaceDescription& d = description_;
  ExecutionContext& ctx = pass.ctx;
  StateSpaceState fresh;
  StateSpaceState& state = pass.state != nullptr
                               ? static_cast<StateSpaceState&>(*pass.state)
                               : fresh;
  state.Grow(pass.batch.sequences().size(), d.channels, d.conv_width, d.states);

  if (!pass.GoesOn(kIn, x)) return Tensor();
  const Tensor both = linears_[kIn].Forward(x, ctx);
  const Tensor gate = ops::Columns(both, d.channels, d.channels);
  Tensor u = ops::CausalConv(ops::Columns(both, 0, d.channels), conv_weight_,
                             conv_bias_, pass.batch,
                             absl::MakeSpan(state.histories()), ctx);
  u = ops::Activate(d.activation, u, ctx);

  if (!pass.GoesOn(kSelection, u)) return Tensor();
  const Tensor selection = linears_[kSelection].Forward(u, ctx);
  const Tensor low_rank = ops::Columns(selection, 0, d.step_rank);
  const Tensor b = ops::Columns(selection, d.step_rank, d.states);
  const Tensor c = ops::Columns(selection, d.step_rank + d.states, d.states);

  if (!pass.GoesOn(kStep, low_rank)) return Tensor();
  const Tensor step = ops::Softplus(linears_[kStep].Forward(low_rank, ctx));
  const Tensor scanned =
      ops::SelectiveScan(u, step, a_, b, c, skip_, pass.batch,
                         absl::MakeSpan(state.states()), ctx);

  const Tensor gated = ops::ActivateMul(d.activation, gate, scanned, ctx);
  if (!pass.GoesOn(kOut, gated)) return Tensor();
  return linears_[kOut].Forward(gated, ctx);
}

std::unique_ptr<BlockState> StateSpace::NewState() const {
  return std::make_unique<StateSpaceState>();
}

}  // namespace quantd
