#include "models/tokenizers/split_behavior.h"

#include <string>

#include "absl/strings/str_cat.h"

namespace quantd {
namespace {

struct Row {
  absl::string_view name;
  SplitBehavior behavior;
};

constexpr Row kBehaviors[] = {
    {"Isolated", SplitBehavior::kIsolated},
    {"Removed", SplitBehavior::kRemoved},
    {"MergedWithPrevious", SplitBehavior::kMergedWithPrevious},
    {"MergedWithNext", SplitBehavior::kMergedWithNext},
    {"Contiguous", SplitBehavior::kContiguous},
};

}  // namespace

absl::StatusOr<SplitBehavior> ReadSplitBehavior(const JsonReader& member) {
  ASSIGN_OR_RETURN(const std::string name, member.GetString("behavior"));
  for (const Row& row : kBehaviors) {
    if (row.name == name) return row.behavior;
  }
  return member.Fault("behavior",
                      absl::StrCat("unknown behavior ", Quoted(name)));
}

}  // namespace quantd
