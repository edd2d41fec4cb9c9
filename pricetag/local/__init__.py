"""Metering without a server: ``pricetag run`` and ``pricetag.track``."""
