// quantctl models add|list|show|remove
#include <filesystem>
#include <string>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "client/command.h"
#include "client/human_text.h"
#include "client/table.h"

namespace quantd {
namespace {

void PrintModel(Session& session, const v1::Model& model) {
  if (session.json()) return session.PrintJson(model);
  Table table({"FIELD", "VALUE"});
  table.AddRow({"name", BareId(model.name())});
  table.AddRow({"path", model.path()});
  table.AddRow({"architecture", model.architecture()});
  table.AddRow({"parameters", absl::StrCat(model.parameters())});
  table.AddRow({"size", HumanBytes(model.size_bytes())});
  table.AddRow({"blocks", absl::StrCat(model.blocks())});
  table.AddRow({"hidden size", absl::StrCat(model.hidden_size())});
  table.AddRow({"vocabulary", absl::StrCat(model.vocabulary_size())});
  table.AddRow(
      {"context", model.context_tokens() == 0
                      ? "no limit"
                      : absl::StrCat(model.context_tokens(), " tokens")});
  table.AddRow({"digest", model.digest()});
  table.AddRow({"registered", HumanTime(model.create_time())});
  session.out() << table.ToString();
}

class AddModel : public Command {
 public:
  void Define(CLI::App& app) override {
    app.add_option("name", name_, "Name to register the checkpoint under")
        ->required()
        ->type_name("NAME");
    app.add_option("path", path_,
                   "Hugging Face checkpoint directory; the server must be "
                   "able to read it under the same path")
        ->required()
        ->type_name("DIR");
  }

  absl::StatusOr<ExitCode> Run(Session& session) override {
    // The server has another working directory. A path that only it can see
    // is passed on as it is.
    std::error_code error;
    const std::filesystem::path absolute =
        std::filesystem::absolute(path_, error);
    std::filesystem::path path =
        std::filesystem::weakly_canonical(absolute, error);
    if (error) path = absolute;
    v1::CreateModelRequest request;
    request.set_model_id(BareId(name_));
    request.set_path(path.string());
    ASSIGN_OR_RETURN(const v1::Model model,
                     session.client().CreateModel(std::move(request)));
    PrintModel(session, model);
    return ExitCode::kOk;
  }

 private:
  std::string name_, path_;
};

class ListModels : public Command {
 public:
  void Define(CLI::App& app) override {}

  absl::StatusOr<ExitCode> Run(Session& session) override {
    ASSIGN_OR_RETURN(const std::vector<v1::Model> models,
                     session.client().ListModels());
    Table table({"NAME", "ARCHITECTURE", "PARAMETERS", "SIZE", "PATH"},
                {Align::kLeft, Align::kLeft, Align::kRight, Align::kRight});
    for (const v1::Model& model : models) {
      if (session.json()) session.PrintJson(model);
      table.AddRow({BareId(model.name()), model.architecture(),
                    HumanCount(model.parameters()),
                    HumanBytes(model.size_bytes()), model.path()});
    }
    if (!session.json()) session.out() << table.ToString();
    return ExitCode::kOk;
  }
};

class ShowModel : public Command {
 public:
  void Define(CLI::App& app) override {
    app.add_option("name", name_, "Model to show")
        ->required()
        ->type_name("MODEL");
  }

  absl::StatusOr<ExitCode> Run(Session& session) override {
    ASSIGN_OR_RETURN(const v1::Model model, session.client().GetModel(name_));
    PrintModel(session, model);
    return ExitCode::kOk;
  }

 private:
  std::string name_;
};

class RemoveModel : public Command {
 public:
  void Define(CLI::App& app) override {
    app.add_option("name", name_, "Model to forget; its files stay")
        ->required()
        ->type_name("MODEL");
  }

  absl::StatusOr<ExitCode> Run(Session& session) override {
    RETURN_IF_ERROR(session.client().DeleteModel(name_));
    session.Note(absl::StrCat("removed model ", BareId(name_)));
    return ExitCode::kOk;
  }

 private:
  std::string name_;
};

}  // namespace

CommandGroup ModelCommands() {
  return {"models",
          "Registered checkpoints",
          {
              {"add", "Register a checkpoint directory", MakeCommand<AddModel>},
              {"list", "List models", MakeCommand<ListModels>},
              {"show", "Show one model", MakeCommand<ShowModel>},
              {"remove", "Forget a model", MakeCommand<RemoveModel>},
          }};
}

}  // namespace quantd
