"""Between pixels and latents: the Wan VAE with streaming encode and decode, and the tiny decoders."""

from .base import VideoAutoencoder, VideoDecoder, VideoEncoder
from .tiny import TinyDecoder
from .wan import WanVAE

__all__ = ["TinyDecoder", "VideoAutoencoder", "VideoDecoder", "VideoEncoder", "WanVAE"]
