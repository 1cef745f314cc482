#include "evaluators/degradation_fit.h"

#include <Eigen/Dense>
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <set>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "base/status_macros.h"
#include "evaluators/statistics/special_functions.h"

namespace quantd {
namespace {

constexpr int kTerms = DegradationFit::kTerms;
// Two degrees of freedom for the scatter.
constexpr size_t kFewestPoints = kTerms + 2;

// Huber's constant: 95 % of the efficiency of least squares where the scatter
// is normal.
constexpr double kHuber = 1.345;
// The median absolute deviation of the normal distribution.
constexpr double kNormalMad = 0.6744897501960817;

using Design = Eigen::Matrix<double, Eigen::Dynamic, kTerms>;
using Terms = Eigen::Matrix<double, kTerms, 1>;
using Covariance = Eigen::Matrix<double, kTerms, kTerms>;

Terms RowOf(double parameters, double tokens, double bits) {
  return Terms(1, std::log(tokens), -std::log(parameters), -std::log(bits));
}

DegradationLaw LawOf(const Terms& terms) {
  return {.k = std::exp(terms[0]),
          .beta = terms[1],
          .alpha = terms[2],
          .gamma = terms[3]};
}

// Rows of the law in logarithms.
struct Sample {
  Design rows;
  Eigen::VectorXd values;
};

Sample SampleOf(const std::vector<DegradationPoint>& points) {
  const auto count = static_cast<Eigen::Index>(points.size());
  Sample sample{Design(count, kTerms), Eigen::VectorXd(count)};
  for (Eigen::Index i = 0; i < count; ++i) {
    const DegradationPoint& point = points[static_cast<size_t>(i)];
    sample.rows.row(i) =
        RowOf(point.parameters, point.training_tokens, point.bits).transpose();
    sample.values[i] = std::log(point.degradation);
  }
  return sample;
}

// Weighted least squares. The logarithms are centred and scaled first: those
// of sizes are near 20 with little spread, beside a column of ones.
class Solver {
 public:
  explicit Solver(const Sample& sample) : sample_(sample) {
    const double count = static_cast<double>(sample.rows.rows());
    to_terms_.setIdentity();
    scaled_ = sample.rows;
    for (int j = 1; j < kTerms; ++j) {
      const double mean = sample.rows.col(j).mean();
      scaled_.col(j).array() -= mean;
      const double spread = scaled_.col(j).norm() / std::sqrt(count);
      if (spread > 0) scaled_.col(j) /= spread;
      // term_j = scaled_j / spread; ln k takes up what the centring moved.
      to_terms_(j, j) = spread > 0 ? 1 / spread : 0;
      to_terms_(0, j) = spread > 0 ? -mean / spread : 0;
    }
  }

  // Whether the points tell the terms apart.
  bool IsDetermined() const {
    Eigen::ColPivHouseholderQR<Design> qr(scaled_);
    qr.setThreshold(1e-8);
    return qr.rank() == kTerms;
  }

  Terms Solve(const Eigen::VectorXd& weights) const {
    const Eigen::VectorXd roots = weights.cwiseSqrt();
    const Design rows = roots.asDiagonal() * scaled_;
    const Eigen::VectorXd values = roots.cwiseProduct(sample_.values);
    const Terms scaled = Eigen::ColPivHouseholderQR<Design>(rows).solve(values);
    return to_terms_ * scaled;
  }

  // (X' X)^-1.
  Covariance Inverse() const {
    const Covariance inverse =
        (scaled_.transpose() * scaled_).ldlt().solve(Covariance::Identity());
    return to_terms_ * inverse * to_terms_.transpose();
  }

 private:
  const Sample& sample_;
  Design scaled_;
  Covariance to_terms_;
};

absl::Status CheckPoint(const DegradationPoint& point, size_t index) {
  const std::pair<absl::string_view, double> sizes[] = {
      {"parameters", point.parameters},
      {"training_tokens", point.training_tokens},
      {"bits", point.bits}};
  for (const auto& [name, value] : sizes) {
    if (!(value > 0) || std::isinf(value)) {
      return absl::InvalidArgumentError(
          absl::StrCat("point ", index, ": ", name, " is ", value));
    }
  }
  if (!std::isfinite(point.degradation) ||
      !std::isfinite(point.quantized_loss)) {
    return absl::InvalidArgumentError(
        absl::StrCat("point ", index, ": degradation ", point.degradation,
                     " of a loss of ", point.quantized_loss));
  }
  return absl::OkStatus();
}

// The factor that has a single value, or none.
absl::string_view ConstantFactor(const std::vector<DegradationPoint>& points) {
  std::set<double> parameters;
  std::set<double> tokens;
  std::set<double> bits;
  for (const DegradationPoint& point : points) {
    parameters.insert(point.parameters);
    tokens.insert(point.training_tokens);
    bits.insert(point.bits);
  }
  if (parameters.size() < 2) return "parameters";
  if (tokens.size() < 2) return "training_tokens";
  if (bits.size() < 2) return "bits";
  return "";
}

absl::Status CheckDetermined(const std::vector<DegradationPoint>& points,
                             const Solver& solver) {
  const absl::string_view constant = ConstantFactor(points);
  if (!constant.empty()) {
    return absl::FailedPreconditionError(
        absl::StrCat("all usable points have the same ", constant,
                     ": its exponent is unknown"));
  }
  if (!solver.IsDetermined()) {
    return absl::FailedPreconditionError(
        "parameters, training_tokens and bits of the usable points vary "
        "together only: their exponents cannot be told apart");
  }
  return absl::OkStatus();
}

double MedianOf(std::vector<double> values) {
  const size_t middle = values.size() / 2;
  std::nth_element(values.begin(), values.begin() + middle, values.end());
  const double upper = values[middle];
  if (values.size() % 2 == 1) return upper;
  return (upper + *std::max_element(values.begin(), values.begin() + middle)) /
         2;
}

// Scatter by the median absolute residual, which half of the points may leave.
// The residuals of as many points as there are terms can be made nothing.
double ScaleOf(const Eigen::VectorXd& residuals) {
  std::vector<double> sizes;
  for (double residual : residuals) sizes.push_back(std::abs(residual));
  std::sort(sizes.begin(), sizes.end());
  sizes.erase(sizes.begin(), sizes.begin() + kTerms);
  return MedianOf(std::move(sizes)) / kNormalMad;
}

struct HuberFit {
  Terms terms;
  double scale = 0;
};

HuberFit FitByHuber(const Sample& sample, const Solver& solver,
                    const Terms& start) {
  HuberFit fit{.terms = start};
  for (int round = 0; round < 200; ++round) {
    const Eigen::VectorXd residuals = sample.values - sample.rows * fit.terms;
    fit.scale = ScaleOf(residuals);
    // Rounding errors are no outliers.
    if (fit.scale < 1e-10) return fit;
    const Eigen::VectorXd weights = residuals.unaryExpr([&](double residual) {
      const double size = std::abs(residual) / fit.scale;
      return size <= kHuber ? 1.0 : kHuber / size;
    });
    const Terms next = solver.Solve(weights);
    const double moved = (next - fit.terms).cwiseAbs().maxCoeff();
    fit.terms = next;
    if (moved < 1e-12) break;
  }
  return fit;
}

// Errors of the terms and the deviation they come from.
void AddErrors(const Sample& sample, const Solver& solver, const HuberFit& fit,
               DegradationFit* result) {
  const Eigen::VectorXd residuals = sample.values - sample.rows * fit.terms;
  const double n = static_cast<double>(residuals.size());
  const double limit = kHuber * fit.scale;
  // Variance of the clipped residuals over the squared share that is not
  // clipped, with Huber's correction for few points. Without scatter nothing is
  // clipped.
  double squares = 0;
  double inside = 0;
  for (double residual : residuals) {
    const double size = std::abs(residual);
    const bool is_clipped = fit.scale >= 1e-10 && size > limit;
    const double clipped = is_clipped ? limit : size;
    squares += clipped * clipped;
    inside += !is_clipped;
  }
  const double share = inside / n;
  const double correction = 1 + kTerms / n * (1 - share) / share;
  const double variance =
      correction * correction * squares / (n - kTerms) / (share * share);
  result->outliers = static_cast<uint64_t>(n - inside);
  result->residual_deviation = std::sqrt(variance);
  const Covariance covariance = variance * solver.Inverse();
  for (int i = 0; i < kTerms; ++i) {
    result->errors[i] = std::sqrt(std::max(0.0, covariance(i, i)));
    for (int j = 0; j < kTerms; ++j) {
      result->covariance[i * kTerms + j] = covariance(i, j);
    }
  }
  const double total =
      (sample.values.array() - sample.values.mean()).square().sum();
  result->r_squared = total > 0 ? 1 - residuals.squaredNorm() / total : 0;
}

std::optional<double> LeaveOneSizeOut(
    const std::vector<DegradationPoint>& points) {
  std::set<double> sizes;
  for (const DegradationPoint& point : points) sizes.insert(point.parameters);
  if (sizes.size() < 3) return std::nullopt;
  double squares = 0;
  for (double size : sizes) {
    std::vector<DegradationPoint> others;
    std::vector<DegradationPoint> left_out;
    for (const DegradationPoint& point : points) {
      (point.parameters == size ? left_out : others).push_back(point);
    }
    if (others.size() < kTerms) return std::nullopt;
    const Sample sample = SampleOf(others);
    const Solver solver(sample);
    if (!CheckDetermined(others, solver).ok()) return std::nullopt;
    const Terms plain =
        solver.Solve(Eigen::VectorXd::Ones(sample.values.size()));
    const Terms terms = others.size() < kFewestPoints
                            ? plain
                            : FitByHuber(sample, solver, plain).terms;
    const Sample held = SampleOf(left_out);
    squares += (held.values - held.rows * terms).squaredNorm();
  }
  return std::sqrt(squares / static_cast<double>(points.size()));
}

}  // namespace

double DegradationLaw::Degradation(double parameters, double training_tokens,
                                   double bits) const {
  return k * std::pow(training_tokens, beta) /
         (std::pow(parameters, alpha) * std::pow(bits, gamma));
}

double DegradationLaw::TokensAtDegradation(double degradation,
                                           double parameters,
                                           double bits) const {
  return std::pow(
      degradation * std::pow(parameters, alpha) * std::pow(bits, gamma) / k,
      1 / beta);
}

absl::StatusOr<DegradationFit> FitDegradation(
    absl::Span<const DegradationPoint> points,
    const DegradationFitOptions& options) {
  DegradationFit fit;
  std::vector<DegradationPoint> usable;
  for (size_t i = 0; i < points.size(); ++i) {
    RETURN_IF_ERROR(CheckPoint(points[i], i));
    if (points[i].quantized_loss > options.highest_loss) {
      ++fit.above_highest_loss;
    } else if (points[i].degradation <= 0) {
      ++fit.not_positive;
    } else {
      usable.push_back(points[i]);
    }
  }
  fit.points = usable.size();
  if (usable.size() < kFewestPoints) {
    return absl::FailedPreconditionError(absl::StrCat(
        usable.size(), " usable points of ", points.size(), " (",
        fit.not_positive, " without degradation, ", fit.above_highest_loss,
        " above the highest loss); at least ", kFewestPoints, " are needed"));
  }
  const Sample sample = SampleOf(usable);
  const Solver solver(sample);
  RETURN_IF_ERROR(CheckDetermined(usable, solver));
  const Terms plain = solver.Solve(Eigen::VectorXd::Ones(sample.values.size()));
  fit.least_squares = LawOf(plain);
  const HuberFit huber = FitByHuber(sample, solver, plain);
  fit.law = LawOf(huber.terms);
  AddErrors(sample, solver, huber, &fit);
  fit.leave_one_size_out_error = LeaveOneSizeOut(usable);
  return fit;
}

absl::StatusOr<DegradationPrediction> PredictDegradation(
    const DegradationFit& fit, double parameters, double training_tokens,
    double bits, double confidence) {
  if (!(parameters > 0) || !(training_tokens > 0) || !(bits > 0)) {
    return absl::InvalidArgumentError(
        absl::StrCat("no degradation of ", parameters, " parameters, ",
                     training_tokens, " training tokens, ", bits, " bits"));
  }
  if (!(confidence > 0 && confidence < 1)) {
    return absl::InvalidArgumentError(
        absl::StrCat("confidence ", confidence, " is not between 0 and 1"));
  }
  const Terms row = RowOf(parameters, training_tokens, bits);
  const Covariance covariance =
      Eigen::Map<const Eigen::Matrix<double, kTerms, kTerms, Eigen::RowMajor>>(
          fit.covariance.data());
  const double variance = row.dot(covariance * row) +
                          fit.residual_deviation * fit.residual_deviation;
  const double half =
      StudentTQuantile((1 + confidence) / 2,
                       static_cast<double>(fit.points) - kTerms) *
      std::sqrt(std::max(0.0, variance));
  DegradationPrediction prediction;
  prediction.degradation =
      fit.law.Degradation(parameters, training_tokens, bits);
  prediction.interval = {prediction.degradation * std::exp(-half),
                         prediction.degradation * std::exp(half)};
  return prediction;
}

}  // namespace quantd
