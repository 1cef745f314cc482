#include "models/layouts/vector_codebook.h"

#include <cmath>
#include <memory>
#include <random>

#include "gmock/gmock.h"
#include "nlohmann/json.hpp"
#include "tests/models/saved_layer.h"
#include "tests/models/tunable_checks.h"
#include "tests/testing/status_matchers.h"

namespace quantd {
namespace {

using ::quantd::test::IsOk;
using ::quantd::test::LoadLayer;
using ::quantd::test::StatusIs;
using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;
constexpr int64_t kRows = 10, kCols = 13;

IndexedCodebook RandomCodebook(std::mt19937_64& engine, int index_bits,
                               int centroid_bits, int64_t dimension,
                               int64_t blocks) {
  IndexedCodebook book;
  book.index_bits = index_bits;
  book.centroid_bits = centroid_bits;
  if (centroid_bits == 8) book.scale = 0.125f;
  for (int64_t i = 0; i < dimension << index_bits; ++i) {
    book.entries.push_back(
        0.125f * static_cast<float>(static_cast<int>(engine() % 255) - 127));
  }
  for (int64_t i = 0; i < blocks; ++i) {
    book.codes.push_back(
        static_cast<uint16_t>(engine() % (uint64_t{1} << index_bits)));
  }
  return book;
}

// Three groups: vectors along rows with a residual codebook, blocks of 3 x 2
// that the layer's edges cut, and one value per weight.
VectorCodebookWeights Example() {
  std::mt19937_64 engine(1);
  VectorCodebookWeights w;
  w.rows = kRows;
  w.cols = kCols;
  w.column_groups = {0, 1, 0, 2, 1, 1, 0, 0, 2, 1, 0, 1, 2};
  w.groups.resize(3);  // 5, 5 and 3 channels
  w.groups[0].vector_rows = 4;
  w.groups[0].codebooks = {RandomCodebook(engine, 5, 16, 4, 3 * 5),
                           RandomCodebook(engine, 3, 8, 4, 3 * 5)};
  w.groups[1].vector_rows = 3;
  w.groups[1].vector_cols = 2;
  w.groups[1].codebooks = {RandomCodebook(engine, 10, 8, 6, 4 * 3)};
  w.groups[2].codebooks = {RandomCodebook(engine, 2, 16, 1, 10 * 3)};
  for (int64_t r = 0; r < kRows; ++r) {
    w.row_scales.push_back(0.5f + 0.25f * static_cast<float>(r));
  }
  return w;
}

// The weight at (row, column) by the layout's definition.
float Defined(const VectorCodebookWeights& w, int64_t row, int64_t column) {
  const size_t g = w.column_groups.empty()
                       ? 0
                       : w.column_groups[static_cast<size_t>(column)];
  const CodebookGroup& group = w.groups[g];
  int64_t position = 0, columns = 0;
  for (int64_t c = 0; c < w.cols; ++c) {
    if (!w.column_groups.empty() &&
        w.column_groups[static_cast<size_t>(c)] != g) {
      continue;
    }
    if (c < column) ++position;
    ++columns;
  }
  const int64_t across = (columns + group.vector_cols - 1) / group.vector_cols;
  const int64_t block =
      row / group.vector_rows * across + position / group.vector_cols;
  const int64_t t = row % group.vector_rows * group.vector_cols +
                    position % group.vector_cols;
  float sum = 0;
  for (const IndexedCodebook& book : group.codebooks) {
    sum += book.entries[static_cast<size_t>(
        book.codes[static_cast<size_t>(block)] * group.vector_rows *
            group.vector_cols +
        t)];
  }
  return w.row_scales.empty() ? sum
                              : w.row_scales[static_cast<size_t>(row)] * sum;
}

class VectorCodebookTest : public testing::Test {
 protected:
  absl::StatusOr<std::shared_ptr<const CompressedLinear>> Load(
      const nlohmann::json& header, int64_t rows = kRows,
      int64_t cols = kCols) {
    return LoadLayer(tensors_, header, rows, cols);
  }

  void ExpectDecodesAndSurvives(const VectorCodebookWeights& w) {
    ASSERT_OK_AND_ASSIGN(const auto linear, NewVectorCodebook(w));
    const Tensor decoded = linear->Decode(ctx_);
    for (int64_t r = 0; r < w.rows; ++r) {
      for (int64_t c = 0; c < w.cols; ++c) {
        ASSERT_EQ(decoded.row(r)[c], Defined(w, r, c)) << r << " " << c;
      }
    }
    tensors_.clear();
    const nlohmann::json header = linear->Save("l", &tensors_);
    uint64_t bytes = 0;
    for (const TensorToWrite& t : tensors_) bytes += t.bytes.size();
    EXPECT_EQ(linear->stored_bits(), 8 * bytes);
    ASSERT_OK_AND_ASSIGN(const auto loaded, Load(header, w.rows, w.cols));
    const Tensor again = loaded->Decode(ctx_);
    for (int64_t i = 0; i < decoded.size(); ++i) {
      ASSERT_EQ(again.data()[i], decoded.data()[i]);
    }
    std::vector<TensorToWrite> written;
    EXPECT_EQ(loaded->Save("l", &written), header);
    ASSERT_EQ(written.size(), tensors_.size());
    for (size_t i = 0; i < written.size(); ++i) {
      EXPECT_EQ(written[i].name, tensors_[i].name);
      EXPECT_EQ(written[i].bytes, tensors_[i].bytes);
    }
  }

  std::vector<TensorToWrite> tensors_;
  std::unique_ptr<Device> device_ = NewCpuDevice(2);
  ExecutionContext ctx_{device_.get()};
};

TEST_F(VectorCodebookTest, DecodesByItsDefinitionAndSurvivesSaving) {
  ExpectDecodesAndSurvives(Example());
}

TEST_F(VectorCodebookTest, EntriesAndScalesCanBeTuned) {
  VectorCodebookWeights w = Example();
  ASSERT_OK_AND_ASSIGN(const auto scaled, NewVectorCodebook(w));
  test::ExpectParametersSayWhatIsStored(*scaled, ctx_);
  test::ExpectCodesCanBeChosen(*scaled, ctx_);
  w.row_scales.clear();
  ASSERT_OK_AND_ASSIGN(const auto plain, NewVectorCodebook(w));
  test::ExpectParametersSayWhatIsStored(*plain, ctx_);
  test::ExpectCodesCanBeChosen(*plain, ctx_);
}

TEST_F(VectorCodebookTest, EveryIndexWidthDecodes) {
  std::mt19937_64 engine(2);
  for (int bits = 1; bits <= 16; ++bits) {
    VectorCodebookWeights w;
    w.rows = 7;
    w.cols = 9;
    w.groups.resize(1);
    w.groups[0].vector_rows = 2;
    w.groups[0].codebooks = {RandomCodebook(engine, bits, 16, 2, 4 * 9)};
    ExpectDecodesAndSurvives(w);
  }
}

TEST_F(VectorCodebookTest, BytesOfTheLayoutAreGolden) {
  VectorCodebookWeights w;
  w.rows = 3;
  w.cols = 3;
  w.column_groups = {1, 0, 0};
  w.groups.resize(2);
  w.groups[0].vector_rows = 2;
  w.groups[0].codebooks.resize(1);
  w.groups[0].codebooks[0].index_bits = 1;
  w.groups[0].codebooks[0].entries = {1, -1, 0.5f, 2};
  w.groups[0].codebooks[0].codes = {1, 0, 0, 1};
  w.groups[1].codebooks.resize(1);
  w.groups[1].codebooks[0].index_bits = 10;
  w.groups[1].codebooks[0].centroid_bits = 8;
  w.groups[1].codebooks[0].scale = 0.25f;
  w.groups[1].codebooks[0].entries.assign(1024, 0.25f);
  w.groups[1].codebooks[0].entries[0] = -31.75f;
  w.groups[1].codebooks[0].codes = {0x3A5, 1, 0x200};
  w.row_scales = {1, 2, 0.5f};
  ASSERT_OK_AND_ASSIGN(const auto linear, NewVectorCodebook(w));
  const nlohmann::json header = linear->Save("l", &tensors_);
  EXPECT_EQ(header.dump(),
            R"({"groups":[{"centroid_bits":[16],"columns":2,"index_bits":[1],)"
            R"("vector_cols":1,"vector_rows":2},{"centroid_bits":[8],)"
            R"("columns":1,"index_bits":[10],"vector_cols":1,)"
            R"("vector_rows":1}],"layout":"vector-codebook.v1",)"
            R"("row_scales":true})");
  ASSERT_EQ(tensors_.size(), 7u);
  EXPECT_EQ(tensors_[0].name, "l.codes.0.0");
  EXPECT_EQ(tensors_[0].shape, Shape({2, 1}));
  EXPECT_EQ(tensors_[0].bytes, std::string("\x01\x02", 2));
  EXPECT_EQ(tensors_[1].name, "l.codebook.0.0");
  EXPECT_EQ(tensors_[1].bytes,
            std::string("\x00\x3C\x00\xBC\x00\x38\x00\x40", 8));
  EXPECT_EQ(tensors_[2].name, "l.codes.1.0");
  EXPECT_EQ(tensors_[2].bytes, std::string("\xA5\x03\x01\x00\x00\x02", 6));
  EXPECT_EQ(tensors_[3].name, "l.codebook.1.0");
  EXPECT_EQ(tensors_[3].dtype, DType::kI8);
  EXPECT_EQ(tensors_[3].bytes.substr(0, 2), std::string("\x81\x01", 2));
  EXPECT_EQ(tensors_[4].name, "l.codebook_scale.1.0");
  EXPECT_EQ(tensors_[4].bytes, std::string("\x00\x34", 2));
  EXPECT_EQ(tensors_[5].name, "l.column_groups");
  EXPECT_EQ(tensors_[5].bytes, std::string("\x01", 1));
  EXPECT_EQ(tensors_[6].name, "l.row_scales");
  EXPECT_EQ(tensors_[6].bytes, std::string("\x00\x3C\x00\x40\x00\x38", 6));
}

TEST_F(VectorCodebookTest, BitsAreThoseOfThePaper) {
  // VPTQ, index bits log2(k) / v and codebook bits 16 v k: a 4096 x 4096
  // layer, v = 8, k = 256 takes 1 + 16 * 8 * 256 / 4096^2 = 1.002.
  CodebookGroupShape shape;
  shape.columns = 4096;
  shape.vector_rows = 8;
  shape.index_bits = {8};
  shape.centroid_bits = {16};
  const double weights = 4096.0 * 4096.0;
  EXPECT_NEAR(
      8.0 *
          static_cast<double>(VectorCodebookBytes(4096, 4096, {shape}, false)) /
          weights,
      1.002, 5e-4);
  // LLaMA-2-7B at 2.02 bits: v = 6, k = 4096; 4096 is not a multiple of 6.
  shape.vector_rows = 6;
  shape.index_bits = {12};
  EXPECT_NEAR(
      8.0 *
          static_cast<double>(VectorCodebookBytes(4096, 4096, {shape}, false)) /
          weights,
      2.02, 5e-3);
}

TEST_F(VectorCodebookTest, Int8EntriesKeepTheLargestAndAreMultiples) {
  std::vector<float> entries = {0.3f, -1.7f, 0.01f, 0.9f};
  const std::vector<float> before = entries;
  const float scale = RoundToScaledInt8(absl::MakeSpan(entries));
  for (size_t i = 0; i < entries.size(); ++i) {
    EXPECT_EQ(entries[i], std::nearbyint(entries[i] / scale) * scale);
    EXPECT_NEAR(entries[i], before[i], 0.5001f * scale);
  }
  EXPECT_LT(scale, 1.7f / 127 * 1.01f);
  std::vector<float> zeros(3, 0.0f);
  EXPECT_GT(RoundToScaledInt8(absl::MakeSpan(zeros)), 0);
  EXPECT_EQ(zeros, std::vector<float>(3, 0.0f));
}

TEST_F(VectorCodebookTest, WrongWeightsAreRefused) {
  const VectorCodebookWeights good = Example();
  ASSERT_THAT(NewVectorCodebook(good).status(), IsOk());
  auto expect = [&](auto&& damage, const char* fault) {
    VectorCodebookWeights bad = good;
    damage(bad);
    EXPECT_THAT(NewVectorCodebook(bad), StatusIs(kInvalid, HasSubstr(fault)));
  };
  using W = VectorCodebookWeights;
  expect([](W& w) { w.groups[0].codebooks[1].codes[2] = 8; },
         "group 0: codebook 1: code 8 exceeds 7");
  expect([](W& w) { w.groups[1].codebooks[0].codes.pop_back(); },
         "group 1: codebook 0: expected 12 codes");
  expect([](W& w) { w.groups[2].codebooks[0].entries[1] = 0.1f; }, "F16");
  expect([](W& w) { w.groups[1].codebooks[0].entries[1] = 0.2f; },
         "-127..127 times 0.125");
  expect([](W& w) { w.groups[1].codebooks[0].entries[1] = 16; },
         "-127..127 times 0.125");
  expect([](W& w) { w.groups[1].codebooks[0].scale = 0; }, "codebook_scale");
  expect([](W& w) { w.groups[1].codebooks[0].entries.push_back(0); },
         "centroid entries");
  expect([](W& w) { w.groups[1].codebooks[0].centroid_bits = 4; },
         "centroid_bits 4");
  expect([](W& w) { w.groups[1].codebooks[0].index_bits = 17; },
         "index_bits 17");
  expect([](W& w) { w.groups[1].codebooks.clear(); }, "number of codebooks 0");
  expect([](W& w) { w.groups[1].vector_rows = 0; }, "vector_rows 0");
  expect([](W& w) { w.groups[1].vector_cols = 65; }, "vector_cols 65");
  expect([](W& w) { w.column_groups[0] = 3; }, "3 is not in 0..2");
  expect([](W& w) { w.column_groups.pop_back(); }, "12 entries, expected 13");
  expect(
      [](W& w) {
        for (uint8_t& g : w.column_groups) g = g == 1 ? 0 : g;
      },
      "group 1 has no input channels");
  expect([](W& w) { w.groups.clear(); }, "number of groups 0");
  expect([](W& w) { w.row_scales[0] = INFINITY; }, "row scale");
  expect([](W& w) { w.row_scales.pop_back(); }, "10 row scales, got 9");
}

TEST_F(VectorCodebookTest, DamagedFilesAreRefusedByLayerAndFault) {
  ASSERT_OK_AND_ASSIGN(const auto linear, NewVectorCodebook(Example()));
  const nlohmann::json header = linear->Save("l", &tensors_);
  const auto saved = tensors_;
  auto expect = [&](const nlohmann::json& h, const char* fault,
                    absl::StatusCode code = kInvalid) {
    EXPECT_THAT(Load(h),
                StatusIs(code, AllOf(HasSubstr("layer l"), HasSubstr(fault))));
    tensors_ = saved;
  };
  const auto with = [&](auto&& damage) {
    nlohmann::json h = header;
    damage(h);
    return h;
  };
  using J = nlohmann::json;
  expect(with([](J& h) { h.erase("groups"); }), "groups is not a list");
  expect(with([](J& h) { h["groups"] = J::array(); }), "number of groups 0");
  expect(with([](J& h) { h["groups"][1] = 4; }), "group 1 is not an object");
  expect(with([](J& h) { h["groups"][0]["columns"] = 6; }),
         "group 0 has 6 columns, column_groups gives it 5");
  expect(with([](J& h) { h["groups"][0]["vector_rows"] = 0; }),
         "vector_rows 0");
  expect(with([](J& h) { h["groups"][0]["vector_rows"] = 5; }),
         "codebook.0.0 is F16 [32, 4], expected F16 [32, 5]");
  expect(with([](J& h) { h["groups"][0]["index_bits"] = 5; }),
         "index_bits is not a list");
  expect(with([](J& h) {
           h["groups"][0]["index_bits"] = J{5, 17};
         }),
         "index_bits 17");
  expect(with([](J& h) {
           h["groups"][0]["index_bits"] = J{5, "3"};
         }),
         "index_bits holds something else");
  expect(with([](J& h) { h["groups"][0]["index_bits"] = J{5}; }),
         "1 index_bits and 2 centroid_bits");
  expect(with([](J& h) {
           h["groups"][0]["centroid_bits"] = J{16, 4};
         }),
         "centroid_bits 4");
  expect(with([](J& h) { h["row_scales"] = 1; }), "row_scales");
  expect(with([](J& h) { h["row_scales"] = "yes"; }), "row_scales");
  for (TensorToWrite& t : tensors_) {
    if (t.name == "l.column_groups") t.bytes[0] = '\xFF';
  }
  expect(header, "3 is not in 0..2");
  for (TensorToWrite& t : tensors_) {
    if (t.name == "l.codebook.1.0") t.bytes[0] = '\x80';
  }
  expect(header, "codebook.1.0 -128");
  for (TensorToWrite& t : tensors_) {
    if (t.name == "l.codebook_scale.1.0") t.bytes[1] = '\xBC';
  }
  expect(header, "codebook_scale");
  for (TensorToWrite& t : tensors_) {
    if (t.name == "l.codebook.2.0") t.bytes[1] = '\x7C';
  }
  expect(header, "F16");
  tensors_.erase(tensors_.begin());
  expect(header, "l.codes.0.0", absl::StatusCode::kNotFound);
}

}  // namespace
}  // namespace quantd
