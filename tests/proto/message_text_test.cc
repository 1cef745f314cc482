#include "proto/message_text.h"

#include "proto/field_rules.h"
#include "tests/proto/every_kind.pb.h"
#include "tests/testing/status_matchers.h"

namespace quantd::test {
namespace {

using ::testing::HasSubstr;

TEST(MessageTextTest, BytesThatAreNoTextAreFoundWhereverTheyAre) {
  EveryKind message;
  message.set_text("a\xC3\xA9");
  message.set_blob("\xFF");  // bytes may be any
  EXPECT_THAT(CheckStrings(message), IsOk());
  const auto refused = [](const EveryKind& broken) {
    const auto violations = ViolationsOf(CheckStrings(broken));
    return violations.empty() ? "" : violations[0].field;
  };
  EveryKind broken = message;
  broken.set_text("a\xFF");
  EXPECT_THAT(CheckStrings(broken),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("text: \"a\\xff\" is not valid UTF-8")));
  broken = message;
  broken.add_words("good");
  broken.add_words("\xC3");
  EXPECT_EQ(refused(broken), "words[1]");
  broken = message;
  broken.mutable_child()->set_id("\xFF");
  EXPECT_EQ(refused(broken), "child.id");
  broken = message;
  (*broken.mutable_by_name())["\xFF"];
  EXPECT_EQ(refused(broken), "by_name[0].key");
}

}  // namespace
}  // namespace quantd::test
