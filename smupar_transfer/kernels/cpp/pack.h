// Between row-major (tokens, features) and tiles of tokens that lie feature-major.
//
// A tile holds `tile` tokens, a multiple of kLanes, as features x tile floats: a weight then multiplies contiguous
// vectors whatever its column, so that sparse products need no gather instructions.
#pragma once

#include <algorithm>

#include "vec.h"

namespace smupar {

// tiled[f * tile + t] = dense[t * stride + f] for f < features, t < tokens; zero for tokens <= t < tile.
template <class Number>
void pack(const Number* dense, int64_t stride, int64_t tokens, int64_t features, float* tiled, int64_t tile) {
  for (int64_t t = 0; t < tile; t += kLanes) {
    const int height = static_cast<int>(std::clamp<int64_t>(tokens - t, 0, kLanes));
    for (int64_t f = 0; f < features; f += kLanes) {
      const int width = static_cast<int>(std::min<int64_t>(features - f, kLanes));
      const Number* corner = dense + t * stride + f;
      Vec rows[kLanes];
      if (height == kLanes && width == kLanes) {
#pragma GCC unroll 16
        for (int i = 0; i < kLanes; i++) rows[i] = load_loose(corner + i * stride, kLanes);
      } else {
        for (int i = 0; i < kLanes; i++) rows[i] = i < height ? load_loose(corner + i * stride, width) : Vec{};
      }
      transpose(rows);
      float* to = tiled + f * tile + t;
      if (width == kLanes) {
#pragma GCC unroll 16
        for (int i = 0; i < kLanes; i++) store(to + i * tile, rows[i]);
      } else {
        for (int i = 0; i < width; i++) store(to + i * tile, rows[i]);
      }
    }
  }
}

// The way back: dense[t * stride + f] = tiled[f * tile + t] for f < features <= kLanes, t < tokens.
template <class Number>
void unpack(const float* tiled, int64_t tile, int64_t tokens, int features, Number* dense, int64_t stride) {
  for (int64_t t = 0; t < tokens; t += kLanes) {
    const int height = static_cast<int>(std::min<int64_t>(tokens - t, kLanes));
    Vec rows[kLanes];
    if (features == kLanes) {
#pragma GCC unroll 16
      for (int i = 0; i < kLanes; i++) rows[i] = load(tiled + i * tile + t);
    } else {
      for (int i = 0; i < kLanes; i++) rows[i] = i < features ? load(tiled + i * tile + t) : Vec{};
    }
    transpose(rows);
    Number* to = dense + t * stride;
    if (height == kLanes && features == kLanes) {
#pragma GCC unroll 16
      for (int i = 0; i < kLanes; i++) store_loose(to + i * stride, rows[i], kLanes);
    } else {
      for (int i = 0; i < height; i++) store_loose(to + i * stride, rows[i], features);
    }
  }
}

}  // namespace smupar
