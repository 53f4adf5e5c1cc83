// Runs the conformance rows of every kernel variant on mutants of its SPIR-V, and says which ones no row notices.
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "runtime/base/error.h"
#include "tests/portability/mutation/campaign.h"

namespace {

constexpr int kSkipped = 77;  // to ctest: the driver is not installed

int run(const nibble::mutation::CampaignOptions& options, const std::string& json, double least_percent) {
  using namespace nibble::mutation;
  const std::vector<Mutant> mutants = run_campaign(options);
  if (!json.empty()) std::ofstream(json) << to_json(mutants).dump(1) << '\n';
  fmt::print("{}", to_text(mutants));
  if (killed_percent(mutants) >= least_percent) return 0;
  fmt::print("killed are less than {} %\n", least_percent);
  return 1;
}

}  // namespace

int main(int argc, char** argv) {
  nibble::mutation::CampaignOptions options;
  std::string json;
  std::string layers = NIBBLE_FAULT_LAYERS;
  double least_percent = 95;
  options.subjects.layer = NIBBLE_FAULT_LAYER;
  options.subjects.device = "llvmpipe";
  options.explained = NIBBLE_EXPLAINED_MUTANTS;
  CLI::App app("Runs conformance rows on mutants of the kernels' SPIR-V");
  app.add_option("--device", options.subjects.device, "A part of the Vulkan device's name")->capture_default_str();
  app.add_option("--kernel", options.subjects.kernel, "Only kernel__variants that match this shell pattern");
  app.add_option("--per-variant", options.per_variant, "Mutants of each variant")->capture_default_str();
  app.add_option("--apart", options.apart_per_variant, "Mutants of decorations and memory semantics of each variant")
      ->capture_default_str();
  app.add_option("--total", options.total, "At most so many mutants, taken evenly; 0: no limit")->capture_default_str();
  app.add_option("--containing", options.containing, "Only mutations whose name contains this text");
  app.add_option("--seed", options.seed, "Of the sample")->capture_default_str();
  app.add_option("--jobs", options.jobs, "Processes at a time")->capture_default_str();
  app.add_flag("--all-cases", options.try_all, "Try survivors of the quick cases on all cases");
  app.add_option("--at-least", least_percent, "Percent of the mutants not shown equivalent that must be killed")
      ->capture_default_str();
  app.add_option("--explained", options.explained, "Why mutants must survive; \"\" for none")->capture_default_str();
  app.add_option("--save", options.save_directory, "Write the modules of survivors, and what they were, here");
  app.add_option("--json", json, "Write every mutant to this file");
  CLI11_PARSE(app, argc, argv);
  const auto cache = std::filesystem::temp_directory_path() / fmt::format("nibble-mutants-{}", ::getpid());
  options.subjects.cache_dir = cache;
  // For the loader and Mesa, before any driver is loaded: a disk cache would fill with mutants.
  ::setenv("VK_LAYER_PATH", layers.c_str(), 1);
  ::setenv("VK_INSTANCE_LAYERS", "VK_LAYER_NIBBLE_fault", 1);
  ::setenv("MESA_SHADER_CACHE_DISABLE", "true", 1);
  int code = 2;
  try {
    code = run(options, json, least_percent);
  } catch (const nibble::Error& error) {
    fmt::print(stderr, "spirv_mutants: {}\n", error.what());
    if (error.code() == nibble::ErrorCode::kNotFound) code = kSkipped;
  }
  std::filesystem::remove_all(cache);
  return code;
}
