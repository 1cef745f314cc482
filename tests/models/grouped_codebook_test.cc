#include "models/layouts/grouped_codebook.h"

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

using ::quantd::test::SavedLayer;
using ::quantd::test::StatusIs;
using ::testing::AllOf;
using ::testing::ElementsAreArray;
using ::testing::HasSubstr;

constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;

GroupedCodebookWeights Example(int64_t rows, int bits, int64_t groups) {
  std::mt19937_64 engine(static_cast<uint64_t>(bits));
  GroupedCodebookWeights w;
  w.rows = rows;
  w.cols = 11;
  w.bits = bits;
  w.groups = groups;
  for (int64_t i = 0; i < 11 * rows; ++i) {
    w.codes.push_back(static_cast<uint8_t>(engine() % (uint64_t{1} << bits)));
  }
  for (int64_t i = 0; i < groups << bits; ++i) {
    w.codebooks.push_back(0.25f * static_cast<float>(i % 40 - 20));
  }
  for (int64_t r = 0; r < rows; ++r) {
    w.row_groups.push_back(static_cast<int32_t>((7 * r + 1) % groups));
    w.scales.push_back(0.125f * static_cast<float>(r % 30 + 1));
  }
  return w;
}

class GroupedCodebookTest : public testing::Test {
 protected:
  std::unique_ptr<Device> device_ = NewCpuDevice(2);
  ExecutionContext ctx_{device_.get()};
};

TEST_F(GroupedCodebookTest, DecodesByItsDefinitionAndSurvivesSaving) {
  for (int bits = 1; bits <= 8; ++bits) {
    // Numbers of no, one, three, eight and nine bits.
    for (const int64_t groups : {1, 2, 5, 256, 300}) {
      const int64_t rows = groups < 10 ? 6 : groups;
      const GroupedCodebookWeights w = Example(rows, bits, groups);
      ASSERT_OK_AND_ASSIGN(const auto linear, NewGroupedCodebook(w));
      const Tensor decoded = linear->Decode(ctx_);
      for (int64_t r = 0; r < rows; ++r) {
        const size_t row = static_cast<size_t>(r);
        for (int64_t c = 0; c < 11; ++c) {
          const int64_t code = w.codes[static_cast<size_t>(11 * r + c)];
          ASSERT_EQ(decoded.row(r)[c],
                    w.scales[row] *
                        w.codebooks[static_cast<size_t>(
                            (int64_t{w.row_groups[row]} << bits) + code)]);
        }
      }
      const SavedLayer saved(*linear);
      EXPECT_EQ(saved.tensors.size(), groups == 1 ? 3u : 4u);
      EXPECT_EQ(linear->stored_bits(), saved.size_bits());
      EXPECT_EQ(8 * GroupedCodebookBytes(rows, 11, bits, groups),
                saved.size_bits());
      ASSERT_OK_AND_ASSIGN(const auto loaded, saved.Load());
      EXPECT_THAT(loaded->Decode(ctx_).values(),
                  ElementsAreArray(decoded.values()));
      const GroupedCodebookWeights again = *UnpackGroupedCodebook(*loaded);
      EXPECT_EQ(again.codes, w.codes);
      EXPECT_EQ(again.row_groups, w.row_groups);
    }
  }
}

TEST_F(GroupedCodebookTest, BytesOfTheLayoutAreGolden) {
  GroupedCodebookWeights w;
  w.rows = 3;
  w.cols = 5;
  w.bits = 2;
  w.groups = 3;
  w.codes = {1, 2, 3, 0, 1, 3, 3, 0, 2, 2, 0, 0, 1, 1, 2};
  w.codebooks = {-1, 0.5f, 1, 2, 0, 0.25f, -0.25f, 4, 0, 0, 0, 1};
  w.row_groups = {2, 0, 1};
  w.scales = {0.5f, 1, 2};
  ASSERT_OK_AND_ASSIGN(const auto linear, NewGroupedCodebook(w));
  SavedLayer saved(*linear);
  EXPECT_EQ(saved.header.dump(),
            R"({"bits":2,"groups":3,"layout":"grouped-codebook.v1"})");
  ASSERT_EQ(saved.tensors.size(), 4u);
  // 1 + 2*4 + 3*16 + 0*64, 1; 3 + 3*4 + 0*16 + 2*64, 2; 0 + 0*4 + 1*16 + 1*64,
  // 2.
  EXPECT_EQ(saved.part("codes").bytes,
            std::string("\x39\x01\x8F\x02\x50\x02", 6));
  EXPECT_EQ(saved.part("codebooks").bytes,
            std::string("\x00\xBC\x00\x38\x00\x3C\x00\x40"
                        "\x00\x00\x00\x34\x00\xB4\x00\x44"
                        "\x00\x00\x00\x00\x00\x00\x00\x3C",
                        24));
  // 2 + 0*4 + 1*16.
  EXPECT_EQ(saved.part("row_groups").bytes, std::string("\x12", 1));
  EXPECT_EQ(saved.part("scales").bytes,
            std::string("\x00\x38\x00\x3C\x00\x40", 6));
}

TEST_F(GroupedCodebookTest, TablesAndScalesCanBeTuned) {
  ASSERT_OK_AND_ASSIGN(const auto linear, NewGroupedCodebook(Example(6, 3, 2)));
  const auto tunable = linear->Tunable();
  ASSERT_EQ(tunable->Parameters().size(), 2u);
  EXPECT_EQ(tunable->Parameters()[0].shape(), (Shape{2, 8}));
  test::ExpectParametersSayWhatIsStored(*linear, ctx_);
}

TEST_F(GroupedCodebookTest, CodesAreChosenAmongTheEntriesOfTheirRowsTable) {
  for (const int groups : {1, 2, 4}) {
    SCOPED_TRACE(groups);
    ASSERT_OK_AND_ASSIGN(const auto linear,
                         NewGroupedCodebook(Example(6, 2, groups)));
    test::ExpectCodesCanBeChosen(*linear, ctx_);
  }
}

TEST_F(GroupedCodebookTest, WrongWeightsAreRefused) {
  const GroupedCodebookWeights good = Example(3, 2, 2);
  auto bad = good;
  bad.codes[5] = 4;
  EXPECT_THAT(NewGroupedCodebook(bad),
              StatusIs(kInvalid, HasSubstr("code 4 exceeds 3")));
  bad = good;
  bad.codebooks.push_back(0);
  EXPECT_THAT(NewGroupedCodebook(bad),
              StatusIs(kInvalid, HasSubstr("8 codebook values, got 9")));
  bad = good;
  bad.scales.pop_back();
  EXPECT_THAT(NewGroupedCodebook(bad),
              StatusIs(kInvalid, HasSubstr("3 scales, got 2")));
  bad = good;
  bad.row_groups[1] = 2;
  EXPECT_THAT(NewGroupedCodebook(bad),
              StatusIs(kInvalid, HasSubstr("group 2, of 2 groups")));
  bad = good;
  bad.row_groups.pop_back();
  EXPECT_THAT(NewGroupedCodebook(bad),
              StatusIs(kInvalid, HasSubstr("3 row groups, got 2")));
  bad = good;
  bad.groups = 0;
  EXPECT_THAT(NewGroupedCodebook(bad),
              StatusIs(kInvalid, HasSubstr("groups 0 is not in 1..65536")));
  bad = good;
  bad.codebooks[3] = 0.1f;
  EXPECT_THAT(NewGroupedCodebook(bad), StatusIs(kInvalid, HasSubstr("F16")));
  bad = good;
  bad.scales[1] = NAN;
  EXPECT_THAT(NewGroupedCodebook(bad), StatusIs(kInvalid, HasSubstr("F16")));
  bad = good;
  bad.bits = 9;
  EXPECT_THAT(NewGroupedCodebook(bad), StatusIs(kInvalid, HasSubstr("1..8")));
}

TEST_F(GroupedCodebookTest, DamagedFilesAreRefusedByLayerAndFault) {
  ASSERT_OK_AND_ASSIGN(const auto linear, NewGroupedCodebook(Example(3, 3, 3)));
  const SavedLayer good(*linear);
  const auto expect = [&](const SavedLayer& bad, const char* fault,
                          absl::StatusCode code = kInvalid) {
    EXPECT_THAT(bad.Load(),
                StatusIs(code, AllOf(HasSubstr("layer l"), HasSubstr(fault))));
  };
  SavedLayer bad = good;
  bad.header["groups"] = 4;
  expect(bad, "codebooks is F16 [3, 8], expected F16 [4, 8]");
  bad.header["groups"] = 1 << 20;
  expect(bad, "groups 1048576");
  bad.header["groups"] = "3";
  expect(bad, "groups is not an integer");
  bad = good;
  bad.part("row_groups").bytes = "\x03";
  expect(bad, "group 3, of 3 groups");
  bad = good;
  bad.part("scales").bytes[1] = '\x7C';  // infinity
  expect(bad, "F16");
  bad = good;
  bad.tensors.erase(bad.tensors.begin() + 2);
  expect(bad, "l.row_groups", absl::StatusCode::kNotFound);
}

}  // namespace
}  // namespace quantd
