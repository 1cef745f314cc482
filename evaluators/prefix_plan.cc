#include "evaluators/prefix_plan.h"

#include <algorithm>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"

namespace quantd {
namespace {

// A node of the trees while they grow.
struct TreeNode {
  int parent = -1;
  size_t request = 0;  // the first of those that pass through it
  int64_t begin = 0;
  int64_t end = 0;
  std::vector<int> children;
  std::vector<size_t> ending;  // requests whose run ends here
  // Of the node and all below it.
  int64_t subtree_tokens = 0;
  int64_t subtree_cached = 0;
};

// Tokens of a request that run: all before its last target.
int64_t RunLength(const ScoreRequest& request) {
  return request.first_target + int64_t{request.target_count} - 1;
}

absl::Status CheckRequest(const ScoreRequest& request) {
  const int64_t size = static_cast<int64_t>(request.tokens.size());
  const int64_t end = request.first_target + int64_t{request.target_count};
  if (request.first_target >= 1 && request.target_count >= 1 && end <= size) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(
      absl::StrCat("a request scores targets ", request.first_target, "..",
                   end - 1, " of ", size, " tokens"));
}

absl::Span<const int32_t> RunOf(const ScoreRequest& request) {
  return absl::MakeConstSpan(request.tokens)
      .subspan(0, static_cast<size_t>(RunLength(request)));
}

class Forest {
 public:
  Forest(absl::Span<const ScoreRequest> requests, int64_t min_shared)
      : requests_(requests), min_shared_(min_shared) {
    Grow();
    Order();
    Measure();
  }

  std::vector<TreeNode>& nodes() { return nodes_; }
  const std::vector<int>& roots() const { return roots_; }

 private:
  // Requests sorted_[first .. last) share their first `depth` tokens, of which
  // those from `start` on belong to no node yet.
  struct Group {
    size_t first;
    size_t last;
    int64_t start;
    int64_t depth;
    int parent;
  };

  void Grow() {
    sorted_.resize(requests_.size());
    for (size_t i = 0; i < sorted_.size(); ++i) sorted_[i] = i;
    if (min_shared_ == 0) {
      for (const size_t i : sorted_) {
        AddNode(-1, 0, RunLength(requests_[i]), {i});
      }
      return;
    }
    std::stable_sort(sorted_.begin(), sorted_.end(), [&](size_t a, size_t b) {
      const auto x = RunOf(requests_[a]);
      const auto y = RunOf(requests_[b]);
      return std::lexicographical_compare(x.begin(), x.end(), y.begin(),
                                          y.end());
    });
    std::vector<Group> groups = {{0, sorted_.size(), 0, 0, -1}};
    while (!groups.empty()) {
      const Group group = groups.back();
      groups.pop_back();
      Divide(group, &groups);
    }
  }

  int64_t Length(size_t place) const {
    return RunLength(requests_[sorted_[place]]);
  }
  int32_t TokenAt(size_t place, int64_t position) const {
    return requests_[sorted_[place]].tokens[static_cast<size_t>(position)];
  }

  // Sorted, the first and the last of a group differ first.
  int64_t SharedLength(size_t first, size_t last, int64_t depth) const {
    const int64_t most = std::min(Length(first), Length(last - 1));
    while (depth < most && TokenAt(first, depth) == TokenAt(last - 1, depth)) {
      ++depth;
    }
    return depth;
  }

  void Divide(const Group& group, std::vector<Group>* groups) {
    size_t at = group.first;
    std::vector<size_t> ending;
    for (; at < group.last && Length(at) == group.depth; ++at) {
      ending.push_back(sorted_[at]);
    }
    if (!ending.empty() && group.start == group.depth) {
      nodes_[static_cast<size_t>(group.parent)].ending = std::move(ending);
    } else if (!ending.empty()) {
      AddNode(group.parent, group.start, group.depth, std::move(ending));
    }
    while (at < group.last) {
      size_t end = at + 1;
      const int32_t token = TokenAt(at, group.depth);
      while (end < group.last && TokenAt(end, group.depth) == token) ++end;
      const int64_t shared = SharedLength(at, end, group.depth);
      Group rest = {at, end, group.start, shared, group.parent};
      if (end - at > 1 && shared - group.start >= min_shared_) {
        rest.parent = AddNode(group.parent, group.start, shared, {});
        nodes_.back().request = sorted_[at];
        rest.start = shared;
      }
      groups->push_back(rest);
      at = end;
    }
  }

  int AddNode(int parent, int64_t begin, int64_t end,
              std::vector<size_t> ending) {
    TreeNode node;
    node.parent = parent;
    node.begin = begin;
    node.end = end;
    if (!ending.empty()) node.request = ending.front();
    node.ending = std::move(ending);
    nodes_.push_back(std::move(node));
    return static_cast<int>(nodes_.size()) - 1;
  }

  // Siblings in the order of their first requests, so that requests that share
  // nothing run in the order they were given.
  void Order() {
    std::vector<size_t> first(nodes_.size());
    // Children come behind their parents.
    for (size_t i = nodes_.size(); i-- > 0;) {
      TreeNode& node = nodes_[i];
      first[i] = node.request;
      for (const size_t request : node.ending) {
        first[i] = std::min(first[i], request);
      }
      for (const int child : node.children) {
        first[i] = std::min(first[i], first[static_cast<size_t>(child)]);
      }
      Siblings(node.parent).push_back(static_cast<int>(i));
    }
    const auto by_first = [&](int a, int b) {
      return first[static_cast<size_t>(a)] < first[static_cast<size_t>(b)];
    };
    for (TreeNode& node : nodes_) {
      std::sort(node.children.begin(), node.children.end(), by_first);
    }
    std::sort(roots_.begin(), roots_.end(), by_first);
  }

  std::vector<int>& Siblings(int parent) {
    return parent < 0 ? roots_ : nodes_[static_cast<size_t>(parent)].children;
  }

  void Measure() {
    for (size_t i = nodes_.size(); i-- > 0;) {
      TreeNode& node = nodes_[i];
      node.subtree_tokens = node.end - node.begin;
      for (const int child : node.children) {
        const TreeNode& below = nodes_[static_cast<size_t>(child)];
        node.subtree_tokens += below.subtree_tokens;
        node.subtree_cached += below.subtree_cached;
      }
      node.subtree_cached = std::max(node.subtree_cached, node.end);
    }
  }

  const absl::Span<const ScoreRequest> requests_;
  const int64_t min_shared_;
  std::vector<size_t> sorted_;
  std::vector<TreeNode> nodes_;
  std::vector<int> roots_;
};

class Packer {
 public:
  Packer(Forest forest, int64_t batch_tokens)
      : forest_(std::move(forest)),
        batch_tokens_(std::max<int64_t>(1, batch_tokens)),
        place_(forest_.nodes().size(), -1),
        batch_of_(forest_.nodes().size(), -1) {}

  PrefixPlan Pack() {
    std::vector<Siblings> stack = {{&forest_.roots(), 0, -1}};
    while (!stack.empty()) {
      Siblings& top = stack.back();
      if (top.next == top.nodes->size()) {
        Close(top.trunk);
        if (top.trunk >= 0) {
          ++plan_.batches.back().finished_trunks;
          trunk_rows_ -= NodeAt(top.trunk).end;
        }
        stack.pop_back();
        continue;
      }
      const int id = (*top.nodes)[top.next++];
      const TreeNode& node = NodeAt(id);
      if (Exceeds(node.subtree_tokens, node.subtree_cached) &&
          !node.children.empty()) {
        Close(top.trunk);
        EmitTrunk(top.trunk, id);
        stack.push_back({&node.children, 0, id});
        continue;
      }
      if (Exceeds(open_tokens_ + node.subtree_tokens,
                  open_cached_ + node.subtree_cached)) {
        Close(top.trunk);
      }
      open_.push_back(id);
      open_tokens_ += node.subtree_tokens;
      open_cached_ += node.subtree_cached;
    }
    return std::move(plan_);
  }

  // Where every node went.
  const std::vector<int>& place() const { return place_; }
  const std::vector<int>& batch_of() const { return batch_of_; }
  Forest& forest() { return forest_; }

 private:
  // Children of a trunk, or roots, and the next of them.
  struct Siblings {
    const std::vector<int>* nodes;
    size_t next;
    int trunk;
  };

  TreeNode& NodeAt(int id) { return forest_.nodes()[static_cast<size_t>(id)]; }

  bool Exceeds(int64_t tokens, int64_t cached) const {
    return tokens > batch_tokens_ ||
           cached > kCachedRowsPerToken * batch_tokens_;
  }

  void EmitTrunk(int trunk, int id) {
    PrefixBatch batch = NewBatch(trunk);
    batch.is_trunk = true;
    AddLevel({id}, &batch);
    trunk_rows_ += NodeAt(id).end;
    Emit(std::move(batch), trunk_rows_);
  }

  // Makes the open subtrees a batch.
  void Close(int trunk) {
    if (open_.empty()) return;
    PrefixBatch batch = NewBatch(trunk);
    int64_t cached = 0;
    for (const int id : open_) cached += NodeAt(id).subtree_cached;
    std::vector<int> level = std::move(open_);
    while (!level.empty()) {
      std::vector<int> below;
      for (const int id : level) {
        const std::vector<int>& children = NodeAt(id).children;
        below.insert(below.end(), children.begin(), children.end());
      }
      AddLevel(level, &batch);
      level = std::move(below);
    }
    const bool caches = trunk >= 0 || batch.levels.size() > 1;
    Emit(std::move(batch), caches ? cached + trunk_rows_ : 0);
  }

  PrefixBatch NewBatch(int trunk) {
    PrefixBatch batch;
    if (trunk >= 0) batch.trunk = place_[static_cast<size_t>(trunk)];
    batch.first_row = plan_.rows;
    return batch;
  }

  void AddLevel(const std::vector<int>& ids, PrefixBatch* batch) {
    batch->levels.push_back(
        {static_cast<int>(plan_.nodes.size()), static_cast<int>(ids.size())});
    for (const int id : ids) {
      const TreeNode& from = NodeAt(id);
      PrefixNode node;
      if (from.parent >= 0) {
        node.parent = place_[static_cast<size_t>(from.parent)];
      }
      node.request = from.request;
      node.begin = from.begin;
      node.end = from.end;
      node.first_row = plan_.rows;
      plan_.rows += node.tokens();
      place_[static_cast<size_t>(id)] = static_cast<int>(plan_.nodes.size());
      batch_of_[static_cast<size_t>(id)] =
          static_cast<int>(plan_.batches.size());
      plan_.nodes.push_back(node);
    }
  }

  void Emit(PrefixBatch batch, int64_t cached) {
    batch.rows = plan_.rows - batch.first_row;
    plan_.most_rows = std::max(plan_.most_rows, batch.rows);
    plan_.most_cached_rows = std::max(plan_.most_cached_rows, cached);
    plan_.batches.push_back(std::move(batch));
    open_.clear();
    open_tokens_ = 0;
    open_cached_ = 0;
  }

  Forest forest_;
  const int64_t batch_tokens_;
  // By tree node: its place in the plan, and its batch.
  std::vector<int> place_;
  std::vector<int> batch_of_;
  PrefixPlan plan_;
  // Subtrees of the batch to come.
  std::vector<int> open_;
  int64_t open_tokens_ = 0;
  int64_t open_cached_ = 0;
  // Of all trunks that batches to come continue.
  int64_t trunk_rows_ = 0;
};

// The targets of the requests that end at tree node `leaf`, which lie on the
// way to it.
void AddTargets(absl::Span<const ScoreRequest> requests, Packer& packer,
                int leaf, PrefixPlan* plan) {
  std::vector<TreeNode>& tree = packer.forest().nodes();
  for (const size_t r : tree[static_cast<size_t>(leaf)].ending) {
    const ScoreRequest& request = requests[r];
    int at = leaf;
    for (int t = request.target_count - 1; t >= 0; --t) {
      const int64_t target = request.first_target + int64_t{t};
      while (tree[static_cast<size_t>(at)].begin > target - 1) {
        at = tree[static_cast<size_t>(at)].parent;
      }
      const size_t id = static_cast<size_t>(at);
      const PrefixNode& node =
          plan->nodes[static_cast<size_t>(packer.place()[id])];
      ScoredTarget scored;
      scored.row = node.first_row + target - 1 - node.begin;
      scored.token = request.tokens[static_cast<size_t>(target)];
      scored.request = r;
      scored.index = t;
      plan->batches[static_cast<size_t>(packer.batch_of()[id])]
          .targets.push_back(scored);
    }
  }
}

// By batch of a plan: the batch of the trunk that it continues, -1 if none.
// Trunks come before the batches that continue them.
std::vector<int> TrunkBatches(const PrefixPlan& plan) {
  std::vector<int> batch_of_node(plan.nodes.size(), -1);
  std::vector<int> trunks;
  for (size_t i = 0; i < plan.batches.size(); ++i) {
    const PrefixBatch& batch = plan.batches[i];
    trunks.push_back(
        batch.trunk < 0 ? -1 : batch_of_node[static_cast<size_t>(batch.trunk)]);
    if (batch.is_trunk) {
      batch_of_node[static_cast<size_t>(batch.levels[0].first)] =
          static_cast<int>(i);
    }
  }
  return trunks;
}

}  // namespace

absl::StatusOr<PrefixPlan> PlanPrefixes(absl::Span<const ScoreRequest> requests,
                                        const PrefixOptions& options) {
  for (const ScoreRequest& request : requests) {
    RETURN_IF_ERROR(CheckRequest(request));
  }
  if (requests.empty()) return PrefixPlan();
  Packer packer(Forest(requests, options.min_shared_tokens),
                options.batch_tokens);
  PrefixPlan plan = packer.Pack();
  for (const ScoreRequest& request : requests) {
    plan.unshared_rows += RunLength(request);
  }
  for (size_t i = 0; i < packer.forest().nodes().size(); ++i) {
    AddTargets(requests, packer, static_cast<int>(i), &plan);
  }
  for (PrefixBatch& batch : plan.batches) {
    std::sort(batch.targets.begin(), batch.targets.end(),
              [](const ScoredTarget& a, const ScoredTarget& b) {
                if (a.row != b.row) return a.row < b.row;
                if (a.request != b.request) return a.request < b.request;
                return a.index < b.index;
              });
  }
  return plan;
}

std::vector<bool> NeededBatches(const PrefixPlan& plan,
                                const std::vector<bool>& known) {
  std::vector<bool> needed(plan.batches.size(), known.empty());
  if (known.empty()) return needed;
  for (size_t i = 0; i < plan.batches.size(); ++i) {
    for (const ScoredTarget& target : plan.batches[i].targets) {
      if (!known[target.request]) needed[i] = true;
    }
  }
  const std::vector<int> trunks = TrunkBatches(plan);
  for (size_t i = plan.batches.size(); i-- > 0;) {
    if (needed[i] && trunks[i] >= 0) {
      needed[static_cast<size_t>(trunks[i])] = true;
    }
  }
  return needed;
}

std::vector<PrefixPortion> DividePlan(const PrefixPlan& plan,
                                      const std::vector<bool>& needed,
                                      int64_t most_rows) {
  const std::vector<int> trunks = TrunkBatches(plan);
  std::vector<PrefixPortion> portions;
  // Of a batch and the trunks that it continues, those that the last portion
  // does not run yet.
  const auto missing = [&](size_t last) {
    std::vector<size_t> batches;
    for (int b = static_cast<int>(last);
         b >= 0 && !portions.back().runs[static_cast<size_t>(b)];
         b = trunks[static_cast<size_t>(b)]) {
      batches.push_back(static_cast<size_t>(b));
    }
    return batches;
  };
  const auto fits = [&](size_t last) {
    int64_t rows = portions.back().rows;
    for (const size_t batch : missing(last)) rows += plan.batches[batch].rows;
    return rows <= most_rows;
  };
  for (size_t i = 0; i < plan.batches.size(); ++i) {
    if (!needed[i]) continue;
    if (portions.empty() || !fits(i)) {
      PrefixPortion portion;
      portion.first = i;
      portion.runs.resize(plan.batches.size());
      portions.push_back(std::move(portion));
    }
    PrefixPortion& portion = portions.back();
    for (const size_t batch : missing(i)) {
      portion.runs[batch] = true;
      portion.rows += plan.batches[batch].rows;
    }
    portion.last = i + 1;
  }
  return portions;
}

}  // namespace quantd
