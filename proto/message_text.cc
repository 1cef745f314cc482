#include "proto/message_text.h"

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "base/utf8.h"
#include "google/protobuf/descriptor.h"
#include "proto/field_rules.h"

namespace quantd {
namespace {

using ::google::protobuf::FieldDescriptor;
using ::google::protobuf::Message;

absl::Status Check(const Message& message, const std::string& prefix) {
  const auto& reflection = *message.GetReflection();
  std::vector<const FieldDescriptor*> present;
  reflection.ListFields(message, &present);
  for (const FieldDescriptor* field : present) {
    const bool is_message =
        field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE;
    if (!is_message && field->type() != FieldDescriptor::TYPE_STRING) continue;
    const int count =
        field->is_repeated() ? reflection.FieldSize(message, field) : 1;
    for (int i = 0; i < count; ++i) {
      std::string path = absl::StrCat(prefix, field->name());
      if (field->is_repeated()) absl::StrAppend(&path, "[", i, "]");
      if (is_message) {
        RETURN_IF_ERROR(
            Check(field->is_repeated()
                      ? reflection.GetRepeatedMessage(message, field, i)
                      : reflection.GetMessage(message, field),
                  absl::StrCat(path, ".")));
        continue;
      }
      const std::string text =
          field->is_repeated() ? reflection.GetRepeatedString(message, field, i)
                               : reflection.GetString(message, field);
      if (!IsValidUtf8(text)) {
        return InvalidField(path, absl::StrCat("\"", EscapeInvalidUtf8(text),
                                               "\" is not valid UTF-8"));
      }
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status CheckStrings(const Message& message) { return Check(message, ""); }

}  // namespace quantd
