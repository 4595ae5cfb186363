"""What is measured of frames, and of frames beside their inputs."""
