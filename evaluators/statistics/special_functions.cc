#include "evaluators/statistics/special_functions.h"

#include <algorithm>
#include <boost/math/policies/policy.hpp>
#include <boost/math/special_functions/beta.hpp>
#include <boost/math/special_functions/erf.hpp>
#include <boost/math/special_functions/gamma.hpp>
#include <cmath>
#include <limits>

namespace quantd {
namespace {

namespace bm = boost::math;
namespace bp = boost::math::policies;

// No exceptions, and no long double: the same digits on every platform.
using Policy = bp::policy<
    bp::domain_error<bp::ignore_error>, bp::pole_error<bp::ignore_error>,
    bp::overflow_error<bp::ignore_error>, bp::underflow_error<bp::ignore_error>,
    bp::denorm_error<bp::ignore_error>, bp::rounding_error<bp::ignore_error>,
    bp::evaluation_error<bp::ignore_error>,
    bp::indeterminate_result_error<bp::ignore_error>,
    bp::promote_double<false>>;

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

}  // namespace

double NormalCdf(double z) { return 0.5 * std::erfc(-z / std::sqrt(2.0)); }

double NormalQuantile(double p) {
  if (!(p >= 0 && p <= 1)) return kNan;
  if (p == 0) return -kInfinity;
  if (p == 1) return kInfinity;
  return -std::sqrt(2.0) * bm::erfc_inv(2 * p, Policy());
}

double StudentTTwoSidedP(double t, double degrees) {
  if (std::isnan(t) || !(degrees > 0)) return kNan;
  if (std::isinf(t)) return 0;
  // P(|T| >= t) = I_x(v/2, 1/2) with x = v / (v + t^2); for a small t, whose x
  // would round to 1, its mirror image.
  if (t * t < degrees) {
    return 1 - bm::ibeta(0.5, degrees / 2, t * t / (degrees + t * t), Policy());
  }
  return bm::ibeta(degrees / 2, 0.5, degrees / (degrees + t * t), Policy());
}

double StudentTQuantile(double p, double degrees) {
  if (!(p > 0 && p < 1) || !(degrees > 0)) return kNan;
  const double tail = 2 * std::min(p, 1 - p);
  // The complement of x is asked for as well: 1 - x would lose all digits of a
  // t near 0, where x is near 1.
  double complement = 0;
  const double x = bm::ibeta_inv(degrees / 2, 0.5, tail, &complement, Policy());
  const double t = std::sqrt(degrees * complement / x);
  return p < 0.5 ? -t : t;
}

double ChiSquareUpperTail(double x, double degrees) {
  if (!(x >= 0) || !(degrees > 0)) return kNan;
  if (std::isinf(x)) return 0;
  return bm::gamma_q(degrees / 2, x / 2, Policy());
}

double FairCoinCdf(uint64_t k, uint64_t n) {
  if (k > n) return kNan;
  if (k == n) return 1;
  return bm::ibeta(static_cast<double>(n - k), static_cast<double>(k) + 1, 0.5,
                   Policy());
}

double FairCoinMass(uint64_t k, uint64_t n) {
  if (k > n) return kNan;
  return bm::ibeta_derivative(static_cast<double>(k) + 1,
                              static_cast<double>(n - k) + 1, 0.5, Policy()) /
         (static_cast<double>(n) + 1);
}

}  // namespace quantd
