// What an answer about drivers depends on, as text: when it changes, drivers are asked again.
#pragma once

#include <string>
#include <vector>

#include "runtime/core/device_info.h"

namespace nibble::drivers {

// Which question it is: the API, the drivers' files and the variables of the environment that loaders and drivers read.
std::string question_of(BackendKind api, const std::vector<std::string>& icds);

// Which libraries would answer: size, time and inode of every file and library, of this program and of the dynamic
// linker's cache; the devices that the system shows, and its boot.
std::string identity_of(BackendKind api, const std::vector<std::string>& icds);

}  // namespace nibble::drivers
