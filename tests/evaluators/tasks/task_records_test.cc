#include "evaluators/tasks/task_records.h"

#include <bzlib.h>

#include <string>
#include <vector>

#include "base/bzip2.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/status_matchers.h"

namespace quantd::test {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::SizeIs;

constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;
constexpr auto kExhausted = absl::StatusCode::kResourceExhausted;

absl::StatusOr<std::vector<TaskRecord>> Parse(absl::string_view data,
                                              std::vector<RecordFormat> formats,
                                              const RecordLimits& limits = {}) {
  return ParseTaskRecords(data, formats, "data", limits);
}

absl::StatusOr<std::vector<TaskRecord>> Json(absl::string_view data) {
  return Parse(data, {RecordFormat::kJson});
}

absl::StatusOr<std::vector<TaskRecord>> Csv(absl::string_view data) {
  return Parse(data, {RecordFormat::kCsv});
}

std::string Compress(std::string text) {
  std::string compressed(text.size() + 1000, '\0');
  unsigned int size = static_cast<unsigned int>(compressed.size());
  EXPECT_EQ(
      BZ2_bzBuffToBuffCompress(compressed.data(), &size, text.data(),
                               static_cast<unsigned int>(text.size()), 1, 0, 0),
      BZ_OK);
  compressed.resize(size);
  return compressed;
}

TEST(TaskRecordsTest, JsonLinesKeepOrderAndLines) {
  ASSERT_OK_AND_ASSIGN(const auto records,
                       Json("{\"a\": 1}\n\n  {\"a\": \"x\\ny\"}\n"));
  ASSERT_THAT(records, SizeIs(2));
  EXPECT_EQ(records[0].line, 1u);
  EXPECT_EQ(records[0].fields["a"], 1);
  EXPECT_EQ(records[1].line, 3u);
  EXPECT_EQ(records[1].fields["a"], "x\ny");
}

TEST(TaskRecordsTest, JsonArraysAndObjectsOverSeveralLinesAreRead) {
  ASSERT_OK_AND_ASSIGN(const auto records,
                       Json("[\n {\"a\": [1, {\"b\": \"]}\\\"\"}]},\n"
                            " {\n  \"a\": 2\n }\n]\n"));
  ASSERT_THAT(records, SizeIs(2));
  EXPECT_EQ(records[0].line, 2u);
  EXPECT_EQ(records[0].fields["a"][1]["b"], "]}\"");
  EXPECT_EQ(records[1].line, 3u);
  EXPECT_THAT(Json("{\n\"a\": 1}\r\n{\"a\": 2}"), IsOk());
}

TEST(TaskRecordsTest, ByteOrderMarkIsDropped) {
  ASSERT_OK_AND_ASSIGN(const auto records, Csv("\xEF\xBB\xBF"
                                               "a\nx\n"));
  EXPECT_EQ(records[0].fields["a"], "x");
}

TEST(TaskRecordsTest, JsonFaultsNameTheLine) {
  EXPECT_THAT(Json("{\"a\": 1}\n{\"a\": }\n"),
              StatusIs(kInvalid, HasSubstr("data: line 2: ")));
  EXPECT_THAT(
      Json("{\"a\": 1}\n5\n"),
      StatusIs(kInvalid, HasSubstr("line 2: expected a JSON object, got 5")));
  EXPECT_THAT(Json("[{\"a\": 1} {\"a\": 2}]"),
              StatusIs(kInvalid, HasSubstr("expected a comma")));
  EXPECT_THAT(Json("[{\"a\": 1},\n{\"a\": 2}\n"),
              StatusIs(kInvalid, HasSubstr("line 1: the array that begins")));
  EXPECT_THAT(Json("[{\"a\": 1}]\nx"),
              StatusIs(kInvalid, HasSubstr("line 2: text behind the array")));
  EXPECT_THAT(Json("{\"a\": 1, \"a\": 2}"),
              StatusIs(kInvalid, HasSubstr("appears twice")));
  EXPECT_THAT(Json("{\"a\": \"cut"), StatusIs(kInvalid, HasSubstr("line 1")));
  EXPECT_THAT(Json("\n"), StatusIs(kInvalid, HasSubstr("no records")));
  EXPECT_THAT(Json("[]"), StatusIs(kInvalid, HasSubstr("no records")));
  EXPECT_THAT(Json("{\"a\": 1}\n{\"a\": \"\xFF\"}"),
              StatusIs(kInvalid, HasSubstr("line 2: not UTF-8")));
}

TEST(TaskRecordsTest, DeepAndLargeInputIsRefused) {
  const std::string deep = "{\"a\": " + std::string(100'000, '[');
  EXPECT_THAT(Json(deep), StatusIs(kInvalid, HasSubstr("levels deep")));
  EXPECT_THAT(Json(std::string(100'000, '[')),
              StatusIs(kInvalid, HasSubstr("")));
  RecordLimits limits;
  limits.max_record_bytes = 20;
  EXPECT_THAT(
      Parse("{\"a\": \"0123456789abcdef\"}", {RecordFormat::kJson}, limits),
      StatusIs(kExhausted, HasSubstr("more than 20 bytes")));
  EXPECT_THAT(
      Parse("a\n\"0123456789\n0123456789\n\"", {RecordFormat::kCsv}, limits),
      StatusIs(kExhausted, HasSubstr("line 2: ")));
  limits = {};
  limits.max_records = 1;
  EXPECT_THAT(Parse("{}\n{}\n", {RecordFormat::kJson}, limits),
              StatusIs(kExhausted, HasSubstr("more than 1 records")));
  limits = {};
  limits.max_bytes = 3;
  EXPECT_THAT(Parse("{}\n{}\n", {RecordFormat::kJson}, limits),
              StatusIs(kExhausted, HasSubstr("larger than 3 bytes")));
}

TEST(TaskRecordsTest, CsvFollowsRfc4180) {
  ASSERT_OK_AND_ASSIGN(const auto records, Csv("name,\"the text\"\r\n"
                                               "one,\"a, \"\"b\"\"\nc\"\r\n"
                                               "\r\n"
                                               "two,\n"));
  ASSERT_THAT(records, SizeIs(2));
  EXPECT_EQ(records[0].line, 2u);
  EXPECT_EQ(records[0].fields["the text"], "a, \"b\"\nc");
  EXPECT_EQ(records[1].line, 5u);
  EXPECT_EQ(records[1].fields["the text"], "");
}

TEST(TaskRecordsTest, CsvFaultsNameTheLine) {
  EXPECT_THAT(Csv("a,b\n1\n"),
              StatusIs(kInvalid, AllOf(HasSubstr("line 2: 1 values"),
                                       HasSubstr("names 2 columns"))));
  EXPECT_THAT(Csv("a,a\n1,2\n"),
              StatusIs(kInvalid, HasSubstr("column \"a\" appears twice")));
  EXPECT_THAT(Csv("a,\n1,2\n"),
              StatusIs(kInvalid, HasSubstr("column 2 has no name")));
  EXPECT_THAT(Csv("a\n\"x\n"),
              StatusIs(kInvalid, HasSubstr("line 2: a quote is not closed")));
  EXPECT_THAT(Csv("a\n\"x\"y\n"),
              StatusIs(kInvalid, HasSubstr("text behind a closing quote")));
  EXPECT_THAT(Csv("a\nx\"y\n"),
              StatusIs(kInvalid, HasSubstr("a quote inside a value")));
  EXPECT_THAT(Csv("a,b\n"), StatusIs(kInvalid, HasSubstr("no records")));
}

TEST(TaskRecordsTest, TsvHasTabsAndTakesQuotesAsText) {
  const auto tsv = [](const std::string& text) {
    return Parse(text, {RecordFormat::kTsv});
  };
  ASSERT_OK_AND_ASSIGN(const auto records,
                       tsv("index\tthe text\tlabel\r\n"
                           "0\t\"Yes\", he said, \"no\t1\r\n"
                           "\n"
                           "1\t\"\t"));
  ASSERT_THAT(records, SizeIs(2));
  EXPECT_EQ(records[0].line, 2u);
  EXPECT_EQ(records[0].fields["the text"], "\"Yes\", he said, \"no");
  EXPECT_EQ(records[0].fields["label"], "1");
  EXPECT_EQ(records[1].line, 4u);
  EXPECT_EQ(records[1].fields["the text"], "\"");
  EXPECT_EQ(records[1].fields["label"], "");
  EXPECT_THAT(tsv("a\tb\n1,2\n"),
              StatusIs(kInvalid, AllOf(HasSubstr("line 2: 1 values"),
                                       HasSubstr("names 2 columns"))));
  EXPECT_THAT(tsv("a\ta\n1\t2\n"), StatusIs(kInvalid, HasSubstr("twice")));
}

TEST(TaskRecordsTest, HellaswagTextHasSixLinesARecord) {
  ASSERT_OK_AND_ASSIGN(
      const auto records,
      Parse("Ctx one\n3\na\nb\nc\nd\nCtx two\r\n0\r\ne\r\nf\r\ng\r\nh",
            {RecordFormat::kHellaswagText}));
  ASSERT_THAT(records, SizeIs(2));
  EXPECT_EQ(records[0].fields,
            nlohmann::json({{"context", "Ctx one"},
                            {"label", 3},
                            {"endings", {"a", "b", "c", "d"}}}));
  EXPECT_EQ(records[1].line, 7u);
  EXPECT_EQ(records[1].fields["endings"][3], "h");
  EXPECT_THAT(Parse("Ctx\n4\na\nb\nc\nd\n", {RecordFormat::kHellaswagText}),
              StatusIs(kInvalid, HasSubstr("line 2: expected the index")));
  EXPECT_THAT(Parse("Ctx\n1\na\nb\n", {RecordFormat::kHellaswagText}),
              StatusIs(kInvalid, HasSubstr("line 1: the record that begins")));
}

TEST(TaskRecordsTest, SeveralFormatsAreToldApartByTheFirstCharacter) {
  const std::vector<RecordFormat> formats = {RecordFormat::kJson,
                                             RecordFormat::kHellaswagText};
  ASSERT_OK_AND_ASSIGN(const auto text, Parse("Ctx\n1\na\nb\nc\nd\n", formats));
  EXPECT_EQ(text[0].fields["label"], 1);
  ASSERT_OK_AND_ASSIGN(const auto json, Parse(" {\"label\": 2}", formats));
  EXPECT_EQ(json[0].fields["label"], 2);
}

TEST(TaskRecordsTest, FormatsHaveNames) {
  for (const RecordFormat format :
       {RecordFormat::kJson, RecordFormat::kCsv, RecordFormat::kHellaswagText,
        RecordFormat::kTsv}) {
    EXPECT_EQ(FindRecordFormat(RecordFormatName(format)), format);
  }
  EXPECT_EQ(FindRecordFormat("parquet"), std::nullopt);
  EXPECT_EQ(RecordFormatNames(), "json, csv, hellaswag_text, tsv");
}

TEST(TaskRecordsTest, Bzip2IsReadAsItLies) {
  const std::string once = Compress("{\"a\": 1}\n");
  ASSERT_OK_AND_ASSIGN(const auto records, Json(once + Compress("{\"a\": 2}")));
  ASSERT_THAT(records, SizeIs(2));
  EXPECT_EQ(records[1].fields["a"], 2);
}

TEST(Bzip2Test, DamagedCutAndTooLargeFilesAreRefused) {
  const std::string good = Compress(std::string(100'000, 'x'));
  EXPECT_TRUE(IsBzip2(good));
  EXPECT_FALSE(IsBzip2("BZh"));
  ASSERT_OK_AND_ASSIGN(const std::string back, DecompressBzip2(good, 100'000));
  EXPECT_EQ(back, std::string(100'000, 'x'));
  EXPECT_THAT(DecompressBzip2(good, 99'999),
              StatusIs(kExhausted, HasSubstr("larger than 99999")));
  EXPECT_THAT(DecompressBzip2(good.substr(0, good.size() - 4), 1 << 20),
              StatusIs(kInvalid, HasSubstr("cut off")));
  std::string damaged = good;
  damaged[10] ^= 1;
  EXPECT_THAT(DecompressBzip2(damaged, 1 << 20),
              StatusIs(kInvalid, HasSubstr("damaged")));
}

}  // namespace
}  // namespace quantd::test
