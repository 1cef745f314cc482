#include <cmath>

#include "tests/client/fake_answers.h"
#include "tests/client/fake_quantd.h"

namespace quantd::test {
namespace {

using ::grpc::ServerContext;
using ::grpc::Status;

}  // namespace

class FakeQuantd::Evaluations : public v1::EvaluationService::Service {
 public:
  explicit Evaluations(FakeQuantd* fake) : fake_(*fake) {}

  Status GetEvaluation(ServerContext*, const v1::GetEvaluationRequest* request,
                       v1::Evaluation* evaluation) override {
    if (Status s = fake_.Enter("GetEvaluation"); !s.ok()) return s;
    absl::MutexLock lock(&fake_.mutex_);
    return Find(fake_.evaluations_, request->name(), evaluation);
  }

  Status ListEvaluations(ServerContext*,
                         const v1::ListEvaluationsRequest* request,
                         v1::ListEvaluationsResponse* response) override {
    if (Status s = fake_.Enter("ListEvaluations"); !s.ok()) return s;
    absl::MutexLock lock(&fake_.mutex_);
    std::vector<v1::Evaluation> matching;
    for (const auto& evaluation : Values(fake_.evaluations_)) {
      if (request->target().empty() ||
          evaluation.target() == request->target()) {
        matching.push_back(evaluation);
      }
    }
    Page(
        matching, request->page_token(),
        [&](const v1::Evaluation& e) { *response->add_evaluations() = e; },
        response->mutable_next_page_token());
    return Status::OK;
  }

  Status CompareEvaluations(ServerContext*,
                            const v1::CompareEvaluationsRequest* request,
                            v1::Comparison* comparison) override {
    if (Status s = fake_.Enter("CompareEvaluations"); !s.ok()) return s;
    absl::MutexLock lock(&fake_.mutex_);
    v1::Evaluation a, b;
    if (Status s = Find(fake_.evaluations_, request->baseline(), &a); !s.ok()) {
      return s;
    }
    if (Status s = Find(fake_.evaluations_, request->candidate(), &b);
        !s.ok()) {
      return s;
    }
    comparison->set_baseline(a.name());
    comparison->set_candidate(b.name());
    for (const v1::TaskReport& x : a.tasks()) {
      for (const v1::TaskReport& y : b.tasks()) {
        if (x.tag().task() != y.tag().task()) continue;
        AddMetric(x.tag().task(), "acc", x.metrics(0).value(),
                  y.metrics(0).value(),
                  x.metrics(0).value() - y.metrics(0).value(), comparison);
      }
    }
    for (const v1::PerplexityReport& x : a.perplexities()) {
      for (const v1::PerplexityReport& y : b.perplexities()) {
        if (x.tag().convention() != y.tag().convention()) continue;
        AddMetric(x.tag().convention(), "ln_perplexity",
                  std::log(x.perplexity()), std::log(y.perplexity()),
                  std::log(y.perplexity() / x.perplexity()), comparison);
        if (!x.has_bits_per_byte()) continue;
        auto* own = comparison->add_words_and_bytes();
        own->set_convention(x.tag().convention());
        *own->mutable_baseline_word_perplexity() = x.word_perplexity();
        *own->mutable_candidate_word_perplexity() = y.word_perplexity();
        own->set_word_ratio(1.25);
        own->set_word_ratio_error(0.125);
        *own->mutable_baseline_byte_perplexity() = x.byte_perplexity();
        *own->mutable_candidate_byte_perplexity() = y.byte_perplexity();
        own->set_byte_ratio(1.0625);
        own->set_byte_ratio_error(0.0625);
        *own->mutable_baseline_bits_per_byte() = x.bits_per_byte();
        *own->mutable_candidate_bits_per_byte() = y.bits_per_byte();
        own->set_bits_per_byte_difference(y.bits_per_byte().value() -
                                          x.bits_per_byte().value());
        own->set_bits_per_byte_difference_error(0.03125);
      }
    }
    if (a.perplexities().empty() || b.perplexities().empty()) return Status::OK;
    *comparison->mutable_tag() = a.perplexities(0).tag();
    const double x = a.perplexities(0).perplexity();
    const double y = b.perplexities(0).perplexity();
    comparison->set_baseline_perplexity(x);
    comparison->set_candidate_perplexity(y);
    comparison->set_ratio(y / x);
    comparison->set_ratio_error(0.01);
    comparison->set_log_ratio(std::log(y / x));
    comparison->set_log_ratio_error(0.0125);
    return Status::OK;
  }

  Status ListMetrics(ServerContext*, const v1::ListMetricsRequest*,
                     v1::ListMetricsResponse* response) override {
    if (Status s = fake_.Enter("ListMetrics"); !s.ok()) return s;
    v1::MetricInfo* metric = response->add_metrics();
    metric->set_pattern("ppl/gptq-N");
    metric->set_help("Perplexity over windows of N tokens");
    return Status::OK;
  }

  Status ListTasks(ServerContext*, const v1::ListTasksRequest*,
                   v1::ListTasksResponse* response) override {
    if (Status s = fake_.Enter("ListTasks"); !s.ok()) return s;
    for (const char* name : {"arc_easy", "piqa"}) {
      v1::TaskInfo* task = response->add_tasks();
      task->set_name(name);
      task->set_kind("multiple_choice");
      task->set_data_file(std::string(name) + ".jsonl");
      task->set_few_shot_file(std::string(name) + "_train.jsonl");
    }
    for (const char* format : {"json", "csv", "tsv"}) {
      v1::TaskInfo* task = response->add_tasks();
      task->set_name(std::string("many_") + format);
      task->set_kind("multiple_choice");
      task->set_data_file(std::string("many/*.") + format);
      task->add_data_formats(format);
    }
    // One that wants examples.
    v1::TaskInfo* task = response->add_tasks();
    task->set_name("gsm8k");
    task->set_kind("generate_until");
    task->set_data_file("gsm8k.jsonl");
    task->set_few_shot_file("gsm8k_train.jsonl");
    task->set_few_shot(5);
    return Status::OK;
  }

 private:
  // With an error of 0.0125 and an interval of 0.02 to each side.
  static void AddMetric(const std::string& task, const std::string& metric,
                        double baseline, double candidate, double loss,
                        v1::Comparison* comparison) {
    v1::MetricComparison* row = comparison->add_metrics();
    row->set_task(task);
    row->set_metric(metric);
    row->set_baseline(baseline);
    row->set_candidate(candidate);
    row->set_loss(loss);
    row->set_loss_error(0.0125);
    row->set_low(loss - 0.02);
    row->set_high(loss + 0.02);
    row->set_p_value(loss > 0.05 ? 0.001 : 0.04);
    row->set_adjusted_p_value(1);
    row->set_in_family(true);
    row->set_verdict(loss > 0.05 ? v1::WORSE : v1::UNDECIDED);
    row->set_items_needed(loss > 0.05 ? 0 : 1234);
  }

  FakeQuantd& fake_;
};

std::unique_ptr<grpc::Service> FakeQuantd::NewEvaluations() {
  return std::make_unique<Evaluations>(this);
}

}  // namespace quantd::test
