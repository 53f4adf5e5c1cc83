// What can be said of a mutant without running it.
#pragma once

#include <cstdint>
#include <vector>

namespace nibble::mutation {

bool is_valid(const std::vector<uint32_t>& words);

// The module as the optimiser leaves it, ids renumbered: mutants whose form is that of the original compute the same.
std::vector<uint32_t> canonical_form(const std::vector<uint32_t>& words);

}  // namespace nibble::mutation
