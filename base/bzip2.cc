#include "base/bzip2.h"

#include <bzlib.h>

#include <algorithm>
#include <limits>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace quantd {
namespace {

constexpr size_t kPieceBytes = size_t{1} << 18;

// One stream of the library; ends it on every way out.
class Stream {
 public:
  Stream() { open_ = BZ2_bzDecompressInit(&state_, 0, 0) == BZ_OK; }
  ~Stream() {
    if (open_) BZ2_bzDecompressEnd(&state_);
  }
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  bool open() const { return open_; }
  bz_stream& state() { return state_; }

 private:
  bz_stream state_ = {};
  bool open_ = false;
};

}  // namespace

bool IsBzip2(absl::string_view bytes) {
  return bytes.size() >= 4 && absl::StartsWith(bytes, "BZh") &&
         bytes[3] >= '1' && bytes[3] <= '9';
}

absl::StatusOr<std::string> DecompressBzip2(absl::string_view bytes,
                                            uint64_t max_bytes) {
  std::string content;
  std::vector<char> piece(kPieceBytes);
  while (!bytes.empty()) {
    Stream stream;
    if (!stream.open()) {
      return absl::ResourceExhaustedError("bzip2: no memory to decompress");
    }
    bz_stream& state = stream.state();
    int result = BZ_OK;
    while (result != BZ_STREAM_END) {
      const size_t given = std::min<size_t>(
          bytes.size(), std::numeric_limits<unsigned int>::max());
      // The library's interface is not const-correct; it only reads.
      state.next_in = const_cast<char*>(bytes.data());
      state.avail_in = static_cast<unsigned int>(given);
      state.next_out = piece.data();
      state.avail_out = static_cast<unsigned int>(piece.size());
      result = BZ2_bzDecompress(&state);
      const size_t taken = given - state.avail_in;
      const size_t made = piece.size() - state.avail_out;
      bytes.remove_prefix(taken);
      if (result != BZ_OK && result != BZ_STREAM_END) {
        return absl::InvalidArgumentError(
            "bzip2: the file is damaged or not bzip2");
      }
      if (content.size() + made > max_bytes) {
        return absl::ResourceExhaustedError(absl::StrCat(
            "bzip2: the content is larger than ", max_bytes, " bytes"));
      }
      content.append(piece.data(), made);
      if (taken == 0 && made == 0 && result == BZ_OK) {
        return absl::InvalidArgumentError("bzip2: the file is cut off");
      }
    }
  }
  return content;
}

}  // namespace quantd
