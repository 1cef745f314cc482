// Attributions for people.
#ifndef QUANTD_CLIENT_ATTRIBUTION_TEXT_H_
#define QUANTD_CLIENT_ATTRIBUTION_TEXT_H_

#include "client/session.h"
#include "quantd/v1/evaluation.pb.h"

namespace quantd {

// What the whole adds, a row a unit in the order of the network, and the
// suggestion of bits in one column beside it.
void PrintAttribution(Session& session, const v1::AttributionReport& report);

}  // namespace quantd

#endif  // QUANTD_CLIENT_ATTRIBUTION_TEXT_H_
