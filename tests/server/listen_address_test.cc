#include "server/listen_address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "absl/strings/str_cat.h"
#include "tests/testing/status_matchers.h"

namespace quantd::test {
namespace {

using ::testing::HasSubstr;

TEST(ListenAddressTest, HostAndPortAreTakenApartAndPutTogether) {
  for (const char* text :
       {"127.0.0.1:50151", "localhost:0", "[::1]:65535", "0.0.0.0:1"}) {
    ASSERT_OK_AND_ASSIGN(const ListenAddress address, ParseListenAddress(text));
    EXPECT_EQ(address.ToString(), text);
  }
}

TEST(ListenAddressTest, AnythingElseIsRefusedWithTheText) {
  for (const char* text :
       {"", "50151", "host", "host:", ":50151", "host:x", "host:-1",
        "host:65536", "::1:5", "[::1]", "[]:5", "[::1:5"}) {
    EXPECT_THAT(ParseListenAddress(text),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         HasSubstr(absl::StrCat("\"", text, "\""))))
        << text;
  }
}

TEST(ListenAddressTest, OnlyAddressesOfThisMachineAloneAreLoopback) {
  EXPECT_TRUE(IsLoopback({"127.0.0.1", 1}));
  EXPECT_TRUE(IsLoopback({"127.9.9.9", 1}));
  EXPECT_TRUE(IsLoopback({"::1", 1}));
  EXPECT_FALSE(IsLoopback({"0.0.0.0", 1}));
  EXPECT_FALSE(IsLoopback({"::", 1}));
  EXPECT_FALSE(IsLoopback({"192.0.2.1", 1}));
  EXPECT_FALSE(IsLoopback({"no host has this name.invalid", 1}));
}

TEST(ListenAddressTest, ATakenPortIsFoundAndNamed) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in taken = {};
  taken.sin_family = AF_INET;
  taken.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(taken);
  ASSERT_EQ(::bind(fd, reinterpret_cast<sockaddr*>(&taken), size), 0);
  ASSERT_EQ(::listen(fd, 1), 0);
  ASSERT_EQ(::getsockname(fd, reinterpret_cast<sockaddr*>(&taken), &size), 0);
  const ListenAddress address = {"127.0.0.1", ntohs(taken.sin_port)};
  EXPECT_THAT(CheckCanBind(address), StatusIs(absl::StatusCode::kUnavailable,
                                              HasSubstr(address.ToString())));
  ::close(fd);
  EXPECT_THAT(CheckCanBind(address), IsOk());
}

TEST(ListenAddressTest, AnAddressOfAnotherMachineCannotBeBound) {
  EXPECT_THAT(
      CheckCanBind({"192.0.2.1", 0}),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("192.0.2.1:0")));
}

TEST(ListenAddressTest, WorkersReachAWildcardByLoopback) {
  EXPECT_EQ(LocalTarget({"0.0.0.0", 0}, 77), "127.0.0.1:77");
  EXPECT_EQ(LocalTarget({"::", 0}, 77), "[::1]:77");
  EXPECT_EQ(LocalTarget({"localhost", 0}, 77), "localhost:77");
}

}  // namespace
}  // namespace quantd::test
