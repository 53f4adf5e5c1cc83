#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "tools/drivers/driver_check.h"
#include "tools/nibble/command.h"
#include "tools/nibble/program_end.h"

namespace nibble {

void add_driver_worker(CLI::App& program) {
  struct Flags {
    std::string api;
    std::vector<std::string> icds;
  };
  CLI::App* command = program.add_subcommand("driver-worker", "")->group("");
  const auto flags = std::make_shared<Flags>();
  command->add_option("api", flags->api)->required()->check(CLI::IsMember({"vulkan", "opencl"}));
  command->add_option("--icd", flags->icds)
      ->allow_extra_args(false)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  command->callback([flags] {
    leave_program_end_alone();
    std::exit(drivers::answer(flags->api == "vulkan" ? BackendKind::kVulkan : BackendKind::kOpenCl, flags->icds));
  });
}

}  // namespace nibble
