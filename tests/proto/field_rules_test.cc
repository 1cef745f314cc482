#include "proto/field_rules.h"

#include <cmath>
#include <limits>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "google/protobuf/text_format.h"
#include "quantd/v1/artifact.pb.h"
#include "quantd/v1/dataset.pb.h"
#include "quantd/v1/evaluation.pb.h"
#include "quantd/v1/grids.pb.h"
#include "quantd/v1/job.pb.h"
#include "quantd/v1/model.pb.h"
#include "quantd/v1/options.pb.h"
#include "quantd/v1/recipe.pb.h"
#include "quantd/v1/stages.pb.h"
#include "quantd/v1/worker.pb.h"
#include "tests/proto/every_kind.pb.h"
#include "tests/testing/status_matchers.h"

namespace quantd::test {
namespace {

using ::google::protobuf::Descriptor;
using ::google::protobuf::FileDescriptor;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

template <typename T>
T Parse(const std::string& text) {
  T message;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &message));
  return message;
}

// A message no rule objects to.
EveryKind ValidMessage() { return Parse<EveryKind>("id: 'a' words: 'w'"); }

TEST(FillDefaultsTest, SetsEveryKindOfScalar) {
  EveryKind message;
  FillDefaults(&message);
  EXPECT_EQ(message.i32(), -5);
  EXPECT_EQ(message.i64(), std::numeric_limits<int64_t>::min());
  EXPECT_EQ(message.u32(), std::numeric_limits<uint32_t>::max());
  EXPECT_EQ(message.u64(), std::numeric_limits<uint64_t>::max());
  EXPECT_EQ(message.f32(), 0.1f);
  EXPECT_EQ(message.f64(), 1e-7);
  EXPECT_TRUE(message.flag());
  EXPECT_EQ(message.text(), "hello");
  EXPECT_EQ(message.colour(), GREEN);
  EXPECT_EQ(message.mode(), "fast");
  EXPECT_EQ(message.step(), 2u);
}

TEST(FillDefaultsTest, LeavesWhatIsSetEvenToZero) {
  EveryKind message;
  message.set_i32(0);
  message.set_flag(false);
  message.set_text("");
  FillDefaults(&message);
  EXPECT_EQ(message.i32(), 0);
  EXPECT_FALSE(message.flag());
  EXPECT_EQ(message.text(), "");
}

TEST(FillDefaultsTest, DescendsIntoPresentMessagesListsAndMapsOnly) {
  EveryKind message;
  message.add_leaves();
  (*message.mutable_by_name())["x"];
  message.mutable_right();
  FillDefaults(&message);
  EXPECT_EQ(message.leaves(0).size(), 7u);
  EXPECT_EQ(message.by_name().at("x").size(), 7u);
  EXPECT_EQ(message.right().size(), 7u);
  EXPECT_FALSE(message.has_leaf());
  EXPECT_FALSE(message.has_child());
  EXPECT_FALSE(message.has_stage());
}

TEST(FillDefaultsTest, EmptyStageBecomesAFullDescription) {
  v1::Recipe recipe = Parse<v1::Recipe>("stages { gptq {} } stages { rtn {} }");
  FillDefaults(&recipe);
  const v1::GptqStage& gptq = recipe.stages(0).gptq();
  EXPECT_EQ(gptq.grid().affine().bits(), 4u);
  EXPECT_EQ(gptq.grid().affine().group_size(), 64);
  EXPECT_TRUE(gptq.has_act_order() && gptq.act_order());
  EXPECT_DOUBLE_EQ(gptq.damping(), 0.01);
  EXPECT_TRUE(recipe.stages(1).rtn().grid().affine().has_symmetric());
  // Nothing below a stage is left open.
  for (const FieldDescription& field :
       DescribeFields(*v1::GptqStage::descriptor())) {
    EXPECT_FALSE(field.default_value.empty()) << field.path;
  }
}

TEST(FillDefaultsTest, StageMessageByItselfIsFilledToo) {
  v1::RtnStage stage;
  FillDefaults(&stage);
  EXPECT_EQ(stage.grid().affine().bits(), 4u);
}

TEST(FillDefaultsTest, IsIdempotent) {
  v1::Recipe once = Parse<v1::Recipe>("stages { gptq {} }");
  FillDefaults(&once);
  v1::Recipe twice = once;
  FillDefaults(&twice);
  EXPECT_EQ(once.SerializeAsString(), twice.SerializeAsString());
}

struct ViolationCase {
  const char* name;
  const char* text;  // merged into a valid message
  const char* field;
  const char* description;
};

class ViolationTest : public ::testing::TestWithParam<ViolationCase> {};

TEST_P(ViolationTest, IsFoundWithPathAndReason) {
  EveryKind message = ValidMessage();
  ASSERT_TRUE(
      google::protobuf::TextFormat::MergeFromString(GetParam().text, &message));
  const auto violations = FindViolations(message, "spec");
  ASSERT_EQ(violations.size(), 1u);
  EXPECT_EQ(violations[0].field, GetParam().field);
  EXPECT_EQ(violations[0].description, GetParam().description);
}

INSTANTIATE_TEST_SUITE_P(
    Kinds, ViolationTest,
    ::testing::Values(
        ViolationCase{"BelowMin", "i32: -11", "spec.i32",
                      "-11 is out of range; must be in -10..10"},
        ViolationCase{"AboveMax", "i32: 11", "spec.i32",
                      "11 is out of range; must be in -10..10"},
        ViolationCase{"OneSided", "u64: 1", "spec.u64",
                      "1 is out of range; must be at least 2"},
        ViolationCase{"Float", "f32: -0.75", "spec.f32",
                      "-0.75 is out of range; must be at least -0.5"},
        ViolationCase{"Double", "f64: 1.1", "spec.f64",
                      "1.1 is out of range; must be at most 1"},
        ViolationCase{"NotANumber", "f64: nan", "spec.f64",
                      "nan is out of range; must be at most 1"},
        ViolationCase{"ShortText", "text: 'x'", "spec.text",
                      "is 1 bytes long; must be 2..8 bytes"},
        ViolationCase{"LongText", "text: '123456789'", "spec.text",
                      "is 9 bytes long; must be 2..8 bytes"},
        ViolationCase{"BytesThatAreNoText", "words: 'a\\377'", "spec.words[1]",
                      "\"a\\xff\" is not valid UTF-8"},
        ViolationCase{"AllowedText", "mode: 'slow'", "spec.mode",
                      "\"slow\" is not one of fast, exact"},
        ViolationCase{"AllowedNumber", "step: 3", "spec.step",
                      "\"3\" is not one of 1, 2, 4"},
        ViolationCase{"WithoutPresence", "without_presence: 4",
                      "spec.without_presence",
                      "4 is out of range; must be in 0..3"},
        ViolationCase{"TooManyElements", "numbers: [1, 1, 1, 1]",
                      "spec.numbers", "has 4 elements; must have at most 3"},
        ViolationCase{"BadElement", "numbers: [1, 9]", "spec.numbers[1]",
                      "\"9\" is not one of 1, 2, 3"},
        ViolationCase{"InMessage", "leaf { size: 10 }", "spec.leaf.size",
                      "10 is out of range; must be in 1..9 leaves"},
        ViolationCase{"InList", "leaves {} leaves { size: 0 }",
                      "spec.leaves[1].size",
                      "0 is out of range; must be in 1..9 leaves"},
        ViolationCase{"InMap", "by_name { key: 'k' value { size: 0 } }",
                      "spec.by_name[\"k\"].value.size",
                      "0 is out of range; must be in 1..9 leaves"},
        ViolationCase{"InOneof", "right { size: 0 }", "spec.right.size",
                      "0 is out of range; must be in 1..9 leaves"},
        ViolationCase{"UnknownEnum", "colour: 17", "spec.colour",
                      "17 is not one of RED, GREEN"},
        ViolationCase{"UnknownEnumElement", "colours: [RED, 9]",
                      "spec.colours[1]", "9 is not one of RED, GREEN"},
        ViolationCase{"DeepBelow", "child { id: 'a' words: 'w' i32: 99 }",
                      "spec.child.i32",
                      "99 is out of range; must be in -10..10"}),
    [](const auto& info) { return info.param.name; });

TEST(FindViolationsTest, BoundsAreInclusive) {
  for (const char* text :
       {"i32: -10", "i32: 10", "u64: 2", "f32: -0.5", "f64: 1", "text: 'xx'",
        "text: '12345678'", "numbers: [1, 2, 3]", "leaves {} leaves {}"}) {
    EveryKind message = ValidMessage();
    ASSERT_TRUE(google::protobuf::TextFormat::MergeFromString(text, &message));
    EXPECT_THAT(FindViolations(message), IsEmpty()) << text;
  }
}

TEST(FindViolationsTest, ReportsAllAtOnce) {
  const auto violations =
      FindViolations(Parse<EveryKind>("i32: 99 step: 3 leaf { size: 0 }"));
  std::vector<std::string> fields;
  for (const auto& violation : violations) fields.push_back(violation.field);
  EXPECT_THAT(fields, ElementsAre("i32", "step", "id", "leaf.size", "words"));
}

TEST(FindViolationsTest, RequiredMeansPresentAndNotEmpty) {
  v1::CreateJobRequest request;
  EXPECT_THAT(Validate(request), StatusIs(absl::StatusCode::kInvalidArgument,
                                          HasSubstr("spec: must be set")));
  request.mutable_spec()->mutable_quantize();
  EXPECT_THAT(Validate(request),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("spec.quantize.model: must be set")));
  request.mutable_spec()->mutable_quantize()->set_model("m");
  EXPECT_THAT(Validate(request), IsOk());
}

TEST(FindViolationsTest, OutputOnlyFieldsAreNotChecked) {
  EveryKind message = ValidMessage();
  message.set_secret("far too long");
  EXPECT_THAT(FindViolations(message), IsEmpty());
}

TEST(FindViolationsTest, ResourceIds) {
  EveryKind message = ValidMessage();
  for (const std::string& id :
       {std::string("a"), std::string("0"), std::string("tiny-llama-7m"),
        std::string("A.b_c-9"), std::string(128, 'x')}) {
    message.set_id(id);
    EXPECT_THAT(Validate(message), IsOk()) << id;
  }
  for (const std::string& id :
       {std::string("-a"), std::string("a-"), std::string("."),
        std::string("a/b"), std::string("a b"), std::string("models/a"),
        std::string("\xc3\xa9"), std::string("a\nb"), std::string(129, 'x')}) {
    message.set_id(id);
    EXPECT_THAT(Validate(message),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         AllOf(HasSubstr("id: "), HasSubstr("valid name"))))
        << id;
  }
}

TEST(ValidateTest, CarriesViolationsThroughAnnotate) {
  absl::Status status = Validate(Parse<EveryKind>("i32: 99"), "request");
  status = Annotate(status, "job 7");
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kInvalidArgument,
                               HasSubstr("job 7: request.i32: 99")));
  const auto violations = ViolationsOf(status);
  ASSERT_EQ(violations.size(), 3u);
  EXPECT_EQ(violations[0].field, "request.i32");
  EXPECT_EQ(violations[1].field, "request.id");
}

TEST(ValidateTest, OtherStatusesCarryNone) {
  EXPECT_THAT(ViolationsOf(absl::OkStatus()), IsEmpty());
  EXPECT_THAT(ViolationsOf(absl::NotFoundError("x")), IsEmpty());
  absl::Status broken = absl::InvalidArgumentError("x");
  broken.SetPayload("type.googleapis.com/google.rpc.BadRequest",
                    absl::Cord("\xff\xff\xff"));
  EXPECT_THAT(ViolationsOf(broken), IsEmpty());
}

TEST(InvalidFieldTest, NamesTheField) {
  const absl::Status status = InvalidField("spec.after[0]", "no such job");
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kInvalidArgument,
                               "spec.after[0]: no such job"));
  ASSERT_EQ(ViolationsOf(status).size(), 1u);
  EXPECT_EQ(ViolationsOf(status)[0].description, "no such job");
}

TEST(ClearOutputOnlyTest, ClearsEverywhereAndNothingElse) {
  EveryKind message = Parse<EveryKind>(
      "id: 'a' secret: 's' child { secret: 's' i32: 3 } leaf { size: 3 }");
  ClearOutputOnly(&message);
  EXPECT_EQ(message.ShortDebugString(),
            Parse<EveryKind>("id: 'a' child { i32: 3 } leaf { size: 3 }")
                .ShortDebugString());
  v1::Model model = Parse<v1::Model>("name: 'n' parameters: 3 digest: 'd'");
  ClearOutputOnly(&model);
  EXPECT_EQ(model.ShortDebugString(), "name: \"n\"");
}

const FieldDescription* Find(const std::vector<FieldDescription>& fields,
                             const std::string& path) {
  for (const auto& field : fields) {
    if (field.path == path) return &field;
  }
  return nullptr;
}

TEST(DescribeFieldsTest, SaysAllTheRulesSay) {
  const auto fields = DescribeFields(*v1::GptqStage::descriptor());
  const FieldDescription* bits = Find(fields, "grid.affine.bits");
  ASSERT_NE(bits, nullptr);
  EXPECT_EQ(fields[0].path, "grid.affine.bits");  // declaration order, depth first
  EXPECT_EQ(bits->type, "uint32");
  EXPECT_EQ(bits->help, "Bits per code");
  EXPECT_EQ(bits->default_value, "4");
  EXPECT_EQ(bits->range, "2..8");
  EXPECT_EQ(bits->unit, "bits");
  EXPECT_THAT(bits->citation, HasSubstr("2210.17323"));
  EXPECT_FALSE(bits->required);
  ASSERT_NE(Find(fields, "damping"), nullptr);
  EXPECT_EQ(Find(fields, "damping")->type, "double");
}

TEST(DescribeFieldsTest, CoversEveryKind) {
  const auto fields = DescribeFields(*EveryKind::descriptor());
  const std::map<std::string, std::pair<std::string, std::string>> expected = {
      {"i32", {"int32", "-10..10"}},
      {"u64", {"uint64", "at least 2"}},
      {"f64", {"double", "at most 1"}},
      {"text", {"string", "2..8 bytes"}},
      {"colour", {"Colour", "one of RED, GREEN"}},
      {"mode", {"string", "one of fast, exact"}},
      {"numbers", {"list of uint32", "one of 1, 2, 3"}},
      {"leaves[].size", {"uint32", "1..9"}},
      {"by_name", {"map<string, Leaf>", ""}},
      {"leaf.size", {"uint32", "1..9"}},
      {"left.size", {"uint32", "1..9"}},
      {"time", {"Timestamp", ""}},
      {"stage.gptq.grid.affine.bits", {"uint32", "2..8"}},
  };
  for (const auto& [path, description] : expected) {
    const FieldDescription* field = Find(fields, path);
    ASSERT_NE(field, nullptr) << path;
    EXPECT_EQ(field->type, description.first) << path;
    EXPECT_EQ(field->range, description.second) << path;
  }
  EXPECT_TRUE(Find(fields, "id")->required);
  EXPECT_EQ(Find(fields, "secret"), nullptr);     // output only
  EXPECT_EQ(Find(fields, "child.i32"), nullptr);  // a type inside itself
}

// The rules of the contract itself: a default that does not parse or lies
// outside its own range would only be noticed when it is used.
class ContractTest : public ::testing::TestWithParam<const FileDescriptor*> {
 protected:
  static void CheckType(const Descriptor& type) {
    for (int i = 0; i < type.nested_type_count(); ++i) {
      CheckType(*type.nested_type(i));
    }
    const auto* prototype =
        google::protobuf::MessageFactory::generated_factory()->GetPrototype(
            &type);
    std::unique_ptr<google::protobuf::Message> message(prototype->New());
    for (int i = 0; i < type.field_count(); ++i) {
      const auto& field = *type.field(i);
      const auto& rules = field.options().GetExtension(v1::rules);
      if (!rules.default_value().empty()) {
        EXPECT_TRUE(field.has_presence()) << field.full_name();
        EXPECT_FALSE(field.is_repeated()) << field.full_name();
        EXPECT_THAT(
            SetField(message.get(), field.name(), rules.default_value()),
            IsOk())
            << field.full_name();
      }
      for (const std::string& bound : {rules.min(), rules.max()}) {
        if (bound.empty()) continue;
        char* end = nullptr;
        std::strtod(bound.c_str(), &end);
        EXPECT_EQ(*end, '\0') << field.full_name() << ": bound " << bound;
      }
    }
    // Fails here rather than in production when a default does not parse.
    FillDefaults(message.get());
    for (const auto& violation : FindViolations(*message)) {
      EXPECT_THAT(violation.description,
                  ::testing::AnyOf(HasSubstr("must be set"),
                                   HasSubstr("has 0 elements"),
                                   HasSubstr("must not be empty")))
          << type.full_name() << "." << violation.field;
    }
  }
};

TEST_P(ContractTest, RulesAreConsistent) {
  for (int i = 0; i < GetParam()->message_type_count(); ++i) {
    CheckType(*GetParam()->message_type(i));
  }
}

TEST_P(ContractTest, StageOptionsAreDocumented) {
  const Descriptor* stage = v1::Stage::descriptor();
  if (GetParam() != stage->file()) return;
  for (int i = 0; i < stage->field_count(); ++i) {
    for (const auto& field : DescribeFields(*stage->field(i)->message_type())) {
      EXPECT_FALSE(field.help.empty()) << field.path;
      EXPECT_FALSE(field.citation.empty()) << field.path;
      EXPECT_FALSE(field.default_value.empty()) << field.path;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(
    Files, ContractTest,
    ::testing::Values(
        v1::Artifact::descriptor()->file(), v1::Dataset::descriptor()->file(),
        v1::Evaluation::descriptor()->file(), v1::Job::descriptor()->file(),
        v1::Model::descriptor()->file(), v1::Recipe::descriptor()->file(),
        v1::Assignment::descriptor()->file(), v1::Grid::descriptor()->file(),
        v1::RtnStage::descriptor()->file()),
    [](const auto& info) {
      std::string name = info.param->name();
      name = name.substr(name.rfind('/') + 1);
      return name.substr(0, name.find('.'));
    });

}  // namespace
}  // namespace quantd::test
