#include "tests/models/fixture_logits.h"

#include <cmath>
#include <cstring>
#include <limits>
#include <memory>
#include <vector>

#include "base/status_macros.h"
#include "models/checkpoint.h"
#include "models/model.h"
#include "models/safetensors.h"

namespace quantd::test {
namespace {

absl::StatusOr<const StoredTensor*> Find(const SafetensorsFile& file,
                                         const std::string& name, DType dtype,
                                         size_t rank) {
  const auto it = file.tensors().find(name);
  if (it == file.tensors().end()) {
    return absl::NotFoundError(file.path() + ": no tensor " + name);
  }
  if (it->second.dtype != dtype || it->second.shape.size() != rank) {
    return absl::InvalidArgumentError(file.path() + ": " + name +
                                      " has another type or rank");
  }
  return &it->second;
}

}  // namespace

absl::StatusOr<double> LargestLogitDifference(const std::string& directory,
                                              Device& device) {
  ASSIGN_OR_RETURN(auto checkpoint, Checkpoint::Open(directory));
  ASSIGN_OR_RETURN(const auto model, Model::Open(checkpoint));
  ASSIGN_OR_RETURN(const auto reference,
                   SafetensorsFile::Open(directory + "/reference.safetensors"));
  ASSIGN_OR_RETURN(const StoredTensor* ids,
                   Find(*reference, "input_ids", DType::kI64, 2));
  ASSIGN_OR_RETURN(const StoredTensor* logits,
                   Find(*reference, "logits", DType::kF32, 3));
  std::vector<int32_t> tokens;
  for (size_t i = 0; i < ids->bytes.size(); i += 8) {
    int64_t id;
    std::memcpy(&id, ids->bytes.data() + i, 8);
    tokens.push_back(static_cast<int32_t>(id));
  }
  std::vector<float> expected(logits->bytes.size() / 4);
  std::memcpy(expected.data(), logits->bytes.data(), logits->bytes.size());

  ExecutionContext ctx(&device);
  const auto batch = SequenceBatch::Uniform(ids->shape[0], ids->shape[1]);
  ASSIGN_OR_RETURN(Tensor hidden, model->Embed(tokens, batch, ctx));
  for (int k = 0; k < model->block_count(); ++k) {
    ASSIGN_OR_RETURN(const auto block, model->LoadBlock(k, ctx));
    ASSIGN_OR_RETURN(hidden, block->Forward(hidden, batch, ctx));
  }
  ASSIGN_OR_RETURN(const Tensor got, model->Logits(hidden, ctx));
  if (static_cast<size_t>(got.size()) != expected.size()) {
    return absl::InvalidArgumentError(directory +
                                      ": the reference has another size");
  }
  double largest = 0;
  for (size_t i = 0; i < expected.size(); ++i) {
    const double difference = std::abs(double{got.values()[i]} - expected[i]);
    if (std::isnan(difference)) return std::numeric_limits<double>::infinity();
    largest = std::max(largest, difference);
  }
  return largest;
}

}  // namespace quantd::test
