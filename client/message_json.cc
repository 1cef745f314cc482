#include "client/message_json.h"

#include <variant>

#include "absl/strings/escaping.h"
#include "absl/time/time.h"
#include "google/protobuf/timestamp.pb.h"
#include "proto/field_values.h"

namespace quantd {
namespace {

using ::google::protobuf::EnumValueDescriptor;
using ::google::protobuf::FieldDescriptor;
using ::google::protobuf::Message;
using ::google::protobuf::Timestamp;

Json ValueToJson(const FieldDescriptor& field, const FieldValue& value) {
  if (const auto* v = std::get_if<const EnumValueDescriptor*>(&value)) {
    return (*v)->name();
  }
  if (const auto* v = std::get_if<std::string>(&value)) {
    return field.type() == FieldDescriptor::TYPE_BYTES ? absl::Base64Escape(*v)
                                                       : *v;
  }
  if (const auto* v = std::get_if<bool>(&value)) return *v;
  if (const auto* v = std::get_if<int64_t>(&value)) return *v;
  if (const auto* v = std::get_if<uint64_t>(&value)) return *v;
  return std::get<double>(value);  // written as null when not finite
}

std::string KeyText(const Message& entry, const FieldDescriptor& key) {
  return FormatFieldValue(key, GetFieldValue(entry, key));
}

Json FieldToJson(const Message& message, const FieldDescriptor& field) {
  const auto& reflection = *message.GetReflection();
  if (field.is_map()) {
    Json object = Json::object();
    const FieldDescriptor* key = field.message_type()->map_key();
    const FieldDescriptor* value = field.message_type()->map_value();
    for (int i = 0; i < reflection.FieldSize(message, &field); ++i) {
      const Message& entry = reflection.GetRepeatedMessage(message, &field, i);
      object[KeyText(entry, *key)] = FieldToJson(entry, *value);
    }
    return object;
  }
  if (field.is_repeated()) {
    Json array = Json::array();
    for (int i = 0; i < reflection.FieldSize(message, &field); ++i) {
      array.push_back(
          IsMessageField(field)
              ? MessageToJson(reflection.GetRepeatedMessage(message, &field, i))
              : ValueToJson(field, GetRepeatedFieldValue(message, field, i)));
    }
    return array;
  }
  if (IsMessageField(field)) {
    return MessageToJson(reflection.GetMessage(message, &field));
  }
  return ValueToJson(field, GetFieldValue(message, field));
}

}  // namespace

Json MessageToJson(const Message& message) {
  if (message.GetDescriptor() == Timestamp::descriptor()) {
    const auto& time = dynamic_cast<const Timestamp&>(message);
    return absl::FormatTime(
        "%Y-%m-%dT%H:%M:%E*SZ",
        absl::FromUnixSeconds(time.seconds()) + absl::Nanoseconds(time.nanos()),
        absl::UTCTimeZone());
  }
  Json object = Json::object();
  const auto* type = message.GetDescriptor();
  for (int i = 0; i < type->field_count(); ++i) {
    const FieldDescriptor& field = *type->field(i);
    if (!field.is_repeated() && field.has_presence() &&
        !message.GetReflection()->HasField(message, &field)) {
      continue;
    }
    object[field.name()] = FieldToJson(message, field);
  }
  return object;
}

std::string ToLine(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace quantd
