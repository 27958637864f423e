"""The commands of ``nowt``, one module per command.

A module has ``add``, which adds the command's parser, and ``run``, which runs it. Commands parse, call and print; they
decide nothing. ``run`` imports what it needs, so that ``nowt --help`` imports neither torch nor Ray.
"""

from types import ModuleType

from nowt.cli.commands import (
    ablate,
    backup,
    certify,
    cluster,
    data,
    deliver,
    doctor,
    merge,
    plan,
    probe,
    pull,
    rebuild,
    report,
    restore,
    runs,
    search,
    serve,
    show,
    train,
    transfer,
    ui,
    upgrade,
)

# in the order of `nowt --help`
COMMANDS: tuple[ModuleType, ...] = (
    train,
    ablate,
    search,
    transfer,
    plan,
    runs,
    show,
    probe,
    report,
    certify,
    ui,
    rebuild,
    upgrade,
    serve,
    deliver,
    merge,
    pull,
    backup,
    restore,
    data,
    cluster,
    doctor,
)
