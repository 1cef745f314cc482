#include "evaluators/tasks/few_shot.h"

#include <limits>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "evaluators/tasks/template_value.h"
#include "models/json_text.h"

namespace quantd {
namespace {

using nlohmann::json;

absl::StatusOr<std::string> GroupOf(const json& record,
                                    const std::string& field) {
  if (field.empty()) return std::string();
  const auto value = record.find(field);
  if (value == record.end()) {
    return absl::InvalidArgumentError(
        absl::StrCat("fewshot_config.same_field: no field ", Quoted(field)));
  }
  return TemplateText(*value);
}

// A permutation of 0 .. size-1 that is drawn as far as it is asked for
// (Fisher-Yates); only what differs from the identity is stored.
class LazyShuffle {
 public:
  LazyShuffle(size_t size, std::mt19937_64& engine)
      : size_(size), engine_(engine) {}

  bool done() const { return drawn_ == size_; }

  size_t Next() {
    const size_t other = drawn_ + DrawBelow(size_ - drawn_, engine_);
    const size_t value = At(other);
    moved_[other] = At(drawn_);
    ++drawn_;
    return value;
  }

 private:
  size_t At(size_t index) const {
    const auto moved = moved_.find(index);
    return moved == moved_.end() ? index : moved->second;
  }

  const size_t size_;
  std::mt19937_64& engine_;
  size_t drawn_ = 0;
  std::map<size_t, size_t> moved_;
};

}  // namespace

uint64_t DrawBelow(uint64_t limit, std::mt19937_64& engine) {
  constexpr uint64_t kMax = std::numeric_limits<uint64_t>::max();
  // 2^64 modulo limit outputs at the top would make low numbers likelier.
  const uint64_t excess = (kMax % limit + 1) % limit;
  uint64_t drawn = engine();
  while (drawn > kMax - excess) drawn = engine();
  return drawn % limit;
}

absl::StatusOr<FewShotSampler> FewShotSampler::Create(
    const TaskFewShot& config, std::optional<uint64_t> seed,
    absl::Span<const TaskRecord> pool) {
  FewShotSampler sampler(config, seed.value_or(config.seed), pool);
  for (size_t i = 0; i < pool.size(); ++i) {
    ASSIGN_OR_RETURN(const std::string group,
                     Annotate(GroupOf(pool[i].fields, config.same_field),
                              "few-shot data: line ", pool[i].line));
    sampler.groups_[group].push_back(i);
  }
  return sampler;
}

absl::StatusOr<std::vector<size_t>> FewShotSampler::Choose(const json& item,
                                                           int count) {
  std::vector<size_t> chosen;
  if (count == 0) return chosen;
  ASSIGN_OR_RETURN(const std::string group, GroupOf(item, config_.same_field));
  const std::vector<size_t>& members = groups_[group];
  const auto take = [&](size_t index) {
    if (pool_[index].fields != item) chosen.push_back(index);
    return chosen.size() < static_cast<size_t>(count);
  };
  if (config_.sampler == TaskFewShot::Sampler::kFirstN) {
    for (const size_t index : members) {
      if (!take(index)) break;
    }
  } else {
    LazyShuffle shuffle(members.size(), engine_);
    while (!shuffle.done() && take(members[shuffle.Next()])) {
    }
  }
  if (chosen.size() < static_cast<size_t>(count)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "needs ", count, " examples, but there are ", chosen.size(),
        group.empty()
            ? ""
            : absl::StrCat(" with ", config_.same_field, " ", Quoted(group))));
  }
  return chosen;
}

}  // namespace quantd
