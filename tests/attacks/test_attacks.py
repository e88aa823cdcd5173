"""Every file of escapes/, keys/, storage/, bombs/ and egress/ is an attack, deployed by the real programs. Beside what the attack itself reports,
the host is looked at: host_side.py."""
import pytest

import host_side
import table
import world as worlds
from catalogue import ATTACKS, HERE, attack_file
from control import load


@pytest.mark.parametrize("name", ATTACKS)
def test_the_attack_does_what_it_must_and_no_more(world, name):
    attacker = world.attacker(name)
    watch = host_side.watch(name)
    given = world.given(attacker)
    with watch(world, attacker, given):
        attempts = getattr(attacker.module, "ATTEMPTS", {})
        if attempts:
            came = attacker.ask("/try", **given)
            assert came.keys() == attempts.keys()
            wrong = {key: f"{came[key]!r} instead of {' or '.join(attempt.inside)}" for key, attempt in attempts.items() if came[key] not in attempt.inside}
            assert not wrong
            attacker.alive()
    world.check()
    world.stop(attacker)
    world.check()


@pytest.mark.parametrize("name", [name for name in ATTACKS if any(
    attempt.outside is not None for attempt in getattr(load(attack_file(name)), "ATTEMPTS", {}).values())])
def test_each_attempt_is_a_real_one(name, world, targets):
    """The same code without the walls succeeds, or gets to a later question."""
    attempts = load(attack_file(name)).ATTEMPTS
    came = worlds.control(name, targets)
    world.net.hits.clear()
    wrong = {key: f"{came[key]!r} instead of {' or '.join(attempts[key].outside)}" for key in came if came[key] not in attempts[key].outside}
    assert not wrong


def test_the_table_of_walls_has_a_row_for_each_attack_and_no_other():
    text = (HERE.parents[1] / "docs" / "isolation.md").read_text(encoding="utf-8")
    written = [line for line in text.splitlines() if "](../tests/attacks/" in line and line.startswith("|")]
    assert written == list(table.rows()), "take the rows from tests/attacks/table.py"
    assert len(ATTACKS) >= 60
