// What a driver's compiler says about a kernel (VK_KHR_pipeline_executable_properties): registers, spills,
// instructions. Nothing is run and no memory is taken, so drivers without their hardware will do (RADV's null device).
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "runtime/core/kernel_spec.h"
#include "runtime/vulkan/pipelines.h"

namespace nibble::vulkan {

// As the driver names it: "VGPRs", "Spilled VGPRs", "Inverse Throughput", …
struct CompilerStatistic {
  std::string name;
  double value = 0;
};

// One thread at a time.
class StatisticsCompiler {
 public:
  // The first device of the loader's drivers that tells statistics; throws kNotFound if there is none.
  StatisticsCompiler();

  const DeviceInfo& info() const { return context_->info(); }
  // With one slab per slab binding. Throws as PipelineLibrary::get() does.
  std::vector<CompilerStatistic> compile(const KernelSpec& kernel, const Variant& variant);

 private:
  std::shared_ptr<Context> context_;
  std::unique_ptr<PipelineLibrary> pipelines_;
};

}  // namespace nibble::vulkan
