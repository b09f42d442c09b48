// How a sparse matrix is cut up for one pass over it.
#pragma once

#include <algorithm>
#include <cstdint>

namespace smupar {

// Lines are the rows of W forwards and its columns backwards. They are cut into panels, and what is summed along a line
// into blocks. Entries are ordered by panel, then block, then line, so that a pass reads them one after another while
// the block of the dense operand that it reads all over, and the sums of the panel's lines, stay near.
struct Panels {
  const uint16_t* index;  // place within its block, of every entry
  const int32_t* starts;  // where each line of each block of each panel starts, and the end
  int64_t lines, along;   // of W
  int64_t panel, block;   // lines in a panel, entries of a line in a block, zeros included

  int64_t panels() const { return (lines + panel - 1) / panel; }
  int64_t blocks() const { return (along + block - 1) / block; }
  int64_t segments() const { return lines * blocks(); }
  int64_t width(int64_t p) const { return std::min(panel, lines - p * panel); }

  // The starts of block b of panel p: width(p) of them, and the end.
  const int32_t* starts_of(int64_t p, int64_t b) const { return starts + p * panel * blocks() + b * width(p); }
};

}  // namespace smupar
