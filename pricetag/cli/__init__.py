"""The ``pricetag`` command."""


def main() -> None:
    """Runs the command line and ends the process with its exit code."""
    import sys

    from pricetag.cli.console import make_printable

    make_printable()
    if sys.argv[1:2] == ["run"]:
        from pricetag.cli.metered import quick_run

        code = quick_run(sys.argv[2:])
        if code is not None:
            raise SystemExit(code)
    # Imported here so that the views can be used without the command line.
    from pricetag.cli.app import run

    raise SystemExit(run())
