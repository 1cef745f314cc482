#include "evaluators/tasks/task_definition.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/sha256.h"
#include "base/status_macros.h"
#include "evaluators/tasks/task_file_parts.h"
#include "evaluators/tasks/yaml_reader.h"
#include "evaluators/tasks/yaml_text.h"
#include "models/json_text.h"

namespace quantd {
namespace {

constexpr int kMaxFewShot = 1000;
constexpr size_t kMaxNameBytes = 100;

struct KindRow {
  TaskKind kind;
  absl::string_view name;
};

constexpr KindRow kKinds[] = {
    {TaskKind::kMultipleChoice, "multiple_choice"},
    {TaskKind::kGreedyMatch, "loglikelihood"},
    {TaskKind::kMultipleTrue, "multiple_true"},
    {TaskKind::kGenerate, "generate_until"},
};

bool HasChoices(TaskKind kind) {
  return kind == TaskKind::kMultipleChoice || kind == TaskKind::kMultipleTrue;
}

class TaskFileReader {
 public:
  absl::StatusOr<TaskDefinition> Read(absl::string_view yaml) &&;

  struct Key {
    absl::string_view name;
    absl::Status (TaskFileReader::*read)(const YamlValue& value,
                                         absl::string_view key);
    absl::string_view meaning;
  };
  static absl::Span<const Key> Keys();

 private:
  absl::Status Name(const YamlValue& value, absl::string_view key);
  absl::Status Title(const YamlValue& value, absl::string_view key) {
    return Text(value, key, task_.title);
  }
  absl::Status Citation(const YamlValue& value, absl::string_view key) {
    return Text(value, key, task_.citation);
  }
  absl::Status About(const YamlValue& value, absl::string_view key) {
    return Text(value, key, task_.about);
  }
  absl::Status Metadata(const YamlValue& value, absl::string_view key);
  absl::Status OutputType(const YamlValue& value, absl::string_view key);
  absl::Status Data(const YamlValue& value, absl::string_view key);
  absl::Status FewShotData(const YamlValue& value, absl::string_view key);
  absl::Status Description(const YamlValue& value, absl::string_view key) {
    return Template(value, key, task_.description);
  }
  absl::Status DocToText(const YamlValue& value, absl::string_view key) {
    return Template(value, key, task_.doc_to_text);
  }
  absl::Status DocToChoice(const YamlValue& value, absl::string_view key);
  absl::Status DocToTarget(const YamlValue& value, absl::string_view key) {
    return Template(value, key, task_.doc_to_target);
  }
  absl::Status TargetDelimiter(const YamlValue& value, absl::string_view key) {
    return Text(value, key, task_.target_delimiter);
  }
  absl::Status UnconditionalContext(const YamlValue& value,
                                    absl::string_view key) {
    return Template(value, key, task_.unconditional_context);
  }
  absl::Status NumFewShot(const YamlValue& value, absl::string_view key);
  absl::Status FewShotConfig(const YamlValue& value, absl::string_view key);
  absl::Status FewShotDelimiter(const YamlValue& value, absl::string_view key) {
    return Text(value, key, task_.fewshot_delimiter);
  }
  absl::Status MetricList(const YamlValue& value, absl::string_view key);
  absl::Status GenerationKwargs(const YamlValue& value, absl::string_view key);
  absl::Status FilterList(const YamlValue& value, absl::string_view key);
  absl::Status Repeats(const YamlValue& value, absl::string_view key);
  absl::Status Subsets(const YamlValue& value, absl::string_view key);
  absl::Status ReadGroupMean(const YamlValue& value, absl::string_view key);
  absl::Status Cluster(const YamlValue& value, absl::string_view key);
  absl::Status Elsewhere(const YamlValue& value, absl::string_view key);
  absl::Status NoEffect(const YamlValue& value, absl::string_view key);

  static absl::Status Text(const YamlValue& value, absl::string_view key,
                           std::string& text);
  static absl::Status Template(const YamlValue& value, absl::string_view key,
                               TaskTemplate& result);
  // The key has a meaning for `kinds` only.
  absl::Status OnlyFor(const YamlValue& value, absl::string_view key,
                       bool has_meaning) const;
  absl::Status CheckComplete(const YamlValue& file) const;
  void FillDefaults();

  TaskDefinition task_;
  std::vector<std::string> elsewhere_;  // keys that are about hub datasets
  std::vector<std::string> no_effect_;  // keys that change no score
};

absl::Span<const TaskFileReader::Key> TaskFileReader::Keys() {
  using R = TaskFileReader;
  // output_type first: what other keys mean depends on it.
  static constexpr Key kKeys[] = {
      {"output_type", &R::OutputType,
       "multiple_choice, loglikelihood, multiple_true or generate_until"},
      {"task", &R::Name, "name of the task"},
      {"title", &R::Title, "name in words"},
      {"citation", &R::Citation, "where the benchmark comes from"},
      {"about", &R::About, "what it asks, how it differs from published use"},
      {"metadata", &R::Metadata, "version, and whatever else you like to note"},
      {"data", &R::Data, "file: where it lies, format: its forms"},
      {"few_shot_data", &R::FewShotData,
       "the file that worked examples come from"},
      {"description", &R::Description, "template, before everything else"},
      {"doc_to_text", &R::DocToText, "template of the context or prompt"},
      {"doc_to_choice", &R::DocToChoice,
       "the choices: field, template of a list, or list of templates"},
      {"doc_to_target", &R::DocToTarget, "template of the right answer"},
      {"target_delimiter", &R::TargetDelimiter,
       "between context and answer, a blank if not given"},
      {"unconditional_context", &R::UnconditionalContext,
       "template of the neutral context of acc_pmi"},
      {"num_fewshot", &R::NumFewShot, "number of worked examples"},
      {"fewshot_config", &R::FewShotConfig,
       "sampler, seed, samples, same_field"},
      {"fewshot_delimiter", &R::FewShotDelimiter,
       "behind every example, an empty line if not given"},
      {"metric_list", &R::MetricList, "what is reported"},
      {"generation_kwargs", &R::GenerationKwargs,
       "until, max_gen_toks, do_sample, temperature, top_k, top_p, num_beams, "
       "num_beam_groups, diversity_penalty, length_penalty"},
      {"filter_list", &R::FilterList,
       "how an answer is taken out of a generated text"},
      {"repeats", &R::Repeats, "1"},
      {"subsets", &R::Subsets, "fields that scores are broken down by"},
      {"group_mean", &R::ReadGroupMean,
       "items, or subsets: the unweighted mean over the first subset field"},
      {"cluster", &R::Cluster,
       "template; items with the same value are not independent"},
      {"dataset_path", &R::Elsewhere, "noted, no effect"},
      {"dataset_name", &R::Elsewhere, "noted, no effect"},
      {"dataset_kwargs", &R::Elsewhere, "noted, no effect"},
      {"training_split", &R::Elsewhere, "noted, no effect"},
      {"validation_split", &R::Elsewhere, "noted, no effect"},
      {"test_split", &R::Elsewhere, "noted, no effect"},
      {"fewshot_split", &R::Elsewhere, "noted, no effect"},
      {"tag", &R::Elsewhere, "noted, no effect"},
      {"group", &R::Elsewhere, "noted, no effect"},
      {"group_alias", &R::NoEffect, "noted, no effect"},
      {"task_alias", &R::NoEffect, "noted, no effect"},
      {"multiple_inputs", &R::NoEffect, "noted, no effect"},
      {"should_decontaminate", &R::NoEffect, "noted, no effect"},
      {"doc_to_decontamination_query", &R::NoEffect, "noted, no effect"},
      {"trust_remote_code", &R::NoEffect, "noted, no effect"},
      {"unsafe_code", &R::NoEffect, "noted, no effect"},
  };
  return kKeys;
}

// Keys of lm-evaluation-harness that ask for something quantd does not do.
absl::string_view WhyNot(absl::string_view key) {
  static constexpr std::pair<absl::string_view, absl::string_view> kReasons[] =
      {
          {"include", "a task is one file; write the keys of the other here"},
          {"process_docs",
           "a task has no code; write the change as a template"},
          {"process_results", "a task has no code; choose a metric"},
          {"use_prompt", "write the prompt here"},
          {"gen_prefix", "write it at the end of doc_to_text, behind a blank"},
          {"custom_dataset", "data is a file"},
          {"aggregate_metric_list",
           "a file is one task; run those of a group one by one"},
          {"weight_by_size", "a file is one task; see group_mean"},
          {"doc_to_image", "prompts are text"},
          {"doc_to_audio", "prompts are text"},
      };
  for (const auto& [name, reason] : kReasons) {
    if (name == key) return reason;
  }
  return "";
}

absl::Status TaskFileReader::Text(const YamlValue& value, absl::string_view key,
                                  std::string& text) {
  ASSIGN_OR_RETURN(text, YamlString(value, key));
  return absl::OkStatus();
}

absl::Status TaskFileReader::Template(const YamlValue& value,
                                      absl::string_view key,
                                      TaskTemplate& result) {
  ASSIGN_OR_RETURN(const std::string text, YamlString(value, key));
  ASSIGN_OR_RETURN(result, Annotate(TaskTemplate::Compile(text), "line ",
                                    value.line, ": ", key, ": template"));
  return absl::OkStatus();
}

absl::Status TaskFileReader::OnlyFor(const YamlValue& value,
                                     absl::string_view key,
                                     bool has_meaning) const {
  if (has_meaning) return absl::OkStatus();
  return YamlFault(value, key,
                   absl::StrCat("has no meaning with output_type ",
                                TaskKindName(task_.kind)));
}

absl::Status TaskFileReader::Name(const YamlValue& value,
                                  absl::string_view key) {
  RETURN_IF_ERROR(Text(value, key, task_.name));
  const bool good =
      !task_.name.empty() && task_.name.size() <= kMaxNameBytes &&
      std::all_of(task_.name.begin(), task_.name.end(), [](unsigned char c) {
        return absl::ascii_isalnum(c) || c == '_' || c == '-' || c == '.';
      });
  if (good) return absl::OkStatus();
  return YamlFault(value, key,
                   absl::StrCat("expected letters, digits, _, - and ., got ",
                                Quoted(task_.name)));
}

absl::Status TaskFileReader::Metadata(const YamlValue& value,
                                      absl::string_view key) {
  // Some files of lm-evaluation-harness have a list of maps.
  if (value.kind == YamlValue::Kind::kList) {
    for (const YamlValue& item : value.items) {
      RETURN_IF_ERROR(NeedYamlMap(item, key));
      RETURN_IF_ERROR(Metadata(item, key));
    }
    return absl::OkStatus();
  }
  RETURN_IF_ERROR(NeedYamlMap(value, key));
  const YamlValue* version = value.Find("version");
  if (version == nullptr) return absl::OkStatus();
  return Text(*version, "metadata.version", task_.version);
}

absl::Status TaskFileReader::OutputType(const YamlValue& value,
                                        absl::string_view key) {
  ASSIGN_OR_RETURN(const std::string name, YamlString(value, key));
  std::vector<absl::string_view> known;
  for (const KindRow& row : kKinds) {
    if (row.name == name) {
      task_.kind = row.kind;
      return absl::OkStatus();
    }
    known.push_back(row.name);
  }
  return YamlFault(value, key,
                   absl::StrCat("unknown value ", Quoted(name),
                                "; known: ", absl::StrJoin(known, ", ")));
}

absl::Status TaskFileReader::Data(const YamlValue& value,
                                  absl::string_view key) {
  ASSIGN_OR_RETURN(task_.data, ReadTaskDataFile(value, key));
  return absl::OkStatus();
}

absl::Status TaskFileReader::FewShotData(const YamlValue& value,
                                         absl::string_view key) {
  ASSIGN_OR_RETURN(task_.few_shot_data, ReadTaskDataFile(value, key));
  return absl::OkStatus();
}

absl::Status TaskFileReader::DocToChoice(const YamlValue& value,
                                         absl::string_view key) {
  RETURN_IF_ERROR(OnlyFor(value, key, HasChoices(task_.kind)));
  if (value.kind != YamlValue::Kind::kList) {
    task_.choices_are_a_list = true;
    return Template(value, key, task_.doc_to_choice.emplace_back());
  }
  for (const YamlValue& item : value.items) {
    RETURN_IF_ERROR(Template(item, key, task_.doc_to_choice.emplace_back()));
  }
  if (value.items.size() < 2) {
    return YamlFault(value, key, "expected two choices or more");
  }
  return absl::OkStatus();
}

absl::Status TaskFileReader::NumFewShot(const YamlValue& value,
                                        absl::string_view key) {
  ASSIGN_OR_RETURN(task_.num_fewshot, YamlInteger(value, key, 0, kMaxFewShot));
  return absl::OkStatus();
}

absl::Status TaskFileReader::FewShotConfig(const YamlValue& value,
                                           absl::string_view key) {
  ASSIGN_OR_RETURN(task_.few_shot, ReadTaskFewShot(value, key));
  return absl::OkStatus();
}

absl::Status TaskFileReader::MetricList(const YamlValue& value,
                                        absl::string_view key) {
  ASSIGN_OR_RETURN(task_.metrics, ReadTaskMetrics(value, key, task_.kind));
  return absl::OkStatus();
}

absl::Status TaskFileReader::GenerationKwargs(const YamlValue& value,
                                              absl::string_view key) {
  RETURN_IF_ERROR(OnlyFor(value, key, task_.kind == TaskKind::kGenerate));
  ASSIGN_OR_RETURN(task_.generation, ReadTaskGeneration(value, key));
  return absl::OkStatus();
}

absl::Status TaskFileReader::FilterList(const YamlValue& value,
                                        absl::string_view key) {
  RETURN_IF_ERROR(OnlyFor(value, key, task_.kind == TaskKind::kGenerate));
  ASSIGN_OR_RETURN(task_.filters, ReadAnswerFilters(value, key));
  return absl::OkStatus();
}

absl::Status TaskFileReader::Repeats(const YamlValue& value,
                                     absl::string_view key) {
  return YamlInteger(value, key, 1, 1).status();
}

absl::Status TaskFileReader::Subsets(const YamlValue& value,
                                     absl::string_view key) {
  ASSIGN_OR_RETURN(task_.subsets, YamlStrings(value, key));
  for (const std::string& field : task_.subsets) {
    if (std::count(task_.subsets.begin(), task_.subsets.end(), field) > 1) {
      return YamlFault(value, key,
                       absl::StrCat(Quoted(field), " appears twice"));
    }
  }
  return absl::OkStatus();
}

absl::Status TaskFileReader::ReadGroupMean(const YamlValue& value,
                                           absl::string_view key) {
  ASSIGN_OR_RETURN(const std::string name, YamlString(value, key));
  if (name == "subsets") {
    task_.group_mean = GroupMean::kSubsets;
  } else if (name != "items") {
    return YamlFault(
        value, key,
        absl::StrCat("expected items or subsets, got ", Quoted(name)));
  }
  return absl::OkStatus();
}

absl::Status TaskFileReader::Cluster(const YamlValue& value,
                                     absl::string_view key) {
  return Template(value, key, task_.cluster.emplace());
}

absl::Status TaskFileReader::Elsewhere(const YamlValue&,
                                       absl::string_view key) {
  elsewhere_.push_back(std::string(key));
  return absl::OkStatus();
}

absl::Status TaskFileReader::NoEffect(const YamlValue&, absl::string_view key) {
  no_effect_.push_back(std::string(key));
  return absl::OkStatus();
}

absl::Status TaskFileReader::CheckComplete(const YamlValue& file) const {
  for (const absl::string_view key :
       {"task", "output_type", "doc_to_text", "doc_to_target"}) {
    const YamlValue* value = file.Find(key);
    if (value == nullptr || value->kind == YamlValue::Kind::kNull) {
      return absl::InvalidArgumentError(absl::StrCat("no key ", key));
    }
  }
  if (HasChoices(task_.kind) && task_.doc_to_choice.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("no key doc_to_choice, which output_type ",
                     TaskKindName(task_.kind), " needs"));
  }
  const YamlValue* unconditional = file.Find("unconditional_context");
  const bool has_pmi =
      std::any_of(task_.metrics.begin(), task_.metrics.end(),
                  [](const TaskMetric& m) { return m.name == "acc_pmi"; });
  if (unconditional != nullptr && !has_pmi) {
    return YamlFault(*unconditional, "unconditional_context",
                     "has no meaning without the metric acc_pmi");
  }
  if (task_.group_mean == GroupMean::kSubsets && task_.subsets.empty()) {
    return YamlFault(*file.Find("group_mean"), "group_mean",
                     "subsets, but the key subsets names none");
  }
  if (!task_.few_shot.samples.empty() &&
      static_cast<size_t>(task_.num_fewshot.value_or(0)) >
          task_.few_shot.samples.size()) {
    return YamlFault(
        *file.Find("num_fewshot"), "num_fewshot",
        absl::StrCat("more than the ", task_.few_shot.samples.size(),
                     " samples of fewshot_config"));
  }
  if (!task_.few_shot.samples.empty() && task_.few_shot_data.has_value()) {
    return YamlFault(*file.Find("few_shot_data"), "few_shot_data",
                     "has no meaning beside the samples of fewshot_config");
  }
  return absl::OkStatus();
}

void TaskFileReader::FillDefaults() {
  if (task_.metrics.empty()) task_.metrics = DefaultTaskMetrics(task_.kind);
  if (task_.kind == TaskKind::kGenerate) {
    if (task_.filters.empty()) task_.filters.push_back({"none", {}});
    // As in lm-evaluation-harness: else the model goes on with examples.
    if (task_.generation.until.empty() && !task_.fewshot_delimiter.empty()) {
      task_.generation.until.push_back(task_.fewshot_delimiter);
    }
  }
  if (!elsewhere_.empty()) {
    task_.notes.push_back(absl::StrCat(
        absl::StrJoin(elsewhere_, ", "),
        ": say where lm-evaluation-harness finds the data or lists the task; "
        "quantd reads the data from the file it is given; no effect"));
  }
  if (!no_effect_.empty()) {
    task_.notes.push_back(
        absl::StrCat(absl::StrJoin(no_effect_, ", "), ": no effect"));
  }
}

absl::StatusOr<TaskDefinition> TaskFileReader::Read(absl::string_view yaml) && {
  ASSIGN_OR_RETURN(const YamlValue file, ParseYaml(yaml));
  RETURN_IF_ERROR(NeedYamlMap(file, "task file"));
  for (const YamlMember& member : file.members) {
    const bool known =
        std::any_of(Keys().begin(), Keys().end(),
                    [&](const Key& key) { return key.name == member.key; });
    if (known) continue;
    if (const absl::string_view reason = WhyNot(member.key); !reason.empty()) {
      return absl::InvalidArgumentError(absl::StrCat(
          "line ", member.line, ": ", member.key, ": not supported: ", reason));
    }
    return UnknownYamlKey(
        member, "",
        absl::StrJoin(Keys(), ", ", [](std::string* out, const Key& key) {
          absl::StrAppend(out, key.name);
        }));
  }
  for (const Key& key : Keys()) {
    const YamlValue* value = file.Find(key.name);
    // lm-evaluation-harness writes null for "there is none".
    if (value == nullptr || value->kind == YamlValue::Kind::kNull) continue;
    RETURN_IF_ERROR((this->*key.read)(*value, key.name));
  }
  RETURN_IF_ERROR(CheckComplete(file));
  FillDefaults();
  task_.digest = Sha256Hex(yaml);
  return std::move(task_);
}

}  // namespace

absl::string_view TaskKindName(TaskKind kind) {
  for (const KindRow& row : kKinds) {
    if (row.kind == kind) return row.name;
  }
  return "";
}

std::vector<TaskFileKey> TaskFileKeys() {
  std::vector<TaskFileKey> keys;
  for (const TaskFileReader::Key& key : TaskFileReader::Keys()) {
    keys.push_back({key.name, key.meaning});
  }
  return keys;
}

absl::StatusOr<TaskDefinition> ParseTaskFile(absl::string_view yaml) {
  return TaskFileReader().Read(yaml);
}

}  // namespace quantd
