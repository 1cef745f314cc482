#include "evaluators/statistics/verdict.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "evaluators/statistics/mean.h"
#include "evaluators/statistics/paired_test.h"
#include "evaluators/statistics/proportion.h"
#include "evaluators/statistics/special_functions.h"

namespace quantd {
namespace {

// Below this many clusters that differ, Student's t is not trusted alone.
constexpr uint64_t kFewDiffering = 10;

constexpr double kMostItems = 1e15;

absl::Status CheckOptions(const VerdictOptions& options) {
  if (!(options.margin > 0) || std::isinf(options.margin)) {
    return absl::InvalidArgumentError(
        absl::StrCat("margin ", options.margin, " is not above 0"));
  }
  if (!(options.alpha > 0 && options.alpha < 0.5)) {
    return absl::InvalidArgumentError(
        absl::StrCat("alpha ", options.alpha, " is not between 0 and 0.5"));
  }
  if (!(options.power > 0.5 && options.power < 1)) {
    return absl::InvalidArgumentError(
        absl::StrCat("power ", options.power, " is not between 0.5 and 1"));
  }
  return absl::OkStatus();
}

// What the number of further items is planned from.
struct Sample {
  double loss = 0;
  // Standard deviation of an item's loss, clusters taken into account.
  double deviation = 0;
  double items = 0;
  double items_per_cluster = 1;
  bool bounded = true;  // scores in 0..1
};

uint64_t FurtherItems(const Sample& sample, const VerdictOptions& options) {
  const bool two_sided = options.sides == Sides::kTwo;
  const double z_alpha = NormalQuantile(1 - options.alpha);
  const auto needed = [&](double distance, double power) {
    const double z = z_alpha + NormalQuantile(power);
    const double ratio = z * sample.deviation / distance;
    return ratio * ratio;
  };
  double items = std::numeric_limits<double>::infinity();
  const double beyond = two_sided ? std::abs(sample.loss) : sample.loss;
  if (beyond < options.margin) {
    // Both bounds have to be met by two sides: half of the risk to each.
    const double power = two_sided ? (1 + options.power) / 2 : options.power;
    double equivalent = needed(options.margin - beyond, power);
    if (sample.bounded && options.margin < 1) {
      // Even without any difference the interval reaches z^2 / (W + z^2).
      equivalent =
          std::max(equivalent, sample.items_per_cluster * z_alpha * z_alpha *
                                   (1 - options.margin) / options.margin);
    }
    items = equivalent;
  }
  if (sample.loss > 0 || (two_sided && sample.loss < 0)) {
    items = std::min(items, needed(std::abs(sample.loss), options.power));
  }
  const double further = std::ceil(std::min(items, kMostItems)) - sample.items;
  return static_cast<uint64_t>(std::max(1.0, further));
}

VerdictReport Report(const Sample& sample, const Interval& interval,
                     LossInterval kind, const VerdictOptions& options) {
  VerdictReport report{
      .verdict = Decide(interval, options.margin, options.sides),
      .loss = sample.loss,
      .interval = interval,
      .interval_kind = kind};
  if (report.verdict == Verdict::kUndecided) {
    report.further_items = FurtherItems(sample, options);
  }
  return report;
}

Interval StudentInterval(const PairedTTest& test, double alpha) {
  const double half =
      test.error > 0 ? StudentTQuantile(1 - alpha, test.degrees) * test.error
                     : 0;
  return {test.mean - half, test.mean + half};
}

Sample SampleOf(const PairedTTest& test, size_t items) {
  const double n = static_cast<double>(items);
  return {.loss = test.mean,
          .deviation = test.error * std::sqrt(n),
          .items = n,
          .items_per_cluster = n / (test.degrees + 1)};
}

// Tango's interval of clusters, each counted whole by the sign of its loss. A
// loss within a cluster is at most 1, so that this overstates it.
absl::StatusOr<Interval> SignInterval(
    const std::vector<std::vector<uint32_t>>& groups,
    absl::Span<const double> losses, double confidence, uint64_t* differing) {
  uint64_t lost = 0;
  uint64_t gained = 0;
  *differing = 0;
  for (const std::vector<uint32_t>& group : groups) {
    double sum = 0;
    bool differs = false;
    for (uint32_t i : group) {
      sum += losses[i];
      differs |= losses[i] != 0;
    }
    lost += sum > 0;
    gained += sum < 0;
    *differing += differs;
  }
  return TangoInterval(lost, gained, groups.size(), confidence);
}

}  // namespace

absl::string_view VerdictName(Verdict verdict) {
  switch (verdict) {
    case Verdict::kEquivalent:
      return "equivalent";
    case Verdict::kWorse:
      return "worse";
    case Verdict::kBetter:
      return "better";
    case Verdict::kUndecided:
      return "undecided";
  }
  return "undecided";
}

Verdict Decide(const Interval& loss, double margin, Sides sides) {
  const bool two_sided = sides == Sides::kTwo;
  if (loss.upper < margin && (!two_sided || loss.lower > -margin)) {
    return Verdict::kEquivalent;
  }
  if (loss.lower > 0) return Verdict::kWorse;
  if (two_sided && loss.upper < 0) return Verdict::kBetter;
  return Verdict::kUndecided;
}

absl::StatusOr<VerdictReport> JudgeScores(absl::Span<const double> first,
                                          absl::Span<const double> second,
                                          absl::Span<const uint32_t> clusters,
                                          const VerdictOptions& options) {
  RETURN_IF_ERROR(CheckOptions(options));
  ASSIGN_OR_RETURN(const PairedCounts counts, CountPairs(first, second));
  ASSIGN_OR_RETURN(const std::vector<std::vector<uint32_t>> groups,
                   GroupByCluster(first.size(), clusters));
  const double confidence = 1 - 2 * options.alpha;
  if (counts.left_out == 0 && groups.size() == first.size()) {
    const PairedDifference difference = DifferenceOfCounts(counts);
    const double n = static_cast<double>(counts.counted());
    ASSIGN_OR_RETURN(const Interval interval,
                     TangoInterval(counts.only_first, counts.only_second,
                                   counts.counted(), confidence));
    const Sample sample{.loss = -difference.mean,
                        .deviation = difference.error * std::sqrt(n),
                        .items = n};
    return Report(sample, interval, LossInterval::kTango, options);
  }
  // Loss is first less second.
  ASSIGN_OR_RETURN(const std::vector<double> losses,
                   Differences(second, first));
  ASSIGN_OR_RETURN(const PairedTTest test, TestPairedT(losses, clusters));
  Interval interval = StudentInterval(test, options.alpha);
  LossInterval kind = LossInterval::kStudentT;
  uint64_t differing = 0;
  ASSIGN_OR_RETURN(const Interval signs,
                   SignInterval(groups, losses, confidence, &differing));
  if (differing < kFewDiffering) {
    interval = {std::min(interval.lower, signs.lower),
                std::max(interval.upper, signs.upper)};
    kind = LossInterval::kStudentTWidened;
  }
  return Report(SampleOf(test, losses.size()), interval, kind, options);
}

absl::StatusOr<VerdictReport> JudgeLosses(absl::Span<const double> losses,
                                          absl::Span<const uint32_t> clusters,
                                          const VerdictOptions& options) {
  RETURN_IF_ERROR(CheckOptions(options));
  ASSIGN_OR_RETURN(const PairedTTest test, TestPairedT(losses, clusters));
  Sample sample = SampleOf(test, losses.size());
  sample.bounded = false;
  return Report(sample, StudentInterval(test, options.alpha),
                LossInterval::kStudentT, options);
}

}  // namespace quantd
