"""``python -m pricetag``: the same as the ``pricetag`` command."""

from pricetag.cli import main

if __name__ == "__main__":
    main()
