// The choice among the entries of a table.
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <numeric>
#include <utility>
#include <vector>

#include "tensor/estimators.h"
#include "tensor/estimators/elementwise.h"
#include "tensor/gradient_tape.h"
#include "tensor/ops/operands.h"

namespace quantd::ops {

float MeanGap(const float* entries, int64_t count) {
  const auto [least, greatest] = std::minmax_element(entries, entries + count);
  const float gap = (*greatest - *least) / static_cast<float>(count - 1);
  return gap > 0 ? gap : 1.0f;
}

int64_t FirstGreatest(const float* logits, int64_t count) {
  int64_t best = 0;
  for (int64_t k = 1; k < count; ++k) {
    if (logits[k] > logits[best]) best = k;
  }
  return best;
}

namespace {

// The entries of a table next to each of them by value.
class Neighbours {
 public:
  static constexpr int64_t kNone = -1;

  Neighbours(const float* entries, int64_t count)
      : below_(static_cast<size_t>(count), kNone),
        above_(static_cast<size_t>(count), kNone) {
    std::vector<int64_t> order(static_cast<size_t>(count));
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(
        order.begin(), order.end(),
        [entries](int64_t a, int64_t b) { return entries[a] < entries[b]; });
    // [begin, end): a run of equal entries, of which the first stands for all.
    int64_t last = kNone;
    for (size_t begin = 0; begin < order.size();) {
      size_t end = begin;
      while (end < order.size() &&
             !(entries[order[begin]] < entries[order[end]])) {
        ++end;
      }
      const int64_t next = end < order.size() ? order[end] : kNone;
      for (size_t i = begin; i < end; ++i) {
        below_[static_cast<size_t>(order[i])] = last;
        above_[static_cast<size_t>(order[i])] = next;
      }
      last = order[begin];
      begin = end;
    }
  }

  int64_t below(int64_t entry) const {
    return below_[static_cast<size_t>(entry)];
  }
  int64_t above(int64_t entry) const {
    return above_[static_cast<size_t>(entry)];
  }

 private:
  std::vector<int64_t> below_, above_;
};

void AddProximal(const float* entries, int64_t taken, float d, float gap,
                 const Neighbours& neighbours, float* gradient) {
  for (const int64_t next :
       {neighbours.below(taken), neighbours.above(taken)}) {
    if (next == Neighbours::kNone) continue;
    const float step = entries[next] - entries[taken];
    gradient[next] =
        std::copysign(gap * gap / (std::abs(step) + gap), step) * d;
  }
}

void AddSoftmax(const float* logits, const float* entries, int64_t count,
                int64_t greatest, float d, float* gradient) {
  double sum = 0, mean = 0;
  for (int64_t k = 0; k < count; ++k) {
    const float p = std::exp(logits[k] - logits[greatest]);
    gradient[k] = p;
    sum += p;
    mean += double{p} * entries[k];
  }
  mean /= sum;
  for (int64_t k = 0; k < count; ++k) {
    gradient[k] =
        static_cast<float>(d * (gradient[k] / sum) * (entries[k] - mean));
  }
}

}  // namespace

Tensor SelectEntries(const Tensor& logits, const Tensor& table,
                     std::shared_ptr<const std::vector<int32_t>> table_of,
                     int64_t cols, ChoiceRule rule, ExecutionContext& ctx) {
  const int64_t rows = static_cast<int64_t>(table_of->size());
  const int64_t count = table.cols();
  auto taken =
      std::make_shared<std::vector<uint8_t>>(static_cast<size_t>(rows * cols));
  Tensor y = ElementwiseInRows({rows, cols}, ctx, [&](int64_t r, int64_t c) {
    const int64_t i = r * cols + c;
    const int64_t k = FirstGreatest(logits.row(i), count);
    (*taken)[static_cast<size_t>(i)] = static_cast<uint8_t>(k);
    return table.row((*table_of)[static_cast<size_t>(r)])[k];
  });
  GradientTape* const tape = GradientTape::Of({&logits, &table});
  if (tape == nullptr) return y;
  return tape->Record(std::move(y), [tape, to_logits = tape->IdOf(logits),
                                     to_table = tape->IdOf(table),
                                     logits = logits.Untracked(),
                                     table = table.Untracked(), taken,
                                     table_of = std::move(table_of), rows, cols,
                                     count, rule](const Tensor& dy) {
    ExecutionContext& ctx = tape->ctx();
    if (to_logits != kUntracked) {
      Tensor d = Tensor::Zeros(logits.shape());
      ctx.device().pool().ParallelFor(rows, [&](int64_t r) {
        const float* const entries =
            table.row((*table_of)[static_cast<size_t>(r)]);
        const float gap = MeanGap(entries, count);
        const Neighbours neighbours(entries, count);
        for (int64_t i = r * cols; i < (r + 1) * cols; ++i) {
          const int64_t k = (*taken)[static_cast<size_t>(i)];
          if (rule == ChoiceRule::kProximal) {
            AddProximal(entries, k, dy.data()[i], gap, neighbours, d.row(i));
          } else {
            AddSoftmax(logits.row(i), entries, count, k, dy.data()[i],
                       d.row(i));
          }
        }
      });
      tape->Add(to_logits, std::move(d));
    }
    if (to_table == kUntracked) return;
    // By row on all threads, then rows in their order.
    std::vector<double> by_row(static_cast<size_t>(rows * count), 0.0);
    ForEachInRows(rows, cols, ctx, [&](int64_t r, int64_t c) {
      const int64_t i = r * cols + c;
      const int64_t k = (*taken)[static_cast<size_t>(i)];
      by_row[static_cast<size_t>(r * count + k)] += dy.data()[i];
    });
    std::vector<double> sums(static_cast<size_t>(table.size()), 0.0);
    for (int64_t r = 0; r < rows; ++r) {
      const int64_t t = (*table_of)[static_cast<size_t>(r)];
      for (int64_t k = 0; k < count; ++k) {
        sums[static_cast<size_t>(t * count + k)] +=
            by_row[static_cast<size_t>(r * count + k)];
      }
    }
    tape->Add(to_table, ToTensor(sums, table.shape()));
  });
}

}  // namespace quantd::ops
