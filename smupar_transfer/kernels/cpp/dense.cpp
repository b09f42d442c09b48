// What else the kernels compute of a network, as torch sees it: attention, a head at a time, and GELU. Results do not
// depend on the number of threads.
#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <torch/library.h>

#include <optional>
#include <tuple>

#include "activation.h"
#include "attention.h"
#include "scratch.h"

namespace smupar {
namespace {

using at::Tensor;

// Offsets into (batch, time, 3, heads, channels) and (batch, time, heads, channels).
struct Layout {
  int64_t batch, time, heads, channels;

  Head head() const { return {time, channels, 3 * heads * channels}; }
  int64_t weights() const { return time * head().width(); }
  int64_t row() const { return heads * channels; }
  int64_t tokens(int64_t i, int64_t which) const {
    return i / heads * time * 3 * row() + which * row() + i % heads * channels;
  }
  int64_t outputs(int64_t i) const { return i / heads * time * row() + i % heads * channels; }
};

Layout layout_of(const Tensor& qkv) {
  check(qkv, at::kFloat, 5, "qkv");
  TORCH_CHECK(qkv.size(2) == 3, "qkv has ", qkv.size(2), " parts, not 3");
  TORCH_CHECK(qkv.size(4) % kLanes == 0, qkv.size(4), " channels are no multiple of ", kLanes);
  return {qkv.size(0), qkv.size(1), qkv.size(3), qkv.size(4)};
}

// Weighted values, and the weights (batch x heads, time, padded time) for the backward pass: what lies in the future of a
// whole block of queries is left unwritten.
std::tuple<Tensor, Tensor> attention(const Tensor& qkv_, const std::optional<Tensor>& bias, double scale) {
  const Tensor qkv = qkv_.contiguous();
  const Layout layout = layout_of(qkv);
  if (bias) {
    TORCH_CHECK(bias->scalar_type() == at::kFloat && bias->dim() == 3 && bias->stride(2) == 1 &&
                    bias->size(0) == layout.heads && bias->size(1) == layout.time && bias->size(2) == layout.time,
                "bias is not (heads, time, time) of float32");
  }
  Tensor out = at::empty({layout.batch, layout.time, layout.heads, layout.channels}, qkv.options());
  Tensor weights = at::empty({layout.batch * layout.heads, layout.time, layout.head().width()}, qkv.options());
  const float* from = qkv.const_data_ptr<float>();
  const float* biases = bias ? bias->const_data_ptr<float>() : nullptr;
  float* to = out.data_ptr<float>();
  float* kept = weights.data_ptr<float>();
  at::parallel_for(0, layout.batch * layout.heads, 1, [&](int64_t begin, int64_t end) {
    const Tensor scratch = scratch_like(qkv, layout.head().scratch());
    for (int64_t i = begin; i < end; i++) {
      attend(layout.head(), from + layout.tokens(i, 0), from + layout.tokens(i, 1), from + layout.tokens(i, 2),
             biases ? biases + i % layout.heads * bias->stride(0) : nullptr, biases ? bias->stride(1) : 0,
             static_cast<float>(scale), aligned(scratch), kept + i * layout.weights(), to + layout.outputs(i),
             layout.row());
    }
  });
  return {out, weights};
}

Tensor attention_backward(const Tensor& gradient_, const Tensor& qkv_, const Tensor& weights, double scale) {
  const Tensor qkv = qkv_.contiguous(), gradient = gradient_.contiguous();
  const Layout layout = layout_of(qkv);
  check(gradient, at::kFloat, 4, "gradient");
  check(weights, at::kFloat, 3, "weights");
  Tensor for_qkv = at::empty_like(qkv);
  const float* from = qkv.const_data_ptr<float>();
  const float* kept = weights.const_data_ptr<float>();
  const float* upstream = gradient.const_data_ptr<float>();
  float* to = for_qkv.data_ptr<float>();
  at::parallel_for(0, layout.batch * layout.heads, 1, [&](int64_t begin, int64_t end) {
    const Tensor scratch = scratch_like(qkv, layout.head().scratch() + layout.weights());
    for (int64_t i = begin; i < end; i++) {
      attend_backward(layout.head(), from + layout.tokens(i, 0), from + layout.tokens(i, 1),
                      from + layout.tokens(i, 2), kept + i * layout.weights(), upstream + layout.outputs(i),
                      layout.row(), static_cast<float>(scale), aligned(scratch), to + layout.tokens(i, 0),
                      to + layout.tokens(i, 1), to + layout.tokens(i, 2));
    }
  });
  return for_qkv;
}

Tensor gelu_of(const Tensor& inputs_) {
  const Tensor inputs = inputs_.contiguous();
  TORCH_CHECK(inputs.scalar_type() == at::kFloat, "inputs have type ", inputs.scalar_type(), ", not ", at::kFloat);
  Tensor out = at::empty_like(inputs);
  const float* from = inputs.const_data_ptr<float>();
  float* to = out.data_ptr<float>();
  at::parallel_for(0, inputs.numel(), kElementwiseGrain,
                   [&](int64_t begin, int64_t end) { gelu(from + begin, end - begin, to + begin); });
  return out;
}

Tensor gelu_gradient(const Tensor& gradient_, const Tensor& inputs_) {
  const Tensor gradient = gradient_.contiguous(), inputs = inputs_.contiguous();
  TORCH_CHECK(gradient.scalar_type() == at::kFloat && inputs.scalar_type() == at::kFloat, "not of float32");
  TORCH_CHECK(gradient.sizes() == inputs.sizes(), "gradient and inputs have different shapes");
  Tensor out = at::empty_like(inputs);
  const float* upstream = gradient.const_data_ptr<float>();
  const float* from = inputs.const_data_ptr<float>();
  float* to = out.data_ptr<float>();
  at::parallel_for(0, inputs.numel(), kElementwiseGrain, [&](int64_t begin, int64_t end) {
    gelu_backward(upstream + begin, from + begin, end - begin, to + begin);
  });
  return out;
}

}  // namespace

TORCH_LIBRARY_FRAGMENT(smupar_native, library) {
  library.def("attention(Tensor qkv, Tensor? bias, float scale) -> (Tensor, Tensor)");
  library.def("attention_backward(Tensor gradient, Tensor qkv, Tensor weights, float scale) -> Tensor");
  library.def("gelu(Tensor inputs) -> Tensor");
  library.def("gelu_backward(Tensor gradient, Tensor inputs) -> Tensor");
}

TORCH_LIBRARY_IMPL(smupar_native, CPU, library) {
  library.impl("attention", &attention);
  library.impl("attention_backward", &attention_backward);
  library.impl("gelu", &gelu_of);
  library.impl("gelu_backward", &gelu_gradient);
}

}  // namespace smupar
