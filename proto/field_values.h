// One value of one scalar field, typed by its descriptor: parsed from text,
// read from and written to messages by reflection, checked against the
// field's own rules. What proto/field_rules.h is made of; include that one.
//
// Thread-safe: free functions over their arguments.
#ifndef QUANTD_PROTO_FIELD_VALUES_H_
#define QUANTD_PROTO_FIELD_VALUES_H_

#include <cstdint>
#include <string>
#include <variant>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "google/protobuf/descriptor.h"
#include "google/protobuf/message.h"
#include "quantd/v1/options.pb.h"

namespace quantd {

// Signed integers, unsigned integers, floating point (float and double),
// bool, string and bytes, enum.
using FieldValue = std::variant<int64_t, uint64_t, double, bool, std::string,
                                const google::protobuf::EnumValueDescriptor*>;

const v1::FieldRules& RulesOf(const google::protobuf::FieldDescriptor& field);

bool IsMessageField(const google::protobuf::FieldDescriptor& field);

// "uint32", "bool", "string", the enum's name, "list of string",
// "map<string, string>", or the message's name.
std::string TypeName(const google::protobuf::FieldDescriptor& field);

// Text to one (element) value. InvalidArgument, without the field's name,
// when `text` is no value of the type. Enums by name, in any case; floating
// point must be finite. REQUIRES: not a message field.
absl::StatusOr<FieldValue> ParseFieldValue(
    const google::protobuf::FieldDescriptor& field, absl::string_view text);

// Shortest text that ParseFieldValue() reads back to the same value.
std::string FormatFieldValue(const google::protobuf::FieldDescriptor& field,
                             const FieldValue& value);

FieldValue GetFieldValue(const google::protobuf::Message& message,
                         const google::protobuf::FieldDescriptor& field);
FieldValue GetRepeatedFieldValue(const google::protobuf::Message& message,
                                 const google::protobuf::FieldDescriptor& field,
                                 int index);

void SetFieldValue(google::protobuf::Message* message,
                   const google::protobuf::FieldDescriptor& field,
                   const FieldValue& value);
void AddFieldValue(google::protobuf::Message* message,
                   const google::protobuf::FieldDescriptor& field,
                   const FieldValue& value);

// What is wrong with one (element) value, or empty. For repeated fields the
// bounds of the rules concern the number of elements and are not looked at
// here: see CheckElementCount().
std::string CheckFieldValue(const google::protobuf::FieldDescriptor& field,
                            const FieldValue& value);
std::string CheckElementCount(const google::protobuf::FieldDescriptor& field,
                              int count);

// The rule as text: "2..8", "at least 0", "at most 128 bytes",
// "1..32 elements", "one of a, b"; empty without a rule.
std::string RangeText(const google::protobuf::FieldDescriptor& field);

}  // namespace quantd

#endif  // QUANTD_PROTO_FIELD_VALUES_H_
