"""The systems that are compared; each module is run with a job, in a process of its own."""
