// The texts of quantizers/recipes/*.textproto, compiled into the program.
#ifndef QUANTD_QUANTIZERS_RECIPE_FILES_H_
#define QUANTD_QUANTIZERS_RECIPE_FILES_H_

#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace quantd {

struct RecipeFile {
  absl::string_view name;  // "gptq.textproto"
  absl::string_view text;
};

// One per file, in the order of CMakeLists.txt.
absl::Span<const RecipeFile> RecipeFiles();

}  // namespace quantd

#endif  // QUANTD_QUANTIZERS_RECIPE_FILES_H_
