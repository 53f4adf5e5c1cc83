#include "bench/row.h"

#include "host/text/json_text.h"
#include "runtime/base/error.h"
#include "runtime/base/output_file.h"

namespace nibble::bench {
namespace {

constexpr int kFormat = 1;

nlohmann::json to_json(const Ratio& ratio) {
  return {{"median", ratio.median}, {"min", ratio.min}, {"max", ratio.max}};
}

Ratio ratio_from_json(const nlohmann::json& json) {
  return {.median = json.at("median").get<double>(),
          .min = json.at("min").get<double>(),
          .max = json.at("max").get<double>()};
}

}  // namespace

Ratio ratio_of(const std::vector<double>& pairs) {
  const Summary summary = summarise(pairs);
  return {.median = summary.median, .min = summary.min, .max = summary.max};
}

std::string Row::key() const {
  std::string text = kernel;
  for (const std::string& part : {variant, shape, data, numerics}) {
    if (!part.empty()) text += " " + part;
  }
  if (tokens != 0) text += fmt::format(" tokens={}", tokens);
  return text;
}

std::string driver_text(const DeviceInfo& info) { return info.driver + " " + info.driver_version; }

nlohmann::json to_json(const Row& row) {
  nlohmann::json json = {{"device", row.device},
                         {"driver", row.driver},
                         {"kernel", row.kernel},
                         {"variant", row.variant},
                         {"shape", row.shape},
                         {"tokens", row.tokens},
                         {"data", row.data},
                         {"numerics", row.numerics},
                         {"ms_median", row.seconds.median * 1e3},
                         {"ms_min", row.seconds.min * 1e3},
                         {"ms_max", row.seconds.max * 1e3},
                         {"ms_low", row.seconds.low * 1e3},
                         {"ms_high", row.seconds.high * 1e3},
                         {"ms_net", row.net_seconds * 1e3},
                         {"ms_device", row.device_seconds * 1e3},
                         {"n", row.seconds.n},
                         {"bytes", row.bytes},
                         {"flops", row.flops},
                         {"gbps", row.gbps()},
                         {"gflops", row.gflops()},
                         {"ceiling", row.ceiling},
                         {"ceiling_value", row.ceiling_value},
                         {"share", row.share.median},
                         {"share_min", row.share.min},
                         {"share_max", row.share.max},
                         {"ceiling_suspect", row.ceiling_suspect()}};
  nlohmann::json ratios = nlohmann::json::object();
  for (const auto& [name, ratio] : row.ratios) ratios[name] = to_json(ratio);
  json["ratios"] = ratios;
  return json;
}

Row row_from_json(const nlohmann::json& json, const std::string& source) {
  try {
    Row row{.device = json.at("device").get<std::string>(),
            .driver = json.at("driver").get<std::string>(),
            .kernel = json.at("kernel").get<std::string>(),
            .variant = json.at("variant").get<std::string>(),
            .shape = json.at("shape").get<std::string>(),
            .data = json.value("data", ""),
            .numerics = json.value("numerics", ""),
            .tokens = json.at("tokens").get<uint32_t>()};
    row.seconds = {.n = json.at("n").get<size_t>(),
                   .median = json.at("ms_median").get<double>() / 1e3,
                   .min = json.at("ms_min").get<double>() / 1e3,
                   .max = json.at("ms_max").get<double>() / 1e3};
    row.seconds.low = json.value("ms_low", row.seconds.min * 1e3) / 1e3;
    row.seconds.high = json.value("ms_high", row.seconds.max * 1e3) / 1e3;
    row.net_seconds = json.value("ms_net", 0.0) / 1e3;
    row.device_seconds = json.value("ms_device", 0.0) / 1e3;
    row.bytes = json.at("bytes").get<uint64_t>();
    row.flops = json.at("flops").get<uint64_t>();
    row.ceiling = json.at("ceiling").get<std::string>();
    row.ceiling_value = json.value("ceiling_value", 0.0);
    row.share.median = json.at("share").get<double>();
    row.share.min = json.value("share_min", row.share.median);
    row.share.max = json.value("share_max", row.share.median);
    if (json.contains("ratios")) {
      for (const auto& [name, ratio] : json.at("ratios").items()) row.ratios[name] = ratio_from_json(ratio);
    }
    return row;
  } catch (const nlohmann::json::exception& error) {
    fail(ErrorCode::kInvalidFile, "{}: not a row of nibble bench: {}", source, error.what());
  }
}

void write_rows(const std::string& path, const std::vector<Row>& rows) {
  nlohmann::json list = nlohmann::json::array();
  for (const Row& row : rows) list.push_back(to_json(row));
  const nlohmann::json all = {{"format", kFormat}, {"rows", list}};
  // Names come from drivers and need not be UTF-8.
  write_output(path, all.dump(1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n");
}

std::vector<Row> read_rows(const std::string& path) {
  const nlohmann::json json = parse_json(read_text_file(path, JsonLimits{}.max_bytes), path);
  if (!json.is_object() || !json.contains("rows") || !json["rows"].is_array()) {
    fail(ErrorCode::kInvalidFile, "{}: expected {{\"format\": {}, \"rows\": […]}} as nibble bench --json writes it",
         path, kFormat);
  }
  if (json.value("format", kFormat) != kFormat) {
    fail(ErrorCode::kUnsupported, "{}: format {}, this build reads {}", path, json_excerpt(json["format"]), kFormat);
  }
  std::vector<Row> rows;
  for (const nlohmann::json& row : json["rows"]) {
    rows.push_back(row_from_json(row, fmt::format("{}: row {}", path, rows.size())));
  }
  return rows;
}

}  // namespace nibble::bench
