// Vectors of weights along output channels from codebooks that weighted
// k-means finds, kept as layout "vector-codebook.v1".
//
// VPTQ (Liu et al., arXiv:2409.17066). A vector lies inside one input channel,
// so that all its weights share H_jj and the nearest centroid is that of the
// plain distance (section 3.2, channel-independent). Before the sweep, k-means
// weighs every vector by H_jj; after it, the codebooks can be improved and the
// sweep run again (Refine()):
//
//   residual codebook   k-means on what the sweep left, w - C[i], once
//   refit               the entries that minimise tr(D H D^T) for the codes as
//                       they are: with A_r the one-hot codes of the vectors at
//                       offset t, (sum_r A_r^T H A_r) c_t = sum_r A_r^T H w_r
//
// The refit is the closed form of the paper's layer-wise fine-tuning of
// centroids (section 3.4), which minimises the same error by gradient descent.
// Every further call refits once more.
#ifndef QUANTD_QUANTIZERS_GRIDS_VECTOR_CODEBOOK_H_
#define QUANTD_QUANTIZERS_GRIDS_VECTOR_CODEBOOK_H_

#include <algorithm>
#include <cstdint>
#include <memory>
#include <vector>

#include "models/layouts/vector_codebook.h"
#include "quantd/v1/grids.pb.h"
#include "quantizers/grid.h"
#include "quantizers/layer_grid.h"
#include "quantizers/vector_kmeans.h"

namespace quantd {

struct VectorCodebookOptions {
  // One kind of input channels: how they are cut and coded.
  struct Coding {
    int64_t vector_length = 4;
    int index_bits = 8;
    int residual_index_bits = 0;  // 0: none
  };
  enum class Weighting { kNone, kSecondMoment, kConditional };

  Coding coding;
  int64_t column_groups = 1;
  double outlier_percent = 0;
  Coding outlier_coding;
  int centroid_bits = 16;
  bool row_scales = false;
  Weighting weighting = Weighting::kSecondMoment;
  int refits = 0;
  int64_t rank = 0;  // of the codebooks; 0: as it comes
  // k is set from index_bits.
  VectorKMeansOptions kmeans;
};

// Steps of conjugate gradients in a refit. The error falls fast at first, and
// the rest would fit the calibration text rather than the layer.
inline constexpr int kVectorCodebookRefitSteps = 24;

// Calls body(d, begin, end) for every block d of `vector_length` output
// channels, [begin, end); the last may be shorter.
template <typename Body>
void ForVectorBlocks(int64_t rows, int64_t vector_length, const Body& body) {
  for (int64_t d = 0; d * vector_length < rows; ++d) {
    body(d, d * vector_length, std::min((d + 1) * vector_length, rows));
  }
}

// One layer; exposed for checks against exact results.
class VectorCodebookLayerGrid final : public LayerGrid<float> {
 public:
  VectorCodebookLayerGrid(int64_t rows, int64_t cols,
                          const VectorCodebookOptions& options);

  // Codebooks are fitted by Prepare() unless they are given: entries
  // [2^index_bits, vector_length] of the first codebook of every group.
  // REQUIRES: before Prepare(); storable values.
  void GiveCodebook(std::vector<float> entries) { given_ = std::move(entries); }

  absl::Status Prepare(const LayerView<float>& layer,
                       ExecutionContext& ctx) override;
  int64_t group_size() const override { return cols_; }
  int64_t row_alignment() const override { return row_alignment_; }
  void FitGroup(const GroupValues<float>&) override {}
  void Quantize(const Patch<float>& patch) override;
  absl::StatusOr<bool> Refine(const LayerView<float>& layer,
                              ExecutionContext& ctx) override;
  void UpdateValues(float* values) const override;
  absl::StatusOr<std::shared_ptr<const CompressedLinear>> Finish(
      std::vector<int32_t> group_index) override;

 private:
  struct Codebook {
    int index_bits = 0;
    float scale = 1.0f;             // of 8-bit entries
    std::vector<float> entries;     // [k, vector_length]
    std::vector<float> transposed;  // [vector_length, k]
    std::vector<uint16_t> codes;    // [blocks down, columns]
    int64_t k() const { return int64_t{1} << index_bits; }
  };
  // Input channels with common codebooks.
  struct Group {
    int64_t vector_length = 1;
    std::vector<int64_t> columns;  // ascending
    std::vector<Codebook> codebooks;
    // [blocks down, columns, vector_length]: values at quantization less the
    // first codebook's entry; kept until the residual codebook is refined.
    std::vector<float> residual;
  };

  void AssignColumns(const LayerView<float>& layer);
  void ScaleRows(const LayerView<float>& layer);
  // The group's vectors and their weights, from the original weight.
  std::vector<float> Vectors(const Group& group,
                             const LayerView<float>& layer) const;
  std::vector<float> VectorWeights(const Group& group,
                                   const LayerView<float>& layer) const;
  absl::Status FitCodebook(const std::vector<float>& vectors,
                           const std::vector<float>& weights,
                           int64_t vector_length, Codebook* codebook,
                           std::vector<int32_t>* assignment,
                           ExecutionContext& ctx);
  // Rounds the entries to what is stored.
  void Store(Codebook* codebook, int64_t vector_length) const;
  void QuantizeColumn(const Patch<float>& patch, int64_t local_column,
                      Group& group, int64_t position);
  absl::Status Refit(const LayerView<float>& layer, ExecutionContext& ctx);
  // Whether weight `index` of the matrix is kept elsewhere, without error.
  bool Excluded(int64_t index) const {
    return !importance_.empty() && importance_[static_cast<size_t>(index)] == 0;
  }
  double ColumnWeight(int64_t column, const LayerView<float>& layer) const;

  const int64_t rows_;
  const int64_t cols_;
  const VectorCodebookOptions options_;
  int64_t row_alignment_ = 1;
  std::vector<float> given_;
  std::vector<Group> groups_;
  std::vector<uint8_t> group_of_;     // [cols]
  std::vector<int32_t> position_of_;  // [cols], in the group's columns
  std::vector<float> row_scales_;     // [rows], ones unless options say
  std::vector<float> importance_;     // [rows, cols] or empty
  bool residual_refined_ = false;
  int refits_done_ = 0;
  // Searches on the threads of the loop that quantizes.
  const Device* device_ = nullptr;
};

std::unique_ptr<Grid> NewVectorCodebookGrid(
    const v1::VectorCodebookGrid& options);

}  // namespace quantd

#endif  // QUANTD_QUANTIZERS_GRIDS_VECTOR_CODEBOOK_H_
