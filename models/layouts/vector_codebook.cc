#include "models/layouts/vector_codebook.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "kernels/float_formats.h"
#include "models/layouts/grouped_codes.h"
#include "models/layouts/stored_parts.h"
#include "models/tunable_linear.h"
#include "nlohmann/json.hpp"

namespace quantd {
namespace {

constexpr int64_t kMaxGroups = 256;
constexpr int64_t kMaxCodebooks = 8;
constexpr int64_t kMaxVectorSide = 64;
constexpr int kMaxIndexBits = 16;

int64_t CeilDiv(int64_t a, int64_t b) { return (a + b - 1) / b; }
int64_t StreamBytes(int64_t count, int bits) {
  return CeilDiv(count * bits, 8);
}

// Codes of up to 16 bits reach into three bytes.
void PutCode(uint32_t code, int64_t index, int bits, uint8_t* stream) {
  const int64_t bit = index * bits;
  uint32_t word = code << (bit % 8);
  for (int64_t byte = bit / 8; word != 0; ++byte, word >>= 8) {
    stream[byte] |= static_cast<uint8_t>(word);
  }
}

uint32_t GetCode(const uint8_t* stream, int64_t index, int bits) {
  const int64_t bit = index * bits;
  const int64_t last = (bit + bits - 1) / 8;
  uint32_t word = 0;
  for (int64_t byte = last; byte >= bit / 8; --byte) {
    word = word << 8 | stream[byte];
  }
  return word >> (bit % 8) & ((1u << bits) - 1);
}

// The stored form of a codebook.
struct PackedCodebook {
  int index_bits = 0;
  int centroid_bits = 0;
  float scale = 1.0f;
  std::vector<float> entries;
  std::vector<uint8_t> codes;  // [blocks down, StreamBytes(across, index_bits)]
};

struct PackedGroup {
  int64_t vector_rows = 1;
  int64_t vector_cols = 1;
  std::vector<int64_t> columns;  // ascending
  std::vector<PackedCodebook> codebooks;

  int64_t across() const {
    return CeilDiv(static_cast<int64_t>(columns.size()), vector_cols);
  }
  int64_t dimension() const { return vector_rows * vector_cols; }
};

std::string PartName(absl::string_view kind, size_t group, size_t codebook) {
  return absl::StrCat(kind, ".", group, ".", codebook);
}

absl::Status CheckEntries(const IndexedCodebook& book);

// `w` with the parameters of `trained`, as they are stored.
absl::StatusOr<std::shared_ptr<const CompressedLinear>> Trained(
    VectorCodebookWeights w, const StoredParameters& trained) {
  const float* entry = trained.table.data();
  for (CodebookGroup& group : w.groups) {
    for (IndexedCodebook& book : group.codebooks) {
      for (float& value : book.entries) value = *entry++;
      if (book.centroid_bits == 8) {
        // Entries that nobody changed keep their scale.
        if (!CheckEntries(book).ok()) {
          book.scale = RoundToScaledInt8(absl::MakeSpan(book.entries));
        }
      } else {
        for (float& value : book.entries) value = NearestF16(value);
      }
    }
  }
  if (!w.row_scales.empty()) w.row_scales = ToVector(trained.scales);
  return NewVectorCodebook(std::move(w));
}

// Units are the blocks of all groups, group after group, in the order of codes.
class VectorCodeChoice final : public CodeChoice {
 public:
  // `columns` are the channels of every group.
  VectorCodeChoice(VectorCodebookWeights w,
                   std::vector<std::vector<int64_t>> columns,
                   const StoredParameters& trained)
      : w_(std::move(w)), columns_(std::move(columns)), trained_(trained) {
    const float* entry = trained_.table.data();
    for (size_t g = 0; g < w_.groups.size(); ++g) {
      CodebookGroup& group = w_.groups[g];
      first_.push_back(units_);
      across_.push_back(
          CeilDiv(static_cast<int64_t>(columns_[g].size()), group.vector_cols));
      units_ += CeilDiv(w_.rows, group.vector_rows) * across_.back();
      for (IndexedCodebook& book : group.codebooks) {
        std::copy_n(entry, book.entries.size(), book.entries.begin());
        entry += book.entries.size();
      }
    }
  }

  int64_t units() const override { return units_; }

  void Places(int64_t unit, PlaceList* places) const override {
    places->clear();
    ForEachPlace(unit, [&](int64_t row, int64_t col, int64_t /*t*/) {
      places->push_back(row * w_.cols + col);
    });
  }

  absl::InlinedVector<uint32_t, 4> CodesOf(int64_t unit) const override {
    const size_t g = GroupOf(unit);
    absl::InlinedVector<uint32_t, 4> codes;
    for (const IndexedCodebook& book : w_.groups[g].codebooks) {
      codes.push_back(book.codes[static_cast<size_t>(unit - first_[g])]);
    }
    return codes;
  }

  Candidate Nearest(int64_t unit,
                    absl::Span<const float> target) const override {
    const size_t g = GroupOf(unit);
    const CodebookGroup& group = w_.groups[g];
    const size_t dimension =
        static_cast<size_t>(group.vector_rows * group.vector_cols);
    // Entries t of the block that lie inside the layer; the distance in the
    // layer's own units.
    absl::InlinedVector<size_t, 8> entries;
    absl::InlinedVector<float, 8> scales;
    ForEachPlace(unit, [&](int64_t row, int64_t /*col*/, int64_t t) {
      entries.push_back(static_cast<size_t>(t));
      scales.push_back(
          trained_.scales.size() == 0 ? 1.0f : trained_.scales.data()[row]);
    });
    const size_t books = group.codebooks.size();
    const auto entry = [&](size_t s, size_t code) {
      return group.codebooks[s].entries.data() + code * dimension;
    };
    Candidate best;
    best.codes = CodesOf(unit);
    // What entries the other codebooks leave to codebook s, and the best of
    // its.
    absl::InlinedVector<float, 8> rest(entries.size());
    const auto search = [&](size_t s, absl::Span<const uint32_t> codes,
                            float* least) {
      for (size_t i = 0; i < entries.size(); ++i) {
        rest[i] = target[i];
        for (size_t o = 0; o < books; ++o) {
          if (o != s) rest[i] -= scales[i] * entry(o, codes[o])[entries[i]];
        }
      }
      uint32_t found = 0;
      *least = std::numeric_limits<float>::infinity();
      const size_t k = size_t{1} << group.codebooks[s].index_bits;
      for (size_t code = 0; code < k; ++code) {
        const float* const values = entry(s, code);
        float distance = 0;
        for (size_t i = 0; i < entries.size(); ++i) {
          const float d = rest[i] - scales[i] * values[entries[i]];
          distance += d * d;
        }
        if (distance < *least) {
          *least = distance;
          found = static_cast<uint32_t>(code);
        }
      }
      return found;
    };
    float distance = 0;
    if (books == 1) {
      best.codes[0] = search(0, best.codes, &distance);
    } else if (books == 2 && Combinations(group) <= kExactPairs) {
      float least = std::numeric_limits<float>::infinity();
      auto codes = best.codes;
      for (size_t second = 0;
           second < size_t{1} << group.codebooks[1].index_bits; ++second) {
        codes[1] = static_cast<uint32_t>(second);
        codes[0] = search(0, codes, &distance);
        if (distance < least) {
          least = distance;
          best.codes = codes;
        }
      }
    } else {
      // Each step lowers the distance, or none does.
      for (bool changed = true; changed;) {
        changed = false;
        float before = Distance(best.codes, entries, scales, target, entry);
        for (size_t s = 0; s < books; ++s) {
          const uint32_t found = search(s, best.codes, &distance);
          if (!(distance < before)) continue;
          changed = changed || best.codes[s] != found;
          best.codes[s] = found;
          before = distance;
        }
      }
    }
    for (size_t i = 0; i < entries.size(); ++i) {
      float sum = 0;
      for (size_t s = 0; s < books; ++s) {
        sum += entry(s, best.codes[s])[entries[i]];
      }
      best.weights.push_back(scales[i] * sum);
    }
    return best;
  }

  bool Choose(int64_t unit, absl::Span<const uint32_t> codes) override {
    const size_t g = GroupOf(unit);
    const size_t block = static_cast<size_t>(unit - first_[g]);
    bool others = false;
    for (size_t s = 0; s < codes.size(); ++s) {
      uint16_t& code = w_.groups[g].codebooks[s].codes[block];
      others = others || code != codes[s];
      code = static_cast<uint16_t>(codes[s]);
    }
    return others;
  }

  absl::StatusOr<std::shared_ptr<const CompressedLinear>> Finish()
      const override {
    return Trained(w_, trained_);
  }

 private:
  size_t GroupOf(int64_t unit) const {
    size_t g = first_.size() - 1;
    while (first_[g] > unit) --g;
    return g;
  }

  // Calls visit(row, column, entry) for the weights of a unit.
  template <typename Visit>
  void ForEachPlace(int64_t unit, Visit visit) const {
    const size_t g = GroupOf(unit);
    const CodebookGroup& group = w_.groups[g];
    const int64_t block = unit - first_[g];
    const int64_t row_begin = block / across_[g] * group.vector_rows;
    const int64_t row_end = std::min(row_begin + group.vector_rows, w_.rows);
    const int64_t begin = block % across_[g] * group.vector_cols;
    const int64_t end = std::min(begin + group.vector_cols,
                                 static_cast<int64_t>(columns_[g].size()));
    for (int64_t r = row_begin; r < row_end; ++r) {
      for (int64_t j = begin; j < end; ++j) {
        visit(r, columns_[g][static_cast<size_t>(j)],
              (r - row_begin) * group.vector_cols + j - begin);
      }
    }
  }

  static int64_t Combinations(const CodebookGroup& group) {
    int bits = 0;
    for (const IndexedCodebook& book : group.codebooks) bits += book.index_bits;
    return int64_t{1} << bits;
  }

  template <typename Entry>
  static float Distance(absl::Span<const uint32_t> codes,
                        absl::Span<const size_t> entries,
                        absl::Span<const float> scales,
                        absl::Span<const float> target, const Entry& entry) {
    float distance = 0;
    for (size_t i = 0; i < entries.size(); ++i) {
      float d = target[i];
      for (size_t s = 0; s < codes.size(); ++s) {
        d -= scales[i] * entry(s, codes[s])[entries[i]];
      }
      distance += d * d;
    }
    return distance;
  }

  VectorCodebookWeights w_;  // with the entries of trained_
  const std::vector<std::vector<int64_t>> columns_;
  const StoredParameters trained_;
  std::vector<int64_t> first_;   // unit of every group
  std::vector<int64_t> across_;  // blocks in a row of blocks
  int64_t units_ = 0;
};

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
      shape.vector_rows = group.vector_rows;
      shape.vector_cols = group.vector_cols;
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
      ctx.device().pool().ParallelFor(
          CeilDiv(rows_, group.vector_rows),
          [&](int64_t down) { DecodeBlocks(group, down, &out); });
    }
    return out;
  }

  VectorCodebookWeights Unpack() const {
    VectorCodebookWeights w;
    w.rows = rows_;
    w.cols = cols_;
    w.row_scales = row_scales_;
    if (groups_.size() > 1) w.column_groups.resize(static_cast<size_t>(cols_));
    for (size_t g = 0; g < groups_.size(); ++g) {
      const PackedGroup& from = groups_[g];
      if (groups_.size() > 1) {
        for (int64_t c : from.columns) {
          w.column_groups[static_cast<size_t>(c)] = static_cast<uint8_t>(g);
        }
      }
      CodebookGroup group;
      group.vector_rows = from.vector_rows;
      group.vector_cols = from.vector_cols;
      for (const PackedCodebook& packed : from.codebooks) {
        IndexedCodebook book;
        book.index_bits = packed.index_bits;
        book.centroid_bits = packed.centroid_bits;
        book.scale = packed.scale;
        book.entries = packed.entries;
        const int64_t row_bytes = StreamBytes(from.across(), book.index_bits);
        for (int64_t down = 0; down < CeilDiv(rows_, from.vector_rows);
             ++down) {
          for (int64_t j = 0; j < from.across(); ++j) {
            book.codes.push_back(static_cast<uint16_t>(GetCode(
                packed.codes.data() + down * row_bytes, j, book.index_bits)));
          }
        }
        group.codebooks.push_back(std::move(book));
      }
      w.groups.push_back(std::move(group));
    }
    return w;
  }

  // Entries of all codebooks are one table, group after group.
  std::unique_ptr<TunableLinear> Tunable() const override {
    VectorCodebookWeights w = Unpack();
    size_t lists = 0;
    for (const CodebookGroup& group : w.groups) {
      lists = std::max(lists, group.codebooks.size());
    }
    auto indices = std::make_shared<ops::ValueIndices>(
        lists, std::vector<uint32_t>(static_cast<size_t>(rows_ * cols_),
                                     ops::kNoValue));
    std::vector<float> table;
    for (size_t g = 0; g < groups_.size(); ++g) {
      for (size_t s = 0; s < w.groups[g].codebooks.size(); ++s) {
        const IndexedCodebook& book = w.groups[g].codebooks[s];
        PlaceIndices(groups_[g], book, static_cast<uint32_t>(table.size()),
                     &(*indices)[s]);
        table.insert(table.end(), book.entries.begin(), book.entries.end());
      }
    }
    StoredParameters p;
    p.rows = rows_;
    p.cols = cols_;
    p.groups = ChannelGroupsOf(cols_, {});
    p.table = Tensor::FromValues({static_cast<int64_t>(table.size())}, table);
    // Entries of I8 codebooks are rounded when all is done.
    p.table_in_f16 = false;
    p.indices = std::move(indices);
    if (!row_scales_.empty()) {
      p.scales = Tensor::FromValues({rows_, 1}, row_scales_);
    }
    std::vector<std::vector<int64_t>> columns;
    for (const PackedGroup& group : groups_) columns.push_back(group.columns);
    return NewTunable(
        std::move(p),
        [w](const StoredParameters& trained) { return Trained(w, trained); },
        [w, columns](const StoredParameters& trained) {
          return std::make_unique<VectorCodeChoice>(w, columns, trained);
        });
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
        tensors->push_back({absl::StrCat(layer, ".", PartName("codes", g, s)),
                            DType::kU8,
                            {CeilDiv(rows_, group.vector_rows),
                             StreamBytes(group.across(), book.index_bits)},
                            std::string(book.codes.begin(), book.codes.end())});
        SaveEntries(layer, g, s, tensors);
      }
      groups.push_back({{"columns", group.columns.size()},
                        {"vector_rows", group.vector_rows},
                        {"vector_cols", group.vector_cols},
                        {"index_bits", std::move(index_bits)},
                        {"centroid_bits", std::move(centroid_bits)}});
    }
    if (groups_.size() > 1) {
      const int bits = GroupBits(groups_.size());
      const int64_t size = StreamBytes(cols_, bits);
      std::string stream(static_cast<size_t>(size), '\0');
      for (size_t g = 0; g < groups_.size(); ++g) {
        for (int64_t c : groups_[g].columns) {
          PutCode(static_cast<uint32_t>(g), c, bits,
                  reinterpret_cast<uint8_t*>(stream.data()));
        }
      }
      tensors->push_back({absl::StrCat(layer, ".column_groups"),
                          DType::kU8,
                          {size},
                          std::move(stream)});
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
  // Where the weights of `group` find their part from `book`, whose entries
  // begin at `first` of the table.
  void PlaceIndices(const PackedGroup& group, const IndexedCodebook& book,
                    uint32_t first, std::vector<uint32_t>* indices) const {
    for (int64_t r = 0; r < rows_; ++r) {
      for (size_t j = 0; j < group.columns.size(); ++j) {
        const int64_t across = static_cast<int64_t>(j) / group.vector_cols;
        const int64_t block = r / group.vector_rows * group.across() + across;
        const int64_t t = r % group.vector_rows * group.vector_cols +
                          static_cast<int64_t>(j) % group.vector_cols;
        (*indices)[static_cast<size_t>(r * cols_ + group.columns[j])] =
            first +
            static_cast<uint32_t>(
                book.codes[static_cast<size_t>(block)] * group.dimension() + t);
      }
    }
  }

  // Rows [down * vector_rows, ...) of the group's channels.
  void DecodeBlocks(const PackedGroup& group, int64_t down, Tensor* out) const {
    const int64_t row_begin = down * group.vector_rows;
    const int64_t row_end = std::min(row_begin + group.vector_rows, rows_);
    const int64_t columns = static_cast<int64_t>(group.columns.size());
    std::vector<float> block(static_cast<size_t>(group.dimension()));
    for (int64_t across = 0; across < group.across(); ++across) {
      std::fill(block.begin(), block.end(), 0.0f);
      for (const PackedCodebook& book : group.codebooks) {
        const uint8_t* stream =
            book.codes.data() +
            down * StreamBytes(group.across(), book.index_bits);
        const float* entry =
            book.entries.data() +
            GetCode(stream, across, book.index_bits) * group.dimension();
        for (size_t t = 0; t < block.size(); ++t) block[t] += entry[t];
      }
      const int64_t begin = across * group.vector_cols;
      const int64_t end = std::min(begin + group.vector_cols, columns);
      for (int64_t r = row_begin; r < row_end; ++r) {
        const float* values =
            block.data() + (r - row_begin) * group.vector_cols;
        const float scale =
            row_scales_.empty() ? 1.0f : row_scales_[static_cast<size_t>(r)];
        for (int64_t j = begin; j < end; ++j) {
          out->row(r)[group.columns[static_cast<size_t>(j)]] =
              scale * values[j - begin];
        }
      }
    }
  }

  void SaveEntries(absl::string_view layer, size_t g, size_t s,
                   std::vector<TensorToWrite>* tensors) const {
    const PackedCodebook& book = groups_[g].codebooks[s];
    const Shape shape = {int64_t{1} << book.index_bits, groups_[g].dimension()};
    const std::string name =
        absl::StrCat(layer, ".", PartName("codebook", g, s));
    if (book.centroid_bits == 16) {
      tensors->push_back(F16Tensor(name, shape, book.entries));
      return;
    }
    std::string bytes(book.entries.size(), '\0');
    for (size_t i = 0; i < bytes.size(); ++i) {
      bytes[i] = static_cast<char>(std::lround(book.entries[i] / book.scale));
    }
    tensors->push_back({name, DType::kI8, shape, std::move(bytes)});
    tensors->push_back(
        F16Tensor(absl::StrCat(layer, ".", PartName("codebook_scale", g, s)),
                  {1}, absl::MakeConstSpan(&book.scale, 1)));
  }

  const int64_t rows_;
  const int64_t cols_;
  const std::vector<PackedGroup> groups_;
  const std::vector<float> row_scales_;  // [rows] or empty
};

// --- The checks that memory and disk share ---------------------------------

absl::Status CheckRange(absl::string_view what, int64_t value, int64_t low,
                        int64_t high) {
  if (value < low || value > high) {
    return absl::InvalidArgumentError(
        absl::StrCat(what, " ", value, " is not in ", low, "..", high));
  }
  return absl::OkStatus();
}

absl::Status CheckCodebookBits(int64_t index_bits, int64_t centroid_bits) {
  RETURN_IF_ERROR(CheckRange("index_bits", index_bits, 1, kMaxIndexBits));
  if (centroid_bits != 8 && centroid_bits != 16) {
    return absl::InvalidArgumentError(
        absl::StrCat("centroid_bits ", centroid_bits, " is neither 8 nor 16"));
  }
  return absl::OkStatus();
}

absl::Status CheckGroupShape(int64_t vector_rows, int64_t vector_cols,
                             size_t codebooks) {
  RETURN_IF_ERROR(CheckRange("vector_rows", vector_rows, 1, kMaxVectorSide));
  RETURN_IF_ERROR(CheckRange("vector_cols", vector_cols, 1, kMaxVectorSide));
  return CheckRange("number of codebooks", static_cast<int64_t>(codebooks), 1,
                    kMaxCodebooks);
}

absl::Status CheckScale(float scale) {
  RETURN_IF_ERROR(CheckF16(absl::MakeConstSpan(&scale, 1), "codebook_scale"));
  if (scale > 0) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("codebook_scale ", scale, " is not positive"));
}

absl::Status CheckEntries(const IndexedCodebook& book) {
  if (book.centroid_bits == 16) return CheckF16(book.entries, "centroid");
  RETURN_IF_ERROR(CheckScale(book.scale));
  for (float entry : book.entries) {
    const float steps = std::nearbyint(entry / book.scale);
    if (!(std::abs(steps) <= 127) || steps * book.scale != entry) {
      return absl::InvalidArgumentError(absl::StrCat(
          "centroid ", entry, " is not -127..127 times ", book.scale));
    }
  }
  return absl::OkStatus();
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

absl::StatusOr<PackedCodebook> Pack(IndexedCodebook book, int64_t down,
                                    const PackedGroup& group) {
  RETURN_IF_ERROR(CheckCodebookBits(book.index_bits, book.centroid_bits));
  const int64_t across = group.across();
  if (book.codes.size() != static_cast<size_t>(down * across)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "expected ", down * across, " codes, got ", book.codes.size()));
  }
  const int64_t size = group.dimension() << book.index_bits;
  if (book.entries.size() != static_cast<size_t>(size)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "expected ", size, " centroid entries, got ", book.entries.size()));
  }
  RETURN_IF_ERROR(CheckEntries(book));
  PackedCodebook packed;
  packed.index_bits = book.index_bits;
  packed.centroid_bits = book.centroid_bits;
  packed.scale = book.scale;
  packed.entries = std::move(book.entries);
  const int64_t row_bytes = StreamBytes(across, book.index_bits);
  packed.codes.assign(static_cast<size_t>(down * row_bytes), 0);
  for (int64_t d = 0; d < down; ++d) {
    for (int64_t j = 0; j < across; ++j) {
      const uint32_t code = book.codes[static_cast<size_t>(d * across + j)];
      if (code >> book.index_bits != 0) {
        return absl::InvalidArgumentError(absl::StrCat(
            "code ", code, " exceeds ", (1 << book.index_bits) - 1));
      }
      PutCode(code, j, book.index_bits, packed.codes.data() + d * row_bytes);
    }
  }
  return packed;
}

// --- Reading ---------------------------------------------------------------

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

absl::StatusOr<PackedCodebook> LoadCodebook(TensorFinder find,
                                            absl::string_view layer, size_t g,
                                            size_t s, int index_bits,
                                            int centroid_bits, int64_t down,
                                            const PackedGroup& group) {
  RETURN_IF_ERROR(
      Annotate(CheckCodebookBits(index_bits, centroid_bits), "header"));
  PackedCodebook book;
  book.index_bits = index_bits;
  book.centroid_bits = centroid_bits;
  const Shape entries = {int64_t{1} << index_bits, group.dimension()};
  const std::string name = PartName("codebook", g, s);
  if (centroid_bits == 16) {
    ASSIGN_OR_RETURN(book.entries, F16Part(find, layer, name, entries));
  } else {
    ASSIGN_OR_RETURN(const absl::string_view bytes,
                     PartBytes(find, layer, name, DType::kI8, entries));
    ASSIGN_OR_RETURN(
        const std::vector<float> scale,
        F16Part(find, layer, PartName("codebook_scale", g, s), {1}));
    book.scale = scale[0];
    RETURN_IF_ERROR(CheckScale(book.scale));
    for (char byte : bytes) {
      const int steps = static_cast<signed char>(byte);
      RETURN_IF_ERROR(CheckRange(name, steps, -127, 127));
      book.entries.push_back(static_cast<float>(steps) * book.scale);
    }
  }
  ASSIGN_OR_RETURN(const absl::string_view codes,
                   PartBytes(find, layer, PartName("codes", g, s), DType::kU8,
                             {down, StreamBytes(group.across(), index_bits)}));
  book.codes.assign(codes.begin(), codes.end());
  return book;
}

}  // namespace

absl::StatusOr<std::shared_ptr<const CompressedLinear>> NewVectorCodebook(
    VectorCodebookWeights weights) {
  ASSIGN_OR_RETURN(std::vector<std::vector<int64_t>> columns,
                   ColumnsOfGroups(weights.column_groups, weights.cols,
                                   weights.groups.size()));
  if (!weights.row_scales.empty() &&
      weights.row_scales.size() != static_cast<size_t>(weights.rows)) {
    return absl::InvalidArgumentError(absl::StrCat("expected ", weights.rows,
                                                   " row scales, got ",
                                                   weights.row_scales.size()));
  }
  RETURN_IF_ERROR(CheckF16(weights.row_scales, "row scale"));
  std::vector<PackedGroup> groups;
  for (size_t g = 0; g < weights.groups.size(); ++g) {
    CodebookGroup& from = weights.groups[g];
    RETURN_IF_ERROR(Annotate(CheckGroupShape(from.vector_rows, from.vector_cols,
                                             from.codebooks.size()),
                             "group ", g));
    PackedGroup group;
    group.vector_rows = from.vector_rows;
    group.vector_cols = from.vector_cols;
    group.columns = std::move(columns[g]);
    for (size_t s = 0; s < from.codebooks.size(); ++s) {
      ASSIGN_OR_RETURN(
          PackedCodebook packed,
          Annotate(Pack(std::move(from.codebooks[s]),
                        CeilDiv(weights.rows, from.vector_rows), group),
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
  if (groups.size() > 1) bytes += StreamBytes(cols, GroupBits(groups.size()));
  for (const CodebookGroupShape& group : groups) {
    const int64_t down = CeilDiv(rows, group.vector_rows);
    const int64_t across = CeilDiv(group.columns, group.vector_cols);
    const int64_t dimension = group.vector_rows * group.vector_cols;
    for (size_t s = 0; s < group.index_bits.size(); ++s) {
      bytes += down * StreamBytes(across, group.index_bits[s]);
      const int64_t entries = dimension << group.index_bits[s];
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
                               {StreamBytes(cols, bits)}));
    for (int64_t c = 0; c < cols; ++c) {
      column_groups.push_back(static_cast<uint8_t>(
          GetCode(reinterpret_cast<const uint8_t*>(stream.data()), c, bits)));
    }
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
    PackedGroup group;
    ASSIGN_OR_RETURN(const int64_t size, HeaderInt(item, "columns"));
    if (size != static_cast<int64_t>(columns[g].size())) {
      return absl::InvalidArgumentError(
          absl::StrCat("header: group ", g, " has ", size,
                       " columns, column_groups gives it ", columns[g].size()));
    }
    ASSIGN_OR_RETURN(group.vector_rows, HeaderInt(item, "vector_rows"));
    ASSIGN_OR_RETURN(group.vector_cols, HeaderInt(item, "vector_cols"));
    ASSIGN_OR_RETURN(const std::vector<int> index_bits,
                     HeaderInts(item, "index_bits"));
    ASSIGN_OR_RETURN(const std::vector<int> centroid_bits,
                     HeaderInts(item, "centroid_bits"));
    RETURN_IF_ERROR(
        Annotate(CheckGroupShape(group.vector_rows, group.vector_cols,
                                 index_bits.size()),
                 "header: group ", g));
    if (centroid_bits.size() != index_bits.size()) {
      return absl::InvalidArgumentError(absl::StrCat(
          "header: group ", g, " has ", index_bits.size(), " index_bits and ",
          centroid_bits.size(), " centroid_bits"));
    }
    group.columns = std::move(columns[g]);
    for (size_t s = 0; s < index_bits.size(); ++s) {
      ASSIGN_OR_RETURN(
          PackedCodebook book,
          LoadCodebook(find, layer, g, s, index_bits[s], centroid_bits[s],
                       CeilDiv(rows, group.vector_rows), group));
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
