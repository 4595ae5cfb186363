"""What renders tasks: this process, a Ray cluster, ComfyUI servers."""
