// outputs = inputs W^T + bias, over the rows of W.
#pragma once

#include "pack.h"
#include "panels.h"

namespace smupar {

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
    sums[0][n] = resume ? load(output + n * kLanes) : broadcast(start);
#pragma GCC unroll 16
    for (int c = 1; c < chains; c++) sums[c][n] = Vec{};
  }
  int64_t p = 0;
  for (; p + chains <= count; p += chains) {
#pragma GCC unroll 16
    for (int c = 0; c < chains; c++) {
      const Vec value = broadcast(values[p + c]);
      const float* from = tiled + index[p + c] * tile;
#pragma GCC unroll 16
      for (int n = 0; n < N; n++) sums[c][n] += value * load(from + n * kLanes);
    }
  }
  for (; p < count; p++) {
    const Vec value = broadcast(values[p]);
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

// Floats of scratch that forward_tile needs: all inputs of the tile, and the sums of a panel.
inline int64_t forward_scratch(const Panels& weight, int64_t tile) {
  return (weight.along + std::min(weight.panel, weight.lines)) * tile;
}

// All outputs of up to N * kLanes tokens. `values` are in the order of the panels.
template <int N, class Number>
void forward_tile(const Panels& weight, const Number* inputs, int64_t tokens, const float* values, const float* bias,
                  float* scratch, Number* outputs) {
  constexpr int64_t tile = N * kLanes;
  float* tiled = scratch;
  float* sums = scratch + weight.along * tile;
  pack(inputs, weight.along, tokens, weight.along, tiled, tile);
  for (int64_t p = 0; p < weight.panels(); p++) {
    const int64_t first = p * weight.panel, width = weight.width(p);
    for (int64_t b = 0; b < weight.blocks(); b++) {
      const int32_t* starts = weight.starts_of(p, b);
      const float* block = tiled + b * weight.block * tile;
      for (int64_t i = 0; i < width; i++) {
        multiply_row<N>(values + starts[i], weight.index + starts[i], starts[i + 1] - starts[i], block,
                        bias ? bias[first + i] : 0.0f, b > 0, sums + i * tile);
      }
    }
    for (int64_t i = 0; i < width; i += kLanes) {
      const int height = static_cast<int>(std::min<int64_t>(width - i, kLanes));
      unpack(sums + i * tile, tile, tokens, height, outputs + first + i, weight.lines);
    }
  }
}

}  // namespace smupar
