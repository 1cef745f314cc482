// What a network says of one scored token.
#ifndef QUANTD_EVALUATORS_TOKEN_SCORE_H_
#define QUANTD_EVALUATORS_TOKEN_SCORE_H_

#include <cstdint>

namespace quantd {

struct TokenScore {
  // -ln p(token | tokens before it). NaN or infinite from a broken model.
  double nll = 0;
  // Of the prediction, in nats.
  double entropy = 0;
  // The likeliest token, the first of several.
  int32_t top = 0;

  friend bool operator==(const TokenScore&, const TokenScore&) = default;
};

}  // namespace quantd

#endif  // QUANTD_EVALUATORS_TOKEN_SCORE_H_
