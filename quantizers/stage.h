// A Stage is one step of a recipe: it changes the linear layers of a network,
// one block at a time, in block order.
//
// Stages do not know of each other; they read and write the work item of each
// layer (LayerWork). Each kind is a row of builtin_stages.cc and one file under
// stages/; stage_pipeline.h runs them.
//
// One instance serves one job. ProcessBlock() is called from one thread, in
// order; it may use the context's threads inside.
#ifndef QUANTD_QUANTIZERS_STAGE_H_
#define QUANTD_QUANTIZERS_STAGE_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "kernels/execution_context.h"
#include "models/compressed_linear.h"
#include "models/linear.h"
#include "models/model_description.h"
#include "nlohmann/json_fwd.hpp"
#include "quantd/v1/recipe.pb.h"
#include "quantizers/block_reconstruction.h"
#include "quantizers/checkpoint_transform.h"
#include "quantizers/grid.h"
#include "quantizers/network_tuning.h"
#include "quantizers/outliers.h"
#include "quantizers/second_moment.h"
#include "quantizers/weight_sensitivity.h"
#include "tensor/tensor.h"

namespace quantd {

// How much every calibration token counts in second moments. The importance r
// of a token is brought to [least, 1] within its window, and to mean 1; a token
// then enters as sqrt(r) x (Sung et al., RSQ, arXiv:2503.01820, section 3.3).
struct TokenWeighting {
  enum class Kind {
    kUniform,    // every token counts 1
    kAttention,  // attention the token receives in the block, in float weights
    kInputNorm,  // Euclidean norm of the token's input to the block
    kFirst,      // 1 for the first `first_share` of a window, 0 for the others
  };
  // What attention is divided by, because under a causal mask a token has as
  // many readers as there are tokens from it on.
  enum class PerReader { kNo, kRoot, kFull };
  Kind kind = Kind::kUniform;
  double least = 0.005;
  PerReader per_reader = PerReader::kNo;
  double first_share = 0.125;

  bool uniform() const { return kind == Kind::kUniform; }
};

// What calibration must gather for each layer before ProcessBlock().
struct StatisticsRequest {
  bool second_moment = false;
  // Mean |x| of every input channel.
  bool mean_abs = false;
  // The first rows of the inputs themselves; 0: none.
  int64_t sample_rows = 0;
  // Nothing of a layer, but that calibration windows run through the network.
  bool windows = false;
  // Of single weights, before the first block; needs `windows`.
  SensitivityRequest sensitivity;
  // Gather again before each set of layers that read the same input, with the
  // earlier sets already compressed; otherwise once per block.
  bool per_set = false;
  // How tokens count in second_moment.
  TokenWeighting token_weighting;
  // Every window is taken so many times, rolled by equal parts of its length.
  int64_t window_copies = 1;

  // The same words for equal requests; a digest of statistics holds them.
  std::string Describe() const;

  // Whether anything is gathered at all, and whether windows run for it or for
  // something else.
  bool gathers() const { return second_moment || mean_abs || sample_rows > 0; }
  bool any() const { return gathers() || windows; }
  // What serves both. Of two token weightings that are not uniform, and of two
  // sensitivities, the other one's counts.
  void Merge(const StatisticsRequest& other);
};

// What calibration gathered for one layer; what was not asked for is empty.
// Layers of one set share it.
struct LayerStatistics {
  SquareMatrix second_moment;
  std::vector<float> mean_abs;  // [cols]
  Tensor sample;                // [at most sample_rows, cols]
  // Calibration tokens that reached the layer; none may have reached an expert.
  int64_t tokens = 0;
};

// What a recipe did to a layer; written into quantd.json and the job's notes.
struct LayerReport {
  std::string layer;
  double bits_per_weight = 0;
  // ||W - What||^2 / ||W||^2 (Frobenius).
  double weight_error = 0;
  // tr(D H D^T) / tr(W H W^T) with the calibration second moment; negative
  // when none was gathered.
  double output_error = -1;
  // The share of the mean diagonal that made H positive definite; negative
  // when no factorisation took place.
  double damping = -1;
  int damping_retries = 0;
  int64_t dead_inputs = 0;
};

// Puts a compressed layer behind a change of its input's basis: what it makes
// of an approximation of W T is one of W.
using InputTransform =
    std::function<absl::StatusOr<std::shared_ptr<const CompressedLinear>>(
        std::shared_ptr<const CompressedLinear>)>;

// One layer handed from stage to stage.
struct LayerWork {
  std::string name;
  bool writes_residual = false;  // models/linear.h
  // The target [rows, cols] of everything that follows. A transform stage
  // replaces it by the weight in another basis, and the statistics with it.
  Tensor weight;
  // In the weight's basis; layers of one set share the object. Null unless a
  // stage asked for statistics.
  std::shared_ptr<const LayerStatistics> statistics;
  // What an allocate stage decided.
  GridPlan grid_plan;
  // Weights that solvers keep in high precision; null: none.
  std::shared_ptr<const OutlierMask> outliers;
  // Of the loss to single weights, [rows, cols] in the layer's own basis; empty
  // unless a stage asked for it.
  Tensor sensitivity;
  // How much single weights count when grids are fitted, [rows, cols].
  std::optional<Tensor> importance;
  // Approximates `weight`. Null until a solver has run; compensation wraps it.
  std::shared_ptr<const CompressedLinear> compressed;
  // Back to the layer's own basis: applied to `compressed`, last first, when
  // all stages have run.
  std::vector<InputTransform> transforms;
  LayerReport* report = nullptr;
};

// The layers a stage is to process now. Layers of one set follow each other.
struct BlockWork {
  int block = 0;
  std::vector<LayerWork> layers;
};

// What a stage takes for one layer, known from its shape.
struct StageCost {
  // Exactly what CompressedLinear::Save() will write as tensors; 0 when the
  // stage does not compress.
  uint64_t stored_bytes = 0;
  // What it adds to what other stages store: outliers, low-rank factors.
  uint64_t added_bytes = 0;
  // Memory at most, beside the layer's float32 weight and its statistics.
  uint64_t working_bytes = 0;
  // What it leaves in memory for the stages after it: a weight and statistics
  // in another basis.
  uint64_t held_bytes = 0;
  // Work: float32 products; float64 factorisations, once for all layers of a
  // set; weights rounded to a grid.
  double product_flops = 0;
  double factor_flops_per_set = 0;
  double rounded_weights = 0;
};

// The layers that a stage will process, for stages that decide by all of them
// before the first block. They are streamed: one is in memory at a time.
class LayerSurvey {
 public:
  virtual ~LayerSurvey() = default;

  // Calls `visit` with the name and the float32 weight of every layer, in block
  // order. Returns the first error of `visit`; Cancelled soon after the context
  // is cancelled. May be called again.
  using Visitor =
      absl::FunctionRef<absl::Status(const std::string&, const Tensor&)>;
  virtual absl::Status VisitLayers(Visitor visit) = 0;
};

class Stage {
 public:
  virtual ~Stage() = default;

  // Written into artifacts. A stage whose output changes for the same request
  // takes a new name.
  virtual absl::string_view name() const = 0;

  // Whether this stage can process `layer`. If not: InvalidArgument that names
  // the first offending field and the reason.
  virtual absl::Status Validate(const LinearShape& layer) const = 0;

  // Whether the stage can work on such a network at all; asked before
  // Validate(), with the same errors.
  virtual absl::Status ValidateModel(const ModelDescription& /*model*/) const {
    return absl::OkStatus();
  }

  virtual StatisticsRequest Needs() const = 0;

  // What the stage makes of the whole checkpoint before any block is worked
  // on. Null: nothing.
  virtual const CheckpointTransform* checkpoint_transform() const {
    return nullptr;
  }

  // What the stage does to a block when all of its layers are compressed. Null:
  // nothing.
  virtual const BlockReconstruction* block_reconstruction() const {
    return nullptr;
  }

  // How the network is tuned as a whole when its last block is done. Null: not.
  virtual const NetworkTuningOptions* network_tuning() const { return nullptr; }

  // A solver's grid. Null: it has none, or is no solver.
  virtual const Grid* grid() const { return nullptr; }

  // Given to the stages around a solver with a grid, so that they can try what
  // it will make of the weights. `grid` outlives the use.
  virtual void set_solver_grid(const Grid* /*grid*/) {}

  // REQUIRES: Validate(layer) was OK.
  virtual StageCost Cost(const LinearShape& layer) const = 0;

  // How often Survey() visits the layers at most; 0: there is nothing to ask.
  virtual int survey_passes() const { return 0; }

  // Looks at all layers that this stage will process, in the basis of the
  // checkpoint, before the first block. What it finds is kept with the job's
  // workspace and written into the artifact: a later attempt gets it from there
  // and makes the same bytes.
  virtual absl::StatusOr<nlohmann::json> Survey(LayerSurvey& layers,
                                                ExecutionContext& ctx);

  // Takes what Survey() returned, in this attempt or an earlier one. REQUIRES:
  // survey_passes() > 0. InvalidArgument when it cannot be that.
  virtual absl::Status UseSurvey(const nlohmann::json& found);

  // REQUIRES: Validate() was OK for every layer; statistics are present as
  // asked; UseSurvey() was OK if there is a survey. Returns Cancelled soon
  // after the context is cancelled. The result is independent of the number of
  // threads.
  virtual absl::Status ProcessBlock(BlockWork& work, ExecutionContext& ctx) = 0;
};

// What a stage is for. A recipe has exactly one solver; what compensates
// follows it, then what tunes blocks, then what tunes the network; everything
// else comes before it.
enum class StageRole {
  kStatistics,   // decides how calibration inputs count
  kTransform,    // changes the basis: weight, statistics, transforms
  kAllocate,     // decides the grid plan
  kOutliers,     // decides what stays in high precision
  kSolver,       // makes the compressed layer
  kCompensate,   // repairs the compressed layer
  kTune,         // improves the block of compressed layers
  kTuneNetwork,  // improves the compressed network
};

// One row of the stage table.
struct StageRow {
  v1::Stage::KindCase kind;
  absl::string_view name;  // the field of v1.Stage
  StageRole role;
  std::unique_ptr<Stage> (*make)(const v1::Stage& options);
};

// All kinds of this build, in the order of v1.Stage's fields.
absl::Span<const StageRow> BuiltinStages();

// The row of a kind, or null when it is not in the table.
const StageRow* FindStageRow(v1::Stage::KindCase kind);

// REQUIRES: `options` was completed by CompleteRecipe().
// Unimplemented when the kind is not in the table.
absl::StatusOr<std::unique_ptr<Stage>> NewStage(const v1::Stage& options);

}  // namespace quantd

#endif  // QUANTD_QUANTIZERS_STAGE_H_
