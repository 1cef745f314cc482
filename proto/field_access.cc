// Reading and writing of proto/field_values.h: one case per C++ type of a
// field.
#include <cstdint>
#include <string>
#include <variant>

#include "google/protobuf/descriptor.h"
#include "google/protobuf/message.h"
#include "proto/field_values.h"

namespace quantd {

using ::google::protobuf::EnumValueDescriptor;
using ::google::protobuf::FieldDescriptor;
using ::google::protobuf::Message;

FieldValue GetFieldValue(const Message& message, const FieldDescriptor& field) {
  const auto& reflection = *message.GetReflection();
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT32:
      return int64_t{reflection.GetInt32(message, &field)};
    case FieldDescriptor::CPPTYPE_INT64:
      return int64_t{reflection.GetInt64(message, &field)};
    case FieldDescriptor::CPPTYPE_UINT32:
      return uint64_t{reflection.GetUInt32(message, &field)};
    case FieldDescriptor::CPPTYPE_UINT64:
      return uint64_t{reflection.GetUInt64(message, &field)};
    case FieldDescriptor::CPPTYPE_FLOAT:
      return double{reflection.GetFloat(message, &field)};
    case FieldDescriptor::CPPTYPE_DOUBLE:
      return reflection.GetDouble(message, &field);
    case FieldDescriptor::CPPTYPE_BOOL:
      return reflection.GetBool(message, &field);
    case FieldDescriptor::CPPTYPE_ENUM:
      return reflection.GetEnum(message, &field);
    default:
      return reflection.GetString(message, &field);
  }
}

FieldValue GetRepeatedFieldValue(const Message& message,
                                 const FieldDescriptor& field, int index) {
  const auto& reflection = *message.GetReflection();
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT32:
      return int64_t{reflection.GetRepeatedInt32(message, &field, index)};
    case FieldDescriptor::CPPTYPE_INT64:
      return int64_t{reflection.GetRepeatedInt64(message, &field, index)};
    case FieldDescriptor::CPPTYPE_UINT32:
      return uint64_t{reflection.GetRepeatedUInt32(message, &field, index)};
    case FieldDescriptor::CPPTYPE_UINT64:
      return uint64_t{reflection.GetRepeatedUInt64(message, &field, index)};
    case FieldDescriptor::CPPTYPE_FLOAT:
      return double{reflection.GetRepeatedFloat(message, &field, index)};
    case FieldDescriptor::CPPTYPE_DOUBLE:
      return reflection.GetRepeatedDouble(message, &field, index);
    case FieldDescriptor::CPPTYPE_BOOL:
      return reflection.GetRepeatedBool(message, &field, index);
    case FieldDescriptor::CPPTYPE_ENUM:
      return reflection.GetRepeatedEnum(message, &field, index);
    default:
      return reflection.GetRepeatedString(message, &field, index);
  }
}

void SetFieldValue(Message* message, const FieldDescriptor& field,
                   const FieldValue& value) {
  const auto& reflection = *message->GetReflection();
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT32:
      return reflection.SetInt32(
          message, &field, static_cast<int32_t>(std::get<int64_t>(value)));
    case FieldDescriptor::CPPTYPE_INT64:
      return reflection.SetInt64(message, &field, std::get<int64_t>(value));
    case FieldDescriptor::CPPTYPE_UINT32:
      return reflection.SetUInt32(
          message, &field, static_cast<uint32_t>(std::get<uint64_t>(value)));
    case FieldDescriptor::CPPTYPE_UINT64:
      return reflection.SetUInt64(message, &field, std::get<uint64_t>(value));
    case FieldDescriptor::CPPTYPE_FLOAT:
      return reflection.SetFloat(message, &field,
                                 static_cast<float>(std::get<double>(value)));
    case FieldDescriptor::CPPTYPE_DOUBLE:
      return reflection.SetDouble(message, &field, std::get<double>(value));
    case FieldDescriptor::CPPTYPE_BOOL:
      return reflection.SetBool(message, &field, std::get<bool>(value));
    case FieldDescriptor::CPPTYPE_ENUM:
      return reflection.SetEnum(message, &field,
                                std::get<const EnumValueDescriptor*>(value));
    default:
      return reflection.SetString(message, &field,
                                  std::get<std::string>(value));
  }
}

void AddFieldValue(Message* message, const FieldDescriptor& field,
                   const FieldValue& value) {
  const auto& reflection = *message->GetReflection();
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT32:
      return reflection.AddInt32(
          message, &field, static_cast<int32_t>(std::get<int64_t>(value)));
    case FieldDescriptor::CPPTYPE_INT64:
      return reflection.AddInt64(message, &field, std::get<int64_t>(value));
    case FieldDescriptor::CPPTYPE_UINT32:
      return reflection.AddUInt32(
          message, &field, static_cast<uint32_t>(std::get<uint64_t>(value)));
    case FieldDescriptor::CPPTYPE_UINT64:
      return reflection.AddUInt64(message, &field, std::get<uint64_t>(value));
    case FieldDescriptor::CPPTYPE_FLOAT:
      return reflection.AddFloat(message, &field,
                                 static_cast<float>(std::get<double>(value)));
    case FieldDescriptor::CPPTYPE_DOUBLE:
      return reflection.AddDouble(message, &field, std::get<double>(value));
    case FieldDescriptor::CPPTYPE_BOOL:
      return reflection.AddBool(message, &field, std::get<bool>(value));
    case FieldDescriptor::CPPTYPE_ENUM:
      return reflection.AddEnum(message, &field,
                                std::get<const EnumValueDescriptor*>(value));
    default:
      return reflection.AddString(message, &field,
                                  std::get<std::string>(value));
  }
}

}  // namespace quantd
