#include "jobs/model_fit.h"

#include <utility>

#include "absl/strings/strip.h"
#include "base/status_macros.h"
#include "models/checkpoint.h"
#include "quantizers/compiled_recipe.h"

namespace quantd {
namespace {

constexpr size_t kMaxKnown = 256;

}  // namespace

absl::Status ModelFit::Check(const MetadataStore& store,
                             const v1::QuantizeSpec& spec) {
  v1::Model model;
  RETURN_IF_ERROR(store.Get(
      Table::kModels, absl::StripPrefix(spec.model(), "models/"), &model));
  const DescriptionPtr description = Describe(model);
  if (description == nullptr) return absl::OkStatus();
  const auto check = [&]() -> absl::Status {
    ASSIGN_OR_RETURN(const CompiledRecipe recipe,
                     CompiledRecipe::Compile(spec.recipe()));
    return recipe.CheckFits(*description);
  };
  return Annotate(check(), "spec.quantize.recipe on ", spec.model());
}

ModelFit::DescriptionPtr ModelFit::Describe(const v1::Model& model) {
  {
    absl::MutexLock lock(&mutex_);
    const auto it = known_.find(model.digest());
    if (it != known_.end()) return it->second;
  }
  auto checkpoint = Checkpoint::Open(model.path());
  if (!checkpoint.ok()) return nullptr;
  absl::StatusOr<ModelDescription> description = DescribeModel(**checkpoint);
  if (!description.ok()) return nullptr;
  auto known =
      std::make_shared<const ModelDescription>(*std::move(description));
  // Only what the record vouches for is remembered.
  if ((*checkpoint)->digest() == model.digest()) {
    absl::MutexLock lock(&mutex_);
    if (known_.size() >= kMaxKnown) known_.clear();
    known_[model.digest()] = known;
  }
  return known;
}

}  // namespace quantd
