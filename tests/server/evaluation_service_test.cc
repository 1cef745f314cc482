#include "server/evaluation_service.h"

#include <cmath>

#include "base/status_macros.h"
#include "quantd/v1/dataset.pb.h"
#include "tests/testing/grpc_matchers.h"
#include "tests/testing/in_process_server.h"
#include "tests/testing/status_matchers.h"

namespace quantd::test {
namespace {

using ::testing::DoubleNear;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

v1::Evaluation MakeEvaluation(const std::string& id, const std::string& target,
                              const std::string& text_digest, double shift) {
  v1::Evaluation evaluation;
  evaluation.set_name("evaluations/" + id);
  evaluation.set_target(target);
  v1::PerplexityReport& report = *evaluation.add_perplexities();
  report.mutable_tag()->set_convention("ppl/gptq-512");
  report.mutable_tag()->set_text_digest(text_digest);
  report.set_window_count(4);
  report.set_tokens_per_window(511);
  report.set_mean_nll(3.0 + shift);
  report.set_perplexity(std::exp(3.0 + shift));
  for (const double nll : {2.9, 3.1, 3.0, 3.0}) {
    report.add_window_nll(nll + shift);
  }
  return evaluation;
}

// Stores `text` as datasets/{id}.
absl::Status AddDataset(const std::string& id, const std::string& text,
                        MetadataStore& store, ArtifactStore& artifacts) {
  ASSIGN_OR_RETURN(const auto writer, artifacts.NewWriter());
  RETURN_IF_ERROR(writer->Append(text));
  ASSIGN_OR_RETURN(const std::string digest, writer->Finish(""));
  v1::Dataset dataset;
  dataset.set_name("datasets/" + id);
  dataset.set_digest(digest);
  MetadataBatch batch;
  batch.Put(Table::kDatasets, id, dataset);
  return store.Commit(batch);
}

class EvaluationServiceTest : public ::testing::Test {
 protected:
  void SetUp() override {
    InProcessServer::Setup setup;
    setup.seed = [&](MetadataStore& store, ArtifactStore& artifacts) {
      RETURN_IF_ERROR(AddDataset(
          "bytes", "one two\xFF three " + std::string(101, 'x') + "\u20ac four",
          store, artifacts));
      MetadataBatch batch;
      batch.Put(Table::kEvaluations, "e1",
                MakeEvaluation("e1", "models/m", "text", 0));
      batch.Put(Table::kEvaluations, "e2",
                MakeEvaluation("e2", "artifacts/m-rtn", "text", 0.1));
      batch.Put(Table::kEvaluations, "e3",
                MakeEvaluation("e3", "models/m", "other text", 0));
      return store.Commit(batch);
    };
    ASSERT_OK_AND_ASSIGN(server_, InProcessServer::Start(setup));
  }

  std::vector<std::string> List(const std::string& target) {
    grpc::ClientContext context;
    v1::ListEvaluationsRequest request;
    request.set_target(target);
    v1::ListEvaluationsResponse page;
    EXPECT_THAT(
        server_->evaluations().ListEvaluations(&context, request, &page),
        IsGrpcOk());
    std::vector<std::string> names;
    for (const v1::Evaluation& evaluation : page.evaluations()) {
      names.push_back(evaluation.name());
    }
    return names;
  }

  grpc::Status Compare(const std::string& baseline,
                       const std::string& candidate,
                       v1::Comparison* comparison) {
    grpc::ClientContext context;
    v1::CompareEvaluationsRequest request;
    request.set_baseline(baseline);
    request.set_candidate(candidate);
    return server_->evaluations().CompareEvaluations(&context, request,
                                                     comparison);
  }

  std::unique_ptr<InProcessServer> server_;
};

TEST_F(EvaluationServiceTest, ATargetSelectsByNameOrById) {
  EXPECT_THAT(List(""), ElementsAre("evaluations/e1", "evaluations/e2",
                                    "evaluations/e3"));
  EXPECT_THAT(List("models/m"),
              ElementsAre("evaluations/e1", "evaluations/e3"));
  EXPECT_THAT(List("m"), ElementsAre("evaluations/e1", "evaluations/e3"));
  EXPECT_THAT(List("m-rtn"), ElementsAre("evaluations/e2"));
  EXPECT_THAT(List("models/m-rtn"), IsEmpty());
}

TEST_F(EvaluationServiceTest, ATokenOfOneTargetIsRefusedForAnother) {
  v1::ListEvaluationsRequest request;
  request.set_target("m");
  request.set_page_size(1);
  v1::ListEvaluationsResponse page;
  {
    grpc::ClientContext context;
    ASSERT_THAT(
        server_->evaluations().ListEvaluations(&context, request, &page),
        IsGrpcOk());
  }
  ASSERT_NE(page.next_page_token(), "");
  request.set_page_token(page.next_page_token());
  request.set_target("m-rtn");
  grpc::ClientContext context;
  EXPECT_THAT(ViolatedFields(server_->evaluations().ListEvaluations(
                  &context, request, &page)),
              ElementsAre("page_token"));
}

TEST_F(EvaluationServiceTest, TwoEvaluationsOfOneTextAreCompared) {
  v1::Comparison comparison;
  ASSERT_THAT(Compare("evaluations/e1", "e2", &comparison), IsGrpcOk());
  EXPECT_EQ(comparison.baseline(), "evaluations/e1");
  EXPECT_EQ(comparison.candidate(), "evaluations/e2");
  EXPECT_THAT(comparison.log_ratio(), DoubleNear(0.1, 1e-9));
}

TEST_F(EvaluationServiceTest, DifferentTextsAreNotComparable) {
  v1::Comparison comparison;
  EXPECT_EQ(Compare("e1", "e3", &comparison).error_code(),
            grpc::StatusCode::FAILED_PRECONDITION);
}

TEST_F(EvaluationServiceTest, AMissingSideIsNamed) {
  v1::Comparison comparison;
  EXPECT_THAT(
      Compare("e1", "e9", &comparison),
      GrpcStatusIs(grpc::StatusCode::NOT_FOUND, HasSubstr("evaluations/e9")));
  EXPECT_THAT(ViolatedFields(Compare("e1", "models/m", &comparison)),
              ElementsAre("candidate"));
}

TEST_F(EvaluationServiceTest, TasksSayWhereAndWhatTheirDataIs) {
  grpc::ClientContext context;
  v1::ListTasksResponse response;
  ASSERT_THAT(server_->evaluations().ListTasks(&context, v1::ListTasksRequest(),
                                               &response),
              IsGrpcOk());
  int found = 0;
  for (const v1::TaskInfo& task : response.tasks()) {
    EXPECT_FALSE(task.data_formats().empty()) << task.name();
    if (task.name() == "truthfulqa_mc1") {
      EXPECT_THAT(task.data_formats(), ElementsAre("json", "csv"));
    } else if (task.name() == "hellaswag") {
      EXPECT_NE(task.few_shot_file(), "");
      EXPECT_THAT(task.few_shot_formats(),
                  ElementsAre("json", "hellaswag_text"));
    } else {
      continue;
    }
    ++found;
  }
  EXPECT_EQ(found, 2);
}

TEST_F(EvaluationServiceTest, TextsThatAreNotUtf8AreShownAsText) {
  v1::CheckContaminationRequest request;
  request.set_calibration("bytes");
  request.set_text("bytes");
  request.set_ngram(2);
  grpc::ClientContext context;
  v1::ContaminationReport report;
  ASSERT_THAT(
      server_->evaluations().CheckContamination(&context, request, &report),
      IsGrpcOk());
  ASSERT_EQ(report.worst_size(), 1);
  // Cut before the character that would be broken at 120 bytes.
  EXPECT_EQ(report.worst(0).beginning(),
            "one two\\xff three " + std::string(101, 'x'));
}

TEST_F(EvaluationServiceTest, TheMetricsOfThisBuildAreListed) {
  grpc::ClientContext context;
  v1::ListMetricsResponse response;
  ASSERT_THAT(server_->evaluations().ListMetrics(
                  &context, v1::ListMetricsRequest(), &response),
              IsGrpcOk());
  std::vector<std::string> patterns;
  for (const v1::MetricInfo& metric : response.metrics()) {
    patterns.push_back(metric.pattern());
    EXPECT_NE(metric.help(), "");
  }
  EXPECT_THAT(patterns, ::testing::Contains(HasSubstr("ppl/gptq")));
}

}  // namespace
}  // namespace quantd::test
