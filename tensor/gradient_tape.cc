#include "tensor/gradient_tape.h"

#include <utility>

#include "base/status_macros.h"

namespace quantd {

Tensor GradientTape::Watch(const Tensor& value) {
  Entry entry;
  entry.shape = value.shape();
  entries_.push_back(std::move(entry));
  Tensor leaf = value;
  leaf.SetTape(this, static_cast<int64_t>(entries_.size()) - 1);
  return leaf;
}

GradientTape* GradientTape::Of(std::initializer_list<const Tensor*> inputs) {
  for (const Tensor* input : inputs) {
    if (input->tape() != nullptr) return input->tape();
  }
  return nullptr;
}

Tensor GradientTape::Record(Tensor output, Backpropagation backward) {
  Entry entry;
  entry.shape = output.shape();
  entry.backward = std::move(backward);
  entries_.push_back(std::move(entry));
  output.SetTape(this, static_cast<int64_t>(entries_.size()) - 1);
  return output;
}

void GradientTape::Add(Id input, Tensor gradient) {
  if (input == kUntracked) return;
  Entry& entry = entries_[static_cast<size_t>(input)];
  gradient = gradient.Reshaped(entry.shape).Untracked();
  if (!entry.has_gradient) {
    entry.gradient = std::move(gradient);
    entry.has_gradient = true;
    return;
  }
  // The first one may also be another entry's.
  if (!entry.owned) {
    entry.gradient = entry.gradient.Clone();
    entry.owned = true;
  }
  ctx_.device().Add(gradient.data(), gradient.size(), entry.gradient.data());
}

absl::Status GradientTape::Backward(const std::vector<Seed>& seeds) {
  for (const Seed& seed : seeds) Add(IdOf(seed.output), seed.gradient);
  for (size_t i = entries_.size(); i-- > 0;) {
    Entry& entry = entries_[i];
    if (!entry.backward) continue;
    RETURN_IF_ERROR(ctx_.CheckCancelled());
    const Backpropagation backward = std::move(entry.backward);
    entry.backward = nullptr;
    if (!entry.has_gradient) continue;
    const Tensor gradient = std::move(entry.gradient);
    entry.has_gradient = false;
    entry.gradient = Tensor();
    backward(gradient);
  }
  return absl::OkStatus();
}

Tensor GradientTape::Gradient(const Tensor& leaf) const {
  const Entry& entry = entries_[static_cast<size_t>(leaf.tape_index())];
  return entry.has_gradient ? entry.gradient : Tensor::Zeros(entry.shape);
}

}  // namespace quantd
