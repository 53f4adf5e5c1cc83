// nibble devices: what there is to run on, and which of it `auto` takes.
#include <memory>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "runtime/core/kernel_table.h"
#include "runtime/core/variant.h"
#include "tools/drivers/driver_check.h"
#include "tools/nibble/command.h"
#include "tools/nibble/options.h"
#include "tools/nibble/program_end.h"
#include "tools/nibble/terminal.h"

namespace nibble {
namespace {

struct Flags {
  DeviceFlags device;
  bool json = false;
  bool kernels = false;
};

std::vector<std::string> capability_names(const CapabilitySet& set) {
  std::vector<std::string> names;
  for (uint32_t i = 0; i < static_cast<uint32_t>(Capability::kCount); ++i) {
    const auto capability = static_cast<Capability>(i);
    if (set.has(capability)) names.emplace_back(name_of(capability));
  }
  return names;
}

std::vector<std::string> chosen_variants(const DeviceInfo& info) {
  std::vector<std::string> names;
  for (const KernelSpec* kernel : kernel_table())
    names.push_back(qualified_name(*kernel, choose_variant(*kernel, info, 1)));
  return names;
}

nlohmann::json to_json(const FoundDevice& found, bool is_auto) {
  const DeviceInfo& info = found.info;
  const DeviceLimits& limits = info.limits;
  nlohmann::json json = {
      {"id", info.id},
      {"name", info.name},
      {"backend", name_of(info.backend)},
      {"type", name_of(info.type)},
      {"driver", info.driver},
      {"driver_version", info.driver_version},
      {"api_version", info.api_version},
      {"uuid", info.uuid},
      {"pci_address", info.pci_address},
      {"subgroup_size", info.subgroup_size},
      {"compute_units", info.compute_units},
      {"features", capability_names(info.capabilities)},
      {"notes", info.notes},
      {"auto", is_auto},
      {"not_auto_because", found.not_auto},
      {"limits",
       {{"memory_bytes", limits.memory_bytes},
        {"max_range", limits.max_range},
        {"max_allocation", limits.max_allocation},
        {"max_storage_bindings", limits.max_storage_bindings},
        {"offset_alignment", limits.offset_alignment},
        {"max_params_bytes", limits.max_params_bytes},
        {"max_workgroup_size", limits.max_workgroup_size},
        {"max_workgroup_memory", limits.max_workgroup_memory},
        {"max_workgroup_count", limits.max_workgroup_count}}},
  };
  if (info.type != DeviceType::kNull) json["variants"] = chosen_variants(info);
  return json;
}

std::string to_text(const FoundDevice& found, bool is_auto, bool with_kernels) {
  const DeviceInfo& info = found.info;
  const DeviceLimits& limits = info.limits;
  std::string text = fmt::format("{}  {}\n", info.id, info.name);
  const auto row = [&text](std::string_view key, const std::string& value) {
    if (!value.empty()) text += fmt::format("  {:<9} {}\n", key, value);
  };
  const std::string api = info.api_version.empty() ? "" : info.api_version + ", ";
  row("driver", fmt::format("{} {} ({}{})", info.driver, info.driver_version, api, name_of(info.type)));
  row("memory", format_bytes(limits.memory_bytes));
  row("limits",
      fmt::format("range {}, allocation {}, {} storage bindings, offsets by {} B, workgroup {} x {}",
                  format_bytes(limits.max_range), format_bytes(limits.max_allocation), limits.max_storage_bindings,
                  limits.offset_alignment, limits.max_workgroup_size, format_bytes(limits.max_workgroup_memory)));
  const std::string subgroup = info.subgroup_size == 0 ? "" : fmt::format(" (subgroup size {})", info.subgroup_size);
  row("features", fmt::format("{}{}", fmt::join(capability_names(info.capabilities), ", "), subgroup));
  row("uuid", info.uuid);
  row("pci", info.pci_address);
  for (const std::string& note : info.notes) row("note", note);
  if (with_kernels && info.type != DeviceType::kNull) {
    row("kernels", fmt::format("{}", fmt::join(chosen_variants(info), " ")));
  }
  if (is_auto) {
    row("auto", "yes: -d auto takes this one");
  } else {
    row("auto", "no: " + (found.not_auto.empty() ? "another one comes first" : found.not_auto));
  }
  return text;
}

void run(const Flags& flags) {
  std::vector<std::string> problems;
  const std::vector<std::string> defects = drivers::defective_files(flags.device.options.icds);
  const std::vector<FoundDevice> devices = list_devices(device_options(flags.device), &problems);
  problems.insert(problems.end(), defects.begin(), defects.end());
  const size_t chosen = select_device("auto", devices);
  if (flags.json) {
    nlohmann::json list = nlohmann::json::array();
    for (size_t i = 0; i < devices.size(); ++i) list.push_back(to_json(devices[i], i == chosen));
    // Names come from drivers and need not be UTF-8.
    const nlohmann::json all = {{"devices", list}, {"problems", problems}};
    write_stdout(all.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n");
    work_is_done(0);
    return;
  }
  for (size_t i = 0; i < devices.size(); ++i) {
    write_stdout(to_text(devices[i], i == chosen, flags.kernels) + "\n");
  }
  for (const std::string& problem : problems) write_stdout(fmt::format("not available: {}\n", problem));
  work_is_done(0);
}

}  // namespace

void add_devices_command(CLI::App& program) {
  CLI::App* command = program.add_subcommand("devices", "List every device, its driver, limits and features");
  auto flags = std::make_shared<Flags>();
  flags->device.asks_bad_drivers_again = true;
  add_device_flags(*command, flags->device, /*with_name=*/false);
  add_json_flag(*command, flags->json);
  command->add_flag("--kernels", flags->kernels,
                    "Also name the variant of every kernel that the device would run, for one token of any format");
  command->footer(
      "Examples:\n"
      "  nibble devices\n"
      "  nibble devices --icd /usr/lib/chromium/vk_swiftshader_icd.json\n"
      "  nibble devices --json --limit max_range=1MiB");
  command->callback([flags] { run(*flags); });
}

}  // namespace nibble
