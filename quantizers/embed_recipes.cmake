# cmake -DOUTPUT=recipe_files.cc -DRECIPES=a.textproto|b.textproto -P this
# Writes the recipe texts as raw string literals.
string(REPLACE "|" ";" RECIPES "${RECIPES}")
set(rows "")
foreach(path IN LISTS RECIPES)
  get_filename_component(name ${path} NAME)
  file(READ ${path} text)
  string(APPEND rows "    {\"${name}\", R\"textproto(${text})textproto\"},\n")
endforeach()
file(WRITE ${OUTPUT} "// Generated from quantizers/recipes by embed_recipes.cmake.
#include \"quantizers/recipe_files.h\"

namespace quantd {
namespace {

constexpr RecipeFile kFiles[] = {
${rows}};

}  // namespace

absl::Span<const RecipeFile> RecipeFiles() { return kFiles; }

}  // namespace quantd
")
