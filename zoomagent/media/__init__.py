"""Pixels: open safely, any region at any size, never more memory than needed."""

from zoomagent.media.limits import Limits
from zoomagent.media.opening import open_picture
from zoomagent.media.picture import Picture
from zoomagent.media.url_rules import UrlRules

__all__ = ["Limits", "Picture", "UrlRules", "open_picture"]
