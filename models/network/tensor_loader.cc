#include "models/network/tensor_loader.h"

#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "base/status_macros.h"
#include "models/compressed_linear.h"
#include "models/model.h"
#include "nlohmann/json.hpp"

namespace quantd {
namespace {

struct Alias {
  absl::string_view suffix;
  absl::string_view stored;
};

// Checkpoints converted from TensorFlow (the first BERT models).
constexpr Alias kAliases[] = {
    {"LayerNorm.weight", "LayerNorm.gamma"},
    {"LayerNorm.bias", "LayerNorm.beta"},
};

Tensor Transposed(const Tensor& x) {
  Tensor y = Tensor::Uninitialized({x.dim(1), x.dim(0)});
  for (int64_t r = 0; r < x.dim(0); ++r) {
    for (int64_t c = 0; c < x.dim(1); ++c) y.row(c)[r] = x.row(r)[c];
  }
  return y;
}

}  // namespace

std::string StoredName(const Checkpoint& checkpoint, const std::string& name) {
  if (checkpoint.Has(name)) return name;
  for (const Alias& alias : kAliases) {
    if (!absl::EndsWith(name, alias.suffix)) continue;
    std::string stored = absl::StrCat(
        absl::string_view(name).substr(0, name.size() - alias.suffix.size()),
        alias.stored);
    if (checkpoint.Has(stored)) return stored;
  }
  return name;
}

absl::StatusOr<Tensor> LoadTensor(const Checkpoint& checkpoint,
                                  const std::string& name,
                                  absl::Span<const int64_t> shape) {
  return checkpoint.LoadFloat(StoredName(checkpoint, name), shape);
}

absl::StatusOr<Linear> LoadLinear(const Checkpoint& checkpoint,
                                  const LinearPlan& plan,
                                  ExecutionContext& ctx) {
  std::optional<Tensor> bias;
  if (plan.bias) {
    ASSIGN_OR_RETURN(bias, checkpoint.LoadFloat(
                               absl::StrCat(plan.name, ".bias"), {plan.rows}));
  }
  ASSIGN_OR_RETURN(const nlohmann::json* header,
                   CompressedLayerHeader(checkpoint, plan.name));
  if (header == nullptr) {
    const std::string name = absl::StrCat(plan.name, ".weight");
    if (plan.transposed) {
      ASSIGN_OR_RETURN(const Tensor stored,
                       checkpoint.LoadFloat(name, {plan.cols, plan.rows}));
      return Linear(plan, Transposed(stored), std::move(bias));
    }
    ASSIGN_OR_RETURN(Tensor weight,
                     checkpoint.LoadFloat(name, {plan.rows, plan.cols}));
    return Linear(plan, std::move(weight), std::move(bias));
  }
  std::vector<const StoredTensor*> read;
  ASSIGN_OR_RETURN(
      auto compressed,
      LoadCompressedLinear(
          [&](absl::string_view name) -> absl::StatusOr<const StoredTensor*> {
            ASSIGN_OR_RETURN(const StoredTensor* tensor, checkpoint.Find(name));
            read.push_back(tensor);
            return tensor;
          },
          plan.name, *header, plan.rows, plan.cols));
  for (const StoredTensor* tensor : read) checkpoint.Release(*tensor);
  // The placeholder only carries the shape until SetCompressed().
  Linear linear(plan, Tensor::Uninitialized({plan.rows, plan.cols}),
                std::move(bias));
  linear.SetCompressed(std::move(compressed), ctx);
  return linear;
}

std::vector<std::string> StoredNamesOfOthers(const Checkpoint& checkpoint,
                                             const BlockPlan& plan) {
  std::vector<std::string> names;
  for (const TensorPlan& tensor : plan.tensors) {
    names.push_back(StoredName(checkpoint, tensor.name));
  }
  for (const LinearPlan& linear : plan.linears) {
    if (linear.bias) names.push_back(absl::StrCat(linear.name, ".bias"));
  }
  return names;
}

absl::StatusOr<Linear> LoadOuterLinear(const Checkpoint& checkpoint,
                                       const LinearDescription& description,
                                       int64_t rows, int64_t cols,
                                       ExecutionContext& ctx) {
  LinearPlan plan;
  plan.name = description.name;
  plan.rows = rows;
  plan.cols = cols;
  plan.bias = description.bias;
  plan.transposed = description.transposed;
  return LoadLinear(checkpoint, plan, ctx);
}

}  // namespace quantd
