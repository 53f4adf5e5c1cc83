#include "tools/nibble/options.h"

#include <charconv>
#include <chrono>
#include <cstdlib>

#include "host/engine/session.h"
#include "host/text/json_text.h"
#include "runtime/base/error.h"
#include "tools/drivers/driver_check.h"
#include "tools/nibble/terminal.h"

namespace nibble {
namespace {

// Where compiled kernels go when --cache-dir is not given; empty (no cache) when the user has no home.
std::filesystem::path default_cache_directory() {
  const char* cache = std::getenv("XDG_CACHE_HOME");
  if (cache != nullptr && *cache == '/') return std::filesystem::path(cache) / "nibble";
  const char* home = std::getenv("HOME");
  if (home != nullptr && *home == '/') return std::filesystem::path(home) / ".cache" / "nibble";
  return {};
}

}  // namespace

void add_model_flags(CLI::App& command, ModelFlags& flags) {
  command
      .add_option("-m,--model", flags.directory,
                  "Directory of the checkpoint: config.json, *.safetensors with their index, tokenizer.json")
      ->required()
      ->type_name("DIR");
}

void add_device_flags(CLI::App& command, DeviceFlags& flags, bool with_name) {
  const std::string heading = "Device";
  DeviceOptions& options = flags.options;
  if (with_name) {
    command
        .add_option("-d,--device", flags.name,
                    "cpu, vulkan:N, opencl:N, part of a device's name (nvidia), vulkan@PCI-address, the start of a "
                    "UUID, or auto: a real GPU if there is one, otherwise cpu. `nibble devices` lists them")
        ->type_name("NAME")
        ->capture_default_str()
        ->group(heading);
  }
  command.add_option("--threads", options.threads, "Threads of the cpu device (default: one per processor)")
      ->type_name("N")
      ->check(CLI::Range(1u, 1024u))
      ->group(heading);
  command
      .add_option("--icd", options.icds,
                  "Manifest of a Vulkan driver that is not installed system-wide, for example "
                  "/usr/lib/chromium/vk_swiftshader_icd.json; may be repeated")
      ->type_name("FILE")
      ->allow_extra_args(false)
      ->group(heading);
  command
      .add_option("--limit", options.limits,
                  "Lower a limit of the device: max_range, max_allocation or memory_bytes, for example "
                  "max_range=1MiB; may be repeated")
      ->type_name("NAME=VALUE")
      ->allow_extra_args(false)
      ->group(heading);
  command
      .add_option("--disable", flags.disabled,
                  "Do without a capability, for example subgroups,int8_dot; tells a driver's bug from ours")
      ->type_name("CAP[,CAP]")
      ->delimiter(',')
      ->allow_extra_args(false)
      ->group(heading);
  command
      .add_option("--subgroup-size", options.subgroup_size,
                  "Vulkan: invocations of a subgroup, of kernels that use subgroups; default: what the driver takes")
      ->type_name("N")
      ->group(heading);
  command
      .add_flag("--as-gpu", options.as_gpu,
                "Run the kernels meant for GPUs on a software driver as well; slow, for testing them")
      ->group(heading);
  command
      .add_option("--cache-dir", options.cache_dir,
                  "Where compiled kernels are kept (default: nibble/ in the user's cache directory)")
      ->type_name("DIR")
      ->group(heading);
  command
      .add_option("--driver-time", flags.driver_seconds,
                  "Seconds that drivers may take to list their devices, which they are first asked for in a process of "
                  "their own; those that take longer are left out")
      ->type_name("SECONDS")
      ->check(CLI::Range(0.1, 3600.0))
      ->capture_default_str()
      ->group(heading);
  command.add_flag("--no-cache", flags.no_cache, "Compile kernels anew and keep nothing")->group(heading);
}

DeviceOptions device_options(const DeviceFlags& flags) {
  DeviceOptions options = flags.options;
  options.between_kernels = throw_if_interrupted;
  for (const std::string& name : flags.disabled) options.disabled.push_back(capability_from_name(name));
  if (flags.no_cache) {
    options.cache_dir.clear();
  } else if (options.cache_dir.empty()) {
    options.cache_dir = default_cache_directory();
  }
  options.check_drivers =
      drivers::make_driver_check({.limit = std::chrono::milliseconds(static_cast<int64_t>(flags.driver_seconds * 1000)),
                                  .cache_dir = options.cache_dir,
                                  .asks_bad_again = flags.asks_bad_drivers_again});
  return options;
}

void add_session_flags(CLI::App& command, SessionFlags& flags) {
  const std::string heading = "Model";
  command
      .add_option("--ctx", flags.context,
                  "Positions to reserve memory for, prompt and answer together (default: 4096, or the model's maximum "
                  "if that is less)")
      ->type_name("N")
      ->check(CLI::Range(1u, UINT32_MAX))
      ->group(heading);
  command
      .add_option("--numerics", flags.numerics,
                  "reference: every rounding the model was trained with; fast: skips those that cost time and change "
                  "little; plain: no activation is rounded (for checking)")
      ->type_name("MODE")
      ->check(CLI::IsMember({"reference", "fast", "plain"}))
      ->capture_default_str()
      ->group(heading);
  command
      .add_option("--kv-rope", flags.kv_rope,
                  "Type of the rotary part of KV cache entries; f32 is for comparisons with float32 programs")
      ->type_name("TYPE")
      ->check(CLI::IsMember({"bf16", "f32"}))
      ->capture_default_str()
      ->group(heading);
  command
      .add_option("--chunk", flags.chunk,
                  fmt::format("Tokens per prefill step: more is faster and needs more memory (default: {})",
                              SessionOptions().chunk))
      ->type_name("N")
      ->check(CLI::Range(1u, UINT32_MAX))
      ->group(heading);
  command
      .add_option("--kv-device-memory", flags.kv_device_memory,
                  "Most that the KV cache takes of the device, for example 2GiB; the rest is read over the bus, more "
                  "slowly (default: no limit)")
      ->type_name("BYTES")
      ->group(heading);
  command
      .add_option(
          "--kv-host-memory", flags.kv_host_memory,
          "Most that it takes of the host's memory (default: all that the device does not take, or nothing with "
          "--kv-dir)")
      ->type_name("BYTES")
      ->group(heading);
  command
      .add_option("--kv-dir", flags.kv_directory,
                  "Where unnamed files take what is left of it; they vanish when the program ends")
      ->type_name("DIR")
      ->check(CLI::ExistingDirectory)
      ->group(heading);
}

void add_sampler_flags(CLI::App& command, SamplerFlags& flags) {
  SamplerOptions& options = flags.options;
  const std::string heading = "Sampling";
  command.add_option("--temp", options.temperature, "Temperature; 0 always takes the likeliest token")
      ->type_name("T")
      ->check(number_from_to(0, 100))
      ->capture_default_str()
      ->group(heading);
  command.add_option("--top-p", options.top_p, "Smallest set of tokens with at least this probability")
      ->type_name("P")
      ->check(number_from_to(0, 1))
      ->capture_default_str()
      ->group(heading);
  command.add_option("--top-k", options.top_k, "Only the K likeliest tokens; 0: no limit")
      ->type_name("K")
      ->capture_default_str()
      ->group(heading);
  command.add_option("--min-p", options.min_p, "Only tokens at least this fraction as likely as the likeliest")
      ->type_name("M")
      ->check(number_from_to(0, 1))
      ->capture_default_str()
      ->group(heading);
  command
      .add_option("--seed", options.seed,
                  "The same seed gives the same text on the same device; a session that was loaded draws on where it "
                  "stopped, unless another seed is given")
      ->type_name("S")
      ->check(whole_number_of_64_bits())
      ->each([&flags](const std::string&) { flags.seed_given = true; })
      ->capture_default_str()
      ->group(heading);
}

void add_effort_flag(CLI::App& command, std::string& effort, CLI::Option& thinking) {
  command
      .add_option("--effort", effort,
                  fmt::format("How long to reason, by the checkpoint's own names: high or max, or low, high or max "
                              "from 0731 on; the first of them, the default, adds nothing (with {})",
                              thinking.get_name()))
      ->type_name("EFFORT")
      ->needs(&thinking);
}

CLI::Validator number_from_to(double low, double high) {
  const auto check = [low, high](const std::string& text) -> std::string {
    double value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    const bool is_number = error == std::errc() && end == text.data() + text.size();
    if (is_number && value >= low && value <= high) return {};
    return fmt::format("'{}' is not a number from {} to {}", printable(text), low, high);
  };
  return {check, ""};
}

CLI::Validator whole_number_of_64_bits() {
  const auto check = [](const std::string& text) -> std::string {
    uint64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error == std::errc() && end == text.data() + text.size()) return {};
    return fmt::format("'{}' is not a whole number from 0 to {}", printable(text), UINT64_MAX);
  };
  return {check, ""};
}

void add_json_flag(CLI::App& command, bool& json) { command.add_flag("--json", json, "Print JSON for programs"); }

}  // namespace nibble
