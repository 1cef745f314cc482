#include "models/network/decoder.h"

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "base/status_macros.h"
#include "models/network/block_plan.h"
#include "models/network/decoder_block.h"
#include "models/network/embedding.h"
#include "models/network/output_head.h"
#include "models/network/position_tables.h"
#include "models/network/tensor_loader.h"

namespace quantd {
namespace {

class Decoder final : public Model {
 public:
  Decoder(std::shared_ptr<const Checkpoint> checkpoint,
          ModelDescription description, const ModelOptions& options)
      : checkpoint_(std::move(checkpoint)),
        description_(std::move(description)),
        options_(options),
        tables_(&description_.block.attention) {}

  const ModelDescription& description() const override { return description_; }
  const Checkpoint& checkpoint() const override { return *checkpoint_; }

  absl::StatusOr<std::unique_ptr<Block>> LoadBlock(
      int k, ExecutionContext& ctx) const override {
    return LoadDecoderBlock(*checkpoint_, description_, tables_, k, ctx);
  }

  absl::StatusOr<Tensor> Embed(absl::Span<const int32_t> tokens,
                               const SequenceBatch& batch,
                               ExecutionContext& ctx) const override {
    return EmbedTokens(*checkpoint_, description_, tokens, batch, ctx);
  }

  absl::StatusOr<Tensor> Logits(const Tensor& hidden,
                                ExecutionContext& ctx) const override {
    ASSIGN_OR_RETURN(const OutputHead* head, LoadHead(ctx));
    return head->Logits(hidden, ctx);
  }

  absl::Status ForLogitTiles(
      const Tensor& hidden,
      absl::FunctionRef<absl::Status(int64_t begin, const Tensor& logits)> tile,
      ExecutionContext& ctx) const override {
    ASSIGN_OR_RETURN(const OutputHead* head, LoadHead(ctx));
    return head->ForLogitTiles(hidden, tile, ctx);
  }

  std::vector<std::string> OtherTensors() const override {
    std::vector<std::string> names;
    for (const TensorPlan& tensor : PlanOuterTensors(description_)) {
      names.push_back(StoredName(*checkpoint_, tensor.name));
    }
    return names;
  }

 private:
  absl::StatusOr<const OutputHead*> LoadHead(ExecutionContext& ctx) const {
    absl::MutexLock lock(&head_mutex_);
    if (!head_.has_value()) {
      ASSIGN_OR_RETURN(head_, OutputHead::Load(*checkpoint_, description_,
                                               options_.max_head_bytes, ctx));
    }
    return &*head_;
  }

  const std::shared_ptr<const Checkpoint> checkpoint_;
  const ModelDescription description_;
  const ModelOptions options_;
  const PositionTables tables_;
  mutable absl::Mutex head_mutex_;
  mutable std::optional<OutputHead> head_ ABSL_GUARDED_BY(head_mutex_);
};

absl::Status CheckTensor(const Checkpoint& checkpoint, const std::string& name,
                         const Shape& shape) {
  ASSIGN_OR_RETURN(const StoredTensor* tensor,
                   checkpoint.Find(StoredName(checkpoint, name)));
  if (tensor->shape != shape) {
    return absl::InvalidArgumentError(absl::StrCat(
        checkpoint.directory(), ": tensor ", name, ": shape ",
        ShapeToString(tensor->shape), ", expected ", ShapeToString(shape)));
  }
  return absl::OkStatus();
}

absl::Status CheckLinear(const Checkpoint& checkpoint,
                         const LinearPlan& linear) {
  if (linear.bias) {
    RETURN_IF_ERROR(
        CheckTensor(checkpoint, linear.name + ".bias", {linear.rows}));
  }
  ASSIGN_OR_RETURN(const nlohmann::json* header,
                   CompressedLayerHeader(checkpoint, linear.name));
  // A compressed layer checks its own tensors when it is loaded.
  if (header != nullptr) return absl::OkStatus();
  return CheckTensor(checkpoint, linear.name + ".weight",
                     linear.transposed ? Shape{linear.cols, linear.rows}
                                       : Shape{linear.rows, linear.cols});
}

}  // namespace

absl::Status CheckDecoderTensors(const Checkpoint& checkpoint,
                                 const ModelDescription& description) {
  for (const TensorPlan& tensor : PlanOuterTensors(description)) {
    RETURN_IF_ERROR(CheckTensor(checkpoint, tensor.name, tensor.shape));
  }
  for (int k = 0; k < description.blocks; ++k) {
    const BlockPlan plan = PlanBlock(description, k);
    for (const TensorPlan& tensor : plan.tensors) {
      RETURN_IF_ERROR(CheckTensor(checkpoint, tensor.name, tensor.shape));
    }
    for (const LinearPlan& linear : plan.linears) {
      RETURN_IF_ERROR(CheckLinear(checkpoint, linear));
    }
  }
  return absl::OkStatus();
}

std::unique_ptr<Model> NewDecoder(std::shared_ptr<const Checkpoint> checkpoint,
                                  ModelDescription description,
                                  const ModelOptions& options) {
  return std::make_unique<Decoder>(std::move(checkpoint),
                                   std::move(description), options);
}

std::vector<LinearShape> ModelLinears(const ModelDescription& description) {
  std::vector<LinearShape> shapes;
  for (int k = 0; k < description.blocks; ++k) {
    const BlockPlan plan = PlanBlock(description, k);
    shapes.insert(shapes.end(), plan.linears.begin(), plan.linears.end());
  }
  return shapes;
}

}  // namespace quantd
