// The flags that several subcommands share. Each group is a struct with its defaults and a function that adds its
// flags to a subcommand; the struct must outlive the parse.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include "host/engine/sampler.h"
#include "runtime/device/open_device.h"

namespace nibble {

// -m DIR
struct ModelFlags {
  std::filesystem::path directory;
};

// -d NAME and how drivers are found, limited and cached.
struct DeviceFlags {
  std::string name = "auto";
  DeviceOptions options;
  std::vector<std::string> disabled;  // as typed; device_options() translates
  bool no_cache = false;
  double driver_seconds = 20;           // for drivers to answer
  bool asks_bad_drivers_again = false;  // set by commands about drivers themselves
};

// How a model is run on that device.
struct SessionFlags {
  uint32_t context = 0;  // positions to reserve; 0: 4096, or the model's maximum if that is less
  std::string numerics = "reference";
  std::string kv_rope = "bf16";
  uint32_t chunk = 0;            // tokens per prefill step; 0: the default
  std::string kv_device_memory;  // as typed; empty: no limit
  std::string kv_host_memory;    // empty: what the device does not take, or nothing where there is a directory
  std::string kv_directory;
};

// How tokens are drawn.
struct SamplerFlags {
  SamplerOptions options;
  bool seed_given = false;  // a seed that nobody gave is no reason to leave a saved generator
};

void add_model_flags(CLI::App& command, ModelFlags& flags);
// `with_name` = false leaves -d out, for commands about all devices.
void add_device_flags(CLI::App& command, DeviceFlags& flags, bool with_name = true);
// What list_devices and open_device take. Resolves the default cache directory from the environment.
DeviceOptions device_options(const DeviceFlags& flags);
void add_session_flags(CLI::App& command, SessionFlags& flags);
void add_sampler_flags(CLI::App& command, SamplerFlags& flags);
// --effort, which only has a meaning with `thinking`. host/text/chat_effort.h tells what it says to the model.
void add_effort_flag(CLI::App& command, std::string& effort, CLI::Option& thinking);
// Checks of values that CLI11's own let through: NaN compares as inside any range, and 64 bits wrap around.
CLI::Validator number_from_to(double low, double high);
CLI::Validator whole_number_of_64_bits();
// The switch alone: what --json prints is each command's business.
void add_json_flag(CLI::App& command, bool& json);

}  // namespace nibble
