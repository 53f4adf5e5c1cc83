// What run and chat keep in the note of a saved session (Session::save), as JSON.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "host/engine/sampler.h"

namespace nibble {

struct SessionNote {
  std::vector<uint32_t> unread;  // tokens of the text that were written but not fed yet
  // Where drawing of tokens stood; files from before it was kept have none.
  std::optional<SamplerState> sampler;
  nlohmann::ordered_json chat;  // the conversation; null in a file of run's
};

std::string to_text(const SessionNote& note);
// `source` names the file in errors. An empty text is a note with nothing in it. Throws kInvalidFile, for token ids
// outside the vocabulary too.
SessionNote parse_session_note(std::string_view text, const std::string& source, uint32_t vocab_size);

// A list of token ids. Throws kInvalidFile.
std::vector<uint32_t> token_list(const nlohmann::ordered_json& value, const std::string& source, uint32_t vocab_size);

nlohmann::ordered_json to_json(const SamplerState& state);
// Of member "sampler" of `object`, if there is one. Throws kInvalidFile.
std::optional<SamplerState> sampler_member(const nlohmann::ordered_json& object, const std::string& source);

// Lets `sampler` go on from what was recorded. Where the user gave a seed (`seed_given`), only from what began with
// that seed: another one is meant to give another text.
void resume(Sampler& sampler, const std::optional<SamplerState>& recorded, bool seed_given);

}  // namespace nibble
