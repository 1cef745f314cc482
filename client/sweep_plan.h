// A sweep is many compressions of one model. Its points are written as a grid
// (methods x bits x settings) or one by one; each becomes a quantize job and an
// evaluate job under names derived from the sweep's, so that the same sweep run
// again finds what it submitted before.
//
//   SweepGrid grid;
//   grid.methods = {"rtn", "gptq"};
//   grid.bits = {"2", "3", "4"};
//   ASSIGN_OR_RETURN(std::vector<SweepPoint> points, ExpandSweep(grid));  // 6
//
// Thread-safe: free functions of their arguments.
#ifndef QUANTD_CLIENT_SWEEP_PLAN_H_
#define QUANTD_CLIENT_SWEEP_PLAN_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "quantd/v1/job.pb.h"
#include "quantd/v1/recipe.pb.h"

namespace quantd {

// A method with changes to its options, as a quantize job takes them.
struct SweepPoint {
  std::string method;
  std::vector<std::string> set;  // "bits=3"

  // "gptq bits=3 group_size=64": what it is called, and how it is written.
  std::string Label() const;
};

struct SweepGrid {
  std::vector<std::string> methods;
  // Values of the option bits; empty: as the methods have it.
  std::vector<std::string> bits;
  // "key=value". Different keys apply together; values of one key that is
  // given several times are alternatives.
  std::vector<std::string> set;
  // Labels of further points.
  std::vector<std::string> points;
};

// More points than anyone waits for: the grid was a mistake.
inline constexpr size_t kMaxSweepPoints = 1000;

// The grid's points, the last setting varying fastest, then the further ones;
// of equal points the first. InvalidArgument for no point, too many, an
// assignment that is not key=value, or bits beside --set bits.
absl::StatusOr<std::vector<SweepPoint>> ExpandSweep(const SweepGrid& grid);

// Whether the settings of `point` are options of its method, `recipe`.
// InvalidArgument names point and setting; of bits it says that the method has
// no such option.
absl::Status CheckPoint(const v1::Recipe& recipe, const SweepPoint& point);

// "demo-sweep-gptq-bits3-group_size64": a resource id. What does not fit one is
// replaced, and a digest of the label keeps such ids apart.
std::string PointArtifactId(absl::string_view sweep, const SweepPoint& point);

// Labels of the sweep's jobs, by which they are found again.
inline constexpr char kSweepLabel[] = "sweep";
inline constexpr char kPointLabel[] = "sweep_point";
inline constexpr char kRoundLabel[] = "sweep_round";
inline constexpr char kSpecLabel[] = "sweep_spec";

// The label of the evaluation of the model itself.
inline constexpr char kOriginal[] = "original";

// Marks `spec` as a job of the sweep's point `label` in its `round` (0, and
// more each time a failed job is tried again), and returns its request id: 70
// characters that depend on nothing else but the kind of job and, of an
// evaluation, on what it evaluates.
std::string MarkAsPartOf(absl::string_view sweep, absl::string_view label,
                         int round, v1::JobSpec* spec);

// A digest of what the job does, without its labels.
std::string SpecDigest(const v1::JobSpec& spec);

// Whether two marked jobs are of one sweep, one point and one kind, whatever
// the round.
bool IsSameTask(const v1::JobSpec& a, const v1::JobSpec& b);

// The round that a job is marked with; 0 when it is not.
int RoundOf(const v1::JobSpec& spec);

}  // namespace quantd

#endif  // QUANTD_CLIENT_SWEEP_PLAN_H_
