#include "evaluators/statistics/bootstrap.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <numeric>
#include <vector>

#include "absl/numeric/int128.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "base/bit_mixer.h"
#include "base/status_macros.h"
#include "evaluators/statistics/mean.h"
#include "evaluators/statistics/special_functions.h"
#include "evaluators/token_statistics.h"

namespace quantd {
namespace {

// SplitMix64 (Steele, Lea and Flood, OOPSLA 2014). The standard library's
// distributions may differ between implementations; this may not.
class IndexGenerator {
 public:
  IndexGenerator(uint64_t seed, uint64_t resample)
      : state_(MixBits(seed + kGoldenGamma) ^
               MixBits(MixBits(resample + kGoldenGamma))) {}

  // Uniform below `bound`; the bias of taking the upper half of a product is
  // below bound / 2^64.
  uint32_t Below(uint32_t bound) {
    state_ += kGoldenGamma;
    return static_cast<uint32_t>(
        absl::Uint128High64(absl::uint128(MixBits(state_)) * bound));
  }

 private:
  uint64_t state_;
};

// A third of the skewness of the values with one unit left out, over 2: the
// rate at which the error grows with the statistic. 0 where they are equal.
double Acceleration(const std::vector<double>& left_out) {
  const double mean = std::accumulate(left_out.begin(), left_out.end(), 0.0) /
                      static_cast<double>(left_out.size());
  double squares = 0;
  double cubes = 0;
  for (double value : left_out) {
    const double d = mean - value;
    squares += d * d;
    cubes += d * d * d;
  }
  const double scale = std::pow(squares, 1.5);
  return scale > 0 ? cubes / (6 * scale) : 0;
}

std::optional<Interval> BcaInterval(const std::vector<double>& sorted,
                                    double estimate,
                                    const std::vector<double>& left_out,
                                    double confidence) {
  if (sorted.front() == sorted.back()) {
    return Interval{sorted.front(), sorted.back()};
  }
  const auto [first, last] =
      std::equal_range(sorted.begin(), sorted.end(), estimate);
  const double below = static_cast<double>(first - sorted.begin()) +
                       static_cast<double>(last - first) / 2;
  const double z0 = NormalQuantile(below / static_cast<double>(sorted.size()));
  if (!std::isfinite(z0)) return std::nullopt;
  const double a = Acceleration(left_out);
  const auto end = [&](double p) {
    const double z = z0 + NormalQuantile(p);
    const double fraction = NormalCdf(z0 + z / (1 - a * z));
    return PercentileOf(sorted, std::clamp(fraction, 0.0, 1.0));
  };
  return Interval{end((1 - confidence) / 2), end((1 + confidence) / 2)};
}

absl::Status CheckOptions(uint32_t units, const BootstrapOptions& options) {
  if (units < 2) {
    return absl::InvalidArgumentError(
        absl::StrCat("a bootstrap needs two units, there is ", units));
  }
  if (options.resamples < 100) {
    return absl::InvalidArgumentError(
        absl::StrCat("resamples: ", options.resamples, " is below 100"));
  }
  if (!(options.confidence > 0 && options.confidence < 1)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "confidence ", options.confidence, " is not between 0 and 1"));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<BootstrapEstimate> Bootstrap(uint32_t units,
                                            BootstrapStatistic statistic,
                                            const BootstrapOptions& options) {
  RETURN_IF_ERROR(CheckOptions(units, options));
  std::vector<uint32_t> drawn(units);
  std::iota(drawn.begin(), drawn.end(), 0u);
  BootstrapEstimate result;
  result.estimate = statistic(drawn);
  if (!std::isfinite(result.estimate)) {
    return absl::InvalidArgumentError(
        absl::StrCat("the statistic of the sample is ", result.estimate));
  }

  std::vector<double> values(options.resamples);
  for (size_t r = 0; r < values.size(); ++r) {
    IndexGenerator generator(options.seed, r);
    for (uint32_t& unit : drawn) unit = generator.Below(units);
    values[r] = statistic(drawn);
    if (!std::isfinite(values[r])) {
      return absl::InvalidArgumentError(
          absl::StrCat("the statistic of resample ", r, " is ", values[r]));
    }
  }

  std::vector<double> left_out(units);
  drawn.resize(units - 1);
  std::iota(drawn.begin(), drawn.end(), 1u);
  for (uint32_t unit = 0; unit < units; ++unit) {
    left_out[unit] = statistic(drawn);
    if (!std::isfinite(left_out[unit])) {
      return absl::InvalidArgumentError(absl::StrCat(
          "the statistic without unit ", unit, " is ", left_out[unit]));
    }
    if (unit + 1 < units) drawn[unit] = unit;
  }

  const double count = static_cast<double>(values.size());
  const double mean =
      std::accumulate(values.begin(), values.end(), 0.0) / count;
  double squares = 0;
  for (double value : values) squares += (value - mean) * (value - mean);
  result.standard_error = std::sqrt(squares / (count - 1));
  result.bias = mean - result.estimate;
  std::sort(values.begin(), values.end());
  result.percentile = {PercentileOf(values, (1 - options.confidence) / 2),
                       PercentileOf(values, (1 + options.confidence) / 2)};
  result.bca =
      BcaInterval(values, result.estimate, left_out, options.confidence);
  return result;
}

absl::StatusOr<BootstrapEstimate> BootstrapMean(
    absl::Span<const double> values, absl::Span<const uint32_t> clusters,
    const BootstrapOptions& options) {
  RETURN_IF_ERROR(CheckFinite(values));
  ASSIGN_OR_RETURN(const std::vector<std::vector<uint32_t>> groups,
                   GroupByCluster(values.size(), clusters));
  struct Sum {
    double sum = 0;
    double count = 0;
  };
  std::vector<Sum> sums;
  sums.reserve(groups.size());
  for (const std::vector<uint32_t>& group : groups) {
    Sum& sum = sums.emplace_back();
    for (uint32_t i : group) sum.sum += values[i];
    sum.count = static_cast<double>(group.size());
  }
  return Bootstrap(
      static_cast<uint32_t>(sums.size()),
      [&sums](absl::Span<const uint32_t> drawn) {
        Sum total;
        for (uint32_t unit : drawn) {
          total.sum += sums[unit].sum;
          total.count += sums[unit].count;
        }
        return total.sum / total.count;
      },
      options);
}

}  // namespace quantd
