// Gradients for inputs and values in one pass over W, sparse in columns whose rows are cut into blocks.
#pragma once

#include "pack.h"

namespace smupar {

// The structure of W for the backward pass. Entries are ordered by block of rows, then column, then row: those of a
// column within a block go from starts[block * columns + column] to the next start.
struct ColumnBlocks {
  const uint16_t* index;  // row within its block, of every entry
  const int32_t* starts;  // blocks x columns, and the end
  int64_t rows, columns, block;

  int64_t blocks() const { return (rows + block - 1) / block; }
};

// Sums over lanes cost more than the products if taken one by one: they are gathered and taken kLanes at a time.
class LaneSums {
 public:
  // Sums are added to target[0], target[1], ... in the order in which they come.
  explicit LaneSums(float* target) : target_(target) {}

  void add(Vec sum) {
    waiting_[count_++] = sum;
    if (count_ == kLanes) flush();
  }

  void flush() {
    if (count_ == 0) return;
    for (int i = count_; i < kLanes; i++) waiting_[i] = Vec{};
    const Vec added = load_loose(target_, count_) + sum_lanes(waiting_);
    store_loose(target_, added, count_);
    target_ += count_;
    count_ = 0;
  }

 private:
  Vec waiting_[kLanes];
  float* target_;
  int count_ = 0;
};

// Over one tile of N vectors, for the entries p of one column within one block:
//   inputs_gradient[t] += sum_p values[p] * gradient[index[p]][t]   (if ForInputs; from zero without `resume`)
//   sums of t over inputs[t] * gradient[index[p]][t]                are handed to `sums`, lane by lane
template <int N, bool ForInputs>
[[gnu::noinline]] void multiply_column(const float* __restrict values, const uint16_t* __restrict index, int64_t count,
                                       const float* __restrict gradient, const float* __restrict inputs, bool resume,
                                       float* __restrict inputs_gradient, LaneSums& sums) {
  constexpr int64_t tile = N * kLanes;
  Vec x[N], dx[N];
#pragma GCC unroll 16
  for (int n = 0; n < N; n++) {
    x[n] = load(inputs + n * kLanes);
    if constexpr (ForInputs) dx[n] = resume ? load(inputs_gradient + n * kLanes) : Vec{};
  }
  for (int64_t p = 0; p < count; p++) {
    const float* from = gradient + index[p] * tile;
    const Vec value = Vec{} + values[p];
    Vec even{}, odd{};
#pragma GCC unroll 16
    for (int n = 0; n < N; n++) {
      const Vec dy = load(from + n * kLanes);
      if constexpr (ForInputs) dx[n] += value * dy;
      if (n % 2) {
        odd += x[n] * dy;
      } else {
        even += x[n] * dy;
      }
    }
    sums.add(N > 1 ? even + odd : even);
  }
  if constexpr (ForInputs) {
#pragma GCC unroll 16
    for (int n = 0; n < N; n++) store(inputs_gradient + n * kLanes, dx[n]);
  }
}

struct BackwardTile {
  const float* gradient;   // tiled, all rows
  const float* inputs;     // dense, from the tile's first token
  float* inputs_gradient;  // dense, likewise; null if nobody asks for it
  int64_t tokens;
};

// Floats of scratch per column that backward_tile needs when inputs and their gradient wait for the next block of rows.
inline int64_t backward_scratch(const ColumnBlocks& weight, int64_t tile) {
  return weight.blocks() > 1 ? 2 * tile : 0;
}

// The columns from `first` to `last` of one tile; `first` is a multiple of kLanes. Adds to values_gradient, which has
// the order of the entries. `scratch` belongs to these columns.
template <int N, bool ForInputs>
void backward_tile(const ColumnBlocks& weight, const BackwardTile& tokens, int64_t first, int64_t last,
                   const float* values, float* scratch, float* values_gradient) {
  constexpr int64_t tile = N * kLanes;
  alignas(kAlignment) float local[2 * kLanes * tile];
  const int64_t blocks = weight.blocks();
  for (int64_t b = 0; b < blocks; b++) {
    const float* gradient = tokens.gradient + b * weight.block * tile;
    const int32_t* starts = weight.starts + b * weight.columns;
    for (int64_t column = first; column < last; column += kLanes) {
      const int width = static_cast<int>(std::min<int64_t>(last - column, kLanes));
      float* x = blocks > 1 ? scratch + 2 * (column - first) * tile : local;
      float* dx = x + width * tile;
      if (b == 0) pack(tokens.inputs + column, weight.columns, tokens.tokens, width, x, tile);
      LaneSums sums(values_gradient + starts[column]);
      for (int i = 0; i < width; i++) {
        const int32_t start = starts[column + i];
        multiply_column<N, ForInputs>(values + start, weight.index + start, starts[column + i + 1] - start, gradient,
                                      x + i * tile, b > 0, dx + i * tile, sums);
      }
      sums.flush();
      if (ForInputs && b == blocks - 1) {
        unpack(dx, tile, tokens.tokens, width, tokens.inputs_gradient + column, weight.columns);
      }
    }
  }
}

}  // namespace smupar
