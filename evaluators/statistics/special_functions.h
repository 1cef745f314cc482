// Distribution functions that the tests and intervals of this folder need, by
// Boost.Math. No function throws; out of its domain each gives NaN.
//
// Thread-safe: free functions of their arguments.
#ifndef QUANTD_EVALUATORS_STATISTICS_SPECIAL_FUNCTIONS_H_
#define QUANTD_EVALUATORS_STATISTICS_SPECIAL_FUNCTIONS_H_

#include <cstdint>

namespace quantd {

// P(Z <= z) of the standard normal.
double NormalCdf(double z);

// z with NormalCdf(z) = p; -infinity and infinity at 0 and 1.
double NormalQuantile(double p);

// P(|T| >= |t|) of Student's t; 0 for an infinite t. REQUIRES: degrees > 0.
double StudentTTwoSidedP(double t, double degrees);

// t with P(T <= t) = p. REQUIRES: degrees > 0, 0 < p < 1.
double StudentTQuantile(double p, double degrees);

// P(X >= x) of chi-square. REQUIRES: degrees > 0, x >= 0.
double ChiSquareUpperTail(double x, double degrees);

// P(X <= k) and P(X = k) of k heads in n throws of a fair coin.
// REQUIRES: k <= n.
double FairCoinCdf(uint64_t k, uint64_t n);
double FairCoinMass(uint64_t k, uint64_t n);

}  // namespace quantd

#endif  // QUANTD_EVALUATORS_STATISTICS_SPECIAL_FUNCTIONS_H_
