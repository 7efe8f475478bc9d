"""What runs deltadrop: its real parts, its demonstration, its deployments."""
