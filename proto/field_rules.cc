#include "proto/field_rules.h"

#include <algorithm>
#include <utility>

#include "absl/strings/cord.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/utf8.h"
#include "google/protobuf/descriptor.h"
#include "google/protobuf/stubs/logging.h"
#include "google/rpc/error_details.pb.h"
#include "proto/field_values.h"
#include "quantd/v1/recipe.pb.h"

namespace quantd {
namespace {

using ::google::protobuf::Descriptor;
using ::google::protobuf::FieldDescriptor;
using ::google::protobuf::Message;
using ::google::protobuf::OneofDescriptor;
using ::google::protobuf::Reflection;

constexpr char kBadRequestUrl[] = "type.googleapis.com/google.rpc.BadRequest";

// Descriptors on the way down, so that a message type that contains itself
// ends the descent.
using Ancestors = std::vector<const Descriptor*>;

bool Contains(const Ancestors& ancestors, const Descriptor* type) {
  return std::find(ancestors.begin(), ancestors.end(), type) != ancestors.end();
}

bool IsStage(const Descriptor* type) {
  const Descriptor* stage = v1::Stage::descriptor();
  for (int i = 0; i < stage->field_count(); ++i) {
    if (stage->field(i)->message_type() == type) return true;
  }
  return false;
}

bool CarriesDefaults(const Descriptor* type, Ancestors& ancestors) {
  if (Contains(ancestors, type)) return false;
  ancestors.push_back(type);
  bool carries = false;
  for (int i = 0; i < type->field_count() && !carries; ++i) {
    const FieldDescriptor* field = type->field(i);
    carries = !RulesOf(*field).default_value().empty() ||
              (IsMessageField(*field) && !field->is_repeated() &&
               CarriesDefaults(field->message_type(), ancestors));
  }
  ancestors.pop_back();
  return carries;
}

// A default that does not parse is a mistake in the .proto files that no
// input can cause; a test reads them all.
FieldValue DefaultOf(const FieldDescriptor& field) {
  absl::StatusOr<FieldValue> value =
      ParseFieldValue(field, RulesOf(field).default_value());
  GOOGLE_CHECK(value.ok()) << field.full_name() << ": default "
                           << value.status().ToString();
  return *std::move(value);
}

void FillMessage(Message* message, bool inside_stage, Ancestors& ancestors) {
  const Descriptor* type = message->GetDescriptor();
  const Reflection* reflection = message->GetReflection();
  inside_stage = inside_stage || IsStage(type);
  ancestors.push_back(type);
  for (int i = 0; i < type->field_count(); ++i) {
    const FieldDescriptor* field = type->field(i);
    if (field->is_repeated()) {
      if (!IsMessageField(*field)) continue;
      const int count = reflection->FieldSize(*message, field);
      for (int k = 0; k < count; ++k) {
        FillMessage(reflection->MutableRepeatedMessage(message, field, k),
                    inside_stage, ancestors);
      }
      continue;
    }
    const bool present = reflection->HasField(*message, field);
    if (!IsMessageField(*field)) {
      if (!present && field->has_presence() &&
          !RulesOf(*field).default_value().empty()) {
        SetFieldValue(message, *field, DefaultOf(*field));
      }
      continue;
    }
    // Of a oneof, at most the kind that an absent choice means.
    const OneofDescriptor* oneof = field->containing_oneof();
    const bool chosen =
        oneof == nullptr || (RulesOf(*field).default_kind() &&
                             !reflection->HasOneof(*message, oneof));
    const bool create = !present && inside_stage && chosen &&
                        CarriesDefaults(field->message_type(), ancestors);
    if (present || create) {
      FillMessage(reflection->MutableMessage(message, field), inside_stage,
                  ancestors);
    }
  }
  ancestors.pop_back();
}

std::string Join(absl::string_view prefix, absl::string_view name) {
  return prefix.empty() ? std::string(name) : absl::StrCat(prefix, ".", name);
}

// How one element of a repeated message field is called in a path: by index,
// or by key in a map.
std::string ElementName(const Message& element, const FieldDescriptor& field,
                        int index) {
  if (!field.is_map()) return absl::StrCat(field.name(), "[", index, "]");
  const FieldDescriptor* key = field.message_type()->map_key();
  return absl::StrCat(
      field.name(), "[\"",
      absl::CHexEscape(FormatFieldValue(*key, GetFieldValue(element, *key))),
      "\"]");
}

void Collect(const Message& message, const std::string& prefix,
             std::vector<FieldViolation>& violations) {
  const Descriptor* type = message.GetDescriptor();
  const Reflection* reflection = message.GetReflection();
  for (int i = 0; i < type->field_count(); ++i) {
    const FieldDescriptor* field = type->field(i);
    const v1::FieldRules& rules = RulesOf(*field);
    if (rules.output_only()) continue;  // cleared, not refused
    const std::string path = Join(prefix, field->name());
    if (field->is_repeated()) {
      const int count = reflection->FieldSize(message, field);
      if (count == 0 && rules.required()) {
        violations.push_back({path, "must not be empty"});
        continue;
      }
      if (std::string fault = CheckElementCount(*field, count);
          !fault.empty()) {
        // No look at the elements of a list that is too long anyway.
        violations.push_back({path, std::move(fault)});
        continue;
      }
      for (int k = 0; k < count; ++k) {
        if (IsMessageField(*field)) {
          const Message& element =
              reflection->GetRepeatedMessage(message, field, k);
          Collect(element, Join(prefix, ElementName(element, *field, k)),
                  violations);
          continue;
        }
        std::string fault =
            CheckFieldValue(*field, GetRepeatedFieldValue(message, *field, k));
        if (!fault.empty()) {
          violations.push_back(
              {absl::StrCat(path, "[", k, "]"), std::move(fault)});
        }
      }
      continue;
    }
    const bool present = reflection->HasField(message, field);
    if (!present && rules.required()) {
      violations.push_back({path, "must be set"});
      continue;
    }
    if (IsMessageField(*field)) {
      if (present) {
        Collect(reflection->GetMessage(message, field), path, violations);
      }
      continue;
    }
    // Absent values have nothing to check, but a number without presence is
    // never absent: its zero must lie in the range too.
    const bool text = field->cpp_type() == FieldDescriptor::CPPTYPE_STRING;
    if (!present && (field->has_presence() || text)) continue;
    if (std::string fault =
            CheckFieldValue(*field, GetFieldValue(message, *field));
        !fault.empty()) {
      violations.push_back({path, std::move(fault)});
    }
  }
}

absl::Status ToStatus(std::vector<FieldViolation> violations) {
  if (violations.empty()) return absl::OkStatus();
  // Paths may be what a client typed; the message that carries them on is
  // text.
  for (FieldViolation& violation : violations) {
    for (std::string* text : {&violation.field, &violation.description}) {
      *text = EscapeInvalidUtf8(*text);
    }
  }
  google::rpc::BadRequest details;
  for (const FieldViolation& violation : violations) {
    auto* entry = details.add_field_violations();
    entry->set_field(violation.field);
    entry->set_description(violation.description);
  }
  absl::Status status = absl::InvalidArgumentError(absl::StrJoin(
      violations, "; ", [](std::string* out, const FieldViolation& violation) {
        absl::StrAppend(out, violation.field, ": ", violation.description);
      }));
  status.SetPayload(kBadRequestUrl, absl::Cord(details.SerializeAsString()));
  return status;
}

bool IsWellKnown(const Descriptor* type) {
  return type->file()->package() == "google.protobuf";
}

// `message` of `type`, or null: then every kind of a oneof is described.
void Describe(const Descriptor& type, const Message* message,
              const std::string& prefix, Ancestors& ancestors,
              std::vector<FieldDescription>& out) {
  ancestors.push_back(&type);
  for (int i = 0; i < type.field_count(); ++i) {
    const FieldDescriptor& field = *type.field(i);
    const v1::FieldRules& rules = RulesOf(field);
    if (rules.output_only()) continue;
    const bool present = message != nullptr && !field.is_repeated() &&
                         message->GetReflection()->HasField(*message, &field);
    if (message != nullptr && field.real_containing_oneof() != nullptr &&
        !present) {
      continue;
    }
    const std::string path = Join(
        prefix, field.is_repeated() && IsMessageField(field) && !field.is_map()
                    ? absl::StrCat(field.name(), "[]")
                    : field.name());
    if (IsMessageField(field) && !field.is_map() &&
        !IsWellKnown(field.message_type())) {
      if (!Contains(ancestors, field.message_type())) {
        const Message* child =
            present ? &message->GetReflection()->GetMessage(*message, &field)
                    : nullptr;
        Describe(*field.message_type(), child, path, ancestors, out);
      }
      continue;
    }
    FieldDescription description;
    description.path = path;
    description.type = TypeName(field);
    description.help = rules.help();
    description.default_value = rules.default_value();
    description.range = RangeText(field);
    description.unit = rules.unit();
    description.citation = rules.citation();
    description.required = rules.required();
    out.push_back(std::move(description));
  }
  ancestors.pop_back();
}

}  // namespace

void FillDefaults(Message* message) {
  Ancestors ancestors;
  FillMessage(message, /*inside_stage=*/false, ancestors);
}

std::vector<FieldViolation> FindViolations(const Message& message,
                                           absl::string_view prefix) {
  std::vector<FieldViolation> violations;
  Collect(message, std::string(prefix), violations);
  return violations;
}

absl::Status Validate(const Message& message, absl::string_view prefix) {
  return ToStatus(FindViolations(message, prefix));
}

absl::Status InvalidField(absl::string_view field,
                          absl::string_view description) {
  return ToStatus({{std::string(field), std::string(description)}});
}

std::vector<FieldViolation> ViolationsOf(const absl::Status& status) {
  std::vector<FieldViolation> violations;
  const auto payload = status.GetPayload(kBadRequestUrl);
  google::rpc::BadRequest details;
  if (!payload.has_value() || !details.ParseFromString(std::string(*payload))) {
    return violations;
  }
  for (const auto& entry : details.field_violations()) {
    violations.push_back({entry.field(), entry.description()});
  }
  return violations;
}

void ClearOutputOnly(Message* message) {
  const Reflection* reflection = message->GetReflection();
  std::vector<const FieldDescriptor*> present;
  reflection->ListFields(*message, &present);
  for (const FieldDescriptor* field : present) {
    if (RulesOf(*field).output_only()) {
      reflection->ClearField(message, field);
    } else if (IsMessageField(*field) && field->is_repeated()) {
      const int count = reflection->FieldSize(*message, field);
      for (int k = 0; k < count; ++k) {
        ClearOutputOnly(reflection->MutableRepeatedMessage(message, field, k));
      }
    } else if (IsMessageField(*field)) {
      ClearOutputOnly(reflection->MutableMessage(message, field));
    }
  }
}

std::vector<FieldDescription> DescribeFields(const Descriptor& descriptor) {
  std::vector<FieldDescription> descriptions;
  Ancestors ancestors;
  Describe(descriptor, nullptr, "", ancestors, descriptions);
  return descriptions;
}

std::vector<FieldDescription> DescribeFields(const Message& message) {
  std::vector<FieldDescription> descriptions;
  Ancestors ancestors;
  Describe(*message.GetDescriptor(), &message, "", ancestors, descriptions);
  return descriptions;
}

}  // namespace quantd
