"""What an issue needs to know of a machine: versions, device, files, memory, the last error; without personal paths.

Nothing is imported before it is needed, so that a machine where torch itself cannot be imported gets a report too.
"""
