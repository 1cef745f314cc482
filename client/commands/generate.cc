// quantctl generate
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/status_macros.h"
#include "client/command.h"
#include "client/evaluation_text.h"
#include "client/job_options.h"
#include "client/uuid.h"
#include "nlohmann/json.hpp"

namespace quantd {
namespace {

// An option that sets a field of the same meaning, with the field's help.
template <typename T>
struct FieldOption {
  const char* flag;
  const char* field;
  std::optional<T> value;
};

class Generate : public Command {
 public:
  void Define(CLI::App& app) override {
    app.add_option("target", target_,
                   FieldHelp(*v1::EvaluateSpec::descriptor(), "target"))
        ->required()
        ->type_name("TARGET");
    auto* prompts =
        app.add_option("--prompt", prompts_, "Text to continue; repeatable")
            ->type_name("TEXT")
            ->allow_extra_args(false);
    app.add_option("--prompts", prompts_file_,
                   "Prompts in a local file, which is uploaded, or a dataset: "
                   "one JSON object {\"prompt\": \"...\"} a line")
        ->type_name("FILE|DATASET")
        ->excludes(prompts);
    const auto& fields = *v1::Generation::descriptor();
    auto add = [&](auto& option, const char* type) {
      app.add_option(option.flag, option.value, FieldHelp(fields, option.field))
          ->type_name(type);
    };
    add(max_new_tokens_, "N");
    add(temperature_, "T");
    add(top_k_, "K");
    add(top_p_, "P");
    add(seed_, "N");
    add(beams_, "N");
    add(beam_groups_, "N");
    add(beam_diversity_, "X");
    add(length_penalty_, "X");
    add(batch_prompts_, "N");
    job_options_.Define(app);
  }

  absl::StatusOr<ExitCode> Run(Session& session) override {
    v1::JobSpec spec;
    job_options_.Apply(&spec);
    v1::EvaluateSpec* evaluate = spec.mutable_evaluate();
    evaluate->set_target(target_);
    ASSIGN_OR_RETURN(*evaluate->mutable_dataset(), ResolvePrompts(session));
    Apply(evaluate->mutable_generation());
    ExitCode code = ExitCode::kOk;
    ASSIGN_OR_RETURN(const std::optional<v1::Job> job,
                     job_options_.Submit(session, spec, &code));
    if (!job.has_value()) return code;
    ASSIGN_OR_RETURN(
        const v1::Evaluation evaluation,
        session.client().GetEvaluation(job->result().evaluation()));
    PrintEvaluation(session, evaluation);
    return code;
  }

 private:
  void Apply(v1::Generation* generation) const {
    if (max_new_tokens_.value) {
      generation->set_max_new_tokens(*max_new_tokens_.value);
    }
    if (temperature_.value) generation->set_temperature(*temperature_.value);
    if (top_k_.value) generation->set_top_k(*top_k_.value);
    if (top_p_.value) generation->set_top_p(*top_p_.value);
    if (seed_.value) generation->set_seed(*seed_.value);
    if (beams_.value) generation->set_beams(*beams_.value);
    if (beam_groups_.value) generation->set_beam_groups(*beam_groups_.value);
    if (beam_diversity_.value) {
      generation->set_beam_diversity(*beam_diversity_.value);
    }
    if (length_penalty_.value) {
      generation->set_length_penalty(*length_penalty_.value);
    }
    if (batch_prompts_.value) {
      generation->set_batch_prompts(*batch_prompts_.value);
    }
  }

  // The dataset of prompts; those of the command line become one.
  absl::StatusOr<std::string> ResolvePrompts(Session& session) const {
    if (!prompts_file_.empty()) {
      return Annotate(ResolveText(session, prompts_file_), "--prompts");
    }
    if (prompts_.empty()) {
      return absl::InvalidArgumentError("--prompt or --prompts is required");
    }
    std::string lines;
    for (const std::string& prompt : prompts_) {
      // Bytes that are no UTF-8 cannot be sent in JSON; the server's message
      // about a replaced character would only confuse.
      lines += nlohmann::json{{"prompt", prompt}}.dump(
                   -1, ' ', false, nlohmann::json::error_handler_t::replace) +
               "\n";
    }
    const std::string path = (std::filesystem::temp_directory_path() /
                              ("quantctl-prompts-" + RandomUuid() + ".jsonl"))
                                 .string();
    RETURN_IF_ERROR(WriteFileDurably(path, lines));
    absl::StatusOr<std::string> dataset = ResolveText(session, path);
    std::error_code ignored;
    std::filesystem::remove(path, ignored);
    return dataset;
  }

  std::string target_, prompts_file_;
  std::vector<std::string> prompts_;
  FieldOption<uint32_t> max_new_tokens_{
      "--max-new-tokens", "max_new_tokens", {}};
  FieldOption<double> temperature_{"--temperature", "temperature", {}};
  FieldOption<uint32_t> top_k_{"--top-k", "top_k", {}};
  FieldOption<double> top_p_{"--top-p", "top_p", {}};
  FieldOption<uint64_t> seed_{"--seed", "seed", {}};
  FieldOption<uint32_t> beams_{"--beams", "beams", {}};
  FieldOption<uint32_t> beam_groups_{"--beam-groups", "beam_groups", {}};
  FieldOption<double> beam_diversity_{"--beam-diversity", "beam_diversity", {}};
  FieldOption<double> length_penalty_{"--length-penalty", "length_penalty", {}};
  FieldOption<uint32_t> batch_prompts_{"--batch-prompts", "batch_prompts", {}};
  JobOptions job_options_;
};

}  // namespace

CommandGroup GenerateCommands() {
  return {"",
          "",
          {{"generate", "Continue prompts with a model or an artifact",
            MakeCommand<Generate>}}};
}

}  // namespace quantd
