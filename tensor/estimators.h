// Operations that make a weight out of what is trained: codes, scales, zero
// points, table entries, rounding variables. Rounding has no useful derivative;
// each operation that rounds says what takes its place, an estimator. All are
// recorded as those of tensor/ops.h are, with gradients with respect to all
// tensor arguments that are not said to be constants. tensor/estimators/ has
// one file a section.
#ifndef QUANTD_TENSOR_ESTIMATORS_H_
#define QUANTD_TENSOR_ESTIMATORS_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "kernels/execution_context.h"
#include "tensor/channel_groups.h"
#include "tensor/tensor.h"

namespace quantd::ops {

// --- Rounding --------------------------------------------------------------

// The nearest integer, ties to even; gradient that of the identity (Bengio et
// al., arXiv:1308.3432: straight-through).
Tensor RoundStraightThrough(const Tensor& x, ExecutionContext& ctx);

// The nearest binary16 number; gradient that of the identity. What is stored as
// F16 is used as such while it is trained.
Tensor RoundToF16StraightThrough(const Tensor& x, ExecutionContext& ctx);

// `y`, which was made of `x` by steps without a useful derivative. Its gradient
// dy goes to `y`, for what else that was made of, and as slopes * dy to `x`.
// All have one shape; slopes are constants.
Tensor StraightThrough(const Tensor& y, const Tensor& x, const Tensor& slopes,
                       ExecutionContext& ctx);

// min(max(x, low), high); the gradient is 0 outside of [low, high]: the clipped
// estimator when it follows or precedes a rounding.
Tensor Clip(const Tensor& x, float low, float high, ExecutionContext& ctx);

// min(max(x, 0), tops) by element, equal shapes; `tops` is a constant. The
// gradient is that of Clip().
Tensor ClipToTops(const Tensor& x, const Tensor& tops, ExecutionContext& ctx);

// h(v) = min(max(1.2 sigmoid(v) - 0.1, 0), 1): what AdaRound adds to the floor
// of a weight (Nagel et al., arXiv:2004.10568, equation 23).
Tensor RectifiedSigmoid(const Tensor& v, ExecutionContext& ctx);

// sum over elements of 1 - |2 h - 1|^beta, one number: AdaRound's regularizer,
// zero when every h is 0 or 1 (equation 24). REQUIRES: beta >= 1.
Tensor RoundingPenalty(const Tensor& h, float beta, ExecutionContext& ctx);

// scale (q - zero) with q = min(max(round(x / scale + zero), low), high), the
// scale and zero point of a weight's row and group; [rows, groups] both.
// Estimator of learned step sizes (Esser et al., LSQ, arXiv:1902.08153,
// equation 3; Bhalgat et al., LSQ+, arXiv:2004.09576, equations 5 and 6):
//   inside:   dx = dy,  dscale = dy (q - zero - x / scale),  dzero = 0
//   outside:  dx = 0,   dscale = dy (q - zero),              dzero = -dy scale
Tensor LsqQuantize(const Tensor& x, const Tensor& scales, const Tensor& zeros,
                   float low, float high, const ChannelGroups& groups,
                   ExecutionContext& ctx);

// x itself, its gradient times `factor`: LSQ's 1 / sqrt(weights * levels).
Tensor ScaleGradient(const Tensor& x, float factor, ExecutionContext& ctx);

// --- Codes -----------------------------------------------------------------

// x / scale + zero: a weight in units of codes. x [rows, cols], scales and
// zeros [rows, groups]; empty zeros are zero.
Tensor ToCodeUnits(const Tensor& x, const Tensor& scales, const Tensor& zeros,
                   const ChannelGroups& groups, ExecutionContext& ctx);

// scale (codes - zero), shapes as above.
Tensor FromCodeUnits(const Tensor& codes, const Tensor& scales,
                     const Tensor& zeros, const ChannelGroups& groups,
                     ExecutionContext& ctx);

// [rows, cols / group_size] means of the elements of x [rows, cols] of a row
// and group that count: `counted` [rows, cols] of 0 and 1 is a constant. 0
// where none does.
Tensor GroupMeans(const Tensor& x, const Tensor& counted,
                  const ChannelGroups& groups, ExecutionContext& ctx);

// --- Values ----------------------------------------------------------------

// Where the elements of a tensor come from in a table of values: element i is
// the sum of values[list[i]] over the lists, of which kNoValue adds nothing.
using ValueIndices = std::vector<std::vector<uint32_t>>;
inline constexpr uint32_t kNoValue = UINT32_MAX;

// The elements of `shape` taken from `values`. The indices are constants; the
// gradient of a value is the sum over its places. REQUIRES: a list has as many
// indices as `shape` has elements, all in range.
Tensor GatherValues(const Tensor& values,
                    std::shared_ptr<const ValueIndices> indices, Shape shape,
                    ExecutionContext& ctx);

// x with x[places[i]] = values[i]; places are constants, each once.
Tensor ReplaceValues(const Tensor& x, const Tensor& values,
                     std::shared_ptr<const std::vector<uint64_t>> places,
                     ExecutionContext& ctx);

// x * factors by column or by row; factors are constants.
Tensor ScaleColumns(const Tensor& x, const Tensor& factors,
                    ExecutionContext& ctx);
// The same by row; factors [rows] have a gradient.
Tensor ScaleRows(const Tensor& x, const Tensor& factors, ExecutionContext& ctx);

// exp(x).
Tensor Exp(const Tensor& x, ExecutionContext& ctx);

// a / b by element, equal shapes.
Tensor Divide(const Tensor& a, const Tensor& b, ExecutionContext& ctx);

// --- Powers ----------------------------------------------------------------
//
// Weights as integers of a power of them (Yvinec et al., NUPES,
// arXiv:2308.05600), codes from -top - 1 to top. `range` R of a row's group is
// what code `top` stands for and does not change with the exponent a:
//
//   u = sign(x) top (|x| / R)^a,    value(q) = sign(q) R (|q| / top)^(1/a)
//
// which is |x|^a / s and (|q| s)^(1/a) with s = R^a / top, so that s follows
// the exponent. What R is, is said by the value of code 1, R top^(-1/a).

// u. x [rows, cols] and `ones` [rows, groups], the values of code 1, are
// constants. Gradient of the exponent [1]: u ln(|x| / R), where |x| / R counts
// as 1e-8 at least. REQUIRES: `ones` are positive, top >= 1.
Tensor ToPowerUnits(const Tensor& x, const Tensor& ones, const Tensor& exponent,
                    float top, const ChannelGroups& groups,
                    ExecutionContext& ctx);

// scale values[q + top + 1] with q the nearest integer to u in the range of
// codes. Scales [rows, groups] and `values`, 2 (top + 1) of them, are constants
// as they are stored: the gradient is that of value(q), whose R is
// scale values[2 top + 1]:
//   da = dy y (-ln(|q| / top) / a^2), 0 at q = 0;
//   du = dy (R / (a top)) (max(|u|, 1/2) / top)^(1/a - 1), 0 where q is a code
//        only because it was clipped.
// The straight-through slope is 0 or without bound at u = 0, where most weights
// are: that it is taken no nearer to it than half a code is a choice of ours.
Tensor FromPowerUnits(const Tensor& u, const Tensor& scales,
                      std::shared_ptr<const std::vector<float>> values,
                      const Tensor& exponent, const ChannelGroups& groups,
                      ExecutionContext& ctx);

// --- Choice ----------------------------------------------------------------

// How the choice among entries is learned; e is the entry that was taken, d the
// gradient of it, C the entries of the table, h their mean gap.
enum class ChoiceRule {
  // Of the next entry above e and of the next below: d sign(C - e) h^2 /
  // (|C - e| + h); 0 of all others. An entry gains by the slope towards it and
  // the more the nearer it is (Yvinec et al., JLCM, arXiv:2309.17361). h in the
  // place of the papers' small constant, and its square, make one learning rate
  // do for tables of any size: choices of ours.
  kProximal,
  // The chain rule through a softmax: d p (C - sum p C). Favours entries far
  // out.
  kSoftmax,
};

// y[r, c] = table[t, k], t = table_of[r] and k the greatest of the logits of
// (r, c), the first of equals. logits [rows * cols, entries], table [tables,
// entries]. The gradient of a table's entry is the sum over its places.
// Entries may repeat and need not be in order: neighbours are those by value,
// of equals the first. A table of one value throughout has h = 1.
// REQUIRES: as many rows as `table_of` has elements, all in range; at most 256
// entries.
Tensor SelectEntries(const Tensor& logits, const Tensor& table,
                     std::shared_ptr<const std::vector<int32_t>> table_of,
                     int64_t cols, ChoiceRule rule, ExecutionContext& ctx);

// h of `count` >= 2 entries: (greatest - least) / (count - 1), 1 where that is
// no positive number.
float MeanGap(const float* entries, int64_t count);

// The first of the greatest of `count` logits; that of NaNs is 0.
int64_t FirstGreatest(const float* logits, int64_t count);

}  // namespace quantd::ops

#endif  // QUANTD_TENSOR_ESTIMATORS_H_
