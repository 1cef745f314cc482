#include "tests/integration/process.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "base/file.h"
#include "gmock/gmock.h"
#include "nlohmann/json.hpp"
#include "tests/testing/project_paths.h"

extern char** environ;

namespace quantd::test {
namespace {

// Starts `args` with output and errors in files.
pid_t Spawn(const std::vector<std::string>& args, const std::string& out,
            const std::string& err) {
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&actions, 1, out.c_str(),
                                   O_WRONLY | O_CREAT | O_APPEND, 0644);
  posix_spawn_file_actions_addopen(&actions, 2, err.c_str(),
                                   O_WRONLY | O_CREAT | O_APPEND, 0644);
  std::vector<char*> argv;
  for (const std::string& arg : args) {
    argv.push_back(const_cast<char*>(arg.c_str()));
  }
  argv.push_back(nullptr);
  pid_t pid = -1;
  if (::posix_spawn(&pid, argv[0], &actions, nullptr, argv.data(), environ) !=
      0) {
    pid = -1;
  }
  posix_spawn_file_actions_destroy(&actions);
  return pid;
}

int WaitFor(pid_t pid) {
  int status = 0;
  if (::waitpid(pid, &status, 0) != pid) return -1;
  return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

std::string Slurp(const std::string& path) {
  return ReadFile(path).value_or("");
}

// A file name no other call uses.
std::string Unique(const std::string& stem) {
  static int counter = 0;
  return absl::StrCat(std::filesystem::temp_directory_path().string(),
                      "/quantd_process.", ::getpid(), ".", counter++, ".",
                      stem);
}

}  // namespace

CommandResult RunQuantctl(const std::string& server,
                          const std::vector<std::string>& args) {
  std::vector<std::string> command = {BuildPath("quantctl"), "--server",
                                      server};
  command.insert(command.end(), args.begin(), args.end());
  const std::string out = Unique("out");
  const std::string err = Unique("err");
  CommandResult result;
  const pid_t pid = Spawn(command, out, err);
  if (pid > 0) result.exit_code = WaitFor(pid);
  result.out = Slurp(out);
  result.err = Slurp(err);
  std::filesystem::remove(out);
  std::filesystem::remove(err);
  return result;
}

absl::StatusOr<nlohmann::json> RunQuantctlForJson(
    const std::string& server, std::vector<std::string> args) {
  args.push_back("--json");
  const CommandResult result = RunQuantctl(server, args);
  const std::vector<std::string> lines =
      absl::StrSplit(result.out, '\n', absl::SkipEmpty());
  if (result.exit_code != 0 || lines.empty()) {
    return absl::InternalError(absl::StrCat("exit code ", result.exit_code,
                                            ": ", result.err, result.out));
  }
  auto json = nlohmann::json::parse(lines.back(), nullptr, false);
  if (!json.is_object()) return absl::InternalError("not JSON: " + result.out);
  return json;
}

std::string DemoModel() { return ProjectPath("deploy/demo/demo-llama-1m"); }

absl::StatusOr<std::unique_ptr<ServerProcess>> ServerProcess::Start(
    const std::string& data_directory,
    const std::vector<std::string>& more_flags) {
  std::unique_ptr<ServerProcess> server(new ServerProcess);
  server->data_directory_ = data_directory;
  server->log_path_ = Unique("log");
  std::vector<std::string> command = {
      BuildPath("quantd"), "serve",       "--data-dir",       data_directory,
      "--listen",          "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0"};
  command.insert(command.end(), more_flags.begin(), more_flags.end());
  server->pid_ = Spawn(command, server->log_path_, server->log_path_);
  if (server->pid_ <= 0) return absl::InternalError("cannot start quantd");
  const absl::Time deadline = absl::Now() + absl::Seconds(60);
  while (absl::Now() < deadline) {
    for (absl::string_view line :
         absl::StrSplit(server->Log(), '\n', absl::SkipEmpty())) {
      const auto json = nlohmann::json::parse(std::string(line), nullptr,
                                              /*allow_exceptions=*/false);
      if (json.is_object() && json.contains("port")) {
        server->address_ = absl::StrCat("127.0.0.1:", json["port"].get<int>());
        server->metrics_port_ = json["metrics_port"].get<int>();
        return server;
      }
    }
    int status = 0;
    if (::waitpid(server->pid_, &status, WNOHANG) == server->pid_) {
      server->pid_ = -1;
      server->ExpectNoSanitizerReport();
      return absl::InternalError(absl::StrCat("quantd ended: ", server->Log()));
    }
    absl::SleepFor(absl::Milliseconds(20));
  }
  return absl::DeadlineExceededError(server->Log());
}

ServerProcess::~ServerProcess() {
  if (pid_ > 0) Stop(SIGKILL);
  std::filesystem::remove(log_path_);
}

std::vector<pid_t> ServerProcess::Workers() const {
  std::vector<pid_t> workers;
  for (const auto& task : std::filesystem::directory_iterator(
           absl::StrCat("/proc/", pid_, "/task"))) {
    std::ifstream children(task.path() / "children");
    pid_t child;
    while (children >> child) workers.push_back(child);
  }
  return workers;
}

int ServerProcess::Stop(int signal) {
  if (pid_ <= 0) return -1;
  ::kill(pid_, signal);
  const int code = WaitFor(pid_);
  pid_ = -1;
  ExpectNoSanitizerReport();
  return code;
}

void ServerProcess::ExpectNoSanitizerReport() const {
  using ::testing::AllOf;
  using ::testing::HasSubstr;
  using ::testing::Not;
  std::vector<std::string> logs = {log_path_};
  std::error_code error;
  for (std::filesystem::directory_iterator entry(data_directory_ + "/logs",
                                                 error);
       !error && entry != std::filesystem::directory_iterator();
       entry.increment(error)) {
    logs.push_back(entry->path().string());
  }
  for (const std::string& log : logs) {
    // The second is what the undefined-behaviour sanitizer writes.
    EXPECT_THAT(Slurp(log), AllOf(Not(HasSubstr("Sanitizer: ")),
                                  Not(HasSubstr("runtime error: "))))
        << log;
  }
}

std::string ServerProcess::Log() const { return Slurp(log_path_); }

}  // namespace quantd::test
