#include <random>
#include <string>
#include <vector>

#include "google/protobuf/text_format.h"
#include "google/protobuf/util/message_differencer.h"
#include "proto/field_rules.h"
#include "quantd/v1/job.pb.h"
#include "quantd/v1/recipe.pb.h"
#include "tests/proto/every_kind.pb.h"
#include "tests/testing/status_matchers.h"

namespace quantd::test {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

template <typename T>
T Parse(const std::string& text) {
  T message;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &message));
  return message;
}

v1::Recipe GptqRecipe() {
  return Parse<v1::Recipe>("name: 'gptq' stages { gptq {} }");
}

auto Invalid(const std::string& part) {
  return StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(part));
}

struct AssignmentCase {
  const char* assignment;
  const char* expected;  // text format of an EveryKind that started empty
};

class AssignmentTest : public ::testing::TestWithParam<AssignmentCase> {};

TEST_P(AssignmentTest, SetsTheField) {
  EveryKind message;
  ASSERT_THAT(ApplyAssignment(&message, GetParam().assignment), IsOk());
  EXPECT_TRUE(google::protobuf::util::MessageDifferencer::Equals(
      message, Parse<EveryKind>(GetParam().expected)))
      << message.ShortDebugString();
}

INSTANTIATE_TEST_SUITE_P(
    Kinds, AssignmentTest,
    ::testing::Values(
        AssignmentCase{"i32=-10", "i32: -10"},
        AssignmentCase{" i32 = 7 ", "i32: 7"},
        AssignmentCase{"i32=+7", "i32: 7"},
        AssignmentCase{"i64=-9223372036854775808", "i64: -9223372036854775808"},
        AssignmentCase{"u32=4294967295", "u32: 4294967295"},
        AssignmentCase{"u64=18446744073709551615", "u64: 18446744073709551615"},
        AssignmentCase{"f32=0.25", "f32: 0.25"},
        AssignmentCase{"f64=-1e-3", "f64: -0.001"},
        AssignmentCase{"flag=true", "flag: true"},
        AssignmentCase{"flag=0", "flag: false"},
        AssignmentCase{"text=a=b", "text: 'a=b'"},
        AssignmentCase{"blob=", "blob: ''"},
        AssignmentCase{"colour=RED", "colour: RED"},
        AssignmentCase{"colour=green", "colour: GREEN"},
        AssignmentCase{"mode=exact", "mode: 'exact'"},
        AssignmentCase{"step=4", "step: 4"},
        AssignmentCase{"without_presence=3", "without_presence: 3"},
        AssignmentCase{"numbers=3,1", "numbers: [3, 1]"},
        AssignmentCase{"numbers=", ""},
        AssignmentCase{"colours=RED,GREEN", "colours: [RED, GREEN]"},
        AssignmentCase{"leaf.size=9", "leaf { size: 9 }"},
        AssignmentCase{"size=9", "leaf { size: 9 }"}));

struct RefusalCase {
  const char* assignment;
  const char* message;
};

class RefusalTest : public ::testing::TestWithParam<RefusalCase> {};

TEST_P(RefusalTest, SaysWhyAndChangesNothing) {
  const EveryKind before = Parse<EveryKind>("numbers: [2] leaves {} leaves {}");
  EveryKind message = before;
  EXPECT_THAT(ApplyAssignment(&message, GetParam().assignment),
              Invalid(GetParam().message));
  EXPECT_EQ(message.SerializeAsString(), before.SerializeAsString());
}

INSTANTIATE_TEST_SUITE_P(
    Kinds, RefusalTest,
    ::testing::Values(
        RefusalCase{"i32", "i32: must have the form key=value"},
        RefusalCase{"", "must have the form key=value"},
        RefusalCase{"=3", "no such option"},
        RefusalCase{"i32=", "i32: \"\" is not a whole number"},
        RefusalCase{"i32=3.5", "i32: \"3.5\" is not a whole number"},
        RefusalCase{"i32=0x10", "is not a whole number"},
        RefusalCase{"i32=11", "i32: 11 is out of range; must be in -10..10"},
        RefusalCase{"i32=2147483648", "i32: \"2147483648\" is not in -10..10"},
        RefusalCase{"u32=-1", "u32: \"-1\" is not in the range of uint32"},
        RefusalCase{"u32=4294967296", "is not in the range of uint32"},
        RefusalCase{"i64=9223372036854775808", "is not in the range of int64"},
        RefusalCase{"u64=99999999999999999999999999999999999999999999",
                    "is not in the range of uint64"},
        RefusalCase{"f64=x", "f64: \"x\" is not a number"},
        RefusalCase{"f64=inf", "f64: \"inf\" is not a finite number"},
        RefusalCase{"f64=nan", "f64: \"nan\" is not a finite number"},
        RefusalCase{"f64=1e999", "f64: \"1e999\" is not a finite number"},
        RefusalCase{"f32=1e39", "f32: \"1e39\" is not a finite number"},
        RefusalCase{"f64=1.5", "f64: 1.5 is out of range; must be at most 1"},
        RefusalCase{"flag=maybe", "\"maybe\" is not a bool (true or false)"},
        RefusalCase{"colour=BLUE", "\"BLUE\" is not one of RED, GREEN"},
        RefusalCase{"mode=slow", "mode: \"slow\" is not one of fast, exact"},
        RefusalCase{"text=x", "text: is 1 bytes long; must be 2..8 bytes"},
        RefusalCase{"text=\xff\xff", "text: \"\\xff\\xff\" is not valid UTF-8"},
        RefusalCase{"\xff=1", "\\xff: no such option"},
        RefusalCase{"id=a/b", "id: \"a/b\" is no valid name"},
        RefusalCase{"id=", "id: must not be empty"},
        RefusalCase{"words=", "words: must not be empty"},
        RefusalCase{"numbers=1,1,1,1", "has 4 elements; must have at most 3"},
        RefusalCase{"numbers=1,7", "\"7\" is not one of 1, 2, 3"},
        RefusalCase{"secret=x", "secret: no such option"},
        RefusalCase{"left.size=3", "left.size: no such option"},
        RefusalCase{"by_name=x", "by_name: no such option"},
        RefusalCase{"leaf=x", "leaf: no such option"},
        RefusalCase{"child.child.i32=3", "child.child.i32: no such option"},
        RefusalCase{"size=3",
                    "size: is ambiguous; candidates: leaves[0].size, "
                    "leaves[1].size, leaf.size"},
        RefusalCase{"leaves[0].size=10",
                    "leaves[0].size: 10 is out of range; must be in 1..9 "
                    "leaves"},
        RefusalCase{"leaves[2].size=3", "leaves[2].size: no such option"}));

TEST(SetFieldTest, SuffixesReachIntoTheStages) {
  for (const char* path :
       {"bits", "affine.bits", "gptq.grid.affine.bits",
        "stages.gptq.grid.affine.bits", "stages[0].gptq.grid.affine.bits"}) {
    v1::Recipe recipe = GptqRecipe();
    ASSERT_THAT(SetField(&recipe, path, "3"), IsOk()) << path;
    EXPECT_EQ(recipe.stages(0).gptq().grid().affine().bits(), 3u) << path;
  }
}

TEST(SetFieldTest, GroupSizeMayBeMinusOneForPerChannel) {
  v1::Recipe recipe = GptqRecipe();
  ASSERT_THAT(ApplyAssignment(&recipe, "group_size=-1"), IsOk());
  EXPECT_EQ(recipe.stages(0).gptq().grid().affine().group_size(), -1);
}

TEST(SetFieldTest, SameOptionOfSeveralStagesIsSetInAll) {
  v1::Recipe recipe =
      Parse<v1::Recipe>("stages { rtn {} } stages { gptq {} } stages {}");
  ASSERT_THAT(SetField(&recipe, "bits", "2"), IsOk());
  EXPECT_EQ(recipe.stages(0).rtn().grid().affine().bits(), 2u);
  EXPECT_EQ(recipe.stages(1).gptq().grid().affine().bits(), 2u);
  EXPECT_EQ(recipe.stages(2).kind_case(), v1::Stage::KIND_NOT_SET);
  ASSERT_THAT(SetField(&recipe, "gptq.grid.affine.bits", "8"), IsOk());
  EXPECT_EQ(recipe.stages(0).rtn().grid().affine().bits(), 2u);
  EXPECT_EQ(recipe.stages(1).gptq().grid().affine().bits(), 8u);
}

TEST(SetFieldTest, FullPathWinsOverSuffix) {
  EveryKind message = Parse<EveryKind>("child { i32: 1 }");
  ASSERT_THAT(SetField(&message, "i32", "2"), IsOk());
  EXPECT_EQ(message.i32(), 2);
  EXPECT_EQ(message.child().i32(), 1);
}

TEST(SetFieldTest, TwoFieldsOfOneTypeInOneMessageAreAmbiguous) {
  EveryKind message = Parse<EveryKind>("left {}");
  EXPECT_THAT(SetField(&message, "size", "3"),
              Invalid("size: is ambiguous; candidates: leaf.size, left.size"));
  EXPECT_THAT(SetField(&message, "left.size", "3"), IsOk());
  EXPECT_EQ(message.left().size(), 3u);
}

TEST(SetFieldTest, IndexNamesOneElement) {
  EveryKind message = Parse<EveryKind>("leaves {} leaves {}");
  ASSERT_THAT(SetField(&message, "leaves[1].size", "3"), IsOk());
  EXPECT_FALSE(message.leaves(0).has_size());
  EXPECT_EQ(message.leaves(1).size(), 3u);
  ASSERT_THAT(SetField(&message, "leaves.size", "4"), IsOk());
  EXPECT_EQ(message.leaves(0).size(), 4u);
  EXPECT_EQ(message.leaves(1).size(), 4u);
}

TEST(SetFieldTest, UnknownOptionNamesTheClosestAndAll) {
  v1::Recipe recipe = GptqRecipe();
  const absl::Status status = SetField(&recipe, "bit", "3");
  EXPECT_THAT(status,
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(StartsWith("bit: no such option; did you mean "
                                        "bits?"),
                             HasSubstr("group_size"), HasSubstr("damping"))));
  ASSERT_EQ(ViolationsOf(status).size(), 1u);
  EXPECT_EQ(ViolationsOf(status)[0].field, "bit");
  EXPECT_THAT(SetField(&recipe, "groupsize", "3"),
              Invalid("did you mean group_size?"));
  EXPECT_THAT(SetField(&recipe, "group", "3"), Invalid("group_size"));
  EXPECT_THAT(SetField(&recipe, "BITS", "3"), Invalid("did you mean bits?"));
  EXPECT_THAT(
      SetField(&recipe, "qqqqqqqq", "3"),
      StatusIs(absl::StatusCode::kInvalidArgument,
               AllOf(Not(HasSubstr("did you mean")), HasSubstr("valid: "))));
}

TEST(SetFieldTest, OptionOfAnotherStageIsUnknown) {
  v1::Recipe recipe = Parse<v1::Recipe>("stages { rtn {} }");
  EXPECT_THAT(SetField(&recipe, "damping", "0.1"),
              Invalid("damping: no such option"));
}

TEST(SetFieldTest, MessageWithoutFieldsHasNothingToSet) {
  v1::ListRecipesRequest request;
  v1::Stage stage;
  EXPECT_THAT(SetField(&stage, "bits", "3"), Invalid("there are none to set"));
}

TEST(SetFieldTest, ErrorsQuoteOnlyTheBeginningOfLongValues) {
  EveryKind message;
  const absl::Status status =
      SetField(&message, "i32", std::string(100000, 'x'));
  EXPECT_THAT(status, Invalid("is not a whole number"));
  EXPECT_LT(status.message().size(), 200u);
}

// Every field that DescribeFields() names below the stages of a recipe can be
// set to its own default by its full path and by every suffix it is told.
TEST(SetFieldTest, EveryDescribedOptionAcceptsItsDefault) {
  const v1::Recipe start = GptqRecipe();
  v1::Recipe full = start;
  FillDefaults(&full);
  for (const FieldDescription& field : DescribeFields(full.stages(0).gptq())) {
    v1::Recipe recipe = start;
    EXPECT_THAT(SetField(&recipe, field.path, field.default_value), IsOk())
        << field.path;
  }
}

// Random paths and values out of pieces that mean something: never a crash,
// never a half-done change, and a message that was valid stays valid.
TEST(SetFieldTest, RandomAssignmentsKeepTheMessageValid) {
  const std::vector<std::string> pieces = {
      "stages",  "stages[0]",   "stages[1]", "stages[-1]", "stages[",
      "gptq",    "rtn",         "grid",      "bits",       "group_size",
      "damping", "shrink_norm", "i32",       "f64",        "leaf",
      "leaves",  "leaves[0]",   "size",      "child",      "numbers",
      "colour",  "mode",        "id",        "words",      "",
      ".",       "..",          "\xff",      "by_name",    "stage",
      "kind",    "text",        "secret",    "time",       "seconds"};
  const std::vector<std::string> values = {"",
                                           "0",
                                           "1",
                                           "-1",
                                           "2",
                                           "3",
                                           "8",
                                           "9",
                                           "64",
                                           "1e-3",
                                           "1e400",
                                           "nan",
                                           "true",
                                           "GREEN",
                                           "fast",
                                           "1,2",
                                           "1,,2",
                                           ",",
                                           "x",
                                           "a/b",
                                           "\xff\xfe",
                                           "18446744073709551616",
                                           "-9223372036854775809",
                                           std::string(1000, '7')};
  std::mt19937 random(7);
  const auto pick = [&](const std::vector<std::string>& from) {
    return from[random() % from.size()];
  };
  EveryKind message = Parse<EveryKind>(
      "id: 'a' words: 'w' leaves {} leaves {} stage { gptq {} } "
      "child { id: 'b' words: 'v' leaf {} }");
  ASSERT_THAT(Validate(message), IsOk());
  int accepted = 0;
  for (int i = 0; i < 20000; ++i) {
    std::string path = pick(pieces);
    for (size_t k = random() % 3; k > 0; --k) path += "." + pick(pieces);
    const std::string before = message.SerializePartialAsString();
    const absl::Status status = SetField(&message, path, pick(values));
    if (status.ok()) {
      ++accepted;
      ASSERT_THAT(Validate(message), IsOk()) << path;
    } else {
      ASSERT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
      ASSERT_EQ(ViolationsOf(status).size(), 1u);
      ASSERT_EQ(message.SerializePartialAsString(), before) << path;
    }
  }
  EXPECT_GT(accepted, 100);
}

}  // namespace
}  // namespace quantd::test
