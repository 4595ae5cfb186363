"""What the browser asks the pack for, beside ComfyUI's own routes."""
