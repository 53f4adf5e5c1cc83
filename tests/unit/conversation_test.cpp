// A conversation that was saved, with one or two things in its file changed: it is refused, or it goes on as any other
// does: questions are asked and taken back, and what it saves can be loaded.
#include "tools/nibble/conversation.h"

#include <gtest/gtest.h>

#include "host/kv/session_file.h"
#include "runtime/base/rng.h"
#include "tests/support/expect_error.h"
#include "tests/support/temp_directory.h"

namespace nibble {
namespace {

using Json = nlohmann::ordered_json;

ConversationFlags demo_flags() {
  ConversationFlags flags;
  flags.model.directory = NIBBLE_SOURCE_DIR "/tools/demo/model";
  flags.device.name = "cpu";
  flags.device.options.threads = 1;
  flags.session.context = 256;
  flags.sampler.options.temperature = 0;
  flags.max_tokens = 4;
  return flags;
}

// The parts of a session's file, to be written again with others in their place.
struct Parts {
  Json info;
  Json note;
  std::vector<std::pair<std::string, std::string>> sections;
};

std::vector<std::string> section_names(const SessionFile& file) {
  std::vector<std::string> names = {"tokens", "steps", "note", "state"};
  for (int layer = 0; layer < 4; ++layer) {
    for (const char* array : {"entries", "keys"}) names.push_back(fmt::format("layers.{}.{}", layer, array));
  }
  for (int i = 0; i < 16; ++i) names.push_back(fmt::format("snapshots.{}", i));
  std::erase_if(names, [&](const std::string& name) { return !file.has(name); });
  return names;
}

Parts take_apart(const std::string& path) {
  SessionFile file = SessionFile::open(path);
  file.verify();
  Parts parts{.info = Json::parse(file.info().dump())};
  for (const std::string& name : section_names(file)) {
    const auto bytes = file.section(name, file.section_bytes(name));
    parts.sections.emplace_back(name, std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size()));
    if (name == "note") parts.note = Json::parse(parts.sections.back().second);
  }
  return parts;
}

void put_together(const std::string& path, const Parts& parts) {
  SessionFileWriter writer(path);
  for (const auto& [name, bytes] : parts.sections) {
    writer.begin_section(name);
    const std::string text = name == "note" ? parts.note.dump() : bytes;
    writer.write(std::as_bytes(std::span(text)));
  }
  writer.finish(nlohmann::json::parse(parts.info.dump()));
}

// Every value inside `value`, itself included.
void collect(Json& value, std::vector<Json*>& all) {
  all.push_back(&value);
  if (!value.is_structured()) return;
  for (Json& item : value) collect(item, all);
}

class Mutation {
 public:
  explicit Mutation(uint64_t seed) : rng_(seed) {}

  void change(Json& document) {
    std::vector<Json*> all;
    collect(document, all);
    Json& target = *all[rng_.below(static_cast<uint32_t>(all.size()))];
    const Json other = *all[rng_.below(static_cast<uint32_t>(all.size()))];
    const uint32_t kind = rng_.below(6);
    if (kind == 0 && target.is_array() && !target.empty()) {
      target.erase(rng_.below(static_cast<uint32_t>(target.size())));
    } else if (kind == 1 && target.is_array() && !target.empty()) {
      target.push_back(target[rng_.below(static_cast<uint32_t>(target.size()))]);
    } else if (kind == 2 && target.is_array() && target.size() > 1) {
      std::swap(target[0], target[rng_.below(static_cast<uint32_t>(target.size()))]);
    } else if (kind <= 3 && target.is_number_unsigned()) {
      target = target.get<uint64_t>() + (rng_.below(2) == 0 ? 1 : uint64_t(-1));
    } else if (kind == 4) {
      target = other;
    } else {
      target = odd_values()[rng_.below(static_cast<uint32_t>(odd_values().size()))];
    }
  }

  uint32_t below(uint32_t limit) { return rng_.below(limit); }

 private:
  static const Json& odd_values() {
    static const Json values = {nullptr, true,          false,         0,          1,         -1, 2,
                                1.5,     1e300,         4294967296u,   UINT64_MAX, INT64_MIN, "", "user",
                                "x",     Json::array(), Json::object()};
    return values;
  }

  Rng rng_;
};

class ConversationFileTest : public testing::Test {
 protected:
  ConversationFileTest() {
    Conversation conversation(flags_);
    for (const char* question : {"Who made heaven?", "And the earth?", "And man?"}) {
      conversation.ask(question, interrupt_);
    }
    conversation.save(good_);
    parts_ = take_apart(good_);
  }

  // Errors that name what is wrong with a file or a question are all that may come of it.
  template <typename Action>
  bool succeeds(Action&& action) {
    try {
      action();
      return true;
    } catch (const Error& error) {
      EXPECT_TRUE(error.code() == ErrorCode::kInvalidFile || error.code() == ErrorCode::kUsage) << error.what();
      return false;
    }
  }

  void refuse(const Json& note, const std::string& word) {
    Parts parts = parts_;
    parts.note = note;
    put_together(bad_, parts);
    expect_error([&] { conversation_.load(bad_); }, bad_, word);
  }

  const ConversationFlags flags_ = demo_flags();
  const InterruptGuard interrupt_;
  TempDirectory directory_;
  const std::string good_ = directory_.file("good.session");
  const std::string bad_ = directory_.file("bad.session");
  const std::string again_ = directory_.file("again.session");
  Parts parts_;
  Conversation conversation_{flags_};
};

TEST_F(ConversationFileTest, FieldsAreCheckedAgainstEachOther) {
  Json note = parts_.note;
  note["chat"]["turns"][0]["messages"] = 4;
  note["chat"]["turns"][1]["messages"] = 0;
  refuse(note, "chat.turns[0].messages");
  note = parts_.note;
  note["chat"]["turns"][1]["position"] = note["chat"]["turns"][2]["position"];
  refuse(note, "chat.turns[1].read");
  note = parts_.note;
  note["chat"]["turns"].erase(2);
  refuse(note, "chat.turns");
  note = parts_.note;
  note["chat"]["messages"] = Json::object();
  refuse(note, "chat.messages");
  note = parts_.note;
  note["chat"]["messages"].erase(1);
  refuse(note, "chat.messages[1].role");
  note = parts_.note;
  note["chat"]["messages"][0]["task"] = "title";
  refuse(note, "chat.messages[0].task");
  note = parts_.note;
  note["chat"] = {{"messages", Json::array()},
                  {"turns", Json::array()},
                  {"read", "<｜begin▁of▁sentence｜><｜User｜>x<｜Assistant｜></think>"}};
  refuse(note, "chat.read");
  note = parts_.note;
  note["unread"] = {4000000};
  refuse(note, "4000000");
}

TEST_F(ConversationFileTest, IsRefusedOrGoesOn) {
  Mutation mutation(2024);
  size_t accepted = 0;
  for (int i = 0; i < 400; ++i) {
    SCOPED_TRACE(i);
    Parts parts = parts_;
    for (uint32_t changes = 1 + mutation.below(2); changes > 0; --changes) {
      mutation.change(mutation.below(4) == 0 ? parts.info : parts.note);
    }
    put_together(bad_, parts);
    if (!succeeds([&] { conversation_.load(bad_); })) continue;
    ++accepted;
    for (int step = 0; step < 3; ++step) {
      const uint32_t kind = mutation.below(3);
      if (kind == 0) {
        succeeds([&] { conversation_.rewind(1 + mutation.below(2)); });
      } else if (kind == 1) {
        succeeds([&] { conversation_.ask("x", interrupt_); });
      }
    }
    ASSERT_TRUE(succeeds([&] { conversation_.save(again_); }));
    ASSERT_TRUE(succeeds([&] { conversation_.load(again_); }));
  }
  EXPECT_GT(accepted, 10u) << "most changes would otherwise hide behind one check";
}

TEST_F(ConversationFileTest, SavesWhatIsNoUtf8) {
  conversation_.ask("bytes \xff\xfe of another code page", interrupt_);
  conversation_.save(again_);
  conversation_.load(again_);
  EXPECT_EQ(conversation_.questions(), 1u);
}

}  // namespace
}  // namespace nibble
