#include "models/network/decoder_block.h"

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "base/status_macros.h"
#include "models/network/attention.h"
#include "models/network/block_pass.h"
#include "models/network/block_plan.h"
#include "models/network/feed_forward.h"
#include "models/network/norm.h"
#include "models/network/state_space.h"
#include "models/network/tensor_loader.h"
#include "tensor/ops.h"

namespace quantd {
namespace {

class DecoderBlock final : public Block {
 public:
  DecoderBlock(const BlockDescription& description, BlockPlan plan,
               std::vector<Linear> linears)
      : description_(description),
        plan_(std::move(plan)),
        linears_(std::move(linears)) {}

  absl::Status LoadParts(const Checkpoint& checkpoint,
                         const ModelDescription& model,
                         const PositionTables& tables, int block) {
    const BlockDescription& d = description_;
    const std::string prefix = plan_.name + ".";
    for (const TensorPlan& tensor : plan_.tensors) {
      other_tensors_.push_back(StoredName(checkpoint, tensor.name));
    }
    for (const LinearPlan& linear : plan_.linears) {
      if (linear.bias) {
        other_tensors_.push_back(absl::StrCat(linear.name, ".bias"));
      }
    }
    auto load_norm = [&](const NormDescription& norm,
                         Norm* target) -> absl::Status {
      ASSIGN_OR_RETURN(*target,
                       Norm::Load(checkpoint, norm, prefix, model.hidden_size));
      return absl::OkStatus();
    };
    RETURN_IF_ERROR(load_norm(d.mixer_norm, &mixer_norm_));
    RETURN_IF_ERROR(load_norm(d.mixer_post_norm, &mixer_post_norm_));
    RETURN_IF_ERROR(load_norm(d.feed_forward_norm, &feed_forward_norm_));
    RETURN_IF_ERROR(
        load_norm(d.feed_forward_post_norm, &feed_forward_post_norm_));

    const absl::Span<const Linear> linears = linears_;
    if (d.mixer == BlockDescription::Mixer::kStateSpace) {
      ASSIGN_OR_RETURN(
          mixer_, StateSpace::Load(checkpoint, d.state_space, plan_, linears));
      return absl::OkStatus();
    }
    ASSIGN_OR_RETURN(mixer_, Attention::Load(checkpoint, d.attention, block,
                                             plan_, linears, tables));
    if (!d.has_feed_forward) return absl::OkStatus();
    const size_t of_attention = d.attention.fused.present() ? 2 : 4;
    // Sets 0 and 1 are attention's.
    ASSIGN_OR_RETURN(
        feed_forward_,
        FeedForward::Load(checkpoint, d.feed_forward, plan_,
                          linears.subspan(of_attention), 2, SharesInput()));
    return absl::OkStatus();
  }

  const std::string& name() const override { return plan_.name; }
  absl::Span<Linear> linears() override { return absl::MakeSpan(linears_); }
  const std::vector<std::vector<int>>& linear_sets() const override {
    return plan_.sets;
  }

  absl::StatusOr<Tensor> Forward(const Tensor& hidden,
                                 const SequenceBatch& batch,
                                 ExecutionContext& ctx, LinearTap* tap,
                                 BlockState* state) override {
    RETURN_IF_ERROR(ctx.CheckCancelled());
    BlockPass pass(batch, tap, state, ctx);
    switch (description_.order) {
      case BlockDescription::Order::kSequential:
        return Sequential(hidden, pass);
      case BlockDescription::Order::kParallel:
        return Parallel(hidden, pass);
      case BlockDescription::Order::kPostNorm:
        return PostNorm(hidden, pass);
    }
    return absl::InternalError("unknown order of a block");
  }

  std::unique_ptr<BlockState> NewState() const override {
    return mixer_->NewState();
  }

  std::vector<NamedParameter> SmallParameters() override {
    std::vector<NamedParameter> parameters;
    for (Norm* norm : {&mixer_norm_, &mixer_post_norm_, &feed_forward_norm_,
                       &feed_forward_post_norm_}) {
      norm->AppendParameters(&parameters);
    }
    mixer_->AppendParameters(&parameters);
    for (Linear& layer : linears_) {
      Tensor* const bias = layer.mutable_bias();
      if (bias != nullptr) parameters.push_back({layer.name() + ".bias", bias});
    }
    return parameters;
  }

  std::vector<std::string> OtherTensors() const override {
    return other_tensors_;
  }

 private:
  bool SharesInput() const {
    return description_.order == BlockDescription::Order::kParallel &&
           !description_.feed_forward_norm.present();
  }

  absl::StatusOr<Tensor> Sequential(const Tensor& hidden, BlockPass& pass) {
    ExecutionContext& ctx = pass.ctx;
    Tensor x = mixer_norm_.Apply(hidden, ctx);
    ASSIGN_OR_RETURN(Tensor out, mixer_->Forward(x, pass));
    if (pass.stopped()) return Tensor();
    const bool after = description_.residual_after_norm;
    const Tensor middle =
        ops::Add(after ? x : hidden, mixer_post_norm_.Apply(out, ctx), ctx);
    if (!feed_forward_.has_value()) return middle;
    RETURN_IF_ERROR(ctx.CheckCancelled());
    x = feed_forward_norm_.Apply(middle, ctx);
    out = feed_forward_->Forward(x, pass);
    if (pass.stopped()) return Tensor();
    return ops::Add(after ? x : middle, feed_forward_post_norm_.Apply(out, ctx),
                    ctx);
  }

  absl::StatusOr<Tensor> Parallel(const Tensor& hidden, BlockPass& pass) {
    ExecutionContext& ctx = pass.ctx;
    const Tensor x = mixer_norm_.Apply(hidden, ctx);
    ASSIGN_OR_RETURN(const Tensor mixed, mixer_->Forward(x, pass));
    if (pass.stopped()) return Tensor();
    RETURN_IF_ERROR(ctx.CheckCancelled());
    const Tensor fed = feed_forward_->Forward(
        SharesInput() ? x : feed_forward_norm_.Apply(hidden, ctx), pass);
    if (pass.stopped()) return Tensor();
    return ops::Add(hidden, ops::Add(mixed, fed, ctx), ctx);
  }

  absl::StatusOr<Tensor> PostNorm(const Tensor& hidden, BlockPass& pass) {
    ExecutionContext& ctx = pass.ctx;
    ASSIGN_OR_RETURN(const Tensor mixed, mixer_->Forward(hidden, pass));
    if (pass.stopped()) return Tensor();
    RETURN_IF_ERROR(ctx.CheckCancelled());
    const Tensor middle = mixer_norm_.Apply(ops::Add(hidden, mixed, ctx), ctx);
    const Tensor fed = feed_forward_->Forward(middle, pass);
    if (pass.stopped()) return Tensor();
    return feed_forward_norm_.Apply(ops::Add(middle, fed, ctx), ctx);
  }

  const BlockDescription& description_;
  const BlockPlan plan_;
  std::vector<Linear> linears_;
  std::vector<std::string> other_tensors_;
  Norm mixer_norm_;
  Norm mixer_post_norm_;
  Norm feed_forward_norm_;
  Norm feed_forward_post_norm_;
  std::unique_ptr<Mixer> mixer_;
  std::optional<FeedForward> feed_forward_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Block>> LoadDecoderBlock(
    const Checkpoint& checkpoint, const ModelDescription& description,
    const PositionTables& tables, int block, ExecutionContext& ctx) {
  BlockPlan plan = PlanBlock(description, block);
  std::vector<Linear> linears;
  for (const LinearPlan& linear : plan.linears) {
    ASSIGN_OR_RETURN(Linear loaded, LoadLinear(checkpoint, linear, ctx));
    linears.push_back(std::move(loaded));
  }
  auto result = std::make_unique<DecoderBlock>(
      description.block, std::move(plan), std::move(linears));
  RETURN_IF_ERROR(result->LoadParts(checkpoint, description, tables, block));
  return result;
}

}  // namespace quantd
