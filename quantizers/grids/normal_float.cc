#include "quantizers/grids/normal_float.h"

#include "absl/strings/str_cat.h"
#include "quantizers/grids/table.h"

namespace quantd {

std::unique_ptr<Grid> NewNormalFloatGrid(const v1::NormalFloatGrid& options) {
  TableGridOptions table;
  table.table = absl::StrCat("nf", options.bits());
  table.bits = static_cast<int>(options.bits());
  table.reach = 1.0;
  table.group_size = options.group_size();
  table.shrink_search = options.shrink_search();
  table.shrink_norm = options.shrink_norm();
  table.shrink_steps = static_cast<int>(options.shrink_steps());
  return NewStandardTableGrid("normal_float", table);
}

}  // namespace quantd
