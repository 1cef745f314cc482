#include "server/http_pages.h"

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "tests/server/http_fetch.h"
#include "tests/testing/status_matchers.h"

namespace quantd::test {
namespace {

using ::testing::AllOf;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::StartsWith;

TEST(HttpPagesTest, APageIsMadeWhenItIsAskedFor) {
  HttpPages pages;
  int asked = 0;
  pages.Add("/count", [&] {
    return HttpReply{.content_type = "text/x-count",
                     .body = absl::StrCat(++asked, " times\n")};
  });
  ASSERT_OK_AND_ASSIGN(const int port, pages.Serve("127.0.0.1:0"));
  EXPECT_THAT(Fetch(port, "/count"),
              AllOf(StartsWith("HTTP/1.1 200 OK\r\n"),
                    HasSubstr("\r\nContent-Type: text/x-count\r\n"),
                    HasSubstr("\r\nContent-Length: 8\r\n"),
                    EndsWith("\r\n\r\n1 times\n")));
  EXPECT_THAT(Fetch(port, "/count"), EndsWith("\r\n\r\n2 times\n"));
}

TEST(HttpPagesTest, APageSaysItsOwnCode) {
  HttpPages pages;
  pages.Add("/ill", [] { return HttpReply{.code = 503, .body = "ill\n"}; });
  ASSERT_OK_AND_ASSIGN(const int port, pages.Serve("127.0.0.1:0"));
  EXPECT_THAT(Fetch(port, "/ill"),
              AllOf(StartsWith("HTTP/1.1 503 Service Unavailable\r\n"),
                    EndsWith("\r\n\r\nill\n")));
}

TEST(HttpPagesTest, AHeadHasNoBody) {
  HttpPages pages;
  pages.Add("/page", [] { return HttpReply{.body = "text"}; });
  ASSERT_OK_AND_ASSIGN(const int port, pages.Serve("127.0.0.1:0"));
  EXPECT_THAT(Fetch(port, "/page", "HEAD"),
              AllOf(HasSubstr("Content-Length: 4\r\n"), EndsWith("\r\n\r\n")));
}

TEST(HttpPagesTest, WhatIsNoPageIsRefused) {
  HttpPages pages;
  pages.Add("/page", [] { return HttpReply{}; });
  ASSERT_OK_AND_ASSIGN(const int port, pages.Serve("127.0.0.1:0"));
  for (const char* path : {"/", "/page/more", "/pag", "/../etc/passwd"}) {
    EXPECT_THAT(Fetch(port, path), StartsWith("HTTP/1.1 404 ")) << path;
  }
  EXPECT_THAT(Fetch(port, "/page", "POST"), StartsWith("HTTP/1.1 405 "));
}

TEST(HttpPagesTest, ATakenPortIsNamed) {
  HttpPages first;
  ASSERT_OK_AND_ASSIGN(const int port, first.Serve("127.0.0.1:0"));
  HttpPages second;
  const std::string address = absl::StrCat("127.0.0.1:", port);
  EXPECT_THAT(second.Serve(address),
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr(address)));
}

}  // namespace
}  // namespace quantd::test
