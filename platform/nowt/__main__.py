"""``python -m nowt``: the same as ``nowt``."""

from nowt.cli.main import main

if __name__ == "__main__":
    raise SystemExit(main())
