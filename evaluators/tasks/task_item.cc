#include "evaluators/tasks/task_item.h"

#include <algorithm>
#include <map>
#include <random>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "base/status_macros.h"
#include "evaluators/tasks/few_shot.h"
#include "evaluators/tasks/record_prompt.h"
#include "evaluators/tasks/task_records.h"
#include "evaluators/tasks/template_value.h"
#include "evaluators/tasks/unicode_text.h"
#include "models/json_text.h"

namespace quantd {
namespace {

using nlohmann::json;

TaskChoice MakeChoice(const std::string& before, const std::string& context,
                      const std::string& delimiter, const std::string& text) {
  TaskChoice choice;
  choice.text = text;
  choice.context = absl::StrCat(before, context);
  const size_t kept = StripRight(choice.context).size();
  choice.continuation = absl::StrCat(
      absl::string_view(choice.context).substr(kept), delimiter, text);
  choice.context.resize(kept);
  return choice;
}

// Which examples stand before an item, and their text.
class Examples {
 public:
  static absl::StatusOr<Examples> Create(const TaskDefinition& task,
                                         absl::Span<const TaskRecord> data,
                                         absl::string_view few_shot_data,
                                         const TaskItemOptions& options) {
    Examples examples;
    ASSIGN_OR_RETURN(examples.count_, CountFor(task, options));
    if (examples.count_ == 0) return examples;
    const TaskFewShot& config = task.few_shot;
    if (!config.samples.empty()) {
      if (!few_shot_data.empty()) {
        return absl::InvalidArgumentError(
            absl::StrCat("task ", task.name,
                         " has examples of its own; no few-shot data wanted"));
      }
      return Fixed(task, std::move(examples));
    }
    absl::Span<const TaskRecord> pool = data;
    if (!few_shot_data.empty()) {
      const std::vector<RecordFormat>& formats =
          task.few_shot_data.value_or(task.data).formats;
      ASSIGN_OR_RETURN(
          examples.records_,
          ParseTaskRecords(few_shot_data, formats, "few-shot data"));
      pool = examples.records_;
    } else if (task.few_shot_data.has_value()) {
      return absl::InvalidArgumentError(
          absl::StrCat("task ", task.name, " takes its ", examples.count_,
                       " examples from a file of their own",
                       task.few_shot_data->file.empty()
                           ? ""
                           : absl::StrCat(" (", task.few_shot_data->file, ")"),
                       "; give it as few-shot data, or ask for 0 examples"));
    }
    ASSIGN_OR_RETURN(FewShotSampler sampler,
                     FewShotSampler::Create(config, options.seed, pool));
    examples.pool_ = pool;
    examples.blocks_.resize(pool.size());
    examples.sampler_.emplace(std::move(sampler));
    return examples;
  }

  // Called for every record in order.
  absl::StatusOr<std::vector<size_t>> Choose(const json& record) {
    if (sampler_.has_value()) return sampler_->Choose(record, count_);
    return std::vector<size_t>();
  }

  absl::StatusOr<std::string> Text(const TaskDefinition& task,
                                   const std::vector<size_t>& chosen) {
    std::string text = fixed_;
    for (const size_t index : chosen) {
      std::string& block = blocks_[index];
      if (block.empty()) {
        ASSIGN_OR_RETURN(
            const RecordPrompt prompt,
            Annotate(MakeRecordPrompt(task, pool_[index].fields),
                     "few-shot example of line ", pool_[index].line));
        block = prompt.Example(task);
      }
      absl::StrAppend(&text, block, task.fewshot_delimiter);
    }
    return text;
  }

 private:
  static absl::StatusOr<int> CountFor(const TaskDefinition& task,
                                      const TaskItemOptions& options) {
    const int own = task.num_fewshot.value_or(0);
    const int wanted = options.few_shot.value_or(own);
    if (wanted < 0) {
      return absl::InvalidArgumentError(
          absl::StrCat("few_shot ", wanted, " is negative"));
    }
    if (wanted > 0 && task.num_fewshot.has_value() && own == 0) {
      return absl::InvalidArgumentError(absl::StrCat(
          "task ", task.name, " is defined without examples (num_fewshot: 0); ",
          wanted, " were asked for"));
    }
    return wanted;
  }

  static absl::StatusOr<Examples> Fixed(const TaskDefinition& task,
                                        Examples examples) {
    const std::vector<json>& samples = task.few_shot.samples;
    if (static_cast<size_t>(examples.count_) > samples.size()) {
      return absl::InvalidArgumentError(
          absl::StrCat("task ", task.name, " has ", samples.size(),
                       " examples; ", examples.count_, " were asked for"));
    }
    for (int i = 0; i < examples.count_; ++i) {
      ASSIGN_OR_RETURN(
          const RecordPrompt prompt,
          Annotate(MakeRecordPrompt(task, samples[static_cast<size_t>(i)]),
                   "fewshot_config.samples: ", i));
      absl::StrAppend(&examples.fixed_, prompt.Example(task),
                      task.fewshot_delimiter);
    }
    return examples;
  }

  int count_ = 0;
  std::string fixed_;
  std::vector<TaskRecord> records_;  // of the few-shot data
  absl::Span<const TaskRecord> pool_;
  std::vector<std::string> blocks_;  // of the pool, made when first needed
  std::optional<FewShotSampler> sampler_;
};

absl::StatusOr<std::vector<std::string>> LabelsOf(const TaskDefinition& task,
                                                  const json& record) {
  std::vector<std::string> labels;
  for (const std::string& field : task.subsets) {
    const auto value = record.find(field);
    if (value == record.end()) {
      return absl::InvalidArgumentError(
          absl::StrCat("subsets: no field ", Quoted(field)));
    }
    ASSIGN_OR_RETURN(std::string label,
                     Annotate(TemplateText(*value), "subsets: ", field));
    labels.push_back(std::move(label));
  }
  return labels;
}

// Whether doc_to_text is the index of a context is seen record by record, and
// a question that happens to be all digits would be taken for one.
absl::Status CheckSameForm(const RecordPrompt& prompt,
                           std::optional<bool>& chooses_context) {
  if (!chooses_context.has_value()) chooses_context = prompt.chooses_context;
  if (*chooses_context == prompt.chooses_context) return absl::OkStatus();
  return absl::InvalidArgumentError(
      prompt.chooses_context
          ? "doc_to_text: an index of a context, or digits, which are taken "
            "for "
            "one; in the records before it is a text"
          : "doc_to_text: a text; in the records before it is the index of a "
            "context");
}

// `chooses_context` is what the items before had, if there were any.
absl::StatusOr<TaskItem> MakeItem(const TaskDefinition& task,
                                  const TaskRecord& record, size_t index,
                                  const std::string& examples,
                                  std::optional<bool>& chooses_context) {
  TaskItem item;
  item.record = index;
  item.line = record.line;
  const json& fields = record.fields;
  ASSIGN_OR_RETURN(item.labels, LabelsOf(task, fields));
  if (task.cluster.has_value()) {
    ASSIGN_OR_RETURN(item.cluster,
                     Annotate(task.cluster->Text(fields), "cluster"));
  }
  ASSIGN_OR_RETURN(std::string before,
                   Annotate(task.description.Text(fields), "description"));
  before += examples;
  ASSIGN_OR_RETURN(RecordPrompt prompt, MakeRecordPrompt(task, fields));
  RETURN_IF_ERROR(CheckSameForm(prompt, chooses_context));
  if (task.kind == TaskKind::kGenerate) {
    item.prompt = std::move(before) + prompt.contexts[0];
    item.references = std::move(prompt.answers);
    return item;
  }
  const std::string delimiter = AnswerDelimiter(task);
  for (size_t i = 0; i < prompt.answers.size(); ++i) {
    item.choices.push_back(
        MakeChoice(before, prompt.ContextOf(i), delimiter, prompt.answers[i]));
  }
  item.gold = std::move(prompt.gold);
  ASSIGN_OR_RETURN(item.unconditional_context,
                   Annotate(task.unconditional_context.Text(fields),
                            "unconditional_context"));
  return item;
}

uint64_t BytesOf(const TaskItem& item) {
  uint64_t bytes = item.prompt.size();
  for (const TaskChoice& choice : item.choices) {
    bytes += choice.context.size() + choice.continuation.size();
  }
  return bytes;
}

template <typename T>
void Shuffle(std::vector<T>& items, std::mt19937_64& engine) {
  for (size_t i = items.size(); i > 1; --i) {
    std::swap(items[i - 1], items[DrawBelow(i, engine)]);
  }
}

// Which records make up a limited run. Within every value of the first subset
// key records are in random order; the k-th of n stands at (k + 1/2) / n, and
// those that stand first over all values are taken, in random order where they
// are level: every value has its share, rounded.
absl::StatusOr<std::vector<bool>> ChooseRecords(
    const TaskDefinition& task, absl::Span<const TaskRecord> records,
    const TaskItemOptions& options) {
  std::vector<bool> chosen(records.size(), true);
  if (options.max_items == 0 || options.max_items >= records.size()) {
    return chosen;
  }
  std::map<std::string, std::vector<size_t>> strata;
  for (size_t i = 0; i < records.size(); ++i) {
    ASSIGN_OR_RETURN(const std::vector<std::string> labels,
                     Annotate(LabelsOf(task, records[i].fields), "data: line ",
                              records[i].line));
    strata[labels.empty() ? "" : labels[0]].push_back(i);
  }
  std::mt19937_64 engine(options.seed.value_or(task.few_shot.seed));
  struct Place {
    double at;
    size_t record;
  };
  std::vector<Place> places;
  for (auto& [label, members] : strata) {
    Shuffle(members, engine);
    for (size_t k = 0; k < members.size(); ++k) {
      places.push_back(
          {(static_cast<double>(k) + 0.5) / static_cast<double>(members.size()),
           members[k]});
    }
  }
  Shuffle(places, engine);
  std::stable_sort(places.begin(), places.end(),
                   [](const Place& a, const Place& b) { return a.at < b.at; });
  chosen.assign(records.size(), false);
  for (uint64_t i = 0; i < options.max_items; ++i) {
    chosen[places[i].record] = true;
  }
  return chosen;
}

}  // namespace

absl::StatusOr<std::vector<TaskItem>> BuildTaskItems(
    const TaskDefinition& task, absl::string_view data,
    absl::string_view few_shot_data, const TaskItemOptions& options) {
  ASSIGN_OR_RETURN(const std::vector<TaskRecord> records,
                   ParseTaskRecords(data, task.data.formats, "data"));
  ASSIGN_OR_RETURN(Examples examples,
                   Examples::Create(task, records, few_shot_data, options));
  ASSIGN_OR_RETURN(const std::vector<bool> chosen,
                   ChooseRecords(task, records, options));
  std::vector<TaskItem> items;
  std::optional<bool> chooses_context;
  uint64_t bytes = 0;
  for (size_t i = 0; i < records.size(); ++i) {
    const std::string at = absl::StrCat("data: line ", records[i].line);
    ASSIGN_OR_RETURN(const std::vector<size_t> drawn,
                     Annotate(examples.Choose(records[i].fields), at));
    if (!chosen[i]) continue;
    ASSIGN_OR_RETURN(const std::string text, examples.Text(task, drawn));
    ASSIGN_OR_RETURN(
        TaskItem item,
        Annotate(MakeItem(task, records[i], i, text, chooses_context), at));
    bytes += BytesOf(item);
    if (bytes > kMaxItemBytes) {
      return absl::ResourceExhaustedError(
          absl::StrCat(at, ": items of more than ", kMaxItemBytes,
                       " bytes in all; use fewer examples or fewer items"));
    }
    items.push_back(std::move(item));
  }
  return items;
}

}  // namespace quantd
