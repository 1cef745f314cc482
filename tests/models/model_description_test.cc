#include "models/model_description.h"

#include <cmath>
#include <functional>
#include <numbers>
#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "models/network/position_tables.h"
#include "nlohmann/json.hpp"
#include "tests/testing/status_matchers.h"

namespace quantd {
namespace {

using nlohmann::json;
using ::quantd::test::StatusIs;
using ::testing::HasSubstr;

json ValidConfig() {
  return {{"model_type", "llama"},    {"hidden_size", 64},
          {"intermediate_size", 160}, {"num_hidden_layers", 2},
          {"num_attention_heads", 4}, {"num_key_value_heads", 2},
          {"vocab_size", 256},        {"max_position_embeddings", 64},
          {"hidden_act", "silu"},     {"rms_norm_eps", 1e-6},
          {"rope_theta", 500000.0},   {"tie_word_embeddings", true}};
}

TEST(ModelDescriptionTest, ReadsEveryKey) {
  ASSERT_OK_AND_ASSIGN(const ModelDescription d,
                       ParseModelConfig(ValidConfig(), "config.json"));
  EXPECT_EQ(d.architecture, "llama");
  EXPECT_EQ(d.block.attention.head_dim, 16);
  EXPECT_EQ(d.block.attention.kv_heads, 2);
  EXPECT_EQ(d.block.attention.rope.theta, 500000.0);
  EXPECT_TRUE(d.head.tied);
  EXPECT_FALSE(d.block.attention.query.bias);
}

TEST(ModelDescriptionTest, OptionalKeysHaveTheFamilysDefaults) {
  json config = ValidConfig();
  for (const char* key : {"num_key_value_heads", "hidden_act", "rms_norm_eps",
                          "rope_theta", "tie_word_embeddings"}) {
    config.erase(key);
  }
  config["rope_scaling"] = nullptr;
  ASSERT_OK_AND_ASSIGN(const ModelDescription d,
                       ParseModelConfig(config, "config.json"));
  EXPECT_EQ(d.block.attention.kv_heads, 4);
  EXPECT_FLOAT_EQ(d.block.mixer_norm.epsilon, 1e-6f);
  EXPECT_EQ(d.block.attention.rope.theta, 10000.0);
  EXPECT_FALSE(d.head.tied);
}

TEST(ModelDescriptionTest, EveryFamilyHasItsPublishedSizesByDefault) {
  for (const absl::string_view type : KnownArchitectures()) {
    ASSERT_OK_AND_ASSIGN(
        const ModelDescription d,
        ParseModelConfig({{"model_type", std::string(type)}}, "config.json"));
    EXPECT_GT(d.blocks, 0) << type;
  }
  // GPT-2 124M, GPT-J 6B, Mistral 7B, Gemma 7B, Falcon 7B.
  const auto sizes = [](const char* type) {
    const ModelDescription d =
        ParseModelConfig({{"model_type", type}}, "config.json").value();
    const AttentionDescription& attention = d.block.attention;
    return std::vector<int>{d.hidden_size,
                            d.blocks,
                            attention.heads,
                            attention.kv_heads,
                            attention.head_dim,
                            attention.window,
                            d.block.feed_forward.intermediate_size,
                            d.context_tokens,
                            d.vocabulary_size};
  };
  using testing::ElementsAre;
  EXPECT_THAT(sizes("gpt2"),
              ElementsAre(768, 12, 12, 12, 64, 0, 3072, 1024, 50257));
  EXPECT_THAT(sizes("gptj"),
              ElementsAre(4096, 28, 16, 16, 256, 0, 16384, 2048, 50400));
  EXPECT_THAT(sizes("mistral"),
              ElementsAre(4096, 32, 32, 8, 128, 4096, 14336, 131072, 32000));
  EXPECT_THAT(sizes("gemma"),
              ElementsAre(3072, 28, 16, 16, 256, 0, 24576, 8192, 256000));
  EXPECT_THAT(sizes("falcon"),
              ElementsAre(4544, 32, 71, 1, 64, 0, 18176, 2048, 65024));
}

TEST(ModelDescriptionTest, NullIsNotAbsent) {
  json config = {{"model_type", "mistral"},
                 {"num_key_value_heads", nullptr},
                 {"sliding_window", nullptr}};
  ASSERT_OK_AND_ASSIGN(const ModelDescription d,
                       ParseModelConfig(config, "config.json"));
  EXPECT_EQ(d.block.attention.kv_heads, 32);
  EXPECT_EQ(d.block.attention.window, 0);
}

TEST(ModelDescriptionTest, OldNamesOfKeysAreRead) {
  const json configs[] = {{{"model_type", "gpt2"},
                           {"hidden_size", 96},
                           {"num_hidden_layers", 3},
                           {"num_attention_heads", 6},
                           {"max_position_embeddings", 50}},
                          {{"model_type", "gptj"},
                           {"hidden_size", 96},
                           {"num_hidden_layers", 3},
                           {"num_attention_heads", 6},
                           {"rotary_dim", 8},
                           {"max_position_embeddings", 50}},
                          {{"model_type", "bloom"},
                           {"n_embed", 96},
                           {"hidden_size", 64},  // the older name decides
                           {"num_hidden_layers", 3},
                           {"num_attention_heads", 6}},
                          {{"model_type", "falcon"},
                           {"n_embed", 96},
                           {"n_layer", 3},
                           {"n_head", 6},
                           {"max_position_embeddings", 50}},
                          {{"model_type", "mpt"},
                           {"hidden_size", 96},
                           {"num_hidden_layers", 3},
                           {"num_attention_heads", 6},
                           {"max_seq_len", 50}}};
  for (const json& config : configs) {
    ASSERT_OK_AND_ASSIGN(const ModelDescription d,
                         ParseModelConfig(config, "config.json"));
    EXPECT_EQ(d.hidden_size, 96) << config;
    EXPECT_EQ(d.blocks, 3) << config;
    EXPECT_EQ(d.block.attention.heads, 6) << config;
    EXPECT_EQ(d.context_tokens, d.architecture == "bloom" ? 0 : 50) << config;
  }
}

TEST(ModelDescriptionTest, ActivationsGoByTheReferencesNames) {
  const std::pair<const char*, Activation> names[] = {
      {"gelu_accurate", Activation::kGeluTanh},
      {"gelu_10", Activation::kGeluClipped},
      {"relu6", Activation::kRelu6},
      {"leaky_relu", Activation::kLeakyRelu},
      {"mish", Activation::kMish},
      {"laplace", Activation::kLaplace}};
  for (const auto& [name, activation] : names) {
    json config = ValidConfig();
    config["hidden_act"] = name;
    ASSERT_OK_AND_ASSIGN(const ModelDescription d,
                         ParseModelConfig(config, "config.json"));
    EXPECT_EQ(d.block.feed_forward.activation, activation) << name;
  }
}

// What a file says about rotary positions, as the newest reference writes it:
// theta, share and type together.
TEST(ModelDescriptionTest, RotaryParametersMayStandTogether) {
  json config = {{"model_type", "stablelm"},
                 {"rope_parameters",
                  {{"rope_theta", 5e5}, {"partial_rotary_factor", 0.5}}}};
  ASSERT_OK_AND_ASSIGN(ModelDescription d,
                       ParseModelConfig(config, "config.json"));
  RopeDescription rope = d.block.attention.rope;
  EXPECT_EQ(rope.theta, 5e5);
  EXPECT_EQ(rope.rotary_dim, 40);
  EXPECT_EQ(rope.scaling, RopeDescription::Scaling::kNone);
  config["rope_parameters"]["rope_type"] = "linear";
  config["rope_parameters"]["factor"] = 4.0;
  ASSERT_OK_AND_ASSIGN(d, ParseModelConfig(config, "config.json"));
  rope = d.block.attention.rope;
  EXPECT_EQ(rope.scaling, RopeDescription::Scaling::kLinear);
  EXPECT_EQ(rope.factor, 4.0);
}

RopeDescription Yarn(const json& scaling) {
  json config = ValidConfig();
  config["max_position_embeddings"] = 163840;
  config["rope_scaling"] = scaling;
  config["rope_scaling"]["rope_type"] = "yarn";
  return ParseModelConfig(config, "config.json").value().block.attention.rope;
}

// The attention factors of published files.
TEST(ModelDescriptionTest, YarnWeighsItsAttentionFactor) {
  EXPECT_NEAR(Yarn({{"factor", 4.0}}).attention_factor, 1.1386294361, 1e-9);
  EXPECT_EQ(Yarn({{"factor", 1.0}}).attention_factor, 1.0);
  // DeepSeek-V2-Lite: both weights alike.
  EXPECT_EQ(Yarn({{"factor", 40}, {"mscale", 0.707}, {"mscale_all_dim", 0.707}})
                .attention_factor,
            1.0);
  EXPECT_NEAR(Yarn({{"factor", 40}, {"mscale", 1.0}, {"mscale_all_dim", 0.5}})
                  .attention_factor,
              1.3688879454 / 1.1844439727, 1e-9);
  EXPECT_NEAR(Yarn({{"factor", 40}, {"mscale", 1.0}, {"mscale_all_dim", 0}})
                  .attention_factor,
              1.3688879454, 1e-9);
  EXPECT_EQ(Yarn({{"factor", 40}, {"mscale", 1.0}, {"attention_factor", 0.9}})
                .attention_factor,
            0.9);
}

TEST(ModelDescriptionTest, YarnTakesTheFactorOrElseTheRatioOfContexts) {
  constexpr char kOriginal[] = "original_max_position_embeddings";
  const RopeDescription ratio = Yarn({{"factor", nullptr}, {kOriginal, 4096}});
  EXPECT_EQ(ratio.factor, 40);
  EXPECT_EQ(ratio.original_context, 4096);
  EXPECT_EQ(Yarn({{"factor", 8.0}, {kOriginal, 4096}}).factor, 8);
  EXPECT_EQ(Yarn({{"factor", 8.0}}).original_context, 163840);
}

struct BrokenConfig {
  const char* name;
  std::function<void(json&)> change;
  absl::StatusCode code;
  const char* expected;
};

class BrokenConfigTest : public testing::TestWithParam<BrokenConfig> {};

TEST_P(BrokenConfigTest, IsRefusedByName) {
  json config = ValidConfig();
  GetParam().change(config);
  EXPECT_THAT(ParseModelConfig(config, "config.json").status(),
              StatusIs(GetParam().code,
                       testing::AllOf(HasSubstr("config.json"),
                                      HasSubstr(GetParam().expected))));
}

constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;
constexpr auto kUnsupported = absl::StatusCode::kUnimplemented;

INSTANTIATE_TEST_SUITE_P(
    Table, BrokenConfigTest,
    testing::Values(
        BrokenConfig{"NoModelType", [](json& c) { c.erase("model_type"); },
                     kInvalid, "model_type"},
        BrokenConfig{"UnknownArchitecture",
                     [](json& c) { c["model_type"] = "perceiver"; },
                     kUnsupported, "perceiver"},
        BrokenConfig{"UnknownActivation",
                     [](json& c) { c["hidden_act"] = "tanhshrink"; },
                     kUnsupported, "tanhshrink"},
        BrokenConfig{"UnknownRope",
                     [](json& c) {
                       c["rope_scaling"] = {{"rope_type", "spiral"}};
                     },
                     kUnsupported, "spiral"},
        BrokenConfig{"OldRopeKeyUnknownType",
                     [](json& c) {
                       c["rope_scaling"] = {{"type", "odd"}};
                     },
                     kUnsupported, "odd"},
        BrokenConfig{"RopeWithoutFactor",
                     [](json& c) {
                       c["rope_scaling"] = {{"rope_type", "llama3"}};
                     },
                     kInvalid, "rope_scaling.factor"},
        BrokenConfig{"RopeNotAnObject", [](json& c) { c["rope_scaling"] = 7; },
                     kInvalid, "rope_scaling"},
        BrokenConfig{"NullHiddenSize",
                     [](json& c) { c["hidden_size"] = nullptr; }, kInvalid,
                     "hidden_size"},
        BrokenConfig{"NegativeHiddenSize",
                     [](json& c) { c["hidden_size"] = -64; }, kInvalid,
                     "hidden_size"},
        BrokenConfig{"FractionalBlocks",
                     [](json& c) { c["num_hidden_layers"] = 2.5; }, kInvalid,
                     "num_hidden_layers"},
        BrokenConfig{"HugeVocabulary",
                     [](json& c) { c["vocab_size"] = 1ull << 60; }, kInvalid,
                     "vocab_size"},
        BrokenConfig{"ZeroHeads", [](json& c) { c["num_attention_heads"] = 0; },
                     kInvalid, "num_attention_heads"},
        BrokenConfig{"HeadsDoNotDivide",
                     [](json& c) { c["num_attention_heads"] = 3; }, kInvalid,
                     "num_key_value_heads"},
        BrokenConfig{"OddHeadDim", [](json& c) { c["head_dim"] = 15; },
                     kInvalid, "head_dim"},
        BrokenConfig{"ThetaAsText", [](json& c) { c["rope_theta"] = "10000"; },
                     kInvalid, "rope_theta"},
        BrokenConfig{"TiedAsNumber",
                     [](json& c) { c["tie_word_embeddings"] = 1; }, kInvalid,
                     "tie_word_embeddings"}),
    [](const auto& info) { return info.param.name; });

TEST(RotaryTableTest, Llama3ScalingHasThreeRegions) {
  RopeDescription rope;
  rope.theta = 10000;
  rope.rotary_dim = 16;
  rope.scaling = RopeDescription::Scaling::kLlama3;
  rope.factor = 8;
  rope.low_frequency_factor = 1;
  rope.high_frequency_factor = 4;
  rope.original_context = 64;
  RopeDescription plain = rope;
  plain.scaling = RopeDescription::Scaling::kNone;
  const auto scaled = RotaryFrequencies(rope, 64);
  const auto original = RotaryFrequencies(plain, 64);
  int kept = 0, divided = 0, between = 0;
  for (size_t i = 0; i < scaled.size(); ++i) {
    const double wavelength = 2 * std::numbers::pi / original[i];
    if (wavelength < 16) {
      EXPECT_EQ(scaled[i], original[i]);
      ++kept;
    } else if (wavelength > 64) {
      EXPECT_DOUBLE_EQ(scaled[i], original[i] / 8);
      ++divided;
    } else {
      EXPECT_GT(scaled[i], original[i] / 8);
      EXPECT_LT(scaled[i], original[i]);
      ++between;
    }
  }
  EXPECT_GT(kept, 0);
  EXPECT_GT(divided, 0);
  EXPECT_GT(between, 0);
}

// Peng et al. 2023: pairs that turn more than beta_fast times within the
// original context are kept, those below beta_slow are divided by the factor.
TEST(RotaryTableTest, YarnGoesByTheOriginalContext) {
  for (const bool whole : {true, false}) {
    RopeDescription rope;
    rope.theta = 10000;
    rope.rotary_dim = 64;
    rope.scaling = RopeDescription::Scaling::kYarn;
    rope.factor = 16;
    rope.context = 65536;
    rope.original_context = 4096;
    rope.whole_ramp = whole;
    RopeDescription plain = rope;
    plain.scaling = RopeDescription::Scaling::kNone;
    const auto scaled = RotaryFrequencies(rope, 64);
    const auto original = RotaryFrequencies(plain, 64);
    // Where a pair turns 32 times and once, counted in pairs: 10.46 and 22.51.
    const double low = whole ? 10
                             : 32 * std::log(4096 / (64 * std::numbers::pi)) /
                                   std::log(10000.0);
    const double high = whole ? 23
                              : 32 * std::log(4096 / (2 * std::numbers::pi)) /
                                    std::log(10000.0);
    for (size_t i = 0; i < scaled.size(); ++i) {
      const double at = static_cast<double>(i);
      if (at <= low) {
        EXPECT_DOUBLE_EQ(scaled[i], original[i]) << i;
      } else if (at >= high) {
        EXPECT_DOUBLE_EQ(scaled[i], original[i] / 16) << i;
      } else {
        const double kept = (high - at) / (high - low);
        EXPECT_NEAR(scaled[i] / original[i], kept + (1 - kept) / 16, 1e-9) << i;
      }
    }
  }
}

TEST(RotaryTableTest, PositionZeroIsTheIdentity) {
  RopeDescription rope;
  rope.rotary_dim = 8;
  const RotaryTable table = MakeRotaryTable(rope, 3, 3);
  for (int i = 0; i < 4; ++i) {
    EXPECT_EQ(table.cos.row(0)[i], 1);
    EXPECT_EQ(table.sin.row(0)[i], 0);
  }
  EXPECT_FLOAT_EQ(table.cos.row(2)[0], std::cos(2.0f));
}

}  // namespace
}  // namespace quantd
