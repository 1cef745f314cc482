// A layer's tensors as a file would hold them: saved by a layout, damaged by a
// test, loaded again. The layer's name is "l".
#ifndef QUANTD_TESTS_MODELS_SAVED_LAYER_H_
#define QUANTD_TESTS_MODELS_SAVED_LAYER_H_

#include <cstdint>
#include <cstdlib>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "models/compressed_linear.h"
#include "nlohmann/json.hpp"

namespace quantd::test {

// The layer that `header` and `tensors` stand for.
inline absl::StatusOr<std::shared_ptr<const CompressedLinear>> LoadLayer(
    const std::vector<TensorToWrite>& tensors, const nlohmann::json& header,
    int64_t rows, int64_t cols) {
  std::map<std::string, StoredTensor> stored;
  for (const TensorToWrite& t : tensors) {
    stored[t.name] = {t.name, t.dtype, t.shape, t.bytes};
  }
  return LoadCompressedLinear(
      [&](absl::string_view name) -> absl::StatusOr<const StoredTensor*> {
        const auto it = stored.find(std::string(name));
        if (it == stored.end()) return absl::NotFoundError(name);
        return &it->second;
      },
      "l", header, rows, cols);
}

struct SavedLayer {
  explicit SavedLayer(const CompressedLinear& linear)
      : rows(linear.rows()), cols(linear.cols()) {
    header = linear.Save("l", &tensors);
  }

  absl::StatusOr<std::shared_ptr<const CompressedLinear>> Load() const {
    return LoadLayer(tensors, header, rows, cols);
  }

  // The tensor "l.<name>". REQUIRES: there is one.
  TensorToWrite& part(absl::string_view name) {
    for (TensorToWrite& t : tensors) {
      if (t.name == absl::StrCat("l.", name)) return t;
    }
    std::abort();
  }

  uint64_t size_bits() const {
    uint64_t bytes = 0;
    for (const TensorToWrite& t : tensors) bytes += t.bytes.size();
    return 8 * bytes;
  }

  int64_t rows;
  int64_t cols;
  nlohmann::json header;
  std::vector<TensorToWrite> tensors;
};

}  // namespace quantd::test

#endif  // QUANTD_TESTS_MODELS_SAVED_LAYER_H_
