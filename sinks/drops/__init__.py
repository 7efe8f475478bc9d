"""A drop as its receiver gets it: the manifest beside it, and how both are checked."""
