"""The environment of deltadrop: the real parts that it needs, its demo, and its deployments."""
