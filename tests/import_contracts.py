"""A contract for import-linter: everything is a core, and does no I/O, unless it is named.

The list of those that may is short and says why; a new module is a core without being written down
anywhere. See "Cores do no I/O" in pyproject.toml.
"""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase

from grimp import ImportGraph
from importlinter import ContractCheck, fields
from importlinter.contracts.forbidden import ForbiddenContract
from importlinter.domain.imports import ModuleExpression


def is_core(name: str, not_cores: Iterable[str]) -> bool:
    """`*.drivers.*` is the package of that name, too."""
    return not any(
        fnmatchcase(name, pattern) or fnmatchcase(f"{name}.", pattern) for pattern in not_cores
    )


class CoresContract(ForbiddenContract):
    """As `forbidden`, of all modules but `not_cores`, which are patterns of names."""

    type_name = "cores"

    source_modules = fields.SetField(subfield=fields.StringField(), required=False)
    not_cores = fields.ListField(subfield=fields.StringField())

    def check(self, graph: ImportGraph, verbose: bool) -> ContractCheck:
        # Fields hold what they were parsed to, which their types do not say.
        roots, not_cores = self.session_options["root_packages"], self.not_cores
        self.source_modules = {  # type: ignore[assignment]
            ModuleExpression(name)
            for name in graph.modules
            if name.partition(".")[0] in roots and is_core(name, not_cores)  # type: ignore[arg-type]
        }
        self.as_packages = False  # type: ignore[assignment]
        return super().check(graph, verbose)
