// A range of values of one quantity.
#ifndef QUANTD_EVALUATORS_STATISTICS_INTERVAL_H_
#define QUANTD_EVALUATORS_STATISTICS_INTERVAL_H_

namespace quantd {

// Both ends belong to it. Its confidence level is stated where it is made.
struct Interval {
  double lower = 0;
  double upper = 0;
};

}  // namespace quantd

#endif  // QUANTD_EVALUATORS_STATISTICS_INTERVAL_H_
