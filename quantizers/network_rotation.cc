#include "quantizers/network_rotation.h"

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <functional>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "models/checkpoint_writer.h"
#include "models/network/block_plan.h"
#include "models/network/tensor_loader.h"
#include "models/safetensors.h"
#include "models/tensor_conversion.h"
#include "nlohmann/json.hpp"

namespace quantd {
namespace {

// Rows of a vocabulary-sized matrix that are turned at a time.
constexpr int64_t kChunkRows = 256;

// What of a network stands in the way; empty: nothing.
std::string ObstacleOf(const ModelDescription& model) {
  const BlockDescription& block = model.block;
  const EmbeddingDescription& embedding = model.embedding;
  const HeadDescription& head = model.head;
  if (block.mixer != BlockDescription::Mixer::kAttention) {
    return "its blocks are no attention";
  }
  if (block.order == BlockDescription::Order::kPostNorm) {
    return "it normalises the residual stream itself";
  }
  if (block.order == BlockDescription::Order::kParallel) {
    return "parallel blocks are not handled";
  }
  if (block.residual_after_norm) return "its residual is a norm's output";
  if (!block.has_feed_forward) return "its blocks have no feed-forward part";
  if (block.mixer_post_norm.present() ||
      block.feed_forward_post_norm.present()) {
    return "the gain of a norm after a part does not commute with a rotation";
  }
  for (const NormDescription* norm :
       {&block.mixer_norm, &block.feed_forward_norm, &head.norm}) {
    if (!norm->present()) return "it lacks a norm before a part";
    if (norm->kind != NormDescription::Kind::kRms || norm->bias) {
      return "LayerNorm does not commute with a rotation";
    }
  }
  if (!embedding.positions.empty() || !embedding.token_types.empty()) {
    return "learned positions are added to its embedding";
  }
  if (embedding.norm.present()) return "its embedding is normalised";
  if (embedding.projection.present() || head.projection.present() ||
      head.transform.present()) {
    return "projections beside embedding and head are not handled";
  }
  const AttentionDescription& attention = block.attention;
  const FeedForwardDescription& part = block.feed_forward;
  for (const LinearDescription* linear :
       {&attention.query, &attention.key, &attention.value, &attention.fused,
        &attention.output, &part.gate, &part.up, &part.gate_up, &part.down}) {
    if (linear->transposed) return "its layers are stored transposed";
  }
  return "";
}

// F32 bytes of a tensor. Checkpoints are little-endian, as is this machine.
std::string BytesOf(const Tensor& x) {
  std::string bytes(static_cast<size_t>(x.size()) * sizeof(float), '\0');
  std::memcpy(bytes.data(), x.data(), bytes.size());
  return bytes;
}

// Makes the tensors of the rotated checkpoint, each when it is written.
class Rotator {
 public:
  // Without `heads` values stay as they are.
  Rotator(const Checkpoint& source, const ModelDescription& model,
          Rotation rotation, std::optional<Rotation> heads,
          ExecutionContext& ctx)
      : source_(source),
        model_(model),
        rotation_(std::move(rotation)),
        heads_(std::move(heads)),
        ctx_(ctx) {}

  absl::StatusOr<std::vector<TensorStream>> Block(int k) {
    const BlockPlan plan = PlanBlock(model_, k);
    const std::string prefix = plan.name + ".";
    const NormDescription& first_norm = model_.block.mixer_norm;
    const NormDescription& second_norm = model_.block.feed_forward_norm;
    ASSIGN_OR_RETURN(const Gains first, ReadGains(first_norm, prefix));
    ASSIGN_OR_RETURN(const Gains second, ReadGains(second_norm, prefix));
    std::vector<TensorStream> tensors;
    const auto copy = [&](const std::string& name) -> absl::Status {
      ASSIGN_OR_RETURN(TensorStream stream, Copy(name));
      tensors.push_back(std::move(stream));
      return absl::OkStatus();
    };
    for (size_t set = 0; set < plan.sets.size(); ++set) {
      for (int index : plan.sets[set]) {
        const LinearPlan& linear = plan.linears[static_cast<size_t>(index)];
        const Shape shape = {linear.rows, linear.cols};
        const std::string weight = linear.name + ".weight";
        if (linear.writes_residual) {
          const bool behind_attention =
              linear.name == prefix + model_.block.attention.output.name;
          tensors.push_back(
              Writer(weight, shape, heads_.has_value() && behind_attention));
          if (linear.bias) tensors.push_back(WriterBias(linear));
          continue;
        }
        const std::vector<RowRange> values = ValueRows(linear.name, prefix);
        tensors.push_back(
            Reader(weight, shape, set == 0 ? first : second, values));
        if (!linear.bias) continue;
        if (values.empty()) {
          RETURN_IF_ERROR(copy(linear.name + ".bias"));
        } else {
          tensors.push_back(ReaderBias(linear, values));
        }
      }
    }
    const FeedForwardDescription& part = model_.block.feed_forward;
    for (const TensorPlan& tensor : plan.tensors) {
      if (tensor.name == prefix + first_norm.name + ".weight") {
        tensors.push_back(UnitNorm(first_norm, tensor));
      } else if (tensor.name == prefix + second_norm.name + ".weight") {
        tensors.push_back(UnitNorm(second_norm, tensor));
      } else if (part.experts > 0 &&
                 tensor.name == prefix + part.router + ".weight") {
        tensors.push_back(Reader(tensor.name, tensor.shape, second, {}));
      } else {
        RETURN_IF_ERROR(copy(tensor.name));
      }
    }
    return tensors;
  }

  // `tied`: the result's head is its embedding.
  absl::StatusOr<std::vector<TensorStream>> Outer(bool tied) {
    std::vector<TensorStream> tensors;
    const std::string embedding = model_.embedding.tokens + ".weight";
    ASSIGN_OR_RETURN(TensorStream stream, RowStream(embedding, embedding, {}));
    tensors.push_back(std::move(stream));
    const NormDescription& norm = model_.head.norm;
    if (norm.weight) {
      tensors.push_back(
          UnitNorm(norm, {norm.name + ".weight", {model_.hidden_size}}));
    }
    if (!tied) {
      const std::string output = model_.head.output + ".weight";
      ASSIGN_OR_RETURN(Gains gains, ReadGains(norm, ""));
      ASSIGN_OR_RETURN(stream,
                       RowStream(output, model_.head.tied ? embedding : output,
                                 std::move(gains)));
      tensors.push_back(std::move(stream));
    }
    if (!model_.head.bias.empty()) {
      ASSIGN_OR_RETURN(stream, Copy(model_.head.bias));
      tensors.push_back(std::move(stream));
    }
    return tensors;
  }

  absl::StatusOr<bool> FinalGainIsOne() const {
    ASSIGN_OR_RETURN(const Gains gains, ReadGains(model_.head.norm, ""));
    return std::all_of(gains.begin(), gains.end(),
                       [](float gain) { return gain == 1.0f; });
  }

 private:
  // Of a norm, one per channel.
  using Gains = std::vector<float>;
  // Rows of a layer that are the values of one head.
  struct RowRange {
    int64_t begin = 0;
    int64_t count = 0;
  };
  using Maker = std::function<absl::StatusOr<Tensor>()>;

  absl::StatusOr<Gains> ReadGains(const NormDescription& norm,
                                  const std::string& prefix) const {
    Gains gains(static_cast<size_t>(model_.hidden_size), 1.0f);
    if (norm.weight) {
      ASSIGN_OR_RETURN(const Tensor stored,
                       LoadTensor(source_, prefix + norm.name + ".weight",
                                  {model_.hidden_size}));
      gains.assign(stored.data(), stored.data() + stored.size());
    }
    for (float& gain : gains) gain += norm.weight_offset;
    return gains;
  }

  // A tensor that is made whole.
  TensorStream Made(std::string name, Shape shape, Maker make) const {
    return {std::move(name), DType::kF32, std::move(shape),
            [this, make = std::move(make)](
                uint64_t /*offset*/) -> absl::StatusOr<std::string> {
              RETURN_IF_ERROR(ctx_.CheckCancelled());
              ASSIGN_OR_RETURN(const Tensor x, make());
              return BytesOf(x);
            }};
  }

  // The rows of layer `name` of a block that are values to be turned, head by
  // head.
  std::vector<RowRange> ValueRows(const std::string& name,
                                  const std::string& prefix) const {
    const AttentionDescription& d = model_.block.attention;
    const int64_t dim = d.head_dim;
    const int64_t group = (d.heads / d.kv_heads + 2) * dim;
    std::vector<RowRange> rows;
    for (int64_t h = 0; heads_.has_value() && h < d.kv_heads; ++h) {
      if (d.value.present() && name == prefix + d.value.name) {
        rows.push_back({h * dim, dim});
      } else if (d.fused.present() && name == prefix + d.fused.name) {
        rows.push_back(d.fused_layout ==
                               AttentionDescription::FusedLayout::kConcatenated
                           ? RowRange{(d.heads + d.kv_heads + h) * dim, dim}
                           : RowRange{(h + 1) * group - dim, dim});
      }
    }
    return rows;
  }

  TensorStream Reader(const std::string& name, const Shape& shape, Gains gains,
                      std::vector<RowRange> values) const {
    return Made(
        name, shape,
        [this, name, shape, gains = std::move(gains),
         values = std::move(values)]() -> absl::StatusOr<Tensor> {
          ASSIGN_OR_RETURN(const Tensor w, LoadTensor(source_, name, shape));
          Tensor rotated = rotation_.RotateRows(w, gains, ctx_);
          for (const RowRange& rows : values) {
            const Tensor head = heads_->RotateColumns(
                rotated.Rows(rows.begin, rows.count), ctx_);
            std::copy_n(head.data(), head.size(), rotated.row(rows.begin));
          }
          return rotated;
        });
  }

  TensorStream ReaderBias(const LinearPlan& linear,
                          std::vector<RowRange> values) const {
    const std::string name = linear.name + ".bias";
    const Shape shape = {linear.rows};
    return Made(name, shape,
                [this, name, shape,
                 values = std::move(values)]() -> absl::StatusOr<Tensor> {
                  ASSIGN_OR_RETURN(Tensor bias,
                                   LoadTensor(source_, name, shape));
                  for (const RowRange& rows : values) {
                    const Tensor head = Tensor::FromValues(
                        {1, rows.count},
                        bias.values().subspan(static_cast<size_t>(rows.begin),
                                              static_cast<size_t>(rows.count)));
                    const Tensor rotated = heads_->RotateRows(head, {}, ctx_);
                    std::copy_n(rotated.data(), rotated.size(),
                                bias.data() + rows.begin);
                  }
                  return bias;
                });
  }

  TensorStream Writer(const std::string& name, const Shape& shape,
                      bool behind_attention) const {
    return Made(
        name, shape,
        [this, name, shape, behind_attention]() -> absl::StatusOr<Tensor> {
          ASSIGN_OR_RETURN(Tensor w, LoadTensor(source_, name, shape));
          if (behind_attention) {
            const int64_t dim = heads_->size();
            w = heads_->RotateRows(w.Reshaped({w.size() / dim, dim}), {}, ctx_)
                    .Reshaped(shape);
          }
          return rotation_.RotateColumns(w, ctx_);
        });
  }

  TensorStream WriterBias(const LinearPlan& linear) const {
    const std::string name = linear.name + ".bias";
    const Shape shape = {linear.rows};
    return Made(name, shape, [this, name, shape]() -> absl::StatusOr<Tensor> {
      ASSIGN_OR_RETURN(const Tensor bias, LoadTensor(source_, name, shape));
      return rotation_.RotateRows(bias, {}, ctx_);
    });
  }

  TensorStream UnitNorm(const NormDescription& norm,
                        const TensorPlan& tensor) const {
    return Made(tensor.name, tensor.shape,
                [value = 1.0f - norm.weight_offset,
                 shape = tensor.shape]() -> absl::StatusOr<Tensor> {
                  Tensor gains = Tensor::Uninitialized(shape);
                  std::fill_n(gains.data(), gains.size(), value);
                  return gains;
                });
  }

  // A vocabulary-sized matrix, turned a few rows at a time.
  absl::StatusOr<TensorStream> RowStream(std::string name,
                                         const std::string& stored_name,
                                         Gains gains) const {
    const Shape shape = {model_.vocabulary_size, model_.hidden_size};
    ASSIGN_OR_RETURN(const StoredTensor* stored,
                     source_.Find(StoredName(source_, stored_name)));
    if (stored->shape != shape) {
      return absl::InvalidArgumentError(
          absl::StrCat(stored_name, " is ", ShapeToString(stored->shape),
                       ", expected ", ShapeToString(shape)));
    }
    return TensorStream{
        std::move(name), DType::kF32, shape,
        [this, stored, gains = std::move(gains)](
            uint64_t offset) -> absl::StatusOr<std::string> {
          RETURN_IF_ERROR(ctx_.CheckCancelled());
          const int64_t hidden = model_.hidden_size;
          const int64_t begin =
              static_cast<int64_t>(offset / sizeof(float)) / hidden;
          const int64_t count =
              std::min(kChunkRows, model_.vocabulary_size - begin);
          Tensor rows = Tensor::Uninitialized({count, hidden});
          RETURN_IF_ERROR(ConvertToFloat(
              *stored,
              static_cast<size_t>(begin * hidden) * DTypeSize(stored->dtype),
              rows.values()));
          if (begin + count == model_.vocabulary_size) {
            source_.Release(*stored);
          }
          return BytesOf(rotation_.RotateRows(rows, gains, ctx_));
        }};
  }

  absl::StatusOr<TensorStream> Copy(const std::string& name) const {
    ASSIGN_OR_RETURN(const StoredTensor* stored,
                     source_.Find(StoredName(source_, name)));
    return TensorStream{
        name, stored->dtype, stored->shape,
        [stored](uint64_t offset) -> absl::StatusOr<std::string> {
          return std::string(stored->bytes.substr(offset));
        }};
  }

  const Checkpoint& source_;
  const ModelDescription& model_;
  const Rotation rotation_;
  const std::optional<Rotation> heads_;
  ExecutionContext& ctx_;
};

uint64_t FloatBytes(int64_t elements) {
  return static_cast<uint64_t>(elements) * sizeof(float);
}

ModelDescription Untied(ModelDescription model) {
  model.head.tied = false;
  return model;
}

uint64_t OuterBytes(const ModelDescription& model) {
  uint64_t bytes = 0;
  for (const TensorPlan& tensor : PlanOuterTensors(Untied(model))) {
    bytes += FloatBytes(ElementCount(tensor.shape));
  }
  return bytes;
}

}  // namespace

absl::Status CheckRotatable(const ModelDescription& model, RotationKind kind) {
  const std::string obstacle = ObstacleOf(model);
  if (!obstacle.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("a network of family ", model.architecture,
                     " cannot be rotated: ", obstacle));
  }
  return Rotation::Check(model.hidden_size, kind);
}

absl::Status WriteRotatedCheckpoint(const Checkpoint& source,
                                    const ModelDescription& model,
                                    const NetworkRotationOptions& options,
                                    const std::string& directory,
                                    ExecutionContext& ctx) {
  ASSIGN_OR_RETURN(
      Rotation rotation,
      Rotation::Random(model.hidden_size, options.kind, options.seed));
  std::optional<Rotation> heads;
  // Values that are clipped are no longer what their rotation was.
  if (options.values && model.block.attention.clip_qkv == 0) {
    ASSIGN_OR_RETURN(heads,
                     Rotation::Random(model.block.attention.head_dim,
                                      RotationKind::kAny, ~options.seed));
  }
  Rotator rotator(source, model, std::move(rotation), std::move(heads), ctx);
  bool tied = model.head.tied;
  if (tied) {
    ASSIGN_OR_RETURN(tied, rotator.FinalGainIsOne());
  }
  const CheckpointWriter writer(directory, source, model.blocks + 1);
  for (int k = 0; k <= model.blocks; ++k) {
    RETURN_IF_ERROR(ctx.CheckCancelled());
    ProgressUpdate update;
    update.phase = "rotate";
    update.done = static_cast<uint64_t>(k);
    update.total = static_cast<uint64_t>(model.blocks) + 1;
    ctx.ReportProgress(update);
    // A shard appears whole or not at all.
    if (std::filesystem::exists(writer.ShardPath(k))) continue;
    ASSIGN_OR_RETURN(const std::vector<TensorStream> tensors,
                     k < model.blocks ? rotator.Block(k) : rotator.Outer(tied));
    RETURN_IF_ERROR(writer.WriteShard(k, tensors));
  }
  nlohmann::json config = source.config();
  config["tie_word_embeddings"] = tied;
  for (const char* key : {"torch_dtype", "dtype"}) {
    if (config.contains(key)) config[key] = "float32";
  }
  return writer.FinishWithConfig(config);
}

ModelFootprint RotatedFootprint(const ModelFootprint& source) {
  ModelFootprint rotated = source;
  rotated.description = Untied(source.description);
  rotated.weight_bytes = sizeof(float);
  rotated.outer_bytes = OuterBytes(source.description);
  const BlockPlan plan = PlanBlock(source.description, 0);
  rotated.other_bytes = 0;
  for (const TensorPlan& tensor : plan.tensors) {
    rotated.other_bytes += FloatBytes(ElementCount(tensor.shape));
  }
  for (const LinearPlan& linear : plan.linears) {
    if (linear.bias) rotated.other_bytes += FloatBytes(linear.rows);
  }
  return rotated;
}

uint64_t RotatedCheckpointBytes(const ModelDescription& model) {
  ModelFootprint source;
  source.description = model;
  const ModelFootprint rotated = RotatedFootprint(source);
  uint64_t block = rotated.other_bytes;
  for (const LinearPlan& linear : PlanBlock(model, 0).linears) {
    block += FloatBytes(linear.rows * linear.cols);
  }
  return rotated.outer_bytes + static_cast<uint64_t>(model.blocks) * block;
}

uint64_t RotationWorkingBytes(const ModelDescription& model,
                              RotationKind kind) {
  int64_t largest = kChunkRows * model.hidden_size;
  for (const LinearPlan& linear : PlanBlock(model, 0).linears) {
    largest = std::max(largest, linear.rows * linear.cols);
  }
  // The layer, the layer turned, and its bytes.
  return 3 * FloatBytes(largest) + Rotation::SizeBytes(model.hidden_size, kind);
}

}  // namespace quantd
