// quantctl: usage, global flags, models, datasets, methods, artifacts.
#include <filesystem>
#include <string>

#include "base/file.h"
#include "base/sha256.h"
#include "tests/client/quantctl_fixture.h"
#include "tests/testing/status_matchers.h"

namespace quantd::test {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

TEST_F(QuantctlTest, HelpListsCommandsAndExitCodes) {
  const Output help = Run("--help");
  EXPECT_EQ(help.code, 0);
  for (const CommandGroup& group : CommandTable()) {
    EXPECT_THAT(help.out, HasSubstr(group.name));
  }
  EXPECT_THAT(help.out, HasSubstr(kExitCodesHelp));
  EXPECT_THAT(help.out, Not(HasSubstr("__complete")));
}

TEST_F(QuantctlTest, EveryCommandHasHelp) {
  for (const CommandGroup& group : CommandTable()) {
    for (const CommandRow& row : group.commands) {
      const Output help =
          Run(std::string(group.name) + " " + row.name + " --help");
      EXPECT_EQ(help.code, 0) << row.name;
      EXPECT_THAT(help.out, HasSubstr(row.help));
    }
  }
}

TEST_F(QuantctlTest, WrongUsageIsTwoAndSaysWhereToRead) {
  for (const char* line :
       {"", "nonsense", "models", "models nonsense", "models show",
        "models show a b", "quantize", "quantize m", "evaluate m",
        "jobs list --limit x", "jobs list --state LOST", "--timeout 0 version",
        "quantize m --method rtn --recipe f", "quantize m --threads -1",
        "models list --nonsense"}) {
    const Output output = Run(line);
    EXPECT_EQ(output.code, 2) << line;
    EXPECT_EQ(output.out, "") << line;
    EXPECT_THAT(output.err, StartsWith("quantctl: ")) << line;
  }
  EXPECT_THAT(Run("models show").err,
              HasSubstr("hint: quantctl models show --help"));
}

TEST_F(QuantctlTest, GlobalFlagsMayStandBeforeAndAfterTheCommand) {
  EXPECT_TRUE(Run("--json version").Json().contains("version"));
  EXPECT_TRUE(Run("version --json").Json().contains("version"));
  environment_.server = "127.0.0.1:1";
  EXPECT_EQ(Run("models list").code, 4);
  EXPECT_EQ(Run("models list --server " + fake_.address()).code, 0);
  EXPECT_EQ(Run("--server " + fake_.address() + " models list").code, 0);
}

TEST_F(QuantctlTest, UnreachableServerIsFourWithAHint) {
  environment_.server = "127.0.0.1:1";
  const Output output = Run("models list");
  EXPECT_EQ(output.code, 4);
  EXPECT_EQ(output.out, "");
  EXPECT_THAT(output.err, HasSubstr("is quantd running at 127.0.0.1:1?"));
  EXPECT_THAT(Run("models list --quiet").err, Not(HasSubstr("hint")));
}

TEST_F(QuantctlTest, StatusCodesBecomeExitCodes) {
  const std::pair<grpc::StatusCode, int> cases[] = {
      {grpc::StatusCode::INVALID_ARGUMENT, 2},
      {grpc::StatusCode::NOT_FOUND, 3},
      {grpc::StatusCode::DEADLINE_EXCEEDED, 4},
      {grpc::StatusCode::ALREADY_EXISTS, 6},
      {grpc::StatusCode::FAILED_PRECONDITION, 6},
      {grpc::StatusCode::ABORTED, 6},
      {grpc::StatusCode::INTERNAL, 7},
      {grpc::StatusCode::UNIMPLEMENTED, 7},
      {grpc::StatusCode::DATA_LOSS, 7},
  };
  for (const auto& [code, exit_code] : cases) {
    fake_.FailNext(1, grpc::Status(code, "reason given"));
    const Output output = Run("models list");
    EXPECT_EQ(output.code, exit_code);
    EXPECT_THAT(output.err, HasSubstr("reason given"));
  }
}

TEST_F(QuantctlTest, ModelsAddSendsTheCanonicalPath) {
  std::filesystem::create_directory(dir_.File("real"));
  std::filesystem::create_symlink(dir_.File("real"), dir_.File("link"));
  const Output output =
      Run("models add tiny " + dir_.File("link") + "/../link/.");
  EXPECT_EQ(output.code, 0) << output.err;
  EXPECT_THAT(output.out, HasSubstr("tiny"));
  ASSERT_EQ(fake_.created_models().size(), 1u);
  EXPECT_EQ(fake_.created_models()[0].model_id(), "tiny");
  EXPECT_EQ(fake_.created_models()[0].path(),
            std::filesystem::canonical(dir_.File("real")).string());
}

TEST_F(QuantctlTest, ModelsAddMakesRelativePathsAbsolute) {
  Run("models add tiny not/here");
  EXPECT_EQ(fake_.created_models()[0].path(),
            (std::filesystem::current_path() / "not/here").string());
}

TEST_F(QuantctlTest, FieldViolationsAreListedOnePerLine) {
  const Output output = Run("models add -- -bad- /tmp");
  EXPECT_EQ(output.code, 2);
  EXPECT_THAT(output.err, HasSubstr("quantctl: invalid request\n  model_id: "
                                    "\"-bad-\" is no valid name"));
}

TEST_F(QuantctlTest, ModelsRoundTrip) {
  for (const char* id : {"a", "b", "c"}) {
    ASSERT_EQ(Run(std::string("models add ") + id + " /tmp").code, 0);
  }
  const Output list = Run("models list");
  EXPECT_THAT(list.out, StartsWith("NAME  ARCHITECTURE"));
  EXPECT_THAT(list.out, HasSubstr("1.0 M"));
  const auto lines = Run("models list --json").JsonLines();
  ASSERT_EQ(lines.size(), 3u);
  EXPECT_EQ(lines[2]["name"], "models/c");
  EXPECT_EQ(lines[2]["parameters"], 1000000);
  EXPECT_EQ(Run("models show a --json").Json()["path"], "/tmp");
  EXPECT_EQ(Run("models add a /etc").code, 6);
  EXPECT_EQ(Run("models remove a").code, 0);
  const Output gone = Run("models show a");
  EXPECT_EQ(gone.code, 3);
  EXPECT_THAT(gone.err, HasSubstr("models/a does not exist"));
}

TEST_F(QuantctlTest, DatasetsRoundTrip) {
  const std::string file = WriteFile("text.txt", "some text");
  ASSERT_EQ(Run("datasets add t " + file).code, 0);
  EXPECT_EQ(fake_.dataset_bytes("t"), "some text");
  EXPECT_EQ(Run("datasets show t --json").Json()["digest"],
            Sha256Hex("some text"));
  EXPECT_THAT(Run("datasets list").out, HasSubstr("text.txt"));
  WriteFile("text.txt", "other");
  EXPECT_EQ(Run("datasets add t " + file).code, 6);
  EXPECT_EQ(Run("datasets add t " + dir_.File("none")).code, 3);
  EXPECT_EQ(Run("datasets remove t").code, 0);
  EXPECT_EQ(Run("datasets show t").code, 3);
}

TEST_F(QuantctlTest, MethodsShowEveryOptionWithItsRules) {
  EXPECT_THAT(Run("methods list").out, HasSubstr("gptq    yes"));
  const Output show = Run("methods show gptq");
  ASSERT_EQ(show.code, 0);
  for (const char* part :
       {"Citation of gptq", "Stage 1: gptq", "grid.affine.bits", "2..8", "bits",
        "damping", "arXiv:2210.17323 section 3.3, step 3: 1 %", "0.05",
        "0.01"}) {
    EXPECT_THAT(show.out, HasSubstr(part));
  }
  const auto json = Run("methods show gptq --json").Json();
  ASSERT_FALSE(json.is_discarded());
  bool found = false;
  for (const auto& option : json["options"]) {
    if (option["option"] != "damping") continue;
    found = true;
    EXPECT_EQ(option["value"], "0.05");
    EXPECT_EQ(option["default"], "0.01");
    EXPECT_EQ(option["range"], "0..1");
    EXPECT_EQ(option["stage"], "gptq");
  }
  EXPECT_TRUE(found);
  EXPECT_EQ(Run("methods show nonsense").code, 3);
}

TEST_F(QuantctlTest, MetricsList) {
  EXPECT_THAT(Run("metrics list").out, HasSubstr("ppl/gptq-N"));
}

TEST_F(QuantctlTest, ArtifactsRoundTrip) {
  fake_.AddArtifact("out", "models/m", {{"config.json", "{}"}});
  EXPECT_THAT(Run("artifacts list").out, HasSubstr("4.25"));
  EXPECT_THAT(Run("artifacts show out").out, HasSubstr("config.json"));
  const Output get = Run("artifacts get out " + dir_.File("here"));
  EXPECT_EQ(get.code, 0) << get.err;
  EXPECT_THAT(get.err, HasSubstr("1 files"));
  EXPECT_EQ(*quantd::ReadFile(dir_.File("here/config.json")), "{}");
  EXPECT_EQ(Run("artifacts remove out").code, 0);
  EXPECT_EQ(Run("artifacts show out").code, 3);
}

TEST_F(QuantctlTest, ColoursOnlyOnTerminalsThatWantThem) {
  Run("quantize m --method rtn --name out");
  EXPECT_THAT(Run("jobs list").out, Not(HasSubstr("\033[")));
  environment_.out_is_terminal = true;
  EXPECT_THAT(Run("jobs list").out, HasSubstr("\033[32mSUCCEEDED\033[0m"));
  EXPECT_THAT(Run("jobs list --no-color").out, Not(HasSubstr("\033[")));
  environment_.no_color = true;
  EXPECT_THAT(Run("jobs list").out, Not(HasSubstr("\033[")));
}

TEST_F(QuantctlTest, VersionIsThatOfTheProject) {
  EXPECT_THAT(Run("version").out, StartsWith("quantctl 0."));
}

}  // namespace
}  // namespace quantd::test
