// The two operators that torch sees, the choice of tile width, and the distribution over threads.
//
// Every number is summed in an order that depends on shapes and structure alone: results are the same on every call,
// and for any number of threads.
#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/zeros.h>
#include <torch/library.h>

#include <optional>
#include <tuple>
#include <type_traits>

#include "backward.h"
#include "forward.h"
#include "scratch.h"

namespace smupar {
namespace {

using at::Tensor;

// In how many ranges tokens are cut backwards. Every range has a sum for every entry: that pays where there are few
// (4 MiB in all; measured on two cores with and without a common last-level cache).
int64_t token_ranges(int64_t tiles, int64_t entries) {
  constexpr int64_t most = 4, tiles_in_range = 2, most_sums = 1 << 20;
  return std::clamp<int64_t>(std::min(tiles / tiles_in_range, most_sums / std::max<int64_t>(entries, 1)), 1, most);
}

const uint16_t* local_index(const Tensor& index) {
  return reinterpret_cast<const uint16_t*>(index.const_data_ptr<int16_t>());
}

// Calls action with an integral constant: how many vectors make a tile of about `wanted` tokens, no more than `Most`,
// and fewer where there are too few tokens to fill them.
template <int Most, class Action>
void with_vectors(int64_t wanted, int64_t tokens, const Action& action) {
  if constexpr (Most > 1) {
    if (wanted < Most * kLanes || tokens <= Most / 2 * kLanes) return with_vectors<Most / 2>(wanted, tokens, action);
  }
  action(std::integral_constant<int, Most>{});
}

Panels panels_of(const Tensor& index, const Tensor& starts, int64_t lines, int64_t along, int64_t panel, int64_t block) {
  check(index, at::kShort, 1, "index");
  check(starts, at::kInt, 1, "starts");
  const Panels weight{local_index(index), starts.const_data_ptr<int32_t>(), lines, along, panel, block};
  TORCH_CHECK(starts.numel() == weight.segments() + 1, "the structure is that of a matrix of another shape");
  return weight;
}

// Values from row-major order to that of panels of rows: every segment is contiguous in both.
Tensor into_panels(const Tensor& values, const Panels& weight, const Tensor& row_starts) {
  if (weight.blocks() == 1) return values;  // the same order
  Tensor ordered = at::empty_like(values);
  const float* from = values.const_data_ptr<float>();
  const int32_t* rows = row_starts.const_data_ptr<int32_t>();
  float* to = ordered.data_ptr<float>();
  at::parallel_for(0, weight.panels(), 1, [&](int64_t begin, int64_t end) {
    for (int64_t p = begin; p < end; p++) {
      for (int64_t i = 0; i < weight.width(p); i++) {
        const float* next = from + rows[p * weight.panel + i];
        for (int64_t b = 0; b < weight.blocks(); b++) {
          const int32_t* starts = weight.starts_of(p, b);
          const int64_t count = starts[i + 1] - starts[i];
          std::copy_n(next, count, to + starts[i]);
          next += count;
        }
      }
    }
  });
  return ordered;
}

// The last six arguments are for the backward pass alone.
Tensor linear(const Tensor& inputs_, const Tensor& values, const std::optional<Tensor>& bias, const Tensor& index,
              const Tensor& starts, const Tensor& row_starts, int64_t panel, int64_t block, int64_t wanted_tile,
              const Tensor&, const Tensor&, const Tensor&, int64_t, int64_t, int64_t) {
  const Tensor inputs = inputs_.contiguous();
  check(inputs, inputs.scalar_type(), 2, "inputs");
  check(values, at::kFloat, 1, "values");
  check(row_starts, at::kInt, 1, "row_starts");
  const int64_t tokens = inputs.size(0), rows = row_starts.numel() - 1;
  const Panels weight = panels_of(index, starts, rows, inputs.size(1), panel, block);
  TORCH_CHECK(values.numel() == index.numel(), values.numel(), " values for ", index.numel(), " entries");
  if (bias) {
    check(*bias, at::kFloat, 1, "bias");
    TORCH_CHECK(bias->numel() == rows, bias->numel(), " biases for ", rows, " outputs");
  }
  const float* biases = bias ? bias->const_data_ptr<float>() : nullptr;
  const Tensor ordered = into_panels(values, weight, row_starts);
  Tensor outputs = at::empty({tokens, rows}, inputs.options());
  with_number(inputs, "inputs", [&](auto* number) {
    using Number = std::remove_pointer_t<decltype(number)>;
    const Number* from = numbers<Number>(inputs);
    Number* to = numbers<Number>(outputs);
    with_vectors<8>(wanted_tile, tokens, [&](auto vectors) {
      constexpr int64_t tile = vectors() * kLanes;
      at::parallel_for(0, (tokens + tile - 1) / tile, 1, [&](int64_t begin, int64_t end) {
        const Tensor scratch = scratch_like(inputs, forward_scratch(weight, tile));
        for (int64_t t = begin * tile; t < std::min(end * tile, tokens); t += tile) {
          forward_tile<vectors()>(weight, from + t * weight.along, std::min(tile, tokens - t),
                                  ordered.const_data_ptr<float>(), biases, aligned(scratch), to + t * rows);
        }
      });
    });
  });
  return outputs;
}

// reordered[i] = values[positions[i]]
Tensor gather(const Tensor& values, const Tensor& positions) {
  Tensor reordered = at::empty_like(values);
  const float* from = values.const_data_ptr<float>();
  const int32_t* position = positions.const_data_ptr<int32_t>();
  float* to = reordered.data_ptr<float>();
  at::parallel_for(0, values.numel(), kElementwiseGrain, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; i++) to[i] = from[position[i]];
  });
  return reordered;
}

// values[positions[i]] = sum_r parts[r][i], in the order of r
Tensor scatter_sum(const Tensor& parts, const Tensor& positions) {
  Tensor values = at::empty({parts.size(1)}, parts.options());
  const float* from = parts.const_data_ptr<float>();
  const int32_t* position = positions.const_data_ptr<int32_t>();
  float* to = values.data_ptr<float>();
  const int64_t ranges = parts.size(0), count = parts.size(1);
  at::parallel_for(0, count, kElementwiseGrain, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; i++) {
      float sum = from[i];
      for (int64_t r = 1; r < ranges; r++) sum += from[r * count + i];
      to[position[i]] = sum;
    }
  });
  return values;
}

// What both ways to share out a backward pass work on.
template <int N, bool ForInputs, class Number>
struct Backward {
  static constexpr int64_t tile = N * kLanes;
  const Panels& weight;
  const Number *gradient, *inputs;
  const float* values;
  Number* inputs_gradient;  // null unless ForInputs
  int64_t tokens;

  int64_t tiles() const { return (tokens + tile - 1) / tile; }
  int64_t packed_size() const { return weight.along * tile; }

  void pack_tile(int64_t i, float* packed) const {
    pack(gradient + i * tile * weight.along, weight.along, std::min(tile, tokens - i * tile), weight.along, packed, tile);
  }

  void multiply(int64_t i, int64_t panel, const float* packed, float* scratch, float* sums, bool fresh) const {
    const int64_t corner = i * tile * weight.lines + panel * weight.panel;
    backward_tile<N, ForInputs>(weight, panel, packed, inputs + corner, std::min(tile, tokens - i * tile), values,
                                scratch, ForInputs ? inputs_gradient + corner : nullptr, sums, fresh);
  }
};

// A piece of work is a panel over a range of tokens, and ranges have sums of their own. A thread takes neighbouring
// pieces: whole ranges where it can, as in the layers before and after, so that what it reads lies in its own cache.
template <class Pass>
void share_tokens(const Pass& pass, Tensor& parts) {
  const int64_t panels = pass.weight.panels(), ranges = parts.size(0), tiles = pass.tiles();
  at::parallel_for(0, ranges * panels, 1, [&](int64_t begin, int64_t end) {
    const Tensor packed = scratch_like(parts, pass.packed_size());
    const Tensor scratch = scratch_like(parts, backward_scratch(pass.weight, pass.tile));
    for (int64_t r = begin / panels; r * panels < end; r++) {
      const int64_t first = std::max(begin - r * panels, int64_t{0}), last = std::min(end - r * panels, panels);
      const int64_t from = tiles * r / ranges, to = tiles * (r + 1) / ranges;
      float* sums = parts.data_ptr<float>() + r * parts.size(1);
      for (int64_t i = from; i < to; i++) {
        pass.pack_tile(i, aligned(packed));
        for (int64_t p = first; p < last; p++) pass.multiply(i, p, aligned(packed), aligned(scratch), sums, i == from);
      }
    }
  });
}

// With one range, so with many weights, a thread keeps to panels: it reads no more than its part of the weights. As many
// tiles at a time as there are threads are packed, each by one of them, then read by all.
template <class Pass>
void share_panels(const Pass& pass, Tensor& parts) {
  const int64_t tiles = pass.tiles(), at_once = std::min<int64_t>(at::get_num_threads(), tiles);
  const Tensor storage = scratch_like(parts, at_once * pass.packed_size());
  float* packed = aligned(storage);
  float* sums = parts.data_ptr<float>();
  for (int64_t chunk = 0; chunk < tiles; chunk += at_once) {
    const int64_t count = std::min(at_once, tiles - chunk);
    at::parallel_for(0, count, 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; i++) pass.pack_tile(chunk + i, packed + i * pass.packed_size());
    });
    at::parallel_for(0, pass.weight.panels(), 1, [&](int64_t begin, int64_t end) {
      const Tensor scratch = scratch_like(parts, backward_scratch(pass.weight, pass.tile));
      for (int64_t i = 0; i < count; i++) {
        const float* tile = packed + i * pass.packed_size();
        for (int64_t p = begin; p < end; p++) {
          pass.multiply(chunk + i, p, tile, aligned(scratch), sums, chunk + i == 0);
        }
      }
    });
  }
}

template <int N, bool ForInputs, class Number>
void share_out(const Panels& weight, const Tensor& gradient, const Tensor& inputs, const Tensor& values,
               Tensor& inputs_gradient, Tensor& parts) {
  const Backward<N, ForInputs, Number> pass{weight,
                                            numbers<Number>(gradient),
                                            numbers<Number>(inputs),
                                            values.const_data_ptr<float>(),
                                            ForInputs ? numbers<Number>(inputs_gradient) : nullptr,
                                            inputs.size(0)};
  if (parts.size(0) > 1) {
    share_tokens(pass, parts);
  } else {
    share_panels(pass, parts);
  }
}

std::tuple<Tensor, Tensor> linear_backward(const Tensor& gradient_, const Tensor& inputs_, const Tensor& values,
                                           const Tensor& index, const Tensor& starts, const Tensor& positions,
                                           int64_t panel, int64_t block, int64_t wanted_tile, bool for_inputs) {
  const Tensor gradient = gradient_.contiguous(), inputs = inputs_.contiguous();
  check(inputs, inputs.scalar_type(), 2, "inputs");
  check(gradient, inputs.scalar_type(), 2, "gradient");
  check(values, at::kFloat, 1, "values");
  check(positions, at::kInt, 1, "positions");
  const int64_t tokens = inputs.size(0);
  const Panels weight = panels_of(index, starts, inputs.size(1), gradient.size(1), panel, block);
  TORCH_CHECK(gradient.size(0) == tokens, gradient.size(0), " gradients for ", tokens, " tokens");
  TORCH_CHECK(values.numel() == index.numel() && values.numel() == positions.numel(), values.numel(), " values for ",
              index.numel(), " entries");
  Tensor inputs_gradient = for_inputs ? at::empty_like(inputs) : at::empty({0, inputs.size(1)}, inputs.options());
  const Tensor ordered = gather(values, positions);
  Tensor parts;
  // Inputs and their gradient stay in registers, beside a few for the rest.
  with_vectors<kRegisters / 4>(wanted_tile, tokens, [&](auto vectors) {
    constexpr int64_t tile = vectors() * kLanes;
    parts = tokens > 0 ? at::empty({token_ranges(tokens / tile, values.numel()), values.numel()}, values.options())
                       : at::zeros({1, values.numel()}, values.options());
    with_number(inputs, "inputs", [&](auto* number) {
      using Number = std::remove_pointer_t<decltype(number)>;
      if (for_inputs) {
        share_out<vectors(), true, Number>(weight, gradient, inputs, ordered, inputs_gradient, parts);
      } else {
        share_out<vectors(), false, Number>(weight, gradient, inputs, ordered, inputs_gradient, parts);
      }
    });
  });
  return {inputs_gradient, scatter_sum(parts, positions)};
}

}  // namespace

TORCH_LIBRARY(smupar_native, library) {
  library.def("lanes() -> int", [] { return static_cast<int64_t>(kLanes); });
  library.def(
      "linear(Tensor inputs, Tensor values, Tensor? bias, Tensor index, Tensor starts, Tensor row_starts, int panel, "
      "int block, int tile, Tensor index_t, Tensor starts_t, Tensor positions_t, int panel_t, int block_t, int tile_t) "
      "-> Tensor");
  library.def(
      "linear_backward(Tensor gradient, Tensor inputs, Tensor values, Tensor index_t, Tensor starts_t, "
      "Tensor positions_t, int panel_t, int block_t, int tile_t, bool for_inputs) -> (Tensor, Tensor)");
}

TORCH_LIBRARY_IMPL(smupar_native, CPU, library) {
  library.impl("linear", &linear);
  library.impl("linear_backward", &linear_backward);
}

}  // namespace smupar
