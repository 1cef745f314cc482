// What a state space layer does along a sequence.
#include <utility>
#include <vector>

#include "tensor/gradient_tape.h"
#include "tensor/ops.h"
#include "tensor/ops/operands.h"

namespace quantd::ops {

Tensor CausalConv(const Tensor& x, const Tensor& weight, const Tensor& bias,
                  const SequenceBatch& batch, absl::Span<Tensor> history,
                  ExecutionContext& ctx) {
  Tensor y = Tensor::Uninitialized(x.shape());
  for (size_t i = 0; i < batch.sequences().size(); ++i) {
    const SequenceBatch::Sequence& sequence = batch.sequences()[i];
    CausalConvArgs args;
    args.tokens = sequence.tokens;
    args.channels = x.cols();
    args.width = weight.cols();
    args.x = x.row(sequence.begin);
    args.weight = weight.data();
    args.bias = DataOrNull(bias);
    args.history = history[i].data();
    args.y = y.row(sequence.begin);
    ctx.device().CausalConv(args);
  }
  GradientTape* const tape = GradientTape::Of({&x, &weight, &bias});
  if (tape == nullptr) return y;
  return tape->Record(
      y, [tape, to_x = tape->IdOf(x), to_weight = tape->IdOf(weight),
          to_bias = tape->IdOf(bias), x = x.Untracked(),
          weight = weight.Untracked(),
          sequences = batch.sequences()](const Tensor& dy) {
        Tensor dx = Tensor::Uninitialized(x.shape());
        std::vector<double> dweight(static_cast<size_t>(weight.size()), 0.0);
        std::vector<double> dbias(static_cast<size_t>(x.cols()), 0.0);
        for (const SequenceBatch::Sequence& sequence : sequences) {
          CausalConvBackwardArgs args;
          args.tokens = sequence.tokens;
          args.channels = x.cols();
          args.width = weight.cols();
          args.x = x.row(sequence.begin);
          args.weight = weight.data();
          args.dy = dy.row(sequence.begin);
          args.dx = dx.row(sequence.begin);
          args.dweight = dweight.data();
          args.dbias = dbias.data();
          tape->ctx().device().CausalConvBackward(args);
        }
        tape->Add(to_x, std::move(dx));
        tape->Add(to_weight, ToTensor(dweight, weight.shape()));
        tape->Add(to_bias, ToTensor(dbias, {x.cols()}));
      });
}

Tensor SelectiveScan(const Tensor& u, const Tensor& dt, const Tensor& a,
                     const Tensor& b, const Tensor& c, const Tensor& skip,
                     const SequenceBatch& batch, absl::Span<Tensor> state,
                     ExecutionContext& ctx) {
  Tensor y = Tensor::Uninitialized(u.shape());
  for (size_t i = 0; i < batch.sequences().size(); ++i) {
    const SequenceBatch::Sequence& sequence = batch.sequences()[i];
    SelectiveScanArgs args;
    args.tokens = sequence.tokens;
    args.channels = u.cols();
    args.states = a.cols();
    args.u = u.row(sequence.begin);
    args.dt = dt.row(sequence.begin);
    args.a = a.data();
    args.b = b.row(sequence.begin);
    args.c = c.row(sequence.begin);
    args.skip = skip.data();
    args.h = state[i].data();
    args.y = y.row(sequence.begin);
    ctx.device().SelectiveScan(args);
  }
  GradientTape* const tape = GradientTape::Of({&u, &dt, &a, &b, &c, &skip});
  if (tape == nullptr) return y;
  const std::vector<Id> ids = {tape->IdOf(u), tape->IdOf(dt), tape->IdOf(a),
                               tape->IdOf(b), tape->IdOf(c),  tape->IdOf(skip)};
  return tape->Record(
      y, [tape, ids, u = u.Untracked(), dt = dt.Untracked(), a = a.Untracked(),
          b = b.Untracked(), c = c.Untracked(), skip = skip.Untracked(),
          sequences = batch.sequences()](const Tensor& dy) {
        Tensor du = Tensor::Uninitialized(u.shape());
        Tensor ddt = Tensor::Uninitialized(dt.shape());
        Tensor db = Tensor::Uninitialized(b.shape());
        Tensor dc = Tensor::Uninitialized(c.shape());
        std::vector<double> da(static_cast<size_t>(a.size()), 0.0);
        std::vector<double> dskip(static_cast<size_t>(skip.size()), 0.0);
        for (const SequenceBatch::Sequence& sequence : sequences) {
          SelectiveScanBackwardArgs args;
          args.tokens = sequence.tokens;
          args.channels = u.cols();
          args.states = a.cols();
          args.u = u.row(sequence.begin);
          args.dt = dt.row(sequence.begin);
          args.a = a.data();
          args.b = b.row(sequence.begin);
          args.c = c.row(sequence.begin);
          args.skip = skip.data();
          args.dy = dy.row(sequence.begin);
          args.du = du.row(sequence.begin);
          args.ddt = ddt.row(sequence.begin);
          args.db = db.row(sequence.begin);
          args.dc = dc.row(sequence.begin);
          args.da = da.data();
          args.dskip = dskip.data();
          tape->ctx().device().SelectiveScanBackward(args);
        }
        tape->Add(ids[0], std::move(du));
        tape->Add(ids[1], std::move(ddt));
        tape->Add(ids[2], ToTensor(da, a.shape()));
        tape->Add(ids[3], std::move(db));
        tape->Add(ids[4], std::move(dc));
        tape->Add(ids[5], ToTensor(dskip, {u.cols()}));
      });
}

}  // namespace quantd::ops
