#include "evaluators/tasks/task_file_parts.h"

#include <algorithm>
#include <iterator>
#include <string>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "base/status_macros.h"
#include "evaluators/tasks/yaml_reader.h"
#include "models/json_text.h"
#include "re2/re2.h"

namespace quantd {
namespace {

constexpr int64_t kMaxPatternMemory = int64_t{1} << 20;
constexpr size_t kMaxPatternBytes = 4096;
constexpr int kMaxNewTokens = 1 << 20;

struct MetricRow {
  TaskKind kind;
  absl::string_view name;
  absl::string_view aggregation;  // lm-evaluation-harness's word
  bool higher_is_better;
  bool by_default;
};

// Of each kind, those that a task has by default first.
constexpr MetricRow kMetrics[] = {
    {TaskKind::kMultipleChoice, "acc", "mean", true, true},
    {TaskKind::kMultipleChoice, "acc_norm", "mean", true, true},
    {TaskKind::kMultipleChoice, "acc_bytes", "mean", true, false},
    {TaskKind::kMultipleChoice, "acc_token", "mean", true, false},
    {TaskKind::kMultipleChoice, "acc_pmi", "mean", true, false},
    {TaskKind::kMultipleChoice, "brier_score", "brier_score", false, false},
    {TaskKind::kMultipleChoice, "f1", "f1", true, false},
    {TaskKind::kMultipleChoice, "mcc", "matthews_corrcoef", true, false},
    {TaskKind::kGreedyMatch, "acc", "mean", true, true},
    {TaskKind::kGreedyMatch, "perplexity", "perplexity", false, true},
    {TaskKind::kMultipleTrue, "true_mass", "mean", true, true},
    {TaskKind::kGenerate, "exact_match", "mean", true, true},
    {TaskKind::kGenerate, "bleu", "bleu", true, false},
    {TaskKind::kGenerate, "chrf", "chrf", true, false},
    {TaskKind::kGenerate, "chrf++", "chrf++", true, false},
    {TaskKind::kGenerate, "rouge1", "mean", true, false},
    {TaskKind::kGenerate, "rouge2", "mean", true, false},
    {TaskKind::kGenerate, "rougeL", "mean", true, false},
    {TaskKind::kGenerate, "rougeLsum", "mean", true, false},
};

std::vector<absl::string_view> MetricNames(TaskKind kind) {
  std::vector<absl::string_view> names;
  for (const MetricRow& row : kMetrics) {
    if (row.kind == kind) names.push_back(row.name);
  }
  return names;
}

absl::Status CheckPattern(const YamlValue& value, absl::string_view path,
                          const std::string& pattern) {
  RE2::Options options(RE2::Quiet);
  options.set_max_mem(kMaxPatternMemory);
  if (pattern.size() > kMaxPatternBytes) {
    return YamlFault(
        value, path,
        absl::StrCat("a pattern of more than ", kMaxPatternBytes, " bytes"));
  }
  const RE2 regex(pattern, options);
  if (regex.ok()) return absl::OkStatus();
  return YamlFault(
      value, path,
      absl::StrCat("pattern ", Quoted(pattern), ": ", Quoted(regex.error())));
}

// A path below the data folder, of which only the last component may have *.
absl::Status CheckFileHint(const YamlValue& value, absl::string_view path,
                           const std::string& file) {
  const std::vector<absl::string_view> parts = absl::StrSplit(file, '/');
  for (size_t i = 0; i < parts.size(); ++i) {
    const bool last = i + 1 == parts.size();
    if (parts[i].empty() || parts[i] == "." || parts[i] == ".." ||
        absl::StrContains(parts[i], '\0') ||
        (!last && absl::StrContains(parts[i], '*'))) {
      return YamlFault(value, path,
                       absl::StrCat("expected a path below the data folder "
                                    "with * in its last part only, got ",
                                    Quoted(file)));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<TaskMetric> ReadMetric(const YamlValue& value,
                                      absl::string_view path, TaskKind kind) {
  RETURN_IF_ERROR(NeedYamlMap(value, path));
  const YamlValue* name = value.Find("metric");
  if (name == nullptr) {
    return YamlFault(value, path, "an entry without the key metric");
  }
  TaskMetric metric;
  ASSIGN_OR_RETURN(metric.name, YamlString(*name, path));
  // The name of lm-evaluation-harness.
  if (metric.name == "acc_mutual_info") metric.name = "acc_pmi";
  const auto* row = std::find_if(std::begin(kMetrics), std::end(kMetrics),
                                 [&](const MetricRow& candidate) {
                                   return candidate.kind == kind &&
                                          candidate.name == metric.name;
                                 });
  if (row == std::end(kMetrics)) {
    return YamlFault(*name, path,
                     absl::StrCat("unknown metric ", Quoted(metric.name),
                                  "; those of ", TaskKindName(kind), ": ",
                                  absl::StrJoin(MetricNames(kind), ", ")));
  }
  const bool compares_text = metric.name == "exact_match";
  for (const YamlMember& member : value.members) {
    const std::string at = absl::StrCat(path, ".", member.key);
    if (member.key == "metric") continue;
    if (member.key == "aggregation") {
      ASSIGN_OR_RETURN(const std::string aggregation,
                       YamlString(member.value, at));
      if (aggregation != row->aggregation) {
        return YamlFault(
            member.value, at,
            absl::StrCat(row->name, " is aggregated as ", row->aggregation,
                         ", not as ", Quoted(aggregation)));
      }
    } else if (member.key == "higher_is_better") {
      ASSIGN_OR_RETURN(const bool higher, YamlBool(member.value, at));
      if (higher != row->higher_is_better) {
        return YamlFault(
            member.value, at,
            absl::StrCat("of ", row->name, " the ",
                         row->higher_is_better ? "higher" : "lower",
                         " is the better"));
      }
    } else if (metric.name == "f1" && member.key == "average") {
      ASSIGN_OR_RETURN(const std::string average, YamlString(member.value, at));
      if (average != "binary" && average != "macro") {
        return YamlFault(
            member.value, at,
            absl::StrCat("expected binary or macro, got ", Quoted(average)));
      }
      metric.f1_average =
          average == "binary" ? F1Average::kBinary : F1Average::kMacro;
    } else if (compares_text && member.key == "ignore_case") {
      ASSIGN_OR_RETURN(metric.ignore_case, YamlBool(member.value, at));
    } else if (compares_text && member.key == "ignore_punctuation") {
      ASSIGN_OR_RETURN(metric.ignore_punctuation, YamlBool(member.value, at));
    } else if (compares_text && member.key == "ignore_numbers") {
      ASSIGN_OR_RETURN(metric.ignore_numbers, YamlBool(member.value, at));
    } else if (compares_text && member.key == "regexes_to_ignore") {
      ASSIGN_OR_RETURN(metric.regexes_to_ignore, YamlStrings(member.value, at));
      for (const std::string& pattern : metric.regexes_to_ignore) {
        RETURN_IF_ERROR(CheckPattern(member.value, at, pattern));
      }
    } else {
      return UnknownYamlKey(
          member, path,
          absl::StrCat("metric, aggregation, higher_is_better",
                       metric.name == "f1" ? ", average" : "",
                       compares_text ? ", ignore_case, ignore_punctuation, "
                                       "ignore_numbers, regexes_to_ignore"
                                     : ""));
    }
  }
  return metric;
}

absl::StatusOr<AnswerFilterStep> ReadFilterStep(const YamlValue& value,
                                                absl::string_view path) {
  using Function = AnswerFilterStep::Function;
  static constexpr std::pair<absl::string_view, Function> kFunctions[] = {
      {"regex", Function::kRegex},
      {"take_first", Function::kTakeFirst},
      {"remove_whitespace", Function::kRemoveWhitespace},
      {"lowercase", Function::kLowercase},
      {"uppercase", Function::kUppercase},
  };
  RETURN_IF_ERROR(NeedYamlMap(value, path));
  const YamlValue* function = value.Find("function");
  if (function == nullptr) {
    return YamlFault(value, path, "a step without the key function");
  }
  ASSIGN_OR_RETURN(const std::string name, YamlString(*function, path));
  const auto* row = std::find_if(
      std::begin(kFunctions), std::end(kFunctions),
      [&](const auto& candidate) { return candidate.first == name; });
  if (row == std::end(kFunctions)) {
    return YamlFault(*function, path,
                     absl::StrCat("unknown function ", Quoted(name),
                                  "; known: regex, take_first, "
                                  "remove_whitespace, lowercase, uppercase"));
  }
  AnswerFilterStep step;
  step.function = row->second;
  const bool is_regex = step.function == Function::kRegex;
  for (const YamlMember& member : value.members) {
    const std::string at = absl::StrCat(path, ".", member.key);
    if (member.key == "function") continue;
    if (is_regex && member.key == "regex_pattern") {
      ASSIGN_OR_RETURN(step.regex_pattern, YamlString(member.value, at));
      RETURN_IF_ERROR(CheckPattern(member.value, at, step.regex_pattern));
    } else if (is_regex && member.key == "group_select") {
      ASSIGN_OR_RETURN(step.group_select,
                       YamlInteger(member.value, at, -1000, 1000));
    } else if (is_regex && member.key == "fallback") {
      ASSIGN_OR_RETURN(step.fallback, YamlString(member.value, at));
    } else {
      return UnknownYamlKey(
          member, path,
          is_regex ? "function, regex_pattern, group_select, fallback"
                   : "function");
    }
  }
  if (is_regex && step.regex_pattern.empty()) {
    return YamlFault(value, path, "a regex without regex_pattern");
  }
  return step;
}

}  // namespace

absl::StatusOr<TaskDataFile> ReadTaskDataFile(const YamlValue& value,
                                              absl::string_view path) {
  RETURN_IF_ERROR(NeedYamlMap(value, path));
  TaskDataFile data;
  for (const YamlMember& member : value.members) {
    const std::string at = absl::StrCat(path, ".", member.key);
    if (member.key == "file") {
      ASSIGN_OR_RETURN(data.file, YamlString(member.value, at));
      RETURN_IF_ERROR(CheckFileHint(member.value, at, data.file));
    } else if (member.key == "format") {
      ASSIGN_OR_RETURN(const std::vector<std::string> names,
                       YamlStrings(member.value, at));
      data.formats.clear();
      for (const std::string& name : names) {
        const std::optional<RecordFormat> format = FindRecordFormat(name);
        if (!format.has_value()) {
          return YamlFault(member.value, at,
                           absl::StrCat("unknown format ", Quoted(name),
                                        "; known: ", RecordFormatNames()));
        }
        data.formats.push_back(*format);
      }
      if (data.formats.empty()) {
        return YamlFault(member.value, at, "an empty list");
      }
    } else {
      return UnknownYamlKey(member, path, "file, format");
    }
  }
  return data;
}

absl::StatusOr<TaskFewShot> ReadTaskFewShot(const YamlValue& value,
                                            absl::string_view path) {
  RETURN_IF_ERROR(NeedYamlMap(value, path));
  TaskFewShot few_shot;
  for (const YamlMember& member : value.members) {
    const std::string at = absl::StrCat(path, ".", member.key);
    if (member.key == "sampler") {
      ASSIGN_OR_RETURN(const std::string name, YamlString(member.value, at));
      if (name == "first_n") {
        few_shot.sampler = TaskFewShot::Sampler::kFirstN;
      } else if (name != "random" && name != "default") {
        return YamlFault(member.value, at,
                         absl::StrCat("unknown sampler ", Quoted(name),
                                      "; known: random, first_n"));
      }
    } else if (member.key == "seed") {
      ASSIGN_OR_RETURN(few_shot.seed,
                       YamlInteger(member.value, at, 0, INT64_MAX));
    } else if (member.key == "same_field") {
      ASSIGN_OR_RETURN(few_shot.same_field, YamlString(member.value, at));
    } else if (member.key == "samples") {
      RETURN_IF_ERROR(NeedYamlList(member.value, at));
      for (const YamlValue& sample : member.value.items) {
        RETURN_IF_ERROR(NeedYamlMap(sample, at));
        few_shot.samples.push_back(YamlToJson(sample));
      }
      if (few_shot.samples.empty()) {
        return YamlFault(member.value, at, "an empty list");
      }
    } else {
      return UnknownYamlKey(member, path, "sampler, seed, samples, same_field");
    }
  }
  if (!few_shot.samples.empty() && !few_shot.same_field.empty()) {
    return YamlFault(value, path,
                     "same_field chooses among examples of a data file; it has "
                     "no meaning beside samples");
  }
  return few_shot;
}

absl::StatusOr<TaskGeneration> ReadTaskGeneration(const YamlValue& value,
                                                  absl::string_view path) {
  RETURN_IF_ERROR(NeedYamlMap(value, path));
  TaskGeneration generation;
  std::optional<bool> do_sample;
  std::optional<double> temperature;
  for (const YamlMember& member : value.members) {
    const std::string at = absl::StrCat(path, ".", member.key);
    if (member.key == "until") {
      ASSIGN_OR_RETURN(generation.until, YamlStrings(member.value, at));
      for (const std::string& stop : generation.until) {
        if (stop.empty()) {
          return YamlFault(member.value, at, "an empty text stops at once");
        }
      }
    } else if (member.key == "max_gen_toks") {
      ASSIGN_OR_RETURN(generation.max_new_tokens,
                       YamlInteger(member.value, at, 1, kMaxNewTokens));
    } else if (member.key == "do_sample") {
      ASSIGN_OR_RETURN(do_sample, YamlBool(member.value, at));
    } else if (member.key == "temperature") {
      ASSIGN_OR_RETURN(temperature, YamlNumber(member.value, at, 0, 100));
    } else if (member.key == "top_k") {
      ASSIGN_OR_RETURN(generation.top_k,
                       YamlInteger(member.value, at, 0, 1'000'000));
    } else if (member.key == "top_p") {
      ASSIGN_OR_RETURN(generation.top_p, YamlNumber(member.value, at, 1e-6, 1));
    } else if (member.key == "num_beams") {
      ASSIGN_OR_RETURN(generation.beams, YamlInteger(member.value, at, 1, 64));
    } else if (member.key == "num_beam_groups") {
      ASSIGN_OR_RETURN(generation.beam_groups,
                       YamlInteger(member.value, at, 1, 64));
    } else if (member.key == "diversity_penalty") {
      ASSIGN_OR_RETURN(generation.beam_diversity,
                       YamlNumber(member.value, at, 0, 1000));
    } else if (member.key == "length_penalty") {
      ASSIGN_OR_RETURN(generation.length_penalty,
                       YamlNumber(member.value, at, -100, 100));
    } else {
      return UnknownYamlKey(member, path,
                            "until, max_gen_toks, do_sample, temperature, "
                            "top_k, top_p, num_beams, num_beam_groups, "
                            "diversity_penalty, length_penalty");
    }
  }
  // do_sample decides, as in the library the key comes from; without it a
  // temperature does.
  if (do_sample.value_or(temperature.value_or(0) > 0)) {
    generation.temperature = temperature.value_or(1.0);
    if (generation.temperature == 0) {
      return YamlFault(value, path, "do_sample at temperature 0");
    }
  }
  if (generation.beams > 1 && generation.temperature > 0) {
    return YamlFault(value, path, "num_beams and sampling exclude each other");
  }
  if (generation.beams % generation.beam_groups != 0) {
    return YamlFault(
        value, path,
        absl::StrCat("num_beam_groups ", generation.beam_groups,
                     " does not divide num_beams ", generation.beams));
  }
  // As transformers has it: groups without a price are copies of one another.
  if ((generation.beam_groups > 1) != (generation.beam_diversity > 0)) {
    return YamlFault(value, path,
                     "num_beam_groups above 1 and a diversity_penalty above 0 "
                     "have no meaning without each other");
  }
  return generation;
}

absl::StatusOr<std::vector<AnswerFilter>> ReadAnswerFilters(
    const YamlValue& value, absl::string_view path) {
  RETURN_IF_ERROR(NeedYamlList(value, path));
  std::vector<AnswerFilter> filters;
  for (const YamlValue& item : value.items) {
    RETURN_IF_ERROR(NeedYamlMap(item, path));
    AnswerFilter filter;
    for (const YamlMember& member : item.members) {
      const std::string at = absl::StrCat(path, ".", member.key);
      if (member.key == "name") {
        ASSIGN_OR_RETURN(filter.name, YamlString(member.value, at));
      } else if (member.key == "filter") {
        RETURN_IF_ERROR(NeedYamlList(member.value, at));
        for (const YamlValue& step : member.value.items) {
          ASSIGN_OR_RETURN(AnswerFilterStep read, ReadFilterStep(step, at));
          filter.steps.push_back(std::move(read));
        }
      } else {
        return UnknownYamlKey(member, path, "name, filter");
      }
    }
    if (filter.name.empty()) {
      return YamlFault(item, path, "a filter without a name");
    }
    for (const AnswerFilter& other : filters) {
      if (other.name == filter.name) {
        return YamlFault(
            item, path,
            absl::StrCat("filter ", Quoted(filter.name), " appears twice"));
      }
    }
    filters.push_back(std::move(filter));
  }
  if (filters.empty()) return YamlFault(value, path, "an empty list");
  return filters;
}

absl::StatusOr<std::vector<TaskMetric>> ReadTaskMetrics(const YamlValue& value,
                                                        absl::string_view path,
                                                        TaskKind kind) {
  RETURN_IF_ERROR(NeedYamlList(value, path));
  std::vector<TaskMetric> metrics;
  for (const YamlValue& item : value.items) {
    ASSIGN_OR_RETURN(TaskMetric metric, ReadMetric(item, path, kind));
    for (const TaskMetric& other : metrics) {
      if (other.name == metric.name) {
        return YamlFault(
            item, path, absl::StrCat("metric ", metric.name, " appears twice"));
      }
    }
    metrics.push_back(std::move(metric));
  }
  if (metrics.empty()) return YamlFault(value, path, "an empty list");
  return metrics;
}

std::vector<TaskMetric> DefaultTaskMetrics(TaskKind kind) {
  std::vector<TaskMetric> metrics;
  for (const MetricRow& row : kMetrics) {
    if (row.kind == kind && row.by_default) {
      metrics.emplace_back().name = std::string(row.name);
    }
  }
  return metrics;
}

std::vector<absl::string_view> KnownTaskMetrics(TaskKind kind) {
  return MetricNames(kind);
}

}  // namespace quantd
