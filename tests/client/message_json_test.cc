#include "client/message_json.h"

#include <limits>
#include <string>

#include "client/evaluation_json.h"
#include "gtest/gtest.h"
#include "quantd/v1/job.pb.h"
#include "quantd/v1/model.pb.h"

namespace quantd::test {
namespace {

TEST(MessageToJsonTest, KeepsNumbersNamesAndEmptyFields) {
  v1::Model model;
  model.set_name("models/m");
  model.set_parameters(std::numeric_limits<uint64_t>::max());
  model.mutable_create_time()->set_seconds(1700000000);
  model.mutable_create_time()->set_nanos(500000000);
  (*model.mutable_labels())["k"] = "v";
  const Json json = MessageToJson(model);
  EXPECT_EQ(json["name"], "models/m");
  EXPECT_EQ(json["parameters"], std::numeric_limits<uint64_t>::max());
  EXPECT_EQ(json["create_time"], "2023-11-14T22:13:20.5Z");
  EXPECT_EQ(json["labels"]["k"], "v");
  EXPECT_EQ(json["path"], "");   // always there
  EXPECT_EQ(json["blocks"], 0);  // always there
}

TEST(MessageToJsonTest, LeavesOutWhatIsAbsent) {
  v1::Job job;
  job.mutable_spec()->mutable_quantize()->add_set("bits=3");
  job.set_state(v1::RUNNING);
  const Json json = MessageToJson(job);
  EXPECT_EQ(json["state"], "RUNNING");
  EXPECT_EQ(json["spec"]["quantize"]["set"], Json::array({"bits=3"}));
  EXPECT_FALSE(json.contains("result"));
  EXPECT_FALSE(json["spec"].contains("evaluate"));
  EXPECT_FALSE(json["spec"].contains("max_attempts"));
}

TEST(MessageToJsonTest, BytesAreBase64) {
  v1::ReadJobLogResponse response;
  response.set_data("log\n");
  EXPECT_EQ(MessageToJson(response)["data"], "bG9nCg==");
}

TEST(ToLineTest, IsOneLineWhateverTheContent) {
  Json json = {{"text", "a\nb\xff"},
               {"bad", std::numeric_limits<double>::quiet_NaN()},
               {"exact", 120.3396}};
  const std::string line = ToLine(json);
  EXPECT_EQ(line.find('\n'), std::string::npos);
  const auto parsed = nlohmann::json::parse(line, nullptr, false);
  ASSERT_FALSE(parsed.is_discarded());
  EXPECT_TRUE(parsed["bad"].is_null());
  EXPECT_EQ(parsed["exact"].get<double>(), 120.3396);
}

TEST(EvaluationToJsonTest, SeveralMetricsAddAList) {
  v1::Evaluation evaluation;
  for (const char* convention : {"ppl/gptq-512", "ppl/llamacpp-512"}) {
    auto* report = evaluation.add_perplexities();
    report->mutable_tag()->set_convention(convention);
    report->set_perplexity(evaluation.perplexities_size());
  }
  const Json json = EvaluationToJson(evaluation);
  EXPECT_EQ(json["perplexity"], 1);
  ASSERT_EQ(json["metrics"].size(), 2u);
  EXPECT_EQ(json["metrics"][1]["metric"], "ppl/llamacpp-512");
  EXPECT_EQ(json["metrics"][1]["perplexity"], 2);
  evaluation.mutable_perplexities()->RemoveLast();
  EXPECT_FALSE(EvaluationToJson(evaluation).contains("metrics"));
}

TEST(EvaluationToJsonTest, WordsAndBytesAppearWhereTheyAreCounted) {
  v1::Evaluation evaluation;
  auto& report = *evaluation.add_perplexities();
  Json json = EvaluationToJson(evaluation);
  for (const char* key :
       {"word_perplexity", "byte_perplexity", "bits_per_byte"}) {
    EXPECT_FALSE(json.contains(key)) << key;
  }
  for (const char* key :
       {"stride_tokens", "prefix_token", "documents", "words", "bytes"}) {
    EXPECT_FALSE(json["tag"].contains(key)) << key;
  }
  report.mutable_tag()->set_document_count(62);
  report.mutable_tag()->set_word_count(241335);
  report.mutable_tag()->set_byte_count(1290527);
  report.mutable_tag()->set_prefix_token(0);
  report.mutable_tag()->set_stride_tokens(256);
  report.mutable_word_perplexity()->set_value(8.79);
  report.mutable_word_perplexity()->set_error_iid(0.1);
  report.mutable_word_perplexity()->set_error_clustered(0.2);
  report.mutable_byte_perplexity()->set_value(1.5);
  report.mutable_bits_per_byte()->set_value(0.58);
  json = EvaluationToJson(evaluation);
  EXPECT_EQ(json["word_perplexity"], 8.79);
  EXPECT_EQ(json["word_perplexity_error_iid"], 0.1);
  EXPECT_EQ(json["word_perplexity_error_clustered"], 0.2);
  EXPECT_EQ(json["byte_perplexity"], 1.5);
  EXPECT_EQ(json["bits_per_byte"], 0.58);
  EXPECT_EQ(json["tag"]["documents"], 62);
  EXPECT_EQ(json["tag"]["words"], 241335);
  EXPECT_EQ(json["tag"]["bytes"], 1290527);
  EXPECT_EQ(json["tag"]["prefix_token"], 0);
  EXPECT_EQ(json["tag"]["stride_tokens"], 256);
}

TEST(SameTagTest, EveryFieldCounts) {
  v1::PerplexityTag a, b;
  EXPECT_TRUE(SameTag(a, b));
  b.set_token_count(1);
  EXPECT_FALSE(SameTag(a, b));
}

}  // namespace
}  // namespace quantd::test
