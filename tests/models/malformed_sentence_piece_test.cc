#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "models/tokenizer.h"
#include "tests/models/malformed_input.h"
#include "tests/testing/sentence_piece_bytes.h"
#include "tests/testing/status_matchers.h"

namespace quantd::test {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

std::string Model(const std::string& more) {
  return SmallPieces() + TrainerSpecField(kBpeType) + more;
}

std::string Unknown() { return PieceField("<unk>", 0, kUnknownPiece); }

std::vector<MalformedInput> BrokenModels() {
  const std::string nan =
      PieceField("x", std::numeric_limits<float>::quiet_NaN());
  return {
      {"Empty", "", "pieces: none"},
      {"Text", "{\"model\": {}}", "byte 1: "},
      {"Truncated", Model("").substr(0, 40), "byte "},
      {"CutInsideANumber", Model("\x18\xFF"), "the file ends inside a number"},
      {"NumberOfElevenBytes", Model("\x18" + std::string(11, '\xFF')),
       "a number of more than ten bytes"},
      {"FieldZero", Model(std::string("\0\0", 2)), "field number 0"},
      {"GroupField", Model("\x0B"), "wire type 3"},
      {"LengthBeyondTheEnd", Model("\x0A\xFF\xFF\xFF\xFF\x0F"),
       "a field of 4294967295 bytes where 0 are left"},
      {"PieceIsANumber", Model(VarintField(1, 5)),
       "pieces: unexpected wire type 0"},
      {"PieceTextIsANumber", Model(BytesField(1, VarintField(1, 5))),
       "piece: unexpected wire type 0"},
      {"ScoreIsAVarint", Model(BytesField(1, VarintField(2, 5))),
       "score: unexpected wire type 0"},
      {"PieceOfType7", Model(PieceField("x", 0, 7)), "piece of type 7"},
      {"PieceOfType0", Model(PieceField("x", 0, 0)), "piece of type 0"},
      {"PieceIsEmpty", Model(PieceField("", 0)), "pieces[9]: empty"},
      {"PieceIsTooLong", Model(PieceField(std::string(1025, 'x'), 0)),
       "pieces[9]: 1025 bytes, the limit is 1024"},
      {"PieceIsNotUtf8", Model(PieceField("\xC3", 0)), "pieces[9]: not UTF-8"},
      {"PieceTwice", Model(PieceField("ab", 0)),
       "pieces[9]: \"ab\" is an earlier piece"},
      {"ControlPieceTwice", Model(PieceField("<s>", 0, kControlPiece)),
       "pieces[9]: \"<s>\" is an earlier piece"},
      {"ScoreIsNotANumber", Model(nan), "pieces[9]: score is not finite"},
      {"TwoUnknownPieces", Model(PieceField("u", 0, kUnknownPiece)),
       "pieces[9]: a second piece of type UNKNOWN"},
      {"NoUnknownPiece", PieceField("a", 0), "pieces: none of type UNKNOWN"},
      {"NoNormalPiece", Unknown(), "pieces: none of type NORMAL"},
      {"BytePieceWithoutFallback", Model(PieceField("<0x41>", 0, kBytePiece)),
       "pieces[9]: a byte piece, but byte_fallback is false"},
      {"BytePieceOfNoByte",
       SmallPieces() + PieceField("<0xGG>", 0, kBytePiece) +
           TrainerSpecField(kBpeType, VarintField(35, 1)),
       "pieces[9]: \"<0xGG>\" names no byte"},
      {"FallbackWithoutBytePieces",
       SmallPieces() + TrainerSpecField(kBpeType, VarintField(35, 1)),
       "pieces: none for byte <0x00>, but byte_fallback is true"},
      {"ModelOfType9", SmallPieces() + TrainerSpecField(9), "model of type 9"},
      {"ModelTypeIsText", SmallPieces() + BytesField(2, BytesField(3, "BPE")),
       "model_type: unexpected wire type 2"},
      {"SurfaceIsNotUtf8",
       SmallPieces() + TrainerSpecField(kBpeType, BytesField(44, "\xFF")),
       "unk_surface is not UTF-8"},
      {"NormalizerSpecIsANumber", Model(VarintField(3, 1)),
       "normalizer_spec: unexpected wire type 0"},
      {"FlagIsText", Model(BytesField(3, BytesField(3, "yes"))),
       "add_dummy_prefix: unexpected wire type 2"},
      {"CharsmapIsTooShort", Model(BytesField(3, BytesField(2, "abc"))),
       "a character table of 3 bytes"},
      {"CharsmapBeyondItsEnd",
       Model(
           BytesField(3, BytesField(2, std::string("\x10\0\0\0\0\0\0\0", 8)))),
       "a character table with a trie of 16 bytes in the 4 that follow"},
      {"DenormalizerCharsmap", Model(BytesField(5, BytesField(2, "abc"))),
       "a character table of 3 bytes"},
  };
}

class MalformedSentencePieceTest
    : public ::testing::TestWithParam<MalformedInput> {};

TEST_P(MalformedSentencePieceTest, IsRefusedWithTheFileAndTheFault) {
  EXPECT_THAT(ParseSentencePieceTokenizer(GetParam().bytes, ""),
              StatusIs(GetParam().code, AllOf(HasSubstr("tokenizer.model: "),
                                              HasSubstr(GetParam().fault))));
}

INSTANTIATE_TEST_SUITE_P(Table, MalformedSentencePieceTest,
                         ::testing::ValuesIn(BrokenModels()),
                         MalformedInputName);

TEST(WellFormedSentencePieceTest, UnknownFieldsArePassedOver) {
  EXPECT_THAT(ParseSentencePieceTokenizer(
                  Model(VarintField(200, 7) + BytesField(4, "self test") +
                        FloatField(300, 1)),
                  ""),
              IsOk());
}

}  // namespace
}  // namespace quantd::test
