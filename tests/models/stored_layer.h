// A layer as it is stored: what Save() wrote, for loading it again, whole or
// damaged.
#ifndef QUANTD_TESTS_MODELS_STORED_LAYER_H_
#define QUANTD_TESTS_MODELS_STORED_LAYER_H_

#include <cstdlib>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "models/compressed_linear.h"
#include "nlohmann/json.hpp"

namespace quantd::test {

class StoredLayer {
 public:
  explicit StoredLayer(const CompressedLinear& linear)
      : rows_(linear.rows()), cols_(linear.cols()) {
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
        "l", header, rows_, cols_);
  }

  // The tensor "l.<part>". REQUIRES: there is one.
  TensorToWrite& part(absl::string_view part) {
    for (TensorToWrite& t : tensors) {
      if (t.name == "l." + std::string(part)) return t;
    }
    std::abort();
  }

  uint64_t size_bits() const {
    uint64_t bytes = 0;
    for (const TensorToWrite& t : tensors) bytes += t.bytes.size();
    return 8 * bytes;
  }

  nlohmann::json header;
  std::vector<TensorToWrite> tensors;

 private:
  int64_t rows_;
  int64_t cols_;
};

}  // namespace quantd::test

#endif  // QUANTD_TESTS_MODELS_STORED_LAYER_H_
