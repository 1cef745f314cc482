#include "evaluators/ngram_hash.h"

#include "base/bit_mixer.h"

namespace quantd {
namespace {

// Odd, so that a power of it never loses a bit of what it multiplies.
constexpr uint64_t kBase = kGoldenGamma;

}  // namespace

uint64_t HashOfToken(int32_t token) {
  return MixBits(static_cast<uint64_t>(static_cast<uint32_t>(token)) + kBase);
}

uint64_t HashOfWord(absl::string_view word) {
  // FNV-1a, then mixed: its upper bits alone depend little on the last bytes.
  uint64_t hash = 0xCBF29CE484222325;
  for (char c : word) {
    hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001B3;
  }
  return MixBits(hash);
}

void ForEachNgram(absl::Span<const uint64_t> units, size_t n,
                  absl::FunctionRef<void(uint64_t hash)> use) {
  // Rabin and Karp's rolling sum of units times powers of the base.
  uint64_t first_power = 1;
  for (size_t i = 1; i < n; ++i) first_power *= kBase;
  uint64_t rolling = 0;
  for (size_t i = 0; i < units.size(); ++i) {
    if (i >= n) rolling -= units[i - n] * first_power;
    rolling = rolling * kBase + units[i];
    if (i + 1 >= n) use(MixBits(rolling));
  }
}

}  // namespace quantd
