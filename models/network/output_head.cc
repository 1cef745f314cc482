#include "models/network/output_head.h"

#include "base/status_macros.h"
#include "models/network/tensor_loader.h"
#include "tensor/ops.h"

namespace quantd {

absl::StatusOr<OutputHead> OutputHead::Load(const Checkpoint& checkpoint,
                                            const ModelDescription& description,
                                            ExecutionContext& ctx) {
  const HeadDescription& d = description.head;
  const int64_t hidden = description.hidden_size;
  const int64_t width = description.embedding.width;
  const int64_t vocabulary = description.vocabulary_size;
  OutputHead head(d);
  ASSIGN_OR_RETURN(head.norm_, Norm::Load(checkpoint, d.norm, "", hidden));
  if (d.projection.present()) {
    ASSIGN_OR_RETURN(head.projection_, LoadOuterLinear(checkpoint, d.projection,
                                                       width, hidden, ctx));
  }
  if (d.transform.present()) {
    ASSIGN_OR_RETURN(head.transform_, LoadOuterLinear(checkpoint, d.transform,
                                                      hidden, hidden, ctx));
  }
  ASSIGN_OR_RETURN(head.transform_norm_,
                   Norm::Load(checkpoint, d.transform_norm, "", hidden));
  ASSIGN_OR_RETURN(
      head.output_,
      LoadTensor(checkpoint,
                 (d.tied ? description.embedding.tokens : d.output) + ".weight",
                 {vocabulary, width}));
  if (!d.bias.empty()) {
    ASSIGN_OR_RETURN(head.bias_, LoadTensor(checkpoint, d.bias, {vocabulary}));
  }
  return head;
}

Tensor OutputHead::Logits(const Tensor& hidden, ExecutionContext& ctx) const {
  Tensor x = norm_.Apply(hidden, ctx);
  if (projection_.has_value()) x = projection_->Forward(x, ctx);
  if (transform_.has_value()) {
    x = ops::Activate(description_->transform_activation,
                      transform_->Forward(x, ctx), ctx);
    x = transform_norm_.Apply(x, ctx);
  }
  Tensor logits = ops::LinearProduct(x, output_, ctx);
  if (bias_.size() > 0) logits = ops::AddBias(logits, bias_, ctx);
  if (description_->softcap > 0) {
    logits = ops::Softcap(logits, description_->softcap, ctx);
  }
  return logits;
}

}  // namespace quantd
