#include "quantizers/weight_sensitivity.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/file.h"
#include "base/status_macros.h"
#include "models/safetensors.h"
#include "quantizers/network_pass.h"
#include "tensor/gradient_tape.h"
#include "tensor/ops.h"

namespace quantd {
namespace {

using Measure = SensitivityRequest::Measure;
using LayerSums = std::map<std::string, Tensor>;

// The gradient of a window's mean loss with respect to what leaves the last
// block.
absl::StatusOr<Tensor> BehindLastBlock(const Model& model, const Tensor& hidden,
                                       absl::Span<const int32_t> tokens,
                                       ExecutionContext& ctx) {
  RETURN_IF_ERROR(ctx.CheckCancelled());
  std::vector<int32_t> next(tokens.begin() + 1, tokens.end());
  next.push_back(0);  // behind the window: counts nothing
  GradientTape tape(ctx);
  const Tensor leaf = tape.Watch(hidden);
  ASSIGN_OR_RETURN(const Tensor logits, model.Logits(leaf, ctx));
  const Tensor loss = ops::NegativeLogLikelihood(logits, next, ctx);
  Tensor seed = Tensor::Zeros(loss.shape());
  const float share = 1.0f / static_cast<float>(next.size() - 1);
  std::fill_n(seed.data(), next.size() - 1, share);
  RETURN_IF_ERROR(tape.Backward({{loss, std::move(seed)}}));
  return tape.Gradient(leaf);
}

// Adds a window's gradients.
absl::Status Accumulate(Block& block, absl::Span<const Tensor> gradients,
                        Measure measure, LayerSums* sums) {
  for (size_t i = 0; i < gradients.size(); ++i) {
    const Tensor& d = gradients[i];
    Tensor& sum =
        sums->try_emplace(block.linears()[i].name(), Tensor::Zeros(d.shape()))
            .first->second;
    const float* const g = d.data();
    float* const s = sum.data();
    for (int64_t e = 0; e < d.size(); ++e) {
      s[e] += measure == Measure::kSquares ? g[e] * g[e] : std::abs(g[e]);
    }
  }
  return absl::OkStatus();
}

}  // namespace

std::string WeightSensitivity::Path(int block) const {
  return absl::StrFormat("%s/%05d.safetensors", directory_, block);
}

bool WeightSensitivity::complete() const {
  return std::filesystem::exists(Marker());
}

absl::Status WeightSensitivity::Compute(
    const Model& model, const CalibrationWindows& windows,
    const SensitivityRequest& request, uint64_t memory_bytes,
    const std::function<void(double)>& progress, ExecutionContext& ctx) const {
  RETURN_IF_ERROR(CreateDirectories(directory_));
  const int64_t count = request.windows == 0
                            ? windows.count()
                            : std::min(request.windows, windows.count());
  if (count == 0) return absl::NotFoundError("no calibration windows");
  const int blocks = model.block_count();
  const uint64_t window_bytes =
      static_cast<uint64_t>(windows.window_tokens) *
      static_cast<uint64_t>(model.description().hidden_size) * sizeof(float) *
      static_cast<uint64_t>(blocks + 2);
  const int64_t together = std::clamp<int64_t>(
      static_cast<int64_t>(std::min<uint64_t>(memory_bytes / window_bytes,
                                              static_cast<uint64_t>(count))),
      1, count);
  const int64_t rounds = (count + together - 1) / together;
  const double steps = static_cast<double>(rounds) * 2 * blocks;
  double done = 0;
  NetworkPass pass(
      model, [&](int k) { return model.LoadBlock(k, ctx); },
      windows.window_tokens, ctx);
  pass.set_advanced([&] { progress(++done / steps); });
  for (int64_t begin = 0; begin < count; begin += together) {
    const int64_t end = std::min(begin + together, count);
    std::vector<absl::Span<const int32_t>> tokens;
    for (int64_t w = begin; w < end; ++w) tokens.push_back(windows.Window(w));
    RETURN_IF_ERROR(pass.Forward(tokens, NetworkPass::Inputs::kKeep));
    std::vector<Tensor> gradients;
    for (size_t w = 0; w < tokens.size(); ++w) {
      ASSIGN_OR_RETURN(
          Tensor gradient,
          BehindLastBlock(model, pass.outputs()[w], tokens[w], ctx));
      gradients.push_back(std::move(gradient));
    }
    LayerSums sums;
    RETURN_IF_ERROR(pass.Backward(
        std::move(gradients),
        [&](int, Block& block, absl::Span<const Tensor> found) {
          return Accumulate(block, found, request.measure, &sums);
        },
        [&](int k, Block&) -> absl::Status {
          if (begin > 0) {
            ASSIGN_OR_RETURN(const LayerSums before, Read(k));
            for (auto& [name, sum] : sums) {
              const Tensor& other = before.at(name);
              ctx.device().Add(other.data(), other.size(), sum.data());
            }
          }
          RETURN_IF_ERROR(Write(k, end == count ? count : 1, sums));
          sums.clear();
          return absl::OkStatus();
        }));
  }
  return WriteFileDurably(Marker(), "");
}

absl::Status WeightSensitivity::Write(
    int block, int64_t divisor, std::map<std::string, Tensor>& sums) const {
  std::vector<TensorToWrite> tensors;
  for (auto& [name, sum] : sums) {
    for (float& v : sum.values()) {
      v /= static_cast<float>(divisor);
      if (!std::isfinite(v)) {
        return absl::InvalidArgumentError(absl::StrCat(
            "layer ", name, ": the gradient of the loss is not finite"));
      }
    }
    tensors.push_back(
        {name, DType::kF32, sum.shape(),
         std::string(reinterpret_cast<const char*>(sum.data()),
                     static_cast<size_t>(sum.size()) * sizeof(float))});
  }
  return WriteSafetensors(Path(block), tensors, {});
}

absl::StatusOr<std::map<std::string, Tensor>> WeightSensitivity::Read(
    int block) const {
  ASSIGN_OR_RETURN(const auto file, SafetensorsFile::Open(Path(block)));
  LayerSums result;
  for (const auto& [name, stored] : file->tensors()) {
    Tensor t = Tensor::Uninitialized(stored.shape);
    if (stored.dtype != DType::kF32 ||
        stored.bytes.size() != static_cast<size_t>(t.size()) * sizeof(float)) {
      return absl::DataLossError(
          absl::StrCat(file->path(), ": tensor ", name, " is not F32"));
    }
    std::memcpy(t.data(), stored.bytes.data(), stored.bytes.size());
    result[name] = std::move(t);
  }
  return result;
}

}  // namespace quantd
