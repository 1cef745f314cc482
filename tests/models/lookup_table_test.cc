#include "models/layouts/lookup_table.h"

#include <cmath>
#include <memory>
#include <random>

#include "gmock/gmock.h"
#include "models/layouts/value_tables.h"
#include "tests/models/saved_layer.h"
#include "tests/testing/status_matchers.h"

namespace quantd {
namespace {

using ::quantd::test::SavedLayer;
using ::quantd::test::StatusIs;
using ::testing::HasSubstr;

constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;

// Three rows of twelve channels in groups of four. No name: stored values.
LookupTableWeights Example(int bits, const std::string& table, bool indexed) {
  std::mt19937_64 engine(static_cast<uint64_t>(bits));
  LookupTableWeights w;
  w.rows = 3;
  w.cols = 12;
  w.bits = bits;
  w.group_size = 4;
  w.table = table;
  const uint64_t codes = uint64_t{1} << bits;
  if (table.empty()) {
    for (uint64_t i = 0; i < codes; ++i) {
      w.values.push_back(std::sqrt(static_cast<float>(i)) - 1.3f);
    }
  }
  for (int i = 0; i < 36; ++i) {
    w.codes.push_back(static_cast<uint8_t>(engine() % codes));
  }
  for (int i = 0; i < 9; ++i) {
    w.scales.push_back(0.25f * static_cast<float>(i + 1));
  }
  if (indexed) {
    for (int i = 0; i < 12; ++i) w.group_index.push_back((i * 7) % 3);
  }
  return w;
}

class LookupTableTest : public testing::Test {
 protected:
  void ExpectDecodesAndSurvivesSaving(const LookupTableWeights& w,
                                      const std::vector<float>& values) {
    ASSERT_OK_AND_ASSIGN(const auto linear, NewLookupTable(w));
    const Tensor decoded = linear->Decode(ctx_);
    for (int r = 0; r < 3; ++r) {
      for (int c = 0; c < 12; ++c) {
        const size_t column = static_cast<size_t>(c);
        const int g = w.group_index.empty() ? c / 4 : w.group_index[column];
        ASSERT_EQ(decoded.row(r)[c],
                  w.scales[static_cast<size_t>(r * 3 + g)] *
                      values[w.codes[static_cast<size_t>(r * 12 + c)]]);
      }
    }
    const SavedLayer saved(*linear);
    EXPECT_EQ(linear->stored_bits(), saved.size_bits());
    ASSERT_OK_AND_ASSIGN(const auto loaded, saved.Load());
    EXPECT_EQ(loaded->stored_bits(), linear->stored_bits());
    const Tensor again = loaded->Decode(ctx_);
    for (int64_t i = 0; i < decoded.size(); ++i) {
      ASSERT_EQ(again.data()[i], decoded.data()[i]);
    }
  }

  std::unique_ptr<Device> device_ = NewCpuDevice(2);
  ExecutionContext ctx_{device_.get()};
};

TEST_F(LookupTableTest, DecodesByItsDefinitionAndSurvivesSaving) {
  for (bool indexed : {false, true}) {
    for (int bits = 1; bits <= 8; ++bits) {
      const LookupTableWeights w = Example(bits, "", indexed);
      ExpectDecodesAndSurvivesSaving(w, w.values);
    }
    for (const char* table : {"nf2", "nf3", "nf4", "e2m1", "e3m2", "e4m3"}) {
      const std::vector<float> values = StandardValues(table);
      const int bits = static_cast<int>(std::lround(std::log2(values.size())));
      ExpectDecodesAndSurvivesSaving(Example(bits, table, indexed), values);
    }
  }
}

TEST_F(LookupTableTest, BytesOfTheLayoutAreGolden) {
  LookupTableWeights w;
  w.rows = 2;
  w.cols = 4;
  w.bits = 2;
  w.group_size = 2;
  w.values = {0, 1, -2, 0.5f};
  w.codes = {1, 2, 3, 0, 3, 3, 0, 1};
  w.scales = {1, 0.5f, 2, 0.25f};
  ASSERT_OK_AND_ASSIGN(const auto linear, NewLookupTable(w));
  const SavedLayer saved(*linear);
  ASSERT_EQ(saved.tensors.size(), 3u);
  EXPECT_EQ(saved.tensors[0].name, "l.codes");
  // 1 + 2*4 + 3*16 + 0*64; 3 + 3*4 + 0*16 + 1*64.
  EXPECT_EQ(saved.tensors[0].bytes, std::string("\x39\x4F", 2));
  EXPECT_EQ(saved.tensors[1].name, "l.scales");
  EXPECT_EQ(saved.tensors[1].bytes,
            std::string("\x00\x3C\x00\x38\x00\x40\x00\x34", 8));
  EXPECT_EQ(saved.tensors[2].name, "l.values");
  EXPECT_EQ(saved.tensors[2].bytes,
            std::string("\0\0\0\0\0\0\x80\x3F\0\0\0\xC0\0\0\0\x3F", 16));
  EXPECT_EQ(saved.header.dump(),
            R"({"bits":2,"group_index":false,"group_size":2,)"
            R"("layout":"lookup-table.v1","values":"stored"})");
}

TEST_F(LookupTableTest, TablesWithANameAreNotStored) {
  ASSERT_OK_AND_ASSIGN(const auto linear,
                       NewLookupTable(Example(4, "nf4", false)));
  const SavedLayer saved(*linear);
  EXPECT_EQ(saved.tensors.size(), 2u);
  EXPECT_EQ(saved.header["values"], "nf4");
  EXPECT_EQ(linear->stored_bits(), 3u * (12 * 4 + 3 * 16));
}

TEST_F(LookupTableTest, WrongWeightsAreRefused) {
  const LookupTableWeights good = Example(3, "", true);
  auto bad = good;
  bad.codes[5] = 8;
  EXPECT_THAT(NewLookupTable(bad),
              StatusIs(kInvalid, HasSubstr("code 8 exceeds 7")));
  bad = good;
  bad.codes.pop_back();
  EXPECT_THAT(NewLookupTable(bad), StatusIs(kInvalid, HasSubstr("36 codes")));
  bad = good;
  bad.scales[1] = 0.1f;
  EXPECT_THAT(NewLookupTable(bad), StatusIs(kInvalid, HasSubstr("F16")));
  bad = good;
  bad.scales.pop_back();
  EXPECT_THAT(NewLookupTable(bad), StatusIs(kInvalid, HasSubstr("9 scales")));
  bad = good;
  bad.values[3] = NAN;
  EXPECT_THAT(NewLookupTable(bad), StatusIs(kInvalid, HasSubstr("not finite")));
  bad = good;
  bad.values.pop_back();
  EXPECT_THAT(NewLookupTable(bad), StatusIs(kInvalid, HasSubstr("8 values")));
  bad = good;
  bad.table = "nf4";
  EXPECT_THAT(NewLookupTable(bad), StatusIs(kInvalid, HasSubstr("got 16")));
  bad = good;
  bad.table = "nf9";
  EXPECT_THAT(NewLookupTable(bad), StatusIs(kInvalid, HasSubstr("\"nf9\"")));
  bad = good;
  bad.group_index[3] = 3;
  EXPECT_THAT(NewLookupTable(bad),
              StatusIs(kInvalid, HasSubstr("not in 0..2")));
  bad = good;
  bad.group_size = 5;
  EXPECT_THAT(NewLookupTable(bad),
              StatusIs(kInvalid, HasSubstr("does not divide")));
  bad = good;
  bad.bits = 9;
  EXPECT_THAT(NewLookupTable(bad), StatusIs(kInvalid, HasSubstr("1..8")));
}

TEST_F(LookupTableTest, DamagedFilesAreRefusedByLayerAndFault) {
  ASSERT_OK_AND_ASSIGN(const auto linear, NewLookupTable(Example(3, "", true)));
  const SavedLayer good(*linear);
  const auto expect = [](const SavedLayer& bad, const char* fault,
                         absl::StatusCode code = kInvalid) {
    EXPECT_THAT(bad.Load(), StatusIs(code, testing::AllOf(HasSubstr("layer l"),
                                                          HasSubstr(fault))));
  };
  SavedLayer bad = good;
  bad.header["bits"] = 4;
  expect(bad, "codes is U8 [3, 5], expected U8 [3, 6]");
  bad = good;
  bad.header["bits"] = 99;
  expect(bad, "bits 99");
  bad = good;
  bad.header["group_size"] = 0;
  expect(bad, "group_size 0");
  bad = good;
  bad.header["values"] = 4;
  expect(bad, "values is not a string");
  bad = good;
  bad.header["values"] = "";
  expect(bad, "names no table");
  bad = good;
  bad.header["values"] = "nf7";
  expect(bad, "no table of values \"nf7\"");
  bad = good;
  bad.header["values"] = "nf4";
  expect(bad, "expected 8 values for 3 bits, got 16");
  bad = good;
  bad.header["group_index"] = 1;
  expect(bad, "group_index is not true or false");
  bad = good;
  bad.part("scales").bytes[1] = '\x7C';  // infinity
  expect(bad, "F16");
  bad = good;
  bad.part("values").bytes[3] = '\x7F';
  bad.part("values").bytes[2] = '\x80';  // infinity
  expect(bad, "not finite");
  bad = good;
  bad.part("values").dtype = DType::kI32;
  expect(bad, "values is I32");
  bad = good;
  bad.part("group_index").bytes[0] = 77;
  expect(bad, "group_index 77");
  bad = good;
  bad.tensors.pop_back();
  expect(bad, "l.group_index", absl::StatusCode::kNotFound);
}

}  // namespace
}  // namespace quantd
