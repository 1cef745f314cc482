#include "models/layouts/vector_codebook.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "kernels/float_formats.h"
#include "models/layouts/grouped_codes.h"
#include "models/layouts/packed_codebook.h"
#include "models/layouts/stored_parts.h"
#include "models/layouts/tunable_vector_codebook.h"
#include "models/layouts/vector_blocks.h"
#include "models/tunable_linear.h"
#include "nlohmann/json.hpp"

namespace quantd {
namespace {

constexpr int64_t kMaxGroups = 256;
constexpr int64_t kMaxCodebooks = 8;
constexpr int64_t kMaxVectorSide = 64;

// The stored form of a group.
struct PackedGroup {
  std::vector<int64_t> columns;  // ascending
  VectorBlocks blocks;
  std::vector<PackedCodebook> codebooks;
};

PackedGroup NewGroup(int64_t rows, std::vector<int64_t> columns,
                     int64_t vector_rows, int64_t vector_cols) {
  const VectorBlocks blocks(rows, static_cast<int64_t>(columns.size()),
                            vector_rows, vector_cols);
  return {std::move(columns), blocks, {}};
}

// "<g>.<s>", the end of the names of a codebook's tensors.
std::string PlaceOf(size_t group, size_t codebook) {
  return absl::StrCat(group, ".", codebook);
}

class VectorCodebookLinear final : public CompressedLinear {
 public:
  VectorCodebookLinear(int64_t rows, int64_t cols,
                       std::vector<PackedGroup> groups,
                       std::vector<float> row_scales)
      : rows_(rows),
        cols_(cols),
        groups_(std::move(groups)),
        row_scales_(std::move(row_scales)) {}

  absl::string_view layout() const override { return kVectorCodebookLayout; }
  int64_t rows() const override { return rows_; }
  int64_t cols() const override { return cols_; }

  uint64_t stored_bits() const override {
    std::vector<CodebookGroupShape> shapes;
    for (const PackedGroup& group : groups_) {
      CodebookGroupShape shape;
      shape.columns = static_cast<int64_t>(group.columns.size());
      shape.vector_rows = group.blocks.vector_rows();
      shape.vector_cols = group.blocks.vector_cols();
      for (const PackedCodebook& book : group.codebooks) {
        shape.index_bits.push_back(book.index_bits);
        shape.centroid_bits.push_back(book.centroid_bits);
      }
      shapes.push_back(std::move(shape));
    }
    return 8 * VectorCodebookBytes(rows_, cols_, shapes, !row_scales_.empty());
  }

  Tensor Decode(ExecutionContext& ctx) const override {
    Tensor out = Tensor::Uninitialized({rows_, cols_});
    for (const PackedGroup& group : groups_) {
      ctx.device().pool().ParallelFor(group.blocks.down(), [&](int64_t down) {
        DecodeBlocks(group, down, &out);
      });
    }
    return out;
  }

  VectorCodebookWeights Unpack() const {
    VectorCodebookWeights w;
    w.rows = rows_;
    w.cols = cols_;
    w.column_groups = ColumnGroups();
    w.row_scales = row_scales_;
    for (const PackedGroup& from : groups_) {
      CodebookGroup group;
      group.vector_rows = from.blocks.vector_rows();
      group.vector_cols = from.blocks.vector_cols();
      for (const PackedCodebook& packed : from.codebooks) {
        group.codebooks.push_back(UnpackCodebook(packed, from.blocks));
      }
      w.groups.push_back(std::move(group));
    }
    return w;
  }

  std::unique_ptr<TunableLinear> Tunable() const override {
    std::vector<std::vector<int64_t>> columns;
    for (const PackedGroup& group : groups_) columns.push_back(group.columns);
    return NewTunableVectorCodebook(Unpack(), std::move(columns));
  }

  nlohmann::json Save(absl::string_view layer,
                      std::vector<TensorToWrite>* tensors) const override {
    nlohmann::json groups = nlohmann::json::array();
    for (size_t g = 0; g < groups_.size(); ++g) {
      const PackedGroup& group = groups_[g];
      nlohmann::json index_bits = nlohmann::json::array();
      nlohmann::json centroid_bits = nlohmann::json::array();
      for (size_t s = 0; s < group.codebooks.size(); ++s) {
        const PackedCodebook& book = group.codebooks[s];
        index_bits.push_back(book.index_bits);
        centroid_bits.push_back(book.centroid_bits);
        SaveCodebook(book, group.blocks, layer, PlaceOf(g, s), tensors);
      }
      groups.push_back({{"columns", group.columns.size()},
                        {"vector_rows", group.blocks.vector_rows()},
                        {"vector_cols", group.blocks.vector_cols()},
                        {"index_bits", std::move(index_bits)},
                        {"centroid_bits", std::move(centroid_bits)}});
    }
    if (groups_.size() > 1) {
      tensors->push_back(
          BytesTensor(layer, "column_groups",
                      PackStream(ColumnGroups(), GroupBits(groups_.size()))));
    }
    if (!row_scales_.empty()) {
      tensors->push_back(
          F16Tensor(absl::StrCat(layer, ".row_scales"), {rows_}, row_scales_));
    }
    return {{"layout", std::string(kVectorCodebookLayout)},
            {"row_scales", !row_scales_.empty()},
            {"groups", std::move(groups)}};
  }

 private:
  // The group of every channel; empty where there is one.
  std::vector<uint8_t> ColumnGroups() const {
    std::vector<uint8_t> column_groups;
    if (groups_.size() == 1) return column_groups;
    column_groups.resize(static_cast<size_t>(cols_));
    for (size_t g = 0; g < groups_.size(); ++g) {
      for (int64_t c : groups_[g].columns) {
        column_groups[static_cast<size_t>(c)] = static_cast<uint8_t>(g);
      }
    }
    return column_groups;
  }

  // Row `down` of the group's blocks.
  void DecodeBlocks(const PackedGroup& group, int64_t down, Tensor* out) const {
    const VectorBlocks& blocks = group.blocks;
    std::vector<float> sum(static_cast<size_t>(blocks.dimension()));
    for (int64_t across = 0; across < blocks.across(); ++across) {
      std::fill(sum.begin(), sum.end(), 0.0f);
      for (const PackedCodebook& book : group.codebooks) {
        const uint8_t* row =
            book.codes.data() +
            down * PackedRowBytes(blocks.across(), book.index_bits);
        const float* entry =
            book.entries.data() +
            GetCode(row, across, book.index_bits) * blocks.dimension();
        for (size_t t = 0; t < sum.size(); ++t) sum[t] += entry[t];
      }
      blocks.ForEachWeight(
          down * blocks.across() + across,
          [&](int64_t r, int64_t c, int64_t t) {
            const float scale = row_scales_.empty()
                                    ? 1.0f
                                    : row_scales_[static_cast<size_t>(r)];
            out->row(r)[group.columns[static_cast<size_t>(c)]] =
                scale * sum[static_cast<size_t>(t)];
          });
    }
  }

  const int64_t rows_;
  const int64_t cols_;
  const std::vector<PackedGroup> groups_;
  const std::vector<float> row_scales_;  // [rows] or empty
};

// --- The checks that memory and disk share ---------------------------------

absl::Status CheckGroupShape(int64_t vector_rows, int64_t vector_cols,
                             size_t codebooks) {
  RETURN_IF_ERROR(CheckRange("vector_rows", vector_rows, 1, kMaxVectorSide));
  RETURN_IF_ERROR(CheckRange("vector_cols", vector_cols, 1, kMaxVectorSide));
  return CheckRange("number of codebooks", static_cast<int64_t>(codebooks), 1,
                    kMaxCodebooks);
}

// The channels of each group, from the group of each channel.
absl::StatusOr<std::vector<std::vector<int64_t>>> ColumnsOfGroups(
    const std::vector<uint8_t>& column_groups, int64_t cols, size_t groups) {
  RETURN_IF_ERROR(CheckRange("number of groups", static_cast<int64_t>(groups),
                             1, kMaxGroups));
  const size_t entries = groups == 1 ? 0 : static_cast<size_t>(cols);
  if (column_groups.size() != entries) {
    return absl::InvalidArgumentError(
        absl::StrCat("column_groups has ", column_groups.size(),
                     " entries, expected ", entries));
  }
  std::vector<std::vector<int64_t>> columns(groups);
  for (int64_t c = 0; c < cols; ++c) {
    const size_t g =
        groups == 1 ? 0 : size_t{column_groups[static_cast<size_t>(c)]};
    if (g >= groups) {
      return absl::InvalidArgumentError(
          absl::StrCat("column_groups: ", g, " is not in 0..", groups - 1));
    }
    columns[g].push_back(c);
  }
  for (size_t g = 0; g < groups; ++g) {
    if (columns[g].empty()) {
      return absl::InvalidArgumentError(
          absl::StrCat("group ", g, " has no input channels"));
    }
  }
  return columns;
}

// A list of integers, as long as the header says codebooks are.
absl::StatusOr<std::vector<int>> HeaderInts(const nlohmann::json& header,
                                            const char* key) {
  const auto it = header.find(key);
  if (it == header.end() || !it->is_array()) {
    return absl::InvalidArgumentError(
        absl::StrCat("header: ", key, " is not a list"));
  }
  std::vector<int> values;
  for (const nlohmann::json& item : *it) {
    if (!item.is_number_integer() || item.get<int64_t>() < 0 ||
        item.get<int64_t>() > 64) {
      return absl::InvalidArgumentError(
          absl::StrCat("header: ", key, " holds something else than bits"));
    }
    values.push_back(item.get<int>());
  }
  return values;
}

}  // namespace

absl::StatusOr<std::shared_ptr<const CompressedLinear>> NewVectorCodebook(
    VectorCodebookWeights weights) {
  ASSIGN_OR_RETURN(std::vector<std::vector<int64_t>> columns,
                   ColumnsOfGroups(weights.column_groups, weights.cols,
                                   weights.groups.size()));
  if (!weights.row_scales.empty()) {
    RETURN_IF_ERROR(
        CheckCount("row scales", weights.row_scales.size(), weights.rows));
  }
  RETURN_IF_ERROR(CheckF16(weights.row_scales, "row scale"));
  std::vector<PackedGroup> groups;
  for (size_t g = 0; g < weights.groups.size(); ++g) {
    CodebookGroup& from = weights.groups[g];
    RETURN_IF_ERROR(Annotate(CheckGroupShape(from.vector_rows, from.vector_cols,
                                             from.codebooks.size()),
                             "group ", g));
    PackedGroup group = NewGroup(weights.rows, std::move(columns[g]),
                                 from.vector_rows, from.vector_cols);
    for (size_t s = 0; s < from.codebooks.size(); ++s) {
      ASSIGN_OR_RETURN(
          PackedCodebook packed,
          Annotate(PackCodebook(std::move(from.codebooks[s]), group.blocks),
                   "group ", g, ": codebook ", s));
      group.codebooks.push_back(std::move(packed));
    }
    groups.push_back(std::move(group));
  }
  return std::shared_ptr<const CompressedLinear>(
      std::make_shared<VectorCodebookLinear>(weights.rows, weights.cols,
                                             std::move(groups),
                                             std::move(weights.row_scales)));
}

std::optional<VectorCodebookWeights> UnpackVectorCodebook(
    const CompressedLinear& layer) {
  if (layer.layout() != kVectorCodebookLayout) return std::nullopt;
  return static_cast<const VectorCodebookLinear&>(layer).Unpack();
}

uint64_t VectorCodebookBytes(int64_t rows, int64_t cols,
                             absl::Span<const CodebookGroupShape> groups,
                             bool row_scales) {
  int64_t bytes = row_scales ? 2 * rows : 0;
  if (groups.size() > 1) {
    bytes += PackedRowBytes(cols, GroupBits(groups.size()));
  }
  for (const CodebookGroupShape& group : groups) {
    const VectorBlocks blocks(rows, group.columns, group.vector_rows,
                              group.vector_cols);
    for (size_t s = 0; s < group.index_bits.size(); ++s) {
      bytes +=
          blocks.down() * PackedRowBytes(blocks.across(), group.index_bits[s]);
      const int64_t entries = blocks.dimension() << group.index_bits[s];
      bytes += group.centroid_bits[s] == 8 ? entries + 2 : 2 * entries;
    }
  }
  return static_cast<uint64_t>(bytes);
}

float RoundToScaledInt8(absl::Span<float> entries) {
  float largest = 0;
  for (float entry : entries) largest = std::max(largest, std::abs(entry));
  // The smallest F16 that does not clip; zero would divide.
  uint16_t bits = F32ToF16(largest / 127);
  if (F16ToF32(bits) * 127 < largest || bits == 0) ++bits;
  const float scale = F16ToF32(bits);
  for (float& entry : entries) {
    entry = std::clamp(std::nearbyint(entry / scale), -127.0f, 127.0f) * scale;
  }
  return scale;
}

absl::StatusOr<std::shared_ptr<const CompressedLinear>> LoadVectorCodebook(
    TensorFinder find, absl::string_view layer, const nlohmann::json& header,
    int64_t rows, int64_t cols) {
  const auto list = header.find("groups");
  if (list == header.end() || !list->is_array()) {
    return absl::InvalidArgumentError("header: groups is not a list");
  }
  const size_t count = list->size();
  RETURN_IF_ERROR(
      Annotate(CheckRange("number of groups", static_cast<int64_t>(count), 1,
                          kMaxGroups),
               "header"));
  std::vector<uint8_t> column_groups;
  if (count > 1) {
    const int bits = GroupBits(count);
    ASSIGN_OR_RETURN(const absl::string_view stream,
                     PartBytes(find, layer, "column_groups", DType::kU8,
                               {PackedRowBytes(cols, bits)}));
    column_groups = UnpackStream(stream, cols, bits);
  }
  ASSIGN_OR_RETURN(std::vector<std::vector<int64_t>> columns,
                   ColumnsOfGroups(column_groups, cols, count));
  std::vector<PackedGroup> groups;
  for (size_t g = 0; g < count; ++g) {
    const nlohmann::json& item = (*list)[g];
    if (!item.is_object()) {
      return absl::InvalidArgumentError(
          absl::StrCat("header: group ", g, " is not an object"));
    }
    ASSIGN_OR_RETURN(const int64_t size, HeaderInt(item, "columns"));
    if (size != static_cast<int64_t>(columns[g].size())) {
      return absl::InvalidArgumentError(
          absl::StrCat("header: group ", g, " has ", size,
                       " columns, column_groups gives it ", columns[g].size()));
    }
    ASSIGN_OR_RETURN(const int64_t vector_rows, HeaderInt(item, "vector_rows"));
    ASSIGN_OR_RETURN(const int64_t vector_cols, HeaderInt(item, "vector_cols"));
    ASSIGN_OR_RETURN(const std::vector<int> index_bits,
                     HeaderInts(item, "index_bits"));
    ASSIGN_OR_RETURN(const std::vector<int> centroid_bits,
                     HeaderInts(item, "centroid_bits"));
    RETURN_IF_ERROR(
        Annotate(CheckGroupShape(vector_rows, vector_cols, index_bits.size()),
                 "header: group ", g));
    if (centroid_bits.size() != index_bits.size()) {
      return absl::InvalidArgumentError(absl::StrCat(
          "header: group ", g, " has ", index_bits.size(), " index_bits and ",
          centroid_bits.size(), " centroid_bits"));
    }
    PackedGroup group =
        NewGroup(rows, std::move(columns[g]), vector_rows, vector_cols);
    for (size_t s = 0; s < index_bits.size(); ++s) {
      ASSIGN_OR_RETURN(PackedCodebook book,
                       LoadCodebook(find, layer, PlaceOf(g, s), index_bits[s],
                                    centroid_bits[s], group.blocks));
      group.codebooks.push_back(std::move(book));
    }
    groups.push_back(std::move(group));
  }
  std::vector<float> row_scales;
  ASSIGN_OR_RETURN(const bool scaled, HeaderBool(header, "row_scales"));
  if (scaled) {
    ASSIGN_OR_RETURN(row_scales, F16Part(find, layer, "row_scales", {rows}));
  }
  return std::shared_ptr<const CompressedLinear>(
      std::make_shared<VectorCodebookLinear>(rows, cols, std::move(groups),
                                             std::move(row_scales)));
}

}  // namespace quantd
