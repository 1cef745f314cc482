// How many token sequences run through a network without running what they
// have in common more than once.
//
// Requests that begin alike share the rows of their beginning: they form
// trees, of which every node is a run of tokens that its children continue. A
// node's rows are computed once, from the keys and values of its ancestors, and
// every token of every request is predicted from the row before it. The last
// token of a request is only predicted, so that requests that differ in it
// alone (" A", " B", " C") are one run.
//
//   requests           nodes, with min_shared_tokens = 2
//   a b c d            [a b] -- [c]      (d is only predicted)
//   a b e f               `---- [e]      (f)
//   x y                [x]               (y)
//
// Nodes run in batches of at most a budget of tokens. A batch is a number of
// subtrees, advanced level by level. A node whose subtree exceeds the budget (a
// few-shot header before a hundred questions) is a trunk: it runs alone, and
// the batches of its subtree continue what it left. Trunks nest: the last one
// that has not finished is the one that batches continue.
//
// A plan can run in portions, one after the other, each from the start of its
// sequences: what a run holds between blocks, and what it loses when it is
// interrupted, is then bounded whatever the number of requests.
//
// Plain data and pure functions: thread-safe.
#ifndef QUANTD_EVALUATORS_PREFIX_PLAN_H_
#define QUANTD_EVALUATORS_PREFIX_PLAN_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"

namespace quantd {

// A sequence of tokens, and which of them are scored: targets
// tokens[first_target .. first_target + target_count), each predicted from all
// tokens before it. The last token predicts nothing: a request may be one
// longer than the model's context.
struct ScoreRequest {
  std::vector<int32_t> tokens;
  int first_target = 1;  // >= 1
  int target_count = 0;
};

// Keys and values that a batch may hold, in multiples of its tokens: every
// child copies what its parent has.
inline constexpr int64_t kCachedRowsPerToken = 4;

struct PrefixOptions {
  // Tokens that run together; a batch has more where one request does.
  int64_t batch_tokens = 4096;
  // A shared beginning of fewer tokens is run again by each: a node costs a
  // pass of its own. 0: nothing is shared, not even between equal requests.
  int64_t min_shared_tokens = 4;
};

struct PrefixNode {
  int parent = -1;     // -1: from the start of the sequence
  size_t request = 0;  // one of those that pass through it
  int64_t begin = 0;   // its tokens are [begin, end) of that request's
  int64_t end = 0;
  int64_t first_row = 0;  // of the plan's rows

  int64_t tokens() const { return end - begin; }
};

// One target of one request.
struct ScoredTarget {
  int64_t row = 0;  // that predicts it
  int32_t token = 0;
  size_t request = 0;
  int index = 0;  // among the request's targets
};

// Nodes [first, first + count) of a plan, none of which is another's parent.
struct PrefixLevel {
  int first = 0;
  int count = 0;
};

struct PrefixBatch {
  // The trunk that the first level continues; -1: it begins sequences.
  int trunk = -1;
  // Its one node is a trunk itself.
  bool is_trunk = false;
  std::vector<PrefixLevel> levels;
  int64_t first_row = 0;
  int64_t rows = 0;
  // By row; those of one row together.
  std::vector<ScoredTarget> targets;
  // How many trunks, the latest ones, no later batch continues.
  int finished_trunks = 0;
};

struct PrefixPlan {
  // By row: parents before children, the nodes of a level together.
  std::vector<PrefixNode> nodes;
  std::vector<PrefixBatch> batches;
  int64_t rows = 0;
  // Rows that requests would need by themselves.
  int64_t unshared_rows = 0;
  // Of one batch.
  int64_t most_rows = 0;
  // Rows of keys and values that a batch with more than one level, or a trunk,
  // holds in every block.
  int64_t most_cached_rows = 0;
};

// InvalidArgument when a request scores targets that it does not have. Equal
// requests give an equal plan.
absl::StatusOr<PrefixPlan> PlanPrefixes(absl::Span<const ScoreRequest> requests,
                                        const PrefixOptions& options);

// The batches of `plan` with a target of a request that is not `known`, and the
// trunks that they continue. An empty `known` knows none.
std::vector<bool> NeededBatches(const PrefixPlan& plan,
                                const std::vector<bool>& known);

// Batches that run by themselves.
struct PrefixPortion {
  // It scores the needed ones of the batches [first, last).
  size_t first = 0;
  size_t last = 0;
  // By batch of the plan: those, and the trunks that they continue, which an
  // earlier portion may have run already.
  std::vector<bool> runs;
  int64_t rows = 0;  // of all that run
};

// Divides the `needed` batches, in order, into portions of at most `most_rows`
// rows each, but of one batch and its trunks at least. No portion if nothing is
// needed. REQUIRES: needed == NeededBatches() of something.
std::vector<PrefixPortion> DividePlan(const PrefixPlan& plan,
                                      const std::vector<bool>& needed,
                                      int64_t most_rows);

}  // namespace quantd

#endif  // QUANTD_EVALUATORS_PREFIX_PLAN_H_
