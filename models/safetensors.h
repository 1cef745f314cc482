// The safetensors file format: 8 bytes little-endian header length N, N bytes
// of JSON (tensor name -> dtype, shape, data_offsets; optional __metadata__ of
// strings), then the tensor bytes, tightly packed.
//
// Reading maps the file; every offset, shape and length is checked before
// anything points at it. Names and tensors of a broken file never escape:
// Open() fails as a whole with InvalidArgument that names the file, the tensor
// and the fault.
//
// Thread-safe after Open().
#ifndef QUANTD_MODELS_SAFETENSORS_H_
#define QUANTD_MODELS_SAFETENSORS_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "base/file.h"
#include "tensor/dtype.h"
#include "tensor/tensor.h"

namespace quantd {

// A tensor as it lies in the file.
struct StoredTensor {
  std::string name;
  DType dtype = DType::kF32;
  Shape shape;
  // Valid as long as the file is. Not aligned.
  absl::string_view bytes;
};

// Checks a whole file image. `origin` names it in errors. The result points
// into `image`. `metadata`, if not null, receives __metadata__.
absl::StatusOr<std::map<std::string, StoredTensor>> ParseSafetensors(
    absl::string_view image, absl::string_view origin,
    std::map<std::string, std::string>* metadata = nullptr);

class SafetensorsFile {
 public:
  static absl::StatusOr<std::unique_ptr<SafetensorsFile>> Open(
      const std::string& path);

  const std::map<std::string, StoredTensor>& tensors() const {
    return tensors_;
  }
  const std::map<std::string, std::string>& metadata() const {
    return metadata_;
  }
  // The 8 + N bytes before the tensor data.
  absl::string_view header() const;
  uint64_t size_bytes() const { return file_->bytes().size(); }
  const std::string& path() const { return file_->path(); }

  // Lets the pages of `tensor` go; they are read again on the next access.
  void Release(const StoredTensor& tensor) const;

 private:
  SafetensorsFile() = default;
  std::unique_ptr<MappedFile> file_;
  std::map<std::string, StoredTensor> tensors_;
  std::map<std::string, std::string> metadata_;
};

// A tensor to be written: the bytes are little-endian elements.
struct TensorToWrite {
  std::string name;
  DType dtype = DType::kF32;
  Shape shape;
  std::string bytes;
};

// Writes the tensors in the given order, streaming, with data 8-byte aligned;
// the file appears whole or not at all (temporary name, fsync, rename). The
// bytes depend only on the arguments. ResourceExhausted: disk full.
absl::Status WriteSafetensors(
    const std::string& path, const std::vector<TensorToWrite>& tensors,
    const std::map<std::string, std::string>& metadata);

// The same for tensors whose bytes lie elsewhere, such as in a mapped file:
// they are not copied.
absl::Status WriteStoredTensors(
    const std::string& path, absl::Span<const StoredTensor> tensors,
    const std::map<std::string, std::string>& metadata);

// A tensor whose bytes are made while they are written.
struct TensorStream {
  std::string name;
  DType dtype = DType::kF32;
  Shape shape;
  // The bytes from `offset` on, at least one, not beyond the tensor's end.
  // Called with consecutive offsets until the tensor is full.
  std::function<absl::StatusOr<std::string>(uint64_t offset)> next;
};

// The same, holding one piece at a time. An error of a stream is returned with
// the tensor's name.
absl::Status WriteTensorStreams(
    const std::string& path, absl::Span<const TensorStream> tensors,
    const std::map<std::string, std::string>& metadata);

}  // namespace quantd

#endif  // QUANTD_MODELS_SAFETENSORS_H_
