// Losses: one number a row.
#include <cmath>
#include <utility>
#include <vector>

#include "tensor/gradient_tape.h"
#include "tensor/ops.h"
#include "tensor/ops/operands.h"

namespace quantd::ops {

Tensor NegativeLogLikelihood(const Tensor& logits,
                             absl::Span<const int32_t> targets,
                             ExecutionContext& ctx) {
  std::vector<double> nll(targets.size());
  ctx.device().NegativeLogLikelihood(logits.data(), targets.data(),
                                     logits.rows(), logits.cols(), nll.data());
  Tensor y = ToTensor(nll, {logits.rows()});
  GradientTape* const tape = GradientTape::Of({&logits});
  if (tape == nullptr) return y;
  return tape->Record(
      y, [tape, to_logits = tape->IdOf(logits), logits = logits.Untracked(),
          targets = std::vector<int32_t>(targets.begin(), targets.end())](
             const Tensor& dy) {
        const std::vector<double> dnll(dy.values().begin(), dy.values().end());
        Tensor dlogits = Tensor::Uninitialized(logits.shape());
        tape->ctx().device().NegativeLogLikelihoodBackward(
            logits.data(), targets.data(), dnll.data(), logits.rows(),
            logits.cols(), dlogits.data());
        tape->Add(to_logits, std::move(dlogits));
      });
}

Tensor KlDivergence(const Tensor& teacher, const Tensor& student,
                    float temperature, ExecutionContext& ctx) {
  std::vector<double> kl(static_cast<size_t>(student.rows()));
  ctx.device().KlDivergence(teacher.data(), student.data(), temperature,
                            student.rows(), student.cols(), kl.data());
  Tensor y = ToTensor(kl, {student.rows()});
  GradientTape* const tape = GradientTape::Of({&student});
  if (tape == nullptr) return y;
  return tape->Record(y, [tape, to_student = tape->IdOf(student), temperature,
                          teacher = teacher.Untracked(),
                          student = student.Untracked()](const Tensor& dy) {
    const std::vector<double> dkl(dy.values().begin(), dy.values().end());
    Tensor dstudent = Tensor::Uninitialized(student.shape());
    tape->ctx().device().KlDivergenceBackward(
        teacher.data(), student.data(), temperature, dkl.data(), student.rows(),
        student.cols(), dstudent.data());
    tape->Add(to_student, std::move(dstudent));
  });
}

namespace {

// y[r] = sum_c term(x - target), a term and its difference in float64; the
// gradient of x is slope(x - target, dy[r]), in float32.
template <typename Term, typename Slope>
Tensor SumOverColumns(const Tensor& x, const Tensor& target, Term term,
                      Slope slope) {
  Tensor y = Tensor::Uninitialized({x.rows()});
  for (int64_t r = 0; r < x.rows(); ++r) {
    double sum = 0;
    for (int64_t c = 0; c < x.cols(); ++c) {
      sum += term(double{x.row(r)[c]} - target.row(r)[c]);
    }
    y.data()[r] = static_cast<float>(sum);
  }
  GradientTape* const tape = GradientTape::Of({&x});
  if (tape == nullptr) return y;
  return tape->Record(
      y, [tape, to_x = tape->IdOf(x), x = x.Untracked(),
          target = target.Untracked(), slope](const Tensor& dy) {
        Tensor dx = Tensor::Uninitialized(x.shape());
        for (int64_t r = 0; r < x.rows(); ++r) {
          for (int64_t c = 0; c < x.cols(); ++c) {
            dx.row(r)[c] = slope(x.row(r)[c] - target.row(r)[c], dy.data()[r]);
          }
        }
        tape->Add(to_x, std::move(dx));
      });
}

}  // namespace

Tensor SquaredError(const Tensor& x, const Tensor& target) {
  return SumOverColumns(
      x, target, [](double d) { return d * d; },
      [](float d, float dy) { return 2 * dy * d; });
}

Tensor AbsoluteError(const Tensor& x, const Tensor& target) {
  return SumOverColumns(
      x, target, [](double d) { return std::abs(d); },
      [](float d, float dy) { return d > 0   ? dy
                                     : d < 0 ? -dy
                                             : 0.0f; });
}

namespace {

// Of the vectors x and t: their product and squared norms.
struct Angle {
  Angle(const float* x, const float* t, int64_t n) {
    for (int64_t c = 0; c < n; ++c) {
      dot += double{x[c]} * t[c];
      xx += double{x[c]} * x[c];
      tt += double{t[c]} * t[c];
    }
  }
  bool exists() const { return xx > 0 && tt > 0; }
  double cosine() const { return dot / std::sqrt(xx * tt); }

  double dot = 0;
  double xx = 0;
  double tt = 0;
};

}  // namespace

Tensor CosineDistance(const Tensor& x, const Tensor& target) {
  Tensor y = Tensor::Uninitialized({x.rows()});
  for (int64_t r = 0; r < x.rows(); ++r) {
    const Angle angle(x.row(r), target.row(r), x.cols());
    y.data()[r] =
        angle.exists() ? static_cast<float>(1 - angle.cosine()) : 1.0f;
  }
  GradientTape* const tape = GradientTape::Of({&x});
  if (tape == nullptr) return y;
  return tape->Record(y, [tape, to_x = tape->IdOf(x), x = x.Untracked(),
                          target = target.Untracked()](const Tensor& dy) {
    Tensor dx = Tensor::Zeros(x.shape());
    for (int64_t r = 0; r < x.rows(); ++r) {
      const Angle angle(x.row(r), target.row(r), x.cols());
      if (!angle.exists()) continue;
      const double norms = std::sqrt(angle.xx * angle.tt);
      for (int64_t c = 0; c < x.cols(); ++c) {
        dx.row(r)[c] = static_cast<float>(
            dy.data()[r] * (angle.cosine() / angle.xx * x.row(r)[c] -
                            target.row(r)[c] / norms));
      }
    }
    tape->Add(to_x, std::move(dx));
  });
}

}  // namespace quantd::ops
