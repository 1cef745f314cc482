#include "client/sweep_plan.h"

#include <algorithm>
#include <set>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "base/sha256.h"
#include "base/status_macros.h"
#include "google/protobuf/io/coded_stream.h"
#include "google/protobuf/io/zero_copy_stream_impl_lite.h"
#include "proto/field_rules.h"

namespace quantd {
namespace {

// A resource id has at most 128 characters; the sweep's name and a point share
// them.
constexpr size_t kMaxIdLength = 128;
constexpr size_t kDigestLength = 8;

std::string KeyOf(absl::string_view assignment) {
  return std::string(assignment.substr(0, assignment.find('=')));
}

absl::Status CheckAssignment(absl::string_view option,
                             absl::string_view assignment) {
  const size_t equals = assignment.find('=');
  if (equals == absl::string_view::npos || equals == 0 ||
      absl::StrContains(assignment, '\n')) {
    return absl::InvalidArgumentError(
        absl::StrCat(option, ": \"", assignment, "\" is not key=value"));
  }
  return absl::OkStatus();
}

// Values of one key, in the order they were given.
struct Alternatives {
  std::string key;
  std::vector<std::string> assignments;
};

absl::StatusOr<std::vector<Alternatives>> AlternativesOf(
    const SweepGrid& grid) {
  std::vector<Alternatives> all;
  if (!grid.bits.empty()) {
    all.push_back({"bits", {}});
    for (const std::string& bits : grid.bits) {
      double number = 0;
      if (!absl::SimpleAtod(bits, &number)) {
        return absl::InvalidArgumentError(
            absl::StrCat("--bits: \"", bits, "\" is not a number"));
      }
      all[0].assignments.push_back(absl::StrCat("bits=", bits));
    }
  }
  for (const std::string& assignment : grid.set) {
    RETURN_IF_ERROR(CheckAssignment("--set", assignment));
    const std::string key = KeyOf(assignment);
    if (key == "bits" && !grid.bits.empty()) {
      return absl::InvalidArgumentError(absl::StrCat(
          "--set ", assignment, ": the bits are already given by --bits"));
    }
    auto same = std::find_if(
        all.begin(), all.end(),
        [&](const Alternatives& other) { return other.key == key; });
    if (same == all.end()) same = all.insert(all.end(), Alternatives{key, {}});
    same->assignments.push_back(assignment);
  }
  return all;
}

absl::StatusOr<SweepPoint> ParsePoint(absl::string_view text) {
  std::vector<std::string> words =
      absl::StrSplit(text, absl::ByAnyChar(" \t\n"), absl::SkipEmpty());
  if (words.empty() || absl::StrContains(words[0], '=')) {
    return absl::InvalidArgumentError(
        absl::StrCat("--point: \"", text,
                     "\" does not begin with a method, as in \"gptq bits=3\""));
  }
  SweepPoint point;
  point.method = words[0];
  point.set.assign(words.begin() + 1, words.end());
  for (const std::string& assignment : point.set) {
    RETURN_IF_ERROR(CheckAssignment("--point", assignment));
  }
  return point;
}

std::string LabelOf(const v1::JobSpec& spec, const char* key) {
  const auto found = spec.labels().find(key);
  return found == spec.labels().end() ? "" : found->second;
}

}  // namespace

std::string SweepPoint::Label() const {
  return set.empty() ? method
                     : absl::StrCat(method, " ", absl::StrJoin(set, " "));
}

absl::StatusOr<std::vector<SweepPoint>> ExpandSweep(const SweepGrid& grid) {
  ASSIGN_OR_RETURN(const std::vector<Alternatives> all, AlternativesOf(grid));
  if (grid.methods.empty() && !all.empty()) {
    return absl::InvalidArgumentError(
        "--bits and --set need a --method; a --point has its own settings");
  }
  const absl::Status too_many = absl::InvalidArgumentError(
      absl::StrCat("the sweep has more than ", kMaxSweepPoints, " points"));
  std::vector<SweepPoint> points;
  for (const std::string& method : grid.methods) {
    std::vector<SweepPoint> of_method = {SweepPoint{method, {}}};
    for (const Alternatives& alternatives : all) {
      std::vector<SweepPoint> longer;
      for (const SweepPoint& point : of_method) {
        for (const std::string& assignment : alternatives.assignments) {
          longer.push_back(point);
          longer.back().set.push_back(assignment);
          if (longer.size() > kMaxSweepPoints) return too_many;
        }
      }
      of_method = std::move(longer);
    }
    points.insert(points.end(), of_method.begin(), of_method.end());
    if (points.size() > kMaxSweepPoints) return too_many;
  }
  for (const std::string& text : grid.points) {
    ASSIGN_OR_RETURN(SweepPoint point, ParsePoint(text));
    points.push_back(std::move(point));
  }
  std::vector<SweepPoint> distinct;
  std::set<std::string> labels;
  for (SweepPoint& point : points) {
    if (labels.insert(point.Label()).second) {
      distinct.push_back(std::move(point));
    }
  }
  if (distinct.empty()) {
    return absl::InvalidArgumentError(
        "a sweep needs points: give --method (with --bits, --set) or --point");
  }
  if (distinct.size() > kMaxSweepPoints) return too_many;
  return distinct;
}

absl::Status CheckPoint(const v1::Recipe& recipe, const SweepPoint& point) {
  // What a server applies assignments to.
  v1::StageList options;
  *options.mutable_stages() = recipe.stages();
  if (recipe.has_calibration_inputs()) {
    options.set_calibration_inputs(recipe.calibration_inputs());
  }
  FillDefaults(&options);
  for (const std::string& assignment : point.set) {
    const absl::Status status = ApplyAssignment(&options, assignment);
    if (status.ok()) continue;
    if (KeyOf(assignment) == "bits") {
      return absl::InvalidArgumentError(absl::StrCat(
          "point \"", point.Label(), "\": method ", point.method,
          " does not take ", assignment, " (quantctl methods show ",
          point.method, "): ", status.message()));
    }
    return absl::InvalidArgumentError(
        absl::StrCat("point \"", point.Label(), "\": ", status.message()));
  }
  return absl::OkStatus();
}

std::string PointArtifactId(absl::string_view sweep, const SweepPoint& point) {
  const std::string label = point.Label();
  std::string id = absl::StrCat(sweep, "-");
  bool is_exact = true;
  for (const char c : label) {
    if (absl::ascii_isalnum(c) || c == '.' || c == '_' || c == '-') {
      id += c;
    } else if (c == ' ') {
      id += '-';
    } else if (c != '=') {  // between key and value, where nothing is lost
      id += '_';
      is_exact = false;
    }
  }
  if (is_exact && id.size() <= kMaxIdLength && absl::ascii_isalnum(id.back())) {
    return id;
  }
  id.resize(std::min(id.size(), kMaxIdLength - kDigestLength - 1));
  return absl::StrCat(id, "-", Sha256Hex(label).substr(0, kDigestLength));
}

std::string SpecDigest(const v1::JobSpec& spec) {
  v1::JobSpec unmarked = spec;
  unmarked.clear_labels();
  std::string bytes;
  {
    google::protobuf::io::StringOutputStream stream(&bytes);
    google::protobuf::io::CodedOutputStream coded(&stream);
    coded.SetSerializationDeterministic(true);
    unmarked.SerializeToCodedStream(&coded);
  }
  return Sha256Hex(bytes);
}

std::string MarkAsPartOf(absl::string_view sweep, absl::string_view label,
                         int round, v1::JobSpec* spec) {
  auto& labels = *spec->mutable_labels();
  labels[kSpecLabel] = SpecDigest(*spec).substr(0, 16);
  labels[kSweepLabel] = std::string(sweep);
  labels[kPointLabel] = std::string(label);
  labels[kRoundLabel] = absl::StrCat(round);
  // Lengths keep parts from running into each other. An evaluation of another
  // job's output is another request.
  std::string text;
  for (const std::string& part :
       {std::string(sweep), std::string(label),
        std::string(spec->has_quantize() ? "quantize" : "evaluate"),
        spec->evaluate().target(), absl::StrCat(round)}) {
    absl::StrAppend(&text, part.size(), ":", part);
  }
  return absl::StrCat("sweep-", Sha256Hex(text));
}

bool IsSameTask(const v1::JobSpec& a, const v1::JobSpec& b) {
  return LabelOf(a, kSweepLabel) == LabelOf(b, kSweepLabel) &&
         LabelOf(a, kPointLabel) == LabelOf(b, kPointLabel) &&
         a.kind_case() == b.kind_case() &&
         a.evaluate().target() == b.evaluate().target();
}

int RoundOf(const v1::JobSpec& spec) {
  int round = 0;
  return absl::SimpleAtoi(LabelOf(spec, kRoundLabel), &round) ? round : 0;
}

}  // namespace quantd
