// The mixture of experts: shares of each, and rows put together by them.
#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>
#include <vector>

#include "tensor/gradient_tape.h"
#include "tensor/ops.h"
#include "tensor/ops/operands.h"

namespace quantd::ops {

Tensor TopSoftmax(const Tensor& scores, int chosen) {
  Tensor y = Tensor::Zeros(scores.shape());
  std::vector<int64_t> order(static_cast<size_t>(scores.cols()));
  for (int64_t r = 0; r < scores.rows(); ++r) {
    const float* row = scores.row(r);
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(),
                     [row](int64_t a, int64_t b) { return row[a] > row[b]; });
    const absl::Span<const int64_t> best =
        absl::MakeSpan(order).first(static_cast<size_t>(chosen));
    double sum = 0;
    for (int64_t c : best) sum += std::exp(double{row[c]} - row[best[0]]);
    for (int64_t c : best) {
      y.row(r)[c] =
          static_cast<float>(std::exp(double{row[c]} - row[best[0]]) / sum);
    }
  }
  GradientTape* const tape = GradientTape::Of({&scores});
  if (tape == nullptr) return y;
  return tape->Record(
      y, [tape, to_scores = tape->IdOf(scores), y](const Tensor& dy) {
        Tensor dscores = Tensor::Uninitialized(y.shape());
        for (int64_t r = 0; r < y.rows(); ++r) {
          double mean = 0;
          for (int64_t c = 0; c < y.cols(); ++c) {
            mean += double{y.row(r)[c]} * dy.row(r)[c];
          }
          for (int64_t c = 0; c < y.cols(); ++c) {
            dscores.row(r)[c] =
                static_cast<float>(double{y.row(r)[c]} * (dy.row(r)[c] - mean));
          }
        }
        tape->Add(to_scores, std::move(dscores));
      });
}

Tensor MixRows(const Tensor& shares, absl::Span<const RowsOfColumn> parts) {
  Tensor y = Tensor::Zeros({shares.rows(), parts[0].x.cols()});
  GradientTape* tape = shares.tape();
  for (const RowsOfColumn& part : parts) {
    for (size_t i = 0; i < part.rows.size(); ++i) {
      const float share = shares.row(part.rows[i])[part.column];
      const float* source = part.x.row(static_cast<int64_t>(i));
      float* target = y.row(part.rows[i]);
      for (int64_t c = 0; c < y.cols(); ++c) target[c] += share * source[c];
    }
    if (part.x.tape() != nullptr) tape = part.x.tape();
  }
  if (tape == nullptr) return y;
  std::vector<Id> ids;
  std::vector<RowsOfColumn> kept;
  for (const RowsOfColumn& part : parts) {
    ids.push_back(tape->IdOf(part.x));
    kept.push_back({part.column, part.rows, part.x.Untracked()});
  }
  return tape->Record(y, [tape, ids, kept, to_shares = tape->IdOf(shares),
                          shares = shares.Untracked()](const Tensor& dy) {
    Tensor dshares = Tensor::Zeros(shares.shape());
    for (size_t p = 0; p < kept.size(); ++p) {
      const RowsOfColumn& part = kept[p];
      Tensor dx = Tensor::Uninitialized(part.x.shape());
      for (size_t i = 0; i < part.rows.size(); ++i) {
        const int64_t local = static_cast<int64_t>(i);
        const float* gradient = dy.row(part.rows[i]);
        const float share = shares.row(part.rows[i])[part.column];
        double sum = 0;
        for (int64_t c = 0; c < dx.cols(); ++c) {
          dx.row(local)[c] = share * gradient[c];
          sum += double{gradient[c]} * part.x.row(local)[c];
        }
        dshares.row(part.rows[i])[part.column] = static_cast<float>(sum);
      }
      tape->Add(ids[p], std::move(dx));
    }
    tape->Add(to_shares, std::move(dshares));
  });
}

}  // namespace quantd::ops
