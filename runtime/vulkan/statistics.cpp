#include "runtime/vulkan/statistics.h"

#include <algorithm>

#include "runtime/base/error.h"

namespace nibble::vulkan {
namespace {

std::shared_ptr<Context> open_context() {
  const auto instance = open_instance({}, /*validation=*/false);
  for (VkPhysicalDevice physical : instance->physical_devices()) {
    const DeviceFacts facts = read_device_facts(physical);
    if (!facts.has_extension(VK_KHR_PIPELINE_EXECUTABLE_PROPERTIES_EXTENSION_NAME)) continue;
    DevicePlan plan = plan_device(facts, {}, 0);
    plan.extensions.emplace_back(VK_KHR_PIPELINE_EXECUTABLE_PROPERTIES_EXTENSION_NAME);
    plan.keep_statistics = true;
    return std::make_shared<Context>(instance, physical, std::move(plan));
  }
  fail(ErrorCode::kNotFound, "no Vulkan device tells statistics of its compiler ({})",
       VK_KHR_PIPELINE_EXECUTABLE_PROPERTIES_EXTENSION_NAME);
}

double value_of(const VkPipelineExecutableStatisticKHR& statistic) {
  switch (statistic.format) {
    case VK_PIPELINE_EXECUTABLE_STATISTIC_FORMAT_BOOL32_KHR:
      return statistic.value.b32 != VK_FALSE ? 1 : 0;
    case VK_PIPELINE_EXECUTABLE_STATISTIC_FORMAT_INT64_KHR:
      return static_cast<double>(statistic.value.i64);
    case VK_PIPELINE_EXECUTABLE_STATISTIC_FORMAT_UINT64_KHR:
      return static_cast<double>(statistic.value.u64);
    default:
      return statistic.value.f64;
  }
}

}  // namespace

StatisticsCompiler::StatisticsCompiler()
    : context_(open_context()),
      pipelines_(std::make_unique<PipelineLibrary>(context_, /*cache_dir=*/std::filesystem::path())) {}

std::vector<CompilerStatistic> StatisticsCompiler::compile(const KernelSpec& kernel, const Variant& variant) {
  const auto slab_bindings = std::count_if(kernel.bindings.begin(), kernel.bindings.end(),
                                           [](const auto& b) { return b.kind == BindingKind::kSlabs; });
  const std::vector<SlabShape> slabs(static_cast<size_t>(slab_bindings));
  const std::shared_ptr<const Pipeline> pipeline = pipelines_->get({{&kernel, &variant, slabs}}, {}).front();
  // A compute pipeline is one executable.
  const VkPipelineExecutableInfoKHR info = {.sType = VK_STRUCTURE_TYPE_PIPELINE_EXECUTABLE_INFO_KHR,
                                            .pNext = nullptr,
                                            .pipeline = pipeline->pipeline.get(),
                                            .executableIndex = 0};
  const auto query = context_->api().vkGetPipelineExecutableStatisticsKHR;
  uint32_t count = 0;
  context_->check(query(context_->device(), &info, &count, nullptr), "vkGetPipelineExecutableStatisticsKHR");
  std::vector<VkPipelineExecutableStatisticKHR> found(count,
                                                      {.sType = VK_STRUCTURE_TYPE_PIPELINE_EXECUTABLE_STATISTIC_KHR});
  context_->check(query(context_->device(), &info, &count, found.data()), "vkGetPipelineExecutableStatisticsKHR");
  std::vector<CompilerStatistic> statistics;
  for (const auto& statistic : found) statistics.push_back({.name = statistic.name, .value = value_of(statistic)});
  return statistics;
}

}  // namespace nibble::vulkan
