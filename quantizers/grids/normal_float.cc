#include "quantizers/grids/normal_float.h"

#include "absl/strings/str_cat.h"
#include "quantizers/grids/table.h"

namespace quantd {

std::unique_ptr<Grid> NewNormalFloatGrid(const v1::NormalFloatGrid& options) {
  TableGridOptions table;
  table.table = absl::StrCat("nf", options.bits());
  table.bits = static_cast<int>(options.bits());
  table.reach = 1.0;
  ReadSharedOptions(options, &table);
  return NewStandardTableGrid("normal_float", table);
}

}  // namespace quantd
