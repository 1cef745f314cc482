#include "client/task_options.h"

#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <system_error>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/file.h"
#include "base/joined_files.h"
#include "base/status_macros.h"
#include "client/job_options.h"

namespace quantd {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kMaxTaskFileBytes = 256 << 10;

bool IsTaskFile(const std::string& name) {
  return absl::EndsWith(name, ".yaml") || absl::EndsWith(name, ".yml");
}

// A suite is a choice of the built-in tasks, and perhaps a metric.
struct Suite {
  const char* name;
  bool (*has)(const v1::TaskInfo& task);
  const char* metric;  // null: none
};

bool IsWritten(const v1::TaskInfo& task) {
  return task.kind() == "generate_until";
}

// The dimensions of "A Comprehensive Evaluation of Quantization Strategies for
// Large Language Models" (2024): knowledge and capacity, alignment, and
// efficiency in the same record.
bool IsOfThreeDimensions(const v1::TaskInfo& task) {
  static constexpr const char* kNames[] = {
      "mmlu",      "mmlu_prompts",   "arc_easy",       "arc_challenge",
      "hellaswag", "winogrande",     "piqa",           "openbookqa",
      "boolq",     "lambada_openai", "truthfulqa_mc1", "truthfulqa_mc2"};
  return std::any_of(std::begin(kNames), std::end(kNames),
                     [&](const char* name) { return task.name() == name; });
}

constexpr Suite kSuites[] = {
    {"likelihood", [](const v1::TaskInfo& task) { return !IsWritten(task); },
     nullptr},
    {"generation", IsWritten, nullptr},
    {"three-dimensions", IsOfThreeDimensions, "efficiency/pp512-tg128"},
    {"all", [](const v1::TaskInfo&) { return true; }, nullptr},
};

// Several files as one: a temporary file, gone with the object.
class JoinedFile {
 public:
  static absl::StatusOr<JoinedFile> Of(const std::vector<std::string>& files,
                                       FileHead head) {
    ASSIGN_OR_RETURN(const std::string content, ReadJoined(files, head));
    JoinedFile joined;
    joined.path_ = absl::StrCat(fs::temp_directory_path().string(),
                                "/quantctl-", getpid(), ".records");
    RETURN_IF_ERROR(WriteFileDurably(joined.path_, content));
    return joined;
  }
  JoinedFile(JoinedFile&& other) noexcept
      : path_(std::exchange(other.path_, "")) {}
  ~JoinedFile() {
    if (!path_.empty()) unlink(path_.c_str());
  }

  const std::string& path() const { return path_; }

 private:
  JoinedFile() = default;

  std::string path_;
};

}  // namespace

absl::StatusOr<std::vector<v1::TaskInfo>> FindTasks(
    Session& session, const std::vector<std::string>& names) {
  ASSIGN_OR_RETURN(const std::vector<v1::TaskInfo> known,
                   session.client().ListTasks({}));
  std::vector<v1::TaskInfo> found;
  for (const std::string& name : names) {
    if (IsTaskFile(name)) {
      ASSIGN_OR_RETURN(const std::string text,
                       ReadFile(name, kMaxTaskFileBytes));
      ASSIGN_OR_RETURN(std::vector<v1::TaskInfo> described,
                       Annotate(session.client().ListTasks({text}), name));
      found.push_back(std::move(described[0]));
      continue;
    }
    const auto task =
        std::find_if(known.begin(), known.end(),
                     [&](const v1::TaskInfo& t) { return t.name() == name; });
    if (task == known.end()) {
      return absl::NotFoundError(absl::StrCat(
          "no task \"", name, "\"; known: ",
          absl::StrJoin(known, ", ",
                        [](std::string* out, const v1::TaskInfo& t) {
                          absl::StrAppend(out, t.name());
                        }),
          ", or a task file that ends in .yaml"));
    }
    found.push_back(*task);
    // A built-in task is named, not sent.
    found.back().clear_definition();
  }
  return found;
}

void TaskOptions::Define(CLI::App& app) {
  const auto& run = *v1::TaskRun::descriptor();
  app.add_option("--task", tasks_,
                 "Benchmark task: one of quantctl tasks list, or a task file "
                 "(.yaml); repeatable")
      ->type_name("TASK")
      ->allow_extra_args(false);
  app.add_option("--suite", suite_,
                 "Built-in tasks whose data is there: those of a kind, or "
                 "knowledge, alignment and efficiency (three-dimensions)")
      ->type_name("likelihood|generation|three-dimensions|all")
      ->check(CLI::IsMember(
          {"likelihood", "generation", "three-dimensions", "all"}));
  app.add_option("--data", data_,
                 "Folder with the data of the tasks (quantctl tasks show says "
                 "where below it), or the data file or dataset of one task")
      ->type_name("DIR|FILE|DATASET");
  app.add_option("--few-shot-data", few_shot_data_,
                 "File or dataset that the examples of one task are drawn from")
      ->type_name("FILE|DATASET");
  app.add_option("--few-shot", few_shot_, FieldHelp(run, "few_shot"))
      ->type_name("N");
  app.add_option("--max-items", max_items_, FieldHelp(run, "max_items"))
      ->type_name("N");
  app.add_option("--batch-tokens", batch_tokens_,
                 FieldHelp(*v1::EvaluateSpec::descriptor(), "batch_tokens"))
      ->type_name("N");
}

absl::StatusOr<std::optional<std::string>> TaskOptions::Upload(
    Session& session, const std::string& hint,
    const google::protobuf::RepeatedPtrField<std::string>& formats) const {
  if (hint.empty()) return std::nullopt;
  const absl::StatusOr<std::vector<std::string>> files = FindFiles(data_, hint);
  if (absl::IsNotFound(files.status())) return std::nullopt;
  RETURN_IF_ERROR(files.status());
  std::string path = (*files)[0];
  std::optional<JoinedFile> joined;
  if (files->size() > 1) {
    const bool may_be_table = std::any_of(
        formats.begin(), formats.end(),
        [](const auto& format) { return format == "csv" || format == "tsv"; });
    absl::StatusOr<JoinedFile> one = JoinedFile::Of(
        *files, may_be_table ? FileHead::kColumnNames : FileHead::kNone);
    RETURN_IF_ERROR(one.status());
    path = joined.emplace(*std::move(one)).path();
  }
  ASSIGN_OR_RETURN(const v1::Dataset dataset,
                   session.client().UploadDataset(path, ""));
  return dataset.name();
}

absl::Status TaskOptions::Apply(Session& session,
                                v1::EvaluateSpec* spec) const {
  if (batch_tokens_.has_value()) spec->set_batch_tokens(*batch_tokens_);
  if (!any()) return absl::OkStatus();
  ASSIGN_OR_RETURN(std::vector<v1::TaskInfo> tasks, FindTasks(session, tasks_));
  const size_t named = tasks.size();
  if (!suite_.empty()) {
    ASSIGN_OR_RETURN(const std::vector<v1::TaskInfo> known,
                     session.client().ListTasks({}));
    const Suite& suite =
        *std::find_if(std::begin(kSuites), std::end(kSuites),
                      [&](const Suite& s) { return s.name == suite_; });
    if (suite.metric != nullptr) spec->add_metrics(suite.metric);
    for (v1::TaskInfo task : known) {
      const bool again = std::any_of(
          tasks.begin(), tasks.end(),
          [&](const v1::TaskInfo& t) { return t.name() == task.name(); });
      if (!suite.has(task) || again) continue;
      task.clear_definition();
      tasks.push_back(std::move(task));
    }
  }
  std::error_code error;
  const bool is_folder = fs::is_directory(data_, error);
  if (!is_folder && tasks.size() != 1) {
    return absl::InvalidArgumentError(
        "--data: several tasks need a folder with their data");
  }
  for (size_t i = 0; i < tasks.size(); ++i) {
    const v1::TaskInfo& task = tasks[i];
    std::optional<std::string> data, examples;
    if (is_folder) {
      ASSIGN_OR_RETURN(
          data, Annotate(Upload(session, task.data_file(), task.data_formats()),
                         "task ", task.name()));
      ASSIGN_OR_RETURN(examples, Annotate(Upload(session, task.few_shot_file(),
                                                 task.few_shot_formats()),
                                          "task ", task.name()));
    } else {
      ASSIGN_OR_RETURN(data, Annotate(ResolveText(session, data_), "--data"));
    }
    if (!few_shot_data_.empty()) {
      ASSIGN_OR_RETURN(examples, Annotate(ResolveText(session, few_shot_data_),
                                          "--few-shot-data"));
    }
    const uint32_t wanted = few_shot_.value_or(task.few_shot());
    std::string missing;
    if (!data.has_value()) {
      missing = task.data_file().empty()
                    ? absl::StrCat("task ", task.name(),
                                   " does not say where its data lies; name "
                                   "the file with --data")
                    : absl::StrCat("task ", task.name(), ": no file ", data_,
                                   "/", task.data_file());
      if (i < named) return absl::NotFoundError(missing);
    } else if (i >= named && wanted > 0 && !examples.has_value() &&
               !task.few_shot_file().empty()) {
      missing = absl::StrCat("task ", task.name(), ": no file ", data_, "/",
                             task.few_shot_file(), " for its ", wanted,
                             " examples (--few-shot 0 asks for none)");
    }
    if (!missing.empty()) {
      session.Note(absl::StrCat(missing, "; left out"));
      continue;
    }
    v1::TaskRun& run = *spec->add_tasks();
    run.set_name(task.name());
    run.set_definition(task.definition());
    run.set_dataset(*data);
    if (examples.has_value()) run.set_few_shot_dataset(*examples);
    if (few_shot_.has_value()) run.set_few_shot(*few_shot_);
    if (max_items_.has_value()) run.set_max_items(*max_items_);
  }
  return absl::OkStatus();
}

}  // namespace quantd
