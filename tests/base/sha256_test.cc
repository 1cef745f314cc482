#include "base/sha256.h"

#include <fstream>
#include <string>

#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_dir.h"

namespace quantd::test {
namespace {

using ::testing::HasSubstr;

// Digests from FIPS 180-2, appendix B, and of the empty message.
constexpr char kEmpty[] =
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
constexpr char kAbc[] =
    "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
constexpr char kMillionA[] =
    "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0";

TEST(Sha256Test, MatchesPublishedDigests) {
  EXPECT_EQ(Sha256Hex(""), kEmpty);
  EXPECT_EQ(Sha256Hex("abc"), kAbc);
  EXPECT_EQ(Sha256Hex(std::string(1000000, 'a')), kMillionA);
}

TEST(Sha256Test, PiecesGiveTheDigestOfTheWhole) {
  for (size_t piece : {1, 63, 64, 65, 1000}) {
    Sha256 hash;
    const std::string whole(100000, 'a');
    for (size_t i = 0; i < whole.size(); i += piece) {
      hash.Update(absl::string_view(whole).substr(i, piece));
    }
    EXPECT_EQ(hash.FinishHex(), Sha256Hex(whole)) << piece;
  }
}

TEST(Sha256Test, ZeroBytesCount) {
  EXPECT_NE(Sha256Hex(absl::string_view("\0", 1)), kEmpty);
}

TEST(Sha256Test, FileHasTheDigestOfItsBytes) {
  TempDir dir;
  std::ofstream(dir.File("a")) << std::string(1000000, 'a');
  ASSERT_OK_AND_ASSIGN(const std::string digest,
                       Sha256HexOfFile(dir.File("a")));
  EXPECT_EQ(digest, kMillionA);
  EXPECT_THAT(Sha256HexOfFile(dir.File("none")),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("none")));
  EXPECT_THAT(Sha256HexOfFile(dir.path()),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("not a regular file")));
}

TEST(Sha256Test, RecognisesItsOwnForm) {
  EXPECT_TRUE(IsSha256Hex(kAbc));
  EXPECT_FALSE(IsSha256Hex(""));
  EXPECT_FALSE(IsSha256Hex(std::string(63, 'a')));
  EXPECT_FALSE(IsSha256Hex(std::string(65, 'a')));
  EXPECT_FALSE(IsSha256Hex(std::string(64, 'A')));
  EXPECT_FALSE(IsSha256Hex(std::string(64, 'g')));
}

}  // namespace
}  // namespace quantd::test
