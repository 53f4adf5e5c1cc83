// nibble plan: what a model takes of a device's memory at some context, before anything is loaded; config.json is
// enough.
#include <memory>
#include <string>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "host/placement/memory_plan.h"
#include "host/synthetic/outline.h"
#include "host/text/json_text.h"
#include "tools/nibble/command.h"
#include "tools/nibble/loading.h"
#include "tools/nibble/program_end.h"
#include "tools/nibble/terminal.h"

namespace nibble {
namespace {

constexpr const char* kJsonHelp =
    "With --json, one object; sizes are integers, in bytes:\n"
    "  model, from                           directory; \"checkpoint\", \"headers\" (of some files, config.json says "
    "the\n"
    "                                        rest) or \"config.json\"\n"
    "  assumptions                           texts: what is counted that no file or flag says\n"
    "  not_used                              list of parts that are not computed: name, tensors, bytes,\n"
    "                                        missing_tensors (in files that are not there)\n"
    "  device                                id, name, memory_bytes (what may be planned with)\n"
    "  context, chunk, numerics              as asked for\n"
    "  weights_bytes                         copied to the device\n"
    "  weights_in_place_bytes                of files that the cpu reads where they are mapped\n"
    "  kv_bytes                              window_ring_bytes + compressed_entry_bytes + indexer_key_bytes, all of "
    "the\n"
    "                                        trunk at full context\n"
    "  open_window_bytes                     the compressors' open windows\n"
    "  kv_alignment_bytes                    place-holders and padding of the cache's slabs\n"
    "  kv_host_bytes, kv_file_bytes          what of the cache lies outside the device (--kv-device-memory)\n"
    "  mtp_kv_bytes                          the MTP layer's cache, if it is run\n"
    "  scratch_bytes                         prefill_scratch_bytes + decode_scratch_bytes: activations\n"
    "  staging_bytes                         transfer buffers and step blocks\n"
    "  total_bytes, fits                     of the device, without the MTP layer's cache; whether memory_bytes hold "
    "it\n"
    "  v32_kv_bytes, v32_ratio               DeepSeek-V3.2's cache of that context, and how many times kv_bytes it is\n"
    "The exit code is 0 whether it fits or not.";

struct Flags {
  ModelFlags model;
  DeviceFlags device;
  SessionFlags session;
  bool json = false;
};

// Everything the two forms of output say.
struct Report {
  std::string model;
  Outline outline;
  std::vector<std::string> assumptions;
  DeviceInfo device;
  SessionOptions options;
  MemoryPlan plan;

  uint64_t v32_bytes() const { return v32_kv_bytes(options.context); }
  double v32_ratio() const { return static_cast<double>(v32_bytes()) / static_cast<double>(plan.kv.kept()); }
  bool fits() const { return plan.total() <= device.limits.memory_bytes; }
};

// Decimal, as the published figures are.
std::string decimal(uint64_t bytes) {
  const auto value = static_cast<double>(bytes);
  if (bytes >= 1'000'000'000) return fmt::format("{:.2f} GB", value * 1e-9);
  if (bytes >= 1'000'000) return fmt::format("{:.2f} MB", value * 1e-6);
  return fmt::format("{:.2f} kB", value * 1e-3);
}

std::string_view source_text(Outline::From from) {
  switch (from) {
    case Outline::From::kCheckpoint:
      break;
    case Outline::From::kHeaders:
      return " (from the headers of some of its files)";
    case Outline::From::kConfig:
      return " (from config.json alone)";
  }
  return "";
}

std::string_view source_name(Outline::From from) {
  switch (from) {
    case Outline::From::kCheckpoint:
      break;
    case Outline::From::kHeaders:
      return "headers";
    case Outline::From::kConfig:
      return "config.json";
  }
  return "checkpoint";
}

// What this plan counts and no file or flag says.
std::vector<std::string> all_assumptions(const Flags& flags, const Report& report) {
  std::vector<std::string> list = report.outline.assumptions;
  const ModelConfig& config = report.outline.checkpoint.config();
  if (flags.session.context == 0) {
    list.push_back(fmt::format("a context of {} tokens, of {} that the model allows: --ctx says another",
                               report.options.context, config.max_position_embeddings));
  }
  if (report.outline.from == Outline::From::kConfig && config.has_dspark_keys) {
    list.push_back("no DSpark head: config.json announces one, which is not computed and takes no memory");
  }
  return list;
}

std::string as_text(const Report& report) {
  const MemoryPlan& plan = report.plan;
  std::string text;
  text += fmt::format("model    {}{}\n", printable(report.model), source_text(report.outline.from));
  text += fmt::format("device   {}\n", describe(report.device));
  text += fmt::format("context  {} tokens, {} numerics, {} rotary part, prefill in chunks of {}\n",
                      report.options.context, name_of(report.options.numerics),
                      report.options.kv_rope == KvRope::kF32 ? "f32" : "bf16", report.options.chunk);
  for (const std::string& assumption : report.assumptions) text += fmt::format("assuming {}\n", assumption);
  for (const Part& part : report.outline.not_used) text += fmt::format("not used {}\n", describe(part));
  text += '\n';
  const auto row = [&](std::string_view name, uint64_t bytes, const std::string& note) {
    text += fmt::format("{:<12}  {:>15}  {:>10}  {}", name, bytes, decimal(bytes), note);
    text.erase(text.find_last_not_of(' ') + 1);
    text += '\n';
  };
  row("weights", plan.weights + plan.weights_in_place,
      plan.weights_in_place == 0
          ? ""
          : fmt::format("{} of them read in place from the files", decimal(plan.weights_in_place)));
  row("kv cache", plan.kv.kept(),
      fmt::format("compressed entries {}, indexer keys {}, window rings {}", decimal(plan.kv.compressed_entries),
                  decimal(plan.kv.indexer_keys), decimal(plan.kv.window_rings)));
  row("open windows", plan.kv.open_windows + plan.kv.alignment,
      fmt::format("rows of the compressors' incomplete windows; {} of it place-holders and padding",
                  decimal(plan.kv.alignment)));
  if (plan.kv_host != 0) row("  on the host", plan.kv_host, "of the cache; slower");
  if (plan.kv_file != 0) row("  in files", plan.kv_file, "of the cache; slower still");
  row("scratch", plan.prefill_scratch + plan.decode_scratch,
      fmt::format("activations of prefill {}, of decode {}", decimal(plan.prefill_scratch),
                  decimal(plan.decode_scratch)));
  row("staging", plan.staging, "");
  row("total", plan.total(),
      fmt::format("of {}: {}", decimal(report.device.limits.memory_bytes), report.fits() ? "fits" : "does not fit"));
  text += fmt::format("\nDeepSeek-V3.2 keeps {} of so many tokens, {:.1f} times as much.\n",
                      decimal(report.v32_bytes()), report.v32_ratio());
  if (plan.kv.mtp > 0) text += fmt::format("The MTP layer's own cache, where it is run: {}.\n", decimal(plan.kv.mtp));
  if (!report.fits() && plan.weights_in_place > 0) {
    text +=
        "Weights that are read in place may exceed the memory; they then come from the disk again with each token.\n";
  }
  return text;
}

std::string as_json(const Report& report) {
  const MemoryPlan& plan = report.plan;
  nlohmann::ordered_json json;
  json["model"] = report.model;
  json["from"] = source_name(report.outline.from);
  json["assumptions"] = report.assumptions;
  json["not_used"] = nlohmann::ordered_json::array();
  for (const Part& part : report.outline.not_used) {
    json["not_used"].push_back(
        {{"name", part.name}, {"tensors", part.tensors}, {"bytes", part.bytes}, {"missing_tensors", part.missing}});
  }
  json["device"] = {
      {"id", report.device.id}, {"name", report.device.name}, {"memory_bytes", report.device.limits.memory_bytes}};
  json["context"] = report.options.context;
  json["chunk"] = report.options.chunk;
  json["numerics"] = name_of(report.options.numerics);
  json["weights_bytes"] = plan.weights;
  json["weights_in_place_bytes"] = plan.weights_in_place;
  json["kv_bytes"] = plan.kv.kept();
  json["window_ring_bytes"] = plan.kv.window_rings;
  json["compressed_entry_bytes"] = plan.kv.compressed_entries;
  json["indexer_key_bytes"] = plan.kv.indexer_keys;
  json["open_window_bytes"] = plan.kv.open_windows;
  json["kv_alignment_bytes"] = plan.kv.alignment;
  json["kv_host_bytes"] = plan.kv_host;
  json["kv_file_bytes"] = plan.kv_file;
  json["mtp_kv_bytes"] = plan.kv.mtp;
  json["scratch_bytes"] = plan.prefill_scratch + plan.decode_scratch;
  json["prefill_scratch_bytes"] = plan.prefill_scratch;
  json["decode_scratch_bytes"] = plan.decode_scratch;
  json["staging_bytes"] = plan.staging;
  json["total_bytes"] = plan.total();
  json["fits"] = report.fits();
  json["v32_kv_bytes"] = report.v32_bytes();
  json["v32_ratio"] = report.v32_ratio();
  return json.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

void run(const Flags& flags) {
  Report report = {.model = flags.model.directory.string()};
  report.outline = open_or_outline(report.model);
  const Checkpoint& checkpoint = report.outline.checkpoint;
  report.options = session_options(flags.session, checkpoint.config(), usual_context(checkpoint.config()));
  const std::unique_ptr<Device> device = open_device(flags.device.name, device_options(flags.device));
  report.device = device->info();
  const SessionOptions& options = report.options;
  report.plan = plan_memory(report.device, checkpoint,
                            {.kv = options.kv(), .program = options.program(), .chunk = options.chunk});
  report.assumptions = all_assumptions(flags, report);
  write_stdout(flags.json ? as_json(report) : as_text(report));
  work_is_done(0);
}

}  // namespace

void add_plan_command(CLI::App& program) {
  const auto flags = std::make_shared<Flags>();
  CLI::App* const command = program.add_subcommand(
      "plan", "Say how much of a device's memory a model takes at some context; its config.json is enough");
  add_model_flags(*command, flags->model);
  add_device_flags(*command, flags->device);
  add_session_flags(*command, flags->session);
  add_json_flag(*command, flags->json);
  command->footer(std::string("Example:\n  nibble plan -m DIR --ctx 1048576 --chunk 512 -d vulkan:0\n\n") + kJsonHelp);
  command->callback([flags] { run(*flags); });
}

}  // namespace nibble
