// What a reproducer has of the API that its case ran through.
#pragma once

#include <array>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tools/conformance/repro.h"

namespace nibble::conformance {

struct ReproLaunch {
  std::array<uint32_t, 3> workgroups;
  bool depends_on_step = false;
};

struct ReproApi {
  std::string_view program;  // name of the text that becomes repro.cpp: see repro/, pieces go where it says @PIECE@
  std::string_view build;    // one command
  std::string_view needs;    // what that command needs
  std::vector<std::pair<std::string, std::string>> files;  // the kernel: name and content
  std::string file_note;                                   // what the report says of them
  std::string dispatch_note;                               // what it says of the dispatch beside the grid
  std::vector<std::string> fields;  // per descriptor: what the program's table has beyond the view, "" or "256, "
  std::string constants;            // declarations for the program
};

ReproApi vulkan_repro(const ReproMaterial& material, const PreparedCase& prepared, const Variant& variant,
                      const ReproLaunch& launch);
ReproApi opencl_repro(const ReproMaterial& material, const PreparedCase& prepared, const Variant& variant);

// As a literal of C++.
std::string c_string(std::string_view text);

}  // namespace nibble::conformance
