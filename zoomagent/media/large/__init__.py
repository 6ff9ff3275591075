"""Files too large to decode whole."""
