"""The Response API: touch performances answered over HTTP (extra `studio`)."""

from mixtura.studio.app import application
from mixtura.studio.limits import Limits
from mixtura.studio.server import serve

__all__ = ["Limits", "application", "serve"]
