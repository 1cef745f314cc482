// A Stage is one step of a recipe: it changes the linear layers of a network,
// one block at a time, in block order.
//
// Stages do not know of each other; they read and write the block's work item:
// float weights, compressed weights, statistics. Each kind is a row of
// builtin_stages.cc and one file under stages/.
//
// One instance serves one job. ProcessBlock() is called from one thread, in
// order; it may use the context's threads inside.
#ifndef QUANTD_QUANTIZERS_STAGE_H_
#define QUANTD_QUANTIZERS_STAGE_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "kernels/execution_context.h"
#include "models/linear.h"
#include "quantd/v1/recipe.pb.h"
#include "quantizers/second_moment.h"

namespace quantd {

// What calibration must gather for each layer before ProcessBlock().
struct StatisticsRequest {
  bool second_moment = false;
  // Gather again before each set of layers that read the same input, with the
  // earlier sets already compressed; otherwise once per block.
  bool per_set = false;

  bool any() const { return second_moment; }
};

// What calibration gathered for one layer. Layers of one set share it.
struct LayerStatistics {
  SquareMatrix second_moment;
  // Calibration tokens that reached the layer; none may have reached an expert.
  int64_t tokens = 0;
};

// What a stage did to a layer; written into quantd.json and the job's notes.
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

// One layer handed to a stage.
struct LayerWork {
  Linear* layer = nullptr;
  // Null unless the stage asked for statistics.
  const LayerStatistics* statistics = nullptr;
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
  // Memory at most, beside the layer's float32 weight and its statistics.
  uint64_t working_bytes = 0;
  // Work: float32 products; float64 factorisations, once for all layers of a
  // set; weights rounded to a grid.
  double product_flops = 0;
  double factor_flops_per_set = 0;
  double rounded_weights = 0;
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

  virtual StatisticsRequest Needs() const = 0;

  // REQUIRES: Validate(layer) was OK.
  virtual StageCost Cost(const LinearShape& layer) const = 0;

  // REQUIRES: Validate() was OK for every layer; statistics are present as
  // asked. Returns Cancelled soon after the context is cancelled. The result
  // is independent of the number of threads.
  virtual absl::Status ProcessBlock(BlockWork& work, ExecutionContext& ctx) = 0;
};

// One row of the stage table.
struct StageRow {
  v1::Stage::KindCase kind;
  absl::string_view name;  // the field of v1.Stage
  std::unique_ptr<Stage> (*make)(const v1::Stage& options);
};

// All kinds of this build, in the order of v1.Stage's fields.
absl::Span<const StageRow> BuiltinStages();

// REQUIRES: `options` was completed by CompleteRecipe().
// Unimplemented when the kind is not in the table.
absl::StatusOr<std::unique_ptr<Stage>> NewStage(const v1::Stage& options);

}  // namespace quantd

#endif  // QUANTD_QUANTIZERS_STAGE_H_
