// A layer's tensors as a file would hold them: saved by a layout, damaged by a
// test, loaded again.
#ifndef QUANTD_TESTS_MODELS_SAVED_LAYER_H_
#define QUANTD_TESTS_MODELS_SAVED_LAYER_H_

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "models/compressed_linear.h"
#include "nlohmann/json.hpp"

namespace quantd::test {

// The layer's name is "l".
struct SavedLayer {
  explicit SavedLayer(const CompressedLinear& linear)
      : rows(linear.rows()), cols(linear.cols()) {
    header = linear.Save("l", &tensors);
  }

  absl::StatusOr<std::shared_ptr<const CompressedLinear>> Load() const {
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

  TensorToWrite& part(const std::string& name) {
    for (TensorToWrite& t : tensors) {
      if (t.name == "l." + name) return t;
    }
    std::abort();
  }

  uint64_t bytes() const {
    uint64_t total = 0;
    for (const TensorToWrite& t : tensors) total += t.bytes.size();
    return total;
  }

  int64_t rows;
  int64_t cols;
  nlohmann::json header;
  std::vector<TensorToWrite> tensors;
};

}  // namespace quantd::test

#endif  // QUANTD_TESTS_MODELS_SAVED_LAYER_H_
