"""A flush into durable files, and refused events into the dead letter topic."""
