#include "jobs/worker_log.h"

#include <fcntl.h>
#include <unistd.h>

#include <fstream>
#include <string>

#include "base/file.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/temp_dir.h"

namespace quantd {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

class WorkerLogTest : public ::testing::Test {
 protected:
  ~WorkerLogTest() override { CloseWriter(); }

  WorkerLog Open(uint64_t max_bytes) {
    int pipe[2];
    EXPECT_EQ(::pipe2(pipe, O_CLOEXEC | O_NONBLOCK), 0);
    write_fd_ = pipe[1];
    const int file =
        ::open(path().c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    EXPECT_GE(file, 0);
    return WorkerLog(pipe[0], file, max_bytes);
  }

  void Say(const std::string& bytes) {
    EXPECT_EQ(::write(write_fd_, bytes.data(), bytes.size()),
              static_cast<ssize_t>(bytes.size()));
  }
  void CloseWriter() {
    if (write_fd_ >= 0) ::close(write_fd_);
    write_fd_ = -1;
  }

  std::string path() const { return dir_.File("log"); }
  std::string Kept() const { return ReadFile(path()).value_or(""); }

  test::TempDir dir_;
  int write_fd_ = -1;
};

TEST_F(WorkerLogTest, CopiesWhatIsThereAndSeesTheEnd) {
  WorkerLog log = Open(100);
  log.Copy();
  EXPECT_EQ(Kept(), "");
  Say("one\n");
  log.Copy();
  EXPECT_EQ(Kept(), "one\n");
  Say("two\n");
  CloseWriter();
  log.Copy();
  EXPECT_EQ(Kept(), "one\ntwo\n");
  EXPECT_EQ(log.fd(), -1);
  log.Copy();
}

TEST_F(WorkerLogTest, ExactlyTheLimitIsKeptWithoutAMarker) {
  WorkerLog log = Open(8);
  Say("one\ntwo\n");
  log.Copy();
  EXPECT_EQ(Kept(), "one\ntwo\n");
}

TEST_F(WorkerLogTest, BeyondTheLimitOneLineSaysSoAndTheRestIsDropped) {
  WorkerLog log = Open(6);
  Say("one\ntwo\n");
  log.Copy();
  Say("three\n");
  log.Copy();
  EXPECT_EQ(Kept(),
            "one\ntw\n[quantd] the log ends here: it has reached its limit of "
            "6 bytes\n");
}

TEST_F(WorkerLogTest, WhatTheFileHeldCounts) {
  std::ofstream(path()) << "before\n";
  WorkerLog log = Open(8);
  Say("after\n");
  log.Copy();
  EXPECT_THAT(Kept(), StartsWith("before\na\n[quantd]"));
}

TEST_F(WorkerLogTest, ADroppedLogIsStillRead) {
  WorkerLog log = Open(1);
  // More than a pipe holds: a writer that is not read would be stuck.
  const std::string much(32 << 10, 'x');
  for (int i = 0; i < 8; ++i) {
    Say(much);
    log.Copy();
  }
  EXPECT_LT(Kept().size(), 200u);
  EXPECT_THAT(Kept(), HasSubstr("limit of 1 bytes"));
}

}  // namespace
}  // namespace quantd
