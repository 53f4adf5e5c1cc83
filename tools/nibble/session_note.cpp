#include "tools/nibble/session_note.h"

#include <algorithm>

#include "host/text/json_text.h"
#include "runtime/base/error.h"

namespace nibble {

using nlohmann::ordered_json;

namespace {

// False where `value` is nothing that to_json() writes.
bool read_sampler(const ordered_json& value, SamplerState& state) {
  if (!value.is_object() || !value.contains("seed") || !value.contains("generator")) return false;
  const ordered_json& words = value["generator"];
  const auto is_u64 = [](const ordered_json& word) { return word.is_number_unsigned(); };
  if (!is_u64(value["seed"]) || !words.is_array() || words.size() != state.generator.size()) return false;
  if (!std::all_of(words.begin(), words.end(), is_u64)) return false;
  state = {.seed = value["seed"].get<uint64_t>(), .generator = words.get<Rng::State>()};
  return state.generator != Rng::State{};
}

}  // namespace

std::string to_text(const SessionNote& note) {
  ordered_json json = {{"unread", note.unread}, {"chat", note.chat}};
  if (note.sampler) json["sampler"] = to_json(*note.sampler);
  // Bytes of a message that are no UTF-8 do not stop a save; a text that differs is then read again from its start.
  return json.dump(-1, ' ', false, ordered_json::error_handler_t::replace);
}

SessionNote parse_session_note(std::string_view text, const std::string& source, uint32_t vocab_size) {
  SessionNote note;
  if (text.empty()) return note;
  ordered_json json = parse_ordered_json(text, source + ": the note");
  if (!json.is_object()) fail(ErrorCode::kInvalidFile, "{}: the note is not a JSON object", source);
  if (json.contains("unread")) note.unread = token_list(json["unread"], source, vocab_size);
  note.sampler = sampler_member(json, source);
  if (json.contains("chat")) note.chat = std::move(json["chat"]);
  return note;
}

std::vector<uint32_t> token_list(const ordered_json& value, const std::string& source, uint32_t vocab_size) {
  if (!value.is_array()) {
    fail(ErrorCode::kInvalidFile, "{}: the note's 'unread' is {}, expected a list of token ids", source,
         json_excerpt(value));
  }
  std::vector<uint32_t> tokens;
  for (const ordered_json& id : value) {
    if (!id.is_number_unsigned() || id.get<uint64_t>() >= vocab_size) {
      fail(ErrorCode::kInvalidFile, "{}: the note's 'unread' has {} at {}, expected a token id below {}", source,
           json_excerpt(id), tokens.size(), vocab_size);
    }
    tokens.push_back(id.get<uint32_t>());
  }
  return tokens;
}

ordered_json to_json(const SamplerState& state) { return {{"seed", state.seed}, {"generator", state.generator}}; }

std::optional<SamplerState> sampler_member(const ordered_json& object, const std::string& source) {
  const auto found = object.find("sampler");
  if (found == object.end()) return std::nullopt;
  SamplerState state;
  if (!read_sampler(*found, state)) {
    fail(ErrorCode::kInvalidFile, "{}: the note's 'sampler' is {}, expected a seed and a generator of {} words", source,
         json_excerpt(*found), state.generator.size());
  }
  return state;
}

void resume(Sampler& sampler, const std::optional<SamplerState>& recorded, bool seed_given) {
  if (!recorded || (seed_given && recorded->seed != sampler.state().seed)) return;
  sampler.resume(*recorded);
}

}  // namespace nibble
