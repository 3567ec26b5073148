"""`synap-hooks rotation`: what a person sees of rotations and may order.

Exit codes beside those of every command: 1 when the answer is no, such as a key that is refused or
an order that cannot be carried out now; the message and `reason` say why, and nothing was changed.
"""

from __future__ import annotations

from collections.abc import Callable

import click

from workers.cli import rotation_view, selection
from workers.cli.exits import ExitCode
from workers.cli.rotation_session import composed, found_by, ordered, read_key, refusing
from workers.cli.selection import Duration
from workers.cli.session import World
from workers.rotation.alerts import firing
from workers.rotation.orders import Orders
from workers.rotation.record import Rotation

Act = Callable[[Orders, str], Rotation]


@click.group()
def rotation() -> None:
    """Rotate credentials: see what is under way, and decide."""


@rotation.command("plan")
@selection.json_option
@click.pass_obj
def plan(world: World, *, as_json: bool) -> None:
    """Show every credential: when its next rotation begins, and whether there is time for it.

    Ends with 1 if one of them cannot be rotated in time any more.
    """
    with composed(world) as (rotations, now):
        credentials = rotations.machine.config.credentials
        rows = [(one, rotations.schedule.outlook(one, now)) for one in credentials]
        uses = {one.name: rotations.machine.world.uses(one.endpoint) for one in credentials}
    rotation_view.planned(rows, uses, now=now, as_json=as_json)
    if not all(ahead.feasible for _, ahead in rows):
        raise click.exceptions.Exit(ExitCode.NEGATIVE)


@rotation.command("list")
@click.option("--active", is_flag=True, help="Only those that have not ended.")
@selection.limit_option
@selection.json_option
@click.pass_obj
def list_rotations(world: World, limit: int, *, active: bool, as_json: bool) -> None:
    """List rotations, newest first."""
    with composed(world) as (rotations, now):
        found = [one for one in rotations.book.newest(limit) if not (active and one.ended_at)]
    rotation_view.listed(found, now=now, as_json=as_json)


@rotation.command("show")
@click.argument("name", metavar="ID|CREDENTIAL")
@selection.json_option
@click.pass_obj
def show(world: World, name: str, *, as_json: bool) -> None:
    """Show one rotation, and what it asks of you: the newest, when a credential is named."""
    with composed(world) as (rotations, now):
        found = found_by(rotations, name)
        lines = rotations.book.history(found.id)
        credential = rotations.machine.config.named(found.credential)
    asked = [*firing(found, credential, now)]
    rotation_view.shown(found, lines[-1] if lines else None, asked, now=now, as_json=as_json)


@rotation.command("history")
@click.argument("name", metavar="ID|CREDENTIAL")
@selection.json_option
@click.pass_obj
def history(world: World, name: str, *, as_json: bool) -> None:
    """Show everything that happened in a rotation, the oldest first.

    With --json this is the export for an audit: `chain` binds each line to the one before it.
    """
    with composed(world) as (rotations, now):
        found = found_by(rotations, name)
        lines = rotations.book.history(found.id)
    rotation_view.told(found, lines, now=now, as_json=as_json)


@rotation.command("start")
@click.argument("credential")
@click.option("--urgent", is_flag=True, help="No overlap and no freezes: the key has leaked.")
@click.pass_obj
@ordered
def start(
    world: World, credential: str, actor: str, why: str, *, urgent: bool, as_json: bool
) -> None:
    """Begin to rotate a credential."""
    with composed(world) as (rotations, now):
        with refusing(as_json=as_json):
            found = rotations.orders(actor).start(credential, urgent=urgent, why=why)
        rotation_view.done("started", found, now=now, as_json=as_json)


@rotation.command("submit")
@click.argument("name", metavar="ID|CREDENTIAL")
@click.pass_obj
@ordered
def submit(world: World, name: str, actor: str, why: str, *, as_json: bool) -> None:
    """Hand over the new key, read from standard input.

    It is verified in this process, put into the pending slot of every store, and forgotten. It
    has to run where the stores can be reached with the worker's permissions.
    """
    with composed(world) as (rotations, now):
        found = found_by(rotations, name)
        value = read_key()
        with refusing(as_json=as_json):
            found = rotations.orders(actor).submit(found.id, value, why)
        rotation_view.done("submitted", found, now=now, as_json=as_json)


def _simple(name: str, word: str, text: str, act: Callable[[Orders, str, str], Rotation]) -> None:
    """Add an order that takes a rotation and nothing else."""

    @rotation.command(name, help=text)
    @click.argument("name", metavar="ID|CREDENTIAL")
    @click.pass_obj
    @ordered
    def command(world: World, name: str, actor: str, why: str, *, as_json: bool) -> None:
        _carry_out(world, name, actor, word, lambda o, i: act(o, i, why), as_json=as_json)


for line in (
    ("approve", "approved", "Approve what waits for it, or say that it is done.", Orders.approve),
    ("pause", "paused", "Stop a rotation where it is.", Orders.pause),
    ("resume", "resumed", "Let a paused rotation go on where it stopped.", Orders.resume),
    (
        "rollback",
        "rolling back",
        "Make the old key current again; before the promotion, undo what was made.",
        Orders.roll_back,
    ),
):
    _simple(*line)


@rotation.command("extend")
@click.argument("name", metavar="ID|CREDENTIAL")
@click.option("--by", "seconds", type=Duration(), required=True, help="How much longer: 24h, 2d.")
@click.pass_obj
@ordered
def extend(world: World, name: str, actor: str, why: str, seconds: float, *, as_json: bool) -> None:
    """Let both keys live longer before the old one is revoked."""

    def act(orders: Orders, rotation_id: str) -> Rotation:
        return orders.extend(rotation_id, seconds, why)

    _carry_out(world, name, actor, "extended", act, as_json=as_json)


@rotation.command("revoke-now")
@click.argument("name", metavar="ID|CREDENTIAL")
@click.option("--yes", is_flag=True, help="Do not ask whether it is meant.")
@click.option(
    "--accept-outage",
    is_flag=True,
    help="Revoke even before applications have the new key.",
)
@click.pass_obj
@ordered
def revoke_now(
    world: World,
    name: str,
    actor: str,
    why: str,
    *,
    yes: bool,
    accept_outage: bool,
    as_json: bool,
) -> None:
    """Break the glass: revoke the old key without overlap and gate, since it has leaked."""
    if not why:
        raise click.UsageError("breaking the glass needs a reason for the history: --why TEXT")
    if not yes:
        click.confirm("Revoke the old key without waiting?", abort=True, err=True)

    def act(orders: Orders, rotation_id: str) -> Rotation:
        return orders.revoke_now(rotation_id, accept_outage=accept_outage, why=why)

    _carry_out(world, name, actor, "revoking", act, as_json=as_json)


def _carry_out(world: World, name: str, actor: str, word: str, act: Act, *, as_json: bool) -> None:
    with composed(world) as (rotations, now):
        found = found_by(rotations, name)
        with refusing(as_json=as_json):
            found = act(rotations.orders(actor), found.id)
        rotation_view.done(word, found, now=now, as_json=as_json)
