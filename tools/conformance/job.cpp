#include "tools/conformance/job.h"

namespace nibble::conformance {
namespace {

nlohmann::ordered_json to_json(const DeviceOptions& options) {
  std::vector<std::string> disabled;
  for (const Capability capability : options.disabled) disabled.emplace_back(name_of(capability));
  return {{"icds", options.icds},       {"limits", options.limits},
          {"disabled", disabled},       {"cache_dir", options.cache_dir.string()},
          {"threads", options.threads}, {"subgroup_size", options.subgroup_size}};
}

DeviceOptions parse_options(const nlohmann::ordered_json& json) {
  DeviceOptions options{.icds = json.at("icds"),
                        .limits = json.at("limits"),
                        .cache_dir = json.at("cache_dir").get<std::string>(),
                        .threads = json.at("threads"),
                        .subgroup_size = json.at("subgroup_size")};
  for (const auto& name : json.at("disabled"))
    options.disabled.push_back(capability_from_name(name.get<std::string>()));
  return options;
}

}  // namespace

nlohmann::ordered_json to_json(const std::vector<Row>& rows) {
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  for (const Row& row : rows) list.push_back(to_json(row));
  return list;
}

std::vector<Row> parse_rows(const nlohmann::ordered_json& json) {
  std::vector<Row> rows;
  for (const auto& row : json) rows.push_back(parse_row(row));
  return rows;
}

nlohmann::ordered_json to_json(const Job& job) {
  return {{"kind", static_cast<int>(job.kind)},
          {"options", to_json(job.device_options)},
          {"kernel", job.plan.kernel},
          {"full", job.plan.full},
          {"seed", job.plan.seed},
          {"devices", job.devices},
          {"model", job.walk.directory},
          {"tokens", job.walk.tokens},
          {"rows", to_json(job.rows)},
          {"folder", job.folder}};
}

Job parse_job(const std::string& text) {
  const auto json = nlohmann::ordered_json::parse(text);
  return {.kind = static_cast<JobKind>(json.at("kind").get<int>()),
          .device_options = parse_options(json.at("options")),
          .plan = {.kernel = json.at("kernel"), .full = json.at("full"), .seed = json.at("seed")},
          .devices = json.at("devices"),
          .rows = parse_rows(json.at("rows")),
          .walk = {.directory = json.at("model"), .tokens = json.at("tokens")},
          .folder = json.at("folder")};
}

}  // namespace nibble::conformance
