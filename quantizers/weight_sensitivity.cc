#include "quantizers/weight_sensitivity.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <memory>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/file.h"
#include "base/status_macros.h"
#include "models/safetensors.h"
#include "tensor/gradient_tape.h"
#include "tensor/ops.h"

namespace quantd {
namespace {

using Measure = SensitivityRequest::Measure;
using LayerSums = std::map<std::string, Tensor>;

class Pass {
 public:
  Pass(const Model& model, const CalibrationWindows& windows, Measure measure,
       ExecutionContext& ctx)
      : model_(model), windows_(windows), measure_(measure), ctx_(ctx) {}

  // Windows [begin, end) through all blocks and back; `sums` of block k are
  // handed to `take`, last block first.
  absl::Status Run(int64_t begin, int64_t end,
                   const std::function<void()>& advanced,
                   const std::function<absl::Status(int, LayerSums)>& take) {
    const int blocks = model_.block_count();
    std::vector<std::vector<Tensor>> inputs(static_cast<size_t>(blocks) + 1);
    for (int64_t w = begin; w < end; ++w) {
      ASSIGN_OR_RETURN(Tensor x, model_.Embed(TokensOf(w), OneWindow(), ctx_));
      inputs[0].push_back(std::move(x));
    }
    for (int k = 0; k < blocks; ++k) {
      ASSIGN_OR_RETURN(const auto block, model_.LoadBlock(k, ctx_));
      for (const Tensor& x : inputs[static_cast<size_t>(k)]) {
        RETURN_IF_ERROR(ctx_.CheckCancelled());
        ASSIGN_OR_RETURN(Tensor y, block->Forward(x, OneWindow(), ctx_));
        inputs[static_cast<size_t>(k) + 1].push_back(std::move(y));
      }
      advanced();
    }
    std::vector<Tensor> gradients;
    for (int64_t w = begin; w < end; ++w) {
      Tensor& last = inputs.back()[static_cast<size_t>(w - begin)];
      ASSIGN_OR_RETURN(Tensor gradient, BehindLastBlock(last, w));
      last = Tensor();
      gradients.push_back(std::move(gradient));
    }
    for (int k = blocks; k-- > 0;) {
      ASSIGN_OR_RETURN(const auto block, model_.LoadBlock(k, ctx_));
      LayerSums sums;
      for (size_t w = 0; w < gradients.size(); ++w) {
        RETURN_IF_ERROR(ctx_.CheckCancelled());
        RETURN_IF_ERROR(Back(*block, inputs[static_cast<size_t>(k)][w],
                             &gradients[w], &sums));
      }
      inputs[static_cast<size_t>(k)].clear();
      RETURN_IF_ERROR(take(k, std::move(sums)));
      advanced();
    }
    return absl::OkStatus();
  }

 private:
  SequenceBatch OneWindow() const {
    return SequenceBatch::Uniform(1, windows_.window_tokens);
  }

  absl::Span<const int32_t> TokensOf(int64_t window) const {
    return absl::MakeConstSpan(windows_.tokens)
        .subspan(static_cast<size_t>(window * windows_.window_tokens),
                 static_cast<size_t>(windows_.window_tokens));
  }

  // The gradient of the window's mean loss with respect to what leaves the last
  // block.
  absl::StatusOr<Tensor> BehindLastBlock(const Tensor& hidden, int64_t window) {
    RETURN_IF_ERROR(ctx_.CheckCancelled());
    const absl::Span<const int32_t> tokens = TokensOf(window);
    std::vector<int32_t> next(tokens.begin() + 1, tokens.end());
    next.push_back(0);  // behind the window: counts nothing
    GradientTape tape(ctx_);
    const Tensor leaf = tape.Watch(hidden);
    ASSIGN_OR_RETURN(const Tensor logits, model_.Logits(leaf, ctx_));
    const Tensor loss = ops::NegativeLogLikelihood(logits, next, ctx_);
    Tensor seed = Tensor::Zeros(loss.shape());
    const float share = 1.0f / static_cast<float>(next.size() - 1);
    std::fill_n(seed.data(), next.size() - 1, share);
    RETURN_IF_ERROR(tape.Backward({{loss, std::move(seed)}}));
    return tape.Gradient(leaf);
  }

  // Adds the window's gradients of the block's weights, and moves `gradient`
  // from behind the block to in front of it.
  absl::Status Back(Block& block, const Tensor& input, Tensor* gradient,
                    LayerSums* sums) {
    GradientTape tape(ctx_);
    const Tensor x = tape.Watch(input);
    std::vector<Tensor> weights;
    for (Linear& layer : block.linears()) {
      weights.push_back(tape.Watch(layer.weight().Untracked()));
      layer.SetWeight(weights.back());
    }
    ASSIGN_OR_RETURN(const Tensor y, block.Forward(x, OneWindow(), ctx_));
    RETURN_IF_ERROR(tape.Backward({{y, std::move(*gradient)}}));
    *gradient = tape.Gradient(x);
    for (size_t i = 0; i < weights.size(); ++i) {
      Linear& layer = block.linears()[i];
      layer.SetWeight(weights[i].Untracked());
      Tensor& sum =
          sums->try_emplace(layer.name(), Tensor::Zeros(weights[i].shape()))
              .first->second;
      const Tensor d = tape.Gradient(weights[i]);
      const float* const g = d.data();
      float* const s = sum.data();
      for (int64_t e = 0; e < d.size(); ++e) {
        s[e] += measure_ == Measure::kSquares ? g[e] * g[e] : std::abs(g[e]);
      }
    }
    return absl::OkStatus();
  }

  const Model& model_;
  const CalibrationWindows& windows_;
  const Measure measure_;
  ExecutionContext& ctx_;
};

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
  Pass pass(model, windows, request.measure, ctx);
  for (int64_t begin = 0; begin < count; begin += together) {
    const bool first = begin == 0;
    const int64_t end = std::min(begin + together, count);
    const bool last = end == count;
    RETURN_IF_ERROR(pass.Run(
        begin, end, [&] { progress(++done / steps); },
        [&](int k, LayerSums sums) -> absl::Status {
          if (!first) {
            ASSIGN_OR_RETURN(const LayerSums before, Read(k));
            for (auto& [name, sum] : sums) {
              const Tensor& other = before.at(name);
              ctx.device().Add(other.data(), other.size(), sum.data());
            }
          }
          std::vector<TensorToWrite> tensors;
          for (auto& [name, sum] : sums) {
            for (float& v : sum.values()) {
              if (last) v /= static_cast<float>(count);
              if (!std::isfinite(v)) {
                return absl::InvalidArgumentError(
                    absl::StrCat("layer ", name,
                                 ": the gradient of the loss is not finite"));
              }
            }
            tensors.push_back(
                {name, DType::kF32, sum.shape(),
                 std::string(reinterpret_cast<const char*>(sum.data()),
                             static_cast<size_t>(sum.size()) * sizeof(float))});
          }
          return WriteSafetensors(Path(k), tensors, {});
        }));
  }
  return WriteFileDurably(Marker(), "");
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
