"""What the parameters of fifteen architectures are at width 128 against 32: thought through, not copied from a plan.

A line is a pattern of names, the role, the fan-in and m_d. Why:

- A matrix from the width to the width is hidden (muP, arXiv 2203.03466, Table 8): its variance and Adam's rate fall by
  its own fan-in, so m_d is the ratio of fan-ins: 4 everywhere, because all widths grow alike. A kernel counts its
  positions in the fan-in, and not in m_d.
- A matrix from a fixed number of inputs to the width is an input weight, here an embedding, and its m_d the ratio of
  its outputs. Depthwise kernels have a fixed fan-in, the kernel's size; so have biases of relative positions, which
  have an entry a head.
- A matrix from the width to a fixed number of outputs is a readout. So are routers, of which each expert has an output.
- Biases, gains, class tokens, learned positions, decay rates and sinks have a fan-in of 1. Their m_d is 4 if they grow.
- A tied weight is an embedding; the layer that reads with it has a multiplier, and no row.
"""

from __future__ import annotations

_LLAMA_ATTENTION = """
model.embed_tokens.weight      embedding  100  4
*.self_attn.q_proj.weight      hidden     128  4
*.self_attn.k_proj.weight      hidden     128  4
*.self_attn.v_proj.weight      hidden     128  4
*.self_attn.o_proj.weight      hidden     128  4
*.input_layernorm.weight       vector     1    4
*.post_attention_layernorm.weight  vector  1   4
model.norm.weight              vector     1    4
"""
_LLAMA = f"""{_LLAMA_ATTENTION}
*.mlp.gate_proj.weight         hidden     128  4
*.mlp.up_proj.weight           hidden     128  4
*.mlp.down_proj.weight         hidden     384  4
"""
_UNTIED = "lm_head.weight      readout    128  4"
_CONVNEXT = "\n".join(
    f"""
convnext.encoder.stages.{stage}.layers.0.pwconv1.weight  hidden  {width}      4
convnext.encoder.stages.{stage}.layers.0.pwconv2.weight  hidden  {4 * width}  4
"""
    + (f"*.stages.{stage}.downsampling_layer.1.weight  hidden  {2 * 2 * (width // 2)}  4" if stage else "")
    for stage, width in enumerate((128, 256, 512, 1024))
)
_RESNET = "\n".join(
    f"""
*.stages.{stage}.layers.0.layer.0.convolution.weight  hidden  {9 * inputs}   4
*.stages.{stage}.layers.0.layer.1.convolution.weight  hidden  {9 * outputs}  4
"""
    # the stem's width is that of the first stage, which needs no shortcut
    + (f"*.stages.{stage}.layers.0.shortcut.convolution.weight  hidden  {inputs}  4" if stage else "")
    for stage, (inputs, outputs) in enumerate(((128, 128), (128, 256), (256, 512), (512, 1024)))
)
_WHISPER_LAYER = "\n".join(
    f"*.{attention}.{name}_proj.weight  hidden  128  4"
    for attention in ("self_attn", "encoder_attn")
    for name in ("q", "k", "v", "out")
)

EXPECTED = {
    "GPT-2": """
transformer.wte.weight         embedding  100  4
transformer.wpe.weight         embedding  32   4
*.attn.c_attn.weight           hidden     128  4
*.attn.c_proj.weight           hidden     128  4
*.mlp.c_fc.weight              hidden     128  4
*.mlp.c_proj.weight            hidden     512  4
transformer.*ln_*.weight       vector     1    4
*.bias                         vector     1    4
""",
    "Llama, tied": _LLAMA,
    "Llama": _LLAMA + _UNTIED,
    "BERT": """
*.word_embeddings.weight       embedding  100  4
*.position_embeddings.weight   embedding  32   4
*.token_type_embeddings.weight embedding  2    4
*.attention.self.query.weight  hidden     128  4
*.attention.self.key.weight    hidden     128  4
*.attention.self.value.weight  hidden     128  4
*.attention.output.dense.weight hidden    128  4
*.intermediate.dense.weight    hidden     128  4
*.output.dense.weight          hidden     512  4
*.transform.dense.weight       hidden     128  4
*.LayerNorm.weight             vector     1    4
cls.predictions.bias           vector     1    1
*.bias                         vector     1    4
""",
    "T5": """
shared.weight                  embedding  100  4
*.relative_attention_bias.weight embedding 32  4
*.SelfAttention.?.weight       hidden     128  4
*.EncDecAttention.?.weight     hidden     128  4
*.DenseReluDense.wi.weight     hidden     128  4
*.DenseReluDense.wo.weight     hidden     512  4
*.layer_norm.weight            vector     1    4
*.final_layer_norm.weight      vector     1    4
""",
    "ViT": """
*.cls_token                    vector     1    4
*.position_embeddings          vector     1    4
*.projection.weight            embedding  192  4
*.attention.?_proj.weight      hidden     128  4
*.mlp.fc1.weight               hidden     128  4
*.mlp.fc2.weight               hidden     512  4
vit.*layernorm*.weight         vector     1    4
classifier.weight              readout    128  4
classifier.bias                vector     1    1
*.bias                         vector     1    4
""",
    "Mixtral": f"""{_LLAMA_ATTENTION}
*.mlp.gate.weight              readout    128  4
*.experts.gate_up_proj         hidden     128  4
*.experts.down_proj            hidden     384  4
{_UNTIED}
""",
    "Qwen3-MoE": f"""{_LLAMA_ATTENTION}
*.self_attn.q_norm.weight      vector     1    1
*.self_attn.k_norm.weight      vector     1    1
*.mlp.gate.weight              readout    128  4
*.experts.gate_up_proj         hidden     128  4
*.experts.down_proj            hidden     256  4
{_UNTIED}
""",
    "GPT-OSS": f"""{_LLAMA_ATTENTION}
*.self_attn.sinks              vector     1    4
*.self_attn.?_proj.bias        vector     1    4
*.mlp.router.weight            readout    128  4
*.mlp.router.bias              vector     1    1
*.experts.gate_up_proj         hidden     128  4
*.experts.gate_up_proj_bias    vector     1    4
*.experts.down_proj            hidden     384  4
*.experts.down_proj_bias       vector     1    4
{_UNTIED}
""",
    # its convolution has 2 width + 2 x 16 channels: 288 against 96
    "Mamba-2": f"""
backbone.embeddings.weight     embedding  100  4
*.mixer.in_proj.weight         hidden     128  4
*.mixer.out_proj.weight        hidden     256  4
*.mixer.conv1d.weight          embedding  4    3
*.mixer.conv1d.bias            vector     1    3
*.mixer.dt_bias                vector     1    4
*.mixer.A_log                  vector     1    4
*.mixer.D                      vector     1    4
*.mixer.norm.weight            vector     1    4
backbone.layers.*.norm.weight  vector     1    4
backbone.norm_f.weight         vector     1    4
{_UNTIED}
""",
    "ConvNeXt": f"""{_CONVNEXT}
convnext.embeddings.patch_embeddings.weight  embedding  48  4
*.dwconv.weight                embedding  49   4
*.layer_scale_parameter        vector     1    4
convnext.*layernorm.weight     vector     1    4
*.downsampling_layer.0.weight  vector     1    4
classifier.weight              readout    1024 4
classifier.bias                vector     1    1
*.bias                         vector     1    4
""",
    "ResNet": f"""{_RESNET}
resnet.embedder.*.convolution.weight  embedding  147  4
*.normalization.weight         vector     1    4
*.normalization.bias           vector     1    4
classifier.1.weight            readout    1024 4
classifier.1.bias              vector     1    1
""",
    "Whisper": f"""{_WHISPER_LAYER}
model.encoder.conv1.weight     embedding  240  4
model.encoder.conv2.weight     hidden     384  4
model.encoder.embed_positions.weight  embedding  16   4
model.decoder.embed_positions.weight  embedding  32   4
model.decoder.embed_tokens.weight     embedding  100  4
*.fc1.weight                   hidden     128  4
*.fc2.weight                   hidden     512  4
*layer_norm.weight             vector     1    4
*.bias                         vector     1    4
""",
    "nn.TransformerEncoder": """
*.self_attn.in_proj_weight     hidden     128  4
*.self_attn.in_proj_bias       vector     1    4
*.self_attn.out_proj.weight    hidden     128  4
*.linear1.weight               hidden     128  4
*.linear2.weight               hidden     512  4
*.norm?.weight                 vector     1    4
*.bias                         vector     1    4
""",
    "nn.LSTM": """
weight_ih_l0                   embedding  28   4
weight_hh_l?                   hidden     128  4
weight_ih_l1                   hidden     128  4
bias_?h_l?                     vector     1    4
""",
}
"""By the names of ``ARCHITECTURES``. The first line that matches counts, and every line has to match something."""
