// The worked examples that stand before an item.
#ifndef QUANTD_EVALUATORS_TASKS_FEW_SHOT_H_
#define QUANTD_EVALUATORS_TASKS_FEW_SHOT_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "evaluators/tasks/task_definition.h"
#include "evaluators/tasks/task_records.h"
#include "nlohmann/json.hpp"

namespace quantd {

// A number below `limit`, uniform: the engine's next outputs, those at or above
// the largest multiple of `limit` skipped, modulo `limit`. Every machine and
// every standard library draws the same. REQUIRES: limit > 0.
uint64_t DrawBelow(uint64_t limit, std::mt19937_64& engine);

// Chooses examples for one item after the other.
//
//   first_n  the first n of the pool that are not the item
//   random   n of the pool that are not the item, without repeats, by ONE
//            std::mt19937_64 for the whole task, consumed in the order of the
//            records: what an item gets depends on the records before it, as
//            in lm-evaluation-harness. Its generator is Python's, so the
//            examples are others than there.
//
// The pool of an item is the pool of all examples, or those with its value of
// `same_field`. "Not the item" goes by content: a record equal to the item is
// never an example, wherever it comes from.
//
// Confined to one thread; `pool` must outlive the sampler.
class FewShotSampler {
 public:
  // InvalidArgument: `same_field` is missing in a record of the pool.
  static absl::StatusOr<FewShotSampler> Create(
      const TaskFewShot& config, std::optional<uint64_t> seed,
      absl::Span<const TaskRecord> pool);

  // Indices into the pool, in the order in which examples appear. Called for
  // every record in order. InvalidArgument: the pool has fewer than `count`.
  absl::StatusOr<std::vector<size_t>> Choose(const nlohmann::json& item,
                                             int count);

 private:
  FewShotSampler(const TaskFewShot& config, uint64_t seed,
                 absl::Span<const TaskRecord> pool)
      : config_(config), pool_(pool), engine_(seed) {}

  const TaskFewShot config_;
  absl::Span<const TaskRecord> pool_;
  std::mt19937_64 engine_;
  // Indices by value of same_field; one entry "" without it.
  std::map<std::string, std::vector<size_t>> groups_;
};

}  // namespace quantd

#endif  // QUANTD_EVALUATORS_TASKS_FEW_SHOT_H_
