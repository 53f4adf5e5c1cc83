#include "host/kv/session_store.h"

#include <algorithm>
#include <cstring>
#include <limits>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "host/kv/session_file.h"
#include "host/text/json_text.h"
#include "runtime/base/error.h"
#include "runtime/base/mapping_guard.h"

namespace nibble {
namespace {

using nlohmann::json;

constexpr uint64_t kBlockBytes = uint64_t{8} << 20;  // of rows on their way from the device to the file
constexpr uint64_t kBytesPerSection = 160;           // row of the table and padding, generously
constexpr double kMostOverhead = 0.05;               // of a file over the raw KV state

std::string entries_name(size_t layer) { return fmt::format("layers.{}.entries", layer); }
std::string keys_name(size_t layer) { return fmt::format("layers.{}.keys", layer); }
std::string snapshot_name(size_t index) { return fmt::format("snapshots.{}", index); }

// plain keeps f32 whatever was asked for.
std::string_view rope_name(const KvOptions& options) {
  return options.rope == KvRope::kF32 || options.numerics == Numerics::kPlain ? "f32" : "bf16";
}

// The rows of a layer that position() made visible, as (name, array, rows).
template <typename F>
void for_each_array(KvCache& kv, uint32_t position, F&& f) {
  for (size_t i = 0; i < kv.layers().size(); ++i) {
    const LayerPlan& plan = kv.layers()[i].plan;
    if (!plan.compresses()) continue;
    const uint64_t rows = position / plan.ratio;
    f(entries_name(i), kv.entries(i), rows);
    if (plan.indexed) f(keys_name(i), kv.keys(i), rows);
  }
}

template <typename T>
void write_section(SessionFileWriter& writer, const std::string& name, std::span<const T> values) {
  writer.begin_section(name);
  writer.write(std::as_bytes(values));
}

void pause(const SessionFileContent& content) {
  if (content.between_pieces) content.between_pieces();
}

uint64_t rows_per_block(const KvArray& array) { return std::max<uint64_t>(1, kBlockBytes / array.row_bytes()); }

void write_rows(SessionFileWriter& writer, const std::string& name, const KvArray& array, uint64_t rows,
                const SessionFileContent& content) {
  writer.begin_section(name);
  const uint64_t block = rows_per_block(array);
  std::vector<std::byte> bytes;
  for (uint64_t first = 0; first < rows; first += block) {
    pause(content);
    bytes.resize(std::min(block, rows - first) * array.row_bytes());
    array.read(first, bytes);
    writer.write(bytes);
  }
}

void read_rows(std::span<const std::byte> bytes, KvArray& array, const SessionFileContent& content) {
  const uint64_t block = rows_per_block(array);
  for (uint64_t first = 0; !bytes.empty(); first += block) {
    pause(content);
    const auto piece = bytes.first(std::min(bytes.size(), block * array.row_bytes()));
    array.write(first, piece);
    bytes = bytes.subspan(piece.size());
  }
}

// How many snapshots fit beside `other` bytes of sections, the prefix and the table.
size_t affordable_snapshots(KvCache& kv, uint32_t position, uint64_t other) {
  uint64_t raw = kv.state_bytes();
  other += 1024;
  for_each_array(kv, position, [&](const std::string&, const KvArray& array, uint64_t rows) {
    raw += rows * array.row_bytes();
    other += kBytesPerSection;
  });
  const auto allowed = static_cast<uint64_t>(kMostOverhead * static_cast<double>(raw));
  return allowed < other ? 0 : (allowed - other) / (kv.state_bytes() + kBytesPerSection);
}

uint32_t read_number(const SessionFile& file, const char* field, uint64_t most) {
  const auto found = file.info().find(field);
  const bool good = found != file.info().end() && found->is_number_unsigned() && found->get<uint64_t>() <= most;
  if (!good) {
    fail(ErrorCode::kInvalidFile, "{}: '{}' is {}, expected an integer from 0 to {}", file.path(), field,
         found == file.info().end() ? "not there" : json_excerpt(*found), most);
  }
  return found->get<uint32_t>();
}

std::string read_text(const SessionFile& file, const char* field) {
  const auto found = file.info().find(field);
  if (found == file.info().end() || !found->is_string()) {
    fail(ErrorCode::kInvalidFile, "{}: '{}' is {}, expected a text", file.path(), field,
         found == file.info().end() ? "not there" : json_excerpt(*found));
  }
  return found->get<std::string>();
}

// Token ids take as few bytes as the vocabulary needs: 3 in the released models.
uint32_t token_bytes(uint32_t vocab_size) {
  uint32_t bytes = 1;
  while (bytes < 4 && uint64_t{vocab_size} > uint64_t{1} << (8 * bytes)) ++bytes;
  return bytes;
}

std::vector<std::byte> pack_tokens(std::span<const uint32_t> tokens, uint32_t vocab_size) {
  const uint32_t width = token_bytes(vocab_size);
  std::vector<std::byte> packed(tokens.size() * width);
  for (size_t i = 0; i < tokens.size(); ++i) std::memcpy(&packed[i * width], &tokens[i], width);
  return packed;
}

std::vector<uint32_t> read_tokens(const SessionFile& file, uint32_t count, uint32_t vocab_size) {
  const uint32_t width = token_bytes(vocab_size);
  const auto packed = file.section("tokens", uint64_t{count} * width);
  std::vector<uint32_t> tokens(count);
  for (size_t i = 0; i < tokens.size(); ++i) {
    std::memcpy(&tokens[i], &packed[i * width], width);
    if (tokens[i] < vocab_size) continue;
    fail(ErrorCode::kInvalidFile, "{}: section 'tokens': token id {} is outside the vocabulary of {}", file.path(),
         tokens[i], vocab_size);
  }
  return tokens;
}

// Steps of equal length in a row: thousands of single tokens are one run.
struct StepRun {
  uint32_t tokens = 0;
  uint32_t count = 0;
};

std::vector<StepRun> runs_of(std::span<const uint32_t> step_ends) {
  std::vector<StepRun> runs;
  uint32_t before = 0;
  for (const uint32_t end : step_ends) {
    if (runs.empty() || runs.back().tokens != end - before) runs.push_back({.tokens = end - before});
    ++runs.back().count;
    before = end;
  }
  return runs;
}

// Positions at which steps ended. They must cover the tokens in pieces that a program can run.
std::vector<uint32_t> read_step_ends(const SessionFile& file, uint32_t position, uint32_t chunk) {
  std::vector<StepRun> runs(read_number(file, "steps", position));
  const auto bytes = file.section("steps", runs.size() * sizeof(StepRun));
  if (!runs.empty()) std::memcpy(runs.data(), bytes.data(), bytes.size());
  std::vector<uint32_t> ends;
  uint32_t at = 0;
  for (const StepRun& run : runs) {
    if (run.tokens == 0 || run.tokens > chunk || run.count == 0 ||
        uint64_t{run.tokens} * run.count > uint64_t{position} - at) {
      fail(ErrorCode::kInvalidFile,
           "{}: section 'steps': {} steps of {} tokens at {}, expected 1 to {} tokens up to {}", file.path(), run.count,
           run.tokens, at, chunk, position);
    }
    for (uint32_t i = 0; i < run.count; ++i) ends.push_back(at += run.tokens);
  }
  if (at != position) {
    fail(ErrorCode::kInvalidFile, "{}: section 'steps': they end at {}, expected {}", file.path(), at, position);
  }
  return ends;
}

// A file of something else than what is asked for; before the long work of comparing checksums.
void check_belongs(const SessionFile& file, const SessionFileContent& content) {
  const std::string model = read_text(file, "model");
  if (model != content.model) {
    fail(ErrorCode::kUsage, "{}: saved with another model: its identity is {}, expected {}", file.path(),
         printable(model), content.model);
  }
  const auto expect = [&](const char* field, const char* flag, std::string_view wanted) {
    const std::string found = read_text(file, field);
    if (found == wanted) return;
    fail(ErrorCode::kUsage, "{}: saved with {} {}, this session has {}; give {} {}", file.path(), flag,
         printable(found), wanted, flag, printable(found));
  };
  expect("numerics", "--numerics", name_of(content.kv.numerics));
  expect("kv_rope", "--kv-rope", rope_name(content.kv));
  const uint32_t chunk = read_number(file, "chunk", std::numeric_limits<uint32_t>::max());
  if (chunk != content.chunk) {
    fail(ErrorCode::kUsage, "{}: saved with --chunk {}, this session has {}; give --chunk {}", file.path(), chunk,
         content.chunk, chunk);
  }
}

// Files without the field are of sessions without the block.
void check_mtp(const SessionFile& file, bool wanted) {
  const auto found = file.info().find("mtp");
  if (found != file.info().end() && !found->is_boolean()) {
    fail(ErrorCode::kInvalidFile, "{}: 'mtp' is {}, expected true or false", file.path(), json_excerpt(*found));
  }
  const bool saved = found != file.info().end() && found->get<bool>();
  if (saved == wanted) return;
  const auto word = [](bool with) { return with ? "with" : "without"; };
  fail(ErrorCode::kUsage, "{}: saved {} the state of the MTP block, expected one {} it: this session runs {} the block",
       file.path(), word(saved), word(wanted), word(wanted));
}

std::vector<uint32_t> read_snapshot_positions(const SessionFile& file, const std::vector<uint32_t>& ends) {
  const auto list = file.info().find("snapshots");
  if (list == file.info().end() || !list->is_array()) {
    fail(ErrorCode::kInvalidFile, "{}: 'snapshots' is not a list of positions", file.path());
  }
  std::vector<uint32_t> positions;
  for (const json& value : *list) {
    const uint64_t at = value.is_number_unsigned() ? value.get<uint64_t>() : 0;
    const bool good = at > (positions.empty() ? 0 : positions.back()) && at <= std::numeric_limits<uint32_t>::max() &&
                      std::binary_search(ends.begin(), ends.end(), static_cast<uint32_t>(at));
    if (!good) {
      fail(ErrorCode::kInvalidFile, "{}: a snapshot at {}, expected ascending ends of steps", file.path(),
           json_excerpt(value));
    }
    positions.push_back(static_cast<uint32_t>(at));
  }
  return positions;
}

SessionHistory read_history(const SessionFile& file, const SessionFileContent& content, const KvCache& kv,
                            uint32_t position) {
  std::vector<uint32_t> tokens = read_tokens(file, position, content.vocab_size);
  std::vector<uint32_t> ends = read_step_ends(file, position, content.chunk);
  std::vector<std::shared_ptr<const KvSnapshot>> snapshots;
  for (const uint32_t at : read_snapshot_positions(file, ends)) {
    const auto bytes = file.section(snapshot_name(snapshots.size()), kv.state_bytes());
    KvSnapshot snapshot{.position = at, .state = {bytes.begin(), bytes.end()}};
    snapshots.push_back(std::make_shared<const KvSnapshot>(std::move(snapshot)));
  }
  return SessionHistory(std::move(tokens), std::move(ends), std::move(snapshots));
}

}  // namespace

void write_session(const std::string& path, const SessionFileContent& content, KvCache& kv,
                   const SessionHistory& history) {
  const std::vector<std::byte> tokens = pack_tokens(history.tokens(), content.vocab_size);
  const std::vector<StepRun> runs = runs_of(history.step_ends());
  SessionFileWriter writer(path, content.between_pieces);
  json info = {{"model", content.model},
               {"numerics", name_of(content.kv.numerics)},
               {"kv_rope", rope_name(content.kv)},
               {"chunk", content.chunk},
               {"mtp", content.kv.mtp},
               {"position", history.position()},
               {"steps", runs.size()},
               {"snapshots", json::array()}};
  write_section(writer, "tokens", std::span(tokens));
  write_section(writer, "steps", std::span(runs));
  if (!content.note.empty()) write_section(writer, "note", std::span(content.note));
  const std::vector<std::byte> state = kv.state();
  write_section(writer, "state", std::span(state));
  for_each_array(kv, history.position(), [&](const std::string& name, const KvArray& array, uint64_t rows) {
    write_rows(writer, name, array, rows, content);
  });
  const uint64_t other = tokens.size() + runs.size() * sizeof(StepRun) + content.note.size();
  const size_t most = affordable_snapshots(kv, history.position(), other);
  for (const auto& snapshot : history.best_snapshots(most)) {
    write_section(writer, snapshot_name(info["snapshots"].size()), std::span(snapshot->state));
    info["snapshots"].push_back(snapshot->position);
  }
  check_writable_mappings();  // a cache that lies in files may be lost
  writer.finish(info);
}

SessionHistory read_session(const std::string& path, const SessionFileContent& content, KvCache& kv,
                            std::string* note) {
  SessionFile file = SessionFile::open(path);
  check_belongs(file, content);
  check_mtp(file, content.kv.mtp);
  const uint32_t position = read_number(file, "position", std::numeric_limits<uint32_t>::max());
  if (position > content.kv.context) {
    fail(ErrorCode::kUsage, "{}: its {} tokens do not fit a context of {}; raise --ctx", path, position,
         content.kv.context);
  }
  file.verify(content.between_pieces);
  SessionHistory history = read_history(file, content, kv, position);
  const auto state = file.section("state", kv.state_bytes());
  for_each_array(kv, position, [&](const std::string& name, const KvArray& array, uint64_t rows) {
    (void)file.section(name, rows * array.row_bytes());  // all of them are there before the first is used
  });
  kv.restore(state);
  kv.prepare(0, position);
  for_each_array(kv, position, [&](const std::string& name, KvArray& array, uint64_t rows) {
    read_rows(file.section(name, rows * array.row_bytes()), array, content);
  });
  check_mappings();
  if (note != nullptr && file.has("note")) {
    const auto bytes = file.section("note", file.section_bytes("note"));
    note->assign(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  }
  return history;
}

}  // namespace nibble
