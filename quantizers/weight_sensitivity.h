// How much the language-model loss depends on single weights: gradients of the
// loss with respect to the weights, squared or absolute, averaged over
// calibration windows. The mean square is the diagonal of the empirical Fisher
// information (Kim et al., SqueezeLLM, arXiv:2306.07629, section 4.1); the mean
// size is the criterion of Shao et al., GWQ, arXiv:2411.00850.
//
// One window is one sequence: its gradient is squared before anything is
// summed. Blocks are loaded one at a time, forward and then backward, for as
// many windows together as the inputs of all blocks fit the memory for
// activations; what is summed lies on disk.
//
//   <directory>/00003.safetensors   F32, one tensor a linear layer of block 3,
//                                   named as the layer; of no layer with NaN
//   <directory>/complete            when all blocks are there
#ifndef QUANTD_QUANTIZERS_WEIGHT_SENSITIVITY_H_
#define QUANTD_QUANTIZERS_WEIGHT_SENSITIVITY_H_

#include <cstdint>
#include <functional>
#include <map>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "kernels/execution_context.h"
#include "models/model.h"
#include "quantizers/calibration.h"
#include "tensor/tensor.h"

namespace quantd {

struct SensitivityRequest {
  enum class Measure {
    kNone,       // not asked for
    kSquares,    // mean of g^2
    kAbsolutes,  // mean of |g|
  };
  Measure measure = Measure::kNone;
  // Of the calibration windows, the first so many; 0: all.
  int64_t windows = 0;
};

class WeightSensitivity {
 public:
  // The pass lays its files into `directory`, which is made.
  explicit WeightSensitivity(std::string directory)
      : directory_(std::move(directory)) {}

  bool complete() const;

  // Runs the pass. `memory_bytes` bounds the inputs of blocks that are kept;
  // one window is always. `progress` gets the share that is done. Cancelled
  // soon after the context is; what was written so far is not used again.
  // InvalidArgument: a gradient is not finite (names the layer); NotFound: no
  // windows. REQUIRES: the model predicts the next token.
  absl::Status Compute(const Model& model, const CalibrationWindows& windows,
                       const SensitivityRequest& request, uint64_t memory_bytes,
                       const std::function<void(double)>& progress,
                       ExecutionContext& ctx) const;

  // Of the layers of `block`, by name, each [rows, cols]. REQUIRES: complete().
  absl::StatusOr<std::map<std::string, Tensor>> Read(int block) const;

 private:
  std::string Path(int block) const;
  // `sums` over `divisor`.
  absl::Status Write(int block, int64_t divisor,
                     std::map<std::string, Tensor>& sums) const;
  std::string Marker() const { return directory_ + "/complete"; }

  std::string directory_;
};

}  // namespace quantd

#endif  // QUANTD_QUANTIZERS_WEIGHT_SENSITIVITY_H_
