// What else the kernels compute of a network, as torch sees it: attention, a head at a time, and GELU. Results do not
// depend on the number of threads.
#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <torch/library.h>

#include <optional>
#include <tuple>
#include <type_traits>

#include "activation.h"
#include "attention.h"
#include "scratch.h"

namespace smupar {
namespace {

using at::Tensor;

// Offsets into (batch, time, 3, heads, channels) and (batch, time, heads, channels).
struct Layout {
  int64_t batch, time, heads, channels;

  int64_t row() const { return heads * channels; }
  int64_t count() const { return time * channels; }  // numbers of one head
  int64_t tokens(int64_t i, int64_t which) const {
    return i / heads * time * 3 * row() + which * row() + i % heads * channels;
  }
  int64_t outputs(int64_t i) const { return i / heads * time * row() + i % heads * channels; }
};

// Reads and writes the rows of one head as floats: in place where they are floats, otherwise in scratch.
template <class Number>
struct HeadRows {
  static constexpr bool kInPlace = std::is_same_v<Number, float>;
  Layout layout;

  Head head() const { return {layout.time, layout.channels, stride(3 * layout.row())}; }
  int64_t stride(int64_t own) const { return kInPlace ? own : layout.channels; }
  int64_t scratch(int64_t arrays) const { return kInPlace ? 0 : arrays * layout.count(); }

  const float* read(const Number* from, int64_t own, float*& scratch) const {
    if constexpr (kInPlace) {
      return from;
    } else {
      float* to = next(nullptr, scratch);
      for (int64_t t = 0; t < layout.time; t++) {
        for (int64_t c = 0; c < layout.channels; c += kLanes) {
          store_loose(to + t * layout.channels + c, load_loose(from + t * own + c, kLanes), kLanes);
        }
      }
      return to;
    }
  }
  float* next(Number* to, float*& scratch) const {
    if constexpr (kInPlace) {
      return to;
    } else {
      float* here = scratch;
      scratch += layout.count();
      return here;
    }
  }
  void write(const float* from, Number* to, int64_t own) const {
    if constexpr (!kInPlace) {
      for (int64_t t = 0; t < layout.time; t++) {
        for (int64_t c = 0; c < layout.channels; c += kLanes) {
          store_loose(to + t * own + c, load_loose(from + t * layout.channels + c, kLanes), kLanes);
        }
      }
    }
  }
};

Layout layout_of(const Tensor& qkv) {
  TORCH_CHECK(qkv.dim() == 5, "qkv has ", qkv.dim(), " dimensions, not 5");
  TORCH_CHECK(qkv.size(2) == 3, "qkv has ", qkv.size(2), " parts, not 3");
  TORCH_CHECK(qkv.size(4) % kLanes == 0, qkv.size(4), " channels are no multiple of ", kLanes);
  return {qkv.size(0), qkv.size(1), qkv.size(3), qkv.size(4)};
}

template <class Number>
void attend_all(const Layout& layout, const Tensor& qkv, const std::optional<Tensor>& bias, double scale, Tensor& out,
                Tensor& weights) {
  const HeadRows<Number> rows{layout};
  const Head head = rows.head();
  const float* biases = bias ? bias->const_data_ptr<float>() : nullptr;
  const int64_t own = 3 * layout.row();
  at::parallel_for(0, layout.batch * layout.heads, 1, [&](int64_t begin, int64_t end) {
    const Tensor scratch = scratch_like(qkv, head.scratch() + rows.scratch(4));
    for (int64_t i = begin; i < end; i++) {
      float* more = aligned(scratch) + head.scratch();
      const float* q = rows.read(numbers<Number>(qkv) + layout.tokens(i, 0), own, more);
      const float* k = rows.read(numbers<Number>(qkv) + layout.tokens(i, 1), own, more);
      const float* v = rows.read(numbers<Number>(qkv) + layout.tokens(i, 2), own, more);
      Number* to = numbers<Number>(out) + layout.outputs(i);
      float* values = rows.next(to, more);
      attend(head, q, k, v, biases ? biases + i % layout.heads * bias->stride(0) : nullptr,
             biases ? bias->stride(1) : 0, static_cast<float>(scale), aligned(scratch),
             weights.data_ptr<float>() + i * layout.time * head.width(), values, rows.stride(layout.row()));
      rows.write(values, to, layout.row());
    }
  });
}

// Weighted values, and the weights (batch x heads, time, padded time) for the backward pass, as floats: what lies in the
// future of a whole block of queries is left unwritten.
std::tuple<Tensor, Tensor> attention(const Tensor& qkv_, const std::optional<Tensor>& bias, double scale) {
  const Tensor qkv = qkv_.contiguous();
  const Layout layout = layout_of(qkv);
  if (bias) {
    TORCH_CHECK(bias->scalar_type() == at::kFloat && bias->dim() == 3 && bias->stride(2) == 1 &&
                    bias->size(0) == layout.heads && bias->size(1) == layout.time && bias->size(2) == layout.time,
                "bias is not (heads, time, time) of float32");
  }
  Tensor out = at::empty({layout.batch, layout.time, layout.heads, layout.channels}, qkv.options());
  const int64_t width = Head{layout.time, layout.channels, 0}.width();
  Tensor weights = at::empty({layout.batch * layout.heads, layout.time, width}, qkv.options().dtype(at::kFloat));
  with_number(qkv, "qkv", [&](auto* number) {
    attend_all<std::remove_pointer_t<decltype(number)>>(layout, qkv, bias, scale, out, weights);
  });
  return {out, weights};
}

template <class Number>
void attend_all_backward(const Layout& layout, const Tensor& gradient, const Tensor& qkv, const Tensor& weights,
                         double scale, Tensor& for_qkv) {
  const HeadRows<Number> rows{layout};
  const Head head = rows.head();
  const int64_t own = 3 * layout.row(), kept = layout.time * head.width();
  at::parallel_for(0, layout.batch * layout.heads, 1, [&](int64_t begin, int64_t end) {
    const Tensor scratch = scratch_like(qkv, head.scratch() + kept + rows.scratch(7));
    for (int64_t i = begin; i < end; i++) {
      float* more = aligned(scratch) + head.scratch() + kept;
      const float* parts[3];
      Number* to[3];
      float* gradients[3];
      for (int64_t part = 0; part < 3; part++) {
        parts[part] = rows.read(numbers<Number>(qkv) + layout.tokens(i, part), own, more);
        to[part] = numbers<Number>(for_qkv) + layout.tokens(i, part);
        gradients[part] = rows.next(to[part], more);
      }
      const float* upstream = rows.read(numbers<Number>(gradient) + layout.outputs(i), layout.row(), more);
      attend_backward(head, parts[0], parts[1], parts[2], weights.const_data_ptr<float>() + i * kept, upstream,
                      rows.stride(layout.row()), static_cast<float>(scale), aligned(scratch), gradients[0],
                      gradients[1], gradients[2]);
      for (int64_t part = 0; part < 3; part++) rows.write(gradients[part], to[part], own);
    }
  });
}

Tensor attention_backward(const Tensor& gradient_, const Tensor& qkv_, const Tensor& weights, double scale) {
  const Tensor qkv = qkv_.contiguous(), gradient = gradient_.contiguous();
  const Layout layout = layout_of(qkv);
  check(gradient, qkv.scalar_type(), 4, "gradient");
  check(weights, at::kFloat, 3, "weights");
  Tensor for_qkv = at::empty_like(qkv);
  with_number(qkv, "qkv", [&](auto* number) {
    attend_all_backward<std::remove_pointer_t<decltype(number)>>(layout, gradient, qkv, weights, scale, for_qkv);
  });
  return for_qkv;
}

Tensor gelu_of(const Tensor& inputs_) {
  const Tensor inputs = inputs_.contiguous();
  Tensor out = at::empty_like(inputs);
  with_number(inputs, "inputs", [&](auto* number) {
    using Number = std::remove_pointer_t<decltype(number)>;
    at::parallel_for(0, inputs.numel(), kElementwiseGrain, [&](int64_t begin, int64_t end) {
      gelu(numbers<Number>(inputs) + begin, end - begin, numbers<Number>(out) + begin);
    });
  });
  return out;
}

Tensor gelu_gradient(const Tensor& gradient_, const Tensor& inputs_) {
  const Tensor gradient = gradient_.contiguous(), inputs = inputs_.contiguous();
  TORCH_CHECK(gradient.scalar_type() == inputs.scalar_type(), "gradient and inputs have different types");
  TORCH_CHECK(gradient.sizes() == inputs.sizes(), "gradient and inputs have different shapes");
  Tensor out = at::empty_like(inputs);
  with_number(inputs, "inputs", [&](auto* number) {
    using Number = std::remove_pointer_t<decltype(number)>;
    at::parallel_for(0, inputs.numel(), kElementwiseGrain, [&](int64_t begin, int64_t end) {
      gelu_backward(numbers<Number>(gradient) + begin, numbers<Number>(inputs) + begin, end - begin,
                    numbers<Number>(out) + begin);
    });
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
