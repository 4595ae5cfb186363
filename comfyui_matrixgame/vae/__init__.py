"""Between pixels and latents: the Wan VAE with streaming encode and decode, and the tiny decoders."""

from .base import VideoDecoder
from .tiny import TinyDecoder
from .wan import WanVAE

__all__ = ["TinyDecoder", "VideoDecoder", "WanVAE"]
