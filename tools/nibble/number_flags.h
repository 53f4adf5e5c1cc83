// Numbers as people write them. The command line library reads numbers as C does: "010" is 8, " 5" and "+3" are
// numbers, nothing at all is 0, and a seed above 64 bits is the largest there is.
#pragma once

#include <string>

#include <CLI/CLI.hpp>

namespace nibble {

// "" if `text` is a whole number in decimal digits, of at most 64 bits; else what is wrong with it.
std::string why_no_integer(const std::string& text);
// The same for a finite number like 0.7, 1e-3 or -2.
std::string why_no_number(const std::string& text);

// Has every option of the program and its commands whose value is called a number (N, S, K: integers; T, P, M, SECONDS:
// any) refuse other texts. Ranges are each option's own business.
void require_numbers(CLI::App& program);

}  // namespace nibble
