#include "client/command.h"

namespace quantd {

std::vector<CommandGroup> CommandTable() {
  return {
      ModelCommands(),         DatasetCommands(),    MethodCommands(),
      MetricCommands(),        TaskCommands(),       QuantizeCommands(),
      EvaluateCommands(),      GenerateCommands(),   JobCommands(),
      ArtifactCommands(),      EvaluationCommands(), CompareCommands(),
      ContaminationCommands(), SweepCommands(),      ReportCommands(),
      VersionCommands(),       CompletionCommands(),
  };
}

}  // namespace quantd
