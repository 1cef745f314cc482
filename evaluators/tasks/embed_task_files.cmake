# cmake -DOUTPUT=task_files.cc -DTASKS=a.yaml|b.yaml -P this
# Writes the task files as raw string literals.
string(REPLACE "|" ";" TASKS "${TASKS}")
file(WRITE ${OUTPUT} "// Generated from evaluators/task_files by embed_task_files.cmake.
#include \"evaluators/tasks/builtin_tasks.h\"

namespace quantd {
namespace {

constexpr BuiltinTask kTasks[] = {
")
foreach(path IN LISTS TASKS)
  get_filename_component(name ${path} NAME_WE)
  file(READ ${path} text)
  # [ and ; have a meaning in lists, but text is only ever one quoted argument.
  file(APPEND ${OUTPUT} "    {\"${name}\", R\"taskfile(${text})taskfile\"},\n")
endforeach()
file(APPEND ${OUTPUT} "};

}  // namespace

absl::Span<const BuiltinTask> BuiltinTasks() { return kTasks; }

}  // namespace quantd
")
