// Causal attention of one head over short sequences: everything of a head stays in the second cache.
#pragma once

#include <algorithm>
#include <limits>

#include "exponential.h"
#include "pack.h"

namespace smupar {

inline constexpr int64_t kQueries = 16;  // at a time: they read the keys up to the last of them only

// out[r][n] = sum_k a[r * row + k * step] * b[k * stride + n] for R rows and N vectors of columns.
template <int R, int N>
inline void multiply_block(const float* a, int64_t row, int64_t step, const float* b, int64_t stride, int64_t count,
                           float* out, int64_t out_stride) {
  Vec sums[R][N] = {};
  for (int64_t k = 0; k < count; k++) {
    Vec right[N];
#pragma GCC unroll 16
    for (int n = 0; n < N; n++) {
      right[n] = load_loose(b + k * stride + n * kLanes, kLanes);
      keep(right[n]);
    }
#pragma GCC unroll 16
    for (int r = 0; r < R; r++) {
      const Vec left = broadcast(a[r * row + k * step]);
#pragma GCC unroll 16
      for (int n = 0; n < N; n++) sums[r][n] += left * right[n];
    }
  }
#pragma GCC unroll 16
  for (int r = 0; r < R; r++) {
#pragma GCC unroll 16
    for (int n = 0; n < N; n++) store_loose(out + r * out_stride + n * kLanes, sums[r][n], kLanes);
  }
}

// The same for any number of rows, and of columns that is a multiple of kLanes. Narrower pieces take more rows: the sums
// must be many enough to hide the latency of a multiply-add, and few enough for the registers.
template <int N = kRegisters / 8>
void multiply_small(const float* a, int64_t row, int64_t step, int64_t rows, const float* b, int64_t stride,
                    int64_t columns, int64_t count, float* out, int64_t out_stride) {
  constexpr int R = N == 1 ? 8 : 4;
  int64_t n = 0;
  for (; n + N * kLanes <= columns; n += N * kLanes) {
    int64_t r = 0;
    for (; r + R <= rows; r += R) {
      multiply_block<R, N>(a + r * row, row, step, b + n, stride, count, out + r * out_stride + n, out_stride);
    }
    for (; r < rows; r++) {
      multiply_block<1, N>(a + r * row, row, step, b + n, stride, count, out + r * out_stride + n, out_stride);
    }
  }
  if constexpr (N > 1) {
    if (n < columns) {
      multiply_small<N / 2>(a, row, step, rows, b + n, stride, columns - n, count, out + n, out_stride);
    }
  }
}

inline float sum_of(Vec value) {
  float total = 0;
  for (int i = 0; i < kLanes; i++) total += value[i];
  return total;
}

// Logits to weights that sum to one, in place; those from `valid` to `padded` become zero.
inline void softmax_row(float* row, const float* bias, float scale, int64_t valid, int64_t padded) {
  constexpr float nowhere = -std::numeric_limits<float>::infinity();
  for (int64_t j = 0; j < valid; j++) row[j] = row[j] * scale + (bias ? bias[j] : 0.0f);
  std::fill(row + valid, row + padded, nowhere);
  Vec top = broadcast(nowhere);
  for (int64_t j = 0; j < padded; j += kLanes) {
    const Vec here = load(row + j);
    top = here > top ? here : top;
  }
  float largest = top[0];
  for (int i = 1; i < kLanes; i++) largest = std::max(largest, top[i]);
  Vec total{};
  for (int64_t j = 0; j < padded; j += kLanes) {
    const Vec weight = exponential(load(row + j) - broadcast(largest));
    total += weight;
    store(row + j, weight);
  }
  const Vec inverse = broadcast(1.0f / sum_of(total));
  for (int64_t j = 0; j < padded; j += kLanes) store(row + j, load(row + j) * inverse);
}

// Where a head's tokens lie: `time` rows of `channels` floats, `stride` apart. Channels are a multiple of kLanes.
struct Head {
  int64_t time, channels, stride;

  int64_t padded(int64_t count) const { return (count + kLanes - 1) / kLanes * kLanes; }
  int64_t width() const { return padded(time); }  // of a row of weights
  int64_t scratch() const { return channels * width(); }
};

// Weights (time x width(), zero in the future) and weighted values of one head. `out_stride` apart lie the rows of out.
inline void attend(const Head& head, const float* q, const float* k, const float* v, const float* bias,
                   int64_t bias_stride, float scale, float* scratch, float* weights, float* out, int64_t out_stride) {
  const int64_t width = head.width(), channels = head.channels;
  pack(k, head.stride, head.time, channels, scratch, width);
  for (int64_t first = 0; first < head.time; first += kQueries) {
    const int64_t last = std::min(first + kQueries, head.time), padded = head.padded(last);
    float* block = weights + first * width;
    multiply_small(q + first * head.stride, head.stride, 1, last - first, scratch, width, padded, channels, block, width);
    for (int64_t r = first; r < last; r++) {
      softmax_row(weights + r * width, bias ? bias + r * bias_stride : nullptr, scale, r + 1, padded);
    }
    multiply_small(block, width, 1, last - first, v, head.stride, channels, last, out + first * out_stride, out_stride);
  }
}

// Gradients of one head, laid out as its tokens are; `gradient` is laid out as `out` above. Scratch: that of the head,
// and time x width() more.
inline void attend_backward(const Head& head, const float* q, const float* k, const float* v, const float* weights,
                            const float* gradient, int64_t out_stride, float scale, float* scratch, float* dq,
                            float* dk, float* dv) {
  const int64_t time = head.time, width = head.width(), channels = head.channels;
  float* logits = scratch + head.scratch();  // their gradient
  pack(v, head.stride, time, channels, scratch, width);
  for (int64_t first = 0; first < time; first += kQueries) {
    const int64_t last = std::min(first + kQueries, time), padded = head.padded(last), rows = last - first;
    float* block = logits + first * width;
    multiply_small(gradient + first * out_stride, out_stride, 1, rows, scratch, width, padded, channels, block, width);
    for (int64_t r = first; r < last; r++) {
      const float* weight = weights + r * width;
      float* row = logits + r * width;
      Vec product{};
      for (int64_t j = 0; j < padded; j += kLanes) product += load(weight + j) * load(row + j);
      const Vec mean = broadcast(sum_of(product));
      for (int64_t j = 0; j < padded; j += kLanes) {
        store(row + j, load(weight + j) * (load(row + j) - mean) * broadcast(scale));
      }
    }
    multiply_small(block, width, 1, rows, k, head.stride, channels, last, dq + first * head.stride, head.stride);
  }
  // Keys and values: the queries from their own block on, whose weights for them are not all zero.
  for (int64_t first = 0; first < time; first += kQueries) {
    const int64_t rows = std::min(kQueries, time - first), corner = first * width + first, count = time - first;
    multiply_small(weights + corner, 1, width, rows, gradient + first * out_stride, out_stride, channels, count,
                   dv + first * head.stride, head.stride);
    multiply_small(logits + corner, 1, width, rows, q + first * head.stride, head.stride, channels, count,
                   dk + first * head.stride, head.stride);
  }
}

}  // namespace smupar
