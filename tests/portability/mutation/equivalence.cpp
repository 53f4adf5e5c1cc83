#include "tests/portability/mutation/equivalence.h"

#include <spirv-tools/libspirv.hpp>
#include <spirv-tools/optimizer.hpp>

namespace nibble::mutation {
namespace {

constexpr spv_target_env kEnvironment = SPV_ENV_VULKAN_1_1;

void ignore(spv_message_level_t, const char*, const spv_position_t&, const char*) {}

}  // namespace

bool is_valid(const std::vector<uint32_t>& words) {
  spvtools::SpirvTools tools(kEnvironment);
  tools.SetMessageConsumer(ignore);
  return tools.Validate(words);
}

std::vector<uint32_t> canonical_form(const std::vector<uint32_t>& words) {
  spvtools::Optimizer optimizer(kEnvironment);
  optimizer.SetMessageConsumer(ignore);
  optimizer.RegisterPerformancePasses();
  optimizer.RegisterPass(spvtools::CreateSimplificationPass());
  optimizer.RegisterPass(spvtools::CreateRedundancyEliminationPass());
  optimizer.RegisterPass(spvtools::CreateAggressiveDCEPass());
  optimizer.RegisterPass(spvtools::CreateEliminateDeadConstantPass());
  optimizer.RegisterPass(spvtools::CreateCompactIdsPass());
  std::vector<uint32_t> result;
  spvtools::OptimizerOptions options;
  options.set_run_validator(false);
  if (!optimizer.Run(words.data(), words.size(), &result, options)) return words;
  return result;
}

}  // namespace nibble::mutation
