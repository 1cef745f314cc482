// The law by which quantization hurts networks that were trained longer: rise
// of the loss over the original's, in nats per token,
//
//   degradation = k tokens^beta / (parameters^alpha bits^gamma)
//
// ("Low-Bit Quantization Favors Undertrained LLMs: Scaling Laws for Quantized
// LLMs with 100T Training Tokens", 2024). Small networks trained on much suffer
// most. Fitted in logarithms, where it is linear:
//
//   ln degradation = ln k + beta ln tokens - alpha ln parameters - gamma ln
//   bits
//
// by least squares, then once more with Huber's weights, so that a few
// checkpoints off the law (decay of the learning rate) do not bend it.
//
// Compare only equal methods, groups, calibration and text, and average each
// degradation over at least 1e5 tokens: small ones are noise.
//
// Thread-safe: plain data and free functions of their arguments.
#ifndef QUANTD_EVALUATORS_DEGRADATION_FIT_H_
#define QUANTD_EVALUATORS_DEGRADATION_FIT_H_

#include <array>
#include <cstdint>
#include <limits>
#include <optional>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "evaluators/statistics/interval.h"

namespace quantd {

struct DegradationPoint {
  // Without embeddings.
  double parameters = 0;
  double training_tokens = 0;
  double bits = 0;
  // Loss of the quantized network, and less the original's, on the same text,
  // nats per token.
  double quantized_loss = 0;
  double degradation = 0;
};

struct DegradationLaw {
  double k = 0;
  double beta = 0;   // of training tokens
  double alpha = 0;  // of parameters
  double gamma = 0;  // of bits

  double Degradation(double parameters, double training_tokens,
                     double bits) const;
  // Training tokens at which the degradation is reached. REQUIRES: beta is not
  // 0.
  double TokensAtDegradation(double degradation, double parameters,
                             double bits) const;
};

// The paper's constants for Pythia under GPTQ, rounded as printed there: its
// table of tokens does not follow from them.
inline constexpr DegradationLaw kPublishedDegradationLaw{
    .k = 0.017, .beta = 0.5251, .alpha = 0.2261, .gamma = 5.4967};

struct DegradationFitOptions {
  // Points with a quantized loss above it guess at random and are left out:
  // ln(vocabulary).
  double highest_loss = std::numeric_limits<double>::infinity();
};

struct DegradationFit {
  // Terms in the order ln k, beta, alpha, gamma.
  static constexpr int kTerms = 4;

  DegradationLaw law;
  // Standard errors of the terms, the first of ln k (Huber, Robust Statistics,
  // 1981, section 7.6).
  std::array<double, kTerms> errors{};
  // The same by plain least squares, to see what the weights changed.
  DegradationLaw least_squares;
  // Of the logarithms: share of their variance that the law explains, and the
  // standard deviation of what it does not.
  double r_squared = 0;
  double residual_deviation = 0;
  uint64_t points = 0;
  // Left out: a degradation of 0 or less (it has no logarithm), or a loss above
  // highest_loss.
  uint64_t not_positive = 0;
  uint64_t above_highest_loss = 0;
  // Points with a weight below 1.
  uint64_t outliers = 0;
  // Root mean square, over all points, of the error in ln degradation when the
  // law is fitted to the other sizes only. Absent with two sizes, and where the
  // others do not determine a law.
  std::optional<double> leave_one_size_out_error;
  // Covariance of the terms, row by row; for predictions.
  std::array<double, kTerms * kTerms> covariance{};
};

// InvalidArgument for a point with a number that is not finite or a size,
// tokens or bits not above 0 (the point is named). FailedPrecondition for fewer
// than six usable points, for only one size, number of tokens or number of
// bits among them (its exponent is unknown), or when they vary together only.
absl::StatusOr<DegradationFit> FitDegradation(
    absl::Span<const DegradationPoint> points,
    const DegradationFitOptions& options);

struct DegradationPrediction {
  double degradation = 0;
  // Holds another measurement at that point with the confidence asked for: the
  // doubt about the law and the scatter around it.
  Interval interval;
};

// InvalidArgument unless sizes are above 0 and 0 < confidence < 1.
absl::StatusOr<DegradationPrediction> PredictDegradation(
    const DegradationFit& fit, double parameters, double training_tokens,
    double bits, double confidence);

}  // namespace quantd

#endif  // QUANTD_EVALUATORS_DEGRADATION_FIT_H_
