#include "evaluators/tasks/yaml_text.h"

#include <yaml-cpp/yaml.h>

#include <cmath>
#include <cstdint>
#include <set>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "models/json_text.h"
#include "models/utf8.h"
#include "nlohmann/json.hpp"

namespace quantd {
namespace {

absl::Status Fault(int line, absl::string_view fault) {
  return absl::InvalidArgumentError(absl::StrCat("line ", line, ": ", fault));
}

// The library calls lines from 0 and has -1 for none.
int LineOf(const YAML::Mark& mark) { return mark.line < 0 ? 1 : mark.line + 1; }

// Copies the library's nodes, which aliases can make as large as they like or
// even circular: depth and number bound it.
class YamlCopier {
 public:
  absl::StatusOr<YamlValue> Copy(const YAML::Node& node, int depth) {
    YamlValue value;
    value.line = LineOf(node.Mark());
    if (depth > kMaxYamlDepth) {
      return Fault(value.line, absl::StrCat("nested more than ", kMaxYamlDepth,
                                            " levels deep"));
    }
    if (++count_ > kMaxYamlValues) {
      return Fault(value.line,
                   absl::StrCat("more than ", kMaxYamlValues, " values"));
    }
    const std::string tag = node.Tag();
    if (!tag.empty() && tag != "?" && tag != "!") {
      return Fault(value.line,
                   absl::StrCat("tag ", Quoted(tag),
                                " is not supported: a task file has no code; "
                                "write the value as a template"));
    }
    if (node.IsScalar()) {
      value.kind = YamlValue::Kind::kScalar;
      value.scalar = node.Scalar();
      value.quoted = tag == "!";
    } else if (node.IsSequence()) {
      value.kind = YamlValue::Kind::kList;
      for (const YAML::Node& item : node) {
        ASSIGN_OR_RETURN(YamlValue copy, Copy(item, depth + 1));
        value.items.push_back(std::move(copy));
      }
    } else if (node.IsMap()) {
      value.kind = YamlValue::Kind::kMap;
      RETURN_IF_ERROR(CopyMembers(node, depth, value));
    }
    return value;
  }

 private:
  absl::Status CopyMembers(const YAML::Node& node, int depth,
                           YamlValue& value) {
    std::set<std::string> seen;
    for (const auto& pair : node) {
      const int line = LineOf(pair.first.Mark());
      if (!pair.first.IsScalar()) {
        return Fault(line, "a key that is not a text");
      }
      YamlMember member;
      member.key = pair.first.Scalar();
      member.line = line;
      if (!seen.insert(member.key).second) {
        return Fault(
            line, absl::StrCat("key ", Quoted(member.key), " appears twice"));
      }
      ASSIGN_OR_RETURN(member.value, Copy(pair.second, depth + 1));
      value.members.push_back(std::move(member));
    }
    return absl::OkStatus();
  }

  size_t count_ = 0;
};

}  // namespace

const YamlValue* YamlValue::Find(absl::string_view key) const {
  for (const YamlMember& member : members) {
    if (member.key == key) return &member.value;
  }
  return nullptr;
}

absl::string_view YamlValue::KindName() const {
  switch (kind) {
    case Kind::kNull:
      return "nothing";
    case Kind::kScalar:
      return "a text or number";
    case Kind::kList:
      return "a list";
    case Kind::kMap:
      return "a map";
  }
  return "";
}

absl::StatusOr<YamlValue> ParseYaml(absl::string_view text) {
  if (text.size() > kMaxYamlBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("larger than ", kMaxYamlBytes, " bytes"));
  }
  if (const size_t valid = ValidUtf8Prefix(text); valid < text.size()) {
    const absl::string_view before = text.substr(0, valid);
    return Fault(
        1 + static_cast<int>(std::count(before.begin(), before.end(), '\n')),
        "not UTF-8");
  }
  if (text.find('\0') != absl::string_view::npos) {
    return absl::InvalidArgumentError("contains a NUL byte");
  }
  try {
    const std::vector<YAML::Node> documents = YAML::LoadAll(std::string(text));
    if (documents.size() != 1) {
      return absl::InvalidArgumentError(
          absl::StrCat("expected one YAML document, got ", documents.size()));
    }
    return YamlCopier().Copy(documents[0], 0);
  } catch (const YAML::Exception& error) {
    return Fault(LineOf(error.mark), ReplaceInvalidUtf8(error.msg));
  }
}

nlohmann::json YamlToJson(const YamlValue& value) {
  using nlohmann::json;
  switch (value.kind) {
    case YamlValue::Kind::kNull:
      return nullptr;
    case YamlValue::Kind::kList: {
      json list = json::array();
      for (const YamlValue& item : value.items) {
        list.push_back(YamlToJson(item));
      }
      return list;
    }
    case YamlValue::Kind::kMap: {
      json map = json::object();
      for (const YamlMember& member : value.members) {
        map[member.key] = YamlToJson(member.value);
      }
      return map;
    }
    case YamlValue::Kind::kScalar:
      break;
  }
  if (value.quoted) return value.scalar;
  if (value.scalar == "true") return true;
  if (value.scalar == "false") return false;
  if (int64_t integer; absl::SimpleAtoi(value.scalar, &integer)) return integer;
  if (double number;
      absl::SimpleAtod(value.scalar, &number) && std::isfinite(number)) {
    return number;
  }
  return value.scalar;
}

}  // namespace quantd
