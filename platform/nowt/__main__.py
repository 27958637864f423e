"""``python -m nowt`` is the command ``nowt``."""

from nowt.cli.main import main

if __name__ == "__main__":
    raise SystemExit(main())
