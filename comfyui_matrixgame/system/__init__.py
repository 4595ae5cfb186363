"""What the operating system gives: files, text, signals, memory. It imports nothing of the rest but errors."""
