#include "models/code_choice.h"

#include <array>
#include <limits>
#include <utility>

namespace quantd {
namespace {

class ScalarCodeChoice final : public CodeChoice {
 public:
  explicit ScalarCodeChoice(ScalarCodes codes) : codes_(std::move(codes)) {}

  int64_t units() const override { return codes_.rows * codes_.cols; }

  void Places(int64_t unit, PlaceList* places) const override {
    places->assign(1, unit);
  }

  absl::InlinedVector<uint32_t, 4> CodesOf(int64_t unit) const override {
    return {codes_.codes[static_cast<size_t>(unit)]};
  }

  Candidate Nearest(int64_t unit,
                    absl::Span<const float> target) const override {
    const int64_t r = unit / codes_.cols;
    const int64_t c = unit % codes_.cols;
    const int64_t g = codes_.groups.group_size == 0 ? 0 : codes_.groups.Of(c);
    const float scale =
        codes_.scales.size() == 0 ? 1.0f : codes_.scales.row(r)[g];
    const float zero = codes_.zeros.size() == 0 ? 0.0f : codes_.zeros.row(r)[g];
    Candidate best;
    best.codes.assign(1, 0);
    best.weights.assign(1, 0.0f);
    float least = std::numeric_limits<float>::infinity();
    const absl::Span<const float> values = codes_.values(r, c);
    for (size_t k = 0; k < values.size(); ++k) {
      const float weight = scale * (values[k] - zero);
      const float distance = (weight - target[0]) * (weight - target[0]);
      if (!(distance < least)) continue;
      least = distance;
      best.codes[0] = static_cast<uint32_t>(k);
      best.weights[0] = weight;
    }
    return best;
  }

  bool Choose(int64_t unit, absl::Span<const uint32_t> codes) override {
    uint8_t& code = codes_.codes[static_cast<size_t>(unit)];
    const bool other = code != codes[0];
    code = static_cast<uint8_t>(codes[0]);
    return other;
  }

  absl::StatusOr<std::shared_ptr<const CompressedLinear>> Finish()
      const override {
    return codes_.finish(codes_.codes);
  }

 private:
  ScalarCodes codes_;
};

}  // namespace

std::unique_ptr<CodeChoice> NewScalarCodeChoice(ScalarCodes codes) {
  return std::make_unique<ScalarCodeChoice>(std::move(codes));
}

absl::Span<const float> IntegerValues(int bits) {
  static constexpr auto kValues = [] {
    std::array<float, 256> values{};
    for (size_t i = 0; i < values.size(); ++i) {
      values[i] = static_cast<float>(i);
    }
    return values;
  }();
  return absl::MakeConstSpan(kValues).first(size_t{1} << bits);
}

}  // namespace quantd
