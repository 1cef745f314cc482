#include "models/tokenizers/byte_pair_file.h"

#include <optional>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "nlohmann/json.hpp"

namespace quantd {
namespace {

using nlohmann::json;

// Lines of a merges.txt that was taken over whole.
bool IsVersionLine(const json& entry) {
  return entry.is_string() &&
         absl::StartsWith(entry.get_ref<const std::string&>(), "#version");
}

// "a b", or ["a", "b"] in files written since pieces may hold a space.
bool SplitMerge(const json& entry, absl::string_view* left,
                absl::string_view* right) {
  if (entry.is_array()) {
    if (entry.size() != 2 || !entry[0].is_string() || !entry[1].is_string()) {
      return false;
    }
    *left = entry[0].get_ref<const std::string&>();
    *right = entry[1].get_ref<const std::string&>();
  } else if (entry.is_string()) {
    const absl::string_view text = entry.get_ref<const std::string&>();
    const size_t space = text.find(' ');
    if (space == absl::string_view::npos) return false;
    *left = text.substr(0, space);
    *right = text.substr(space + 1);
    if (right->find(' ') != absl::string_view::npos) return false;
  } else {
    return false;
  }
  return !left->empty() && !right->empty();
}

}  // namespace

absl::Status ReadMerges(const JsonReader& model, const Vocabulary& vocabulary,
                        size_t prefix_bytes, MergeSink sink,
                        BytePairMerger* merger) {
  ASSIGN_OR_RETURN(const json* merges, model.GetArray("merges"));
  merger->Reserve(merges->size());
  for (size_t i = 0; i < merges->size(); ++i) {
    const json& entry = (*merges)[i];
    if (IsVersionLine(entry)) continue;
    const auto fault = [&](const auto&... parts) {
      return model.Fault(absl::StrCat("merges[", i, "]"),
                         absl::StrCat(parts...));
    };
    absl::string_view left;
    absl::string_view right;
    if (!SplitMerge(entry, &left, &right)) {
      return fault("expected two tokens, got ", DescribeJson(entry));
    }
    if (right.size() < prefix_bytes) {
      return fault("the right token ", Quoted(right),
                   " is shorter than continuing_subword_prefix");
    }
    const std::optional<int32_t> left_id = vocabulary.IdOf(left);
    const std::optional<int32_t> right_id = vocabulary.IdOf(right);
    if (!left_id || !right_id) {
      return fault(Quoted(left_id ? right : left), " is not in the vocabulary");
    }
    const std::string merged = absl::StrCat(left, right.substr(prefix_bytes));
    const std::optional<int32_t> merged_id = vocabulary.IdOf(merged);
    if (!merged_id) {
      return fault("its result ", Quoted(merged), " is not in the vocabulary");
    }
    merger->AddMerge(*left_id, *right_id, static_cast<int32_t>(i), *merged_id);
    sink(left, right);
  }
  return absl::OkStatus();
}

absl::Status RefuseDropout(const JsonReader& model) {
  ASSIGN_OR_RETURN(const double dropout,
                   model.GetDoubleOr("dropout", 0.0, 0.0, 1.0));
  if (dropout == 0.0) return absl::OkStatus();
  return model.Unsupported("dropout", "random encoding");
}

}  // namespace quantd
