// YAML from files nobody has checked, as plain values that remember their
// lines.
//
// Scalars stay text: what "no" or "1.0" means is up to the key it is the value
// of (so that `doc_to_choice: [no, yes]` is two words and not two booleans).
// Keys appear once. Tags (`!function`), aliases (`*name`), several documents
// and keys that are no text are refused, as is anything over the limits below.
#ifndef QUANTD_EVALUATORS_TASKS_YAML_TEXT_H_
#define QUANTD_EVALUATORS_TASKS_YAML_TEXT_H_

#include <cstddef>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "nlohmann/json_fwd.hpp"

namespace quantd {

inline constexpr size_t kMaxYamlBytes = size_t{256} << 10;
inline constexpr int kMaxYamlDepth = 16;
inline constexpr size_t kMaxYamlValues = 20'000;
inline constexpr size_t kMaxYamlMembers = 1'000;  // of one map

struct YamlMember;

struct YamlValue {
  enum class Kind { kNull, kScalar, kList, kMap };

  Kind kind = Kind::kNull;
  int line = 0;                     // from 1
  std::string scalar;               // kScalar
  bool quoted = false;              // kScalar: written in quotes or as a block
  std::vector<YamlValue> items;     // kList
  std::vector<YamlMember> members;  // kMap, in the order of the file

  const YamlValue* Find(absl::string_view key) const;
  // "a list", "a text", ... for messages.
  absl::string_view KindName() const;
};

struct YamlMember {
  std::string key;
  int line = 0;
  YamlValue value;
};

// One document. InvalidArgument names the line.
absl::StatusOr<YamlValue> ParseYaml(absl::string_view text);

// The value as YAML 1.2 types it: scalars that are not in quotes become
// booleans (true, false), integers, numbers and null where they read as such.
nlohmann::json YamlToJson(const YamlValue& value);

}  // namespace quantd

#endif  // QUANTD_EVALUATORS_TASKS_YAML_TEXT_H_
