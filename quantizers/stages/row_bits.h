// Importance-based mixed precision: output channels (neurons) whose weights
// matter most to the loss get wide codes, the others narrow ones (Yvinec et
// al., arXiv:2308.07662).
//
//   I_o = sum_j |w_oj| E|dL/dw_oj|
//
// The sensitivity stage before this one gives E|dL/dw|, or the square of it in
// the mean.
#ifndef QUANTD_QUANTIZERS_STAGES_ROW_BITS_H_
#define QUANTD_QUANTIZERS_STAGES_ROW_BITS_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "quantd/v1/stages.pb.h"
#include "quantizers/stage.h"
#include "tensor/tensor.h"

namespace quantd {

// I of every row. `slopes` [rows, cols] is the size of the gradient.
std::vector<double> RowImportance(const Tensor& weight, const Tensor& slopes);

// `wide_bits` for the round(wide_share * rows) rows of greatest importance, the
// first of equals, `bits` for the others.
std::vector<uint8_t> WidthsByImportance(const std::vector<double>& importance,
                                        double wide_share, int bits,
                                        int wide_bits);

std::unique_ptr<Stage> NewRowBitsStage(const v1::RowBitsStage& options);

}  // namespace quantd

#endif  // QUANTD_QUANTIZERS_STAGES_ROW_BITS_H_
