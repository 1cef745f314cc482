// Rules of SentencePiece one by one; that whole models agree with the
// reference is small_tokenizers_test's.
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/sha256.h"
#include "models/tokenizer.h"
#include "tests/testing/sentence_piece_bytes.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_dir.h"

namespace quantd::test {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

using Ids = std::vector<int32_t>;

std::unique_ptr<Tokenizer> Make(const std::string& bytes,
                                const std::string& config = "") {
  auto tokenizer = ParseSentencePieceTokenizer(bytes, config);
  EXPECT_THAT(tokenizer, IsOk());
  return tokenizer.ok() ? *std::move(tokenizer) : nullptr;
}

Ids Encode(const std::string& bytes, const std::string& text) {
  const auto tokenizer = Make(bytes);
  if (tokenizer == nullptr) return {};
  return tokenizer->Encode(text).value_or(Ids{-1});
}

const std::string& Unigram() {
  static const std::string bytes =
      SmallPieces() + TrainerSpecField(kUnigramType);
  return bytes;
}

const std::string& Bpe() {
  static const std::string bytes = SmallPieces() + TrainerSpecField(kBpeType);
  return bytes;
}

TEST(SentencePieceTest, UnigramTakesTheBestSum) {
  // "_ab": -3 - 2 against -6 - 5; "abab": -2 - 2 against -7.
  EXPECT_THAT(Encode(Unigram(), "ab"), ElementsAre(3, 6));
  EXPECT_THAT(Encode(Unigram(), "abab"), ElementsAre(3, 6, 6));
  EXPECT_THAT(Encode(Unigram(), "aab"), ElementsAre(7, 6));
}

TEST(SentencePieceTest, PairsMergeByTheScoreOfTheirResult) {
  // "ab" before "_a", then "abab".
  EXPECT_THAT(Encode(Bpe(), "ab"), ElementsAre(3, 6));
  EXPECT_THAT(Encode(Bpe(), "abab"), ElementsAre(3, 8));
  EXPECT_THAT(Encode(Bpe(), "aab"), ElementsAre(7, 6));
}

TEST(SentencePieceTest, EqualScoresMergeFromTheLeft) {
  const std::string bytes = PieceField("<unk>", 0, kUnknownPiece) +
                            PieceField("a", -1) + PieceField("aa", -2) +
                            PieceField("ab", -2) + PieceField("b", -3) +
                            TrainerSpecField(kBpeType);
  EXPECT_THAT(Encode(bytes, "aab"), ElementsAre(0, 2, 4));
  EXPECT_THAT(Encode(bytes, "baaab"), ElementsAre(0, 4, 2, 3));
}

TEST(SentencePieceTest, NeighbouringUnknownCharactersAreOneId) {
  for (const std::string& bytes : {Unigram(), Bpe()}) {
    EXPECT_THAT(Encode(bytes, "xya"), ElementsAre(3, 0, 4));
    EXPECT_THAT(Encode(bytes, "x y"), ElementsAre(3, 0, 3, 0));
  }
}

TEST(SentencePieceTest, WhiteSpaceIsPutInOrder) {
  EXPECT_THAT(Encode(Bpe(), "  b   b "), ElementsAre(3, 5, 3, 5));
  EXPECT_TRUE(Encode(Bpe(), "").empty());
  EXPECT_TRUE(Encode(Bpe(), "   ").empty());
  const std::string keeps = Bpe() + BytesField(3, VarintField(4, 0));
  EXPECT_THAT(Encode(keeps, " b  b"), ElementsAre(3, 3, 5, 3, 3, 5));
  const std::string bare = Bpe() + BytesField(3, VarintField(3, 0));
  EXPECT_THAT(Encode(bare, " b b"), ElementsAre(5, 3, 5));
}

TEST(SentencePieceTest, ControlPiecesAreNotFoundInTexts) {
  const auto tokenizer = Make(Bpe());
  ASSERT_OK_AND_ASSIGN(const Ids ids, tokenizer->Encode("<s>"));
  EXPECT_THAT(ids, ElementsAre(3, 0));
  EXPECT_EQ(tokenizer->Decode({1, 3, 6, 2}).value(), "ab");
}

TEST(SentencePieceTest, UserDefinedSymbolsStayWhole) {
  const std::string pieces =
      SmallPieces() + PieceField("ba", 0, kUserDefinedPiece);
  EXPECT_THAT(Encode(pieces + TrainerSpecField(kBpeType), "abab"),
              ElementsAre(7, 9, 5));
  // To the unigram model it is a piece that costs next to nothing: -6 - 0.1
  // against -3 - 2 - 4.
  EXPECT_THAT(Encode(pieces + TrainerSpecField(kUnigramType), "aba"),
              ElementsAre(7, 9));
}

TEST(SentencePieceTest, UnusedPiecesFallApart) {
  const std::string bytes = SmallPieces() +
                            PieceField("abb", -1, kUnusedPiece) +
                            TrainerSpecField(kBpeType);
  EXPECT_THAT(Encode(bytes, "abb"), ElementsAre(3, 6, 5));
}

std::string BytePieces() {
  std::string pieces;
  for (int byte = 0; byte < 256; ++byte) {
    char name[8];
    std::snprintf(name, sizeof(name), "<0x%02X>", byte);
    pieces += PieceField(name, 0, kBytePiece);
  }
  return pieces;
}

TEST(SentencePieceTest, UnknownCharactersBecomeBytes) {
  const std::string bytes = SmallPieces() + BytePieces() +
                            TrainerSpecField(kBpeType, VarintField(35, 1));
  const auto tokenizer = Make(bytes);
  ASSERT_OK_AND_ASSIGN(const Ids ids, tokenizer->Encode("a\xC3\xA9z"));
  EXPECT_THAT(ids, ElementsAre(7, 9 + 0xC3, 9 + 0xA9, 9 + 'z'));
  EXPECT_EQ(tokenizer->Decode(ids).value(), "a\xC3\xA9z");
  // Each byte that belongs to no character.
  EXPECT_EQ(tokenizer->Decode({9 + 0xE2, 9 + 0x96, 4}).value(),
            "\xEF\xBF\xBD\xEF\xBF\xBD"
            "a");
}

TEST(SentencePieceTest, UnknownIdsDecodeToTheSurface) {
  EXPECT_EQ(Make(Bpe())->Decode({4, 0, 5}).value(), "a \xE2\x81\x87 b");
  const std::string bytes =
      SmallPieces() + TrainerSpecField(kBpeType, BytesField(44, "?"));
  EXPECT_EQ(Make(bytes)->Decode({4, 0, 5}).value(), "a?b");
}

TEST(SentencePieceTest, OnlyTheAddedSpaceIsTakenAwayAgain) {
  const std::string keeps = Bpe() + BytesField(3, VarintField(4, 0));
  const auto tokenizer = Make(keeps);
  for (const std::string text : {"a", " a", "  a b ", ""}) {
    EXPECT_EQ(tokenizer->Decode(tokenizer->Encode(text).value()).value(), text);
  }
}

TEST(SentencePieceTest, LongTextsEncodeLikeTheirParts) {
  const auto tokenizer = Make(Bpe());
  std::string text = "abab";
  Ids expected = {3, 8};
  for (int i = 0; i < 5000; ++i) {
    text += " abab";
    expected.insert(expected.end(), {3, 8});
  }
  EXPECT_EQ(tokenizer->Encode(text).value(), expected);
  // Without a space, merging goes by the whole run.
  EXPECT_EQ(tokenizer->Encode(std::string(100000, 'b')).value(), [] {
    Ids ids(100001, 5);
    ids[0] = 3;
    return ids;
  }());
}

TEST(SentencePieceTest, MarkersComeFromTheModelAndTheConfig) {
  EXPECT_EQ(Make(Bpe())->bos_id(), 1);
  EXPECT_EQ(Make(Bpe())->eos_id(), 2);
  EXPECT_FALSE(Make(Bpe())->adds_bos());
  const auto llama = Make(Bpe(), R"({"tokenizer_class":"LlamaTokenizer"})");
  EXPECT_TRUE(llama->adds_bos());
  EXPECT_THAT(llama->EncodeWithSpecialTokens("b").value(),
              ElementsAre(1, 3, 5));
  EXPECT_THAT(Make(Bpe(), R"({"tokenizer_class":"T5TokenizerFast"})")
                  ->EncodeWithSpecialTokens("b")
                  .value(),
              ElementsAre(3, 5, 2));
  const auto both = Make(
      Bpe(), R"({"add_bos_token":true,"add_eos_token":true,"bos_token":"b"})");
  EXPECT_THAT(both->EncodeWithSpecialTokens("b").value(),
              ElementsAre(5, 3, 5, 2));
  EXPECT_THAT(both->EncodeWithBos("b").value(), ElementsAre(5, 3, 5));
  const std::string none =
      SmallPieces() + TrainerSpecField(kBpeType, VarintField(41, ~uint64_t{0}));
  EXPECT_EQ(Make(none)->bos_id(), std::nullopt);
}

TEST(SentencePieceTest, RefusesWhatItCannotEncodeOrDecode) {
  const auto tokenizer = Make(Unigram());
  EXPECT_EQ(tokenizer->vocabulary_size(), 9);
  EXPECT_THAT(tokenizer->Encode("a\xFF"),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("not UTF-8 at byte 1")));
  for (const int32_t id : {-1, 9}) {
    EXPECT_THAT(tokenizer->Decode({id}),
                StatusIs(absl::StatusCode::kOutOfRange,
                         HasSubstr("not in the vocabulary of 9")));
  }
}

TEST(SentencePieceTest, IsReadFromADirectoryWithoutTokenizerJson) {
  TempDir dir;
  ASSERT_THAT(WriteFileDurably(dir.File("tokenizer.model"), Bpe()), IsOk());
  ASSERT_OK_AND_ASSIGN(const auto tokenizer, LoadTokenizer(dir.path()));
  EXPECT_EQ(tokenizer->digest(), Sha256Hex(Bpe()));
  ASSERT_THAT(WriteFileDurably(dir.File("tokenizer.model"), "x"), IsOk());
  EXPECT_THAT(LoadTokenizer(dir.path()),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr(dir.path() + ": tokenizer.model: ")));
}

}  // namespace
}  // namespace quantd::test
