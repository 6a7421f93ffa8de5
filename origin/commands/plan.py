"""`nearcast origin plan`: what edges should hold."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from nearcast.errors import InputError
from nearcast.json_file import JsonFile, check_json_file, write_json
from origin.commands.asking import Place, asks, client

if TYPE_CHECKING:
    from origin.drivers.control.client import AdminClient

plan_app = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,
    no_args_is_help=True,
    help="Placement plans of a running origin: what each edge should hold, and why.",
    epilog="Example: nearcast origin plan make && nearcast origin plan diff",
)

PlanId = Annotated[
    str | None,
    typer.Argument(metavar="ID", help="The first letters of its id are enough; default: newest."),
]


@plan_app.command(epilog="Example: nearcast origin plan show current")
@asks
def show(
    place: Place,
    plan: Annotated[
        str | None,
        typer.Argument(metavar="ID", help="One plan, or `current`; left out: all of them."),
    ] = None,
    json_file: JsonFile = None,
) -> None:
    """Show the plans there are, or what one wants of each edge."""
    from origin.commands.plan_text import detail_lines, list_lines
    from origin.control.api import PlanDetail, PlanList
    from origin.drivers.control.client import part

    check_json_file(json_file)
    origin = client(place)
    if plan is None:
        plans = origin.get("/plans", PlanList)
        lines = list_lines(plans.plans) if plans.plans else iter(("no plan was made yet",))
        write_json(json_file, plans)
    else:
        detail = origin.get(f"/plans/{part(plan)}", PlanDetail)
        lines = detail_lines(detail)
        write_json(json_file, detail)
    for line in lines:
        typer.echo(line)


@plan_app.command(epilog="Example: nearcast origin plan make --json plan.json")
@asks
def make(
    place: Place,
    json_file: JsonFile = None,
) -> None:
    """Make a plan now, from what edges reported so far. It is only proposed: see diff, apply."""
    from origin.commands.plan_text import list_lines
    from origin.control.api import PlanRow
    from origin.drivers.control.client import WORK_ANSWER_S

    check_json_file(json_file)
    made = client(place).post("/plans", {}, PlanRow, answer_s=WORK_ANSWER_S)
    for line in list_lines((made,)):
        typer.echo(line)
    write_json(json_file, made)


@plan_app.command(epilog="Example: nearcast origin plan diff 3f2a")
@asks
def diff(
    place: Place,
    plan: PlanId = None,
    json_file: JsonFile = None,
) -> None:
    """Show what a plan would change against the one in force."""
    from origin.commands.plan_text import diff_lines
    from origin.drivers.control.client import part
    from origin.placement.diff import PlanDiff

    check_json_file(json_file)
    origin = client(place)
    name = plan or _newest(origin)
    found = origin.get(f"/plans/{part(name)}/diff", PlanDiff)
    for line in diff_lines(found):
        typer.echo(line)
    write_json(json_file, found)


@plan_app.command(epilog="Example: nearcast origin plan apply 3f2a")
@asks
def apply(
    place: Place,
    plan: PlanId = None,
    json_file: JsonFile = None,
) -> None:
    """Put a plan in force: edges have it within seconds, and fetch in their windows."""
    from origin.control.api import PlanRow
    from origin.drivers.control.client import part

    check_json_file(json_file)
    origin = client(place)
    name = plan or _newest(origin)
    applied = origin.post(f"/plans/{part(name)}/apply", {}, PlanRow)
    typer.echo(f"plan {applied.plan_id[:12]} is in force for {applied.edge_count} edges")
    write_json(json_file, applied)


@plan_app.command(epilog="Example: nearcast origin plan explain ams-1 harbour-s01e02")
@asks
def explain(
    place: Place,
    edge: Annotated[str, typer.Argument(metavar="EDGE", help="The edge's name.")],
    title: Annotated[str, typer.Argument(metavar="TITLE", help="The title's id.")],
    rendition: Annotated[str, typer.Option(help="One rendition; left out: all.")] = "",
    plan: Annotated[str, typer.Option("--plan", metavar="ID", help="Another plan.")] = "current",
    json_file: JsonFile = None,
) -> None:
    """Say why a title is, or is not, planned for an edge. Forecasts anew, which takes seconds."""
    from origin.commands.plan_text import explain_lines
    from origin.control.api import ExplainAnswer
    from origin.drivers.control.client import WORK_ANSWER_S, part

    check_json_file(json_file)
    answer = client(place).get(
        f"/plans/{part(plan)}/explain",
        ExplainAnswer,
        answer_s=WORK_ANSWER_S,
        edge=edge,
        title=title,
        rendition=rendition,
    )
    for line in explain_lines(answer.answers):
        typer.echo(line)
    write_json(json_file, answer)


def _newest(origin: AdminClient) -> str:
    from origin.control.api import PlanList

    plans = origin.get("/plans", PlanList).plans
    if not plans:
        raise InputError("no plan was made yet; make one with: nearcast origin plan make")
    return plans[0].plan_id
