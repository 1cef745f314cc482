#include "models/tokenizers/wire_reader.h"

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"

namespace quantd {
namespace {

constexpr uint64_t kMaxFieldNumber = (uint64_t{1} << 29) - 1;
constexpr int kMaxVarintBytes = 10;

}  // namespace

absl::Status WireReader::Fault(absl::string_view fault) const {
  return absl::InvalidArgumentError(
      absl::StrCat("byte ", offset_ + pos_, ": ", fault));
}

absl::StatusOr<uint64_t> WireReader::Varint() {
  uint64_t value = 0;
  for (int i = 0; i < kMaxVarintBytes; ++i) {
    if (AtEnd()) return Fault("the file ends inside a number");
    const auto byte = static_cast<uint8_t>(bytes_[pos_++]);
    value |= uint64_t{byte & 0x7Fu} << (7 * i);
    if (byte < 0x80) return value;
  }
  return Fault("a number of more than ten bytes");
}

absl::StatusOr<uint64_t> WireReader::Fixed(size_t bytes) {
  if (bytes_.size() - pos_ < bytes) {
    return Fault("the file ends inside a number");
  }
  uint64_t value = 0;
  for (size_t i = 0; i < bytes; ++i) {
    value |= uint64_t{static_cast<uint8_t>(bytes_[pos_ + i])} << (8 * i);
  }
  pos_ += bytes;
  return value;
}

absl::StatusOr<WireField> WireReader::Next() {
  ASSIGN_OR_RETURN(const uint64_t tag, Varint());
  const uint64_t number = tag >> 3;
  if (number == 0 || number > kMaxFieldNumber) {
    return Fault(absl::StrCat("field number ", number));
  }
  WireField field;
  field.number = static_cast<uint32_t>(number);
  field.type = static_cast<WireType>(tag & 7);
  field_offset_ = offset_ + pos_;
  switch (field.type) {
    case WireType::kVarint: {
      ASSIGN_OR_RETURN(field.value, Varint());
      return field;
    }
    case WireType::kFixed64: {
      ASSIGN_OR_RETURN(field.value, Fixed(8));
      return field;
    }
    case WireType::kFixed32: {
      ASSIGN_OR_RETURN(field.value, Fixed(4));
      return field;
    }
    case WireType::kBytes: {
      ASSIGN_OR_RETURN(const uint64_t length, Varint());
      if (bytes_.size() - pos_ < length) {
        return Fault(absl::StrCat("a field of ", length, " bytes where ",
                                  bytes_.size() - pos_, " are left"));
      }
      field_offset_ = offset_ + pos_;
      field.bytes = bytes_.substr(pos_, length);
      pos_ += length;
      return field;
    }
  }
  return Fault(absl::StrCat("wire type ", tag & 7));
}

}  // namespace quantd
