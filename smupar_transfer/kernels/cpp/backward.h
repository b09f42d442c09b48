// Gradients for inputs and values in one pass over the columns of W.
#pragma once

#include "pack.h"
#include "panels.h"

namespace smupar {

// Sums over lanes cost more than the products if taken one by one: they are gathered and taken kLanes at a time.
class LaneSums {
 public:
  // Sums go to target[0], target[1], ... in the order in which they come: into them, or on top of what is there.
  LaneSums(float* target, bool on_top) : target_(target), on_top_(on_top) {}

  // Inlined, since a call would have all registers of the loop around it saved.
  [[gnu::always_inline]] void add(Vec sum) {
    waiting_[count_++] = sum;
    if (count_ < kLanes) return;
    put(kLanes);
    target_ += kLanes;
    count_ = 0;
  }

  // Takes what is left, at the end.
  void flush() {
    if (count_ == 0) return;
    for (int i = count_; i < kLanes; i++) waiting_[i] = Vec{};
    put(count_);
  }

 private:
  void put(int count) {
    const Vec sums = sum_lanes(waiting_);
    store_loose(target_, on_top_ ? load_loose(target_, count) + sums : sums, count);
  }

  Vec waiting_[kLanes];
  float* target_;
  bool on_top_;
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
    const Vec value = broadcast(values[p]);
    Vec even{}, odd{};
#pragma GCC unroll 16
    for (int n = 0; n < N; n++) {
      Vec dy = load(from + n * kLanes);
      keep(dy);
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

// Floats of scratch that backward_tile needs: inputs of a panel and their gradients.
inline int64_t backward_scratch(const Panels& weight, int64_t tile) {
  return 2 * std::min(weight.panel, weight.lines) * tile;
}

// One panel of columns over one tile of up to N * kLanes tokens. Adds to values_gradient, or fills it if it is `fresh`;
// like `values`, it is in the order of the panels. `gradient` is tiled, all rows; the others are dense, from the panel's
// first column on.
template <int N, bool ForInputs, class Number>
void backward_tile(const Panels& weight, int64_t p, const float* gradient, const Number* inputs, int64_t tokens,
                   const float* values, float* scratch, Number* inputs_gradient, float* values_gradient, bool fresh) {
  constexpr int64_t tile = N * kLanes;
  const int64_t width = weight.width(p);
  float* x = scratch;
  float* dx = scratch + width * tile;
  pack(inputs, weight.lines, tokens, width, x, tile);
  for (int64_t b = 0; b < weight.blocks(); b++) {
    const int32_t* starts = weight.starts_of(p, b);
    const float* block = gradient + b * weight.block * tile;
    LaneSums sums(values_gradient + starts[0], !fresh);
    for (int64_t i = 0; i < width; i++) {
      multiply_column<N, ForInputs>(values + starts[i], weight.index + starts[i], starts[i + 1] - starts[i], block,
                                    x + i * tile, b > 0, dx + i * tile, sums);
    }
    sums.flush();
  }
  if (!ForInputs) return;
  for (int64_t i = 0; i < width; i += kLanes) {
    const int height = static_cast<int>(std::min<int64_t>(width - i, kLanes));
    unpack(dx + i * tile, tile, tokens, height, inputs_gradient + i, weight.lines);
  }
}

}  // namespace smupar
