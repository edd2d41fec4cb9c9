"""The ``pricetag`` command."""


def main() -> None:
    """Runs the command line and ends the process with its exit code."""
    # Imported here so that the views can be used without the command line.
    from pricetag.cli.app import run
    from pricetag.cli.console import make_printable

    make_printable()
    raise SystemExit(run())
