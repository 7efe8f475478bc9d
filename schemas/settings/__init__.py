"""An installation's settings, and how it gets into Kafka and the registry by them.

Publishers in Python begin with `load_settings`.
"""

from schemas.settings.settings import Settings, load_settings

__all__ = ["Settings", "load_settings"]
