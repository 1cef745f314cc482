#include "evaluators/tasks/yaml_text.h"

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <sstream>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/utf8.h"
#include "models/json_text.h"
#include "nlohmann/json.hpp"

namespace quantd {
namespace {

absl::Status Fault(int line, absl::string_view fault) {
  return absl::InvalidArgumentError(absl::StrCat("line ", line, ": ", fault));
}

// The library calls lines from 0 and has -1 for none.
int LineOf(const YAML::Mark& mark) { return mark.line < 0 ? 1 : mark.line + 1; }

// Builds the value from the library's events, and refuses by its exceptions.
// The library's own nodes are not used: aliases make them circular or as large
// as one likes, equal keys stay unnoticed, and YAML::LoadAll() does not return
// from some broken tags.
class YamlBuilder : public YAML::EventHandler {
 public:
  YamlValue Take() && { return std::move(root_); }

  void OnDocumentStart(const YAML::Mark&) override {}
  void OnDocumentEnd() override {}

  void OnNull(const YAML::Mark& mark, YAML::anchor_t) override {
    Place(mark, YamlValue::Kind::kNull);
  }

  void OnAlias(const YAML::Mark& mark, YAML::anchor_t) override {
    throw YAML::Exception(mark, "aliases are not supported");
  }

  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t,
                const std::string& value) override {
    CheckTag(mark, tag);
    if (!open_.empty() && open_.back()->kind == YamlValue::Kind::kMap &&
        !has_key_) {
      Key(mark, value);
      return;
    }
    YamlValue* place = Place(mark, YamlValue::Kind::kScalar);
    place->scalar = value;
    place->quoted = tag == "!";
  }

  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag,
                       YAML::anchor_t, YAML::EmitterStyle::value) override {
    CheckTag(mark, tag);
    Open(mark, YamlValue::Kind::kList);
  }
  void OnSequenceEnd() override { open_.pop_back(); }

  void OnMapStart(const YAML::Mark& mark, const std::string& tag,
                  YAML::anchor_t, YAML::EmitterStyle::value) override {
    CheckTag(mark, tag);
    Open(mark, YamlValue::Kind::kMap);
  }
  void OnMapEnd() override { open_.pop_back(); }

 private:
  static void CheckTag(const YAML::Mark& mark, const std::string& tag) {
    if (tag.empty() || tag == "?" || tag == "!") return;
    throw YAML::Exception(
        mark, absl::StrCat("tag ", Quoted(tag),
                           " is not supported: a task file has no code; write "
                           "the value as a template"));
  }

  void Key(const YAML::Mark& mark, const std::string& key) {
    YamlValue& map = *open_.back();
    if (map.Find(key) != nullptr) {
      throw YAML::Exception(
          mark, absl::StrCat("key ", Quoted(key), " appears twice"));
    }
    if (map.members.size() == kMaxYamlMembers) {
      throw YAML::Exception(
          mark, absl::StrCat("a map of more than ", kMaxYamlMembers, " keys"));
    }
    YamlMember& member = map.members.emplace_back();
    member.key = key;
    member.line = LineOf(mark);
    has_key_ = true;
  }

  // Where the next value goes. An open container is the last of the one around
  // it, which does not grow meanwhile: pointers in open_ stay valid.
  YamlValue* Place(const YAML::Mark& mark, YamlValue::Kind kind) {
    if (++count_ > kMaxYamlValues) {
      throw YAML::Exception(
          mark, absl::StrCat("more than ", kMaxYamlValues, " values"));
    }
    YamlValue* place = &root_;
    if (!open_.empty()) {
      YamlValue& around = *open_.back();
      if (around.kind == YamlValue::Kind::kList) {
        place = &around.items.emplace_back();
      } else if (has_key_) {
        place = &around.members.back().value;
        has_key_ = false;
      } else {
        throw YAML::Exception(mark, "a key that is not a text");
      }
    }
    place->kind = kind;
    place->line = LineOf(mark);
    return place;
  }

  void Open(const YAML::Mark& mark, YamlValue::Kind kind) {
    if (open_.size() == static_cast<size_t>(kMaxYamlDepth)) {
      throw YAML::Exception(mark, absl::StrCat("nested more than ",
                                               kMaxYamlDepth, " levels deep"));
    }
    open_.push_back(Place(mark, kind));
  }

  YamlValue root_;
  std::vector<YamlValue*> open_;
  bool has_key_ = false;  // the innermost map has a key without its value
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
    std::istringstream stream{std::string(text)};
    YAML::Parser parser(stream);
    YamlBuilder builder;
    if (!parser.HandleNextDocument(builder)) {
      return absl::InvalidArgumentError("expected a YAML document, got none");
    }
    YamlBuilder other;
    if (parser.HandleNextDocument(other)) {
      return absl::InvalidArgumentError(
          "expected one YAML document, got several");
    }
    return std::move(builder).Take();
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
