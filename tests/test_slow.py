"""Each test that takes minutes has a cheap sibling, which checks the same on less in every run."""

import collections


def sibling_of(item):
    """The name of the function that a slow test names as its sibling, else its own."""
    [name, *_] = item.get_closest_marker("slow").args or (item.function.__name__,)
    path = item.nodeid.split("::")[0]
    return name if "::" in name else f"{path}::{name}"


def test_every_slow_test_has_a_sibling_in_the_default_run(request):
    items = request.session.items
    collected = {item.nodeid.split("::")[0] for item in items}
    quick = {item.nodeid.split("[")[0] for item in items if not item.get_closest_marker("slow")}
    missing = collections.Counter(
        sibling
        for item in items
        if item.get_closest_marker("slow")
        and (sibling := sibling_of(item)) not in quick
        and sibling.split("::")[0] in collected
    )
    assert not missing, "no quick test is called: " + ", ".join(missing)
