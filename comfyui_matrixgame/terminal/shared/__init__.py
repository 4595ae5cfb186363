"""What commands share: arguments, the inputs they name, and what is said on the terminal."""
