"""What the operating system provides: files, text, signals, memory. Imports nothing else of the package but errors."""
