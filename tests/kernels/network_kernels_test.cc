// The operations that networks are made of (norms, activations, rotary
// positions, attention, convolution, scan) on the CPU device against the
// reference device, over shapes around vector width and block size.
#include <cmath>
#include <limits>
#include <memory>
#include <random>
#include <vector>

#include "gtest/gtest.h"
#include "kernels/device.h"

namespace quantd {
namespace {

std::vector<float> Random(int64_t count, uint64_t seed, float spread = 1.0f) {
  std::mt19937_64 engine(seed);
  std::vector<float> values(static_cast<size_t>(count));
  for (float& v : values) {
    v = spread *
        static_cast<float>(static_cast<double>(engine() >> 11) * 0x1p-52 - 1.0);
  }
  return values;
}

void ExpectNear(const std::vector<float>& got, const std::vector<float>& want,
                double bound) {
  ASSERT_EQ(got.size(), want.size());
  for (size_t i = 0; i < got.size(); ++i) {
    ASSERT_NEAR(got[i], want[i], bound * (1 + std::abs(want[i]))) << i;
  }
}

class NetworkKernelsTest : public testing::TestWithParam<int> {
 protected:
  std::unique_ptr<Device> cpu_ = NewCpuDevice(GetParam());
  std::unique_ptr<Device> reference_ = NewReferenceDevice();
};

constexpr Activation kActivations[] = {
    Activation::kIdentity,    Activation::kRelu,      Activation::kReluSquared,
    Activation::kSilu,        Activation::kGelu,      Activation::kGeluTanh,
    Activation::kQuickGelu,   Activation::kTanh,      Activation::kSigmoid,
    Activation::kRelu6,       Activation::kLeakyRelu, Activation::kMish,
    Activation::kGeluClipped, Activation::kLaplace};

TEST_P(NetworkKernelsTest, ActivationsMatchReference) {
  for (Activation activation : kActivations) {
    for (int64_t count : {1, 7, 8, 17, 100, 70001}) {
      const auto x = Random(count, 1, 12.0f);
      const auto up = Random(count, 2);
      std::vector<float> got(x.size());
      std::vector<float> want(x.size());
      cpu_->Activate(activation, x.data(), count, got.data());
      reference_->Activate(activation, x.data(), count, want.data());
      ExpectNear(got, want, 2e-6);
      cpu_->ActivateMul(activation, x.data(), up.data(), count, got.data());
      reference_->ActivateMul(activation, x.data(), up.data(), count,
                              want.data());
      ExpectNear(got, want, 2e-6);
    }
  }
}

TEST_P(NetworkKernelsTest, ActivationsHaveTheirLimits) {
  // From the definitions: all but identity, tanh and sigmoid vanish far below
  // zero and are x (or x^2) far above.
  const std::vector<float> x = {-1e30f, -200, -89, 0, 89, 200, 1e18f, 1};
  std::vector<float> y(x.size());
  for (Activation activation :
       {Activation::kRelu, Activation::kSilu, Activation::kGelu,
        Activation::kGeluTanh, Activation::kQuickGelu, Activation::kMish}) {
    cpu_->Activate(activation, x.data(), static_cast<int64_t>(x.size()),
                   y.data());
    EXPECT_NEAR(y[1], 0, 1e-30);
    EXPECT_EQ(y[3], 0);
    EXPECT_FLOAT_EQ(y[5], 200);
    EXPECT_FLOAT_EQ(y[6], 1e18f);
  }
  cpu_->Activate(Activation::kGelu, x.data(), 8, y.data());
  EXPECT_NEAR(y[7], 0.8413447460685429, 1e-6);  // 1 * Phi(1)
  cpu_->Activate(Activation::kGeluTanh, x.data(), 8, y.data());
  EXPECT_NEAR(y[7], 0.8411919906082768, 1e-6);
  cpu_->Activate(Activation::kSigmoid, x.data(), 8, y.data());
  EXPECT_NEAR(y[7], 0.7310585786300049, 1e-6);
  cpu_->Activate(Activation::kMish, x.data(), 8, y.data());
  EXPECT_NEAR(y[7], 0.8650983882673103, 1e-6);  // tanh(log(1 + e))
  cpu_->Activate(Activation::kLaplace, x.data(), 8, y.data());
  EXPECT_NEAR(y[1], 0, 1e-30);
  EXPECT_EQ(y[5], 1);
  EXPECT_NEAR(y[7], 0.8504296, 1e-6);  // Phi(1.0382778)
  cpu_->Activate(Activation::kGeluClipped, x.data(), 8, y.data());
  EXPECT_EQ(y[5], 10);
  cpu_->Activate(Activation::kRelu6, x.data(), 8, y.data());
  EXPECT_EQ(y[1], 0);
  EXPECT_EQ(y[5], 6);
  cpu_->Activate(Activation::kLeakyRelu, x.data(), 8, y.data());
  EXPECT_FLOAT_EQ(y[1], -2);
  EXPECT_EQ(y[5], 200);
}

TEST_P(NetworkKernelsTest, LayerNormMatchesReference) {
  for (int64_t cols : {1, 7, 8, 15, 16, 33, 100}) {
    // A mean far above the deviation must not eat the variance.
    auto x = Random(5 * cols, 3);
    for (float& v : x) v += 50.0f;
    const auto w = Random(cols, 4);
    const auto b = Random(cols, 5);
    for (const float* weight : {w.data(), static_cast<const float*>(nullptr)}) {
      for (const float* bias : {b.data(), static_cast<const float*>(nullptr)}) {
        std::vector<float> got(x.size());
        std::vector<float> want(x.size());
        cpu_->LayerNorm(x.data(), weight, bias, 1e-5f, 5, cols, got.data());
        reference_->LayerNorm(x.data(), weight, bias, 1e-5f, 5, cols,
                              want.data());
        ExpectNear(got, want, 5e-5);
      }
    }
  }
}

TEST_P(NetworkKernelsTest, RotaryKeepsLengthsAndMatchesReference) {
  const int64_t rows = 15, heads = 2, dim = 40, positions = 9;
  std::vector<int32_t> position;
  for (int64_t r = 0; r < rows; ++r) {
    position.push_back(static_cast<int32_t>((r * 4) % positions));
  }
  for (int64_t rotary_dim : {2, 6, 34, 40}) {
    std::vector<float> cos, sin;
    for (int64_t i = 0; i < positions * rotary_dim / 2; ++i) {
      cos.push_back(std::cos(0.1f * static_cast<float>(i)));
      sin.push_back(std::sin(0.1f * static_cast<float>(i)));
    }
    for (bool interleaved : {false, true}) {
      const auto x = Random(rows * heads * dim, 6);
      auto got = x, want = x;
      RotaryArgs args;
      args.rows = rows;
      args.heads = heads;
      args.head_dim = dim;
      args.rotary_dim = rotary_dim;
      args.interleaved = interleaved;
      args.positions = position.data();
      args.cos = cos.data();
      args.sin = sin.data();
      args.x = got.data();
      cpu_->Rotary(args);
      args.x = want.data();
      reference_->Rotary(args);
      ExpectNear(got, want, 1e-6);
      double before = 0, after = 0;
      for (float v : x) before += v * v;
      for (float v : got) after += v * v;
      EXPECT_NEAR(before, after, 1e-3);
      for (int64_t i = rotary_dim; i < dim; ++i) {
        EXPECT_EQ(got[static_cast<size_t>(i)], x[static_cast<size_t>(i)]);
      }
    }
  }
}

struct AttentionCase {
  const char* name;
  bool causal;
  int64_t window;
  float softcap;
  bool bias;
  int64_t past;
};

constexpr AttentionCase kAttentionCases[] = {
    {"causal", true, 0, 0, false, 0},
    {"cached", true, 0, 0, false, 37},
    {"both directions", false, 0, 0, false, 0},
    {"window", true, 5, 0, false, 0},
    {"wide window, cached", true, 130, 0, false, 20},
    {"soft cap", true, 0, 1.5f, false, 0},
    {"bias", true, 0, 0, true, 3},
    {"everything", true, 60, 2.0f, true, 11},
};

TEST_P(NetworkKernelsTest, AttentionMatchesReferenceAcrossQueryBlocks) {
  const int64_t heads = 4, kv_heads = 2, dim = 8;
  for (const AttentionCase& c : kAttentionCases) {
    for (int64_t tokens : {1, 3, 127, 128, 129, 200}) {
      // Two sequences of different length.
      std::vector<AttentionSequence> sequences(2);
      std::vector<std::vector<float>> q, k, v, got, want;
      std::vector<std::vector<double>> got_received, want_received;
      for (int s = 0; s < 2; ++s) {
        const int64_t queries = tokens + s;
        const int64_t keys = c.past + queries;
        const auto seed = static_cast<uint64_t>(10 * s);
        q.push_back(Random(queries * heads * dim, seed + 1, 3.0f));
        k.push_back(Random(keys * kv_heads * dim, seed + 2, 3.0f));
        v.push_back(Random(keys * kv_heads * dim, seed + 3));
        got.emplace_back(q.back().size());
        want.emplace_back(q.back().size());
        got_received.emplace_back(static_cast<size_t>(heads * keys), NAN);
        want_received.emplace_back(static_cast<size_t>(heads * keys), NAN);
        sequences[static_cast<size_t>(s)].queries = queries;
        sequences[static_cast<size_t>(s)].keys = keys;
      }
      const int64_t bias_ld = c.past + tokens + 4;
      const auto bias = Random(heads * bias_ld, 9, 4.0f);
      AttentionArgs args;
      args.sequences = sequences.data();
      args.sequence_count = 2;
      args.heads = heads;
      args.kv_heads = kv_heads;
      args.head_dim = dim;
      args.scale = 0.35f;
      args.causal = c.causal;
      args.window = c.window;
      args.softcap = c.softcap;
      args.key_bias = c.bias ? bias.data() : nullptr;
      args.key_bias_ld = bias_ld;
      auto run = [&](Device& device, std::vector<std::vector<float>>& out,
                     std::vector<std::vector<double>>& received) {
        for (size_t s = 0; s < 2; ++s) {
          sequences[s].q = q[s].data();
          sequences[s].k = k[s].data();
          sequences[s].v = v[s].data();
          sequences[s].out = out[s].data();
          sequences[s].received = received[s].data();
        }
        device.Attention(args);
      };
      run(*cpu_, got, got_received);
      run(*reference_, want, want_received);
      SCOPED_TRACE(c.name);
      for (size_t s = 0; s < 2; ++s) {
        double total = 0;
        for (size_t i = 0; i < got_received[s].size(); ++i) {
          ASSERT_NEAR(got_received[s][i], want_received[s][i], 1e-4);
          total += want_received[s][i];
        }
        // Every query of every head gives one.
        EXPECT_NEAR(total, static_cast<double>(heads * sequences[s].queries),
                    1e-9);
      }
      ExpectNear(got[0], want[0], 5e-6);
      ExpectNear(got[1], want[1], 5e-6);
    }
  }
}

TEST_P(NetworkKernelsTest, SoftcapBoundsAndMatchesReference) {
  const auto x = Random(1003, 7, 200.0f);
  auto got = x, want = x;
  cpu_->Softcap(30.0f, 1003, got.data());
  reference_->Softcap(30.0f, 1003, want.data());
  ExpectNear(got, want, 2e-6);
  for (float v : got) EXPECT_LE(std::abs(v), 30.0f);
}

TEST_P(NetworkKernelsTest, StateSpaceContinuesWhereItStopped) {
  const int64_t tokens = 23, channels = 70, states = 5, width = 4;
  const auto x = Random(tokens * channels, 20);
  const auto weight = Random(channels * width, 21);
  const auto bias = Random(channels, 22);
  auto dt = Random(tokens * channels, 23);
  for (float& v : dt) v = std::abs(v);
  auto a = Random(channels * states, 24);
  for (float& v : a) v = -std::abs(v);
  const auto b = Random(tokens * states, 25);
  const auto c = Random(tokens * states, 26);
  const auto skip = Random(channels, 27);

  // Runs the first `cut` tokens, then the others.
  auto run = [&](Device& device, int64_t cut) {
    std::vector<float> history(static_cast<size_t>((width - 1) * channels));
    std::vector<float> h(static_cast<size_t>(channels * states));
    std::vector<float> u(x.size());
    std::vector<float> y(x.size());
    for (auto [begin, end] :
         {std::pair<int64_t, int64_t>{0, cut}, {cut, tokens}}) {
      CausalConvArgs conv;
      conv.tokens = end - begin;
      conv.channels = channels;
      conv.width = width;
      conv.x = x.data() + begin * channels;
      conv.weight = weight.data();
      conv.bias = bias.data();
      conv.history = history.data();
      conv.y = u.data() + begin * channels;
      device.CausalConv(conv);
      SelectiveScanArgs scan;
      scan.tokens = end - begin;
      scan.channels = channels;
      scan.states = states;
      scan.u = u.data() + begin * channels;
      scan.dt = dt.data() + begin * channels;
      scan.a = a.data();
      scan.b = b.data() + begin * states;
      scan.c = c.data() + begin * states;
      scan.skip = skip.data();
      scan.h = h.data();
      scan.y = y.data() + begin * channels;
      device.SelectiveScan(scan);
    }
    return y;
  };
  const auto whole = run(*reference_, 0);
  ExpectNear(run(*cpu_, 0), whole, 1e-5);
  EXPECT_EQ(run(*cpu_, 1), run(*cpu_, 0));
  EXPECT_EQ(run(*cpu_, 11), run(*cpu_, 0));
  EXPECT_EQ(run(*reference_, 11), whole);
}

INSTANTIATE_TEST_SUITE_P(Threads, NetworkKernelsTest, testing::Values(1, 2));

}  // namespace
}  // namespace quantd
