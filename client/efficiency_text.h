// Measured speeds for people.
#ifndef QUANTD_CLIENT_EFFICIENCY_TEXT_H_
#define QUANTD_CLIENT_EFFICIENCY_TEXT_H_

#include "client/session.h"
#include "quantd/v1/evaluation.pb.h"

namespace quantd {

// A table with a column for the target and, where there is one, for the
// baseline and their ratio.
void PrintEfficiency(Session& session, const v1::EfficiencyReport& report);

}  // namespace quantd

#endif  // QUANTD_CLIENT_EFFICIENCY_TEXT_H_
