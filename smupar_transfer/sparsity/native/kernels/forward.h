// outputs = inputs W^T + bias, W sparse in rows whose columns are cut into blocks.
#pragma once

#include "pack.h"

namespace smupar {

// The structure of W for the forward pass. Values stay in row-major order: a row's entries within one block of columns
// are contiguous there, from starts[block * rows + row] to starts[(block + 1) * rows + row].
struct RowBlocks {
  const uint16_t* index;  // column within its block, of every entry
  const int32_t* starts;  // (blocks + 1) x rows
  int64_t rows, columns, block;

  int64_t blocks() const { return (columns + block - 1) / block; }
};

// output[t] = start + sum_p values[p] * tiled[index[p]][t] over one tile of N vectors; with `resume`, the sum goes on
// from what output holds.
template <int N>
[[gnu::noinline]] void multiply_row(const float* __restrict values, const uint16_t* __restrict index, int64_t count,
                                    const float* __restrict tiled, float start, bool resume, float* __restrict output) {
  constexpr int64_t tile = N * kLanes;
  // Several independent sums where a tile is too narrow to hide the latency of a multiply-add on its own.
  constexpr int chains = N <= 2 ? 4 : N <= 4 ? 2 : 1;
  Vec sums[chains][N];
#pragma GCC unroll 16
  for (int n = 0; n < N; n++) {
    sums[0][n] = resume ? load(output + n * kLanes) : Vec{} + start;
#pragma GCC unroll 16
    for (int c = 1; c < chains; c++) sums[c][n] = Vec{};
  }
  int64_t p = 0;
  for (; p + chains <= count; p += chains) {
#pragma GCC unroll 16
    for (int c = 0; c < chains; c++) {
      const Vec value = Vec{} + values[p + c];
      const float* from = tiled + index[p + c] * tile;
#pragma GCC unroll 16
      for (int n = 0; n < N; n++) sums[c][n] += value * load(from + n * kLanes);
    }
  }
  for (; p < count; p++) {
    const Vec value = Vec{} + values[p];
    const float* from = tiled + index[p] * tile;
#pragma GCC unroll 16
    for (int n = 0; n < N; n++) sums[0][n] += value * load(from + n * kLanes);
  }
#pragma GCC unroll 16
  for (int n = 0; n < N; n++) {
#pragma GCC unroll 16
    for (int c = 1; c < chains; c++) sums[0][n] += sums[c][n];
    store(output + n * kLanes, sums[0][n]);
  }
}

// Floats of scratch that forward_tile needs. Unless there is one block only, sums of all rows wait for the next block.
inline int64_t forward_scratch(const RowBlocks& weight, int64_t tile) {
  const int64_t waiting = weight.blocks() > 1 ? weight.rows : kLanes;
  return (std::min(weight.block, weight.columns) + waiting) * tile;
}

// All outputs of up to N * kLanes tokens. The block of inputs in use stays in cache while every row passes over it.
template <int N>
void forward_tile(const RowBlocks& weight, const float* inputs, int64_t tokens, const float* values, const float* bias,
                  float* scratch, float* outputs) {
  constexpr int64_t tile = N * kLanes;
  float* tiled = scratch;
  float* sums = scratch + std::min(weight.block, weight.columns) * tile;
  const int64_t blocks = weight.blocks();
  for (int64_t b = 0; b < blocks; b++) {
    const int64_t first = b * weight.block;
    pack(inputs + first, weight.columns, tokens, std::min(weight.block, weight.columns - first), tiled, tile);
    const int32_t* starts = weight.starts + b * weight.rows;
    const int32_t* ends = starts + weight.rows;
    for (int64_t row = 0; row < weight.rows; row += kLanes) {
      const int height = static_cast<int>(std::min<int64_t>(weight.rows - row, kLanes));
      float* here = blocks > 1 ? sums + row * tile : sums;
      for (int i = 0; i < height; i++) {
        const int32_t start = starts[row + i];
        multiply_row<N>(values + start, weight.index + start, ends[row + i] - start, tiled,
                        bias ? bias[row + i] : 0.0f, b > 0, here + i * tile);
      }
      if (b == blocks - 1) unpack(here, tile, tokens, height, outputs + row, weight.rows);
    }
  }
}

}  // namespace smupar
