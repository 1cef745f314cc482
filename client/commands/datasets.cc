// quantctl datasets add|list|show|remove
#include <string>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "client/command.h"
#include "client/human_text.h"
#include "client/table.h"

namespace quantd {
namespace {

void PrintDataset(Session& session, const v1::Dataset& dataset) {
  if (session.json()) return session.PrintJson(dataset);
  Table table({"FIELD", "VALUE"});
  table.AddRow({"name", BareId(dataset.name())});
  table.AddRow({"size", HumanBytes(dataset.size_bytes())});
  table.AddRow({"sha256", dataset.digest()});
  table.AddRow({"source", dataset.source()});
  table.AddRow({"registered", HumanTime(dataset.create_time())});
  session.out() << table.ToString();
}

class AddDataset : public Command {
 public:
  void Define(CLI::App& app) override {
    app.add_option("name", name_, "Name to register the text under")
        ->required()
        ->type_name("NAME");
    app.add_option("file", file_, "Text file to upload")
        ->required()
        ->type_name("FILE");
  }

  absl::StatusOr<ExitCode> Run(Session& session) override {
    ASSIGN_OR_RETURN(const v1::Dataset dataset,
                     session.client().UploadDataset(file_, name_));
    PrintDataset(session, dataset);
    return ExitCode::kOk;
  }

 private:
  std::string name_, file_;
};

class ListDatasets : public Command {
 public:
  void Define(CLI::App& app) override {}

  absl::StatusOr<ExitCode> Run(Session& session) override {
    ASSIGN_OR_RETURN(const std::vector<v1::Dataset> datasets,
                     session.client().ListDatasets());
    Table table({"NAME", "SIZE", "SHA256", "SOURCE", "REGISTERED"},
                {Align::kLeft, Align::kRight});
    for (const v1::Dataset& dataset : datasets) {
      if (session.json()) session.PrintJson(dataset);
      table.AddRow({BareId(dataset.name()), HumanBytes(dataset.size_bytes()),
                    dataset.digest().substr(0, 12), dataset.source(),
                    HumanTime(dataset.create_time())});
    }
    if (!session.json()) session.out() << table.ToString();
    return ExitCode::kOk;
  }
};

class ShowDataset : public Command {
 public:
  void Define(CLI::App& app) override {
    app.add_option("name", name_, "Dataset to show")
        ->required()
        ->type_name("DATASET");
  }

  absl::StatusOr<ExitCode> Run(Session& session) override {
    ASSIGN_OR_RETURN(const v1::Dataset dataset,
                     session.client().GetDataset(name_));
    PrintDataset(session, dataset);
    return ExitCode::kOk;
  }

 private:
  std::string name_;
};

class RemoveDataset : public Command {
 public:
  void Define(CLI::App& app) override {
    app.add_option("name", name_, "Dataset to remove")
        ->required()
        ->type_name("DATASET");
  }

  absl::StatusOr<ExitCode> Run(Session& session) override {
    RETURN_IF_ERROR(session.client().DeleteDataset(name_));
    session.Note(absl::StrCat("removed dataset ", BareId(name_)));
    return ExitCode::kOk;
  }

 private:
  std::string name_;
};

}  // namespace

CommandGroup DatasetCommands() {
  return {"datasets",
          "Texts for calibration and evaluation",
          {
              {"add", "Upload a text", MakeCommand<AddDataset>},
              {"list", "List datasets", MakeCommand<ListDatasets>},
              {"show", "Show one dataset", MakeCommand<ShowDataset>},
              {"remove", "Remove a dataset", MakeCommand<RemoveDataset>},
          }};
}

}  // namespace quantd
