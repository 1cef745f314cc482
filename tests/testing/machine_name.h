// What a page of measurements says of the machine that made them.
#ifndef QUANTD_TESTS_TESTING_MACHINE_NAME_H_
#define QUANTD_TESTS_TESTING_MACHINE_NAME_H_

#include <string>

namespace quantd::test {

// "AMD EPYC, 2 threads".
std::string MachineName();

}  // namespace quantd::test

#endif  // QUANTD_TESTS_TESTING_MACHINE_NAME_H_
