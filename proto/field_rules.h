// Reads the rules attached to fields (quantd/v1/options.proto) by reflection:
// defaults, validation, assignment by path, documentation. Server, recipes and
// command line share this one implementation.
//
// Thread-safe: free functions over their arguments.
#ifndef QUANTD_PROTO_FIELD_RULES_H_
#define QUANTD_PROTO_FIELD_RULES_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "google/protobuf/message.h"

namespace quantd {

// One broken rule: the full path of the field ("spec.quantize.model") and what
// is wrong with its value.
struct FieldViolation {
  std::string field;
  std::string description;
};

// Sets every absent field that has a default, in `message` and in all
// messages reachable from it that are present; a singular message field whose
// type carries defaults is created when it is absent and its parent is a
// stage (so that an empty `gptq {}` becomes a full description of itself).
void FillDefaults(google::protobuf::Message* message);

// All broken rules of `message` and its submessages, paths prefixed with
// `prefix`. An empty result means valid.
std::vector<FieldViolation> FindViolations(
    const google::protobuf::Message& message, absl::string_view prefix = "");

// FindViolations() as a status: OK, or InvalidArgument that lists all of them
// and carries them as a payload (see ViolationsOf).
absl::Status Validate(const google::protobuf::Message& message,
                      absl::string_view prefix = "");

// InvalidArgument about one field, in the same form.
absl::Status InvalidField(absl::string_view field,
                          absl::string_view description);

// The violations a status from Validate() or InvalidField() carries (through
// Annotate() too).
std::vector<FieldViolation> ViolationsOf(const absl::Status& status);

// Clears fields marked output_only (AIP-203).
void ClearOutputOnly(google::protobuf::Message* message);

// Assigns `value` to the field that `path` names. The path is either full,
// relative to `message` ("gptq.grid.bits"), or a suffix that is unique below
// `message` ("bits", "grid.bits"). Only fields of messages that are present,
// of elements of repeated messages, and of singular submessages below them
// are considered; when several elements match, all are set if they name the
// same field of the same message type, otherwise the path is ambiguous. An
// index ("stages[0].gptq.grid.bits") names one element. A repeated field takes
// a comma-separated list, which replaces its elements. Nothing is changed on
// error.
// InvalidArgument: unknown path (with the closest names), ambiguous path (with
// the candidates), text that is no value of the field's type, value out of
// the field's range.
absl::Status SetField(google::protobuf::Message* message,
                      absl::string_view path, absl::string_view value);

// Splits "key=value" and calls SetField().
absl::Status ApplyAssignment(google::protobuf::Message* message,
                             absl::string_view assignment);

// What a help text says of one field.
struct FieldDescription {
  std::string path;  // "grid.bits"
  std::string type;  // "uint32", "bool", "double", "string", enum name
  std::string help;
  std::string default_value;  // empty: none
  std::string range;          // "2..8", "one of a, b", or empty
  std::string unit;
  std::string citation;
  bool required = false;
};

// All fields below `descriptor`, depth first in declaration order, except
// output-only ones. Message fields are descended into; elements of repeated
// messages are written "stages[]".
std::vector<FieldDescription> DescribeFields(
    const google::protobuf::Descriptor& descriptor);
// The same for a message at hand: of the kinds of a oneof only the present one.
std::vector<FieldDescription> DescribeFields(
    const google::protobuf::Message& message);

}  // namespace quantd

#endif  // QUANTD_PROTO_FIELD_RULES_H_
