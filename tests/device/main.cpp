// main() of the device tests.
#include "tests/support/test_devices.h"

int main(int argc, char** argv) { return nibble::run_device_tests(argc, argv); }
