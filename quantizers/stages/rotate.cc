#include "quantizers/stages/rotate.h"

#include <cmath>
#include <map>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "models/layouts/input_rotation.h"
#include "quantizers/network_rotation.h"

namespace quantd {
namespace {

// --- Options ---------------------------------------------------------------

RotationKind KindOf(v1::RotateStage::Kind kind) {
  switch (kind) {
    case v1::RotateStage::HADAMARD:
      return RotationKind::kHadamard;
    case v1::RotateStage::ORTHOGONAL:
      return RotationKind::kOrthogonal;
    default:
      return RotationKind::kAny;
  }
}

// --- The network -----------------------------------------------------------

class ResidualRotation final : public CheckpointTransform {
 public:
  explicit ResidualRotation(const NetworkRotationOptions& options)
      : options_(options) {}

  const NetworkRotationOptions& options() const { return options_; }

  std::string Describe() const override {
    return absl::StrCat("rotate kind=", static_cast<int>(options_.kind),
                        " seed=", options_.seed, " values=", options_.values);
  }
  absl::Status Write(const Checkpoint& source, const ModelDescription& model,
                     const std::string& directory,
                     ExecutionContext& ctx) const override {
    return WriteRotatedCheckpoint(source, model, options_, directory, ctx);
  }
  ModelFootprint Footprint(const ModelFootprint& source) const override {
    return RotatedFootprint(source);
  }
  uint64_t CheckpointBytes(const ModelDescription& model) const override {
    return RotatedCheckpointBytes(model);
  }
  uint64_t WorkingBytes(const ModelDescription& model) const override {
    return RotationWorkingBytes(model, options_.kind);
  }

 private:
  const NetworkRotationOptions options_;
};

// --- One layer -------------------------------------------------------------

// FNV-1a: layers get signs of their own, whichever are worked on.
uint64_t LayerSeed(uint64_t seed, absl::string_view name) {
  uint64_t hash = UINT64_C(0xcbf29ce484222325);
  for (char c : name) {
    hash = (hash ^ static_cast<uint8_t>(c)) * UINT64_C(0x100000001b3);
  }
  return hash ^ seed;
}

std::shared_ptr<const LayerStatistics> RotateStatistics(
    const LayerStatistics& statistics, const InputRotation& rotation,
    ExecutionContext& ctx) {
  auto rotated = std::make_shared<LayerStatistics>();
  rotated->tokens = statistics.tokens;
  if (statistics.second_moment.n > 0) {
    rotated->second_moment = statistics.second_moment;
    RotateMoment(rotation, rotated->second_moment.values.data(), ctx);
  }
  if (statistics.sample.size() > 0) {
    rotated->sample = Rotate(statistics.sample, rotation, ctx);
  }
  if (!statistics.mean_abs.empty() && rotated->second_moment.n > 0) {
    // A rotation leaves no trace of |x|; of its outputs, which are nearly
    // normal, the mean is as their root mean square. The norm stays.
    double old_norm = 0;
    double new_norm = 0;
    for (int64_t c = 0; c < rotated->second_moment.n; ++c) {
      const double old_mean = statistics.mean_abs[static_cast<size_t>(c)];
      old_norm += old_mean * old_mean;
      new_norm += rotated->second_moment.at(c, c);
    }
    const double scale = new_norm > 0 ? std::sqrt(old_norm / new_norm) : 0;
    for (int64_t c = 0; c < rotated->second_moment.n; ++c) {
      rotated->mean_abs.push_back(static_cast<float>(
          scale * std::sqrt(rotated->second_moment.at(c, c))));
    }
  }
  return rotated;
}

// --- Stage -----------------------------------------------------------------

class RotateStage final : public Stage {
 public:
  explicit RotateStage(const v1::RotateStage& options)
      : inner_(options.inner()), seed_(options.seed()) {
    if (options.residual()) {
      residual_.emplace(NetworkRotationOptions{
          KindOf(options.kind()), options.seed(), options.values()});
    }
  }

  absl::string_view name() const override { return "rotate"; }

  absl::Status ValidateModel(const ModelDescription& model) const override {
    if (!residual_.has_value()) return absl::OkStatus();
    return Annotate(CheckRotatable(model, residual_->options().kind), "rotate");
  }

  absl::Status Validate(const LinearShape& /*layer*/) const override {
    return absl::OkStatus();
  }

  StatisticsRequest Needs() const override { return {}; }

  const CheckpointTransform* checkpoint_transform() const override {
    return residual_.has_value() ? &*residual_ : nullptr;
  }

  StageCost Cost(const LinearShape& layer) const override {
    StageCost cost;
    if (!Rotates(layer.writes_residual)) return cost;
    const double weights =
        static_cast<double>(layer.rows) * static_cast<double>(layer.cols);
    const double square =
        static_cast<double>(layer.cols) * static_cast<double>(layer.cols);
    cost.added_bytes = InputRotationBytes(layer.cols);
    cost.held_bytes = static_cast<uint64_t>(4 * weights + 8 * square);
    cost.working_bytes = cost.held_bytes;
    cost.product_flops = (weights + 2 * square) * 2 *
                         std::log2(static_cast<double>(layer.cols) + 1);
    return cost;
  }

  absl::Status ProcessBlock(BlockWork& work, ExecutionContext& ctx) override {
    // Layers that share their input have to share its rotation.
    struct Shared {
      InputRotation rotation;
      std::shared_ptr<const LayerStatistics> statistics;
    };
    std::map<const LayerStatistics*, Shared> shared;
    for (LayerWork& item : work.layers) {
      if (!Rotates(item.writes_residual)) continue;
      RETURN_IF_ERROR(ctx.CheckCancelled());
      if (item.importance.has_value() || item.outliers != nullptr) {
        return absl::InvalidArgumentError(
            absl::StrCat("layer ", item.name,
                         ": rotate comes after a stage that chose "
                         "single weights, which a rotation mixes"));
      }
      const LayerStatistics* const key = item.statistics.get();
      auto found = shared.find(key);
      if (found == shared.end() || key == nullptr) {
        Shared made{RandomInputRotation(item.weight.cols(),
                                        LayerSeed(seed_, item.name)),
                    nullptr};
        if (key != nullptr) {
          made.statistics = RotateStatistics(*key, made.rotation, ctx);
        }
        found = shared.insert_or_assign(key, std::move(made)).first;
      }
      item.weight = Rotate(item.weight, found->second.rotation, ctx);
      item.statistics = found->second.statistics;
      item.transforms.push_back(
          [rotation = found->second.rotation](
              std::shared_ptr<const CompressedLinear> base) {
            return NewInputRotation(std::move(base), rotation);
          });
    }
    return absl::OkStatus();
  }

 private:
  bool Rotates(bool writes_residual) const { return inner_ && writes_residual; }

  std::optional<ResidualRotation> residual_;
  const bool inner_;
  const uint64_t seed_;
};

}  // namespace

// --- Factory ---------------------------------------------------------------

std::unique_ptr<Stage> NewRotateStage(const v1::RotateStage& options) {
  return std::make_unique<RotateStage>(options);
}

}  // namespace quantd
