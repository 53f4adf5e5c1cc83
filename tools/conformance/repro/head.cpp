// @TITLE@
//
// Build and run in the folder that this file lies in:
//   @BUILD@
// DEVICE is an index or a part of a device's name; without it the program takes the device that failed, or else the
// first. It prints PASS (exit code 0) or FAIL with the first wrong element (1); 2 means that it could not be tried.
#include <chrono>
#include <cmath>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <string>
#include <thread>
#include <vector>
