"""Price tags and live progress as rich renderables, for the command line and the demo."""

from pricetag.cli.views.progress import RunProgress
from pricetag.cli.views.sheet import price_tag_view
from pricetag.cli.views.strubell import strubell_table
from pricetag.cli.views.variants import variants_view

__all__ = ["RunProgress", "price_tag_view", "strubell_table", "variants_view"]
