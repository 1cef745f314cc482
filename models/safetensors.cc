#include "models/safetensors.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "base/status_macros.h"
#include "base/utf8.h"
#include "models/json_text.h"
#include "nlohmann/json.hpp"

namespace quantd {
namespace {

using nlohmann::json;

constexpr size_t kLengthBytes = 8;
// The bound every reader of the format applies, so a writer keeps it too.
constexpr uint64_t kMaxHeaderBytes = UINT64_C(100) << 20;
// Header object, entry, shape; anything deeper is not this format.
constexpr int kMaxHeaderDepth = 4;
// No framework has tensors of a higher rank, and messages print shapes.
constexpr size_t kMaxRank = 32;
constexpr size_t kDataAlignment = 8;
constexpr char kMetadataKey[] = "__metadata__";

uint64_t LoadLittleEndian64(const char* bytes) {
  uint64_t value = 0;
  for (int i = 7; i >= 0; --i) {
    value = value << 8 | static_cast<uint8_t>(bytes[i]);
  }
  return value;
}

std::string StoreLittleEndian64(uint64_t value) {
  std::string bytes(kLengthBytes, '\0');
  for (size_t i = 0; i < kLengthBytes; ++i) {
    bytes[i] = static_cast<char>(value >> 8 * i & 0xFF);
  }
  return bytes;
}

// Where a tensor lies in the data section.
struct Extent {
  uint64_t begin = 0;
  uint64_t end = 0;
  const std::string* name = nullptr;
};

// Bytes of a tensor, or nullopt when a product does not fit. Zero extents are
// skipped at first so that [0, 2^62, 2^62] is refused like [2^62, 2^62, 0]:
// code that multiplies in another order must not overflow either.
std::optional<uint64_t> ByteCount(const Shape& shape, size_t element_size) {
  uint64_t product = element_size;
  bool empty = false;
  for (const int64_t extent : shape) {
    if (extent == 0) {
      empty = true;
      continue;
    }
    if (__builtin_mul_overflow(product, static_cast<uint64_t>(extent),
                               &product) ||
        product > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) {
      return std::nullopt;
    }
  }
  return empty ? 0 : product;
}

// A JSON integer that fits int64_t and is not negative.
std::optional<int64_t> NonNegative(const json& value) {
  if (!value.is_number_unsigned()) return std::nullopt;
  const uint64_t number = value.get<uint64_t>();
  if (number > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) {
    return std::nullopt;
  }
  return static_cast<int64_t>(number);
}

absl::StatusOr<Shape> ParseShape(const JsonReader& entry) {
  ASSIGN_OR_RETURN(const json* extents, entry.GetArray("shape"));
  if (extents->size() > kMaxRank) {
    return entry.Fault("shape", absl::StrCat("rank ", extents->size(),
                                             ", the limit is ", kMaxRank));
  }
  Shape shape;
  shape.reserve(extents->size());
  for (const json& value : *extents) {
    const std::optional<int64_t> extent = NonNegative(value);
    if (!extent) {
      return entry.Fault("shape",
                         absl::StrCat("expected non-negative integers, got ",
                                      DescribeJson(value)));
    }
    shape.push_back(*extent);
  }
  return shape;
}

// One header entry, its extent checked against the data section's size.
absl::StatusOr<StoredTensor> ParseEntry(const JsonReader& entry,
                                        const std::string& name,
                                        absl::string_view data,
                                        Extent* extent) {
  StoredTensor tensor;
  tensor.name = name;
  ASSIGN_OR_RETURN(const std::string dtype_name, entry.GetString("dtype"));
  const std::optional<DType> dtype = DTypeFromName(dtype_name);
  if (!dtype) {
    return entry.Fault("dtype",
                       absl::StrCat("unknown type ", Quoted(dtype_name)));
  }
  tensor.dtype = *dtype;
  ASSIGN_OR_RETURN(tensor.shape, ParseShape(entry));
  const std::optional<uint64_t> bytes =
      ByteCount(tensor.shape, DTypeSize(tensor.dtype));
  if (!bytes) {
    return entry.Fault("shape", absl::StrCat(ShapeToString(tensor.shape),
                                             " overflows the element count"));
  }

  ASSIGN_OR_RETURN(const json* offsets, entry.GetArray("data_offsets"));
  const auto offset = [&](size_t i) -> std::optional<int64_t> {
    return offsets->size() == 2 ? NonNegative((*offsets)[i]) : std::nullopt;
  };
  const std::optional<int64_t> begin = offset(0);
  const std::optional<int64_t> end = offset(1);
  if (!begin || !end) {
    return entry.Fault("data_offsets", "expected two non-negative integers");
  }
  if (*begin > *end) {
    return entry.Fault("data_offsets",
                       absl::StrCat("begin ", *begin, " is past end ", *end));
  }
  extent->begin = static_cast<uint64_t>(*begin);
  extent->end = static_cast<uint64_t>(*end);
  if (extent->end > data.size()) {
    return entry.Fault(
        "data_offsets",
        absl::StrCat("[", *begin, ", ", *end, ") leaves the data section of ",
                     data.size(), " bytes"));
  }
  if (extent->end - extent->begin != *bytes) {
    return entry.Fault(
        "data_offsets",
        absl::StrCat("span ", extent->end - extent->begin, " bytes, but ",
                     dtype_name, " ", ShapeToString(tensor.shape), " takes ",
                     *bytes));
  }
  tensor.bytes = data.substr(extent->begin, extent->end - extent->begin);
  return tensor;
}

absl::StatusOr<std::map<std::string, std::string>> ParseMetadata(
    const JsonReader& header) {
  std::map<std::string, std::string> metadata;
  ASSIGN_OR_RETURN(const JsonReader entries, header.GetObject(kMetadataKey));
  for (const auto& [key, value] : entries.value().items()) {
    if (!value.is_string()) {
      return entries.Fault(
          key, absl::StrCat("expected a string, got ", DescribeJson(value)));
    }
    metadata.emplace(key, value.get_ref<const std::string&>());
  }
  return metadata;
}

// The format packs tensors tightly: each byte of the data section belongs to
// exactly one tensor.
absl::Status CheckTiling(std::vector<Extent> extents, size_t data_bytes,
                         absl::string_view origin) {
  std::sort(extents.begin(), extents.end(),
            [](const Extent& a, const Extent& b) {
              return std::pair(a.begin, a.end) < std::pair(b.begin, b.end);
            });
  uint64_t covered = 0;
  const std::string* last = nullptr;
  for (const Extent& extent : extents) {
    if (extent.begin < covered) {
      return absl::InvalidArgumentError(
          absl::StrCat(origin, ": ", Quoted(*extent.name), ": overlaps ",
                       Quoted(*last), " at byte ", extent.begin));
    }
    if (extent.begin > covered) {
      return absl::InvalidArgumentError(
          absl::StrCat(origin, ": ", Quoted(*extent.name), ": bytes [", covered,
                       ", ", extent.begin, ") before it belong to no tensor"));
    }
    covered = extent.end;
    last = extent.name;
  }
  if (covered != data_bytes) {
    return absl::InvalidArgumentError(
        absl::StrCat(origin, ": ", data_bytes - covered,
                     " trailing bytes belong to no tensor"));
  }
  return absl::OkStatus();
}

// Length of the JSON text, checked against the file.
absl::StatusOr<uint64_t> HeaderLength(absl::string_view image,
                                      absl::string_view origin) {
  const auto fault = [&](const auto&... parts) {
    return absl::InvalidArgumentError(absl::StrCat(origin, ": ", parts...));
  };
  if (image.size() < kLengthBytes) {
    return fault("truncated: ", image.size(),
                 " bytes do not hold the 8-byte header length");
  }
  const uint64_t length = LoadLittleEndian64(image.data());
  if (length == 0) return fault("header length is 0");
  if (length > kMaxHeaderBytes) {
    return fault("header length ", length, " is over the limit of ",
                 kMaxHeaderBytes);
  }
  if (length > image.size() - kLengthBytes) {
    return fault("truncated: header length ", length, ", but only ",
                 image.size() - kLengthBytes, " bytes follow");
  }
  return length;
}

// What cannot be written because no reader would take it. Bytes are not looked
// at.
absl::Status CheckWritable(absl::Span<const StoredTensor> tensors,
                           const std::map<std::string, std::string>& metadata) {
  std::map<absl::string_view, const StoredTensor*> names;
  for (const StoredTensor& tensor : tensors) {
    const std::string quoted = Quoted(tensor.name);
    if (tensor.name == kMetadataKey || !IsValidUtf8(tensor.name)) {
      return absl::InvalidArgumentError(
          absl::StrCat(quoted, ": not usable as a tensor name"));
    }
    if (!names.emplace(tensor.name, &tensor).second) {
      return absl::InvalidArgumentError(
          absl::StrCat(quoted, ": two tensors have this name"));
    }
    if (tensor.shape.size() > kMaxRank ||
        std::any_of(tensor.shape.begin(), tensor.shape.end(),
                    [](int64_t extent) { return extent < 0; }) ||
        !ByteCount(tensor.shape, DTypeSize(tensor.dtype))) {
      return absl::InvalidArgumentError(
          absl::StrCat(quoted, ": bad shape ", ShapeToString(tensor.shape)));
    }
  }
  for (const auto& [key, value] : metadata) {
    if (!IsValidUtf8(key) || !IsValidUtf8(value)) {
      return absl::InvalidArgumentError(
          absl::StrCat("metadata ", Quoted(key), ": not UTF-8"));
    }
  }
  return absl::OkStatus();
}

// Everything before the tensor data.
absl::StatusOr<std::string> HeaderFor(
    absl::Span<const StoredTensor> tensors,
    const std::map<std::string, std::string>& metadata) {
  RETURN_IF_ERROR(CheckWritable(tensors, metadata));
  // ordered_json keeps the tensors in the order in which their bytes follow.
  nlohmann::ordered_json header = nlohmann::ordered_json::object();
  if (!metadata.empty()) header[kMetadataKey] = metadata;
  uint64_t offset = 0;
  for (const StoredTensor& tensor : tensors) {
    const uint64_t end =
        offset + *ByteCount(tensor.shape, DTypeSize(tensor.dtype));
    header[tensor.name] = {
        {"dtype", std::string(DTypeName(tensor.dtype))},
        {"shape", tensor.shape},
        {"data_offsets", {offset, end}},
    };
    offset = end;
  }
  std::string text = header.dump();
  // Spaces behind the object are legal and align the data section.
  while ((kLengthBytes + text.size()) % kDataAlignment != 0) text += ' ';
  if (text.size() > kMaxHeaderBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("header of ", text.size(), " bytes is over the limit of ",
                     kMaxHeaderBytes));
  }
  return StoreLittleEndian64(text.size()) + text;
}

}  // namespace

absl::StatusOr<std::map<std::string, StoredTensor>> ParseSafetensors(
    absl::string_view image, absl::string_view origin,
    std::map<std::string, std::string>* metadata) {
  ASSIGN_OR_RETURN(const uint64_t length, HeaderLength(image, origin));
  const absl::string_view text = image.substr(kLengthBytes, length);
  const absl::string_view data = image.substr(kLengthBytes + length);
  if (text[0] != '{') {
    return absl::InvalidArgumentError(
        absl::StrCat(origin, ": header does not begin with \"{\""));
  }
  JsonLimits limits;
  limits.max_bytes = kMaxHeaderBytes;
  limits.max_depth = kMaxHeaderDepth;
  ASSIGN_OR_RETURN(const json root,
                   ParseJson(text, absl::StrCat(origin, ": header"), limits));
  ASSIGN_OR_RETURN(const JsonReader header, JsonReader::Of(root, origin));

  std::map<std::string, StoredTensor> tensors;
  std::map<std::string, std::string> strings;
  std::vector<Extent> extents;
  for (const auto& [name, value] : root.items()) {
    if (name == kMetadataKey) {
      ASSIGN_OR_RETURN(strings, ParseMetadata(header));
      continue;
    }
    ASSIGN_OR_RETURN(const JsonReader entry,
                     JsonReader::Of(value, origin, Quoted(name)));
    Extent extent;
    ASSIGN_OR_RETURN(StoredTensor tensor,
                     ParseEntry(entry, name, data, &extent));
    const auto place = tensors.emplace(name, std::move(tensor)).first;
    extent.name = &place->first;
    extents.push_back(extent);
  }
  RETURN_IF_ERROR(CheckTiling(std::move(extents), data.size(), origin));
  if (metadata != nullptr) *metadata = std::move(strings);
  return tensors;
}

absl::StatusOr<std::unique_ptr<SafetensorsFile>> SafetensorsFile::Open(
    const std::string& path) {
  std::unique_ptr<SafetensorsFile> file(new SafetensorsFile);
  ASSIGN_OR_RETURN(file->file_, MappedFile::Open(path));
  ASSIGN_OR_RETURN(file->tensors_, ParseSafetensors(file->file_->bytes(), path,
                                                    &file->metadata_));
  return file;
}

absl::string_view SafetensorsFile::header() const {
  const absl::string_view image = file_->bytes();
  return image.substr(0, kLengthBytes + LoadLittleEndian64(image.data()));
}

void SafetensorsFile::Release(const StoredTensor& tensor) const {
  if (tensor.bytes.empty()) return;
  file_->Release(
      static_cast<size_t>(tensor.bytes.data() - file_->bytes().data()),
      tensor.bytes.size());
}

absl::Status WriteSafetensors(
    const std::string& path, const std::vector<TensorToWrite>& tensors,
    const std::map<std::string, std::string>& metadata) {
  std::vector<StoredTensor> views;
  for (const TensorToWrite& tensor : tensors) {
    views.push_back({tensor.name, tensor.dtype, tensor.shape, tensor.bytes});
  }
  return WriteStoredTensors(path, views, metadata);
}

absl::Status WriteStoredTensors(
    const std::string& path, absl::Span<const StoredTensor> tensors,
    const std::map<std::string, std::string>& metadata) {
  ASSIGN_OR_RETURN(const std::string header,
                   Annotate(HeaderFor(tensors, metadata), path));
  std::vector<absl::string_view> pieces = {header};
  for (const StoredTensor& tensor : tensors) {
    const uint64_t bytes = *ByteCount(tensor.shape, DTypeSize(tensor.dtype));
    if (bytes != tensor.bytes.size()) {
      return absl::InvalidArgumentError(absl::StrCat(
          path, ": ", Quoted(tensor.name), ": ", tensor.bytes.size(),
          " bytes do not fill ", DTypeName(tensor.dtype), " ",
          ShapeToString(tensor.shape)));
    }
    pieces.push_back(tensor.bytes);
  }
  return WritePiecesDurably(path, pieces);
}

absl::Status WriteTensorStreams(
    const std::string& path, absl::Span<const TensorStream> tensors,
    const std::map<std::string, std::string>& metadata) {
  std::vector<StoredTensor> entries;
  for (const TensorStream& tensor : tensors) {
    entries.push_back({tensor.name, tensor.dtype, tensor.shape, {}});
  }
  ASSIGN_OR_RETURN(std::string piece,
                   Annotate(HeaderFor(entries, metadata), path));
  bool header_written = false;
  size_t index = 0;
  uint64_t offset = 0;
  return WriteStreamDurably(
      path, [&]() -> absl::StatusOr<std::optional<absl::string_view>> {
        if (!header_written) {
          header_written = true;
          return absl::string_view(piece);
        }
        for (; index < tensors.size(); ++index, offset = 0) {
          const TensorStream& tensor = tensors[index];
          const uint64_t bytes =
              *ByteCount(tensor.shape, DTypeSize(tensor.dtype));
          if (offset == bytes) continue;
          ASSIGN_OR_RETURN(
              piece, Annotate(tensor.next(offset), "tensor ", tensor.name));
          if (piece.empty() || piece.size() > bytes - offset) {
            return absl::InternalError(absl::StrCat(
                path, ": ", piece.size(), " bytes at ", offset, " of tensor ",
                tensor.name, ", which has ", bytes));
          }
          offset += piece.size();
          return absl::string_view(piece);
        }
        return std::nullopt;
      });
}

}  // namespace quantd
