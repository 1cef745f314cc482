#include <atomic>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "proto/field_rules.h"
#include "tests/jobs/job_manager_fixture.h"

namespace quantd::test {
namespace {

using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;
using Code = absl::StatusCode;

class JobSubmissionTest : public JobManagerFixture {
 protected:
  // Nothing runs unless the test asks for it.
  JobSubmissionTest() { slots_ = 0; }
};

TEST_F(JobSubmissionTest, ASubmittedJobIsQueuedAndComplete) {
  ASSERT_OK_AND_ASSIGN(v1::Job job, manager().Submit(QuantizeRequest()));
  EXPECT_EQ(job.state(), v1::QUEUED);
  EXPECT_EQ(job.attempt(), 0u);
  EXPECT_EQ(job.spec().max_attempts(), 3u);
  EXPECT_EQ(job.spec().quantize().model(), "models/tiny");
  EXPECT_TRUE(job.spec().quantize().recipe().stages(0).has_rtn());
  EXPECT_EQ(job.spec().quantize().recipe().stages(0).rtn().grid().affine().bits(), 4u);
  EXPECT_GT(job.event_sequence(), 0u);
  ASSERT_OK_AND_ASSIGN(v1::Job stored, manager().Get(job.name()));
  EXPECT_EQ(stored.SerializeAsString(), job.SerializeAsString());
}

TEST_F(JobSubmissionTest, ACompletedSpecCanBeSubmittedAgain) {
  ASSERT_OK_AND_ASSIGN(v1::Job job, manager().Submit(QuantizeRequest()));
  v1::CreateJobRequest again;
  *again.mutable_spec() = job.spec();
  again.mutable_spec()->mutable_quantize()->clear_output_id();
  ASSERT_OK_AND_ASSIGN(v1::Job second, manager().Submit(again));
  EXPECT_NE(second.name(), job.name());
  EXPECT_EQ(second.spec().quantize().recipe().SerializeAsString(),
            job.spec().quantize().recipe().SerializeAsString());
}

TEST_F(JobSubmissionTest, TheDefaultOutputNamesModelMethodAndJob) {
  ASSERT_OK_AND_ASSIGN(v1::Job job, manager().Submit(QuantizeRequest()));
  const std::string& output = job.spec().quantize().output_id();
  EXPECT_THAT(output, StartsWith("tiny-rtn-"));
  EXPECT_THAT(job.name(), EndsWith(output.substr(output.size() - 6)));
}

struct BadRequest {
  const char* what;
  void (*spoil)(v1::CreateJobRequest*);
  Code code;
  const char* message;
};

TEST_F(JobSubmissionTest, RefusesWhatCannotRunAndNamesTheField) {
  const BadRequest kCases[] = {
      {"no kind",
       [](v1::CreateJobRequest* r) { r->mutable_spec()->clear_quantize(); },
       Code::kInvalidArgument, "spec"},
      {"a kind not served",
       [](v1::CreateJobRequest* r) { r->mutable_spec()->mutable_export_(); },
       Code::kUnimplemented, "spec"},
      {"no model",
       [](v1::CreateJobRequest* r) {
         r->mutable_spec()->mutable_quantize()->clear_model();
       },
       Code::kInvalidArgument, "spec.quantize.model"},
      {"an unknown model",
       [](v1::CreateJobRequest* r) {
         r->mutable_spec()->mutable_quantize()->set_model("models/none");
       },
       Code::kNotFound, "spec.quantize.model: no model"},
      {"a name of another kind",
       [](v1::CreateJobRequest* r) {
         r->mutable_spec()->mutable_quantize()->set_model("artifacts/tiny");
       },
       Code::kInvalidArgument, "spec.quantize.model"},
      {"an unknown method",
       [](v1::CreateJobRequest* r) {
         r->mutable_spec()->mutable_quantize()->set_method("magic");
       },
       Code::kNotFound, "magic"},
      {"no method",
       [](v1::CreateJobRequest* r) {
         r->mutable_spec()->mutable_quantize()->clear_method();
       },
       Code::kInvalidArgument, "spec.quantize.method"},
      {"an assignment out of range",
       [](v1::CreateJobRequest* r) {
         r->mutable_spec()->mutable_quantize()->add_set("bits=99");
       },
       Code::kInvalidArgument, "bits"},
      {"an unknown option",
       [](v1::CreateJobRequest* r) {
         r->mutable_spec()->mutable_quantize()->add_set("wings=2");
       },
       Code::kInvalidArgument, "wings"},
      {"a calibrated method without text",
       [](v1::CreateJobRequest* r) {
         r->mutable_spec()->mutable_quantize()->set_method("gptq");
       },
       Code::kInvalidArgument, "spec.quantize.calibration.dataset"},
      {"an unknown dataset",
       [](v1::CreateJobRequest* r) {
         r->mutable_spec()
             ->mutable_quantize()
             ->mutable_calibration()
             ->set_dataset("none");
       },
       Code::kNotFound, "spec.quantize.calibration.dataset"},
      {"an unknown dependency",
       [](v1::CreateJobRequest* r) {
         r->mutable_spec()->add_after("jobs/01hf7yat000000000000000000");
       },
       Code::kNotFound, "spec.after"},
      {"a dependency that is no job",
       [](v1::CreateJobRequest* r) {
         r->mutable_spec()->add_after("models/tiny");
       },
       Code::kNotFound, "spec.after"},
      {"an output name with a slash",
       [](v1::CreateJobRequest* r) {
         r->mutable_spec()->mutable_quantize()->set_output_id("../x");
       },
       Code::kInvalidArgument, "spec.quantize.output_id"},
      {"too high a priority",
       [](v1::CreateJobRequest* r) { r->mutable_spec()->set_priority(1001); },
       Code::kInvalidArgument, "spec.priority"},
      {"too many attempts",
       [](v1::CreateJobRequest* r) {
         r->mutable_spec()->set_max_attempts(101);
       },
       Code::kInvalidArgument, "spec.max_attempts"},
      {"a device this build has not",
       [](v1::CreateJobRequest* r) { r->mutable_spec()->set_device(v1::GPU); },
       Code::kUnimplemented, "spec.device"},
      {"a long request_id",
       [](v1::CreateJobRequest* r) {
         r->set_request_id(std::string(129, 'x'));
       },
       Code::kInvalidArgument, "request_id"},
      {"a long label",
       [](v1::CreateJobRequest* r) {
         (*r->mutable_spec()->mutable_labels())["k"] = std::string(300, 'x');
       },
       Code::kInvalidArgument, "spec.labels"},
      {"an unknown metric",
       [](v1::CreateJobRequest* r) {
         *r = EvaluateRequest("tiny");
         r->mutable_spec()->mutable_evaluate()->set_metrics(0, "beauty");
       },
       Code::kInvalidArgument, "spec.evaluate.metrics"},
      {"no metric",
       [](v1::CreateJobRequest* r) {
         *r = EvaluateRequest("tiny");
         r->mutable_spec()->mutable_evaluate()->clear_metrics();
       },
       Code::kInvalidArgument, "spec.evaluate.metrics"},
      {"an unknown target",
       [](v1::CreateJobRequest* r) { *r = EvaluateRequest("nothing"); },
       Code::kNotFound, "spec.evaluate.target"},
      {"a baseline that nothing is compared with",
       [](v1::CreateJobRequest* r) {
         *r = EvaluateRequest("tiny");
         r->mutable_spec()->mutable_evaluate()->set_baseline("tiny");
       },
       Code::kInvalidArgument, "spec.evaluate.baseline: none of the metrics"},
      {"a model without a baseline",
       [](v1::CreateJobRequest* r) {
         *r = EvaluateRequest("tiny");
         r->mutable_spec()->mutable_evaluate()->set_metrics(
             0, "divergence/gptq-512");
       },
       Code::kInvalidArgument, "spec.evaluate.baseline: name the original"},
      {"an unknown baseline",
       [](v1::CreateJobRequest* r) {
         *r = EvaluateRequest("tiny");
         v1::EvaluateSpec& spec = *r->mutable_spec()->mutable_evaluate();
         spec.set_metrics(0, "divergence/gptq-512");
         spec.set_baseline("models/none");
       },
       Code::kNotFound, "spec.evaluate.baseline: no model"},
      {"an unknown artifact",
       [](v1::CreateJobRequest* r) { *r = EvaluateRequest("artifacts/tiny"); },
       Code::kNotFound, "spec.evaluate.target"},
  };
  for (const BadRequest& row : kCases) {
    v1::CreateJobRequest request = QuantizeRequest();
    row.spoil(&request);
    EXPECT_THAT(manager().Submit(request),
                StatusIs(row.code, HasSubstr(row.message)))
        << row.what;
  }
  ASSERT_OK_AND_ASSIGN(v1::ListJobsResponse list, manager().List({}));
  EXPECT_THAT(list.jobs(), IsEmpty());
}

TEST_F(JobSubmissionTest, FieldFaultsCarryViolations) {
  v1::CreateJobRequest request = QuantizeRequest();
  request.mutable_spec()->set_priority(-5000);
  const absl::Status status = manager().Submit(request).status();
  const std::vector<FieldViolation> violations = ViolationsOf(status);
  ASSERT_EQ(violations.size(), 1u) << status;
  EXPECT_EQ(violations[0].field, "spec.priority");
}

TEST_F(JobSubmissionTest, ValidateOnlyChecksAllAndMakesNothing) {
  v1::CreateJobRequest request = QuantizeRequest("out");
  request.set_validate_only(true);
  request.set_request_id("r");
  ASSERT_OK_AND_ASSIGN(v1::Job job, manager().Submit(request));
  EXPECT_EQ(job.name(), "");
  EXPECT_EQ(job.spec().quantize().model(), "models/tiny");
  ASSERT_OK_AND_ASSIGN(v1::ListJobsResponse list, manager().List({}));
  EXPECT_THAT(list.jobs(), IsEmpty());
  // The name and the request_id are still free.
  request.set_validate_only(false);
  Submit(request);
  request.set_validate_only(true);
  request.clear_request_id();
  EXPECT_THAT(manager().Submit(request),
              StatusIs(Code::kAlreadyExists, HasSubstr("out")));
}

TEST_F(JobSubmissionTest, TwoLiveJobsCannotMakeTheSameOutput) {
  const std::string first = Submit(QuantizeRequest("out"));
  EXPECT_THAT(manager().Submit(QuantizeRequest("out")),
              StatusIs(Code::kAlreadyExists, HasSubstr(first)));
  ASSERT_THAT(manager().Cancel(first), IsOk());
  EXPECT_THAT(manager().Submit(QuantizeRequest("out")), IsOk());
}

TEST_F(JobSubmissionTest, AnOutputCannotTakeAnArtifactsName) {
  v1::Artifact artifact;
  artifact.set_name("artifacts/out");
  MetadataBatch batch;
  batch.Put(Table::kArtifacts, "out", artifact);
  ASSERT_THAT(server_.store->Commit(batch), IsOk());
  EXPECT_THAT(manager().Submit(QuantizeRequest("out")),
              StatusIs(Code::kAlreadyExists, HasSubstr("existing artifact")));
  EXPECT_EQ(manager().counts().queued, 0);
}

TEST_F(JobSubmissionTest, AFullQueueRefuses) {
  options_.max_queued = 2;
  RestartServer();
  Submit(QuantizeRequest());
  Submit(QuantizeRequest());
  EXPECT_THAT(manager().Submit(QuantizeRequest()),
              StatusIs(Code::kResourceExhausted, HasSubstr("2 jobs")));
}

TEST_F(JobSubmissionTest, TheSameRequestIdReturnsTheFirstJob) {
  v1::CreateJobRequest request = QuantizeRequest();
  request.set_request_id("once");
  const std::string first = Submit(request);
  EXPECT_EQ(Submit(request), first);
  RestartServer();
  EXPECT_EQ(Submit(request), first);
  ASSERT_OK_AND_ASSIGN(v1::ListJobsResponse list, manager().List({}));
  EXPECT_EQ(list.jobs_size(), 1);
}

TEST_F(JobSubmissionTest, ARetryFindsItsJobThoughItsInputsAreGone) {
  v1::CreateJobRequest request = QuantizeRequest();
  request.set_request_id("once");
  const std::string first = Submit(request);
  MetadataBatch batch;
  batch.Delete(Table::kModels, "tiny");
  ASSERT_THAT(server_.store->Commit(batch), IsOk());
  EXPECT_EQ(Submit(request), first);
}

TEST_F(JobSubmissionTest, ARequestIdWithAnotherBodyIsRefused) {
  v1::CreateJobRequest request = QuantizeRequest();
  request.set_request_id("once");
  Submit(request);
  request.mutable_spec()->set_priority(1);
  EXPECT_THAT(manager().Submit(request),
              StatusIs(Code::kInvalidArgument, HasSubstr("REQUEST_ID_REUSED")));
}

TEST_F(JobSubmissionTest, ARefusedRequestDoesNotUseUpItsId) {
  v1::CreateJobRequest request = QuantizeRequest();
  request.set_request_id("once");
  request.mutable_spec()->set_priority(5000);
  EXPECT_FALSE(manager().Submit(request).ok());
  request.mutable_spec()->set_priority(5);
  EXPECT_THAT(manager().Submit(request), IsOk());
}

TEST_F(JobSubmissionTest, SixtyFourCallersWithOneRequestIdMakeOneJob) {
  constexpr int kCallers = 64, kIds = 4;
  std::vector<std::set<std::string>> names(kIds);
  absl::Mutex mutex;
  std::vector<std::thread> callers;
  for (int caller = 0; caller < kCallers; ++caller) {
    callers.emplace_back([&] {
      for (int id = 0; id < kIds; ++id) {
        v1::CreateJobRequest request = QuantizeRequest();
        request.set_request_id("id" + std::to_string(id));
        const absl::StatusOr<v1::Job> job = manager().Submit(request);
        ASSERT_THAT(job, IsOk());
        absl::MutexLock lock(&mutex);
        names[id].insert(job->name());
      }
    });
  }
  for (std::thread& caller : callers) caller.join();
  for (const std::set<std::string>& set : names) EXPECT_EQ(set.size(), 1u);
  ASSERT_OK_AND_ASSIGN(v1::ListJobsResponse list, manager().List({}));
  EXPECT_EQ(list.jobs_size(), kIds);
  EXPECT_EQ(manager().counts().queued, kIds);
}

TEST_F(JobSubmissionTest, ConcurrentCallersWithOneOutputNameMakeOneJob) {
  std::atomic<int> made = 0, refused = 0;
  std::vector<std::thread> callers;
  for (int caller = 0; caller < 16; ++caller) {
    callers.emplace_back([&] {
      const absl::Status status =
          manager().Submit(QuantizeRequest("out")).status();
      if (status.ok()) ++made;
      if (absl::IsAlreadyExists(status)) ++refused;
    });
  }
  for (std::thread& caller : callers) caller.join();
  EXPECT_EQ(made, 1);
  EXPECT_EQ(refused, 15);
}

TEST_F(JobSubmissionTest, ABareTargetIsAModelBeforeItIsAnOutput) {
  const std::string producer = Submit(QuantizeRequest("out"));
  ASSERT_OK_AND_ASSIGN(v1::Job of_model,
                       manager().Submit(EvaluateRequest("tiny")));
  EXPECT_EQ(of_model.spec().evaluate().target(), "models/tiny");
  EXPECT_THAT(of_model.spec().after(), IsEmpty());
  for (const std::string& target :
       {std::string("out"), std::string("artifacts/out"), producer}) {
    ASSERT_OK_AND_ASSIGN(v1::Job of_output,
                         manager().Submit(EvaluateRequest(target)));
    EXPECT_EQ(of_output.spec().evaluate().target(), producer);
    EXPECT_THAT(of_output.spec().after(), ElementsAre(producer));
    EXPECT_EQ(of_output.state_reason(), "WAITING_FOR_DEPENDENCY");
  }
}

v1::CreateJobRequest DivergenceRequest(v1::CreateJobRequest request,
                                       const std::string& baseline) {
  v1::EvaluateSpec& spec = *request.mutable_spec()->mutable_evaluate();
  spec.set_metrics(0, "divergence/gptq-512");
  spec.set_baseline(baseline);
  return request;
}

TEST_F(JobSubmissionTest, AnArtifactIsComparedWithTheModelItWasMadeFrom) {
  const std::string producer = Submit(QuantizeRequest("out"));
  ASSERT_OK_AND_ASSIGN(v1::Job of_output, manager().Submit(DivergenceRequest(
                                              EvaluateRequest("out"), "")));
  EXPECT_EQ(of_output.spec().evaluate().baseline(), "models/tiny");
  EXPECT_THAT(of_output.spec().after(), ElementsAre(producer));

  v1::Artifact artifact;
  artifact.set_name("artifacts/made");
  artifact.set_source("models/tiny");
  MetadataBatch batch;
  batch.Put(Table::kArtifacts, "made", artifact);
  ASSERT_THAT(server_.store->Commit(batch), IsOk());
  ASSERT_OK_AND_ASSIGN(v1::Job of_artifact, manager().Submit(DivergenceRequest(
                                                EvaluateRequest("made"), "")));
  EXPECT_EQ(of_artifact.spec().evaluate().baseline(), "models/tiny");
}

TEST_F(JobSubmissionTest, ABaselineIsNamedResolvedAndReadLikeATarget) {
  AddModel("other");
  const std::string producer = Submit(QuantizeRequest("out"));
  ASSERT_OK_AND_ASSIGN(v1::Job job, manager().Submit(DivergenceRequest(
                                        EvaluateRequest("other"), "out")));
  EXPECT_EQ(job.spec().evaluate().target(), "models/other");
  EXPECT_EQ(job.spec().evaluate().baseline(), producer);
  EXPECT_THAT(job.spec().after(), ElementsAre(producer));
  EXPECT_EQ(manager().ReaderOf("artifacts/out"), job.name());
  v1::CreateJobRequest again;
  *again.mutable_spec() = job.spec();
  EXPECT_THAT(manager().Submit(again), IsOk());
}

TEST_F(JobSubmissionTest, AnEvaluationHasNoOutputToRead) {
  const std::string evaluation = Submit(EvaluateRequest("tiny"));
  EXPECT_THAT(manager().Submit(EvaluateRequest(evaluation)),
              StatusIs(Code::kInvalidArgument, HasSubstr("no artifact")));
}

TEST_F(JobSubmissionTest, DependenciesAreNamedOnceAndCanonically) {
  const std::string first = Submit(QuantizeRequest());
  v1::CreateJobRequest request = QuantizeRequest();
  request.mutable_spec()->add_after(first);
  request.mutable_spec()->add_after(first.substr(5));
  ASSERT_OK_AND_ASSIGN(v1::Job job, manager().Submit(request));
  EXPECT_THAT(job.spec().after(), ElementsAre(first));
}

TEST_F(JobSubmissionTest, ReadersOfAResourceAreKnown) {
  EXPECT_EQ(manager().ReaderOf("models/tiny"), "");
  const std::string producer = Submit(QuantizeRequest("out"));
  const std::string reader = Submit(EvaluateRequest("out"));
  EXPECT_EQ(manager().ReaderOf("models/tiny"), producer);
  EXPECT_EQ(manager().ReaderOf("datasets/text"), reader);
  EXPECT_EQ(manager().ReaderOf("artifacts/out"), reader);
  RestartServer();
  EXPECT_EQ(manager().ReaderOf("artifacts/out"), reader);
  ASSERT_THAT(manager().Cancel(reader), IsOk());
  EXPECT_EQ(manager().ReaderOf("artifacts/out"), "");
}

TEST_F(JobSubmissionTest, ADrainedManagerTakesNoJobs) {
  manager().Drain(absl::ZeroDuration());
  EXPECT_THAT(manager().Submit(QuantizeRequest()),
              StatusIs(Code::kUnavailable, HasSubstr("shutting down")));
}

TEST_F(JobSubmissionTest, OldRequestRecordsAreForgotten) {
  v1::CreateJobRequest request = QuantizeRequest();
  request.set_request_id("once");
  const std::string first = Submit(request);
  clock_.Advance(absl::Hours(24 * 8));
  // Pruning happens on the maintenance thread, at its start among others.
  RestartServer();
  std::string again = first;
  for (int i = 0; i < 500 && again == first; ++i) {
    absl::SleepFor(absl::Milliseconds(10));
    again = Submit(request);
  }
  EXPECT_NE(again, first);
}

}  // namespace
}  // namespace quantd::test
