#include "client/completion.h"

#include <cstdlib>
#include <fstream>
#include <string>
#include <vector>

#include "base/file.h"
#include "tests/client/quantctl_fixture.h"

namespace quantd::test {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsSupersetOf;
using ::testing::Not;

class CompletionTest : public QuantctlTest {
 protected:
  // What bash offers for `line` with the cursor at its end. `names` is what
  // the program answers when it is asked for names.
  std::vector<std::string> Complete(const std::string& line,
                                    const std::string& names = "") {
    const std::string program = WriteFile(
        "quantctl", "#!/bin/sh\necho \"$@\" >> " + dir_.File("asked") +
                        "\nprintf '%s\\n' " + names + "\n");
    std::filesystem::permissions(program, std::filesystem::perms::owner_all);
    const Output script = Run("completion bash");
    EXPECT_EQ(script.code, 0);
    const std::string file = WriteFile(
        "complete.bash", script.out + "\nCOMP_LINE='" + line +
                             "'\nCOMP_POINT=${#COMP_LINE}\n_quantctl\n"
                             "printf '%s\\n' \"${COMPREPLY[@]}\"\n");
    const std::string command = "cd " + dir_.path() +
                                " && PATH=" + dir_.path() + ":$PATH bash -eu " +
                                file + " > " + dir_.File("offered");
    EXPECT_EQ(std::system(command.c_str()), 0) << line;
    const std::string offered = *ReadFile(dir_.File("offered"));
    return absl::StrSplit(offered, '\n', absl::SkipEmpty());
  }

  std::string Asked() {
    const auto asked = ReadFile(dir_.File("asked"));
    return asked.ok() ? *asked : "";
  }
};

TEST_F(CompletionTest, OffersEveryCommandOfTheTable) {
  std::vector<std::string> expected;
  for (const CommandGroup& group : CommandTable()) {
    if (*group.name != '\0') expected.push_back(group.name);
    for (const CommandRow& row : group.commands) {
      if (*group.name == '\0' && !row.hidden) expected.push_back(row.name);
    }
  }
  const auto offered = Complete("quantctl ");
  EXPECT_THAT(offered, ::testing::UnorderedElementsAreArray(expected));
  EXPECT_THAT(offered, Not(Contains("__complete")));
}

TEST_F(CompletionTest, OffersWhatBeginsWithTheWord) {
  EXPECT_THAT(Complete("quantctl mo"), ElementsAre("models"));
  EXPECT_THAT(Complete("quantctl jobs wa"), ElementsAre("watch"));
  EXPECT_THAT(Complete("quantctl jobs --js"), ElementsAre("--json"));
}

TEST_F(CompletionTest, OffersOptionsOfTheCommandAndGlobalOnes) {
  EXPECT_THAT(Complete("quantctl quantize m --"),
              IsSupersetOf({"--method", "--set", "--wait", "--server"}));
  EXPECT_THAT(Complete("quantctl models list --"), Not(Contains("--method")));
}

TEST_F(CompletionTest, AsksForNamesOfTheKindThatFits) {
  EXPECT_THAT(Complete("quantctl quantize ", "m1 m2"), ElementsAre("m1", "m2"));
  EXPECT_EQ(Asked(), "__complete models\n");
  EXPECT_THAT(Complete("quantctl quantize m --method g", "gptq rtn"),
              ElementsAre("gptq"));
  EXPECT_THAT(Asked(), HasSubstr("__complete methods\n"));
  EXPECT_THAT(Complete("quantctl compare a ", "b"), ElementsAre("b"));
  EXPECT_THAT(Asked(), HasSubstr("__complete targets\n"));
}

TEST_F(CompletionTest, CompletesASweep) {
  EXPECT_THAT(Complete("quantctl sweep m --"),
              IsSupersetOf({"--bits", "--point", "--output", "--no-wait",
                            "--retry-failed", "--cancel", "--calibration",
                            "--metric", "--suite", "--threads"}));
  EXPECT_THAT(Complete("quantctl sweep m --point g", "gptq rtn"),
              ElementsAre("gptq"));
  EXPECT_THAT(Asked(), HasSubstr("__complete methods\n"));
}

TEST_F(CompletionTest, AsksTheServerOfTheCommandLine) {
  Complete("quantctl --server host:1 models show ", "m");
  EXPECT_EQ(Asked(), "__complete models --server host:1\n");
}

TEST_F(CompletionTest, OptionValuesAreNotArguments) {
  Complete("quantctl compare --timeout 3 a ", "b");
  EXPECT_EQ(Asked(), "__complete targets\n");
}

TEST_F(CompletionTest, OffersFilesAndDirectories) {
  WriteFile("text file.txt", "x");
  std::filesystem::create_directory(dir_.File("textures"));
  EXPECT_THAT(Complete("quantctl datasets add n text"),
              ::testing::UnorderedElementsAre("text file.txt", "textures"));
  EXPECT_THAT(Complete("quantctl models add n text"), ElementsAre("textures"));
}

TEST_F(CompletionTest, OffersNothingBeyondTheArguments) {
  EXPECT_THAT(Complete("quantctl models show m ", "m"), ElementsAre());
}

TEST_F(CompletionTest, ZshScriptNamesEveryCommandAndOption) {
  const Output script = Run("completion zsh");
  ASSERT_EQ(script.code, 0);
  EXPECT_THAT(script.out, ::testing::StartsWith("#compdef quantctl\n"));
  GlobalFlags flags;
  const CommandLine line = BuildCommandLine(&flags);
  for (const CompletionEntry& entry : CompletionEntries(*line.app)) {
    EXPECT_THAT(script.out, HasSubstr("'" + entry.path + "'"));
    for (const std::string& option : entry.options) {
      EXPECT_THAT(script.out, HasSubstr(option));
    }
  }
  if (std::system("command -v zsh > /dev/null") == 0) {
    const std::string file = WriteFile("script.zsh", script.out);
    EXPECT_EQ(std::system(("zsh -n " + file).c_str()), 0);
  }
}

TEST_F(CompletionTest, UnknownShellIsWrongUsage) {
  EXPECT_EQ(Run("completion fish").code, 2);
}

TEST_F(CompletionTest, NamesAreAnsweredQuietly) {
  Run("models add m1 /tmp");
  EXPECT_EQ(Run("__complete models").out, "m1\n");
  EXPECT_EQ(Run("__complete methods").out, "gptq\nrtn\n");
  EXPECT_THAT(Run("__complete states").out, HasSubstr("RUNNING\n"));
  environment_.server = "127.0.0.1:1";
  const Output unreachable = Run("__complete models");
  EXPECT_EQ(unreachable.code, 0);
  EXPECT_EQ(unreachable.out + unreachable.err, "");
}

}  // namespace
}  // namespace quantd::test
