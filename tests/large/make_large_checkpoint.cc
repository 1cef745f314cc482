// make_large_checkpoint DIRECTORY: writes the checkpoint of
// large_checkpoint.h, for trying things by hand. Exit code 0, 1 when it cannot
// be written, 2 on wrong usage.
#include <cstdio>

#include "tests/large/large_checkpoint.h"

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: make_large_checkpoint DIRECTORY\n");
    return 2;
  }
  const absl::Status status = quantd::test::WriteLargeCheckpoint(argv[1]);
  if (status.ok()) return 0;
  std::fprintf(stderr, "make_large_checkpoint: %s\n",
               status.ToString().c_str());
  return 1;
}
