// What layouts with a code per weight have in common when they are tuned:
// parameters that follow gradients, and codes that can be chosen anew.
#ifndef QUANTD_MODELS_LAYOUTS_SCALAR_CODES_H_
#define QUANTD_MODELS_LAYOUTS_SCALAR_CODES_H_

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "models/code_choice.h"
#include "models/tunable_linear.h"

namespace quantd {

// `weights` is the layout's struct, its codes [rows, cols] in `codes`.
//   store(weights, trained)      the layer with what was trained
//   values_of(weights, trained)  ScalarCodes::values
template <typename Weights, typename Store, typename ValuesOf>
std::unique_ptr<TunableLinear> NewScalarTunable(StoredParameters parameters,
                                                Weights weights, Store store,
                                                ValuesOf values_of) {
  const auto shared = std::make_shared<const Weights>(std::move(weights));
  return NewTunable(
      std::move(parameters),
      [shared, store](const StoredParameters& trained) {
        return store(*shared, trained);
      },
      [shared, store, values_of](const StoredParameters& trained) {
        ScalarCodes codes = ScalarCodesOf(trained, shared->codes);
        codes.values = values_of(*shared, trained);
        codes.finish = [shared, store,
                        trained](const std::vector<uint8_t>& chosen) {
          Weights result = *shared;
          result.codes = chosen;
          return store(std::move(result), trained);
        };
        return NewScalarCodeChoice(std::move(codes));
      });
}

}  // namespace quantd

#endif  // QUANTD_MODELS_LAYOUTS_SCALAR_CODES_H_
