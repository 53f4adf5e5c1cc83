// What a subcommand of `nibble` is: one file cmd_<name>.cpp with one function add_<name>_command, listed in
// commands.inc. The function adds a CLI11 subcommand whose callback does the work and throws nibble::Error.
#pragma once

#include <CLI/CLI.hpp>

namespace nibble {

#define NIBBLE_COMMAND(name) void add_##name##_command(CLI::App& program);
#include "tools/nibble/commands.inc"
#undef NIBBLE_COMMAND

// What a child asks of drivers before its parent loads them; not for people.
void add_driver_worker(CLI::App& program);

}  // namespace nibble
