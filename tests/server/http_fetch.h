// What an HTTP client on this machine gets to see.
#ifndef QUANTD_TESTS_SERVER_HTTP_FETCH_H_
#define QUANTD_TESTS_SERVER_HTTP_FETCH_H_

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdint>
#include <string>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"

namespace quantd::test {

// Sends `bytes` to a port of 127.0.0.1 and returns what comes back until the
// other side closes the connection, or for 20 seconds.
inline std::string Exchange(int port, const std::string& bytes) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const timeval patience = {20, 0};
  ::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(static_cast<uint16_t>(port));
  EXPECT_EQ(
      ::connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
  EXPECT_EQ(::write(fd, bytes.data(), bytes.size()),
            static_cast<ssize_t>(bytes.size()));
  std::string response;
  char buffer[4096];
  ssize_t n = 0;
  while ((n = ::read(fd, buffer, sizeof(buffer))) > 0) {
    response.append(buffer, static_cast<size_t>(n));
  }
  EXPECT_EQ(n, 0) << "the connection was not closed";
  ::close(fd);
  return response;
}

// Head and body.
inline std::string Fetch(int port, const std::string& path,
                         const std::string& method = "GET") {
  return Exchange(port, absl::StrCat(method, " ", path,
                                     " HTTP/1.0\r\nHost: localhost\r\n\r\n"));
}

}  // namespace quantd::test

#endif  // QUANTD_TESTS_SERVER_HTTP_FETCH_H_
