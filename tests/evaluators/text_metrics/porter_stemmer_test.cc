#include "evaluators/text_metrics/porter_stemmer.h"

#include <random>
#include <string>
#include <utility>

#include "gtest/gtest.h"

namespace quantd {
namespace {

TEST(PorterStemmerTest, ExamplesOfThePaper) {
  // Each shows one rule; what later steps make of its result is included.
  const std::pair<const char*, const char*> examples[] = {
      {"caresses", "caress"},
      {"ponies", "poni"},
      {"ties", "ti"},
      {"caress", "caress"},
      {"cats", "cat"},
      {"feed", "feed"},
      {"agreed", "agre"},
      {"plastered", "plaster"},
      {"bled", "bled"},
      {"motoring", "motor"},
      {"sing", "sing"},
      {"conflated", "conflat"},
      {"troubled", "troubl"},
      {"sized", "size"},
      {"hopping", "hop"},
      {"tanned", "tan"},
      {"falling", "fall"},
      {"hissing", "hiss"},
      {"fizzed", "fizz"},
      {"failing", "fail"},
      {"filing", "file"},
      {"happy", "happi"},
      {"sky", "sky"},
      {"relational", "relat"},
      {"conditional", "condit"},
      {"rational", "ration"},
      {"valenci", "valenc"},
      {"hesitanci", "hesit"},
      {"digitizer", "digit"},
      {"conformabli", "conform"},
      {"radicalli", "radic"},
      {"differentli", "differ"},
      {"vileli", "vile"},
      {"analogousli", "analog"},
      {"vietnamization", "vietnam"},
      {"predication", "predic"},
      {"operator", "oper"},
      {"feudalism", "feudal"},
      {"decisiveness", "decis"},
      {"hopefulness", "hope"},
      {"callousness", "callous"},
      {"formaliti", "formal"},
      {"sensitiviti", "sensit"},
      {"sensibiliti", "sensibl"},
      {"triplicate", "triplic"},
      {"formative", "form"},
      {"formalize", "formal"},
      {"electriciti", "electr"},
      {"electrical", "electr"},
      {"hopeful", "hope"},
      {"goodness", "good"},
      {"revival", "reviv"},
      {"allowance", "allow"},
      {"inference", "infer"},
      {"airliner", "airlin"},
      {"gyroscopic", "gyroscop"},
      {"adjustable", "adjust"},
      {"defensible", "defens"},
      {"irritant", "irrit"},
      {"replacement", "replac"},
      {"adjustment", "adjust"},
      {"dependent", "depend"},
      {"adoption", "adopt"},
      {"homologou", "homolog"},
      {"communism", "commun"},
      {"activate", "activ"},
      {"angulariti", "angular"},
      {"homologous", "homolog"},
      {"effective", "effect"},
      {"bowdlerize", "bowdler"},
      {"probate", "probat"},
      {"rate", "rate"},
      {"cease", "ceas"},
      {"controll", "control"},
      {"roll", "roll"},
      {"generalizations", "gener"},
      {"oscillators", "oscil"}};
  for (const auto& [word, stem] : examples) {
    EXPECT_EQ(PorterStem(word), stem) << word;
  }
}

TEST(PorterStemmerTest, ShortWordsStay) {
  for (const char* word : {"", "a", "is", "as"}) {
    EXPECT_EQ(PorterStem(word), word);
  }
}

TEST(PorterStemmerTest, AnyLettersHaveAStemThatIsNotLonger) {
  std::mt19937 engine(1);
  for (int round = 0; round < 20000; ++round) {
    std::string word(engine() % 12, 'a');
    for (char& c : word) c = "aeilnstyz09ogdbm"[engine() % 16];
    EXPECT_LE(PorterStem(word).size(), word.size()) << word;
  }
  EXPECT_EQ(PorterStem(std::string(100000, 'y')).size(), 100000u);
}

}  // namespace
}  // namespace quantd
