"""`synap-hooks acl`: a Redis user for each role, from one secret that is kept nowhere.

The passwords are made out of the secret, so that rules and URLs agree without anything being
stored; whoever has the secret has them all.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Final
from urllib.parse import quote

import click

from receiver.values import redis_url
from workers import rights
from workers.cli import output, selection
from workers.cli.exits import Misuse
from workers.cli.session import World, settings_of
from workers.rights import Role
from workers.settings import WorkerSettings

LEAST_SECRET: Final = 32
MOST_SECRET: Final = 4096

Command = Callable[..., None]


@click.group()
def acl() -> None:
    """Give each role its own Redis user.

    Each command reads a SECRET of at least 32 bytes from standard input. The same secret makes
    the same passwords: keep it as you keep an administrator's, it opens every one of them.
    """


def role_option(command: Command) -> Command:
    """Add to a command which roles it is about."""
    return click.option(
        "--role",
        "roles",
        type=click.Choice([role.value for role in Role]),
        multiple=True,
        help="Only this role; may be given again.  [default: all]",
    )(command)


@acl.command("rules")
@click.option("--file", "as_file", is_flag=True, help="As lines of an ACL file (aclfile).")
@role_option
@click.pass_obj
def print_rules(world: World, *, as_file: bool, roles: Sequence[str]) -> None:
    """Print the users, passwords as digests.

    One ACL SETUSER for each: pipe them into redis-cli or valkey-cli as an administrator.
    """
    prefix, secret = _prefix(world), _secret()
    for role in _chosen(roles):
        click.echo(("user " if as_file else "ACL SETUSER ") + rights.rules(role, prefix, secret))


@acl.command("urls")
@click.argument("url")
@role_option
@selection.json_option
@click.pass_obj
def print_urls(world: World, url: str, *, roles: Sequence[str], as_json: bool) -> None:
    """Print each role's URL WITH ITS PASSWORD.

    URL is the server's, such as redis://redis:6379/0. The lines are role=URL, as `kubectl create
    secret generic NAME --from-env-file=/dev/stdin` reads them.
    """
    prefix = _prefix(world)
    _check(url)
    secret = _secret()
    found = {role.value: _with_user(url, role, prefix, secret) for role in _chosen(roles)}
    if as_json:
        output.document({"urls": found})
        return
    for name, given in found.items():
        click.echo(f"{name}={given}")


def _prefix(world: World) -> str:
    """Return the prefix of the keys, and so of the users' names."""
    return settings_of(WorkerSettings, world.environ).key_prefix


def _chosen(roles: Sequence[str]) -> list[Role]:
    return [role for role in Role if not roles or role.value in roles]


def _check(url: str) -> None:
    try:
        redis_url(url)
    except ValueError as error:
        raise Misuse(f"URL {error}") from error
    if "@" in url:
        raise Misuse(
            "URL has a user already; give the server's alone, such as redis://redis:6379/0"
        )


def _secret() -> bytes:
    secret = sys.stdin.buffer.read(MOST_SECRET).rstrip(b"\r\n")
    if len(secret) < LEAST_SECRET:
        raise Misuse(
            f"standard input gave no secret of at least {LEAST_SECRET} bytes; make one: "
            "openssl rand -hex 32"
        )
    return secret


def _with_user(url: str, role: Role, prefix: str, secret: bytes) -> str:
    scheme, _, rest = url.partition("://")
    name, password = rights.user(role, prefix), rights.password(role, prefix, secret)
    return f"{scheme}://{quote(name, safe='')}:{password}@{rest}"
