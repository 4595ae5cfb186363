"""Jobs made by ComfyUI servers."""
