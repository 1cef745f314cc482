// SHA-256 content digests, written as 64 lower-case hexadecimal digits. They
// name artifacts and tag every reported number with the exact text, weights
// and recipe it came from.
//
//   Sha256 hash;
//   hash.Update(header);
//   hash.Update(body);
//   std::string digest = hash.FinishHex();
//
// Thread-compatible.
#ifndef QUANTD_BASE_SHA256_H_
#define QUANTD_BASE_SHA256_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace quantd {

class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(const Sha256&) = delete;
  Sha256& operator=(const Sha256&) = delete;

  void Update(absl::string_view bytes);

  // The digest of all bytes so far. REQUIRES: called once, last.
  std::string FinishHex();

 private:
  struct Context;
  std::unique_ptr<Context> context_;
};

std::string Sha256Hex(absl::string_view bytes);

// Streams the file. NotFound, PermissionDenied or another errno-derived code
// when it cannot be read.
absl::StatusOr<std::string> Sha256HexOfFile(const std::string& path);

// Whether `text` has the form FinishHex() returns.
bool IsSha256Hex(absl::string_view text);

}  // namespace quantd

#endif  // QUANTD_BASE_SHA256_H_
