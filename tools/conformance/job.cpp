#include "tools/conformance/job.h"

namespace nibble::conformance {
namespace {

nlohmann::ordered_json to_json(const DeviceOptions& options) {
  std::vector<std::string> disabled;
  for (const Capability capability : options.disabled) disabled.emplace_back(name_of(capability));
  return {{"icds", options.icds},
          {"limits", options.limits},
          {"disabled", disabled},
          {"cache_dir", options.cache_dir.string()},
          {"threads", options.threads}};
}

DeviceOptions parse_options(const nlohmann::ordered_json& json) {
  DeviceOptions options{.icds = json.at("icds"),
                        .limits = json.at("limits"),
                        .cache_dir = json.at("cache_dir").get<std::string>(),
                        .threads = json.at("threads")};
  for (const auto& name : json.at("disabled"))
    options.disabled.push_back(capability_from_name(name.get<std::string>()));
  return options;
}

}  // namespace

nlohmann::ordered_json to_json(const Job& job) {
  nlohmann::ordered_json rows = nlohmann::ordered_json::array();
  for (const Row& row : job.rows) rows.push_back(to_json(row));
  return {{"kind", static_cast<int>(job.kind)},
          {"options", to_json(job.device_options)},
          {"kernel", job.plan.kernel},
          {"full", job.plan.full},
          {"seed", job.plan.seed},
          {"devices", job.devices},
          {"model", job.walk.directory},
          {"tokens", job.walk.tokens},
          {"rows", rows},
          {"folder", job.folder}};
}

Job parse_job(const std::string& text) {
  const auto json = nlohmann::ordered_json::parse(text);
  Job job{.kind = static_cast<JobKind>(json.at("kind").get<int>()),
          .device_options = parse_options(json.at("options")),
          .plan = {.kernel = json.at("kernel"), .full = json.at("full"), .seed = json.at("seed")},
          .devices = json.at("devices"),
          .walk = {.directory = json.at("model"), .tokens = json.at("tokens")},
          .folder = json.at("folder")};
  for (const auto& row : json.at("rows")) job.rows.push_back(parse_row(row));
  return job;
}

}  // namespace nibble::conformance
