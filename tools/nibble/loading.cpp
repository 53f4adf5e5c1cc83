#include "tools/nibble/loading.h"

#include <algorithm>

#include "host/checkpoint/read_tokenizer.h"
#include "runtime/base/error.h"
#include "tools/nibble/terminal.h"

namespace nibble {
namespace {

std::unique_ptr<Session> with_progress(std::unique_ptr<Session> session) {
  // Decode steps are prefills of one token: a bar for those would only flicker.
  session->on_progress = [bar = std::shared_ptr<ProgressBar>()](uint32_t done, uint32_t total) mutable {
    if (total <= 1) return;
    if (!bar) bar = std::make_shared<ProgressBar>("prefill");
    bar->update(done, total);
    if (done >= total) bar.reset();
  };
  return session;
}

}  // namespace

LoadedModel load_model(const ModelFlags& model, const DeviceFlags& device) {
  LoadedModel loaded;
  loaded.checkpoint = std::make_shared<const Checkpoint>(Checkpoint::open(model.directory.string()));
  loaded.device = open_device(device.name, device_options(device));
  const DeviceInfo& info = loaded.device->info();
  if (info.backend != BackendKind::kCpu) {
    loaded.in_use = std::make_shared<DriverCall>(fmt::format("working on {}", describe(info)));
  }
  ProgressBar bar("loading");
  loaded.model =
      Model::load(loaded.device, loaded.checkpoint, [&bar](uint64_t done, uint64_t total) { bar.update(done, total); });
  return loaded;
}

Tokenizer load_tokenizer(const ModelFlags& model) { return read_tokenizer(model.directory / "tokenizer.json"); }

SessionOptions session_options(const SessionFlags& flags, const ModelConfig& config, uint32_t default_context) {
  SessionOptions options;
  options.numerics = numerics_from_name(flags.numerics);
  options.kv_rope = kv_rope_from_name(flags.kv_rope);
  options.between_pieces = throw_if_interrupted;
  options.context = flags.context != 0 ? flags.context : default_context;
  if (flags.chunk != 0) options.chunk = flags.chunk;
  options.kv_tiers.directory = flags.kv_directory;
  options.kv_tiers.host_bytes = flags.kv_directory.empty() ? UINT64_MAX : 0;
  if (!flags.kv_device_memory.empty()) {
    options.kv_tiers.device_bytes = parse_bytes(flags.kv_device_memory, "--kv-device-memory");
  }
  if (!flags.kv_host_memory.empty()) {
    options.kv_tiers.host_bytes = parse_bytes(flags.kv_host_memory, "--kv-host-memory");
  }
  if (options.context > config.max_position_embeddings) {
    fail(ErrorCode::kUsage, "a context of {} positions exceeds the model's maximum of {} (max_position_embeddings)",
         options.context, config.max_position_embeddings);
  }
  return options;
}

std::unique_ptr<Session> create_session(const LoadedModel& loaded, const SessionOptions& options) {
  return with_progress(Session::create(loaded.model, options));
}

std::unique_ptr<Session> load_session(const LoadedModel& loaded, const SessionOptions& options, const std::string& path,
                                      std::string& note) {
  return with_progress(Session::load(loaded.model, path, options, &note));
}

std::string describe(const KvTierBytes& bytes) {
  std::string text = format_bytes(bytes.device) + " on the device";
  if (bytes.host != 0) text += fmt::format(", {} in the host's memory", format_bytes(bytes.host));
  if (bytes.file != 0) text += fmt::format(", {} in files", format_bytes(bytes.file));
  return text;
}

uint32_t usual_context(const ModelConfig& config) { return std::min(4096u, config.max_position_embeddings); }

std::string describe(const DeviceInfo& info) {
  return fmt::format("{}: {} ({} {})", info.id, info.name, info.driver, info.driver_version);
}

}  // namespace nibble
