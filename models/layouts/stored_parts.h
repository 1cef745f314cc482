// The parts that a layer is stored as, read back with every check that layouts
// share. A part is the tensor "<layer>.<part>"; errors name the part or the
// header's key and say what was expected (the caller names the layer).
//
// A layout may wrap another: its header then has the other's header under
// "base", and the base's tensors keep their names, so that no layout can occur
// twice in one layer (LoadBase(), CheckBase()).
#ifndef QUANTD_MODELS_LAYOUTS_STORED_PARTS_H_
#define QUANTD_MODELS_LAYOUTS_STORED_PARTS_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "models/compressed_linear.h"
#include "nlohmann/json_fwd.hpp"
#include "tensor/dtype.h"
#include "tensor/tensor.h"

namespace quantd {

// The bytes of a part after checking type and shape; not aligned.
// NotFound: no such tensor.
absl::StatusOr<absl::string_view> PartBytes(TensorFinder find,
                                            absl::string_view layer,
                                            absl::string_view part, DType dtype,
                                            const Shape& shape);

// An F16 part as floats. InvalidArgument when a value is not finite.
absl::StatusOr<std::vector<float>> F16Part(TensorFinder find,
                                           absl::string_view layer,
                                           absl::string_view part,
                                           const Shape& shape);

// Members of the header; InvalidArgument when absent or of another type.
absl::StatusOr<int64_t> HeaderInt(const nlohmann::json& header,
                                  const char* key);
absl::StatusOr<bool> HeaderBool(const nlohmann::json& header, const char* key);
absl::StatusOr<std::string> HeaderString(const nlohmann::json& header,
                                         const char* key);

// InvalidArgument unless `value`, named as `what`, is in low..high, and unless
// there are `expected` of `what`.
absl::Status CheckRange(absl::string_view what, int64_t value, int64_t low,
                        int64_t high);
absl::Status CheckCount(absl::string_view what, size_t count, int64_t expected);

// What may not be wrapped in `layout`: null, or a layer that has `layout` in
// it already.
absl::Status CheckBase(const CompressedLinear* base, absl::string_view layout);

// Whether every value is finite and exact in binary16: what is stored has to
// be what was optimised. InvalidArgument names the first that is not as
// `what`.
absl::Status CheckF16(absl::Span<const float> values, absl::string_view what);

// `values`, exact in binary16, as an F16 tensor.
TensorToWrite F16Tensor(std::string name, Shape shape,
                        absl::Span<const float> values);

// "<layer>.<part>", U8 [bytes.size()].
TensorToWrite BytesTensor(absl::string_view layer, absl::string_view part,
                          std::string bytes);

// What the indices of `cols` input channels are stored as: U16, or U32 where
// they do not fit.
DType ColumnType(int64_t cols);

}  // namespace quantd

#endif  // QUANTD_MODELS_LAYOUTS_STORED_PARTS_H_
