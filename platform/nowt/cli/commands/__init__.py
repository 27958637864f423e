"""What a user can type, one file a verb: its grammar (``add``) and what it does (``run``). They parse, call and print;
they decide nothing. Whatever takes time to import is imported in ``run``."""

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
)

VERBS: tuple[ModuleType, ...] = (
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
    serve,
    deliver,
    merge,
    pull,
    backup,
    restore,
    data,
    cluster,
    doctor,
)  # in the order of --help
