// quantctl quantize
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "base/status_macros.h"
#include "base/utf8.h"
#include "client/calibration_options.h"
#include "client/command.h"
#include "client/human_text.h"
#include "client/job_options.h"
#include "client/job_wait.h"
#include "client/table.h"
#include "google/protobuf/io/tokenizer.h"
#include "google/protobuf/text_format.h"

namespace quantd {
namespace {

// Far above any recipe; keeps a wrong file name from filling the memory.
constexpr uint64_t kRecipeLimitBytes = 4 << 20;

// Keeps the first complaint, with line and column.
class FirstError : public google::protobuf::io::ErrorCollector {
 public:
  void AddError(int line, int column, const std::string& message) override {
    if (text_.empty()) {
      text_ = absl::StrCat("line ", line + 1, ", column ", column + 1, ": ",
                           message);
    }
  }
  const std::string& text() const { return text_; }

 private:
  std::string text_;
};

absl::StatusOr<v1::Recipe> ReadRecipe(const std::string& path) {
  ASSIGN_OR_RETURN(const std::string text, ReadFile(path, kRecipeLimitBytes));
  FirstError error;
  google::protobuf::TextFormat::Parser parser;
  parser.RecordErrorsTo(&error);
  v1::Recipe recipe;
  if (!parser.ParseFromString(text, &recipe)) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ": ", EscapeInvalidUtf8(error.text())));
  }
  return recipe;
}

class Quantize : public Command {
 public:
  void Define(CLI::App& app) override {
    const auto& spec = *v1::QuantizeSpec::descriptor();
    app.add_option("model", model_, FieldHelp(spec, "model"))
        ->required()
        ->type_name("MODEL");
    auto* method = app.add_option("--method", method_,
                                  "Method to use; see quantctl methods list")
                       ->type_name("METHOD");
    auto* recipe =
        app.add_option("--recipe", recipe_file_,
                       "Recipe in protobuf text format instead of a method")
            ->type_name("FILE");
    method->excludes(recipe);
    app.add_option("--set", set_,
                   "Change of an option, for example bits=3; repeatable. See "
                   "quantctl methods show METHOD")
        ->type_name("KEY=VALUE")
        ->allow_extra_args(false);
    app.add_option("--name", output_, FieldHelp(spec, "output_id"))
        ->type_name("NAME");
    calibration_options_.Define(app);
    job_options_.Define(app);
  }

  absl::StatusOr<ExitCode> Run(Session& session) override {
    if (method_.empty() && recipe_file_.empty()) {
      return absl::InvalidArgumentError(
          "either --method or --recipe is required");
    }
    v1::JobSpec spec;
    job_options_.Apply(&spec);
    v1::QuantizeSpec* quantize = spec.mutable_quantize();
    quantize->set_model(model_);
    quantize->set_method(method_);
    quantize->set_output_id(output_);
    for (const std::string& assignment : set_) quantize->add_set(assignment);
    if (!recipe_file_.empty()) {
      ASSIGN_OR_RETURN(*quantize->mutable_recipe(), ReadRecipe(recipe_file_));
    }
    RETURN_IF_ERROR(calibration_options_.Apply(session, quantize));
    ExitCode code = ExitCode::kOk;
    ASSIGN_OR_RETURN(const std::optional<v1::Job> job,
                     job_options_.Submit(session, spec, &code));
    if (job.has_value()) RETURN_IF_ERROR(Print(session, *job));
    return code;
  }

 private:
  static absl::Status Print(Session& session, const v1::Job& job) {
    ASSIGN_OR_RETURN(const v1::Artifact artifact,
                     session.client().GetArtifact(job.result().artifact()));
    if (session.json()) {
      Json json = OutcomeToJson(job);
      json["digest"] = artifact.digest();
      json["bits_per_weight"] = artifact.bits_per_weight();
      json["size_bytes"] = artifact.size_bytes();
      Json& metrics = json["metrics"] = Json::object();
      // Sorted: the order of a map is not part of a message.
      const std::map<std::string, double> sorted(job.result().metrics().begin(),
                                                 job.result().metrics().end());
      for (const auto& [name, value] : sorted) metrics[name] = value;
      session.PrintJson(json);
      return absl::OkStatus();
    }
    Table table({"ARTIFACT", "METHOD", "BITS/WEIGHT", "SIZE", "WALL TIME",
                 "PEAK MEMORY"},
                {Align::kLeft, Align::kLeft, Align::kRight, Align::kRight,
                 Align::kRight, Align::kRight});
    table.AddRow({BareId(artifact.name()), artifact.recipe(),
                  HumanBits(artifact.bits_per_weight()),
                  HumanBytes(artifact.size_bytes()),
                  HumanSeconds(job.result().wall_seconds()),
                  HumanBytes(job.result().peak_memory_bytes())});
    session.out() << table.ToString();
    return absl::OkStatus();
  }

  std::string model_, method_, recipe_file_, output_;
  std::vector<std::string> set_;
  CalibrationOptions calibration_options_;
  JobOptions job_options_;
};

}  // namespace

CommandGroup QuantizeCommands() {
  return {
      "",
      "",
      {{"quantize", "Compress a model with a method", MakeCommand<Quantize>}}};
}

}  // namespace quantd
