// Finding out in child processes which drivers of an API survive being loaded.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "tools/drivers/verdict.h"

namespace nibble::drivers {

// Throws kIo where no child process can be started.
Verdict interrogate(BackendKind api, const std::vector<std::string>& icds, std::chrono::milliseconds limit);

}  // namespace nibble::drivers
