#include "models/decoder.h"

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "base/status_macros.h"
#include "models/rotary_table.h"
#include "models/tensor_conversion.h"
#include "nlohmann/json.hpp"
#include "tensor/ops.h"

namespace quantd {
namespace {

// A linear layer of the block, as data: where its names come from, its shape,
// and which input it reads.
struct LinearRow {
  std::string TensorNames::*name;
  enum Extent { kHidden, kQuery, kKeyValue, kIntermediate };
  Extent rows;
  Extent cols;
  bool ModelDescription::*has_bias;
  int set;
};

// In order of computation; OnInput() and linear_sets() follow `set`.
constexpr int kQuery = 0;
constexpr int kKey = 1;
constexpr int kValue = 2;
constexpr int kAttentionOutput = 3;
constexpr int kGate = 4;
constexpr int kUp = 5;
constexpr int kDown = 6;
const LinearRow kLinears[] = {
    {&TensorNames::query, LinearRow::kQuery, LinearRow::kHidden,
     &ModelDescription::attention_bias, 0},
    {&TensorNames::key, LinearRow::kKeyValue, LinearRow::kHidden,
     &ModelDescription::attention_bias, 0},
    {&TensorNames::value, LinearRow::kKeyValue, LinearRow::kHidden,
     &ModelDescription::attention_bias, 0},
    {&TensorNames::attention_output, LinearRow::kHidden, LinearRow::kQuery,
     &ModelDescription::attention_bias, 1},
    {&TensorNames::gate, LinearRow::kIntermediate, LinearRow::kHidden,
     &ModelDescription::mlp_bias, 2},
    {&TensorNames::up, LinearRow::kIntermediate, LinearRow::kHidden,
     &ModelDescription::mlp_bias, 2},
    {&TensorNames::down, LinearRow::kHidden, LinearRow::kIntermediate,
     &ModelDescription::mlp_bias, 3},
};

int64_t Extent(const ModelDescription& d, LinearRow::Extent extent) {
  switch (extent) {
    case LinearRow::kHidden:
      return d.hidden_size;
    case LinearRow::kQuery:
      return int64_t{d.heads} * d.head_dim;
    case LinearRow::kKeyValue:
      return int64_t{d.kv_heads} * d.head_dim;
    case LinearRow::kIntermediate:
      return d.intermediate_size;
  }
  return 0;
}

const std::vector<std::vector<int>>& LinearSets() {
  static const std::vector<std::vector<int>>& sets = *[] {
    auto* built = new std::vector<std::vector<int>>;
    for (size_t i = 0; i < std::size(kLinears); ++i) {
      built->resize(static_cast<size_t>(kLinears[i].set) + 1);
      built->back().push_back(static_cast<int>(i));
    }
    return built;
  }();
  return sets;
}

class DecoderBlock final : public Block {
 public:
  DecoderBlock(std::string name, const ModelDescription* description,
               Tensor attention_norm, Tensor mlp_norm,
               std::vector<Linear> linears)
      : name_(std::move(name)),
        description_(description),
        attention_norm_(std::move(attention_norm)),
        mlp_norm_(std::move(mlp_norm)),
        linears_(std::move(linears)) {}

  const std::string& name() const override { return name_; }
  absl::Span<Linear> linears() override { return absl::MakeSpan(linears_); }
  const std::vector<std::vector<int>>& linear_sets() const override {
    return LinearSets();
  }

  absl::StatusOr<Tensor> Forward(const Tensor& hidden, int64_t tokens,
                                 ExecutionContext& ctx,
                                 LinearTap* tap) override {
    const ModelDescription& d = *description_;
    RETURN_IF_ERROR(ctx.CheckCancelled());
    const RotaryTable rotary = MakeRotaryTable(d.rope, d.head_dim, tokens);
    auto goes_on = [&](int set, const Tensor& input) {
      return tap == nullptr || tap->OnInput(set, input);
    };

    Tensor x = ops::RmsNorm(hidden, attention_norm_, d.norm_epsilon, ctx);
    if (!goes_on(kLinears[kQuery].set, x)) return Tensor();
    const Tensor q = ops::Rotary(Apply(kQuery, x, ctx), d.head_dim, tokens,
                                 rotary.cos, rotary.sin, ctx);
    const Tensor k = ops::Rotary(Apply(kKey, x, ctx), d.head_dim, tokens,
                                 rotary.cos, rotary.sin, ctx);
    const Tensor v = Apply(kValue, x, ctx);
    x = ops::CausalAttention(q, k, v, d.head_dim, tokens, ctx);
    if (!goes_on(kLinears[kAttentionOutput].set, x)) return Tensor();
    const Tensor residual =
        ops::Add(hidden, Apply(kAttentionOutput, x, ctx), ctx);
    RETURN_IF_ERROR(ctx.CheckCancelled());

    x = ops::RmsNorm(residual, mlp_norm_, d.norm_epsilon, ctx);
    if (!goes_on(kLinears[kGate].set, x)) return Tensor();
    x = ops::SiluMul(Apply(kGate, x, ctx), Apply(kUp, x, ctx), ctx);
    if (!goes_on(kLinears[kDown].set, x)) return Tensor();
    return ops::Add(residual, Apply(kDown, x, ctx), ctx);
  }

  std::vector<std::string> OtherTensors() const override {
    const TensorNames& names = description_->names;
    std::vector<std::string> result = {
        absl::StrCat(name_, ".", names.attention_norm),
        absl::StrCat(name_, ".", names.mlp_norm)};
    for (const Linear& linear : linears_) {
      if (linear.bias().has_value()) {
        result.push_back(absl::StrCat(linear.name(), ".bias"));
      }
    }
    return result;
  }

 private:
  Tensor Apply(int linear, const Tensor& x, ExecutionContext& ctx) const {
    return linears_[static_cast<size_t>(linear)].Forward(x, ctx);
  }

  const std::string name_;
  const ModelDescription* const description_;
  const Tensor attention_norm_;
  const Tensor mlp_norm_;
  std::vector<Linear> linears_;
};

class Decoder final : public Model {
 public:
  Decoder(std::shared_ptr<const Checkpoint> checkpoint,
          ModelDescription description)
      : checkpoint_(std::move(checkpoint)),
        description_(std::move(description)) {}

  const ModelDescription& description() const override { return description_; }
  const Checkpoint& checkpoint() const override { return *checkpoint_; }

  absl::StatusOr<std::unique_ptr<Block>> LoadBlock(
      int k, ExecutionContext& ctx) const override {
    const TensorNames& names = description_.names;
    const std::string name = absl::StrCat(names.block_prefix, ".", k);
    std::vector<Linear> linears;
    for (const LinearRow& row : kLinears) {
      ASSIGN_OR_RETURN(
          Linear linear,
          LoadLinear(row, absl::StrCat(name, ".", names.*row.name), ctx));
      linears.push_back(std::move(linear));
    }
    const int64_t hidden = description_.hidden_size;
    ASSIGN_OR_RETURN(
        Tensor attention_norm,
        checkpoint_->LoadFloat(absl::StrCat(name, ".", names.attention_norm),
                               {hidden}));
    ASSIGN_OR_RETURN(Tensor mlp_norm,
                     checkpoint_->LoadFloat(
                         absl::StrCat(name, ".", names.mlp_norm), {hidden}));
    return std::unique_ptr<Block>(std::make_unique<DecoderBlock>(
        name, &description_, std::move(attention_norm), std::move(mlp_norm),
        std::move(linears)));
  }

  absl::StatusOr<Tensor> Embed(
      absl::Span<const int32_t> tokens) const override {
    const int64_t hidden = description_.hidden_size;
    ASSIGN_OR_RETURN(const StoredTensor* table,
                     checkpoint_->Find(description_.names.embedding));
    // Rows are converted one by one from the map: the whole table in float32
    // is often the largest tensor of a model.
    const size_t row_bytes =
        static_cast<size_t>(hidden) * DTypeSize(table->dtype);
    Tensor out =
        Tensor::Uninitialized({static_cast<int64_t>(tokens.size()), hidden});
    for (size_t i = 0; i < tokens.size(); ++i) {
      if (tokens[i] < 0 || tokens[i] >= description_.vocabulary_size) {
        return absl::OutOfRangeError(
            absl::StrCat("token id ", tokens[i], " is not in a vocabulary of ",
                         description_.vocabulary_size));
      }
      RETURN_IF_ERROR(
          ConvertToFloat(*table, static_cast<size_t>(tokens[i]) * row_bytes,
                         absl::MakeSpan(out.row(static_cast<int64_t>(i)),
                                        static_cast<size_t>(hidden))));
    }
    return out;
  }

  absl::StatusOr<Tensor> Logits(const Tensor& hidden,
                                ExecutionContext& ctx) const override {
    ASSIGN_OR_RETURN(const Head* head, LoadHead());
    return ops::LinearProduct(
        ops::RmsNorm(hidden, head->norm, description_.norm_epsilon, ctx),
        head->weight, ctx);
  }

  std::vector<std::string> OtherTensors() const override {
    std::vector<std::string> names = {description_.names.embedding,
                                      description_.names.final_norm};
    if (!description_.tied_embeddings) names.push_back(description_.names.head);
    return names;
  }

 private:
  struct Head {
    Tensor norm;
    Tensor weight;
  };

  absl::StatusOr<Linear> LoadLinear(const LinearRow& row, std::string name,
                                    ExecutionContext& ctx) const {
    const int64_t rows = Extent(description_, row.rows);
    const int64_t cols = Extent(description_, row.cols);
    std::optional<Tensor> bias;
    if (description_.*row.has_bias) {
      ASSIGN_OR_RETURN(
          bias, checkpoint_->LoadFloat(absl::StrCat(name, ".bias"), {rows}));
    }
    ASSIGN_OR_RETURN(const nlohmann::json* header,
                     CompressedLayerHeader(*checkpoint_, name));
    if (header == nullptr) {
      ASSIGN_OR_RETURN(
          Tensor weight,
          checkpoint_->LoadFloat(absl::StrCat(name, ".weight"), {rows, cols}));
      return Linear(std::move(name), std::move(weight), std::move(bias));
    }
    ASSIGN_OR_RETURN(auto compressed, LoadCompressedLinear(
                                          [&](absl::string_view tensor) {
                                            return checkpoint_->Find(tensor);
                                          },
                                          name, *header, rows, cols));
    // The placeholder only carries the shape until SetCompressed().
    Linear linear(std::move(name), Tensor::Uninitialized({rows, cols}),
                  std::move(bias));
    linear.SetCompressed(std::move(compressed), ctx);
    return linear;
  }

  absl::StatusOr<const Head*> LoadHead() const {
    absl::MutexLock lock(&head_mutex_);
    if (!head_.has_value()) {
      Head head;
      ASSIGN_OR_RETURN(head.norm,
                       checkpoint_->LoadFloat(description_.names.final_norm,
                                              {description_.hidden_size}));
      ASSIGN_OR_RETURN(
          head.weight,
          checkpoint_->LoadFloat(
              description_.tied_embeddings ? description_.names.embedding
                                           : description_.names.head,
              {description_.vocabulary_size, description_.hidden_size}));
      head_ = std::move(head);
    }
    return &*head_;
  }

  const std::shared_ptr<const Checkpoint> checkpoint_;
  const ModelDescription description_;
  mutable absl::Mutex head_mutex_;
  mutable std::optional<Head> head_ ABSL_GUARDED_BY(head_mutex_);
};

}  // namespace

std::vector<LinearShape> DecoderLinears(const ModelDescription& description) {
  std::vector<LinearShape> shapes;
  for (int k = 0; k < description.blocks; ++k) {
    for (const LinearRow& row : kLinears) {
      shapes.push_back({absl::StrCat(description.names.block_prefix, ".", k,
                                     ".", description.names.*row.name),
                        Extent(description, row.rows),
                        Extent(description, row.cols)});
    }
  }
  return shapes;
}

absl::Status CheckDecoderTensors(const Checkpoint& checkpoint,
                                 const ModelDescription& description) {
  const TensorNames& names = description.names;
  const int64_t hidden = description.hidden_size;
  auto check = [&](const std::string& name,
                   const Shape& shape) -> absl::Status {
    ASSIGN_OR_RETURN(const StoredTensor* tensor, checkpoint.Find(name));
    if (tensor->shape != shape) {
      return absl::InvalidArgumentError(absl::StrCat(
          checkpoint.directory(), ": tensor ", name, ": shape ",
          ShapeToString(tensor->shape), ", expected ", ShapeToString(shape)));
    }
    return absl::OkStatus();
  };
  RETURN_IF_ERROR(
      check(names.embedding, {description.vocabulary_size, hidden}));
  RETURN_IF_ERROR(check(names.final_norm, {hidden}));
  if (!description.tied_embeddings) {
    RETURN_IF_ERROR(check(names.head, {description.vocabulary_size, hidden}));
  }
  for (int k = 0; k < description.blocks; ++k) {
    const std::string block = absl::StrCat(names.block_prefix, ".", k, ".");
    RETURN_IF_ERROR(check(block + names.attention_norm, {hidden}));
    RETURN_IF_ERROR(check(block + names.mlp_norm, {hidden}));
    for (const LinearRow& row : kLinears) {
      const std::string name = block + names.*row.name;
      const int64_t rows = Extent(description, row.rows);
      if (description.*row.has_bias) {
        RETURN_IF_ERROR(check(name + ".bias", {rows}));
      }
      ASSIGN_OR_RETURN(const nlohmann::json* header,
                       CompressedLayerHeader(checkpoint, name));
      // A compressed layer checks its own tensors when it is loaded.
      if (header == nullptr) {
        RETURN_IF_ERROR(
            check(name + ".weight", {rows, Extent(description, row.cols)}));
      }
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<Model>> NewDecoder(
    std::shared_ptr<const Checkpoint> checkpoint,
    ModelDescription description) {
  return std::unique_ptr<Model>(
      std::make_unique<Decoder>(std::move(checkpoint), std::move(description)));
}

}  // namespace quantd
