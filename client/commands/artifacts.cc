// quantctl artifacts list|show|get|remove
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/status_macros.h"
#include "client/command.h"
#include "client/human_text.h"
#include "client/table.h"

namespace quantd {
namespace {

class ArtifactCommand : public Command {
 protected:
  void DefineArtifact(CLI::App& app, const char* help) {
    app.add_option("name", name_, help)->required()->type_name("ARTIFACT");
  }

  std::string name_;
};

class ListArtifacts : public Command {
 public:
  void Define(CLI::App& app) override {}

  absl::StatusOr<ExitCode> Run(Session& session) override {
    ASSIGN_OR_RETURN(const std::vector<v1::Artifact> artifacts,
                     session.client().ListArtifacts());
    Table table({"NAME", "SOURCE", "METHOD", "BITS/WEIGHT", "SIZE", "CREATED"},
                {Align::kLeft, Align::kLeft, Align::kLeft, Align::kRight,
                 Align::kRight});
    for (const v1::Artifact& artifact : artifacts) {
      if (session.json()) session.PrintJson(artifact);
      table.AddRow({BareId(artifact.name()), BareId(artifact.source()),
                    artifact.recipe(), HumanBits(artifact.bits_per_weight()),
                    HumanBytes(artifact.size_bytes()),
                    HumanTime(artifact.create_time())});
    }
    if (!session.json()) session.out() << table.ToString();
    return ExitCode::kOk;
  }
};

class ShowArtifact : public ArtifactCommand {
 public:
  void Define(CLI::App& app) override {
    DefineArtifact(app, "Artifact to show");
  }

  absl::StatusOr<ExitCode> Run(Session& session) override {
    ASSIGN_OR_RETURN(const v1::Artifact artifact,
                     session.client().GetArtifact(name_));
    if (session.json()) {
      session.PrintJson(artifact);
      return ExitCode::kOk;
    }
    Table facts({"FIELD", "VALUE"});
    facts.AddRow({"name", BareId(artifact.name())});
    facts.AddRow({"kind", v1::Artifact::Kind_Name(artifact.kind())});
    facts.AddRow({"source", artifact.source()});
    facts.AddRow({"method", artifact.recipe()});
    facts.AddRow({"job", artifact.job()});
    facts.AddRow({"bits per weight", HumanBits(artifact.bits_per_weight())});
    facts.AddRow({"size", HumanBytes(artifact.size_bytes())});
    facts.AddRow({"digest", artifact.digest()});
    facts.AddRow({"created", HumanTime(artifact.create_time())});
    session.out() << facts.ToString() << "\n";
    Table files({"FILE", "SIZE", "SHA256"}, {Align::kLeft, Align::kRight});
    for (const v1::ArtifactFile& file : artifact.files()) {
      files.AddRow({file.path(), HumanBytes(file.size_bytes()), file.digest()});
    }
    session.out() << files.ToString();
    return ExitCode::kOk;
  }
};

class GetArtifact : public ArtifactCommand {
 public:
  void Define(CLI::App& app) override {
    DefineArtifact(app, "Artifact to download");
    app.add_option("directory", directory_,
                   "Where its files go; made when missing. An interrupted "
                   "download is continued")
        ->required()
        ->type_name("DIR");
  }

  absl::StatusOr<ExitCode> Run(Session& session) override {
    Client& client = session.client();
    Interrupts::Handler on_interrupt(*session.environment().interrupts,
                                     [&client] { client.Cancel(); });
    const bool bar = session.environment().err_is_terminal &&
                     !session.quiet() && !session.json();
    int shown = -1;
    const auto artifact = client.DownloadArtifact(
        name_, directory_, [&](uint64_t done, uint64_t total) {
          const int percent =
              total == 0 ? 100 : static_cast<int>(done * 100 / total);
          if (!bar || percent == shown) return;
          shown = percent;
          session.err() << absl::StreamFormat("\r%3d %%  %s of %s\033[K",
                                              percent, HumanBytes(done),
                                              HumanBytes(total))
                        << std::flush;
        });
    if (shown >= 0) session.err() << "\r\033[K" << std::flush;
    if (on_interrupt.interrupted()) {
      session.Note(
          "quantctl: interrupted; the same command continues the download");
      return ExitCode::kInterrupted;
    }
    RETURN_IF_ERROR(artifact.status());
    if (session.json()) {
      session.PrintJson(*artifact);
    } else {
      session.Note(absl::StrCat(artifact->files_size(), " files, ",
                                HumanBytes(artifact->size_bytes()),
                                ", digests checked: ", directory_));
    }
    return ExitCode::kOk;
  }

 private:
  std::string directory_;
};

class RemoveArtifact : public ArtifactCommand {
 public:
  void Define(CLI::App& app) override {
    DefineArtifact(app, "Artifact to remove");
  }

  absl::StatusOr<ExitCode> Run(Session& session) override {
    RETURN_IF_ERROR(session.client().DeleteArtifact(name_));
    session.Note(absl::StrCat("removed artifact ", BareId(name_)));
    return ExitCode::kOk;
  }
};

}  // namespace

CommandGroup ArtifactCommands() {
  return {"artifacts",
          "Compressed checkpoints and other products of jobs",
          {
              {"list", "List artifacts", MakeCommand<ListArtifacts>},
              {"show", "Show one artifact and its files",
               MakeCommand<ShowArtifact>},
              {"get", "Download an artifact", MakeCommand<GetArtifact>},
              {"remove", "Remove an artifact", MakeCommand<RemoveArtifact>},
          }};
}

}  // namespace quantd
