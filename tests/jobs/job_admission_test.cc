// Forecasts and refusals at submission, on models whose files are there.
#include <cmath>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/sha256.h"
#include "evaluators/scorer.h"
#include "jobs/job_forecast.h"
#include "models/checkpoint.h"
#include "tests/jobs/job_manager_fixture.h"
#include "tests/testing/tiny_model.h"

namespace quantd::test {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using Code = absl::StatusCode;

class JobAdmissionTest : public JobManagerFixture {
 protected:
  JobAdmissionTest() { slots_ = 0; }

  void SetUp() override {
    JobManagerFixture::SetUp();
    TinyModelOptions options;
    options.blocks = 6;
    options.hidden = 256;
    options.intermediate = 512;
    WriteTinyModel(model_.path(), options);
    AddRealModel();
    AddText("long", 64 * 1024);
  }

  void AddRealModel() {
    ASSERT_OK_AND_ASSIGN(const auto checkpoint,
                         Checkpoint::Open(model_.path()));
    v1::Model model;
    model.set_name("models/real");
    model.set_path(model_.path());
    model.set_digest(checkpoint->header_digest());
    MetadataBatch batch;
    batch.Put(Table::kModels, "real", model);
    ASSERT_THAT(server_.store->Commit(batch), IsOk());
  }

  void AddText(const std::string& id, size_t bytes) {
    v1::Dataset dataset;
    dataset.set_name("datasets/" + id);
    dataset.set_size_bytes(bytes);
    dataset.set_digest(Sha256Hex(id));
    MetadataBatch batch;
    batch.Put(Table::kDatasets, id, dataset);
    ASSERT_THAT(server_.store->Commit(batch), IsOk());
  }

  static v1::CreateJobRequest Rtn() {
    v1::CreateJobRequest request = QuantizeRequest("out");
    request.mutable_spec()->mutable_quantize()->set_model("real");
    request.mutable_spec()->set_threads(1);
    return request;
  }

  static v1::CreateJobRequest Gptq() {
    v1::CreateJobRequest request = Rtn();
    v1::QuantizeSpec& spec = *request.mutable_spec()->mutable_quantize();
    spec.set_method("gptq");
    spec.mutable_calibration()->set_dataset("long");
    spec.mutable_calibration()->set_windows(1000);
    spec.mutable_calibration()->set_window_tokens(64);
    return request;
  }

  static v1::CreateJobRequest Evaluate(const std::string& target) {
    v1::CreateJobRequest request = EvaluateRequest(target);
    request.mutable_spec()->set_threads(1);
    v1::EvaluateSpec& spec = *request.mutable_spec()->mutable_evaluate();
    spec.set_metrics(0, "ppl/gptq-64");
    spec.set_dataset("long");
    return request;
  }

  // The job that would be made.
  absl::StatusOr<v1::Job> DryRun(v1::CreateJobRequest request,
                                 uint64_t memory_bytes = 0) {
    request.set_validate_only(true);
    request.mutable_spec()->set_memory_bytes(memory_bytes);
    return manager().Submit(request);
  }

  TempDir model_;
};

TEST_F(JobAdmissionTest, TheForecastIsOnTheDryRunTheJobAndTheAssignment) {
  ASSERT_OK_AND_ASSIGN(const v1::Job dry, DryRun(Gptq()));
  const v1::Forecast& forecast = dry.forecast();
  EXPECT_EQ(dry.name(), "");
  EXPECT_GT(forecast.peak_memory_bytes(), uint64_t{1000} * 64 * 256 * 4);
  EXPECT_EQ(forecast.spilled_bytes(), 0u);
  EXPECT_GT(forecast.output_bytes(), 0u);
  EXPECT_EQ(forecast.disk_bytes(), forecast.output_bytes());
  EXPECT_GT(forecast.seconds(), 0);
  uint64_t sum = 0;
  for (const v1::ForecastPart& part : forecast.parts()) sum += part.bytes();
  EXPECT_EQ(sum, forecast.peak_memory_bytes());
  EXPECT_EQ(forecast.parts(0).name(), "activations between blocks");

  ASSERT_OK_AND_ASSIGN(const v1::Job job, manager().Submit(Gptq()));
  EXPECT_EQ(job.forecast().SerializeAsString(), forecast.SerializeAsString());
  ASSERT_OK_AND_ASSIGN(const v1::Job stored, manager().Get(job.name()));
  EXPECT_EQ(stored.forecast().SerializeAsString(),
            forecast.SerializeAsString());
}

TEST_F(JobAdmissionTest, LessMemorySpillsAndTooLittleIsRefusedWithNumbers) {
  ASSERT_OK_AND_ASSIGN(const v1::Job free, DryRun(Gptq()));
  const uint64_t least = free.forecast().least_memory_bytes();
  const uint64_t enough = least + (uint64_t{5} << 20);
  ASSERT_OK_AND_ASSIGN(const v1::Job spilling, DryRun(Gptq(), enough));
  EXPECT_EQ(spilling.forecast().peak_memory_bytes(), enough);
  EXPECT_EQ(spilling.forecast().memory_limit_bytes(), enough);
  EXPECT_EQ(spilling.forecast().spilled_bytes(),
            uint64_t{1000} * 64 * 256 * 4 - (uint64_t{5} << 20));
  EXPECT_EQ(
      spilling.forecast().disk_bytes(),
      spilling.forecast().output_bytes() + spilling.forecast().spilled_bytes());
  EXPECT_THAT(DryRun(Gptq(), least), IsOk());
  EXPECT_THAT(
      DryRun(Gptq(), least - 1).status(),
      StatusIs(Code::kResourceExhausted,
               AllOf(HasSubstr("needs at least"), HasSubstr("MiB"),
                     HasSubstr("one block in float32"),
                     HasSubstr("--job-memory"), HasSubstr("memory_bytes"))));
}

TEST_F(JobAdmissionTest, TheServersLimitHoldsForEveryJob) {
  StopServer();
  options_.job_memory_bytes = uint64_t{1} << 30;
  StartServer();
  ASSERT_OK_AND_ASSIGN(const v1::Job job, DryRun(Rtn()));
  EXPECT_EQ(job.forecast().memory_limit_bytes(), uint64_t{1} << 30);
  EXPECT_THAT(DryRun(Rtn(), uint64_t{2} << 30).status(),
              StatusIs(Code::kResourceExhausted,
                       AllOf(HasSubstr("spec.memory_bytes: 2.00 GiB"),
                             HasSubstr("1.00 GiB"))));
  StopServer();
  options_.job_memory_bytes = 1 << 20;
  StartServer();
  EXPECT_THAT(manager().Submit(Rtn()).status(),
              StatusIs(Code::kResourceExhausted, HasSubstr("1.00 MiB")));
}

TEST_F(JobAdmissionTest, ScoringGoesLayerByLayerWhenTheModelDoesNotFit) {
  ASSERT_OK_AND_ASSIGN(const v1::Job roomy, DryRun(Evaluate("real")));
  EXPECT_EQ(roomy.forecast().scoring_order(), v1::BATCH_MAJOR);
  EXPECT_EQ(roomy.forecast().output_bytes(), 0u);
  const uint64_t needed = roomy.forecast().peak_memory_bytes();
  ASSERT_OK_AND_ASSIGN(const v1::Job tight,
                       DryRun(Evaluate("real"), needed - 1));
  EXPECT_EQ(tight.forecast().scoring_order(), v1::LAYER_MAJOR);
  EXPECT_LT(tight.forecast().least_memory_bytes(), needed);
  v1::CreateJobRequest batch_major = Evaluate("real");
  batch_major.mutable_spec()->mutable_evaluate()->set_scoring_order(
      v1::BATCH_MAJOR);
  EXPECT_THAT(
      DryRun(batch_major, needed - 1).status(),
      StatusIs(Code::kResourceExhausted, HasSubstr("score layer-major")));
}

uint64_t PartOf(const v1::Forecast& forecast, absl::string_view name) {
  for (const v1::ForecastPart& part : forecast.parts()) {
    if (part.name() == name) return part.bytes();
  }
  return 0;
}

TEST_F(JobAdmissionTest, OnlyRunsWithProductsPackOperands) {
  const auto process = [&](v1::CreateJobRequest request, uint32_t threads) {
    request.mutable_spec()->set_threads(threads);
    return PartOf(DryRun(request)->forecast(), "the process and its threads");
  };
  EXPECT_EQ(process(Rtn(), 8), process(Rtn(), 1));
  EXPECT_GT(process(Evaluate("real"), 8), process(Evaluate("real"), 1));
}

// A model may have room for a larger vocabulary than its tokenizer uses.
TEST_F(JobAdmissionTest, TokensAreCountedByWhatTheTokenizerHolds) {
  ASSERT_OK_AND_ASSIGN(const auto checkpoint, Checkpoint::Open(model_.path()));
  ASSERT_OK_AND_ASSIGN(const ModelDescription description,
                       DescribeModel(*checkpoint));
  ModelFootprint footprint = FootprintOf(*checkpoint, description);
  footprint.description.vocabulary_size = 32000;
  v1::JobSpec spec;
  spec.mutable_evaluate()->add_metrics("ppl/gptq-512");
  spec.mutable_evaluate()->set_batch_windows(1);
  spec.mutable_evaluate()->set_scoring_order(v1::LAYER_MAJOR);
  uint64_t windows = 8;
  const auto activations = [&](uint64_t tokenizer_bytes) {
    footprint.tokenizer_bytes = tokenizer_bytes;
    return PartOf(PlanEvaluateJob(footprint, /*baseline=*/nullptr, spec,
                                  {windows * 512, {}}, 0)
                      .value()
                      .forecast,
                  "activations between blocks");
  };
  const uint64_t window = 512 * 256 * sizeof(float);
  EXPECT_EQ(activations(2000), 8 * window);
  EXPECT_EQ(activations(2 << 20), 2 * window);
  EXPECT_EQ(activations(0), 2 * window);
  // Never more than those of a portion.
  windows = 64;
  EXPECT_EQ(activations(2000), kPortionRows * 256 * sizeof(float));
}

TEST_F(JobAdmissionTest, OutputsThatAreStillToBeMadeAreForecastToo) {
  ASSERT_OK_AND_ASSIGN(const v1::Job source, DryRun(Evaluate("real")));
  const std::string producer = Submit(Rtn());
  ASSERT_OK_AND_ASSIGN(const v1::Job scoring, DryRun(Evaluate("out")));
  EXPECT_EQ(scoring.spec().evaluate().target(), producer);
  // The compressed layers come on top of what they decode to.
  EXPECT_GT(scoring.forecast().peak_memory_bytes(),
            source.forecast().peak_memory_bytes());
}

TEST_F(JobAdmissionTest, ArtifactsAreForecastFromTheirConfiguration) {
  ASSERT_OK_AND_ASSIGN(const std::string config,
                       ReadFile(model_.File("config.json")));
  ASSERT_OK_AND_ASSIGN(auto writer, server_.artifacts->NewWriter());
  ASSERT_THAT(writer->Append(config), IsOk());
  v1::Artifact artifact;
  artifact.set_name("artifacts/made");
  artifact.set_digest(Sha256Hex("made"));
  v1::ArtifactFile& file = *artifact.add_files();
  file.set_path("config.json");
  ASSERT_OK_AND_ASSIGN(*file.mutable_digest(), writer->Finish(""));
  for (int shard : {1, 2}) {
    v1::ArtifactFile& weights = *artifact.add_files();
    weights.set_path("model-0000" + std::to_string(shard) +
                     "-of-00002.safetensors");
    weights.set_size_bytes(1000 * shard);
  }
  MetadataBatch batch;
  batch.Put(Table::kArtifacts, "made", artifact);
  ASSERT_THAT(server_.store->Commit(batch), IsOk());
  ASSERT_OK_AND_ASSIGN(const v1::Job source, DryRun(Evaluate("real")));
  ASSERT_OK_AND_ASSIGN(const v1::Job made, DryRun(Evaluate("made")));
  // Six blocks of compressed layers; the last shard is not one.
  EXPECT_EQ(made.forecast().peak_memory_bytes(),
            source.forecast().peak_memory_bytes() + 6 * 1000);
}

TEST_F(JobAdmissionTest, ABaselineIsForecastBesideItsTarget) {
  v1::CreateJobRequest request = Evaluate("real");
  ASSERT_OK_AND_ASSIGN(const v1::Job alone, DryRun(request));
  v1::EvaluateSpec& spec = *request.mutable_spec()->mutable_evaluate();
  spec.set_metrics(0, "divergence/gptq-64");
  spec.set_baseline("real");
  ASSERT_OK_AND_ASSIGN(const v1::Job pair, DryRun(request));
  const auto blocks = [](const v1::Job& job) {
    for (const v1::ForecastPart& part : job.forecast().parts()) {
      if (part.name() == "all blocks in float32") return part.bytes();
    }
    return uint64_t{0};
  };
  EXPECT_EQ(blocks(pair), 2 * blocks(alone));
  EXPECT_GT(pair.forecast().seconds(), 1.5 * alone.forecast().seconds());
  // What is reported alongside costs nothing more.
  spec.add_metrics("ppl/gptq-64");
  ASSERT_OK_AND_ASSIGN(const v1::Job both, DryRun(request));
  EXPECT_EQ(both.forecast().SerializeAsString(),
            pair.forecast().SerializeAsString());
}

TEST_F(JobAdmissionTest, ABaselineOfAnotherVocabularyIsRefusedByName) {
  TempDir padded;
  TinyModelOptions options;
  options.vocabulary = 300;
  WriteTinyModel(padded.path(), options);
  v1::Model model;
  model.set_name("models/padded");
  model.set_path(padded.path());
  MetadataBatch batch;
  batch.Put(Table::kModels, "padded", model);
  ASSERT_THAT(server_.store->Commit(batch), IsOk());
  v1::CreateJobRequest request = Evaluate("real");
  v1::EvaluateSpec& spec = *request.mutable_spec()->mutable_evaluate();
  spec.set_metrics(0, "divergence/gptq-64");
  spec.set_baseline("padded");
  EXPECT_THAT(DryRun(request).status(),
              StatusIs(Code::kInvalidArgument,
                       AllOf(HasSubstr("spec.evaluate.baseline"),
                             HasSubstr("models/padded has a vocabulary of 300"),
                             HasSubstr("models/real one of 256"))));
}

// Speeds of models of different vocabularies may be compared, and need no text.
TEST_F(JobAdmissionTest, AnEfficiencyHoldsBothModelsAndNeedsNoText) {
  TempDir padded;
  TinyModelOptions options;
  options.vocabulary = 300;
  WriteTinyModel(padded.path(), options);
  v1::Model model;
  model.set_name("models/padded");
  model.set_path(padded.path());
  MetadataBatch batch;
  batch.Put(Table::kModels, "padded", model);
  ASSERT_THAT(server_.store->Commit(batch), IsOk());
  v1::CreateJobRequest request = Evaluate("real");
  v1::EvaluateSpec& spec = *request.mutable_spec()->mutable_evaluate();
  spec.set_metrics(0, "efficiency/pp16-tg4");
  spec.clear_dataset();
  ASSERT_OK_AND_ASSIGN(const v1::Job alone, DryRun(request));
  // None is looked for: a model has a speed by itself.
  EXPECT_EQ(alone.spec().evaluate().baseline(), "");
  spec.set_baseline("padded");
  ASSERT_OK_AND_ASSIGN(const v1::Job pair, DryRun(request));
  EXPECT_GT(pair.forecast().peak_memory_bytes(),
            alone.forecast().peak_memory_bytes());
  spec.add_metrics("ppl/gptq-64");
  EXPECT_THAT(
      DryRun(request).status(),
      StatusIs(Code::kInvalidArgument, HasSubstr("spec.evaluate.dataset")));
}

TEST_F(JobAdmissionTest, AnAttributionComparesAndTakesLongerByLayers) {
  v1::CreateJobRequest request = Evaluate("real");
  v1::EvaluateSpec& spec = *request.mutable_spec()->mutable_evaluate();
  spec.set_metrics(0, "divergence/gptq-64");
  spec.set_baseline("real");
  ASSERT_OK_AND_ASSIGN(const v1::Job pair, DryRun(request));
  spec.set_metrics(0, "attribution/gptq-64");
  ASSERT_OK_AND_ASSIGN(const v1::Job blocks, DryRun(request));
  EXPECT_GT(blocks.forecast().seconds(), pair.forecast().seconds());
  spec.set_attribution_granularity(v1::ATTRIBUTE_LAYERS);
  ASSERT_OK_AND_ASSIGN(const v1::Job layers, DryRun(request));
  EXPECT_GT(layers.forecast().seconds(), blocks.forecast().seconds());
  spec.set_metrics(0, "divergence/gptq-64");
  EXPECT_THAT(
      DryRun(request).status(),
      StatusIs(Code::kInvalidArgument, HasSubstr("attribution_granularity")));
  spec.clear_attribution_granularity();
  spec.set_attribution_target_bits(3.5);
  EXPECT_THAT(
      DryRun(request).status(),
      StatusIs(Code::kInvalidArgument, HasSubstr("attribution_target_bits")));
  spec.set_metrics(0, "attribution/gptq-64");
  EXPECT_THAT(DryRun(request).status(), IsOk());
  for (const double wrong : {-1.0, 33.0, std::nan("")}) {
    spec.set_attribution_target_bits(wrong);
    EXPECT_THAT(
        DryRun(request).status(),
        StatusIs(Code::kInvalidArgument, HasSubstr("attribution_target_bits")));
  }
  spec.clear_attribution_target_bits();
  spec.clear_baseline();
  EXPECT_THAT(DryRun(request).status(),
              StatusIs(Code::kInvalidArgument,
                       HasSubstr("spec.evaluate.baseline: name the original")));
}

TEST_F(JobAdmissionTest, AGenerationHoldsTheWholeModel) {
  v1::CreateJobRequest request = Evaluate("real");
  v1::EvaluateSpec& spec = *request.mutable_spec()->mutable_evaluate();
  spec.clear_metrics();
  spec.mutable_generation()->set_max_new_tokens(100);
  ASSERT_OK_AND_ASSIGN(const v1::Job job, DryRun(request));
  EXPECT_EQ(job.forecast().scoring_order(), v1::BATCH_MAJOR);
  std::vector<std::string> parts;
  for (const auto& part : job.forecast().parts()) parts.push_back(part.name());
  EXPECT_THAT(parts, testing::Contains("all blocks in float32"));
  EXPECT_EQ(job.forecast().spilled_bytes(), 0u);
}

TEST_F(JobAdmissionTest, AModelThatCannotBeReadIsLeftToTheAttempt) {
  ASSERT_OK_AND_ASSIGN(const v1::Job job, DryRun(QuantizeRequest(), 1));
  EXPECT_FALSE(job.has_forecast());
}

TEST(CheckForecastTest, AFullDiskIsNamedWithItsNumbers) {
  v1::Forecast forecast;
  forecast.set_memory_limit_bytes(uint64_t{1} << 30);
  forecast.set_least_memory_bytes(1);
  forecast.set_output_bytes(uint64_t{2} << 30);
  forecast.set_spilled_bytes(uint64_t{3} << 30);
  forecast.set_disk_bytes(uint64_t{5} << 30);
  EXPECT_THAT(CheckForecast(forecast, uint64_t{5} << 30), IsOk());
  EXPECT_THAT(
      CheckForecast(forecast, (uint64_t{5} << 30) - 1),
      StatusIs(Code::kResourceExhausted,
               AllOf(HasSubstr("5.00 GiB of disk"), HasSubstr("2.00 GiB"),
                     HasSubstr("3.00 GiB"), HasSubstr("free"))));
}

TEST(CalibrationWindowTest, DefaultsToTheContextUpToTwoThousandTokens) {
  v1::Calibration options;
  ModelDescription model;
  EXPECT_EQ(CalibrationWindowTokens(options, model), 2048);
  model.context_tokens = 512;
  EXPECT_EQ(CalibrationWindowTokens(options, model), 512);
  model.context_tokens = 100000;
  EXPECT_EQ(CalibrationWindowTokens(options, model), 2048);
  options.set_window_tokens(4096);
  EXPECT_EQ(CalibrationWindowTokens(options, model), 4096);
}

}  // namespace
}  // namespace quantd::test
