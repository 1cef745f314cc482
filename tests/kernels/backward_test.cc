// The tuned gradients against the reference ones, at sizes that are cut into
// pieces, and their independence of the number of threads. That the reference
// is right is for tests/tensor/gradients_test.cc to show.
#include "kernels/backward.h"

#include <cmath>
#include <functional>
#include <memory>
#include <random>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "kernels/device.h"

namespace quantd {
namespace {

std::vector<float> Random(int64_t count, uint64_t seed, float range = 1.0f) {
  std::mt19937_64 engine(seed);
  std::vector<float> values(static_cast<size_t>(count));
  for (float& v : values) {
    v = static_cast<float>(range *
                           (static_cast<double>(engine() >> 11) * 0x1p-52 - 1));
  }
  return values;
}

class BackwardTest : public testing::Test {
 protected:
  // What `run` writes: near each other on the devices, equal at every number
  // of threads.
  using Results = std::vector<double>;
  void Compare(const std::function<Results(Device&)>& run, double tolerance) {
    const Results want = run(*NewReferenceDevice());
    const Results one = run(*NewCpuDevice(1));
    ASSERT_EQ(one.size(), want.size());
    double largest = 0, difference = 0;
    for (size_t i = 0; i < want.size(); ++i) {
      largest = std::max(largest, std::abs(want[i]));
      difference = std::max(difference, std::abs(one[i] - want[i]));
    }
    EXPECT_LE(difference, tolerance * largest);
    for (int threads : {2, 3}) {
      EXPECT_EQ(run(*NewCpuDevice(threads)), one) << threads;
    }
  }

  template <typename T>
  static void Append(const std::vector<T>& values, Results* results) {
    results->insert(results->end(), values.begin(), values.end());
  }
};

TEST_F(BackwardTest, Norms) {
  const int64_t rows = 1500, cols = 129;  // three pieces
  const auto x = Random(rows * cols, 1, 3.0f);
  const auto dy = Random(rows * cols, 2);
  const auto weight = Random(cols, 3);
  for (bool centred : {false, true}) {
    Compare(
        [&](Device& device) {
          std::vector<float> dx(x.size());
          std::vector<double> dweight(cols, 0.25), dbias(cols, 0.5);
          NormBackwardArgs args;
          args.rows = rows;
          args.cols = cols;
          args.eps = 1e-5f;
          args.x = x.data();
          args.weight = weight.data();
          args.dy = dy.data();
          args.dx = dx.data();
          args.dweight = dweight.data();
          args.dbias = dbias.data();
          if (centred) {
            device.LayerNormBackward(args);
          } else {
            device.RmsNormBackward(args);
          }
          Results results;
          Append(dx, &results);
          Append(dweight, &results);
          Append(dbias, &results);
          return results;
        },
        1e-5);
  }
}

TEST_F(BackwardTest, Attention) {
  const int64_t heads = 6, kv_heads = 2, d = 16;
  const std::vector<int64_t> lengths = {1, 300, 37};
  for (float softcap : {0.0f, 2.0f}) {
    Compare(
        [&](Device& device) {
          std::vector<std::vector<float>> q, k, v, dout, dq, dk, dv;
          std::vector<AttentionSequence> sequences;
          std::vector<AttentionGradients> gradients;
          for (int64_t length : lengths) {
            const int64_t queries = length * heads * d;
            const int64_t keys = length * kv_heads * d;
            q.push_back(Random(queries, 1));
            k.push_back(Random(keys, 2));
            v.push_back(Random(keys, 3));
            dout.push_back(Random(queries, 4));
            dq.emplace_back(queries, NAN);
            dk.emplace_back(keys, NAN);
            dv.emplace_back(keys, NAN);
          }
          for (size_t i = 0; i < lengths.size(); ++i) {
            AttentionSequence sequence;
            sequence.queries = sequence.keys = lengths[i];
            sequence.q = q[i].data();
            sequence.k = k[i].data();
            sequence.v = v[i].data();
            sequences.push_back(sequence);
            gradients.push_back(
                {dout[i].data(), dq[i].data(), dk[i].data(), dv[i].data()});
          }
          AttentionArgs args;
          args.sequences = sequences.data();
          args.sequence_count = static_cast<int64_t>(sequences.size());
          args.heads = heads;
          args.kv_heads = kv_heads;
          args.head_dim = d;
          args.scale = 0.6f;
          args.softcap = softcap;
          device.AttentionBackward(args, gradients.data());
          Results results;
          for (size_t i = 0; i < lengths.size(); ++i) {
            Append(dq[i], &results);
            Append(dk[i], &results);
            Append(dv[i], &results);
          }
          return results;
        },
        1e-5);
  }
}

TEST_F(BackwardTest, Activations) {
  const int64_t count = 150000;
  const auto x = Random(count, 1, 12.0f);
  const auto dy = Random(count, 2);
  for (int i = 0; i <= static_cast<int>(Activation::kLaplace); ++i) {
    SCOPED_TRACE(i);
    Compare(
        [&](Device& device) {
          std::vector<float> dx(x.size());
          device.ActivateBackward(static_cast<Activation>(i), x.data(),
                                  dy.data(), count, dx.data());
          return Results(dx.begin(), dx.end());
        },
        2e-6);
  }
}

TEST_F(BackwardTest, SumsAndLosses) {
  const int64_t rows = 300, cols = 1003;
  const auto logits = Random(rows * cols, 1, 8.0f);
  const auto teacher = Random(rows * cols, 2, 8.0f);
  std::vector<int32_t> targets;
  std::vector<double> weights;
  for (int64_t r = 0; r < rows; ++r) {
    targets.push_back(static_cast<int32_t>(r * 7 % cols));
    weights.push_back(0.01 * static_cast<double>(r) - 1);
  }
  Compare(
      [&](Device& device) {
        std::vector<double> sums(cols, 1.0);
        device.SumRows(logits.data(), rows, cols, sums.data());
        return sums;
      },
      1e-12);
  Compare(
      [&](Device& device) {
        std::vector<float> dlogits(logits.size());
        device.NegativeLogLikelihoodBackward(logits.data(), targets.data(),
                                             weights.data(), rows, cols,
                                             dlogits.data());
        return Results(dlogits.begin(), dlogits.end());
      },
      1e-6);
  Compare(
      [&](Device& device) {
        std::vector<double> kl(rows);
        device.KlDivergence(teacher.data(), logits.data(), 2.0f, rows, cols,
                            kl.data());
        for (double value : kl) EXPECT_GT(value, 0);
        return kl;
      },
      1e-9);
  Compare(
      [&](Device& device) {
        std::vector<float> dlogits(logits.size());
        device.KlDivergenceBackward(teacher.data(), logits.data(), 2.0f,
                                    weights.data(), rows, cols, dlogits.data());
        return Results(dlogits.begin(), dlogits.end());
      },
      1e-6);
}

// Equal distributions do not diverge, however far apart their logits are.
TEST_F(BackwardTest, KlDivergenceOfEqualsIsZero) {
  const auto logits = Random(500, 3, 50.0f);
  auto shifted = logits;
  for (float& v : shifted) v += 16.0f;
  for (Device* device :
       {NewCpuDevice(1).release(), NewReferenceDevice().release()}) {
    const std::unique_ptr<Device> owned(device);
    double kl = 1;
    device->KlDivergence(logits.data(), shifted.data(), 1.0f, 1, 500, &kl);
    EXPECT_NEAR(kl, 0, 1e-5);
  }
}

}  // namespace
}  // namespace quantd
