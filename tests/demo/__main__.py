"""Run the demo: deliver one signed event of each type and show what on-call receives.

Then one credential is rotated, with the timeline printed. It stays up until Ctrl-C. With ONCE=1 it
ends by itself: status 0 when everything arrived, 1 when something did not, which it then names.
"""

from __future__ import annotations

import os
import secrets
import signal
import sys
import time
from collections import Counter
from types import FrameType

from tests.demo import story
from tests.demo.paint import field, paint, rule, say
from tests.demo.stage import Answered, Stage
from tests.demo.story import Delivery, Page
from tests.demo.timeline import rotate
from tests.servers import ROOT

FOLDER = ROOT / ".demo"
PATIENCE = 30.0
SEVERE = {"trigger": "red", "firing": "yellow", "resolve": "green", "resolved": "green"}


def main() -> int:
    """Run the demo and return its exit status."""
    once = os.environ.get("ONCE", "") not in ("", "0")
    # a shell that starts it in the background has it ignore Ctrl-C's signal
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    say(paint("synap-hooks: from a signed webhook to the person on call", "bold"))
    stage = Stage(FOLDER)
    try:
        stage.wait_ready()
        introduce(stage)
        lacking = tell(stage) or [*rotate()]
        if lacking:
            complain(lacking)
            return 1
        if not once:
            stay(stage)
    except KeyboardInterrupt:
        say("\nStopping")
    except (RuntimeError, TimeoutError, OSError) as error:
        complain([str(error)])
        return 1
    finally:
        stage.close()
    say(f"Logs and routes of this run: {FOLDER.relative_to(ROOT)}/")
    return 0


def introduce(stage: Stage) -> None:
    """Say what runs and where."""
    say()
    field("receiver", f"{stage.url}   (metrics: http://127.0.0.1:{stage.admin}/metrics)")
    field("workers", f"4 queues and the tick   (http://127.0.0.1:{stage.workers_admin}/metrics)")
    field("Redis", "the demo's own, every answer waits for its fsync")
    field("Synap", f"a stand-in for its API, {stage.synap.url}, with one instance")
    field("targets", f"a stand-in for PagerDuty and a team's webhook, {stage.sink.url}")


def tell(stage: Stage) -> list[str]:
    """Deliver the story, show it as it comes, and return what did not arrive."""
    run = f"demo_{secrets.token_hex(3)}"
    deliveries = story.deliveries(stage.secret, stage.synap, run=run)
    answers = [stage.post(delivery.body, delivery.signature) for delivery in deliveries]
    wrong = [
        f"{delivery.title}: answered {answer.status} {answer.word}, expected {delivery.status}"
        for delivery, answer in zip(deliveries, answers, strict=True)
        if answer.status != delivery.status
    ]
    deadline = time.monotonic() + PATIENCE
    while True:
        events, pages = stage.events(), [story.page(seen) for seen in stage.sink.seen]
        lacking = wrong + story.missing(deliveries, events, pages)
        if not lacking or wrong or time.monotonic() > deadline:
            break
        time.sleep(0.2)
    for number, (delivery, answer) in enumerate(zip(deliveries, answers, strict=True), 1):
        decided = (events.get(delivery.event_id) or {}).get("reason") or ""
        show(number, delivery, answer, decided, story.told(delivery, pages))
    if not lacking:
        conclude(answers, pages)
    return lacking


def show(
    number: int, delivery: Delivery, answer: Answered, decided: str, pages: list[Page]
) -> None:
    """Show one event: what came in, what was decided, what on-call sees."""
    rule(f"{delivery.title}: {delivery.event_type}", number)
    field("came in", delivery.came_in)
    good = answer.status < 300
    field(
        "answered",
        f"{answer.status} {answer.word}, in {answer.ms:.1f} ms",
        "green" if good else "red",
    )
    if answer.status != 202:
        field("decided", "it has been done already" if good else "refused before it was read")
    else:
        field("decided", decided or "not yet")
    if not delivery.told:
        field("on call", "sees nothing of it", "dim")
        return
    for page in pages:
        show_page(page)


def show_page(page: Page) -> None:
    """Show what one target was told."""
    field("on call", f"{page.target} · {page.action.upper()}", SEVERE.get(page.action, "cyan"))
    field("", page.headline, "bold")
    for line in page.lines:
        field("", line)


def conclude(answers: list[Answered], pages: list[Page]) -> None:
    """Count what was shown."""
    words = Counter(answer.word for answer in answers)
    targets = Counter(page.target for page in pages)
    counted = [
        *(f"{count} {word}" for word, count in words.items()),
        *(f"{count} to {target}" for target, count in targets.items()),
    ]
    rule("Everything arrived")
    field("", ", ".join(counted), "green")


def stay(stage: Stage) -> None:
    """Invite the reader to send an event, and show what comes of it, until Ctrl-C."""
    rule("Send your own")
    say(f"\n{story.own(stage.url, stage.secret)}\n")
    field("look around", "these settings make the command line speak of this run:")
    for name in ("SYNAP_REDIS_URL", "SYNAP_CONFIG", "SYNAP_API_URL", "SYNAP_API_KEY"):
        say(f"export {name}='{stage.environ[name]}'")
    say(".venv/bin/synap-hooks events list")
    say(f".venv/bin/synap-hooks maca show {stage.synap.instance.id}\n")
    field("", "Everything that on-call is told appears below. Ctrl-C ends the demo.", "dim")
    shown = len(stage.sink.seen)
    while True:
        for seen in stage.sink.seen[shown:]:
            shown += 1
            show_page(story.page(seen))
        time.sleep(0.2)


def complain(lacking: list[str]) -> None:
    """Say what did not arrive, and where to look."""
    say()
    for line in lacking:
        say(paint(f"missing: {line}", "red"))
    say(f"The logs are kept: {(FOLDER / 'receiver.log').relative_to(ROOT)}, workers.log beside it")


def _interrupt(_: int, __: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
