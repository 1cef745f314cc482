// The activations that enter the current block, for all windows of a run: in
// memory up to a budget, in a file beyond it. A network is run block by block
// by reading, batch by batch, what the last block wrote.
//
//   ASSIGN_OR_RETURN(auto store, ActivationStore::Create(rows, hidden,
//   options)); for (batch) RETURN_IF_ERROR(store.Write(begin, embedded)); for
//   (block) for (batch) {
//     ASSIGN_OR_RETURN(const Tensor x, store.Read(begin, count));
//     ASSIGN_OR_RETURN(const Tensor y, block->Forward(x, batch, ctx));
//     RETURN_IF_ERROR(store.Write(begin, y));
//   }
//
// Rows come back bit for bit as they were written, wherever they lie. The file
// has no name: its space is free again when the process ends, however it ends.
//
// Thread-compatible.
#ifndef QUANTD_MODELS_ACTIVATION_STORE_H_
#define QUANTD_MODELS_ACTIVATION_STORE_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "tensor/tensor.h"

namespace quantd {

struct ActivationOptions {
  // Bytes of rows that stay in memory: the first ones, as many as fit.
  uint64_t memory_bytes = UINT64_MAX;
  // Where the file for the others is made. REQUIRES: exists, unless all rows
  // fit.
  std::string directory;
};

// Of `rows` rows of `cols` floats, the bytes that lie in the file.
uint64_t SpilledBytes(int64_t rows, int64_t cols, uint64_t memory_bytes);

class ActivationStore {
 public:
  // The space of the file is taken at once, so that a full disk is found
  // before hours of work: ResourceExhausted with the bytes asked for.
  static absl::StatusOr<ActivationStore> Create(
      int64_t rows, int64_t cols, const ActivationOptions& options);
  ~ActivationStore();
  ActivationStore(ActivationStore&& other) noexcept;
  ActivationStore& operator=(ActivationStore&& other) noexcept;

  int64_t rows() const { return rows_; }
  int64_t cols() const { return resident_.cols(); }
  uint64_t spilled_bytes() const { return spilled_bytes_; }

  // Rows [begin, begin + count). The tensor shares memory with the store where
  // it can: a later Write() of these rows may change it. ResourceExhausted,
  // Unavailable or DataLoss when the file cannot be read whole.
  absl::StatusOr<Tensor> Read(int64_t begin, int64_t count) const;

  // Replaces rows [begin, begin + rows.rows()). ResourceExhausted when the
  // disk is full (file systems that take no space in advance).
  absl::Status Write(int64_t begin, const Tensor& rows);

 private:
  ActivationStore(int64_t rows, Tensor resident, uint64_t spilled_bytes);

  // Byte of the file at which a row that is not resident begins.
  int64_t FileOffset(int64_t row) const;

  int64_t rows_;
  Tensor resident_;  // rows 0 .. resident_.rows() - 1
  uint64_t spilled_bytes_;
  int fd_ = -1;
  std::string path_;  // of the file's directory, for messages
};

}  // namespace quantd

#endif  // QUANTD_MODELS_ACTIVATION_STORE_H_
