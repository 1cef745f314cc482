// What a job will need, and what it needed then, for people.
#ifndef QUANTD_CLIENT_FORECAST_TEXT_H_
#define QUANTD_CLIENT_FORECAST_TEXT_H_

#include <string>
#include <utility>
#include <vector>

#include "quantd/v1/job.pb.h"

namespace quantd {

// Rows of field and value; none when the job has no forecast. With a result,
// the measured peak stands beside the forecast one.
std::vector<std::pair<std::string, std::string>> ForecastRows(
    const v1::Job& job);

}  // namespace quantd

#endif  // QUANTD_CLIENT_FORECAST_TEXT_H_
