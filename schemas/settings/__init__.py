"""An installation's settings, and connections to Kafka and the registry that use them.

Publishers in Python begin with `load_settings`.
"""

from schemas.settings.settings import Settings, load_settings

__all__ = ["Settings", "load_settings"]
