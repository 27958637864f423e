"""What a user can type, one file a verb: its grammar (``add``) and what it does (``run``). They parse, call and print;
they decide nothing. Whatever takes time to import is imported in ``run``."""

from types import ModuleType

from nowt.verbs import ablate, certify, cluster, doctor, plan, rebuild, report, runs, search, show, train, transfer, ui

VERBS: tuple[ModuleType, ...] = (
    train,
    ablate,
    search,
    transfer,
    plan,
    runs,
    show,
    report,
    certify,
    ui,
    rebuild,
    cluster,
    doctor,
)  # in the order of --help
