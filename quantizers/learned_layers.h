// What gradient descent may learn of a compressed layer: one row per
// TuneStage.Variable. Each kind is a TunableLinear (models/tunable_linear.h)
// that a file of its own makes; stages that descend ask the table.
#ifndef QUANTD_QUANTIZERS_LEARNED_LAYERS_H_
#define QUANTD_QUANTIZERS_LEARNED_LAYERS_H_

#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "models/compressed_linear.h"
#include "models/tunable_linear.h"
#include "quantd/v1/stages.pb.h"
#include "quantizers/grid.h"
#include "tensor/tensor.h"

namespace quantd {

struct LearnedOptions {
  v1::TuneStage::Variable variable = v1::TuneStage::PARAMETERS;
  // Whether scales, zero points and levels are learned beside what every weight
  // has, where that is a choice.
  bool learn_range = true;
  // Of their learning rate.
  double range_rate = 1;
  // SIGMOID: weight of ops::RoundingPenalty(), whose beta falls from 20 to 2
  // after the share `penalty_start` of the steps.
  double penalty = 0.01;
  double penalty_start = 0.2;
  v1::TuneStage::MappingRule mapping_rule = v1::TuneStage::PROXIMAL;
};

struct LearnedVariable {
  v1::TuneStage::Variable variable;
  // Fields of v1.Grid, comma-separated, on which it can be learned; empty: any,
  // and layers of solvers without a grid.
  absl::string_view grids;
  // Whether it is a function of the original weight.
  bool needs_original;
  // Float32 numbers per weight in memory, of all layers that are learned at
  // once: parameters, gradients, moments, the best so far.
  double floats_per_weight;
  // Null where the layout has nothing to tune. InvalidArgument when the layer
  // has no layout of those that such grids make.
  absl::StatusOr<std::unique_ptr<TunableLinear>> (*make)(
      const CompressedLinear& start, const Tensor& original,
      const LearnedOptions& options);
};

// All variables of this build, in the order of TuneStage.Variable.
absl::Span<const LearnedVariable> LearnedVariables();

// Null when it is not in the table.
const LearnedVariable* FindLearnedVariable(v1::TuneStage::Variable variable);

// InvalidArgument that names "<stage>.variable" unless layers of `grid`, null
// for a solver without one, have such a variable.
absl::Status CheckLearnedVariable(absl::string_view stage,
                                  v1::TuneStage::Variable variable,
                                  const Grid* grid);

// The layer `start`, which approximates `original` [rows, cols], as it is to be
// learned; null where there is nothing. `original` may be empty where it is not
// needed. Errors as `make` has them. REQUIRES: the variable is in the table.
absl::StatusOr<std::unique_ptr<TunableLinear>> NewLearnedLayer(
    const CompressedLinear& start, const Tensor& original,
    const LearnedOptions& options);

}  // namespace quantd

#endif  // QUANTD_QUANTIZERS_LEARNED_LAYERS_H_
