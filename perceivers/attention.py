"""Causal attention in the shapes that PerceiverS needs, and rotary positions.

B batch, H heads, N queries, S keys, D head width. Queries and keys are right-aligned: the last
query stands at the last key.
"""

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad, scaled_dot_product_attention

from perceivers.product_attention import LONGEST_KEPT, Band, band_mask, product_attention, tiles


def rotary_angles(positions: Tensor, head_dim: int, base: float) -> tuple[Tensor, Tensor]:
    """Return cos and sin, each (T, D/2) float32, of the rotary angles at absolute positions (T,).

    Angles are computed in float64, so that a session may run for days. (RoFormer, eq. 34.)
    """
    exponents = torch.arange(0, head_dim, 2, dtype=torch.float64, device=positions.device)
    angles = positions.to(torch.float64)[:, None] * base ** (-exponents / head_dim)[None, :]
    return angles.cos().float(), angles.sin().float()


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotate x (…, T, D) by angles (T, D/2); the halves of D are the pairs. Returns it contiguous.

    Computed in float32 whatever x is.
    """
    turned: Tensor = _Rotation.apply(x, cos, sin)  # type: ignore[no-untyped-call]
    return turned


class _Rotation(torch.autograd.Function):
    """A rotation, whose gradient is turned back by the same angle: nothing of x need be kept."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        ctx.save_for_backward(cos, sin)
        return _turned(x, cos, sin)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        cos, sin = ctx.saved_tensors
        return _turned(gradients[0], cos, -sin), None, None


def _turned(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    wide = x.to(torch.float32, memory_format=torch.contiguous_format)
    turned = wide * torch.cat((cos, cos), dim=-1)
    (first, second), (first_turned, second_turned) = wide.chunk(2, -1), turned.chunk(2, -1)
    first_turned.addcmul_(second, sin, value=-1)
    second_turned.addcmul_(first, sin)
    return turned.to(x.dtype)


def dense_attention(q: Tensor, k: Tensor, v: Tensor, window: int) -> Tensor:
    """Attend within a band, with the mask written out: obvious, for streaming and as reference.

    q (B, H, N, D), k and v (B, H, S, D); returns (B, H, N, D).
    """
    mask = band_mask(q.shape[-2], k.shape[-2], window, q.device)
    return scaled_dot_product_attention(q, k, v, attn_mask=mask)


def windowed_attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    window: int,
    key_padding: Tensor | None = None,
    kept: Tensor | None = None,
) -> Tensor:
    """Attend within a band in whichever way is the fastest: the training form.

    Arguments as in `blockwise_attention`.
    """
    band = Band(window, key_padding, kept)
    if _is_faster_by_products(q) and k.shape[-2] <= LONGEST_KEPT:
        return product_attention(q, k, v, band)
    if q.device.type != "cpu" and (attended := attention_in_one_call(q, k, v, band)) is not None:
        return attended
    if k.shape[-2] <= window and kept is None:
        return prefix_attention(q, k, v, key_padding)
    return blockwise_attention(q, k, v, window, key_padding, kept)


def attention_in_one_call(q: Tensor, k: Tensor, v: Tensor, band: Band) -> Tensor | None:
    """Attend within a band in one call of the fused kernel, where that is worth it; else None.

    A GPU would wait for a processor that starts many small ones. q (B, H, N, D), k and v
    (B, H, S, D); returns (B, H, N, D).
    """
    if band.padding is None and band.kept is None:
        folded = folded_attention(q, k, v, band.window)
        if folded is not None:
            return folded
    if k.shape[-2] > LONGEST_KEPT:
        return None  # the mask would fill the memory
    mask = _seen(q.shape[-2], range(k.shape[-2]), band, q.device)
    return scaled_dot_product_attention(q, k, v, attn_mask=mask)


def folded_attention(q: Tensor, k: Tensor, v: Tensor, window: int) -> Tensor | None:
    """Attend within a narrow band, each block of queries as a head with the keys that it reaches.

    Arguments as in `attention_in_one_call`. Returns None for a band that has no such blocks.
    """
    tile, *others = tiles(q.shape[-2], k.shape[-2], window)
    if others or tile.blocks == 1:
        return None
    B, H, N, D = q.shape
    queries = tile.of_queries(q.reshape(B * H, N, D)).view(B * H, tile.blocks, -1, D)
    keys, values = (
        tile.of_keys(x.reshape(B * H, -1, D)).view(B * H, tile.blocks, -1, D) for x in (k, v)
    )
    block = tile.length * torch.arange(tile.blocks, device=q.device)[:, None, None]
    key = tile.keys.start + block + torch.arange(keys.shape[2], device=q.device)
    query = k.shape[-2] - N + block + torch.arange(tile.length, device=q.device)[:, None]
    seen = (key <= query) & (key > query - window) & (key >= 0)
    return scaled_dot_product_attention(queries, keys, values, attn_mask=seen).reshape(q.shape)


def blockwise_attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    window: int,
    key_padding: Tensor | None = None,
    kept: Tensor | None = None,
) -> Tensor:
    """Attend within a band block by block: no N x S mask, no work far outside the band.

    q (B, H, N, D), k and v (B, H, S, D). `key_padding` (B,) counts invalid keys at the left, and
    `kept` (S,) tells which of all keys may be seen. Returns (B, H, N, D); a query that is itself
    padding gets anything finite.
    """
    queries, keys = q.shape[-2], k.shape[-2]
    by_products = _is_faster_by_products(q)
    attend = _attention_by_products if by_products else scaled_dot_product_attention
    block = (64 if window <= 64 else 128) if by_products else max(64, window // 4 * 2)
    band, outputs = Band(window, key_padding, kept), []
    for start in range(0, queries, block):
        stop = min(start + block, queries)
        last = keys - queries + stop
        first = max(0, keys - queries + start - window + 1)
        mask = _seen(stop - start, range(first, last), band, q.device)
        part = q[..., start:stop, :]
        outputs.append(attend(part, k[..., first:last, :], v[..., first:last, :], attn_mask=mask))
    return torch.cat(outputs, dim=-2)


def _seen(queries: int, keys: range, band: Band, device: torch.device) -> Tensor:
    """Return which of some keys each query sees, the last one at the last key: (…, N, keys).

    The mask has a row for each sample where they are padded differently: (B, 1, N, keys).
    """
    mask = band_mask(queries, len(keys), band.window, device)
    if band.padding is not None:
        position = torch.arange(keys.start, keys.stop, device=device)
        mask = mask & (position >= band.padding[:, None])[:, None, None, :]
        # Every query sees itself: without any key there is no softmax.
        mask = mask | band_mask(queries, len(keys), 1, device)
    return mask if band.kept is None else mask & band.kept[keys.start : keys.stop]


def _is_faster_by_products(q: Tensor) -> bool:
    """Tell whether plain matrix products beat the fused kernel.

    On a CPU with bf16 instructions they do, forward and backward, by 1.4 to 2 times: its fused
    kernel spends most of its time outside of products.
    """
    return q.device.type == "cpu" and q.dtype == torch.bfloat16


def _attention_by_products(q: Tensor, k: Tensor, v: Tensor, attn_mask: Tensor) -> Tensor:
    bias = torch.zeros(attn_mask.shape, dtype=q.dtype).masked_fill_(~attn_mask, float("-inf"))
    scores = torch.matmul(q * q.shape[-1] ** -0.5, k.transpose(-1, -2)) + bias
    return torch.matmul(torch.softmax(scores, dim=-1), v)


def prefix_attention(q: Tensor, k: Tensor, v: Tensor, key_padding: Tensor | None) -> Tensor:
    """Attend causally to everything up to the query's own position.

    Arguments as in `blockwise_attention`. Each sample is attended without its padding, so that no
    mask over the long prefix is ever written out.
    """
    if key_padding is None:
        return _lower_right_attention(q, k, v)
    # Split, not sliced: the gradient of each slice would be a whole batch of zeros.
    parts = (x.chunk(len(q)) for x in (q, k, v))
    samples = zip(*parts, key_padding.tolist(), strict=True)
    return torch.cat([_unpadded_attention(*sample) for sample in samples])


def _unpadded_attention(q: Tensor, k: Tensor, v: Tensor, padding: int) -> Tensor:
    """Attend in one sample; queries that are padding themselves get zeros."""
    padded_queries = max(0, padding - (k.shape[-2] - q.shape[-2]))
    if padded_queries == q.shape[-2]:
        return torch.zeros_like(q)
    k, v = k[..., padding:, :], v[..., padding:, :]
    attended = _lower_right_attention(q[..., padded_queries:, :], k, v)
    return pad(attended, (0, 0, padded_queries, 0)) if padded_queries else attended


def _lower_right_attention(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    queries, keys = q.shape[-2], k.shape[-2]
    if queries == keys:
        return scaled_dot_product_attention(q, k, v, is_causal=True)
    if q.device.type == "cpu":
        output: Tensor = _MergedAttention.apply(q, k, v)  # type: ignore[no-untyped-call]
        return output
    # Here, because it takes seconds to load, and only GPUs need it.
    from torch.nn.attention.bias import causal_lower_right  # noqa: PLC0415

    mask = causal_lower_right(queries, keys)
    attended: Tensor = scaled_dot_product_attention(q, k, v, attn_mask=mask)
    return attended


class _MergedAttention(torch.autograd.Function):
    """Causal attention over prefix and latents on CPU, as two flash-attention calls merged.

    The CPU kernel knows causal squares and full rectangles, but no lower-right causal rectangle.
    Softmax over the union of two key sets is the average of the two softmaxes weighted by their
    normalisers; and the kernel's backward, given the merged output and normaliser, yields exactly
    the gradients of each part. (The algebra of FlashAttention, section 3.1.)
    """

    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        attend = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu  # noqa: SLF001
        split = k.shape[-2] - q.shape[-2]
        far, far_lse = attend(q, k[..., :split, :], v[..., :split, :], 0.0, False)
        near, near_lse = attend(q, k[..., split:, :], v[..., split:, :], 0.0, True)
        lse = torch.logaddexp(far_lse, near_lse)
        far_share = (far_lse - lse).exp().unsqueeze(-1)
        near_share = (near_lse - lse).exp().unsqueeze(-1)
        output = (far.float() * far_share + near.float() * near_share).to(q.dtype)
        ctx.save_for_backward(q, k, v, output, lse)
        return output  # type: ignore[no-any-return]

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        q, k, v, output, lse = ctx.saved_tensors
        attend_backward = (
            torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward  # noqa: SLF001
        )
        split = k.shape[-2] - q.shape[-2]
        gradient = gradients[0].to(q.dtype)
        parts = [
            attend_backward(gradient, q, k[..., part, :], v[..., part, :], output, lse, 0.0, causal)
            for part, causal in ((slice(None, split), False), (slice(split, None), True))
        ]
        (q_far, k_far, v_far), (q_near, k_near, v_near) = parts
        return q_far + q_near, torch.cat((k_far, k_near), -2), torch.cat((v_far, v_near), -2)
