// JSON from files nobody has checked: parsing with bounds, and typed access
// with errors a user can act on.
//
//   ASSIGN_OR_RETURN(nlohmann::json config, ParseJson(text, "config.json"));
//   ASSIGN_OR_RETURN(JsonReader reader, JsonReader::Of(config, "config.json"));
//   ASSIGN_OR_RETURN(int64_t hidden, reader.GetInt("hidden_size", 1, 1 << 20));
//
// fails with, for instance,
//
//   config.json: hidden_size: expected an integer in [1, 1048576], got "abc"
//
// Files that use the parsed value include "nlohmann/json.hpp" themselves.
// No function here throws. JsonReader is thread-compatible and points into
// the value it was made from.
#ifndef QUANTD_MODELS_JSON_TEXT_H_
#define QUANTD_MODELS_JSON_TEXT_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "nlohmann/json_fwd.hpp"

namespace quantd {

struct JsonLimits {
  size_t max_bytes = size_t{16} << 20;
  // Of nested arrays and objects; a scalar has depth 0.
  int max_depth = 64;
};

// Parses one JSON text. `origin` opens every message. InvalidArgument: over a
// limit, a syntax error, invalid UTF-8, a number beyond double, the same key
// twice in one object (which would make the meaning depend on the reader),
// anything but white space behind the value. The message tells the byte at
// which it was noticed.
absl::StatusOr<nlohmann::json> ParseJson(absl::string_view text,
                                         absl::string_view origin,
                                         const JsonLimits& limits = {});

// `text` in double quotes for use in a message: control characters escaped,
// cut at 64 bytes, so a hostile name can neither flood nor forge a log line.
std::string Quoted(absl::string_view text);

// `value` as a message shows it: scalars as they are, "an array of 3",
// "an object".
std::string DescribeJson(const nlohmann::json& value);

// One JSON object whose members are read by type. All failures are
// InvalidArgument of the form "<origin>: <path>: <fault>". A member that is
// null counts as absent.
class JsonReader {
 public:
  // `value` must be an object and must outlive the reader. `path` names its
  // place inside the file, empty for the top.
  static absl::StatusOr<JsonReader> Of(const nlohmann::json& value,
                                       absl::string_view origin,
                                       absl::string_view path = "");

  bool Has(absl::string_view key) const { return Find(key) != nullptr; }

  // The member, or nullptr when it is absent or null.
  const nlohmann::json* Find(absl::string_view key) const;

  // Required members. GetInt takes JSON integers only (not 4.0), GetDouble
  // any finite number; both bounds are inclusive.
  absl::StatusOr<int64_t> GetInt(absl::string_view key, int64_t min,
                                 int64_t max) const;
  absl::StatusOr<double> GetDouble(absl::string_view key, double min,
                                   double max) const;
  absl::StatusOr<bool> GetBool(absl::string_view key) const;
  absl::StatusOr<std::string> GetString(absl::string_view key) const;
  absl::StatusOr<JsonReader> GetObject(absl::string_view key) const;
  absl::StatusOr<const nlohmann::json*> GetArray(absl::string_view key) const;

  // Optional members: the default (or nullopt) when absent or null, the same
  // errors when present and wrong. The default itself is not checked.
  absl::StatusOr<int64_t> GetIntOr(absl::string_view key, int64_t absent,
                                   int64_t min, int64_t max) const;
  absl::StatusOr<double> GetDoubleOr(absl::string_view key, double absent,
                                     double min, double max) const;
  absl::StatusOr<bool> GetBoolOr(absl::string_view key, bool absent) const;
  absl::StatusOr<std::string> GetStringOr(absl::string_view key,
                                          absl::string_view absent) const;
  absl::StatusOr<std::optional<JsonReader>> FindObject(
      absl::string_view key) const;

  // The errors of this form for checks that the caller makes.
  absl::Status Fault(absl::string_view key, absl::string_view fault) const;
  absl::Status Unsupported(absl::string_view key,
                           absl::string_view fault) const;

  const nlohmann::json& value() const { return *value_; }
  const std::string& origin() const { return origin_; }
  // "rope_scaling.factor" for the member `factor` of "rope_scaling".
  std::string PathOf(absl::string_view key) const;

 private:
  JsonReader(const nlohmann::json* value, std::string origin, std::string path);

  absl::StatusOr<const nlohmann::json*> Required(
      absl::string_view key, absl::string_view expected) const;
  absl::Status Unexpected(absl::string_view key, absl::string_view expected,
                          const nlohmann::json& got) const;

  const nlohmann::json* value_;
  std::string origin_;
  std::string path_;
};

}  // namespace quantd

#endif  // QUANTD_MODELS_JSON_TEXT_H_
