#include "tests/methods/method_gates.h"

#include <cmath>
#include <string>

#include "gmock/gmock.h"
#include "tests/methods/method_record.h"
#include "tests/methods/method_rows.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_dir.h"

namespace quantd::test {
namespace {

using ::testing::HasSubstr;

constexpr char kRows[] = R"(
# a comment
row rtn-2    | 2 | rtn  | bits=2
row rtn-3    | 3 | rtn  | bits=3
row rtn-3-up | 3 | rtn  | bits=3 group_size=64
row rtn-4    | 4 | rtn  | bits=4
row good     | 3 | gptq | bits=3
row bad      | 3 | awq  | bits=3
gate good beats bad | kl | good | 1 | bad
gate bad is far off | kl | bad | 0.5 | good
gate every block gains | unimproved_blocks | good | 1 | 0
gate the best of few bits | kl | best<=3.4 | 1 | rtn-3
gate nobody measured it | weight_error | good | 1 | bad
)";

MethodResult Result(double bits, double kl, bool calibrated) {
  MethodResult result;
  result.stored_bits = bits;
  result.kl = kl;
  result.calibrated = calibrated;
  return result;
}

TEST(MethodGatesTest, RowsAreHeldAgainstTheLadderAndEachOther) {
  ASSERT_OK_AND_ASSIGN(const MethodComparison comparison,
                       ParseMethodComparison(kRows));
  // ln KL falls by 1.5 a bit; rtn-3-up lies above that line.
  MethodResults results = {
      {"rtn-2", Result(2, std::exp(-1.5), false)},
      {"rtn-3", Result(3, std::exp(-3.0), false)},
      {"rtn-3-up", Result(3.5, std::exp(-3.1), false)},
      {"rtn-4", Result(4, std::exp(-4.5), false)},
      {"good", Result(3.5, std::exp(-3.76), true)},
      {"bad", Result(3.5, std::exp(-3.74), true)},
  };
  results["good"].unimproved_blocks = 0;
  const auto verdicts = JudgeGates(comparison, results);
  ASSERT_EQ(verdicts.size(), 7u);
  EXPECT_THAT(verdicts[0].name, HasSubstr("good is nearer"));
  EXPECT_TRUE(verdicts[0].holds) << verdicts[0].numbers;
  EXPECT_THAT(verdicts[1].name, HasSubstr("bad is nearer"));
  EXPECT_FALSE(verdicts[1].holds) << verdicts[1].numbers;
  EXPECT_TRUE(verdicts[2].holds);
  EXPECT_FALSE(verdicts[3].holds);
  EXPECT_THAT(verdicts[3].numbers, HasSubstr("> 0.5 x good"));
  EXPECT_TRUE(verdicts[4].holds) << verdicts[4].numbers;
  EXPECT_THAT(verdicts[5].numbers, HasSubstr("rtn-3 0.04979 <= rtn-3"));
  EXPECT_FALSE(verdicts[6].measured);
  EXPECT_FALSE(verdicts[6].holds);
  results["good"].unimproved_blocks = 1;
  EXPECT_FALSE(JudgeGates(comparison, results)[4].holds);
}

TEST(MethodRecordTest, KeepsARowUntilItsSettingsChange) {
  TempDir directory;
  const std::string path = directory.File("methods.json");
  ASSERT_OK_AND_ASSIGN(const MethodComparison comparison,
                       ParseMethodComparison(kRows));
  MethodRow row = comparison.rows[4];
  {
    ASSERT_OK_AND_ASSIGN(MethodRecord record, MethodRecord::Open(path, "a"));
    EXPECT_FALSE(record.Find(row).has_value());
    MethodResult result = Result(3.25, 0.125, true);
    result.stages = {"gptq"};
    result.unimproved_blocks = 2;
    ASSERT_TRUE(record.Put(row, result).ok());
    MethodContext context;
    context.original_perplexity = 9;
    context.metric = "divergence/gptq-512";
    ASSERT_TRUE(record.PutOriginal(context).ok());
  }
  ASSERT_OK_AND_ASSIGN(const MethodRecord record,
                       MethodRecord::Open(path, "a"));
  const auto kept = record.Find(row);
  ASSERT_TRUE(kept.has_value());
  EXPECT_EQ(kept->stored_bits, 3.25);
  EXPECT_EQ(kept->kl, 0.125);
  EXPECT_TRUE(kept->calibrated);
  EXPECT_EQ(kept->stages, std::vector<std::string>{"gptq"});
  EXPECT_EQ(kept->unimproved_blocks, 2);
  MethodContext context;
  ASSERT_TRUE(record.FillOriginal(&context).ok());
  EXPECT_EQ(context.original_perplexity, 9);
  EXPECT_EQ(context.metric, "divergence/gptq-512");
  row.settings.push_back("seed=2");
  EXPECT_FALSE(record.Find(row).has_value());
  row.settings.pop_back();
  ASSERT_OK_AND_ASSIGN(const MethodRecord other, MethodRecord::Open(path, "b"));
  EXPECT_FALSE(other.Find(row).has_value());
}

}  // namespace
}  // namespace quantd::test
