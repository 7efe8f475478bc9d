"""Writing of a flush: rows into durable files, refused events into the dead letter topic."""
