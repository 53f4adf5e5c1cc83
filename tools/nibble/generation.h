// One answer: tokens sampled one by one and handed out as text. Shared by run and chat.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "host/engine/sampler.h"
#include "host/engine/session.h"
#include "host/text/control_tokens.h"
#include "host/text/tokenizer.h"

namespace nibble {

struct GenerationRequest {
  std::span<const uint32_t> prompt;  // not yet fed; at least one token
  uint32_t max_tokens = 0;           // 0: until the end of the text or of the context
  bool show_special = true;          // also hand out the text of control tokens such as <｜Assistant｜>
};

// kNextTurn: the model began the turn of another, with <｜User｜> for example.
enum class StopReason { kEndOfText, kNextTurn, kLength, kContextFull, kInterrupted };
std::string_view name_of(StopReason reason);

struct GenerationResult {
  std::vector<uint32_t> tokens;        // without the one that ended the text
  std::optional<uint32_t> last_token;  // that one: of kEndOfText and kNextTurn
  StopReason stop = StopReason::kEndOfText;
  size_t prompt_tokens = 0;  // those that were fed: all, or chunks of a prompt that an interrupt cut
  bool prompt_is_cut = false;
  double prefill_seconds = 0;
  double decode_seconds = 0;  // of the steps after the prefill
  size_t decode_steps = 0;

  double prefill_speed() const;  // tokens/s; 0 when there was nothing to measure
  double decode_speed() const;
};

// Gets every token's text as soon as it is whole code points; returning false ends the answer.
using TextSink = std::function<bool(std::string_view text)>;

// What an answer is made with; all of it outlives the call.
struct Generator {
  Session& session;
  const Tokenizer& tokenizer;
  const ControlTokens& control;
  Sampler& sampler;
};

// Feeds the prompt and samples until a reason to stop. Tokens returned are part of the session, but for the last one
// when the answer was cut by length, context or interruption. Throws kUsage when the prompt does not fit the context.
GenerationResult generate(const Generator& with, const GenerationRequest& request, const TextSink& sink);

}  // namespace nibble
