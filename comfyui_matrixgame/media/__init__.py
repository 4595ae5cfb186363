"""Pictures, clips, videos and datasets on disk."""
