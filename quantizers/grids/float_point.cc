#include "quantizers/grids/float_point.h"

#include <algorithm>
#include <vector>

#include "models/layouts/value_tables.h"
#include "quantizers/grids/table.h"

namespace quantd {

std::unique_ptr<Grid> NewFloatPointGrid(const v1::FloatPointGrid& options) {
  const FloatFormat format = {static_cast<int>(options.exponent_bits()),
                              static_cast<int>(options.mantissa_bits())};
  TableGridOptions table;
  table.table = FloatFormatName(format);
  table.bits = format.bits();
  // A format that does not exist has no values; Validate() says so.
  const std::vector<float> values = StandardValues(table.table);
  if (!values.empty()) {
    table.reach = *std::max_element(values.begin(), values.end());
  }
  if (format.exponent_bits == 3 && format.mantissa_bits == 2) {
    table.layout = TableLayout::kFp6Split;
  }
  ReadSharedOptions(options, &table);
  return NewStandardTableGrid("float_point", table);
}

}  // namespace quantd
