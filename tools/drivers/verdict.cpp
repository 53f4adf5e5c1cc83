#include "tools/drivers/verdict.h"

#include <chrono>
#include <cstring>

#include <nlohmann/json.hpp>

#include "runtime/base/file_cache.h"
#include "tools/drivers/driver_identity.h"

namespace nibble::drivers {
namespace {

constexpr int64_t kBadHoldsSeconds = 3600;

int64_t seconds_now() {
  return std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch()).count();
}

// Beside what else is kept of the API: a folder that cannot be written is one warning.
FileCache cache_in(const std::filesystem::path& folder, BackendKind api) {
  return folder.empty() ? FileCache() : FileCache(folder / name_of(api));
}

}  // namespace

std::string pack_verdict(const Verdict& verdict, const std::string& identity, int64_t now) {
  const nlohmann::json json = {{"identity", identity},         {"time", now},
                               {"excluded", verdict.excluded}, {"switches", verdict.switches},
                               {"messages", verdict.messages}, {"unusable", verdict.unusable}};
  return json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

std::optional<Verdict> unpack_verdict(const std::string& text, const std::string& identity, int64_t now) {
  try {
    const auto json = nlohmann::json::parse(text);
    Verdict verdict{.excluded = json.at("excluded"),
                    .switches = json.at("switches"),
                    .messages = json.at("messages"),
                    .unusable = json.at("unusable")};
    const int64_t age = now - json.at("time").get<int64_t>();
    const bool is_old = !verdict.is_good() && (age < 0 || age > kBadHoldsSeconds);
    if (is_old || json.at("identity").get<std::string>() != identity) return std::nullopt;
    return verdict;
  } catch (const nlohmann::json::exception&) {
    return std::nullopt;  // another version's
  }
}

std::optional<Verdict> VerdictCache::load(BackendKind api, const std::vector<std::string>& icds) const {
  const auto content = cache_in(folder_, api).load(question_of(api, icds));
  if (!content) return std::nullopt;
  const std::string text(reinterpret_cast<const char*>(content->data()), content->size());
  return unpack_verdict(text, identity_of(api, icds), seconds_now());
}

void VerdictCache::store(BackendKind api, const std::vector<std::string>& icds, const Verdict& verdict) const {
  const std::string text = pack_verdict(verdict, identity_of(api, icds), seconds_now());
  cache_in(folder_, api).store(question_of(api, icds), std::as_bytes(std::span(text.data(), text.size())));
}

}  // namespace nibble::drivers
