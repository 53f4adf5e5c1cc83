// What run and chat keep in the note of a saved session (Session::save), as JSON.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

namespace nibble {

struct SessionNote {
  std::vector<uint32_t> unread;  // tokens of the text that were written but not fed yet
  nlohmann::ordered_json chat;   // the conversation; null in a file of run's
};

std::string to_text(const SessionNote& note);
// `source` names the file in errors. An empty text is a note with nothing in it. Throws kInvalidFile.
SessionNote parse_session_note(std::string_view text, const std::string& source);

// A list of token ids. Throws kInvalidFile.
std::vector<uint32_t> token_list(const nlohmann::ordered_json& value, const std::string& source);

}  // namespace nibble
