// What a saved session holds (docs/sessions.md) and how it gets into a file and back. The file knows neither devices
// nor slabs: rows of the KV cache lie in it in their order.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "host/kv/kv_cache.h"
#include "host/kv/session_history.h"

namespace nibble {

// Everything a file has beside the cache and the history.
struct SessionFileContent {
  const std::string& model;  // model_identity()
  KvOptions kv;
  uint32_t chunk = 0;  // most tokens of a step
  uint32_t vocab_size = 0;
  std::string_view note;                 // bytes of the caller's, may be empty
  std::function<void()> between_pieces;  // called every few megabytes; what it throws ends the work
};

// Streams the session to `path` (SessionFileWriter). Snapshots go along as far as the file stays within 5 % of its raw
// KV state.
void write_session(const std::string& path, const SessionFileContent& content, KvCache& kv,
                   const SessionHistory& history);

// Fills `kv`, which is new and made for the same options, and returns the history. Throws kInvalidFile for a damaged
// file and kUsage for one of another model, of other options or longer than the context; nothing of `kv` may be used
// after that.
SessionHistory read_session(const std::string& path, const SessionFileContent& content, KvCache& kv, std::string* note);

}  // namespace nibble
