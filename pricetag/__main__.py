"""``python -m pricetag``: the ``pricetag`` command."""

from pricetag.cli import main

main()
