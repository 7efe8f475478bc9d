"""An installation's settings, and how it gets into Kafka and the registry by them."""
